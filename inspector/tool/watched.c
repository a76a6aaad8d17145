/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/watched.h"

#include <math.h>
#include <string.h>

#include "base/fmt.h"

/* A slope over longer would hide what goes on now. */
#define GROWTH_WINDOW_S 600.0

static void forget_process(struct insp_watched *w)
{
	struct insp_leveler leveler = {
		.warn = w->options->warn,
		.crit = w->options->crit,
		.limit = w->options->limit,
		.used = INSP_UNKNOWN,
		.of = INSP_UNKNOWN,
	};

	w->leveler = leveler;
	w->walked = false;
	w->run = 0;
	w->since_ns = insp_now_ns();
	w->spent_ns = w->estimate_ns = 0;
	w->walk_due_ns = w->since_ns;
	memset(&w->sample, 0xff, sizeof(w->sample)); /* INSP_UNKNOWN */
	w->sample.limit_kind = INSP_LIMIT_NONE;
	w->sample.psi = (struct insp_psi){0};
	for (int i = 0; i < INSP_N_FIGURES; i++)
		insp_trace_clear(&w->traces[i]);
}

void insp_watched_init(struct insp_watched *w, const char *spec, const struct insp_watch_options *options)
{
	*w = (struct insp_watched){.options = options};
	insp_follow_init(&w->follow, spec);
	forget_process(w);
}

void insp_watched_deinit(struct insp_watched *w)
{
	insp_follow_deinit(&w->follow);
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	if (now == INSP_UNKNOWN || before == INSP_UNKNOWN || now < before || seconds <= 0)
		return NAN;
	return (double)(now - before) / seconds;
}

static void trace(struct insp_watched *w, const struct insp_sample *before)
{
	const struct insp_sample *s = &w->sample;
	double at = (double)s->mono_ns / 1e9, seconds = (double)(s->mono_ns - before->mono_ns) / 1e9;
	uint64_t used = insp_sample_used(s);
	double values[INSP_N_FIGURES] = {
		[INSP_FIGURE_RSS] = insp_known(s->rss),
		[INSP_FIGURE_PSS] = insp_known(s->pss),
		[INSP_FIGURE_IN_USE] = w->walked ? insp_known(w->walk.in_use) : NAN,
		[INSP_FIGURE_FREE] = w->walked ? insp_known(w->walk.free) : NAN,
		[INSP_FIGURE_THREADS] = insp_known(s->threads),
		[INSP_FIGURE_MINOR] = rate(s->minor_faults, before->minor_faults, seconds),
		[INSP_FIGURE_MAJOR] = rate(s->major_faults, before->major_faults, seconds),
		[INSP_FIGURE_USED] = insp_known(used) * 100 / insp_known(s->limit),
		[INSP_FIGURE_PSI] = s->psi.scope ? s->psi.some10 : NAN,
	};

	if (w->leveler.of != INSP_UNKNOWN && w->leveler.of)
		values[INSP_FIGURE_USED] = insp_known(w->leveler.used) * 100 / (double)w->leveler.of;
	for (int i = 0; i < INSP_N_FIGURES; i++)
		insp_trace_add(&w->traces[i], at, values[i]);
}

/* ---- walks and what they may cost */

uint64_t insp_watched_next_walk(const struct insp_watched *w, bool *ret_put_off)
{
	uint64_t afford;

	*ret_put_off = false;
	if (!w->options->walk_every_ns)
		return 0;
	if (w->options->pause_share <= 0)
		return 0;
	afford = w->since_ns +
		 (uint64_t)((double)(w->spent_ns + w->estimate_ns) / w->options->pause_share);
	*ret_put_off = afford > w->walk_due_ns;
	return *ret_put_off ? afford : w->walk_due_ns;
}

void insp_watched_paused(struct insp_watched *w, uint64_t stopped_ns)
{
	w->spent_ns += stopped_ns;
}

static unsigned walk_failed(struct insp_watched *w, const struct insp_error *err)
{
	bool same = strcmp(w->walk_error.msg, err->msg) == 0;

	w->walk_error = *err;
	return same ? 0 : INSP_NEWS_WALK_FAILED;
}

/* The estimate is made anew when the process has grown a lot. */
static int estimate(struct insp_watched *w, struct insp_error *err)
{
	uint64_t rss = w->sample.rss;
	int rc;

	if (w->estimate_ns && (rss == INSP_UNKNOWN || rss < w->estimate_rss + w->estimate_rss / 2))
		return 0;
	rc = insp_walkstat_estimate(w->follow.pid, &w->estimate_ns, err);
	if (rc)
		return rc;
	w->estimate_ns += !w->estimate_ns;
	w->estimate_rss = rss;
	return 0;
}

