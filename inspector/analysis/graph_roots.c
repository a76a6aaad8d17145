/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * graph_roots: the words from which the program itself starts when it looks for a chunk.
 *
 * Everything that was captured and lies in no heap is looked at, region by region; a region's use
 * says what a word in it is. On a stack only what lies above the stack pointer less the red zone
 * counts, for what is below was left behind by calls that returned.
 *
 * Two words are known to be meant as the start of a chunk although they point into it: the
 * dynamic thread vector in the thread control block (glibc keeps a pointer to its second entry,
 * elf/dl-tls.c), and the stack pointer of a thread whose stack is itself a chunk.
 *
 * TLS of a thread that glibc made lies at the top of its stack's mapping. Where it begins is told
 * by the outermost frame if the stack was unwound to its end; otherwise only what lies above the
 * thread pointer is called TLS. That is a matter of names: both are roots.
 */
#include "analysis/graph_roots.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/vec.h"

#define BATCH	     256
#define TLS_BELOW    (UINT64_C(64) << 10) /* static TLS lies below the thread pointer */
#define TLS_ABOVE    UINT64_C(4096)	  /* struct pthread above it */
#define DTV_OFFSET   8			  /* in the thread control block */

/* A stack in use. Sorted by region, then by low. */
struct stack {
	uint32_t region, thread;
	uint64_t low; /* first byte that counts */
	uint64_t tls; /* from here on it is TLS */
};

struct collector {
	struct insp_graph *graph;
	INSP_VEC(struct insp_root) roots;
	INSP_VEC(struct stack) stacks;
	INSP_VEC(uint32_t) tls; /* threads whose TLS is not at the top of their stack */
	struct insp_finder finder;
	uint64_t addrs[BATCH], values[BATCH];
	size_t n;
	size_t region; /* cursor: index of the first region that ends behind the last word */
	bool in_heap;  /* words are from parts of a heap that could not be explained */
	bool failed;
};

static size_t region_index(const struct insp_snapshot *snap, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(&snap->regions, addr);

	return r ? (size_t)(r - snap->regions.items) : SIZE_MAX;
}

static int stack_compare(const void *a, const void *b)
{
	const struct stack *x = a, *y = b;

	if (x->region != y->region)
		return x->region < y->region ? -1 : 1;
	return x->low < y->low ? -1 : x->low > y->low;
}

/* Where the thread's TLS begins in its stack's mapping; UINT64_MAX: not there. */
static uint64_t tls_start(const struct insp_thread *t, const struct insp_region *r)
{
	uint64_t top = 0;

	if (t->fs_base < r->start || t->fs_base >= r->end)
		return UINT64_MAX;
	if (!t->frames.end_reason && !t->frames.truncated)
		for (size_t i = 0; i < t->frames.n; i++)
			if (t->frames.items[i].sp > top && t->frames.items[i].sp < t->fs_base)
				top = t->frames.items[i].sp;
	/* The frame of clone() is a few words long, and aligned. */
	return top && top >= r->start ? top + 64 : t->fs_base;
}

static void find_stacks(struct collector *c)
{
	const struct insp_snapshot *snap = c->graph->snapshot;

	for (size_t i = 0; i < snap->threads.n; i++) {
		const struct insp_thread *t = &snap->threads.items[i];
		uint64_t sp = t->regs[INSP_REG_RSP];
		size_t at = t->have_regs ? region_index(snap, sp) : SIZE_MAX;
		struct stack *s;

		if (at == SIZE_MAX)
			continue;
		s = insp_vec_push(&c->stacks);
		if (!s) {
			c->failed = true;
			return;
		}
		*s = (struct stack){.region = (uint32_t)at, .thread = (uint32_t)i,
				    .low = (sp - INSP_RED_ZONE_BYTES) & ~UINT64_C(7),
				    .tls = tls_start(t, &snap->regions.items[at])};
	}
	if (c->stacks.n)
		qsort(c->stacks.items, c->stacks.n, sizeof(*c->stacks.items), stack_compare);
}

static bool region_in_heap(const struct insp_snapshot *snap, const struct insp_region *r)
{
	return insp_chunks_at(snap->chunks, r->start) >= 0 ||
	       insp_chunks_at(snap->chunks, r->end - 1) >= 0 || r->flags & INSP_REGION_BRK;
}

/*
 * Its hull goes to the end of its .bss. Anonymous memory further behind is the kernel's choice for the
 * next mmap(): arenas of an interpreter end up there, and naming a library as their holder misleads.
 */
static bool region_of_module(const struct insp_snapshot *snap, size_t i)
{
	const struct insp_region *r = &snap->regions.items[i];

	if (r->flags & (INSP_REGION_BRK | INSP_REGION_STACK))
		return false;
	return insp_modules_find(&snap->modules, r->start);
}

