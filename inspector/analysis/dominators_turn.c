/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominators, step 2: the edges that come from a larger number, turned around. Of the others the walk
 * has kept all that counts.
 *
 * Three passes over the edges, in the order in which they lie, each on two threads that never write to
 * the same place: first each takes half of the edges, turns ids into numbers and moves those that
 * count to the front, in place; then each takes a range of targets and counts; then it fills their
 * rows. The graph's edges are used up by that.
 */
#include <pthread.h>
#include <stdlib.h>

#include "analysis/dominators_priv.h"
#include "base/big.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/worker.h"

#define AHEAD 32
#define CUTS  1024 /* pieces of the range of numbers, of which each thread gets some */

struct worker {
	struct insp_dominators_builder *b;
	uint32_t from, to;   /* ids whose edges it makes to numbers */
	uint32_t begin, end; /* of these edges; afterwards of those that count */
	size_t counts[CUTS];
	uint32_t low, high; /* targets, [low, high) */
	const struct worker *all;
	unsigned nall;
	bool shows_progress, interrupted;
};

static unsigned cut_of(const struct insp_dominators_builder *b, uint32_t number)
{
	return (unsigned)((uint64_t)number * CUTS / b->cap);
}

/* Looks for Ctrl-C now and then. step is 0 to 2, done and whole ids. */
static bool stop_here(struct worker *w, unsigned step, uint32_t done, uint32_t whole)
{
	if (done & INSP_DOMINATORS_STEPS)
		return false;
	if (w->shows_progress)
		insp_progress("turning pointers around", (uint64_t)step * whole + done, UINT64_C(3) * whole);
	w->interrupted = insp_interrupted();
	return w->interrupted;
}

/* Where the edges of an id end. What lies at the border is the other worker's to write. */
static inline uint32_t row_end(const struct worker *w, const uint32_t *first, uint32_t id)
{
	return id + 1 < w->to ? first[id + 1] : w->end;
}

static void *translate(void *arg)
{
	struct worker *w = arg;
	const struct insp_dominators_builder *b = w->b;
	const uint32_t *number_of = b->d->number_of;
	uint32_t *first = b->graph->first, *edges = b->graph->edges;
	uint32_t out = w->begin, e = out, last = w->end;

	for (uint32_t id = w->from; id < w->to; id++) {
		uint32_t v = number_of[id], end = row_end(w, first, id);
		uint32_t least = v > b->d->nreachable ? b->d->nreachable : 0; /* see dominators.h */

		if (stop_here(w, 0, id - w->from, w->to - w->from))
			return NULL;
		if (id > w->from)
			first[id] = out;
		for (; e < end; e++) {
			uint32_t number;

			if (e + AHEAD < last)
				insp_fetch(&number_of[INSP_EDGE_TARGET(edges[e + AHEAD])]);
			number = number_of[INSP_EDGE_TARGET(edges[e])];
			edges[out] = number;
			out += number < v && number > least;
		}
		if ((id & 15) == 0)
			for (uint32_t i = id > w->from ? first[id] : w->begin; i < out; i++)
				w->counts[cut_of(b, edges[i])]++;
	}
	w->end = out;
	return NULL;
}

static void *count(void *arg)
{
	struct worker *w = arg;
	const uint32_t *edges = w->b->graph->edges;
	uint32_t *rows = w->b->rows;

	for (unsigned i = 0; i < w->nall; i++) {
		const struct worker *part = &w->all[i];

		for (uint32_t e = part->begin; e < part->end; e++) {
			if (stop_here(w, 1, e, part->end))
				return NULL;
			if (edges[e] - w->low < w->high - w->low)
				rows[edges[e]]++;
		}
	}
	return NULL;
}

static void *fill(void *arg)
{
	struct worker *w = arg;
	const uint32_t *edges = w->b->graph->edges, *first = w->b->graph->first;
	const uint32_t *number_of = w->b->d->number_of;
	uint32_t *rows = w->b->rows, *sources = w->b->sources;

	for (unsigned i = 0; i < w->nall; i++) {
		const struct worker *part = &w->all[i];

		for (uint32_t id = part->from; id < part->to; id++) {
			uint32_t end = row_end(part, first, id);

			if (stop_here(w, 2, id, part->to))
				return NULL;
			for (uint32_t e = id > part->from ? first[id] : part->begin; e < end; e++)
				if (edges[e] - w->low < w->high - w->low)
					sources[--rows[edges[e]]] = number_of[id];
		}
	}
	return NULL;
}

/* The same on both workers at once. */
static int run(struct worker *workers, unsigned n, void *(*fn)(void *ctx))
{
	pthread_t thread;
	bool threaded = n > 1 && insp_worker_start(&thread, fn, &workers[1]) == 0;

	(void)fn(&workers[0]);
	if (threaded)
		pthread_join(thread, NULL);
	else if (n > 1)
		(void)fn(&workers[1]);
	return workers[0].interrupted || workers[1].interrupted ? INSP_E_INTERRUPTED : 0;
}

/* The id that parts the edges into halves. */
static uint32_t middle_id(const struct insp_graph *g)
{
	uint32_t lo = 0, hi = (uint32_t)g->nchunks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->first[mid] < g->nedges / 2)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The number that parts what counts into halves, about. */
static uint32_t middle_number(const struct insp_dominators_builder *b, const struct worker *workers)
{
	size_t all = 0, sum = 0;

	for (unsigned i = 0; i < CUTS; i++)
		all += workers[0].counts[i] + workers[1].counts[i];
	for (unsigned i = 0; i < CUTS; i++) {
		sum += workers[0].counts[i] + workers[1].counts[i];
		if (sum * 2 >= all)
			return (uint32_t)((uint64_t)(i + 1) * b->cap / CUTS);
	}
	return (uint32_t)b->cap;
}

static int turn(struct insp_dominators_builder *b, struct worker *workers, unsigned n)
{
	uint32_t sum = 0, *rows = b->rows;
	int rc = run(workers, n, translate);

	if (rc)
		return rc;
	workers[0].low = n > 1 ? middle_number(b, workers) : 0;
	workers[0].high = (uint32_t)b->cap;
	workers[1].high = workers[0].low;
	for (size_t i = 0; i <= b->cap; i++)
		rows[i] = 0;
	rc = run(workers, n, count);
	if (rc)
		return rc;
	for (size_t i = 0; i <= b->cap; i++) { /* the ends; filling moves them to the starts */
		sum += rows[i];
		rows[i] = sum;
	}
	b->nsources = sum;
	b->sources = insp_big_alloc(b->nsources + 1, sizeof(*b->sources));
	return b->sources ? run(workers, n, fill) : INSP_E_NOMEM;
}

int insp_dominators_turn(struct insp_dominators_builder *b)
{
	const struct insp_graph *g = b->graph;
	struct worker *workers = calloc(2, sizeof(*workers));
	unsigned n = b->parallel ? 2 : 1;
	uint32_t middle = n > 1 ? middle_id(g) : 0;
	int rc;

	if (!workers)
		return INSP_E_NOMEM;
	workers[0] = (struct worker){.b = b, .from = middle, .to = (uint32_t)g->nchunks,
				     .begin = g->first[middle], .end = (uint32_t)g->nedges,
				     .all = workers, .nall = n, .shows_progress = true};
	workers[1] = (struct worker){.b = b, .to = middle, .end = g->first[middle], .all = workers,
				     .nall = n};
	rc = turn(b, workers, n);
	free(workers);
	return rc;
}
