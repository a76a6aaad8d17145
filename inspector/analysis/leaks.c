/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * leaks: three floods over the graph.
 *
 *   1. from the roots along pointers to starts: still reachable. A chunk that is only seen through
 *      a pointer into its middle gets a mark in passing.
 *   2. from those marks along all pointers: possibly lost.
 *   3. what is left is lost. First from each chunk not yet seen, in address order: each start is a
 *      leader. A leader that a later leader reaches is none, so the leaders are flooded again from
 *      the last to the first, and those that stay unseen until their turn are definitely lost:
 *      exactly one for each source of the graph of strongly connected components. (memcheck
 *      does only the first round, and calls a chunk definitely lost that a later one holds
 *      through a cycle.)
 *
 * A flood is a queue, so what will be needed is known: where the edges of an entry begin, then the
 * edges, then the verdicts of their targets are fetched ahead, each some entries before the next.
 */
#include "analysis/leaks.h"

#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/fetch.h"
#include "base/log.h"
#include "base/vec.h"

#define INTERRUPT_EVERY 0xffff
#define AHEAD		6 /* entries of the queue between two steps of fetching ahead */

#define MARK_INTERIOR 0x80 /* in reach[] during the first flood: a live root points to its middle */
#define MARK_SEEN     0x40 /* in the two rounds of the third */
#define MARK_LEADER   0x20
#define MARK_DEFINITE 0x10

static const struct {
	const char *key, *title;
} names[INSP_N_REACHES] = {
	[INSP_REACH_NONE] = {"free", "not in use"},
	[INSP_REACH_REACHABLE] = {"reachable", "still reachable"},
	[INSP_REACH_POSSIBLE] = {"possible", "possibly lost"},
	[INSP_REACH_INDIRECT] = {"indirect", "indirectly lost"},
	[INSP_REACH_DEFINITE] = {"definite", "definitely lost"},
};

const char *insp_reach_key(enum insp_reach reach)
{
	return reach < INSP_N_REACHES ? names[reach].key : "invalid";
}

const char *insp_reach_title(enum insp_reach reach)
{
	return reach < INSP_N_REACHES ? names[reach].title : "invalid";
}

struct flood {
	const struct insp_graph *graph;
	uint8_t *reach;
	uint32_t *queue; /* [nchunks] */
	size_t head, tail;
	uint64_t steps;
	bool shows_progress, interrupted;
};

static inline void fetch_ahead(const struct flood *f)
{
	const struct insp_graph *g = f->graph;
	const uint32_t *at = f->queue + f->head;
	size_t left = f->tail - f->head;

	if (left <= 3 * AHEAD)
		return;
	insp_fetch(&g->first[at[3 * AHEAD]]);
	insp_fetch(&g->edges[g->first[at[2 * AHEAD]]]);
	uint32_t from = g->first[at[AHEAD]], to = g->first[at[AHEAD] + 1];

	for (uint32_t e = from; e < to && e < from + 8; e++)
		insp_fetch(&f->reach[INSP_EDGE_TARGET(g->edges[e])]);
}

static inline bool flood_next(struct flood *f, uint32_t *ret)
{
	if (f->head == f->tail || f->interrupted)
		return false;
	if ((++f->steps & INTERRUPT_EVERY) == 0) {
		f->interrupted = insp_interrupted();
		if (f->shows_progress)
			insp_progress("following pointers", f->head, f->graph->nchunks);
	}
	fetch_ahead(f);
	*ret = f->queue[f->head++];
	return true;
}

/* Only live chunks are ever targets, so NONE stays what it is and UNSEEN is told apart. */
#define UNSEEN INSP_REACH_DEFINITE

