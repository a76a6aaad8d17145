/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recordings: what goes in comes out, a kill costs what was not committed, foreign files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "record/record.h"

static char folder[] = "/tmp/test_record.XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/a.db", folder);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static int clean(void **state)
{
	char log[80];

	(void)state;
	snprintf(log, sizeof(log), "%s-wal", path);
	(void)unlink(log);
	snprintf(log, sizeof(log), "%s-shm", path);
	(void)unlink(log);
	(void)unlink(path);
	return 0;
}

static struct insp_record *open_as(enum insp_record_mode mode)
{
	struct insp_record *r;
	struct insp_error err = {0};

	if (insp_record_open(path, mode, &r, &err))
		fail_msg("%s", err.msg);
	return r;
}

static struct insp_sample sample_at(uint64_t at_ns)
{
	struct insp_sample s;

	memset(&s, 0xff, sizeof(s)); /* all unknown */
	s.at_ns = at_ns;
	s.rss = at_ns * 2;
	s.limit = 77;
	s.limit_kind = INSP_LIMIT_CGROUP;
	s.psi = (struct insp_psi){.scope = INSP_PSI_SYSTEM, .some10 = 12.5, .full10 = 1};
	return s;
}

static void add(struct insp_record *r, uint64_t at_ns)
{
	struct insp_record_run run = {.spec = "name", .comm = "comm", .pid = 7, .ticks = 9, .started_at_ns = 11};
	struct insp_sample s = sample_at(at_ns);
	int64_t id;

	assert_int_equal(insp_record_begin(r, NULL), 0);
	assert_int_equal(insp_record_run(r, &run, &id, NULL), 0);
	assert_int_equal(insp_record_sample(r, id, &s, INSP_LEVEL_CRIT, NULL), 0);
	assert_int_equal(insp_record_commit(r, NULL), 0);
}

struct seen {
	unsigned n, runs;
	uint64_t last;
	struct insp_sample sample;
	struct insp_walkstat walk;
	char text[64];
};

static int see_sample(void *ctx, int64_t run, const struct insp_sample *s, enum insp_level level)
{
	struct seen *seen = ctx;

	(void)run;
	assert_true(s->at_ns >= seen->last);
	assert_true(level < INSP_N_LEVELS);
	seen->last = s->at_ns;
	seen->sample = *s;
	seen->n++;
	return 0;
}

static int see_walk(void *ctx, int64_t run, const struct insp_walkstat *w)
{
	struct seen *seen = ctx;

	(void)run;
	seen->walk = *w;
	seen->n++;
	return 0;
}

static int see_event(void *ctx, int64_t run, uint64_t at_ns, const char *kind, const char *text)
{
	struct seen *seen = ctx;

	(void)run;
	(void)at_ns;
	snprintf(seen->text, sizeof(seen->text), "%s:%s", kind, text);
	seen->n++;
	return 0;
}

static int see_run(void *ctx, const struct insp_record_run *run)
{
	struct seen *seen = ctx;

	(void)run;
	seen->runs++;
	return 0;
}

static const struct insp_record_range all = {0, UINT64_MAX, 0};

