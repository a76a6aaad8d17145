/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/archive.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "record/record.h"
#include "snapshot/file.h"
#include "tool/phase.h"
#include "watch/walkstat.h"

#define FILES_MAX 20000

/* Of a snapshot file all that is needed later. */
struct still {
	const char *name;
	uint64_t at_ns, rss, identity;
	struct insp_walkstat walk;
};

struct reading {
	struct insp_archive *archive;
	const char *only; /* NULL: all */
	INSP_VEC(struct still) stills;
	INSP_VEC(char *) recordings; /* paths */
	/* the recording at hand */
	INSP_VEC(struct run_name) runs;
	struct insp_error *err;
};

struct run_name {
	int64_t id;
	uint64_t identity;
	struct insp_archive_process *process; /* NULL: not wanted */
};

static int nomem(struct insp_error *err)
{
	return insp_fail(err, INSP_E_NOMEM, "out of memory");
}

/* ---- processes and weeks */

static int find_process(struct reading *r, const char *name, struct insp_archive_process **ret)
{
	struct insp_archive *a = r->archive;
	struct insp_archive_process *p;

	*ret = NULL;
	if (r->only && strcmp(name, r->only) != 0)
		return 0;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->processes[i].name, name) == 0) {
			*ret = &a->processes[i];
			return 0;
		}
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 8;

		p = realloc(a->processes, cap * sizeof(*p));
		if (!p)
			return nomem(r->err);
		a->processes = p;
		a->cap = cap;
	}
	p = &a->processes[a->n];
	memset(p, 0, sizeof(*p));
	p->name = insp_pool_strdup(a->pool, name);
	if (!p->name)
		return nomem(r->err);
	a->n++;
	*ret = p;
	return 0;
}

static void week_name(uint64_t at_ns, char *ret, size_t size_bytes)
{
	time_t at = (time_t)(at_ns / 1000000000);
	struct tm tm;

	ret[0] = '\0';
	if (localtime_r(&at, &tm))
		(void)strftime(ret, size_bytes, "%G-W%V", &tm);
}

static struct insp_archive_week *find_week(struct insp_archive_process *p, uint64_t at_ns)
{
	struct insp_archive_week *w;
	char name[16];

	week_name(at_ns, name, sizeof(name));
	for (size_t i = p->nweeks; i > 0; i--)
		if (strcmp(p->weeks[i - 1].name, name) == 0)
			return &p->weeks[i - 1];
	if (p->nweeks == p->weeks_cap) {
		size_t cap = p->weeks_cap ? p->weeks_cap * 2 : 8;

		w = realloc(p->weeks, cap * sizeof(*w));
		if (!w)
			return NULL;
		p->weeks = w;
		p->weeks_cap = cap;
	}
	w = &p->weeks[p->nweeks++];
	memset(w, 0, sizeof(*w));
	memcpy(w->name, name, sizeof(name));
	w->first_ns = at_ns;
	return w;
}

static int keep(struct insp_u64s *all, uint64_t v, struct insp_error *err)
{
	uint64_t *slot;

	if (v == INSP_UNKNOWN)
		return 0;
	slot = insp_vec_push(all);
	if (!slot)
		return nomem(err);
	*slot = v;
	return 0;
}

/* Few processes a week, and the same one again and again. */
static int keep_identity(struct insp_archive_week *w, uint64_t identity, struct insp_error *err)
{
	for (size_t i = w->identities.n; i > 0; i--)
		if (w->identities.items[i - 1] == identity)
			return 0;
	return keep(&w->identities, identity, err);
}

static struct insp_archive_point *point_of(const struct insp_archive *a,
					   struct insp_archive_process *p, uint64_t at_ns)
{
	double share = (double)(at_ns - a->from_ns) / (double)(a->to_ns - a->from_ns + 1);
	size_t at = (size_t)(share * INSP_ARCHIVE_POINTS);
	struct insp_archive_point *point =
		&p->points[at < INSP_ARCHIVE_POINTS ? at : INSP_ARCHIVE_POINTS - 1];

