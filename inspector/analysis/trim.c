/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * trim: malloc_trim on paper.
 *
 * What glibc does (malloc/malloc.c, mtrim and systrim, alike from 2.26 to 2.43), for each arena:
 *   1. fastbin chunks are coalesced with free neighbours, or with top;
 *   2. of every chunk in a bin, the whole pages behind its first 48 bytes (a struct malloc_chunk,
 *      which stays) go back with madvise(MADV_DONTNEED);
 *   3. in the main arena only, the top is cut with sbrk to MINSIZE plus pad, in whole pages (or huge
 *      ones, with glibc.malloc.hugetlb=1), if it still ends where the heap segment ends. The tops
 *      of other arenas are left alone: only free() looks at those, when a large chunk next to top
 *      is freed.
 * tcache chunks count as in use there, and separate their neighbours.
 *
 * Only pages that are resident can go: what an earlier trim gave back is not promised twice.
 */
#include "analysis/trim.h"

#include <string.h>

#include "base/log.h"

#define CHUNK_STRUCT UINT64_C(48) /* sizeof(struct malloc_chunk): both heads and four links */
#define MINSIZE	     UINT64_C(32)
#define ASK_EVERY    (1u << 16)

/* Free chunks that follow each other and would be one. */
struct group {
	uint64_t start, end; /* start == end: none */
	uint32_t arena;
	bool fast;	     /* holds a fastbin chunk: then it joins a top behind it */
};

struct plan {
	const struct insp_snapshot *snap;
	struct insp_trim *trim;
	struct group group;
	uint64_t pad, page;
	uint64_t brk_end; /* 0: no brk area */
};

static uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

static uint64_t align_down(uint64_t v, uint64_t to)
{
	return v / to * to;
}

static struct insp_resident resident(const struct plan *p, uint64_t start, uint64_t end)
{
	if (start >= end)
		return (struct insp_resident){0};
	if (!p->trim->exact)
		return (struct insp_resident){.rss = end - start};
	return insp_residency_sum(&p->snap->residency, start, end);
}

static void close_group(struct plan *p)
{
	struct group *g = &p->group;
	struct insp_trim_arena *a = &p->trim->arenas[g->arena];
	struct insp_resident all = resident(p, g->start, g->end), inner = {0};
	uint64_t size = g->end - g->start, from = align_up(g->start + CHUNK_STRUCT, p->page);

	if (!size)
		return;
	if (size > p->page - 1 + CHUNK_STRUCT && g->end - from >= p->page)
		inner = resident(p, from, from + align_down(g->end - from, p->page));
	a->release_bins += inner.rss;
	a->release_swap += inner.swap;
	if (size > p->page - 1 + CHUNK_STRUCT)
		a->kept_edges += all.rss - inner.rss;
	else
		a->kept_small += all.rss;
	a->absent += size - all.rss;
	g->start = g->end = 0;
}

static bool in_bin(enum insp_chunk_state s)
{
	return s == INSP_CHUNK_UNSORTED || s == INSP_CHUNK_SMALLBIN || s == INSP_CHUNK_LARGEBIN;
}

static void plan_top(struct plan *p, const struct insp_chunk *c)
{
	const struct insp_arena *arena = &p->snap->arenas.items[c->arena];
	struct insp_trim_arena *a = &p->trim->arenas[c->arena];
	uint64_t start = c->addr, end = c->addr + c->size, extra = 0;
	uint64_t step = p->snap->allocators.items[arena->allocator].thp_page_size;
	struct insp_resident all, cut;

	if (!step)
		step = p->page;
	if (p->group.end == start && p->group.fast && p->group.arena == c->arena) {
		start = p->group.start;
		p->group.start = p->group.end = 0;
	} else {
		close_group(p);
	}
	if (!(arena->flags & INSP_ARENA_MAIN)) {
		a->top_reason = "malloc_trim leaves the top of other arenas alone: free() cuts it when "
				"a chunk next to it is freed and it exceeds the trim threshold";
	} else if (align_up(end, p->page) != p->brk_end) {
		a->top_reason = "it does not end where the heap segment ends: another user of brk, or "
				"the arena went on in a mapping";
	} else {
		if (end - start > MINSIZE + 1 && end - start - MINSIZE - 1 > p->pad)
			extra = align_down(end - start - MINSIZE - 1 - p->pad, step);
		if (p->pad)
			a->top_reason = "the pad that was asked for, rounded up to a page";
		else
			a->top_reason = step > p->page ? "with huge pages, top is cut in steps of one"
						       : "malloc keeps the first part of top, up to a page";
	}
	all = resident(p, start, end);
	cut = resident(p, end - extra, end);
	a->release_top += cut.rss;
	a->release_swap += cut.swap;
	a->kept_top += all.rss - cut.rss;
	a->absent += end - start - all.rss;
}

