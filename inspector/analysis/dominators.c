/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominators: the semi-NCA algorithm (Georgiadis, Tarjan and Werneck, "Finding Dominators in
 * Practice", 2006), without recursion and with as little memory as it can do with.
 *
 *   1. a depth-first walk from the roots numbers the chunks (dominators_walk.c)
 *   2. the edges from larger numbers to smaller ones are turned around (dominators_turn.c)
 *   3. from the last number to the first: the semidominator, the smallest number among the
 *      predecessors that are ancestors and the labels of those that are not. Labels carry the
 *      smallest semidominator on the way up the tree; paths are compressed as they are used
 *   4. from the first to the last: up the tree from the parent to the first number that is not
 *      behind the semidominator
 *
 * In step 3 walking up a path turns its links around and back instead of keeping a stack: a list of
 * ten million chunks is one path. Where the way up meets a label 0 it ends: nothing is smaller, and that
 * is most of the way in a graph where everything hangs together.
 */
#include "analysis/dominators.h"

#include <pthread.h>
#include <stdlib.h>

#include "analysis/dominators_priv.h"
#include "base/big.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/worker.h"

#define AHEAD 8 /* numbers between two steps of fetching ahead */

/* By number. Side by side, for step 3 always wants both. */
struct link {
	uint32_t ancestor;
	uint32_t label;
};

/* ---- step 3 */

/*
 * The smallest label from number v up to below the first one that is not linked yet, which are
 * those up to w. Afterwards v and all on the way point there directly, or have the label 0.
 */
static inline uint32_t eval(struct link *links, uint32_t v, uint32_t w)
{
	uint32_t prev = 0, at = v, best, top;

	while (links[at].label && links[at].ancestor > w) {
		uint32_t up = links[at].ancestor;

		links[at].ancestor = prev;
		prev = at;
		at = up;
	}
	top = links[at].ancestor;
	best = links[at].label;
	while (prev) {
		uint32_t down = links[prev].ancestor;

		if (links[prev].label > best)
			links[prev].label = best;
		else
			best = links[prev].label;
		links[prev].ancestor = top;
		prev = down;
	}
	return best;
}

/* What the loop below will need for number w, in two steps that each need the one before. */
static inline void fetch_ahead(const struct insp_dominators_builder *b, const struct link *links, uint32_t w)
{
	uint32_t from, to;

	if (w <= 2 * AHEAD)
		return;
	insp_fetch(&b->sources[b->rows[w - 2 * AHEAD]]);
	from = b->rows[w - AHEAD];
	to = b->rows[w - AHEAD + 1];
	for (uint32_t p = from; p < to && p < from + 8; p++)
		insp_fetch(&links[b->sources[p]]);
}

static bool semidominators(struct insp_dominators_builder *b, struct link *links)
{
	const uint32_t n = b->d->n;

	for (uint32_t w = n; w; w--) {
		uint32_t best = b->semi[w];

		if ((w & INSP_DOMINATORS_STEPS) == 0) {
			insp_progress("finding dominators", n - w, n);
			if (insp_interrupted())
				return false;
		}
		fetch_ahead(b, links, w);
		for (uint32_t p = b->rows[w]; p < b->rows[w + 1] && best; p++) {
			uint32_t least = eval(links, b->sources[p], w);

			if (least < best)
				best = least;
		}
		b->semi[w] = links[w].label = best;
	}
	return true;
}

/* ---- step 4 */

static bool immediate_dominators(struct insp_dominators_builder *b)
{
	uint32_t *idom = b->d->idom;

	for (uint32_t w = 1; w <= b->d->n; w++) {
		uint32_t at = b->semi[w] ? idom[w] : 0;

		if ((w & INSP_DOMINATORS_STEPS) == 0 && insp_interrupted())
			return false;
		while (at > b->semi[w])
			at = idom[at];
		idom[w] = at;
	}
	return true;
}

static bool sum_up(struct insp_dominators *d)
{
	for (uint32_t w = d->n; w; w--) {
		if ((w & INSP_DOMINATORS_STEPS) == 0 && insp_interrupted())
			return false;
		d->retained[d->idom[w]] += d->retained[w];
	}
	return true;
}

/* ---- all */

/* The sizes by number, in a thread beside step 3. */
static void *take_sizes(void *arg)
{
	struct insp_dominators_builder *b = arg;
	struct insp_dominators *d = b->d;
	struct insp_chunk_iter it;
	struct insp_chunk c;

	insp_chunks_each(b->graph->snapshot->chunks, it, c) {
		if ((c.id & INSP_DOMINATORS_STEPS) == 0 && insp_interrupted())
			break; /* step 4 will not come to use them */
		if (d->number_of[c.id])
			d->retained[d->number_of[c.id]] = c.size;
	}
	return NULL;
}

static void drop_edges(struct insp_graph *g)
{
	insp_big_free(g->edges, g->edges_cap, sizeof(*g->edges));
	insp_big_free(g->first, g->nchunks + 1, sizeof(*g->first));
	g->edges = g->first = NULL;
	g->nedges = g->edges_cap = 0;
}

static int find_dominators(struct insp_dominators_builder *b)
{
	struct insp_dominators *d = b->d;
	struct link *links = insp_big_alloc(b->cap, sizeof(*links));
	pthread_t thread;
	bool threaded, done = false;

	d->retained = insp_big_alloc(b->cap, sizeof(*d->retained));
	if (!links || !d->retained) {
		insp_big_free(links, b->cap, sizeof(*links));
		return INSP_E_NOMEM;
	}
	threaded = b->parallel && insp_worker_start(&thread, take_sizes, b) == 0;
	for (uint32_t w = 1; w <= d->n; w++)
		links[w].ancestor = b->parent[w];
	done = semidominators(b, links);
	insp_big_free(links, b->cap, sizeof(*links));
	if (threaded)
		pthread_join(thread, NULL);
	else
		(void)take_sizes(b);
	if (!done)
		return INSP_E_INTERRUPTED;
	d->idom = b->parent;
	b->parent = NULL;
	return !insp_interrupted() && immediate_dominators(b) && sum_up(d) ? 0 : INSP_E_INTERRUPTED;
}

static void builder_free(struct insp_dominators_builder *b)
{
	insp_big_free(b->parent, b->cap, sizeof(*b->parent));
	insp_big_free(b->semi, b->cap, sizeof(*b->semi));
	insp_big_free(b->rows, b->cap + 1, sizeof(*b->rows));
	insp_big_free(b->sources, b->nsources + 1, sizeof(*b->sources));
}

int insp_dominators_create(struct insp_graph *graph, struct insp_leaks **ret_leaks,
			   struct insp_dominators **ret, struct insp_error *err)
{
	struct insp_dominators_builder b = {.graph = graph, .cap = graph->nchunks + 1,
					    .parallel = graph->nedges >= INSP_DOMINATORS_PARALLEL};
	int rc;

	b.d = calloc(1, sizeof(*b.d));
	if (!b.d)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for dominators");
	b.d->nchunks = graph->nchunks;
	rc = insp_dominators_walk(&b);
	rc = rc ? rc : insp_dominators_turn(&b);
	drop_edges(graph);
	rc = rc ? rc : find_dominators(&b);
	builder_free(&b);
	if (rc) {
		insp_dominators_destroy(b.d);
		insp_leaks_destroy(b.leaks);
		return insp_fail(err, (enum insp_code)rc, rc == INSP_E_NOMEM ? "out of memory for dominators"
									      : "interrupted");
	}
	*ret_leaks = b.leaks;
	*ret = b.d;
	return 0;
}

void insp_dominators_destroy(struct insp_dominators *dominators)
{
	struct insp_dominators *d = dominators;

	if (!d)
		return;
	insp_big_free(d->number_of, d->nchunks + 1, sizeof(*d->number_of));
	insp_big_free(d->chunk_of, d->nchunks + 1, sizeof(*d->chunk_of));
	insp_big_free(d->idom, d->nchunks + 1, sizeof(*d->idom));
	insp_big_free(d->retained, d->nchunks + 1, sizeof(*d->retained));
	free(d);
}

uint32_t insp_dominator_of(const struct insp_dominators *dominators, uint32_t id)
{
	uint32_t number = id < dominators->nchunks ? dominators->number_of[id] : 0;

	return number && dominators->idom[number] ? dominators->chunk_of[dominators->idom[number]]
						   : INSP_DOMINATED_BY_ROOT;
}

uint64_t insp_retained_bytes(const struct insp_dominators *dominators, uint32_t id)
{
	uint32_t number = id < dominators->nchunks ? dominators->number_of[id] : 0;

	return number ? dominators->retained[number] : 0;
}