static void record__gives_back_what_it_got(void **state)
{
	struct insp_walkstat w = {.at_ns = 5, .in_use = 6, .leaked = INSP_UNKNOWN, .complete = true};
	struct insp_record *r = open_as(INSP_RECORD_WRITE);
	struct seen seen = {0};
	uint64_t first, last;

	(void)state;
	assert_int_equal(insp_record_span(r, &first, &last, NULL), 0);
	assert_int_equal(first + last, 0);
	for (uint64_t i = 10; i < 20; i++)
		add(r, i);
	assert_int_equal(insp_record_begin(r, NULL), 0);
	assert_int_equal(insp_record_walk(r, 1, &w, NULL), 0);
	assert_int_equal(insp_record_event(r, 1, 3, "level", "it's \"bad\"; DROP TABLE run", NULL), 0);
	assert_int_equal(insp_record_commit(r, NULL), 0);
	insp_record_close(r);
	assert_true(insp_record_is_file(path));

	r = open_as(INSP_RECORD_READ);
	assert_int_equal(insp_record_each_sample(r, &all, see_sample, &seen, NULL), 0);
	assert_int_equal(seen.n, 10);
	assert_int_equal(seen.sample.rss, 38);
	assert_true(seen.sample.pss == INSP_UNKNOWN);
	assert_true(seen.sample.threads == INSP_UNKNOWN);
	assert_int_equal(seen.sample.limit_kind, INSP_LIMIT_CGROUP);
	assert_true(seen.sample.psi.some10 > 12.49 && seen.sample.psi.some10 < 12.51);
	seen = (struct seen){0};
	assert_int_equal(insp_record_each_sample(r, &(struct insp_record_range){12, 15, 1}, see_sample, &seen, NULL), 0);
	assert_int_equal(seen.n, 3);
	seen = (struct seen){0};
	assert_int_equal(insp_record_each_walk(r, &all, see_walk, &seen, NULL), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.walk.in_use, 6);
	assert_true(seen.walk.leaked == INSP_UNKNOWN && seen.walk.complete);
	assert_int_equal(insp_record_each_event(r, &all, see_event, &seen, NULL), 0);
	assert_string_equal(seen.text, "level:it's \"bad\"; DROP TABLE run");
	assert_int_equal(insp_record_each_run(r, see_run, &seen, NULL), 0);
	assert_int_equal(seen.runs, 1); /* the same process each time */
	assert_int_equal(insp_record_span(r, &first, &last, NULL), 0);
	assert_int_equal(first, 10);
	assert_int_equal(last, 19);
	insp_record_close(r);

	r = open_as(INSP_RECORD_WRITE);
	assert_int_equal(insp_record_forget(r, 15, NULL), 0);
	seen = (struct seen){0};
	assert_int_equal(insp_record_each_sample(r, &all, see_sample, &seen, NULL), 0);
	assert_int_equal(seen.n, 5);
	insp_record_close(r);
	insp_record_close(NULL);
}

/* Killed at whatever instruction it was: all that was committed is there, and half of nothing. */
static void record__survives_a_kill(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct seen seen = {0};
		struct insp_record *r;
		uint64_t committed = 0, n;
		int fds[2], pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			r = open_as(INSP_RECORD_WRITE);
			for (uint64_t i = 1;; i++) {
				add(r, (uint64_t)round * 1000000 + i);
				if (write(fds[1], &i, sizeof(i)) != sizeof(i))
					_exit(0);
			}
		}
		close(fds[1]);
		for (int i = 0; i < 3 + round; i++)
			assert_int_equal(read(fds[0], &committed, sizeof(committed)), sizeof(committed));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			committed = n;
		close(fds[0]);
		r = open_as(INSP_RECORD_READ);
		assert_int_equal(insp_record_each_sample(r, &(struct insp_record_range){(uint64_t)round * 1000000,
										       UINT64_MAX, 0},
							 see_sample, &seen, NULL), 0);
		insp_record_close(r);
		/* One more may have got in between commit and report. */
		assert_true(seen.n == committed || seen.n == committed + 1);
	}
}

static void record__can_be_read_while_it_is_written(void **state)
{
	struct insp_record *w = open_as(INSP_RECORD_WRITE), *r;
	struct seen seen = {0};

	(void)state;
	add(w, 1);
	r = open_as(INSP_RECORD_READ);
	assert_int_equal(insp_record_begin(w, NULL), 0);
	assert_int_equal(insp_record_event(w, 1, 1, "k", "not committed", NULL), 0);
	assert_int_equal(insp_record_each_sample(r, &all, see_sample, &seen, NULL), 0);
	assert_int_equal(insp_record_each_event(r, &all, see_event, &seen, NULL), 0);
	assert_int_equal(seen.n, 1);
	insp_record_rollback(w);
	insp_record_rollback(w);
	add(w, 2);
	seen = (struct seen){0};
	assert_int_equal(insp_record_each_sample(r, &all, see_sample, &seen, NULL), 0);
	assert_int_equal(seen.n, 2);
	insp_record_close(w);
	insp_record_close(r);
}

