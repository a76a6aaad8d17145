/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * graph: the edges. Chunks in the order of their ids and pointers in address order go forward
 * together; what the pointers hit is looked up in batches. Two workers each take half of the
 * pointers and write to their own part of one array; the second part is then moved down to the
 * end of the first. The roots are graph_roots.c.
 */
#include "analysis/graph.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/graph_roots.h"
#include "base/big.h"
#include "base/log.h"
#include "base/vec.h"
#include "base/worker.h"

#define BATCH		   256
#define PARALLEL_POINTERS  200000 /* below, a second thread is not worth its start */
#define INTERRUPT_EVERY	   0x7fff

static const struct {
	const char *key, *text;
} uses[INSP_N_REGION_USES] = {
	[INSP_USE_DATA] = {"data", "searched: data of a module"},
	[INSP_USE_STACK] = {"stack", "searched: stack of a thread, above its stack pointer"},
	[INSP_USE_TLS] = {"tls", "searched: thread-local storage"},
	[INSP_USE_MEMORY] = {"memory", "searched: no allocator and no module claims it"},
	[INSP_USE_HEAP] = {"heap", "not a root: chunks in it count once something reaches them"},
	[INSP_USE_READ_ONLY] = {"read_only", "not a root: the program cannot write to it"},
	[INSP_USE_SHARED] = {"shared", "not searched: shared memory"},
	[INSP_USE_DEVICE] = {"device", "not searched: not memory"},
};

static const char *const root_kinds[INSP_N_ROOT_KINDS] = {
	[INSP_ROOT_DATA] = "data",     [INSP_ROOT_TLS] = "tls",
	[INSP_ROOT_REGISTER] = "register", [INSP_ROOT_STACK] = "stack",
	[INSP_ROOT_MEMORY] = "memory", [INSP_ROOT_UNKNOWN] = "unknown",
};

const char *insp_root_kind_key(enum insp_root_kind kind)
{
	return kind < INSP_N_ROOT_KINDS ? root_kinds[kind] : "invalid";
}

const char *insp_region_use_key(enum insp_region_use use)
{
	return use < INSP_N_REGION_USES ? uses[use].key : "invalid";
}

const char *insp_region_use_text(enum insp_region_use use)
{
	return use < INSP_N_REGION_USES ? uses[use].text : "invalid";
}

/* Half of the chunks: ids [from, to). */
struct worker {
	const struct insp_graph *graph;
	uint32_t from, to;
	uint32_t *first; /* the graph's: this worker fills (from, to], counted from 0 */
	uint32_t *edges; /* its own part */
	size_t nedges;
	uint32_t filled; /* first[] is done up to here */
	struct insp_finder finder;
	uint64_t values[BATCH];
	uint32_t sources[BATCH];
	size_t n;
	bool shows_progress, interrupted;
};

static void worker_flush(struct worker *w)
{
	uint32_t hits[BATCH];

	insp_chunks_hits(w->graph->snapshot->chunks, &w->finder, w->values, w->n, hits);
	for (size_t i = 0; i < w->n; i++) {
		if (hits[i] == INSP_HIT_NONE)
			continue;
		while (w->filled < w->sources[i])
			w->first[++w->filled] = (uint32_t)w->nedges;
		w->edges[w->nedges++] = hits[i];
	}
	w->n = 0;
}