static void classify_regions(struct collector *c)
{
	const struct insp_snapshot *snap = c->graph->snapshot;

	for (size_t i = 0; i < snap->regions.n; i++) {
		const struct insp_region *r = &snap->regions.items[i];
		struct insp_region_roots *out = &c->graph->regions[i];

		out->thread = UINT32_MAX;
		if (r->flags & INSP_REGION_DEVICE)
			out->use = INSP_USE_DEVICE;
		else if (!(r->prot & INSP_PROT_WRITE) || !(r->prot & INSP_PROT_READ))
			out->use = INSP_USE_READ_ONLY;
		else if (r->flags & INSP_REGION_SHARED)
			out->use = INSP_USE_SHARED;
		else if (region_in_heap(snap, r))
			out->use = INSP_USE_HEAP;
		else if (region_of_module(snap, i))
			out->use = INSP_USE_DATA;
		else
			out->use = INSP_USE_MEMORY;
	}
	for (size_t i = 0; i < snap->threads.n; i++) {
		size_t at = region_index(snap, snap->threads.items[i].fs_base);

		if (at != SIZE_MAX && c->graph->regions[at].use == INSP_USE_MEMORY) {
			c->graph->regions[at].use = INSP_USE_TLS;
			c->graph->regions[at].thread = (uint32_t)i;
		}
	}
	for (size_t i = 0; i < c->stacks.n; i++) {
		struct insp_region_roots *out = &c->graph->regions[c->stacks.items[i].region];

		if (out->use == INSP_USE_MEMORY || out->use == INSP_USE_TLS) {
			out->use = INSP_USE_STACK;
			out->thread = c->stacks.items[i].thread;
		}
	}
	for (size_t i = 0; i < snap->threads.n; i++) {
		size_t at = region_index(snap, snap->threads.items[i].fs_base);
		uint32_t *thread;

		if (at == SIZE_MAX || c->graph->regions[at].use == INSP_USE_STACK)
			continue;
		thread = insp_vec_push(&c->tls);
		if (thread)
			*thread = (uint32_t)i;
		else
			c->failed = true;
	}
}