static void flood_reachable(struct flood *f)
{
	const struct insp_graph *g = f->graph;
	uint32_t id;

	for (size_t i = 0; i < g->nroots; i++) {
		uint32_t t = INSP_EDGE_TARGET(g->roots[i].edge);

		if (g->roots[i].edge & INSP_EDGE_INTERIOR) {
			f->reach[t] |= MARK_INTERIOR;
		} else if ((f->reach[t] & ~MARK_INTERIOR) == UNSEEN) {
			f->reach[t] = INSP_REACH_REACHABLE;
			f->queue[f->tail++] = t;
		}
	}
	while (flood_next(f, &id))
		for (uint32_t e = g->first[id]; e < g->first[id + 1]; e++) {
			uint32_t t = INSP_EDGE_TARGET(g->edges[e]);
			uint8_t r = f->reach[t] & (uint8_t)~MARK_INTERIOR;

			if (r != UNSEEN)
				continue;
			if (g->edges[e] & INSP_EDGE_INTERIOR) {
				f->reach[t] |= MARK_INTERIOR;
				continue;
			}
			f->reach[t] = INSP_REACH_REACHABLE;
			f->queue[f->tail++] = t;
		}
}

static void flood_possible(struct flood *f)
{
	const struct insp_graph *g = f->graph;
	uint32_t id;

	f->head = f->tail = 0;
	for (size_t i = 0; i < g->nchunks; i++) {
		if (!(f->reach[i] & MARK_INTERIOR))
			continue;
		f->reach[i] &= (uint8_t)~MARK_INTERIOR;
		if (f->reach[i] == UNSEEN) {
			f->reach[i] = INSP_REACH_POSSIBLE;
			f->queue[f->tail++] = (uint32_t)i;
		}
	}
	while (flood_next(f, &id))
		for (uint32_t e = g->first[id]; e < g->first[id + 1]; e++) {
			uint32_t t = INSP_EDGE_TARGET(g->edges[e]);

			if (f->reach[t] == UNSEEN) {
				f->reach[t] = INSP_REACH_POSSIBLE;
				f->queue[f->tail++] = t;
			}
		}
}

/* Along all pointers over lost chunks that have not got mark yet; leader gets what was seen; may be NULL. */
static void flood_lost(struct flood *f, uint32_t start, uint8_t mark, bool clear, uint32_t *leader)
{
	const struct insp_graph *g = f->graph;
	uint32_t id;

	f->head = 0;
	f->tail = 1;
	f->queue[0] = start;
	f->reach[start] ^= mark;
	while (flood_next(f, &id))
		for (uint32_t e = g->first[id]; e < g->first[id + 1]; e++) {
			uint32_t t = INSP_EDGE_TARGET(g->edges[e]);

			if ((f->reach[t] & 0x0f) != UNSEEN || !(f->reach[t] & mark) != !clear)
				continue;
			f->reach[t] ^= mark;
			if (leader)
				leader[t] = start;
			f->queue[f->tail++] = t;
		}
}

static bool any_lost(const struct insp_leaks *l)
{
	return memchr(l->reach, UNSEEN, l->graph->nchunks) != NULL;
}

/* Ids rise with addresses within a heap, which is all the order that is promised. */
static void find_leaders(struct flood *f, uint32_t *leader)
{
	size_t n = f->graph->nchunks;

	for (size_t i = 0; i < n && !f->interrupted; i++)
		if (f->reach[i] == UNSEEN) {
			flood_lost(f, (uint32_t)i, MARK_SEEN, false, NULL);
			f->reach[i] |= MARK_LEADER;
		}
	/* All lost chunks are marked SEEN now; the second round takes the marks away again. */
	for (size_t i = n; i-- && !f->interrupted;) {
		if (f->reach[i] != (UNSEEN | MARK_SEEN | MARK_LEADER))
			continue;
		f->reach[i] |= MARK_DEFINITE;
		flood_lost(f, (uint32_t)i, MARK_SEEN, true, leader);
	}
}

static void settle_lost(struct insp_leaks *l)
{
	for (size_t i = 0; i < l->graph->nchunks; i++) {
		if ((l->reach[i] & 0x0f) != UNSEEN)
			continue;
		l->reach[i] = l->reach[i] & MARK_DEFINITE ? INSP_REACH_DEFINITE : INSP_REACH_INDIRECT;
	}
}

