/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc: malloc of the GNU C library, from 2.23 (tcache: 2.26) to 2.43, on amd64. glibc.h says
 * which file does what.
 */
#include "heap/glibc.h"

#include <stdlib.h>

#define PAGES_BATCH   4096
#define DEFAULT_CHUNK 96 /* bytes: room is made for that many chunks */

/* Bytes of [start, end) that are in memory. */
static uint64_t present(const struct insp_heap_env *env, uint64_t start, uint64_t end)
{
	uint8_t states[PAGES_BATCH];
	uint64_t bytes = 0;

	while (start < end) {
		uint64_t n = (end - start) / GLIBC_PAGE;

		n = n < PAGES_BATCH ? n : PAGES_BATCH;
		if (!env->target->ops->pages ||
		    env->target->ops->pages(env->target, start, (size_t)n, states))
			return bytes + (end - start);
		for (uint64_t i = 0; i < n; i++)
			bytes += states[i] == INSP_PAGE_PRESENT ? GLIBC_PAGE : 0;
		start += n * GLIBC_PAGE;
	}
	return bytes;
}

static int by_address(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Roughly what collect will read: the mappings that hold chunks, as far as they are in memory. A
 * thread arena's heap starts a mapping or follows another heap in one.
 */
static uint64_t resident(const struct insp_glibc *g, const struct insp_heap_env *env)
{
	uint64_t bytes = 0, system = 0, *tops = calloc(g->arenas.n + 1, sizeof(*tops));
	size_t ntops = 0, k = 0;

	insp_vec_each(&g->arenas, a) {
		if (!tops || __builtin_add_overflow(system, a->system_mem, &system)) {
			free(tops);
			return 0;
		}
		tops[ntops++] = a->top;
	}
	if (ntops)
		qsort(tops, ntops, sizeof(*tops), by_address);
	for (size_t i = 0; i < env->regions->n; i++) { /* in the order of their addresses, too */
		const struct insp_region *r = &env->regions->items[i];

		while (k < ntops && tops[k] < r->start)
			k++;
		if (!insp_region_anonymous(r) || !(r->prot & INSP_PROT_WRITE))
			continue;
		if (r->flags & INSP_REGION_BRK || !(r->start & (g->heap_max - 1)) || (k < ntops && tops[k] < r->end))
			bytes += present(env, r->start, r->end);
	}
	free(tops);
	return bytes < system ? bytes : system;
}

static int probe(const struct insp_heap_env *env, void **ret, int max, struct insp_error *err)
{
	struct insp_glibc *found[16];
	int n = insp_glibc_locate(env, found, max < 16 ? max : 16, err);

	for (int i = 0; i < n; i++) {
		struct insp_glibc *g = found[i];

		ret[i] = g;
		if (!g->initialised || g->refused)
			continue;
		/* Out of memory shows later, where the notes are used. */
		g->free_notes.failed = insp_glibc_notes_init(&g->free_notes,
							     sizeof(struct insp_glibc_free), 0) != 0;
		g->link_notes.failed = insp_glibc_notes_init(&g->link_notes,
							     sizeof(struct insp_glibc_link), 0) != 0;
		insp_glibc_ranges(g, env->regions);
		insp_glibc_mappings_hint(g, env);
		g->resident = resident(g, env);
	}
	return n;
}

static void describe(void *walk, struct insp_allocator *ret)
{
	const struct insp_glibc *g = walk;

	*ret = (struct insp_allocator){
		.name = "glibc",
		.title = g->title,
		.version = g->version,
		.module = g->module_path,
		.confidence = g->confidence,
		.evidence = g->refused ? g->refused : g->evidence,
		.walked = !g->refused,
		.idle = !g->initialised,
		.safe_linking = g->safe_linking,
	};
}

static void estimate(void *walk, uint64_t *ret_bytes, uint64_t *ret_chunks)
{
	const struct insp_glibc *g = walk;
	*ret_bytes = g->resident;
	*ret_chunks = g->resident / DEFAULT_CHUNK;
}

static int collect(void *walk, const struct insp_heap_env *env, uint32_t allocator,
		   struct insp_heap_result *result, struct insp_error *err)
{
	struct insp_glibc *g = walk;

	return g->refused ? 0 : insp_glibc_collect(g, env, allocator, result, err);
}

static int finish(void *walk, const struct insp_heap_env *env, uint32_t allocator,
		  struct insp_heap_result *result, struct insp_error *err)
{
	struct insp_glibc *g = walk;

	return g->refused ? 0 : insp_glibc_finish(g, env, allocator, result, err);
}

static void walk_close(void *walk)
{
	insp_glibc_destroy(walk);
}

const struct insp_heap_ops insp_heap_glibc = {
	.name = "glibc",
	.title = "glibc malloc",
	.probe = probe,
	.describe = describe,
	.estimate = estimate,
	.collect = collect,
	.finish = finish,
	.close = walk_close,
};
