/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * record: the file and what is in it.
 *
 * Write-ahead log with synchronous=NORMAL: a commit is one append and waits for no disk, so a disk
 * that is slow (memory is short on the machine, that is when this runs) does not hold up the
 * watch. A rollback journal would sync several times an interval for a promise that nobody needs here:
 * to survive the loss of power, too.
 *
 * A file may come from anywhere: views and triggers in it would run with our statements, so a file
 * that has any is refused, and all that is read is checked like any other foreign byte.
 */
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/log.h"
#include "base/str.h"

#define APPLICATION_ID	 0x6d696e73 /* "mins" */
#define APPLICATION_WORD "\x6d\x69\x6e\x73"
#define FORMAT		 1
#define BUSY_MS		 2000
#define TEXT_MAX	 4096
/* Steps of SQLite's machine between two looks at Ctrl-C. */
#define STEPS_PER_LOOK	 100000

enum statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_FIND_RUN, ST_ADD_RUN, ST_ADD_SAMPLE, ST_ADD_WALK, ST_ADD_EVENT,
	ST_FORGET_SAMPLES, ST_FORGET_WALKS, N_STATEMENTS
};

struct insp_record {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *statements[N_STATEMENTS];
};

/* Numbers of a row that are uint64_t in a struct. */
struct column {
	const char *name;
	size_t offset;
};

static const struct column sample_columns[] = {
	{"rss", offsetof(struct insp_sample, rss)},
	{"pss", offsetof(struct insp_sample, pss)},
	{"swap", offsetof(struct insp_sample, swap)},
	{"vsize", offsetof(struct insp_sample, vsize)},
	{"hwm", offsetof(struct insp_sample, hwm)},
	{"threads", offsetof(struct insp_sample, threads)},
	{"minor_faults", offsetof(struct insp_sample, minor_faults)},
	{"major_faults", offsetof(struct insp_sample, major_faults)},
	{"cpu_ns", offsetof(struct insp_sample, cpu_ns)},
	{"open_fds", offsetof(struct insp_sample, open_fds)},
	{"max_fds", offsetof(struct insp_sample, max_fds)},
	{"mem_limit", offsetof(struct insp_sample, limit)},
	{"cgroup_used", offsetof(struct insp_sample, cgroup_used)},
};

static const struct column walk_columns[] = {
	{"in_use", offsetof(struct insp_walkstat, in_use)},
	{"free", offsetof(struct insp_walkstat, free)},
	{"sys", offsetof(struct insp_walkstat, sys)},
	{"mmapped", offsetof(struct insp_walkstat, mmapped)},
	{"objects", offsetof(struct insp_walkstat, objects)},
	{"releasable", offsetof(struct insp_walkstat, releasable)},
	{"leaked", offsetof(struct insp_walkstat, leaked)},
	{"stopped_ns", offsetof(struct insp_walkstat, stopped_ns)},
};

#define NSAMPLE (sizeof(sample_columns) / sizeof(sample_columns[0]))
#define NWALK	(sizeof(walk_columns) / sizeof(walk_columns[0]))

static int fail(const struct insp_record *r, struct insp_error *err)
{
	int code = sqlite3_errcode(r->db);

	if (code == SQLITE_INTERRUPT)
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	if (code == SQLITE_NOMEM)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	return insp_fail(err, code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? INSP_E_CORRUPT : INSP_E_IO,
			 "recording '%s': %s", r->path, sqlite3_errmsg(r->db));
}

static int execute(struct insp_record *r, const char *sql, struct insp_error *err)
{
	return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(r, err);
}

/* ---- opening */

static void add_columns(struct insp_str *sql, const struct column *columns, size_t n, const char *type)
{
	for (size_t i = 0; i < n; i++)
		insp_str_addf(sql, ", %s%s", columns[i].name, type);
}