static int flood_all(struct insp_leaks *l, bool beside)
{
	const struct insp_graph *g = l->graph;
	struct flood f = {.graph = g, .reach = l->reach, .shows_progress = !beside};
	int rc = 0;

	f.queue = insp_big_alloc(g->nchunks + 1, sizeof(*f.queue));
	if (!f.queue)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < g->nchunks; i++)
		l->reach[i] = insp_graph_live(g, (uint32_t)i) ? UNSEEN : INSP_REACH_NONE;
	flood_reachable(&f);
	flood_possible(&f);
	if (!f.interrupted && any_lost(l)) {
		if (!beside)
			l->leader = insp_big_alloc(g->nchunks + 1, sizeof(*l->leader));
		if (beside || l->leader) {
			find_leaders(&f, l->leader);
			if (!f.interrupted)
				settle_lost(l);
		} else {
			rc = INSP_E_NOMEM;
		}
	}
	insp_big_free(f.queue, g->nchunks + 1, sizeof(*f.queue));
	return f.interrupted ? INSP_E_INTERRUPTED : rc;
}

static int create(const struct insp_graph *graph, bool beside, struct insp_leaks **ret, struct insp_error *err)
{
	struct insp_leaks *l = calloc(1, sizeof(*l));
	struct insp_chunk_iter it;
	struct insp_chunk c;
	int rc = INSP_E_NOMEM;

	if (l) {
		l->graph = graph;
		l->reach = insp_big_alloc(graph->nchunks + 1, 1);
		if (l->reach)
			rc = flood_all(l, beside);
	}
	if (rc) {
		insp_leaks_destroy(l);
		return insp_fail(err, (enum insp_code)rc, rc == INSP_E_NOMEM ? "out of memory for finding leaks"
									      : "interrupted");
	}
	insp_chunks_each(graph->snapshot->chunks, it, c) {
		l->sums[l->reach[c.id]].count++;
		l->sums[l->reach[c.id]].bytes += c.size;
	}
	*ret = l;
	return 0;
}

int insp_leaks_create(const struct insp_graph *graph, struct insp_leaks **ret, struct insp_error *err)
{
	return create(graph, false, ret, err);
}

int insp_leaks_create_beside(const struct insp_graph *graph, struct insp_leaks **ret, struct insp_error *err)
{
	return create(graph, true, ret, err);
}

void insp_leaks_destroy(struct insp_leaks *leaks)
{
	if (!leaks)
		return;
	insp_big_free(leaks->reach, leaks->graph->nchunks + 1, 1);
	insp_big_free(leaks->leader, leaks->graph->nchunks + 1, sizeof(*leaks->leader));
	free(leaks->groups);
	free(leaks);
}

/* ---- groups */

/* Open addressing over groups by (reach, key). */
struct table {
	INSP_VEC(struct insp_leak_group) groups;
	uint32_t *slots; /* index + 1, 0 empty */
	size_t nslots;	 /* a power of two, more than half of it empty */
};

static uint64_t hash(enum insp_reach reach, uint64_t key)
{
	uint64_t h = (key + (uint64_t)reach) * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ h >> 29;
}

static bool table_grow(struct table *t)
{
	size_t n = t->nslots ? t->nslots * 2 : 256;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < t->groups.n; i++) {
		const struct insp_leak_group *g = &t->groups.items[i];
		size_t at = hash(g->reach, g->key) & (n - 1);

		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(t->slots);
	t->slots = slots;
	t->nslots = n;
	return true;
}

/* The group's index, or -1 when memory is short. */
static int64_t table_get(struct table *t, enum insp_reach reach, uint64_t key)
{
	struct insp_leak_group *g;
	size_t at;

	if (t->groups.n * 2 >= t->nslots && !table_grow(t))
		return -1;
	for (at = hash(reach, key) & (t->nslots - 1); t->slots[at]; at = (at + 1) & (t->nslots - 1)) {
		g = &t->groups.items[t->slots[at] - 1];
		if (g->reach == reach && g->key == key)
			return t->slots[at] - 1;
	}
	g = insp_vec_push(&t->groups);
	if (!g)
		return -1;
	*g = (struct insp_leak_group){.reach = reach, .key = key, .example = UINT32_MAX};
	t->slots[at] = (uint32_t)t->groups.n;
	return (int64_t)t->groups.n - 1;
}

static int group_compare(const void *a, const void *b)
{
	const struct insp_leak_group *x = a, *y = b;
	uint64_t bx = x->bytes + x->dragged.bytes, by = y->bytes + y->dragged.bytes;

	if (bx != by)
		return bx < by ? 1 : -1;
	if (x->reach != y->reach)
		return x->reach < y->reach ? 1 : -1;
	return x->key < y->key ? -1 : x->key > y->key;
}

