/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominators: the semi-NCA algorithm (Georgiadis, Tarjan and Werneck, "Finding Dominators in
 * Practice", 2006), without recursion and with as little memory as it can do with.
 *
 *   1. a depth-first walk from the roots numbers the chunks; meanwhile a second thread turns the
 *      edges around
 *   2. from the last number to the first: the semidominator, the smallest number among the
 *      predecessors that are ancestors and the labels of those that are not. Labels carry the
 *      smallest semidominator on the way up the tree; paths are compressed as they are used
 *   3. from the first to the last: up the tree from the parent to the first number that is not
 *      behind the semidominator
 *
 * In step 2 the array of parents becomes that of ancestors, and walking up a path turns its links
 * around and back instead of keeping a stack: a list of ten million chunks is one path.
 */
#include "analysis/dominators.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/reverse.h"
#include "base/big.h"
#include "base/log.h"
#include "base/worker.h"

#define INTERRUPT_EVERY 0xffff
#define AHEAD		8 /* chunks between two steps of fetching ahead */

static bool bit_test(const uint64_t *bits, uint32_t i)
{
	return bits[i >> 6] >> (i & 63) & 1;
}

static void bit_set(uint64_t *bits, uint32_t i)
{
	bits[i >> 6] |= UINT64_C(1) << (i & 63);
}

/* Runs in a thread of its own. */
struct turning {
	const struct insp_graph *graph;
	const uint8_t *reach;
	struct insp_reverse reverse;
	int rc;
};

static void *turn_around(void *arg)
{
	struct turning *t = arg;

	t->rc = insp_reverse_init(&t->reverse, t->graph, t->reach);
	return NULL;
}

/* By number. Side by side, for step 2 always wants both. */
struct link {
	uint32_t ancestor; /* in step 1 the parent */
	uint32_t label;	   /* in step 1 the next edge to look at */
};

struct builder {
	struct insp_graph *graph;
	const struct insp_leaks *leaks;
	struct insp_dominators *d;
	struct turning turning;
	size_t cap;	   /* nchunks + 1: length of the arrays by number */
	uint64_t *visited; /* bits by id */
	uint64_t *is_root; /* bits by id: a root points here, or it is definitely lost */
	struct link *links;
	uint32_t *semi;	   /* by number */
	uint64_t steps;
};

/* ---- step 1 */

static inline uint32_t enter(struct builder *b, uint32_t id, uint32_t parent)
{
	uint32_t number = ++b->d->n;

	bit_set(b->visited, id);
	b->d->chunk_of[number] = id;
	b->links[number] = (struct link){parent, b->graph->first[id]};
	return number;
}

/* Everything that can be reached from id and has no number yet. */
static bool walk_from(struct builder *b, uint32_t id)
{
	const struct insp_graph *g = b->graph;
	uint32_t at = enter(b, id, 0);

	while (at) {
		uint32_t e = b->links[at].label, end = g->first[b->d->chunk_of[at] + 1];
		uint32_t next = 0;

		if ((++b->steps & INTERRUPT_EVERY) == 0) {
			insp_progress("walking the graph", b->d->n, g->nchunks);
			if (insp_interrupted())
				return false;
		}
		while (e < end && !next) {
			uint32_t t = INSP_EDGE_TARGET(g->edges[e++]);

			if (!bit_test(b->visited, t))
				next = t + 1;
		}
		b->links[at].label = e;
		at = next ? enter(b, next - 1, at) : b->links[at].ancestor;
	}
	return true;
}

static bool walk_all(struct builder *b)
{
	const struct insp_graph *g = b->graph;

	for (size_t i = 0; i < g->nroots; i++)
		bit_set(b->is_root, INSP_EDGE_TARGET(g->roots[i].edge));
	for (size_t i = 0; i < g->nroots; i++) {
		uint32_t t = INSP_EDGE_TARGET(g->roots[i].edge);

		if (!bit_test(b->visited, t) && !walk_from(b, t))
			return false;
	}
	b->d->nreachable = b->d->n;
	for (size_t i = 0; i < g->nchunks; i++) {
		if (b->leaks->reach[i] != INSP_REACH_DEFINITE)
			continue;
		bit_set(b->is_root, (uint32_t)i);
		if (!bit_test(b->visited, (uint32_t)i) && !walk_from(b, (uint32_t)i))
			return false;
	}
	return true;
}

/* ---- step 2 */

/*
 * The smallest label from number v up to below the first one that is not linked yet, which are
 * those up to w. Afterwards v and all on the way point there directly.
 */
static inline uint32_t eval(struct link *links, uint32_t v, uint32_t w)
{
	uint32_t prev = 0, at = v, best, top;

	while (links[at].ancestor > w) {
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

/* What the loop below will need for number w, in four steps that each need the one before. */
static inline void fetch_ahead(const struct builder *b, uint32_t w)
{
	const struct insp_reverse *r = &b->turning.reverse;
	const uint32_t *chunk_of = b->d->chunk_of, *number_of = b->d->number_of;
	uint32_t from, to;

	if (w <= 4 * AHEAD)
		return;
	__builtin_prefetch(&r->first[chunk_of[w - 4 * AHEAD]]);
	__builtin_prefetch(&r->edges[r->first[chunk_of[w - 3 * AHEAD]]]);
	from = r->first[chunk_of[w - 2 * AHEAD]];
	to = r->first[chunk_of[w - 2 * AHEAD] + 1];
	for (uint32_t p = from; p < to && p < from + 8; p++)
		__builtin_prefetch(&number_of[INSP_EDGE_TARGET(r->edges[p])]);
	from = r->first[chunk_of[w - AHEAD]];
	to = r->first[chunk_of[w - AHEAD] + 1];
	for (uint32_t p = from; p < to && p < from + 8; p++)
		__builtin_prefetch(&b->links[number_of[INSP_EDGE_TARGET(r->edges[p])]]);
}

static bool semidominators(struct builder *b)
{
	const struct insp_dominators *d = b->d;
	const struct insp_reverse *r = &b->turning.reverse;

	for (uint32_t w = d->n; w; w--) {
		uint32_t id = d->chunk_of[w], best = b->links[w].ancestor;

		if ((w & INTERRUPT_EVERY) == 0) {
			insp_progress("finding dominators", d->n - w, d->n);
			if (insp_interrupted())
				return false;
		}
		fetch_ahead(b, w);
		if (bit_test(b->is_root, id))
			best = 0;
		for (uint32_t p = r->first[id]; p < r->first[id + 1] && best; p++) {
			uint32_t v = d->number_of[INSP_EDGE_TARGET(r->edges[p])];

			if (v > w)
				v = eval(b->links, v, w);
			if (v < best)
				best = v;
		}
		b->semi[w] = b->links[w].label = best;
	}
	return true;
}

/* ---- step 3 */

static void immediate_dominators(struct builder *b)
{
	uint32_t *idom = b->d->idom;

	for (uint32_t w = 1; w <= b->d->n; w++) {
		uint32_t at = idom[w];

		while (at > b->semi[w])
			at = idom[at];
		idom[w] = at;
	}
}

static bool sum_retained(struct builder *b)
{
	struct insp_dominators *d = b->d;
	struct insp_chunk_iter it;
	struct insp_chunk c;

	d->retained = insp_big_alloc(b->cap, sizeof(*d->retained));
	if (!d->retained)
		return false;
	insp_chunks_each(b->graph->snapshot->chunks, it, c)
		if (d->number_of[c.id])
			d->retained[d->number_of[c.id]] = c.size;
	for (uint32_t w = d->n; w; w--)
		d->retained[d->idom[w]] += d->retained[w];
	return true;
}

/* ---- all */

static void drop_edges(struct insp_graph *g)
{
	insp_big_free(g->edges, g->edges_cap, sizeof(*g->edges));
	insp_big_free(g->first, g->nchunks + 1, sizeof(*g->first));
	g->edges = g->first = NULL;
	g->nedges = g->edges_cap = 0;
}

static int number_chunks(struct builder *b, struct insp_error *err)
{
	const size_t nwords = b->graph->nchunks / 64 + 1;
	pthread_t thread;
	bool threaded, walked;

	b->visited = insp_big_alloc(nwords, sizeof(*b->visited));
	b->is_root = insp_big_alloc(nwords, sizeof(*b->is_root));
	b->links = insp_big_alloc(b->cap, sizeof(*b->links));
	b->d->chunk_of = insp_big_alloc(b->cap, sizeof(*b->d->chunk_of));
	if (!b->visited || !b->is_root || !b->links || !b->d->chunk_of)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for dominators");
	threaded = insp_worker_start(&thread, turn_around, &b->turning) == 0;
	walked = walk_all(b);
	if (threaded)
		pthread_join(thread, NULL);
	else
		(void)turn_around(&b->turning);
	if (b->turning.rc == INSP_E_NOMEM)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for dominators");
	if (!walked || b->turning.rc)
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	return 0;
}

static int find_dominators(struct builder *b, struct insp_error *err)
{
	struct insp_dominators *d = b->d;

	d->number_of = insp_big_alloc(b->cap, sizeof(*d->number_of));
	d->idom = insp_big_alloc(b->cap, sizeof(*d->idom));
	b->semi = insp_big_alloc(b->cap, sizeof(*b->semi));
	if (!d->number_of || !d->idom || !b->semi)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for dominators");
	for (uint32_t w = 1; w <= d->n; w++) {
		d->number_of[d->chunk_of[w]] = w;
		d->idom[w] = b->links[w].ancestor;
	}
	if (!semidominators(b))
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	insp_reverse_deinit(&b->turning.reverse);
	immediate_dominators(b);
	return 0;
}

static void builder_free(struct builder *b)
{
	const size_t nwords = b->graph->nchunks / 64 + 1;

	insp_reverse_deinit(&b->turning.reverse);
	insp_big_free(b->visited, nwords, sizeof(*b->visited));
	insp_big_free(b->is_root, nwords, sizeof(*b->is_root));
	insp_big_free(b->links, b->cap, sizeof(*b->links));
	insp_big_free(b->semi, b->cap, sizeof(*b->semi));
	b->visited = b->is_root = NULL;
	b->links = NULL;
	b->semi = NULL;
}

int insp_dominators_create(struct insp_graph *graph, const struct insp_leaks *leaks, bool drop,
			   struct insp_dominators **ret, struct insp_error *err)
{
	struct builder b = {
		.graph = graph,
		.leaks = leaks,
		.turning = {.graph = graph, .reach = leaks->reach},
		.cap = graph->nchunks + 1,
	};
	int rc;

	b.d = calloc(1, sizeof(*b.d));
	if (!b.d)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for dominators");
	b.d->nchunks = graph->nchunks;
	rc = number_chunks(&b, err);
	if (!rc && drop)
		drop_edges(graph);
	if (!rc)
		rc = find_dominators(&b, err);
	builder_free(&b);
	if (!rc && !sum_retained(&b))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for dominators");
	if (rc) {
		insp_dominators_destroy(b.d);
		return rc;
	}
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

static int child_compare(const void *a, const void *b, void *dominators)
{
	const struct insp_dominators *d = dominators;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (d->retained[x] != d->retained[y])
		return d->retained[x] < d->retained[y] ? 1 : -1;
	return x < y ? -1 : x > y;
}

int insp_dominator_tree_create(const struct insp_dominators *dominators,
			       struct insp_dominator_tree **ret, struct insp_error *err)
{
	const struct insp_dominators *d = dominators;
	struct insp_dominator_tree *t = calloc(1, sizeof(*t));
	uint32_t sum = 0;

	if (!t)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the tree of dominators");
	t->n = d->n;
	t->first = insp_big_alloc(t->n + 2, sizeof(*t->first));
	t->children = insp_big_alloc(t->n + 1, sizeof(*t->children));
	if (!t->first || !t->children) {
		insp_dominator_tree_destroy(t);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the tree of dominators");
	}
	for (uint32_t w = 1; w <= d->n; w++)
		t->first[d->idom[w]]++;
	for (size_t i = 0; i <= t->n + 1; i++) {
		sum += t->first[i];
		t->first[i] = sum;
	}
	for (uint32_t w = d->n; w; w--)
		t->children[--t->first[d->idom[w]]] = w;
	for (size_t i = 0; i <= t->n; i++) {
		uint32_t n = t->first[i + 1] - t->first[i];

		if (n > 1)
			qsort_r(t->children + t->first[i], n, sizeof(*t->children), child_compare,
				(void *)d);
	}
	*ret = t;
	return 0;
}

void insp_dominator_tree_destroy(struct insp_dominator_tree *tree)
{
	if (!tree)
		return;
	insp_big_free(tree->first, tree->n + 2, sizeof(*tree->first));
	insp_big_free(tree->children, tree->n + 1, sizeof(*tree->children));
	free(tree);
}
