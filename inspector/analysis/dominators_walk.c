/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominators, step 1: the depth-first walk that numbers the chunks, while a second thread finds out
 * what is lost, for which the walk has no use until all that roots reach is numbered.
 *
 * When a chunk gets its number, all that it points at is looked at once. Who has no number yet is
 * marked as seen, and its place in number_of keeps the number of the one that saw it first: the
 * smallest number that points there, which step 3 begins with. Edges of that kind need not be
 * turned around any more.
 *
 * The time goes into waiting for memory, one load after the other, since who comes next is known only
 * when the edges of the one before are there. So marks and the places of the edges are packed into a
 * digest, 1.6 bytes a chunk instead of 4.25 in two places, which stays in the processor's cache:
 * the edges of all who may come next are on their way as soon as their ids are seen. On the way back
 * those are fetched that are a few steps further up.
 */
#include <pthread.h>

#include "analysis/dominators_priv.h"
#include "base/big.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/worker.h"

#define UP_AHEAD 5
#define DONE	 UINT32_MAX /* in todo: nothing below is without a number */

/* Runs in a thread of its own. */
struct finding {
	const struct insp_graph *graph;
	struct insp_leaks *leaks;
	int rc;
};

static void *find_lost(void *arg)
{
	struct finding *f = arg;

	f->rc = insp_leaks_create_beside(f->graph, &f->leaks, NULL);
	return NULL;
}

/* Half a cache line for some neighbours. */
#define BLOCK	20
#define FAR_OFF 255 /* offset: does not fit, see first[] */

struct block {
	uint64_t marks; /* two bits a chunk */
	uint32_t first; /* of the first chunk; the others begin so many edges behind */
	uint8_t offset[BLOCK];
};

struct walker {
	const uint32_t *first, *edges;
	struct block *blocks;
	uint32_t *number_of, *chunk_of, *parent, *semi, *todo;
	uint32_t n;
	size_t nchunks;
	uint64_t steps;
};

#define SEEN	1u
#define ENTERED 2u

static inline unsigned marks_of(const struct block *b, uint32_t id)
{
	return (unsigned)(b->marks >> id % BLOCK * 2) & 3;
}

static inline void mark(struct block *b, uint32_t id, unsigned what)
{
	b->marks |= (uint64_t)what << id % BLOCK * 2;
}

/* What first[id] is. */
static inline uint32_t first_of(const struct walker *w, const struct block *b, uint32_t id)
{
	uint8_t offset = b->offset[id % BLOCK];

	return offset != FAR_OFF ? b->first + offset : w->first[id];
}

static inline uint32_t end_of(const struct walker *w, uint32_t id)
{
	return first_of(w, &w->blocks[(id + 1) / BLOCK], id + 1);
}

static bool make_blocks(struct walker *w)
{
	for (size_t i = 0; i <= w->nchunks; i += BLOCK) {
		struct block *b = &w->blocks[i / BLOCK];

		if (i / BLOCK % 0x8000 == 0 && insp_interrupted())
			return false;
		b->first = w->first[i];
		for (size_t k = 0; k < BLOCK && i + k <= w->nchunks; k++) {
			uint32_t offset = w->first[i + k] - b->first;

			b->offset[k] = (uint8_t)(offset < FAR_OFF ? offset : FAR_OFF);
		}
	}
	return true;
}

/* Gives id its number below parent, and looks at all that it points at. The next to enter, plus one. */
static inline uint32_t enter(struct walker *w, uint32_t id, uint32_t parent)
{
	struct block *own = &w->blocks[id / BLOCK];
	uint32_t number = ++w->n, next = 0, todo = DONE;
	uint32_t e = first_of(w, own, id), end = end_of(w, id);

	mark(own, id, ENTERED);
	w->chunk_of[number] = id;
	w->parent[number] = parent;
	w->semi[number] = w->number_of[id];
	w->number_of[id] = number;
	for (; e < end; e++) {
		uint32_t t = INSP_EDGE_TARGET(w->edges[e]);
		struct block *b = &w->blocks[t / BLOCK];
		unsigned marks = marks_of(b, t);

		if (marks & ENTERED)
			continue;
		insp_fetch(&w->edges[first_of(w, b, t)]);
		if (!marks) {
			mark(b, t, SEEN);
			w->number_of[t] = number;
		}
		if (!next) {
			next = t + 1;
			insp_fetch(&w->number_of[t]);
		} else if (todo == DONE)
			todo = e;
	}
	w->todo[number] = todo;
	return next;
}

/* The next of what number points at, plus one; 0: none is left. */
static inline uint32_t go_on(struct walker *w, uint32_t number)
{
	uint32_t e = w->todo[number], end = end_of(w, w->chunk_of[number]), next = 0;

	for (; e < end && !next; e++) {
		uint32_t t = INSP_EDGE_TARGET(w->edges[e]);

		if (!(marks_of(&w->blocks[t / BLOCK], t) & ENTERED))
			next = t + 1;
	}
	w->todo[number] = next && e < end ? e : DONE;
	return next;
}