/* What each definitely lost chunk drags along: [nchunks], or NULL when memory is short. */
static uint64_t *dragged_bytes(const struct insp_leaks *l)
{
	uint64_t *dragged = insp_big_alloc(l->graph->nchunks + 1, sizeof(*dragged));
	struct insp_chunk_iter it;
	struct insp_chunk c;

	if (!dragged || !l->leader)
		return dragged;
	insp_chunks_each(l->graph->snapshot->chunks, it, c)
		if (l->reach[c.id] == INSP_REACH_INDIRECT)
			dragged[l->leader[c.id]] += c.size;
	return dragged;
}

static bool accepted(const struct insp_leak_grouping *g, const struct insp_chunk *c)
{
	return !g->accept || g->accept(g->ctx, c);
}

static uint64_t key_of(const struct insp_leak_grouping *g, const struct insp_chunk *c)
{
	return g->key_of ? g->key_of(g->ctx, c) : c->size;
}

/* Own chunks into their groups; group_of remembers those of leaders for what they drag along. */
static bool group_own(struct insp_leaks *l, const struct insp_leak_grouping *grouping,
		      uint32_t reaches, const uint64_t *dragged, struct table *t, uint32_t *group_of)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t steps = 0;

	insp_chunks_each(l->graph->snapshot->chunks, it, c) {
		enum insp_reach reach = (enum insp_reach)l->reach[c.id];
		int64_t at;

		if ((++steps & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return true; /* the caller asks again */
		if (!(reaches >> reach & 1) || !accepted(grouping, &c))
			continue;
		at = table_get(t, reach, key_of(grouping, &c));
		if (at < 0)
			return false;
		struct insp_leak_group *g = &t->groups.items[at];

		g->count++;
		g->bytes += c.size;
		if (g->example == UINT32_MAX || dragged[c.id] > dragged[g->example])
			g->example = c.id;
		if (reach == INSP_REACH_DEFINITE)
			group_of[c.id] = (uint32_t)at + 1;
	}
	return true;
}

static void group_dragged(const struct insp_leaks *l, const struct table *t,
			  const uint32_t *group_of)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;

	insp_chunks_each(l->graph->snapshot->chunks, it, c) {
		if (l->reach[c.id] != INSP_REACH_INDIRECT || !group_of[l->leader[c.id]])
			continue;
		struct insp_leak_sum *sum = &t->groups.items[group_of[l->leader[c.id]] - 1].dragged;

		sum->count++;
		sum->bytes += c.size;
	}
}

int insp_leaks_group(struct insp_leaks *leaks, const struct insp_leak_grouping *grouping,
		     struct insp_error *err)
{
	static const struct insp_leak_grouping by_size = {.reaches = 0};
	size_t n = leaks->graph->nchunks + 1;
	uint64_t *dragged = dragged_bytes(leaks);
	uint32_t *group_of = insp_big_alloc(n, sizeof(*group_of)), reaches;
	struct table t = {0};
	bool ok = dragged && group_of;

	grouping = grouping ? grouping : &by_size;
	reaches = grouping->reaches ? grouping->reaches
				    : 1u << INSP_REACH_DEFINITE | 1u << INSP_REACH_POSSIBLE |
					      1u << INSP_REACH_INDIRECT;
	ok = ok && group_own(leaks, grouping, reaches, dragged, &t, group_of);
	if (ok && leaks->leader)
		group_dragged(leaks, &t, group_of);
	insp_big_free(dragged, n, sizeof(*dragged));
	insp_big_free(group_of, n, sizeof(*group_of));
	free(t.slots);
	if (!ok || insp_interrupted()) {
		insp_vec_free(&t.groups);
		return ok ? insp_fail(err, INSP_E_INTERRUPTED, "interrupted")
			  : insp_fail(err, INSP_E_NOMEM, "out of memory for grouping leaks");
	}
	if (t.groups.n)
		qsort(t.groups.items, t.groups.n, sizeof(*t.groups.items), group_compare);
	free(leaks->groups);
	leaks->groups = t.groups.items;
	leaks->ngroups = t.groups.n;
	return 0;
}
