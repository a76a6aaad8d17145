/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * paths: a flood backwards from the chunk asked for. Each chunk that it meets remembers the next
 * one on the way; then every root whose target was met has its path. First along pointers to
 * starts only, then along all of them, so that the surer paths come first.
 */
#include "analysis/paths.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/reverse.h"
#include "base/big.h"
#include "base/log.h"

#define INTERRUPT_EVERY 0xffff

struct collect_refs {
	insp_ref_fn fn;
	void *ctx;
	struct insp_ref ref;
	uint32_t target;
	bool go_on;
};

static bool on_edge(void *ctx, const struct insp_edge *edge)
{
	struct collect_refs *c = ctx;

	if (edge->target != c->target)
		return true;
	c->ref.edge = *edge;
	c->go_on = c->fn(c->ctx, &c->ref);
	return c->go_on;
}

int insp_refs_to(const struct insp_graph *graph, uint32_t id, insp_ref_fn fn, void *ctx,
		 struct insp_error *err)
{
	struct collect_refs c = {.fn = fn, .ctx = ctx, .target = id, .go_on = true};

	for (size_t i = 0; i < graph->nroots; i++) {
		const struct insp_root *r = &graph->roots[i];
		struct insp_ref ref = {.root = r, .source = UINT32_MAX};

		if (INSP_EDGE_TARGET(r->edge) != id)
			continue;
		ref.edge = (struct insp_edge){.addr = r->addr, .target = id,
					      .interior = (r->edge & INSP_EDGE_INTERIOR) != 0};
		if (!fn(ctx, &ref))
			return 0;
	}
	for (size_t s = 0; s < graph->nchunks && c.go_on; s++) {
		bool found = false;

		if ((s & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		for (uint32_t e = graph->first[s]; e < graph->first[s + 1] && !found; e++)
			found = INSP_EDGE_TARGET(graph->edges[e]) == id;
		if (!found)
			continue;
		c.ref = (struct insp_ref){.source = (uint32_t)s};
		insp_graph_edges_of(graph, (uint32_t)s, on_edge, &c);
	}
	return 0;
}

struct find_edge {
	uint32_t target;
	bool found;
	struct insp_edge *ret;
};

static bool on_better_edge(void *ctx, const struct insp_edge *edge)
{
	struct find_edge *f = ctx;

	if (edge->target != f->target)
		return true;
	if (!f->found || !edge->interior)
		*f->ret = *edge;
	f->found = true;
	return edge->interior;
}

bool insp_edge_between(const struct insp_graph *graph, uint32_t source, uint32_t target,
		       struct insp_edge *ret)
{
	struct find_edge f = {.target = target, .ret = ret};

	insp_graph_edges_of(graph, source, on_better_edge, &f);
	return f.found;
}

/* next[id]: the chunk after it on the way, plus one; 0: not met. */
struct flood {
	const struct insp_graph *graph;
	struct insp_reverse reverse;
	uint32_t *next, *queue;
	size_t tail;
	size_t by_start; /* entries of the queue that the first flood met */
};

static bool flood(struct flood *f, bool interiors)
{
	const struct insp_reverse *r = &f->reverse;

	for (size_t head = 0; head < f->tail; head++) {
		uint32_t id = f->queue[head];

		if ((head & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return false;
		for (uint32_t e = r->first[id]; e < r->first[id + 1]; e++) {
			uint32_t source = INSP_EDGE_TARGET(r->edges[e]);

			if (f->next[source] || (!interiors && r->edges[e] & INSP_EDGE_INTERIOR))
				continue;
			f->next[source] = id + 1;
			f->queue[f->tail++] = source;
		}
	}
	return true;
}

/* Chunks from `from` to the end of its way. */
static size_t length(const struct flood *f, uint32_t from, uint32_t to)
{
	size_t n = 1;

	for (uint32_t at = from; at != to; at = f->next[at] - 1)
		n++;
	return n;
}

struct candidate {
	const struct insp_root *root;
	size_t order; /* place of its target in the flood: surer and shorter ones first */
};

static int candidate_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

static int add_path(const struct flood *f, const struct candidate *c, uint32_t id,
		    struct insp_pool *pool, struct insp_path *ret)
{
	uint32_t at = INSP_EDGE_TARGET(c->root->edge);

	ret->root = c->root;
	ret->n = length(f, at, id);
	ret->by_start = c->order < f->by_start && !(c->root->edge & INSP_EDGE_INTERIOR);
	ret->chunks = insp_pool_array(pool, ret->n, sizeof(*ret->chunks));
	if (!ret->chunks)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < ret->n; i++, at = f->next[at] - 1)
		ret->chunks[i] = at;
	return 0;
}

/* Turns next[] into places in the queue for those that roots point to, and picks the best. */
static int pick(const struct flood *f, uint32_t id, size_t max, struct insp_pool *pool,
		struct insp_paths *ret)
{
	const struct insp_graph *g = f->graph;
	struct candidate *c = calloc(g->nroots + 1, sizeof(*c));
	uint32_t *place = insp_big_alloc(g->nchunks + 1, sizeof(*place));
	size_t n = 0;
	int rc = c && place ? 0 : INSP_E_NOMEM;

	for (size_t i = 0; i < f->tail && !rc; i++)
		place[f->queue[i]] = (uint32_t)i;
	for (size_t i = 0; i < g->nroots && !rc; i++) {
		uint32_t t = INSP_EDGE_TARGET(g->roots[i].edge);

		if (!f->next[t])
			continue;
		c[n].root = &g->roots[i];
		c[n].order = place[t];
		if (g->roots[i].edge & INSP_EDGE_INTERIOR)
			c[n].order += f->tail; /* unsure from its first step */
		n++;
	}
	if (n)
		qsort(c, n, sizeof(*c), candidate_compare);
	ret->nroots = n;
	n = n < max ? n : max;
	ret->items = insp_pool_array(pool, n + 1, sizeof(*ret->items));
	if (!ret->items)
		rc = INSP_E_NOMEM;
	for (; ret->n < n && !rc; ret->n++)
		rc = add_path(f, &c[ret->n], id, pool, &ret->items[ret->n]);
	free(c);
	insp_big_free(place, g->nchunks + 1, sizeof(*place));
	return rc;
}

int insp_paths_to(const struct insp_graph *graph, uint32_t id, size_t max, struct insp_pool *pool,
		  struct insp_paths *ret, struct insp_error *err)
{
	struct flood f = {.graph = graph};
	struct insp_paths paths = {0};
	int rc = insp_reverse_init(&f.reverse, graph);

	f.next = insp_big_alloc(graph->nchunks + 1, sizeof(*f.next));
	f.queue = insp_big_alloc(graph->nchunks + 1, sizeof(*f.queue));
	if (!rc && (!f.next || !f.queue))
		rc = INSP_E_NOMEM;
	if (!rc) {
		f.next[id] = id + 1;
		f.queue[f.tail++] = id;
		if (!flood(&f, false))
			rc = INSP_E_INTERRUPTED;
		f.by_start = f.tail;
		if (!rc && !flood(&f, true))
			rc = INSP_E_INTERRUPTED;
	}
	if (!rc)
		rc = pick(&f, id, max, pool, &paths);
	insp_reverse_deinit(&f.reverse);
	insp_big_free(f.next, graph->nchunks + 1, sizeof(*f.next));
	insp_big_free(f.queue, graph->nchunks + 1, sizeof(*f.queue));
	if (rc)
		return insp_fail(err, (enum insp_code)rc, rc == INSP_E_NOMEM
				 ? "out of memory for paths" : "interrupted");
	*ret = paths;
	return 0;
}