static int create_tables(struct insp_record *r, struct insp_error *err)
{
	struct insp_str sql = {0};
	int rc;

	insp_str_addf(&sql,
		      "PRAGMA application_id=%d; PRAGMA user_version=%d;"
		      "CREATE TABLE run(id INTEGER PRIMARY KEY, spec TEXT, comm TEXT, pid INTEGER,"
		      " ticks INTEGER, started_at_ns INTEGER);"
		      "CREATE TABLE event(run INTEGER, at_ns INTEGER, kind TEXT, text TEXT);"
		      "CREATE TABLE sample(run INTEGER, at_ns INTEGER",
		      APPLICATION_ID, FORMAT);
	add_columns(&sql, sample_columns, NSAMPLE, " INTEGER");
	insp_str_add(&sql, ", limit_kind INTEGER, psi_scope INTEGER, psi_some10 REAL, psi_full10 REAL, level TEXT);"
			   "CREATE INDEX sample_at ON sample(at_ns);"
			   "CREATE TABLE walk(run INTEGER, at_ns INTEGER");
	add_columns(&sql, walk_columns, NWALK, " INTEGER");
	insp_str_add(&sql, ", complete INTEGER); CREATE INDEX walk_at ON walk(at_ns);");
	rc = insp_str_ok(&sql) ? execute(r, insp_str_text(&sql), err)
			       : insp_fail(err, INSP_E_NOMEM, "out of memory");
	insp_str_deinit(&sql);
	return rc;
}

/* The number that a statement yields. */
static int ask(struct insp_record *r, const char *sql, int64_t *ret, struct insp_error *err)
{
	sqlite3_stmt *st;
	int rc = 0;

	if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
		return fail(r, err);
	if (sqlite3_step(st) == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else
		rc = fail(r, err);
	(void)sqlite3_finalize(st);
	return rc;
}

static int check_schema(struct insp_record *r, struct insp_error *err)
{
	int64_t id, format, tables, others;
	int rc = ask(r, "PRAGMA application_id", &id, err);

	if (!rc)
		rc = ask(r, "PRAGMA user_version", &format, err);
	if (!rc)
		rc = ask(r, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
			    " AND name IN ('run', 'sample', 'walk', 'event')", &tables, err);
	if (!rc)
		rc = ask(r, "SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index')", &others, err);
	if (rc)
		return rc;
	if (id != APPLICATION_ID || tables != 4 || others)
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is no recording of meminspect", r->path);
	if (format != FORMAT)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "recording '%s' has format %lld, this meminspect knows %d", r->path,
				 (long long)format, FORMAT);
	return 0;
}

static int on_progress(void *ctx)
{
	(void)ctx;
	return insp_interrupted();
}