	if (!point->at_ns)
		*point = (struct insp_archive_point){at_ns, INSP_UNKNOWN, INSP_UNKNOWN,
						     INSP_UNKNOWN, INSP_UNKNOWN};
	return point;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a == INSP_UNKNOWN ? b : b == INSP_UNKNOWN || a > b ? a : b;
}

static int add_rss(struct reading *r, struct insp_archive_process *p, uint64_t identity,
		   uint64_t at_ns, uint64_t rss, struct insp_archive_week **ret)
{
	struct insp_archive_week *w = find_week(p, at_ns);
	struct insp_archive_point *point = point_of(r->archive, p, at_ns);
	int rc;

	if (!w)
		return nomem(r->err);
	if (at_ns < w->first_ns)
		w->first_ns = at_ns;
	rc = keep(&w->rss_all, rss, r->err);
	if (!rc)
		rc = keep_identity(w, identity, r->err);
	point->rss = higher(point->rss, rss);
	*ret = w;
	return rc;
}

static int add_walk(struct reading *r, struct insp_archive_process *p,
		    const struct insp_walkstat *walk)
{
	struct insp_archive_week *w = find_week(p, walk->at_ns);
	struct insp_archive_point *point = point_of(r->archive, p, walk->at_ns);
	int rc;

	if (!w)
		return nomem(r->err);
	rc = keep(&w->in_use_all, walk->in_use, r->err);
	if (!rc)
		rc = keep(&w->free_all, walk->free, r->err);
	w->walks++;
	point->in_use = walk->in_use;
	point->free = walk->free;
	return rc;
}

/* ---- recordings */

static uint64_t identity_of(int pid, uint64_t started_at_ns)
{
	/* Starts are known to some milliseconds only. */
	return (uint64_t)pid << 40 ^ started_at_ns / UINT64_C(10000000000);
}

static int on_run(void *ctx, const struct insp_record_run *run)
{
	struct reading *r = ctx;
	struct run_name *slot = insp_vec_push(&r->runs);

	if (!slot)
		return nomem(r->err);
	slot->id = run->id;
	slot->identity = identity_of(run->pid, run->started_at_ns);
	return find_process(r, run->comm ? run->comm : run->spec ? run->spec : "?", &slot->process);
}

static const struct run_name *run_of(const struct reading *r, int64_t id)
{
	for (size_t i = r->runs.n; i > 0; i--)
		if (r->runs.items[i - 1].id == id)
			return &r->runs.items[i - 1];
	return NULL;
}

static int on_sample(void *ctx, int64_t run, const struct insp_sample *s, enum insp_level level)
{
	struct reading *r = ctx;
	const struct run_name *name = run_of(r, run);
	struct insp_archive_point *point;
	struct insp_archive_week *w;
	int rc;

	if (!name || !name->process)
		return 0;
	rc = add_rss(r, name->process, name->identity, s->at_ns, s->rss, &w);
	if (rc)
		return rc;
	w->samples++;
	w->bad += level >= INSP_LEVEL_WARN;
	w->peak_rss = s->rss != INSP_UNKNOWN && s->rss > w->peak_rss ? s->rss : w->peak_rss;
	/* That of the machine is far away, and hides everything else. */
	point = point_of(r->archive, name->process, s->at_ns);
	if (s->limit_kind == INSP_LIMIT_CGROUP || s->limit_kind == INSP_LIMIT_ADDRESS)
		point->limit = higher(point->limit, s->limit);
	return 0;
}

static int on_walk(void *ctx, int64_t run, const struct insp_walkstat *walk)
{
	struct reading *r = ctx;
	const struct run_name *name = run_of(r, run);

	return name && name->process ? add_walk(r, name->process, walk) : 0;
}

/* The processes first: pointers to them die when there are more. */
static int read_names(struct reading *r, struct insp_record *record, struct insp_error *err)
{
	int rc = insp_record_each_run(record, on_run, r, err);

	r->runs.n = 0;
	return rc ? rc : insp_record_each_run(record, on_run, r, err);
}