/* The stack of the region whose used part holds addr; NULL if addr lies below all of them. */
static const struct stack *stack_of(const struct collector *c, size_t region, uint64_t addr)
{
	const struct stack *found = NULL;
	size_t lo = 0, hi = c->stacks.n;

	while (lo < hi) { /* the last one of (region, low) at or before (region, addr) */
		size_t mid = lo + (hi - lo) / 2;
		const struct stack *s = &c->stacks.items[mid];

		if (s->region < region || (s->region == region && s->low <= addr)) {
			found = s;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return found && found->region == region ? found : NULL;
}

/* The thread whose TLS, outside of its stack, holds addr; UINT32_MAX none. */
static uint32_t tls_owner(const struct collector *c, uint64_t addr)
{
	for (size_t i = 0; i < c->tls.n; i++) {
		uint64_t tp = c->graph->snapshot->threads.items[c->tls.items[i]].fs_base;

		if (addr < tp + TLS_ABOVE && addr + TLS_BELOW >= tp)
			return c->tls.items[i];
	}
	return UINT32_MAX;
}

/* What a word at addr in region is; false: it does not count. Fills kind and owner. */
static bool classify_word(const struct collector *c, size_t region, uint64_t addr,
			  struct insp_root *root)
{
	const struct stack *s;
	uint32_t thread;

	root->owner = (uint32_t)region;
	if (c->in_heap) {
		root->kind = INSP_ROOT_UNKNOWN;
		return true;
	}
	switch (c->graph->regions[region].use) {
	case INSP_USE_DATA:
		root->kind = INSP_ROOT_DATA;
		return true;
	case INSP_USE_STACK:
		s = stack_of(c, region, addr);
		if (!s)
			return false;
		root->kind = addr >= s->tls ? INSP_ROOT_TLS : INSP_ROOT_STACK;
		root->owner = s->thread;
		return true;
	case INSP_USE_TLS:
	case INSP_USE_MEMORY:
	case INSP_USE_HEAP: /* between its spans: a static program keeps its TLS there */
		root->kind = INSP_ROOT_MEMORY;
		thread = tls_owner(c, addr);
		if (thread != UINT32_MAX) {
			root->kind = INSP_ROOT_TLS;
			root->owner = thread;
		}
		return true;
	default:
		return false;
	}
}

static void root_push(struct collector *c, const struct insp_root *root)
{
	struct insp_root *r = insp_vec_push(&c->roots);

	if (r)
		*r = *root;
	else
		c->failed = true;
}

static void flush(struct collector *c)
{
	const struct insp_snapshot *snap = c->graph->snapshot;
	uint32_t hits[BATCH];

	insp_chunks_hits(snap->chunks, &c->finder, c->values, c->n, hits);
	for (size_t i = 0; i < c->n; i++) {
		struct insp_root root = {.addr = c->addrs[i], .edge = hits[i]};

		if (hits[i] == INSP_HIT_NONE)
			continue;
		if (c->region >= snap->regions.n || snap->regions.items[c->region].start > root.addr ||
		    snap->regions.items[c->region].end <= root.addr)
			c->region = region_index(snap, root.addr);
		if (c->region == SIZE_MAX || !classify_word(c, c->region, root.addr, &root))
			continue;
		if (root.kind == INSP_ROOT_TLS &&
		    root.addr == snap->threads.items[root.owner].fs_base + DTV_OFFSET)
			root.edge &= ~INSP_EDGE_INTERIOR;
		c->graph->regions[c->region].nroots++;
		root_push(c, &root);
	}
	c->n = 0;
}

static bool collect_range(struct collector *c, uint64_t start, uint64_t end)
{
	struct insp_pointers_iter it;
	uint64_t addr, value, steps = 0;

	if (start >= end)
		return true;
	insp_pointers_from(&it, c->graph->snapshot->pointers, start, end);
	while (insp_pointers_next(&it, &addr, &value)) {
		if ((++steps & 0xfffff) == 0 && insp_interrupted())
			return false;
		c->addrs[c->n] = addr;
		c->values[c->n++] = value;
		if (c->n == BATCH)
			flush(c);
	}
	return true;
}

/* Parts of heaps that the walk could not explain may be in use: their words count. */
static bool collect_unknown(struct collector *c)
{
	const struct insp_chunks *chunks = c->graph->snapshot->chunks;
	const uint8_t *states = chunks->states;
	struct insp_chunk ch;

	c->in_heap = true;
	for (size_t i = 0; i < chunks->n; i++) {
		if ((states[i] & INSP_CHUNK_STATE_MASK) != INSP_CHUNK_UNKNOWN)
			continue;
		insp_chunks_get(chunks, (uint32_t)i, &ch);
		if (!collect_range(c, ch.addr, ch.addr + ch.size))
			return false;
	}
	flush(c);
	c->in_heap = false;
	return true;
}

static void collect_registers(struct collector *c)
{
	const struct insp_snapshot *snap = c->graph->snapshot;

	for (size_t i = 0; i < snap->threads.n; i++) {
		const struct insp_thread *t = &snap->threads.items[i];
		uint32_t hits[INSP_N_REGS];

		if (!t->have_regs)
			continue;
		insp_chunks_hits(snap->chunks, &c->finder, t->regs, INSP_N_REGS, hits);
		for (uint32_t r = 0; r < INSP_N_REGS; r++) {
			struct insp_root root = {.addr = r, .edge = hits[r],
						 .kind = INSP_ROOT_REGISTER, .owner = (uint32_t)i};

			if (hits[r] == INSP_HIT_NONE || r == INSP_REG_RIP)
				continue;
			if (r == INSP_REG_RSP)
				root.edge &= ~INSP_EDGE_INTERIOR;
			root_push(c, &root);
		}
	}
}

/* By kind; they come in address order within each kind, and stay so. */
static bool sort_roots(struct collector *c)
{
	size_t at[INSP_N_ROOT_KINDS + 1] = {0};
	struct insp_root *sorted = malloc((c->roots.n + 1) * sizeof(*sorted));

	if (!sorted)
		return false;
	for (size_t i = 0; i < c->roots.n; i++)
		at[c->roots.items[i].kind + 1]++;
	for (size_t k = 1; k <= INSP_N_ROOT_KINDS; k++)
		at[k] += at[k - 1];
	for (size_t i = 0; i < c->roots.n; i++)
		sorted[at[c->roots.items[i].kind]++] = c->roots.items[i];
	c->graph->roots = sorted;
	c->graph->nroots = c->roots.n;
	return true;
}

int insp_graph_find_roots(struct insp_graph *graph, struct insp_error *err)
{
	const struct insp_chunks *chunks = graph->snapshot->chunks;
	struct collector *c = calloc(1, sizeof(*c));
	uint64_t from = 0;
	bool done = true;
	int rc = 0;

	if (!c)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the graph");
	c->graph = graph;
	find_stacks(c);
	classify_regions(c);
	for (size_t i = 0; i < chunks->nspans && done; i++) {
		done = collect_range(c, from, chunks->spans[i].start);
		from = chunks->spans[i].end;
	}
	done = done && collect_range(c, from, UINT64_MAX);
	flush(c);
	done = done && collect_unknown(c);
	collect_registers(c);
	if (!done)
		rc = insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	else if (c->failed || !sort_roots(c))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the roots of the graph");
	insp_vec_free(&c->roots);
	insp_vec_free(&c->stacks);
	insp_vec_free(&c->tls);
	free(c);
	return rc;
}