static void harden(struct insp_record *r)
{
	(void)sqlite3_busy_timeout(r->db, BUSY_MS);
	(void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
}

/* "file:/a%20b?immutable=1": a file in a folder where nothing can be written beside it. */
static int open_immutable(struct insp_record *r)
{
	struct insp_str uri = {0};
	int rc;

	(void)sqlite3_close(r->db);
	r->db = NULL;
	insp_str_add(&uri, "file:");
	for (const char *p = r->path; *p; p++)
		if (strchr("%?#", *p))
			insp_str_addf(&uri, "%%%02x", (unsigned char)*p);
		else
			insp_str_addc(&uri, *p);
	insp_str_add(&uri, "?immutable=1");
	rc = insp_str_ok(&uri) ? sqlite3_open_v2(insp_str_text(&uri), &r->db,
						 SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL)
			       : SQLITE_NOMEM;
	insp_str_deinit(&uri);
	return rc;
}

static int open_to_read(struct insp_record *r, struct insp_error *err)
{
	struct insp_error first = {0};
	int rc;

	if (access(r->path, R_OK))
		return insp_fail_errno(err, INSP_E_IO, errno, "recording '%s'", r->path);
	if (sqlite3_open_v2(r->path, &r->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		return fail(r, err);
	harden(r);
	rc = check_schema(r, &first);
	if (rc == INSP_E_IO && open_immutable(r) == SQLITE_OK) {
		harden(r);
		rc = check_schema(r, &first);
	}
	if (rc && err)
		*err = first;
	if (!rc)
		sqlite3_progress_handler(r->db, STEPS_PER_LOOK, on_progress, NULL);
	return rc;
}

static int open_to_write(struct insp_record *r, struct insp_error *err)
{
	int64_t tables;
	int rc;

	if (sqlite3_open_v2(r->path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		return r->db ? fail(r, err) : insp_fail(err, INSP_E_NOMEM, "out of memory");
	harden(r);
	rc = ask(r, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (!rc && tables)
		rc = check_schema(r, err);
	if (!rc) /* where there can be no log (some network file systems), it stays a journal */
		rc = execute(r, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
				"PRAGMA journal_size_limit=4194304", err);
	if (!rc && !tables) {
		rc = execute(r, "BEGIN IMMEDIATE", err);
		if (!rc)
			rc = create_tables(r, err);
		rc = rc ? rc : execute(r, "COMMIT", err);
	}
	return rc;
}

int insp_record_open(const char *path, enum insp_record_mode mode, struct insp_record **ret,
		     struct insp_error *err)
{
	struct insp_record *r = calloc(1, sizeof(*r));
	int rc;

	if (r)
		r->path = strdup(path);
	if (!r || !r->path) {
		insp_record_close(r);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	rc = mode == INSP_RECORD_READ ? open_to_read(r, err) : open_to_write(r, err);
	if (rc) {
		insp_record_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void insp_record_close(struct insp_record *record)
{
	if (!record)
		return;
	for (int i = 0; i < N_STATEMENTS; i++)
		(void)sqlite3_finalize(record->statements[i]);
	if (record->db && !sqlite3_db_readonly(record->db, "main")) {
		if (!sqlite3_get_autocommit(record->db))
			(void)sqlite3_exec(record->db, "ROLLBACK", NULL, NULL, NULL);
		/* The log goes into the file, unless somebody else has it open. */
		(void)sqlite3_exec(record->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	}
	(void)sqlite3_close(record->db);
	free(record->path);
	free(record);
}

bool insp_record_is_file(const char *path)
{
	char head[72];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? pread(fd, head, sizeof(head), 0) : -1;

	if (fd >= 0)
		(void)close(fd);
	return n == sizeof(head) && memcmp(head, "SQLite format 3", 16) == 0 &&
	       memcmp(head + 68, APPLICATION_WORD, 4) == 0;
}

/* ---- writing */

static const char *fixed_sql(enum statement which)
{
	switch (which) {
	case ST_BEGIN:
		return "BEGIN IMMEDIATE";
	case ST_COMMIT:
		return "COMMIT";
	case ST_ROLLBACK:
		return "ROLLBACK";
	case ST_FIND_RUN: /* ticks begin anew with each boot */
		return "SELECT id FROM run WHERE pid = ?1 AND ticks = ?2 AND abs(started_at_ns - ?3) < 10000000000";
	case ST_ADD_RUN:
		return "INSERT INTO run(spec, comm, pid, ticks, started_at_ns) VALUES(?4, ?5, ?1, ?2, ?3)";
	case ST_ADD_EVENT:
		return "INSERT INTO event(run, at_ns, kind, text) VALUES(?, ?, ?, ?)";
	case ST_FORGET_SAMPLES:
		return "DELETE FROM sample WHERE at_ns < ?";
	case ST_FORGET_WALKS:
		return "DELETE FROM walk WHERE at_ns < ?";
	default:
		return NULL;
	}
}

static void insert_sql(struct insp_str *sql, const char *table, const struct column *columns, size_t n,
		       const char *more, size_t nmore)
{
	insp_str_addf(sql, "INSERT INTO %s(run, at_ns", table);
	add_columns(sql, columns, n, "");
	insp_str_addf(sql, "%s) VALUES(?, ?", more);
	for (size_t i = 0; i < n + nmore; i++)
		insp_str_add(sql, ", ?");
	insp_str_addc(sql, ')');
}

static sqlite3_stmt *statement(struct insp_record *r, enum statement which)
{
	struct insp_str sql = {0};

	if (r->statements[which])
		return r->statements[which];
	if (which == ST_ADD_SAMPLE)
		insert_sql(&sql, "sample", sample_columns, NSAMPLE,
			   ", limit_kind, psi_scope, psi_some10, psi_full10, level", 5);
	else if (which == ST_ADD_WALK)
		insert_sql(&sql, "walk", walk_columns, NWALK, ", complete", 1);
	else
		insp_str_add(&sql, fixed_sql(which));
	if (!insp_str_ok(&sql) || sqlite3_prepare_v3(r->db, insp_str_text(&sql), -1, SQLITE_PREPARE_PERSISTENT,
						      &r->statements[which], NULL) != SQLITE_OK)
		r->statements[which] = NULL;
	insp_str_deinit(&sql);
	return r->statements[which];
}

/* Runs a bound statement that yields nothing. */
static int run_statement(struct insp_record *r, sqlite3_stmt *st, struct insp_error *err)
{
	int rc = 0;

	if (!st || sqlite3_step(st) != SQLITE_DONE)
		rc = fail(r, err);
	(void)sqlite3_reset(st);
	return rc;
}

int insp_record_begin(struct insp_record *record, struct insp_error *err)
{
	return run_statement(record, statement(record, ST_BEGIN), err);
}

int insp_record_commit(struct insp_record *record, struct insp_error *err)
{
	return run_statement(record, statement(record, ST_COMMIT), err);
}

void insp_record_rollback(struct insp_record *record)
{
	/* A full disk has rolled it back by itself. */
	if (!sqlite3_get_autocommit(record->db))
		(void)run_statement(record, statement(record, ST_ROLLBACK), NULL);
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
	if (v > INT64_MAX)
		(void)sqlite3_bind_null(st, at);
	else
		(void)sqlite3_bind_int64(st, at, (int64_t)v);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	(void)sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static int bind_columns(sqlite3_stmt *st, int64_t run, uint64_t at_ns, const struct column *columns, size_t n,
			const void *from)
{
	(void)sqlite3_bind_int64(st, 1, run);
	bind_u64(st, 2, at_ns);
	for (size_t i = 0; i < n; i++)
		bind_u64(st, 3 + (int)i, *(const uint64_t *)((const char *)from + columns[i].offset));
	return 3 + (int)n;
}

int insp_record_run(struct insp_record *r, const struct insp_record_run *run, int64_t *ret_id,
		    struct insp_error *err)
{
	sqlite3_stmt *find = statement(r, ST_FIND_RUN), *add = statement(r, ST_ADD_RUN);
	sqlite3_stmt *both[] = {find, add};
	int rc, step;

	if (!find || !add)
		return fail(r, err);
	for (int i = 0; i < 2; i++) {
		(void)sqlite3_bind_int(both[i], 1, run->pid);
		bind_u64(both[i], 2, run->ticks);
		bind_u64(both[i], 3, run->started_at_ns);
	}
	step = sqlite3_step(find);
	if (step == SQLITE_ROW)
		*ret_id = sqlite3_column_int64(find, 0);
	rc = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : fail(r, err);
	(void)sqlite3_reset(find);
	if (rc || step == SQLITE_ROW)
		return rc;
	bind_text(add, 4, run->spec);
	bind_text(add, 5, run->comm);
	rc = run_statement(r, add, err);
	(void)sqlite3_clear_bindings(add);
	if (!rc)
		*ret_id = sqlite3_last_insert_rowid(r->db);
	return rc;
}

int insp_record_sample(struct insp_record *r, int64_t run, const struct insp_sample *s, enum insp_level level,
		       struct insp_error *err)
{
	sqlite3_stmt *st = statement(r, ST_ADD_SAMPLE);
	bool psi = s->psi.scope != INSP_PSI_NONE;
	int at;

	if (!st)
		return fail(r, err);
	at = bind_columns(st, run, s->at_ns, sample_columns, NSAMPLE, s);
	(void)sqlite3_bind_int(st, at++, (int)s->limit_kind);
	(void)sqlite3_bind_int(st, at++, (int)s->psi.scope);
	(void)(psi ? sqlite3_bind_double(st, at, s->psi.some10) : sqlite3_bind_null(st, at));
	at++;
	(void)(psi ? sqlite3_bind_double(st, at, s->psi.full10) : sqlite3_bind_null(st, at));
	at++;
	bind_text(st, at, insp_level_key(level));
	return run_statement(r, st, err);
}

int insp_record_walk(struct insp_record *r, int64_t run, const struct insp_walkstat *w, struct insp_error *err)
{
	sqlite3_stmt *st = statement(r, ST_ADD_WALK);
	int at;

	if (!st)
		return fail(r, err);
	at = bind_columns(st, run, w->at_ns, walk_columns, NWALK, w);
	(void)sqlite3_bind_int(st, at, w->complete);
	return run_statement(r, st, err);
}

int insp_record_event(struct insp_record *r, int64_t run, uint64_t at_ns, const char *kind, const char *text,
		      struct insp_error *err)
{
	sqlite3_stmt *st = statement(r, ST_ADD_EVENT);

	if (!st)
		return fail(r, err);
	(void)sqlite3_bind_int64(st, 1, run);
	bind_u64(st, 2, at_ns);
	bind_text(st, 3, kind);
	bind_text(st, 4, text);
	return run_statement(r, st, err);
}

int insp_record_forget(struct insp_record *r, uint64_t before_ns, struct insp_error *err)
{
	static const enum statement both[] = {ST_FORGET_SAMPLES, ST_FORGET_WALKS};
	int rc = 0;

	for (int i = 0; i < 2 && !rc; i++) {
		sqlite3_stmt *st = statement(r, both[i]);

		if (st)
			bind_u64(st, 1, before_ns);
		rc = run_statement(r, st, err);
	}
	return rc;
}

/* ---- reading */

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
	int64_t v = sqlite3_column_int64(st, at);

	return sqlite3_column_type(st, at) != SQLITE_INTEGER || v < 0 ? INSP_UNKNOWN : (uint64_t)v;
}

static const char *column_text(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text && sqlite3_column_bytes(st, at) < TEXT_MAX ? text : NULL;
}

static double column_share(sqlite3_stmt *st, int at)
{
	double v = sqlite3_column_double(st, at);

	return isfinite(v) && v >= 0 && v <= 100 ? v : 0;
}

static int column_below(sqlite3_stmt *st, int at, int end)
{
	int64_t v = sqlite3_column_int64(st, at);

	return v >= 0 && v < end ? (int)v : 0;
}

static int select_range(struct insp_record *r, const struct insp_record_range *range, const char *columns,
			const char *table, sqlite3_stmt **ret, struct insp_error *err)
{
	struct insp_str sql = {0};
	int rc = 0;

	insp_str_addf(&sql, "SELECT run, at_ns%s FROM %s WHERE at_ns >= ?1 AND at_ns < ?2%s ORDER BY at_ns",
		      columns, table, range->run ? " AND run = ?3" : "");
	if (!insp_str_ok(&sql))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	else if (sqlite3_prepare_v2(r->db, insp_str_text(&sql), -1, ret, NULL) != SQLITE_OK)
		rc = fail(r, err);
	insp_str_deinit(&sql);
	if (rc)
		return rc;
	(void)sqlite3_bind_int64(*ret, 1, range->from_ns > INT64_MAX ? INT64_MAX : (int64_t)range->from_ns);
	(void)sqlite3_bind_int64(*ret, 2, range->to_ns > INT64_MAX ? INT64_MAX : (int64_t)range->to_ns);
	if (range->run)
		(void)sqlite3_bind_int64(*ret, 3, range->run);
	return 0;
}

/* For each row of st; finalizes it. */
static int each_row(struct insp_record *r, sqlite3_stmt *st, int (*fn)(void *ctx, sqlite3_stmt *st), void *ctx,
		    struct insp_error *err)
{
	int step, rc = 0;

	while (!rc && (step = sqlite3_step(st)) != SQLITE_DONE)
		rc = step == SQLITE_ROW ? fn(ctx, st) : fail(r, err);
	(void)sqlite3_finalize(st);
	return rc;
}

/* The caller's function and what it gets. */
struct reading {
	union {
		insp_record_run_fn run;
		insp_record_sample_fn sample;
		insp_record_walk_fn walk;
		insp_record_event_fn event;
	};
	void *ctx;
};

static int on_run(void *ctx, sqlite3_stmt *st)
{
	const struct reading *reading = ctx;
	struct insp_record_run run = {
		.id = sqlite3_column_int64(st, 0),
		.spec = column_text(st, 1),
		.comm = column_text(st, 2),
		.pid = sqlite3_column_int(st, 3),
		.ticks = column_u64(st, 4),
		.started_at_ns = column_u64(st, 5),
	};

	return reading->run(reading->ctx, &run);
}

int insp_record_each_run(struct insp_record *r, insp_record_run_fn fn, void *ctx, struct insp_error *err)
{
	struct reading reading = {.run = fn, .ctx = ctx};
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(r->db, "SELECT id, spec, comm, pid, ticks, started_at_ns FROM run ORDER BY id", -1,
			       &st, NULL) != SQLITE_OK)
		return fail(r, err);
	return each_row(r, st, on_run, &reading, err);
}

static void take_columns(sqlite3_stmt *st, const struct column *columns, size_t n, void *to)
{
	for (size_t i = 0; i < n; i++)
		*(uint64_t *)((char *)to + columns[i].offset) = column_u64(st, 2 + (int)i);
}

static int on_sample(void *ctx, sqlite3_stmt *st)
{
	const struct reading *reading = ctx;
	struct insp_sample s = {.at_ns = column_u64(st, 1), .started_at_ns = INSP_UNKNOWN};
	const char *key = column_text(st, 2 + NSAMPLE + 4);
	enum insp_level level = key ? insp_level_find(key) : INSP_LEVEL_OK;

	if (s.at_ns == INSP_UNKNOWN)
		return 0;
	take_columns(st, sample_columns, NSAMPLE, &s);
	s.limit_kind = (enum insp_limit_kind)column_below(st, 2 + NSAMPLE, INSP_LIMIT_MACHINE + 1);
	s.psi.scope = (enum insp_psi_scope)column_below(st, 2 + NSAMPLE + 1, INSP_PSI_SYSTEM + 1);
	s.psi.some10 = column_share(st, 2 + NSAMPLE + 2);
	s.psi.full10 = column_share(st, 2 + NSAMPLE + 3);
	return reading->sample(reading->ctx, sqlite3_column_int64(st, 0), &s,
			       level < INSP_N_LEVELS ? level : INSP_LEVEL_OK);
}

static int on_walk(void *ctx, sqlite3_stmt *st)
{
	const struct reading *reading = ctx;
	struct insp_walkstat w = {.at_ns = column_u64(st, 1)};

	if (w.at_ns == INSP_UNKNOWN)
		return 0;
	take_columns(st, walk_columns, NWALK, &w);
	w.complete = sqlite3_column_int64(st, 2 + NWALK) != 0;
	return reading->walk(reading->ctx, sqlite3_column_int64(st, 0), &w);
}

static int on_event(void *ctx, sqlite3_stmt *st)
{
	const struct reading *reading = ctx;
	uint64_t at_ns = column_u64(st, 1);
	const char *kind = column_text(st, 2), *text = column_text(st, 3);

	if (at_ns == INSP_UNKNOWN || !kind)
		return 0;
	return reading->event(reading->ctx, sqlite3_column_int64(st, 0), at_ns, kind, text ? text : "");
}

static int each_in_range(struct insp_record *r, const struct insp_record_range *range, const char *table,
			 const struct column *columns, size_t n, const char *more,
			 int (*fn)(void *ctx, sqlite3_stmt *st), struct reading *reading, struct insp_error *err)
{
	struct insp_str list = {0};
	sqlite3_stmt *st;
	int rc;

	add_columns(&list, columns, n, "");
	insp_str_add(&list, more);
	rc = select_range(r, range, insp_str_text(&list), table, &st, err);
	insp_str_deinit(&list);
	return rc ? rc : each_row(r, st, fn, reading, err);
}

int insp_record_each_sample(struct insp_record *r, const struct insp_record_range *range,
			    insp_record_sample_fn fn, void *ctx, struct insp_error *err)
{
	struct reading reading = {.sample = fn, .ctx = ctx};

	return each_in_range(r, range, "sample", sample_columns, NSAMPLE,
			     ", limit_kind, psi_scope, psi_some10, psi_full10, level", on_sample, &reading, err);
}

int insp_record_each_walk(struct insp_record *r, const struct insp_record_range *range, insp_record_walk_fn fn,
			  void *ctx, struct insp_error *err)
{
	struct reading reading = {.walk = fn, .ctx = ctx};

	return each_in_range(r, range, "walk", walk_columns, NWALK, ", complete", on_walk, &reading, err);
}

int insp_record_each_event(struct insp_record *r, const struct insp_record_range *range,
			   insp_record_event_fn fn, void *ctx, struct insp_error *err)
{
	struct reading reading = {.event = fn, .ctx = ctx};

	return each_in_range(r, range, "event", NULL, 0, ", kind, text", on_event, &reading, err);
}

int insp_record_span(struct insp_record *r, uint64_t *ret_first_ns, uint64_t *ret_last_ns, struct insp_error *err)
{
	int64_t first = 0, last = 0;
	int rc = ask(r, "SELECT min(at_ns) FROM sample", &first, err);

	if (!rc)
		rc = ask(r, "SELECT max(at_ns) FROM sample", &last, err);
	if (rc)
		return rc;
	*ret_first_ns = first > 0 ? (uint64_t)first : 0;
	*ret_last_ns = last > 0 ? (uint64_t)last : 0;
	return 0;
}