/* Chunks of one span from address start on, until the worker's last id. */
static void worker_span(struct worker *w, const struct insp_span *span, uint64_t start)
{
	const struct insp_snapshot *snap = w->graph->snapshot;
	struct insp_pointers_iter it;
	struct insp_chunk_iter chunks;
	struct insp_chunk c;
	uint64_t addr, value, steps = 0;
	bool have;

	insp_chunk_iter_from(&chunks, snap->chunks, start);
	insp_pointers_from(&it, snap->pointers, start, span->end + span->geometry.tail);
	have = insp_pointers_next(&it, &addr, &value);
	while (have && insp_chunk_iter_next(&chunks, &c) && c.addr < span->end && c.id < w->to) {
		bool live = insp_chunk_state_live(c.state);

		if ((++steps & INTERRUPT_EVERY) == 0) {
			w->interrupted = insp_interrupted();
			if (w->interrupted)
				return;
			if (w->shows_progress)
				insp_progress("finding what points where", c.id - w->from,
					      w->to - w->from);
		}
		while (have && addr < c.mem)
			have = insp_pointers_next(&it, &addr, &value);
		for (; have && addr < c.mem + c.usable;
		     have = insp_pointers_next(&it, &addr, &value)) {
			if (!live)
				continue;
			w->values[w->n] = value;
			w->sources[w->n++] = c.id;
			if (w->n == BATCH)
				worker_flush(w);
		}
	}
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	const struct insp_chunks *chunks = w->graph->snapshot->chunks;

	w->filled = w->from;
	for (size_t i = 0; i < chunks->nspans && !w->interrupted; i++) {
		const struct insp_span *s = &chunks->spans[chunks->by_first[i]];
		uint64_t start = s->start;
		struct insp_chunk c;

		if (s->first + s->n <= w->from)
			continue;
		if (s->first >= w->to)
			break;
		if (s->first < w->from) {
			insp_chunks_get(chunks, w->from, &c);
			start = c.addr;
		}
		worker_span(w, s, start);
	}
	worker_flush(w);
	while (w->filled < w->to)
		w->first[++w->filled] = (uint32_t)w->nedges;
	return NULL;
}

/* Pointers in pages that [start, end) touches: at least as many as in it. */
static uint64_t pointers_within(const struct insp_pointers *p, uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (size_t i = insp_pointers_page_from(p, start); i < p->npages && p->pages[i].addr < end;
	     i++)
		n += p->pages[i].n;
	return n;
}

/*
 * The id that parts the pointers into halves, and a bound of how many lie before it. 0 when they
 * are better not parted.
 */
static uint32_t find_middle(const struct insp_snapshot *snap, uint64_t *ret_bound)
{
	const struct insp_chunks *chunks = snap->chunks;
	const struct insp_pointers *p = snap->pointers;
	uint64_t half = p->n / 2, before = 0;

	for (size_t k = 0; k < chunks->nspans; k++) {
		const struct insp_span *s = &chunks->spans[chunks->by_first[k]];
		uint64_t here = pointers_within(p, s->start, s->end + 8);
		struct insp_chunk c;
		size_t i;

		if (before + here < half) {
			before += here;
			continue;
		}
		for (i = insp_pointers_page_from(p, s->start);
		     i < p->npages && p->pages[i].addr < s->end && before < half; i++)
			before += p->pages[i].n;
		if (i >= p->npages || p->pages[i].addr >= s->end || p->pages[i].addr <= s->start) {
			*ret_bound = before + 1024; /* the page that the end of the span cuts */
			return s->first + s->n;
		}
		insp_chunks_get(chunks, (uint32_t)insp_chunks_at(chunks, p->pages[i].addr), &c);
		*ret_bound = before + pointers_within(p, p->pages[i].addr, c.addr + c.size + 8);
		return c.id + 1;
	}
	return 0;
}

static int build_edges(struct insp_graph *g, unsigned nthreads, struct insp_error *err)
{
	const struct insp_snapshot *snap = g->snapshot;
	struct worker *workers = calloc(2, sizeof(*workers));
	uint32_t n = (uint32_t)g->nchunks, middle = 0;
	uint64_t bound = 0;
	pthread_t thread;
	bool threaded = false, interrupted;

	if (!workers)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the graph");
	if (nthreads > 1)
		middle = find_middle(snap, &bound);
	if (middle >= n)
		middle = 0;
	workers[0] = (struct worker){.graph = g, .from = middle, .to = n, .first = g->first,
				     .edges = g->edges + bound, .shows_progress = true};
	if (!middle)
		workers[0].edges = g->edges;
	workers[1] = (struct worker){.graph = g, .from = 0, .to = middle, .first = g->first,
				     .edges = g->edges};
	if (middle) {
		threaded = insp_worker_start(&thread, worker_run, &workers[1]) == 0;
		if (!threaded)
			(void)worker_run(&workers[1]);
	}
	(void)worker_run(&workers[0]);
	if (threaded)
		pthread_join(thread, NULL);
	if (middle) {
		uint32_t shift = (uint32_t)workers[1].nedges;

		memmove(g->edges + shift, workers[0].edges, workers[0].nedges * sizeof(*g->edges));
		for (uint32_t i = middle + 1; i <= n && i; i++)
			g->first[i] += shift;
	}
	g->nedges = workers[0].nedges + workers[1].nedges;
	interrupted = workers[0].interrupted || workers[1].interrupted;
	free(workers);
	if (interrupted)
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	insp_big_shrink(g->edges, g->edges_cap, g->nedges, sizeof(*g->edges));
	g->edges_cap = g->nedges;
	return 0;
}

