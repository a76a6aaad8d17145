/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_collect: which stretches of memory belong to which arena, in the order of the walk.
 *
 *     main arena    [sbrk_base, sbrk_base + system_mem)   as long as brk could always grow;
 *                   else pieces in anonymous mappings, found by glibc_mmapped.c
 *     arena N       heap_info | malloc_state | chunks ... fencepost   first heap
 *                   heap_info | chunks ... top                        newest heap
 *                   from top back over heap_info.prev; each aligned to heap_max
 */
#include "heap/glibc.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAX_HEAPS	 65536

struct heap_info {
	uint64_t addr, ar_ptr, prev, size;
};

uint64_t insp_glibc_mapped_end(const struct insp_regions *regions, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(regions, addr);
	uint64_t end = 0;

	for (; r && r->prot & INSP_PROT_WRITE && !(r->flags & INSP_REGION_DEVICE);
	     r = insp_regions_find(regions, end))
		end = r->end;
	return end;
}

bool insp_glibc_claimed(const struct insp_chunks *chunks, uint64_t start, uint64_t end,
			uint64_t *ret_end)
{
	for (size_t i = chunks->nspans; i-- > 0;)
		if (chunks->spans[i].start < end && start < chunks->spans[i].end) {
			*ret_end = chunks->spans[i].end;
			return true;
		}
	return false;
}

uint64_t insp_glibc_walked_bytes(const struct insp_glibc *g, uint32_t arena)
{
	uint64_t sum = 0;

	insp_vec_each(&g->segments, s)
		if (s->arena == arena)
			sum += s->end - s->start;
	return sum;
}

void insp_glibc_ranges(struct insp_glibc *g, const struct insp_regions *regions)
{
	uint64_t lo = UINT64_MAX, hi = 0;

	g->range[0].start = g->range[0].end = g->range[1].start = g->range[1].end = 0;
	for (size_t i = 0; i < g->arenas.n; i++) {
		const struct insp_glibc_arena *a = &g->arenas.items[i];

		if (a->main) {
			uint64_t base = g->par.have && g->par.sbrk_base ? g->par.sbrk_base : a->top;
			const struct insp_region *r = insp_regions_find(regions, base);

			if (!r)
				continue;
			g->range[0].start = r->start;
			g->range[0].end = insp_glibc_mapped_end(regions, base);
			if (a->flags & GLIBC_NONCONTIGUOUS || a->top < g->range[0].start ||
			    a->top >= g->range[0].end) {
				/* Its pieces may be anywhere among the mappings. */
				for (size_t k = 0; k < regions->n; k++) {
					r = &regions->items[k];
					if (!insp_region_anonymous(r) ||
					    !(r->prot & INSP_PROT_WRITE) ||
					    r->flags & (INSP_REGION_BRK | INSP_REGION_STACK))
						continue;
					lo = r->start < lo ? r->start : lo;
					hi = r->end > hi ? r->end : hi;
				}
			}
			continue;
		}
		uint64_t first = a->addr & ~(g->heap_max - 1), last = a->top & ~(g->heap_max - 1);

		lo = first < lo ? first : lo;
		hi = first + g->heap_max > hi ? first + g->heap_max : hi;
		if (insp_glibc_writable(regions, a->top)) {
			lo = last < lo ? last : lo;
			hi = last + g->heap_max > hi ? last + g->heap_max : hi;
		}
	}
	if (lo < hi) {
		g->range[1].start = lo;
		g->range[1].end = hi;
	}
}

static int par_read(struct insp_glibc *g, struct insp_space *space)
{
	uint8_t buf[256];

	if (!g->par_addr || g->par_layout.size > sizeof(buf) ||
	    insp_space_read(space, g->par_addr, buf, g->par_layout.size))
		return INSP_E_FAULT;
	insp_glibc_par_read(&g->par_layout, buf, &g->par);
	return 0;
}

/* Of any arena. */
static bool heap_look(const struct insp_glibc *g, struct insp_space *space, uint64_t addr,
		      struct heap_info *ret)
{
	uint64_t words[3];