static unsigned walk(struct insp_watched *w)
{
	struct insp_error err = {0};
	uint64_t next, now = insp_now_ns();
	bool put_off;
	int rc;

	if (!w->options->walk_every_ns || w->options->pause_share <= 0 || now < w->walk_due_ns)
		return 0;
	rc = estimate(w, &err);
	if (!rc) {
		next = insp_watched_next_walk(w, &put_off);
		if (now < next)
			return 0;
		rc = insp_walkstat_take(w->follow.pid, w->options->leaks, w->options->max_pause_ns, &w->walk, &err);
	}
	w->walk_due_ns = now + w->options->walk_every_ns;
	if (rc)
		return walk_failed(w, &err);
	w->walked = true;
	w->walk_error = (struct insp_error){0};
	w->spent_ns += w->walk.stopped_ns;
	if (w->walk.stopped_ns > w->estimate_ns)
		w->estimate_ns = w->walk.stopped_ns;
	insp_leveler_walk(&w->leveler, &w->walk);
	return INSP_NEWS_WALK;
}

/* ---- a step */

static unsigned gone(struct insp_watched *w, const struct insp_error *err)
{
	bool before = w->here || !w->absent.code;
	bool other = strcmp(w->absent.msg, err->msg) != 0;

	w->here = false;
	w->absent = *err;
	w->level_before = w->level = INSP_LEVEL_OK;
	return before || other ? INSP_NEWS_GONE : 0;
}

unsigned insp_watched_step(struct insp_watched *w)
{
	struct insp_sample sample, before = w->sample;
	unsigned generation = w->follow.generation, news = INSP_NEWS_SAMPLE;
	struct insp_error err = {0};

	if (insp_follow_read(&w->follow, &sample, &err))
		return gone(w, &err);
	if (w->follow.generation != generation) {
		forget_process(w);
		before = w->sample;
		w->level = INSP_LEVEL_OK;
		news |= INSP_NEWS_STARTED;
	}
	w->here = true;
	w->absent = (struct insp_error){0};
	w->sample = sample;
	w->level_before = w->level;
	insp_leveler_sample(&w->leveler, &w->sample);
	news |= walk(w);
	trace(w, &before);
	w->level = w->leveler.level;
	return news | (w->level != w->level_before ? INSP_NEWS_LEVEL : 0);
}

double insp_watched_growth(const struct insp_watched *w, enum insp_figure figure)
{
	return insp_trace_slope(&w->traces[figure], GROWTH_WINDOW_S) * 60;
}

/* ---- as a row */

static const struct insp_column columns[] = {
	{"time_ns", "time", INSP_T_TIME, 0, "when"},
	{"target", "target", INSP_T_STR, 0, "as it was named"},
	{"pid", "pid", INSP_T_ID, 0, "of the process at that time; null: there is none"},
	{"comm", "name", INSP_T_STR, 0, "name of the process"},
	{"level", "level", INSP_T_STR, 0, "ok, warn, crit or panic"},
	{"used", "used", INSP_T_BYTES, 0, "what counts against the limit: the cgroup's use without inactive file cache, "
					  "the address space, or RSS"},
	{"limit", "limit", INSP_T_BYTES, 0, "the smallest of cgroup, RLIMIT_AS and the machine's memory"},
	{"limit_kind", "of", INSP_T_STR, 0, "cgroup, address_space or machine"},
	{"rss", "rss", INSP_T_BYTES, 0, "resident set"},
	{"rss_per_minute", "growth", INSP_T_DELTA, 0, "slope of RSS over the last ten minutes at most, bytes a minute"},
	{"pss", "pss", INSP_T_BYTES, 0, "proportional set: shared pages by shares"},
	{"swap", "swap", INSP_T_BYTES, 0, "swapped out"},
	{"vsize", "vsize", INSP_T_BYTES, 0, "address space"},
	{"hwm", "peak", INSP_T_BYTES, 0, "highest RSS since its start"},
	{"threads", "threads", INSP_T_COUNT, 0, "threads"},
	{"minor_faults", "minor", INSP_T_COUNT, 0, "page faults without a disk, since its start"},
	{"major_faults", "major", INSP_T_COUNT, 0, "page faults that read from a disk, since its start"},
	{"cpu_ns", "cpu", INSP_T_DURATION, 0, "time on a CPU since its start"},
	{"open_fds", "fds", INSP_T_COUNT, 0, "open descriptors"},
	{"cgroup_used", "cgroup", INSP_T_BYTES, 0, "memory of its cgroup without inactive file cache"},
	{"psi_some", "psi", INSP_T_RATIO, 0, "share of the last 10 s in which some task waited for memory"},
	{"psi_full", "psi full", INSP_T_RATIO, 0, "share of the last 10 s in which all tasks waited for memory"},
	{"walk_at_ns", "walk", INSP_T_TIME, 0, "when the last walk was; null: none of this process yet"},
	{"in_use", "in use", INSP_T_BYTES, 0, "of the heaps, by the last walk: chunks that belong to the program"},
	{"free", "free", INSP_T_BYTES, 0, "free chunks that malloc keeps"},
	{"sys", "heaps", INSP_T_BYTES, 0, "all bytes of the heaps"},
	{"mmapped", "mmapped", INSP_T_BYTES, 0, "of those in use: in mappings of their own"},
	{"objects", "objects", INSP_T_COUNT, 0, "chunks in use"},
	{"releasable", "releasable", INSP_T_BYTES, 0, "malloc_trim would give it back"},
	{"leaked", "leaked", INSP_T_BYTES, 0, "lost, with --leaks"},
	{"stopped_ns", "pause", INSP_T_DURATION, 0, "how long the last walk stopped the process"},
};