static int read_recording(struct reading *r, const char *path, struct insp_error *err)
{
	const struct insp_record_range all = {.to_ns = UINT64_MAX};
	struct insp_record *record;
	int rc = insp_record_open(path, INSP_RECORD_READ, &record, err);

	if (rc)
		return rc;
	r->runs.n = 0;
	rc = read_names(r, record, err);
	if (!rc)
		rc = insp_record_each_sample(record, &all, on_sample, r, err);
	if (!rc)
		rc = insp_record_each_walk(record, &all, on_walk, r, err);
	insp_record_close(record);
	return rc;
}

/* ---- files */

static void widen(struct insp_archive *a, uint64_t from_ns, uint64_t to_ns)
{
	if (!from_ns)
		return;
	a->from_ns = !a->from_ns || from_ns < a->from_ns ? from_ns : a->from_ns;
	a->to_ns = to_ns > a->to_ns ? to_ns : a->to_ns;
}

static int read_snapshot(struct reading *r, const char *path, struct insp_error *err)
{
	struct insp_walkstat walk;
	struct insp_snapshot *s;
	struct still *still;
	int rc = insp_snapshot_load(path, &s, err);

	if (rc)
		return rc;
	rc = insp_walkstat_make(s, false, &walk, err);
	still = rc ? NULL : insp_vec_push(&r->stills);
	if (!rc && !still)
		rc = nomem(err);
	if (!rc) {
		still->name = insp_pool_strdup(r->archive->pool, s->comm ? s->comm : "?");
		still->at_ns = s->taken_at_ns;
		still->rss = s->has & INSP_NEED_USAGE ? s->usage.vm_rss : INSP_UNKNOWN;
		still->identity = identity_of(s->pid, s->started_at_ns);
		still->walk = walk;
		widen(r->archive, still->at_ns, still->at_ns);
		if (!still->name)
			rc = nomem(err);
	}
	insp_snapshot_destroy(s);
	return rc;
}

static int note_recording(struct reading *r, const char *path, struct insp_error *err)
{
	struct insp_record *record;
	uint64_t first, last;
	char **slot;
	int rc = insp_record_open(path, INSP_RECORD_READ, &record, err);

	if (rc)
		return rc;
	rc = insp_record_span(record, &first, &last, err);
	insp_record_close(record);
	if (rc)
		return rc;
	widen(r->archive, first, last);
	slot = insp_vec_push(&r->recordings);
	if (!slot)
		return nomem(err);
	*slot = insp_pool_strdup(r->archive->pool, path);
	return *slot ? 0 : nomem(err);
}

/* One that cannot be read does not spoil the report. */
static int leave_out(struct insp_archive *a, const struct insp_error *why, struct insp_error *err)
{
	char **slot;

	if (why->code == INSP_E_NOMEM || why->code == INSP_E_INTERRUPTED) {
		*err = *why;
		return why->code;
	}
	slot = insp_vec_push(&a->left_out);
	if (!slot)
		return nomem(err);
	*slot = insp_pool_strdup(a->pool, why->msg);
	return *slot ? 0 : nomem(err);
}