	if (!addr || addr & (g->heap_max - 1) || insp_space_read(space, addr, words, sizeof(words)))
		return false;
	*ret = (struct heap_info){addr, words[0], words[1], words[2]};
	return ret->ar_ptr && ret->size >= g->heap_info_size + GLIBC_MIN_SIZE &&
	       ret->size <= g->heap_max && !(ret->size & (GLIBC_PAGE - 1));
}

static bool heap_read(const struct insp_glibc *g, struct insp_space *space, uint64_t addr,
		      uint64_t arena, struct heap_info *ret)
{
	return heap_look(g, space, addr, ret) && ret->ar_ptr == arena;
}

static void walk_heap(struct insp_glibc *g, const struct insp_heap_env *env,
		      struct insp_heap_result *result, uint32_t arena, const struct heap_info *h)
{
	const struct insp_glibc_arena *a = &g->arenas.items[arena];
	uint64_t first = h->addr + g->heap_info_size, end = h->addr + h->size, mapped;

	if (a->addr >= h->addr && a->addr < end)
		first = a->addr + g->state.size;
	first = (first + GLIBC_ALIGN - 1) & ~(GLIBC_ALIGN - 1);
	mapped = insp_glibc_mapped_end(env->regions, h->addr);
	if (end > mapped) {
		insp_heap_finding(result, env->pool, INSP_HEAP_HEADER, h->addr,
				  "heap_info says %" PRIu64 " bytes, %" PRIu64 " are mapped",
				  h->size, mapped - h->addr);
		end = mapped;
	}
	if (first + GLIBC_MIN_SIZE > end)
		return;
	(void)insp_glibc_walk_segment(g, env, result, arena, h->addr, first, end, false);
	result->arenas->items[a->index].nheaps++;
}

/* All that look like heaps, by arena and address: any aligned address may start one. */
struct heap_list {
	INSP_VEC(struct heap_info) heaps;
	bool listed;
};

