/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/phase.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "watch/trace.h"

#define RUNS_MAX 4096

struct point {
	uint64_t at_ns, a, b; /* RSS and VmHWM; in use and free */
	int64_t run;
};

struct building {
	const char *target; /* NULL: not chosen */
	const char *only;   /* the one there is, in pool */
	bool several;
	struct insp_pool *pool;
	int64_t runs[RUNS_MAX]; /* of the target */
	size_t nruns;
	INSP_VEC(struct point) samples;
	INSP_VEC(struct point) walks;
	struct insp_error *err;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t insp_median(uint64_t *values, size_t n)
{
	if (!n)
		return INSP_UNKNOWN;
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : values[n / 2 - 1] / 2 + values[n / 2] / 2;
}

static int on_run(void *ctx, const struct insp_record_run *run)
{
	struct building *b = ctx;
	const char *spec = run->spec ? run->spec : "?";

	if (b->target && strcmp(spec, b->target) != 0)
		return 0;
	if (b->only && strcmp(b->only, spec) != 0)
		b->several = true;
	if (!b->only)
		b->only = insp_pool_strdup(b->pool, spec);
	if (b->nruns < RUNS_MAX)
		b->runs[b->nruns++] = run->id;
	return b->only ? 0 : insp_fail(b->err, INSP_E_NOMEM, "out of memory");
}

static bool ours(const struct building *b, int64_t run)
{
	for (size_t i = b->nruns; i > 0; i--)
		if (b->runs[i - 1] == run)
			return true;
	return false;
}

static int on_sample(void *ctx, int64_t run, const struct insp_sample *s, enum insp_level level)
{
	struct building *b = ctx;
	struct point *p;

	(void)level;
	if (s->rss == INSP_UNKNOWN || !ours(b, run))
		return 0;
	p = insp_vec_push(&b->samples);
	if (!p)
		return insp_fail(b->err, INSP_E_NOMEM, "out of memory");
	*p = (struct point){s->at_ns, s->rss, s->hwm, run};
	return 0;
}

static int on_walk(void *ctx, int64_t run, const struct insp_walkstat *w)
{
	struct building *b = ctx;
	struct point *p;

	if (!ours(b, run) || w->in_use == INSP_UNKNOWN)
		return 0;
	p = insp_vec_push(&b->walks);
	if (!p)
		return insp_fail(b->err, INSP_E_NOMEM, "out of memory");
	*p = (struct point){w->at_ns, w->in_use, w->free, run};
	return 0;
}

/* VmHWM counts where it rose within the phase: before that it is an older peak. */
static uint64_t peak(const struct point *samples, size_t n)
{
	uint64_t most = 0, hwm = INSP_UNKNOWN;
	int64_t run = 0;

	for (size_t i = 0; i < n; i++) {
		const struct point *p = &samples[i];

		if (p->run != run)
			hwm = p->b;
		run = p->run;
		most = p->a > most ? p->a : most;
		if (p->b != INSP_UNKNOWN && hwm != INSP_UNKNOWN && p->b > hwm)
			most = p->b > most ? p->b : most;
	}
	return most;
}

/* Of the points from since_ns on; of the last one when there is none. */
static uint64_t steady(const struct point *points, size_t n, uint64_t since_ns, bool second,
		       struct insp_pool *pool)
{
	uint64_t *values = insp_pool_array(pool, n + 1, sizeof(*values));
	size_t k = 0;

	for (size_t i = 0; values && i < n; i++) {
		uint64_t v = second ? points[i].b : points[i].a;

		if (v != INSP_UNKNOWN && (points[i].at_ns >= since_ns || i + 1 == n))
			values[k++] = v;
	}
	return values ? insp_median(values, k) : INSP_UNKNOWN;
}

static double slope_since(const struct point *samples, size_t n, uint64_t since_ns,
			  struct insp_pool *pool)
{
	double *x = insp_pool_array(pool, n + 1, sizeof(*x)),
	       *y = insp_pool_array(pool, n + 1, sizeof(*y));
	size_t k = 0;

	for (size_t i = 0; x && y && i < n; i++)
		if (samples[i].at_ns >= since_ns) {
			x[k] = (double)(samples[i].at_ns - since_ns) / 6e10;
			y[k++] = (double)samples[i].a;
		}
	return x && y ? insp_slope(x, y, k) : (double)NAN;
}

static size_t count_runs(const struct building *b)
{
	int64_t run = 0;
	size_t n = 0;

	for (size_t i = 0; i < b->samples.n; i++) {
		n += b->samples.items[i].run != run;
		run = b->samples.items[i].run;
	}
	return n;
}

static void sum_up(const struct building *b, struct insp_pool *pool, struct insp_phase *ret)
{
	struct insp_phase p = {.samples = b->samples.n,
			       .walks = b->walks.n,
			       .drop = NAN,
			       .per_minute = NAN};
	uint64_t quarter;

	p.peak_rss = p.steady_rss = p.steady_in_use = p.retained_free = INSP_UNKNOWN;
	if (b->samples.n) {
		const struct point *samples = b->samples.items;
		size_t n = b->samples.n;

		p.from_ns = samples[0].at_ns;
		p.to_ns = samples[n - 1].at_ns;
		p.runs = count_runs(b);
		quarter = p.to_ns - (p.to_ns - p.from_ns) / 4;
		p.peak_rss = peak(samples, n);
		p.steady_rss = steady(samples, n, quarter, false, pool);
		p.steady_in_use = steady(b->walks.items, b->walks.n, quarter, false, pool);
		p.retained_free = steady(b->walks.items, b->walks.n, quarter, true, pool);
		p.drop = p.peak_rss ? 1 - (double)p.steady_rss / (double)p.peak_rss : (double)NAN;
		p.per_minute = slope_since(samples, n, quarter, pool);
	}
	*ret = p;
}

int insp_phase_make(struct insp_record *record, const char *target, uint64_t from_ns,
		    uint64_t to_ns, struct insp_pool *pool, struct insp_phase *ret,
		    struct insp_error *err)
{
	const struct insp_record_range range = {.from_ns = from_ns, .to_ns = to_ns};
	struct building *b = insp_pool_alloc(pool, sizeof(*b));
	int rc;

	if (!b)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	b->target = target;
	b->pool = pool;
	b->err = err;
	rc = insp_record_each_run(record, on_run, b, err);
	if (!rc && b->several)
		rc = insp_fail(
			err, INSP_E_USAGE,
			"there are several processes in it: choose one with --target, like %s",
			b->only);
	if (!rc)
		rc = insp_record_each_sample(record, &range, on_sample, b, err);
	if (!rc)
		rc = insp_record_each_walk(record, &range, on_walk, b, err);
	if (!rc)
		sum_up(b, pool, ret);
	insp_vec_free(&b->samples);
	insp_vec_free(&b->walks);
	return rc;
}