static void plan_chunk(struct plan *p, const struct insp_chunk *c)
{
	struct group *g = &p->group;
	struct insp_trim_arena *a = &p->trim->arenas[c->arena];

	if (!a->trims || !insp_chunk_state_free(c->state)) {
		close_group(p);
		return;
	}
	if (c->state == INSP_CHUNK_TOP) {
		plan_top(p, c);
		return;
	}
	if (in_bin(c->state) || c->state == INSP_CHUNK_FASTBIN) {
		if (g->start == g->end || g->end != c->addr || g->arena != c->arena) {
			close_group(p);
			*g = (struct group){.start = c->addr, .arena = c->arena};
		}
		g->end = c->addr + c->size;
		g->fast |= c->state == INSP_CHUNK_FASTBIN;
		return;
	}
	close_group(p);
	struct insp_resident all = resident(p, c->addr, c->addr + c->size);

	if (c->state == INSP_CHUNK_TCACHE)
		a->kept_tcache += all.rss;
	else
		a->kept_small += all.rss;
	a->absent += c->size - all.rss;
}

static void add(struct insp_trim_arena *to, const struct insp_trim_arena *a)
{
	to->release_bins += a->release_bins;
	to->release_top += a->release_top;
	to->release_swap += a->release_swap;
	to->kept_tcache += a->kept_tcache;
	to->kept_small += a->kept_small;
	to->kept_edges += a->kept_edges;
	to->kept_top += a->kept_top;
	to->absent += a->absent;
}

int insp_trim_plan(const struct insp_snapshot *snapshot, uint64_t pad, struct insp_pool *pool,
		   struct insp_trim *ret, struct insp_error *err)
{
	struct plan p = {.snap = snapshot, .trim = ret, .pad = pad, .page = snapshot->page_size};
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint32_t seen = 0;

	*ret = (struct insp_trim){.exact = snapshot->residency.known};
	ret->arenas = insp_pool_array(pool, snapshot->arenas.n + 1, sizeof(*ret->arenas));
	if (!ret->arenas)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the arenas' figures");
	for (size_t i = 0; i < snapshot->arenas.n; i++) {
		const struct insp_arena *a = &snapshot->arenas.items[i];

		ret->arenas[i].trims = a->allocator < snapshot->allocators.n &&
				       !(a->flags & INSP_ARENA_MMAPPED) &&
				       !strcmp(snapshot->allocators.items[a->allocator].name, "glibc");
	}
	for (size_t i = 0; i < snapshot->regions.n; i++)
		if (snapshot->regions.items[i].flags & INSP_REGION_BRK)
			p.brk_end = snapshot->regions.items[i].end;
	insp_chunks_each(snapshot->chunks, it, c) {
		if (++seen % ASK_EVERY == 0) {
			insp_progress("planning the trim", seen, snapshot->chunks->n);
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		}
		if (c.arena < snapshot->arenas.n)
			plan_chunk(&p, &c);
	}
	close_group(&p);
	for (size_t i = 0; i < snapshot->arenas.n; i++)
		add(&ret->total, &ret->arenas[i]);
	return 0;
}