static unsigned useful_threads(const struct insp_snapshot *snap, unsigned wanted)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted)
		return wanted;
	return cpus > 1 && snap->pointers->n >= PARALLEL_POINTERS ? 2 : 1;
}

int insp_graph_create(const struct insp_snapshot *snapshot, unsigned nthreads,
		      struct insp_graph **ret, struct insp_error *err)
{
	struct insp_graph *g;
	int rc;

	if (!snapshot->pointers || !snapshot->pointers->sorted)
		return insp_fail(err, INSP_E_UNSUPPORTED, "the snapshot was taken without pointers");
	if (snapshot->chunks->n >= INSP_HIT_INTERIOR || snapshot->pointers->n >= UINT32_MAX)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "more than 2^31 chunks or 2^32 pointers: too many for the graph");
	g = calloc(1, sizeof(*g));
	if (!g)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the graph");
	g->snapshot = snapshot;
	g->nchunks = snapshot->chunks->n;
	g->nwords = snapshot->pointers->scanned_bytes / 8;
	/* The bound of find_middle may count the pages at both ends of a span twice. */
	g->edges_cap = snapshot->pointers->n + 1024 * (snapshot->chunks->nspans + 2);
	g->first = insp_big_alloc(g->nchunks + 1, sizeof(*g->first));
	g->edges = insp_big_alloc(g->edges_cap, sizeof(*g->edges));
	g->regions = calloc(snapshot->regions.n + 1, sizeof(*g->regions));
	if (!g->first || !g->edges || !g->regions) {
		insp_graph_destroy(g);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the graph");
	}
	rc = build_edges(g, useful_threads(snapshot, nthreads), err);
	if (!rc)
		rc = insp_graph_find_roots(g, err);
	if (rc) {
		insp_graph_destroy(g);
		return rc;
	}
	*ret = g;
	return 0;
}

void insp_graph_destroy(struct insp_graph *graph)
{
	if (!graph)
		return;
	insp_big_free(graph->first, graph->nchunks + 1, sizeof(*graph->first));
	insp_big_free(graph->edges, graph->edges_cap, sizeof(*graph->edges));
	free(graph->roots);
	free(graph->regions);
	free(graph);
}

void insp_graph_edges_of(const struct insp_graph *graph, uint32_t id, insp_edge_fn fn, void *ctx)
{
	const struct insp_snapshot *snap = graph->snapshot;
	struct insp_finder finder = {{0}};
	struct insp_pointers_iter it;
	struct insp_chunk c;
	uint64_t addr, value;
	uint32_t hit;

	if (id >= graph->nchunks || !insp_graph_live(graph, id))
		return;
	insp_chunks_get(snap->chunks, id, &c);
	insp_pointers_from(&it, snap->pointers, c.mem, c.mem + c.usable);
	while (insp_pointers_next(&it, &addr, &value)) {
		insp_chunks_hits(snap->chunks, &finder, &value, 1, &hit);
		if (hit == INSP_HIT_NONE)
			continue;
		struct insp_edge edge = {.addr = addr, .offset = addr - c.mem, .value = value,
					 .target = INSP_EDGE_TARGET(hit),
					 .interior = (hit & INSP_EDGE_INTERIOR) != 0};
		if (!fn(ctx, &edge))
			return;
	}
}