static int by_arena(const void *a, const void *b)
{
	const struct heap_info *x = a, *y = b;

	if (x->ar_ptr != y->ar_ptr)
		return x->ar_ptr < y->ar_ptr ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static void list_heaps(const struct insp_glibc *g, const struct insp_heap_env *env,
		       struct heap_list *list)
{
	list->listed = true;
	for (size_t i = 0; i < env->regions->n; i++) {
		const struct insp_region *r = &env->regions->items[i];
		uint64_t at = (r->start + g->heap_max - 1) & ~(g->heap_max - 1);

		if (!insp_region_anonymous(r) || !(r->prot & INSP_PROT_WRITE))
			continue;
		for (; at < r->end; at += g->heap_max) {
			struct heap_info h, *item;

			if (!heap_look(g, env->space, at, &h))
				continue;
			item = insp_vec_push(&list->heaps);
			if (item)
				*item = h;
		}
	}
	if (list->heaps.n)
		qsort(list->heaps.items, list->heaps.n, sizeof(*list->heaps.items), by_arena);
}

/* Those of one arena that the chain over prev did not reach. Some thousands of arenas may all miss some. */
static void find_lost_heaps(struct insp_glibc *g, const struct insp_heap_env *env,
			    struct insp_heap_result *result, uint32_t arena, struct heap_list *list)
{
	const uint64_t addr = g->arenas.items[arena].addr;
	size_t lo = 0, hi;
	uint64_t unused;

	if (!list->listed)
		list_heaps(g, env, list);
	for (hi = list->heaps.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (list->heaps.items[mid].ar_ptr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < list->heaps.n && list->heaps.items[lo].ar_ptr == addr; lo++) {
		const struct heap_info *h = &list->heaps.items[lo];

		if (!insp_glibc_claimed(result->chunks, h->addr, h->addr + h->size, &unused))
			walk_heap(g, env, result, arena, h);
	}
}

static void walk_thread_arena(struct insp_glibc *g, const struct insp_heap_env *env,
			      struct insp_heap_result *result, uint32_t arena, struct heap_list *list)
{
	const struct insp_glibc_arena *a = &g->arenas.items[arena];
	uint64_t addr = a->top & ~(g->heap_max - 1), walked = 0, unused;
	const size_t first = g->segments.n;
	struct heap_info h;
	unsigned n;

	for (n = 0; (addr || !n) && n < MAX_HEAPS; n++, addr = h.prev) {
		if (!heap_read(g, env->space, addr, a->addr, &h)) {
			insp_heap_finding(result, env->pool, INSP_HEAP_HEADER, addr,
					  "no heap_info of the arena at %#" PRIx64
					  ", which %s leads here",
					  a->addr, n ? "heap_info.prev" : "top");
			break;
		}
		if (insp_glibc_claimed(result->chunks, h.addr, h.addr + h.size, &unused)) {
			insp_heap_finding(result, env->pool, INSP_HEAP_HEADER, addr,
					  "the list of heaps of the arena at %#" PRIx64
					  " comes back to a heap that was there already",
					  a->addr);
			break;
		}
		walk_heap(g, env, result, arena, &h);
	}
	for (size_t i = first; i < g->segments.n; i++)
		walked += g->segments.items[i].end - g->segments.items[i].start;
	if (walked < a->system_mem)
		find_lost_heaps(g, env, result, arena, list);
}

/* The last chunk of a walked segment becomes top when the arena's own pointer is wrong. */
static void mend_top(struct insp_glibc *g, const struct insp_heap_env *env,
		     struct insp_heap_result *result, const struct insp_glibc_arena *a,
		     uint64_t start, uint64_t end)
{
	if (a->top >= start && a->top < end && !(a->top & (GLIBC_ALIGN - 1)))
		return;
	insp_heap_finding(result, env->pool, INSP_HEAP_BAD_TOP, a->addr,
			  "top of the main arena is %#" PRIx64 ", no chunk of its memory "
			  "%#" PRIx64 "-%#" PRIx64,
			  a->top, start, end);
	if (result->chunks->n && !g->stats.nbad &&
	    result->chunks->states[result->chunks->n - 1] == INSP_CHUNK_INUSE)
		result->chunks->states[result->chunks->n - 1] = INSP_CHUNK_TOP;
}

/* Where the piece of memory that top lies in ends: only its size says so. */
uint64_t insp_glibc_top_end(const struct insp_glibc_arena *a, struct insp_space *space,
			    uint64_t start, uint64_t end)
{
	uint64_t head, top_end;

	if (a->top < start || a->top >= end || insp_space_u64(space, a->top + 8, &head) ||
	    __builtin_add_overflow(a->top, head & ~GLIBC_SIZE_BITS, &top_end) ||
	    top_end <= a->top || top_end > end || top_end & (GLIBC_ALIGN - 1))
		return end;
	return top_end;
}

static void walk_main_arena(struct insp_glibc *g, const struct insp_heap_env *env,
			    struct insp_heap_result *result, uint32_t arena)
{
	const struct insp_glibc_arena *a = &g->arenas.items[arena];
	uint64_t start = g->par.have ? g->par.sbrk_base : 0, end, first, mapped, unused;
	bool contiguous = !(a->flags & GLIBC_NONCONTIGUOUS);

	if (a->top == g->main_arena + g->state.bins - GLIBC_HEADER && !a->system_mem)
		return; /* initialised, and never asked for memory */
	if (!start && contiguous) { /* mp_ was not found: what the kernel calls [heap] */
		const struct insp_region *r = insp_regions_find(env->regions, a->top);

		if (r && r->flags & INSP_REGION_BRK)
			start = r->start;
	}
	mapped = start ? insp_glibc_mapped_end(env->regions, start) : 0;
	if (!mapped)
		return; /* the mappings' walk looks for the piece with top */
	first = (start + GLIBC_ALIGN - 1) & ~(GLIBC_ALIGN - 1);
	end = mapped;
	if (!contiguous)
		end = insp_glibc_top_end(a, env->space, start, end);
	else if (a->system_mem <= mapped - start &&
		 (a->top < start || a->top >= mapped || a->top < start + a->system_mem))
		end = start + a->system_mem;
	end &= ~(GLIBC_ALIGN - 1);
	if (first + GLIBC_MIN_SIZE > end ||
	    insp_glibc_claimed(result->chunks, start, end, &unused))
		return;
	end = insp_glibc_walk_segment(g, env, result, arena, start, first, end, !contiguous);
	result->arenas->items[a->index].nheaps++;
	if (contiguous)
		mend_top(g, env, result, a, start, end);
}

const char *insp_glibc_arena_name(const struct insp_heap_env *env,
				  const struct insp_heap_result *result, uint32_t allocator,
				  const char *name)
{
	unsigned instance = 1;

	for (uint32_t k = 0; k < allocator; k++)
		instance += strcmp(result->allocators->items[k].name, "glibc") == 0;
	return instance > 1 ? insp_pool_printf(env->pool, "%s #%u", name, instance) : name;
}

static int push_arenas(struct insp_glibc *g, const struct insp_heap_env *env, uint32_t allocator,
		       struct insp_heap_result *result)
{
	for (size_t i = 0; i < g->arenas.n; i++) {
		struct insp_glibc_arena *a = &g->arenas.items[i];
		struct insp_arena *out = insp_vec_push(result->arenas);

		if (!out)
			return INSP_E_NOMEM;
		a->index = (uint32_t)(result->arenas->n - 1);
		*out = (struct insp_arena){
			.allocator = allocator,
			.name = insp_glibc_arena_name(
				env, result, allocator,
				a->main ? "main" : insp_pool_printf(env->pool, "arena %zu", i)),
			.addr = a->addr,
			.flags = (a->main ? INSP_ARENA_MAIN : 0u) |
				 (a->mutex ? INSP_ARENA_LOCKED : 0u) |
				 (a->main && a->flags & GLIBC_NONCONTIGUOUS ? INSP_ARENA_NONCONTIGUOUS
								      : 0u) |
				 (a->main || a->attached_threads ? 0u : INSP_ARENA_FREE_LIST),
			.system_bytes = a->system_mem,
			.max_system_bytes = a->max_system_mem,
			.attached_threads = a->attached_threads,
		};
	}
	return 0;
}

/* Which chunks can be in a tcache or fastbin at all? */
static uint64_t link_max(const struct insp_glibc *g)
{
	uint64_t max = GLIBC_MIN_SIZE + 16 * (GLIBC_TCACHE_SMALL - 1);

	if (g->par.have && g->par.tcache_max_bytes > max)
		max = g->par.tcache_max_bytes;
	return max;
}

int insp_glibc_collect(struct insp_glibc *g, const struct insp_heap_env *env, uint32_t allocator,
		       struct insp_heap_result *result, struct insp_error *err)
{
	bool knew_heaps = g->arenas.n > 1;
	struct heap_list list = {0};
	int rc;

	(void)par_read(g, env->space); /* what probe saw stays otherwise */
	rc = insp_glibc_arenas_read(g, env->space);
	if (!rc && !knew_heaps && g->arenas.n > 1)
		insp_glibc_heap_max(g, env->space);
	if (!rc)
		rc = push_arenas(g, env, allocator, result);
	if (rc)
		return insp_fail(err, rc, "out of memory for the arenas");
	insp_glibc_ranges(g, env->regions);
	insp_glibc_tcaches_find(g, env);
	insp_glibc_locks_tell(g, env, result);
	insp_glibc_safe_linking_find(g, env->space);
	g->link_max = link_max(g);
	for (uint32_t i = 0; i < g->arenas.n; i++) {
		if (g->arenas.items[i].main)
			walk_main_arena(g, env, result, i);
		else
			walk_thread_arena(g, env, result, i, &list);
	}
	insp_vec_free(&list.heaps);
	insp_glibc_mappings_walk(g, env, result, allocator);
	return 0;
}