static void make(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void record__refuses_what_is_none(void **state)
{
	static const char *const foreign[] = {
		"CREATE TABLE x(y)",
		"PRAGMA application_id=1835626099; CREATE TABLE run(id)",
		"PRAGMA application_id=1835626099; PRAGMA user_version=1; CREATE TABLE run(id); CREATE TABLE walk(id);"
		"CREATE TABLE event(id); CREATE VIEW sample AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) "
		"SELECT x FROM c",
		"PRAGMA application_id=1835626099; PRAGMA user_version=1; CREATE TABLE run(id); CREATE TABLE walk(id);"
		"CREATE TABLE event(id); CREATE TABLE sample(id); CREATE TRIGGER t AFTER INSERT ON run BEGIN "
		"DELETE FROM run; END",
	};
	struct insp_error err = {0};
	struct insp_record *r;

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		clean(NULL);
		make(foreign[i]);
		assert_int_equal(insp_record_open(path, INSP_RECORD_READ, &r, &err), INSP_E_CORRUPT);
		assert_int_equal(insp_record_open(path, INSP_RECORD_WRITE, &r, &err), INSP_E_CORRUPT);
		assert_non_null(strstr(err.msg, "no recording"));
	}
	clean(NULL);
	make("PRAGMA application_id=1835626099; PRAGMA user_version=2; CREATE TABLE run(id); CREATE TABLE walk(id);"
	     "CREATE TABLE event(id); CREATE TABLE sample(id)");
	assert_int_equal(insp_record_open(path, INSP_RECORD_READ, &r, &err), INSP_E_UNSUPPORTED);
	clean(NULL);
	assert_int_equal(insp_record_open(path, INSP_RECORD_READ, &r, &err), INSP_E_IO);
	assert_false(insp_record_is_file(path));
	assert_false(insp_record_is_file("/"));
}

/* Values of the wrong type, out of range, absurd. */
static void record__reads_odd_values_as_unknown(void **state)
{
	struct insp_record *r = open_as(INSP_RECORD_WRITE);
	struct seen seen = {0};

	(void)state;
	add(r, 1);
	insp_record_close(r);
	make("UPDATE sample SET rss = -5, hwm = 'text', threads = 1.5, limit_kind = 99, psi_scope = -1, "
	     "psi_some10 = 1e300, level = 'nonsense';"
	     "INSERT INTO sample(run, at_ns) VALUES('x', 'y'); INSERT INTO event VALUES(1, 1, NULL, x'00ff')");
	r = open_as(INSP_RECORD_READ);
	assert_int_equal(insp_record_each_sample(r, &all, see_sample, &seen, NULL), 0);
	assert_int_equal(seen.n, 1);
	assert_true(seen.sample.rss == INSP_UNKNOWN && seen.sample.hwm == INSP_UNKNOWN);
	assert_true(seen.sample.threads == INSP_UNKNOWN);
	assert_int_equal(seen.sample.limit_kind, INSP_LIMIT_NONE);
	assert_true(seen.sample.psi.some10 < 1);
	assert_int_equal(insp_record_each_event(r, &all, see_event, &seen, NULL), 0);
	insp_record_close(r);
}

/* Bytes changed all over the file: an error or odd values, and nothing worse. */
static void record__survives_damage(void **state)
{
	struct insp_record *r = open_as(INSP_RECORD_WRITE);
	static uint8_t bytes[1 << 17];
	struct stat st;
	uint32_t random = 1;
	size_t n;
	FILE *f;

	(void)state;
	for (uint64_t i = 1; i < 200; i++)
		add(r, i);
	insp_record_close(r);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(n, st.st_size);
	for (int round = 0; round < 300; round++) {
		struct seen seen = {0};
		uint8_t old[16];
		size_t at[16];

		for (int k = 0; k < 16; k++) {
			random = random * 1103515245 + 12345;
			at[k] = (random >> 4) % (k < 4 ? 4096 : n);
			old[k] = bytes[at[k]];
			bytes[at[k]] = (uint8_t)(random >> 24);
		}
		f = fopen(path, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(bytes, 1, n, f), n);
		fclose(f);
		if (!insp_record_open(path, INSP_RECORD_READ, &r, NULL)) {
			(void)!insp_record_each_run(r, see_run, &seen, NULL);
			(void)!insp_record_each_walk(r, &all, see_walk, &seen, NULL);
			(void)!insp_record_each_event(r, &all, see_event, &seen, NULL);
			insp_record_close(r);
		}
		for (int k = 15; k >= 0; k--)
			bytes[at[k]] = old[k];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(record__gives_back_what_it_got, clean),
		cmocka_unit_test_setup(record__survives_a_kill, clean),
		cmocka_unit_test_setup(record__can_be_read_while_it_is_written, clean),
		cmocka_unit_test_setup(record__refuses_what_is_none, clean),
		cmocka_unit_test_setup(record__reads_odd_values_as_unknown, clean),
		cmocka_unit_test_setup(record__survives_damage, clean),
	};

	return cmocka_run_group_tests_name("record", tests, setup, teardown);
}