static int look_at(struct reading *r, const char *folder, const char *name, struct insp_error *err)
{
	struct insp_error why = {0};
	struct insp_str path = {0};
	int rc = 0;

	insp_str_addf(&path, "%s/%s", folder, name);
	if (!insp_str_ok(&path)) {
		rc = nomem(err);
	} else if (insp_record_is_file(insp_str_text(&path))) {
		rc = note_recording(r, insp_str_text(&path), &why);
		r->archive->recordings += !rc;
	} else if (insp_snapshot_is_file(insp_str_text(&path))) {
		rc = read_snapshot(r, insp_str_text(&path), &why);
		r->archive->snapshots += !rc;
	}
	insp_str_deinit(&path);
	return rc && why.code ? leave_out(r->archive, &why, err) : rc;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In order of names, so that two reports of the same folder are the same. */
static int read_folder(struct reading *r, const char *folder, struct insp_error *err)
{
	INSP_VEC(const char *) names = {0};
	DIR *dir = opendir(folder);
	struct dirent *d;
	int rc = 0;

	if (!dir)
		return insp_fail_errno(err, INSP_E_IO, errno, "folder '%s'", folder);
	while (!rc && (d = readdir(dir)) && names.n < FILES_MAX) {
		const char **slot = d->d_name[0] == '.' ? NULL : insp_vec_push(&names);

		if (d->d_name[0] == '.')
			continue;
		if (slot)
			*slot = insp_pool_strdup(r->archive->pool, d->d_name);
		if (!slot || !*slot)
			rc = nomem(err);
	}
	(void)closedir(dir);
	if (names.n)
		qsort(names.items, names.n, sizeof(*names.items), by_text);
	for (size_t i = 0; i < names.n && !rc; i++) {
		insp_progress("reading the archive", i, names.n);
		rc = insp_interrupted() ? insp_fail(err, INSP_E_INTERRUPTED, "interrupted")
					: look_at(r, folder, names.items[i], err);
	}
	insp_vec_free(&names);
	return rc;
}

static int add_stills(struct reading *r, struct insp_error *err)
{
	int rc = 0;

	(void)err;
	insp_vec_each (&r->stills, s) {
		struct insp_archive_process *p;
		struct insp_archive_week *w;

		rc = find_process(r, s->name, &p);
		if (!rc && p) {
			rc = add_rss(r, p, s->identity, s->at_ns, s->rss, &w);
			w->snapshots += !rc;
		}
		if (!rc && p)
			rc = add_walk(r, p, &s->walk);
		if (rc)
			break;
	}
	return rc;
}

static int week_order(const void *a, const void *b)
{
	return strcmp(((const struct insp_archive_week *)a)->name,
		      ((const struct insp_archive_week *)b)->name);
}

static int process_order(const void *a, const void *b)
{
	return strcmp(((const struct insp_archive_process *)a)->name,
		      ((const struct insp_archive_process *)b)->name);
}

static void sum_up(struct insp_archive *a)
{
	if (a->n)
		qsort(a->processes, a->n, sizeof(*a->processes), process_order);
	for (size_t i = 0; i < a->n; i++) {
		struct insp_archive_process *p = &a->processes[i];

		for (size_t k = 0; k < p->nweeks; k++) {
			struct insp_archive_week *w = &p->weeks[k];

			w->rss = insp_median(w->rss_all.items, w->rss_all.n);
			w->in_use = insp_median(w->in_use_all.items, w->in_use_all.n);
			w->free = insp_median(w->free_all.items, w->free_all.n);
			for (size_t s = 0; s < w->rss_all.n; s++)
				w->peak_rss = w->rss_all.items[s] > w->peak_rss
						      ? w->rss_all.items[s]
						      : w->peak_rss;
			w->peak_rss = w->rss_all.n ? w->peak_rss : INSP_UNKNOWN;
			w->processes = w->identities.n;
		}
		if (p->nweeks)
			qsort(p->weeks, p->nweeks, sizeof(*p->weeks), week_order);
	}
}

int insp_archive_read(const char *folder, const char *name, struct insp_pool *pool,
		      struct insp_archive *ret, struct insp_error *err)
{
	struct reading r = {.archive = ret, .only = name, .err = err};
	int rc;

	*ret = (struct insp_archive){.pool = pool};
	rc = read_folder(&r, folder, err);
	if (!rc)
		rc = add_stills(&r, err);
	for (size_t i = 0; i < r.recordings.n && !rc; i++) {
		struct insp_error why = {0};

		r.err = &why;
		rc = read_recording(&r, r.recordings.items[i], &why);
		if (rc)
			rc = leave_out(ret, &why, err);
	}
	if (!rc)
		sum_up(ret);
	insp_vec_free(&r.stills);
	insp_vec_free(&r.recordings);
	insp_vec_free(&r.runs);
	return rc;
}

void insp_archive_deinit(struct insp_archive *a)
{
	for (size_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < a->processes[i].nweeks; k++) {
			insp_vec_free(&a->processes[i].weeks[k].rss_all);
			insp_vec_free(&a->processes[i].weeks[k].in_use_all);
			insp_vec_free(&a->processes[i].weeks[k].free_all);
			insp_vec_free(&a->processes[i].weeks[k].identities);
		}
		free(a->processes[i].weeks);
	}
	free(a->processes);
	insp_vec_free(&a->left_out);
	*a = (struct insp_archive){0};
}