const struct insp_table insp_watched_table = INSP_TABLE("watch", NULL, columns, NULL);

static struct insp_value u64(uint64_t v)
{
	if (v == INSP_UNKNOWN)
		return (struct insp_value){.kind = INSP_V_UNKNOWN};
	return (struct insp_value){.kind = INSP_V_U64, .u64 = v};
}

static struct insp_value str(const char *s)
{
	if (!s)
		return (struct insp_value){.kind = INSP_V_UNKNOWN};
	return (struct insp_value){.kind = INSP_V_STR, .str = s};
}

static struct insp_value f64(double v)
{
	if (!isfinite(v))
		return (struct insp_value){.kind = INSP_V_UNKNOWN};
	return (struct insp_value){.kind = INSP_V_F64, .f64 = v};
}

size_t insp_watched_row(const struct insp_watched *w, struct insp_value *ret)
{
	const struct insp_sample *s = &w->sample;
	const struct insp_walkstat none = {
		INSP_UNKNOWN, INSP_UNKNOWN, INSP_UNKNOWN, INSP_UNKNOWN, INSP_UNKNOWN,
		INSP_UNKNOWN, INSP_UNKNOWN, INSP_UNKNOWN, INSP_UNKNOWN, false,
	};
	const struct insp_walkstat *k = w->walked ? &w->walk : &none;
	double growth = insp_watched_growth(w, INSP_FIGURE_RSS);
	struct insp_value unknown = {.kind = INSP_V_UNKNOWN};
	struct insp_value slope = {.kind = INSP_V_I64, .i64 = isfinite(growth) ? (int64_t)growth : 0};
	bool psi = s->psi.scope != INSP_PSI_NONE;
	const struct insp_value row[] = {
		u64(w->here ? s->at_ns : insp_wallclock_ns()), str(w->follow.spec),
		w->here ? u64((uint64_t)w->follow.pid) : unknown,
		str(w->here && w->follow.gauge ? insp_gauge_comm(w->follow.gauge) : NULL), str(insp_level_key(w->level)),
		u64(w->leveler.used), u64(w->leveler.of), str(w->here ? insp_limit_kind_key(s->limit_kind) : NULL),
		u64(s->rss), isfinite(growth) ? slope : unknown, u64(s->pss), u64(s->swap), u64(s->vsize),
		u64(s->hwm), u64(s->threads), u64(s->minor_faults), u64(s->major_faults), u64(s->cpu_ns),
		u64(s->open_fds), u64(s->cgroup_used), f64(psi ? s->psi.some10 / 100 : NAN),
		f64(psi ? s->psi.full10 / 100 : NAN), u64(k->at_ns), u64(k->in_use), u64(k->free), u64(k->sys),
		u64(k->mmapped), u64(k->objects), u64(k->releasable), u64(k->leaked), u64(k->stopped_ns),
	};
	size_t n = sizeof(row) / sizeof(row[0]);

	_Static_assert(sizeof(row) / sizeof(row[0]) == sizeof(columns) / sizeof(columns[0]), "a value a column");
	_Static_assert(sizeof(columns) / sizeof(columns[0]) <= INSP_WATCHED_COLUMNS_MAX, "fits");
	memcpy(ret, row, sizeof(row));
	return n;
}