/* Two steps: the edges that are left, then where their next target stands. */
static inline void fetch_up(const struct walker *w, uint32_t number)
{
	uint32_t todo;

	if (number <= 2 * UP_AHEAD)
		return;
	todo = w->todo[number - 2 * UP_AHEAD];
	if (todo != DONE) {
		insp_fetch(&w->edges[todo]);
		insp_fetch(&w->blocks[(w->chunk_of[number - 2 * UP_AHEAD] + 1) / BLOCK]);
	}
	todo = w->todo[number - UP_AHEAD];
	if (todo != DONE)
		insp_fetch(&w->blocks[INSP_EDGE_TARGET(w->edges[todo]) / BLOCK]);
}

/* Everything that can be reached from id and has no number yet. */
static bool walk_from(struct walker *w, uint32_t id)
{
	uint32_t at = 0, next = id + 1;

	do {
		if ((++w->steps & INSP_DOMINATORS_STEPS) == 0) {
			insp_progress("walking the graph", w->n, w->nchunks);
			if (insp_interrupted())
				return false;
		}
		if (next) {
			next = enter(w, next - 1, at);
			at = w->n;
		} else if (w->todo[at] != DONE) {
			fetch_up(w, at);
			next = go_on(w, at);
		} else {
			fetch_up(w, at);
			at = w->parent[at];
		}
	} while (at);
	return true;
}

/* The roots are number 0, and the first to see what they point at. */
static bool walk_reachable(struct walker *w, const struct insp_graph *g)
{
	for (size_t i = 0; i < g->nroots; i++) {
		uint32_t t = INSP_EDGE_TARGET(g->roots[i].edge);

		mark(&w->blocks[t / BLOCK], t, SEEN);
	}
	for (size_t i = 0; i < g->nroots; i++) {
		uint32_t t = INSP_EDGE_TARGET(g->roots[i].edge);

		if (!(marks_of(&w->blocks[t / BLOCK], t) & ENTERED) && !walk_from(w, t))
			return false;
	}
	return true;
}

static bool walk_lost(struct walker *w, const struct insp_leaks *leaks)
{
	if (!leaks->sums[INSP_REACH_DEFINITE].count)
		return true;
	for (size_t i = 0; i < w->nchunks; i++)
		if (leaks->reach[i] == INSP_REACH_DEFINITE)
			mark(&w->blocks[i / BLOCK], (uint32_t)i, SEEN);
	for (size_t i = 0; i < w->nchunks; i++)
		if (leaks->reach[i] == INSP_REACH_DEFINITE &&
		    !(marks_of(&w->blocks[i / BLOCK], (uint32_t)i) & ENTERED) &&
		    !walk_from(w, (uint32_t)i))
			return false;
	return true;
}

static int walk(struct insp_dominators_builder *b, struct walker *w)
{
	struct finding f = {.graph = b->graph};
	pthread_t thread;
	bool threaded = b->parallel && insp_worker_start(&thread, find_lost, &f) == 0;
	bool walked = make_blocks(w) && walk_reachable(w, b->graph);

	if (threaded)
		pthread_join(thread, NULL);
	else if (walked)
		(void)find_lost(&f);
	b->leaks = f.leaks;
	if (f.rc)
		return f.rc;
	b->d->nreachable = w->n;
	if (!walked || !walk_lost(w, f.leaks))
		return INSP_E_INTERRUPTED;
	b->d->n = w->n;
	return 0;
}

int insp_dominators_walk(struct insp_dominators_builder *b)
{
	const struct insp_graph *g = b->graph;
	const size_t nblocks = g->nchunks / BLOCK + 1;
	struct walker w = {.first = g->first, .edges = g->edges, .nchunks = g->nchunks};
	int rc;

	w.blocks = insp_big_alloc(nblocks, sizeof(*w.blocks));
	w.number_of = b->d->number_of = insp_big_alloc(b->cap, sizeof(*w.number_of));
	w.chunk_of = b->d->chunk_of = insp_big_alloc(b->cap, sizeof(*w.chunk_of));
	w.parent = b->parent = insp_big_alloc(b->cap, sizeof(*w.parent));
	w.semi = b->semi = insp_big_alloc(b->cap, sizeof(*w.semi));
	w.todo = b->rows = insp_big_alloc(b->cap + 1, sizeof(*w.todo));
	if (!w.blocks || !w.number_of || !w.chunk_of || !w.parent || !w.semi || !w.todo)
		rc = INSP_E_NOMEM;
	else
		rc = walk(b, &w);
	insp_big_free(w.blocks, nblocks, sizeof(*w.blocks));
	return rc;
}
