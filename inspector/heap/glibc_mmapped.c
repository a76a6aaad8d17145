/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_mmapped: what malloc got from mmap outside of its heaps. No list leads there.
 *
 *     mmapped chunk   page | 0 or offset | size|2 | memory ...       up to a page boundary
 *     piece of main   page | 0           | size|1 | chunks ... | 16|1 | 16|1 |   fenceposts
 *
 * Both start at a page boundary, but the kernel merges neighbouring mappings, so they are looked
 * for at the start of each anonymous mapping, then directly behind what was found, and, as long
 * as malloc's own counts (mp_.n_mmaps, mp_.mmapped_mem, system_mem) say that something is
 * missing, at every present page. Reading those costs, so it is done before the stop, which
 * leaves a list of hints; in the stop only what came since then is looked for, and not for long.
 * What never runs (a core, a debugger's target) has no such hurry: there is nothing to hint.
 *
 * aligned_alloc moves the header up: the chunk's prev_size is then its distance from the base of
 * the mapping, where the first header was left behind. From 2.43 on 16 bytes at the end of the
 * mapping belong to no chunk (sysmalloc_mmap, mmap_set_chunk).
 */
#include "heap/glibc.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGES_MAX   (1u << 18) /* looked at before the stop */
#define PAGES_HELD  2048 /* tried in it, when counting says that chunks are missing */
#define PAGES_BATCH 1024
#define HINTS_MAX   65536
#define MMAP_HP	    UINT64_C(1) /* in prev_size, from 2.43 on: huge pages */

static const struct insp_geometry geometry = {.shift = 4, .lead = 16, .tail = 8};

struct claim {
	uint64_t start, end;
};

struct search {
	struct insp_glibc *g;
	const struct insp_heap_env *env;
	struct insp_heap_result *result;
	uint32_t main; /* index into g->arenas, or g->arenas.n */
	uint64_t main_bytes, mmapped_bytes;
	unsigned pages_left;
	INSP_VEC(struct claim) claims; /* what is known already: sorted, disjoint */
};

/* Index of the first claim that ends behind addr. */
static size_t claim_find(const struct search *s, uint64_t addr)
{
	size_t lo = 0, hi = s->claims.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->claims.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool claim_add(struct search *s, uint64_t start, uint64_t end)
{
	size_t i = claim_find(s, start);
	struct claim *c = insp_vec_push(&s->claims);

	if (!c)
		return false;
	c = &s->claims.items[i];
	memmove(c + 1, c, (s->claims.n - 1 - i) * sizeof(*c));
	*c = (struct claim){start, end};
	return true;
}

static int claim_compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* All at once: some thousands of heaps come in any order. */
static bool claim_spans(struct search *s, const struct insp_chunks *chunks)
{
	for (size_t i = 0; i < chunks->nspans; i++) {
		struct claim *c = insp_vec_push(&s->claims);

		if (!c) {
			insp_vec_free(&s->claims);
			return false;
		}
		*c = (struct claim){chunks->spans[i].start, chunks->spans[i].end};
	}
	if (s->claims.n)
		qsort(s->claims.items, s->claims.n, sizeof(*s->claims.items), claim_compare);
	return true;
}

static bool want_main(const struct search *s)
{
	return s->main < s->g->arenas.n &&
	       s->main_bytes < s->g->arenas.items[s->main].system_mem;
}

static bool satisfied(const struct search *s)
{
	const struct insp_glibc_par *p = &s->g->par;

	return !want_main(s) && p->have && s->g->mmapped.n >= p->n_mmaps &&
	       (s->g->par_layout.drifts || s->mmapped_bytes >= p->mmapped_mem);
}

uint64_t insp_glibc_mmapped_bytes(const struct insp_glibc *g)
{
	uint64_t sum = 0;

	insp_vec_each(&g->mmapped, m)
		sum += m->end - m->base;
	return sum;
}

bool insp_glibc_mmapped_agrees(const struct insp_glibc *g)
{
	uint64_t found = insp_glibc_mmapped_bytes(g), counted = g->par.mmapped_mem;

	if (!g->par.have)
		return true;
	if (g->mmapped.n != g->par.n_mmaps)
		return false;
	return found == counted || (g->par_layout.drifts && found && found < counted &&
				    (counted - found) % GLIBC_HEADER == 0);
}

/* Length of the mapping that a header at base + offset describes; 0: it describes none. */
static uint64_t mapping_length(uint64_t offset, uint64_t prev_size, uint64_t head, uint64_t left)
{
	uint64_t size = head & ~GLIBC_SIZE_BITS, total;

	if ((prev_size & ~MMAP_HP) != offset || (head & GLIBC_SIZE_BITS) != GLIBC_IS_MMAPPED ||
	    size < GLIBC_MIN_SIZE || size > left)
		return 0;
	for (uint64_t tail = 0; tail <= GLIBC_HEADER; tail += GLIBC_HEADER) {
		total = offset + size + tail;
		if (!(total & (GLIBC_PAGE - 1)) && total <= left)
			return total;
	}
	return 0;
}

/* A header that aligned_alloc moved up: offset from base, or 0. */
static uint64_t find_aligned(const struct search *s, uint64_t base, uint64_t left,
			     uint64_t *ret_total)
{
	for (unsigned shift = 5; shift < 40; shift++) {
		uint64_t align = UINT64_C(1) << shift, words[2], total;
		uint64_t chunk = ((base + GLIBC_HEADER + align - 1) & ~(align - 1)) - GLIBC_HEADER;

		if (chunk == base)
			continue;
		if (chunk - base + GLIBC_MIN_SIZE > left)
			break;
		if (insp_space_read(s->env->space, chunk, words, sizeof(words)))
			continue;
		total = mapping_length(chunk - base, words[0], words[1], left);
		if (total) {
			*ret_total = total;
			return chunk - base;
		}
	}
	return 0;
}

/*
 * An mmapped chunk whose mapping starts at base? Notes it and returns its end, else 0. A header
 * that was moved up counts more than the one at base, which mremap leaves as it was.
 */
static uint64_t try_mmapped(struct search *s, uint64_t base, uint64_t end)
{
	uint64_t words[2], total, offset, aligned_total;
	struct insp_glibc_mmapped *m;

	if (insp_space_read(s->env->space, base, words, sizeof(words)))
		return 0;
	if ((words[1] & GLIBC_SIZE_BITS) != GLIBC_IS_MMAPPED)
		return 0;
	total = mapping_length(0, words[0], words[1], end - base);
	offset = find_aligned(s, base, end - base, &aligned_total);
	if (offset)
		total = aligned_total;
	if (!total)
		return 0;
	m = insp_vec_push(&s->g->mmapped);
	if (!m || !claim_add(s, base, base + total))
		return 0;
	*m = (struct insp_glibc_mmapped){base, base + offset, base + total};
	s->mmapped_bytes += total;
	return base + total;
}

/* A piece of the main arena that starts here? Walks it and returns its end, else 0. */
static uint64_t try_main(struct search *s, uint64_t start, uint64_t end)
{
	const struct insp_glibc_arena *a;
	uint64_t words[2];

	if (!want_main(s))
		return 0;
	a = &s->g->arenas.items[s->main];
	if (insp_space_read(s->env->space, start, words, sizeof(words)) || words[0] ||
	    (words[1] & GLIBC_SIZE_BITS) != GLIBC_PREV_INUSE ||
	    !insp_glibc_chain_ok(s->env->space, start, end, a->top, 8))
		return 0;
	end = insp_glibc_top_end(a, s->env->space, start, end);
	end = insp_glibc_walk_segment(s->g, s->env, s->result, s->main, start, start, end, true);
	s->result->arenas->items[a->index].nheaps++;
	s->main_bytes += end - start;
	return claim_add(s, start, end) ? end : 0;
}

/* As far as one thing follows the other from `at` on. Returns where nothing more was known. */
static uint64_t follow(struct search *s, uint64_t at, uint64_t end)
{
	while (at < end) {
		size_t i = claim_find(s, at);
		const struct claim *c = i < s->claims.n ? &s->claims.items[i] : NULL;
		uint64_t next, limit = end;

		if (c && c->start <= at) {
			next = c->end;
		} else {
			if (c && c->start < limit) /* nothing may reach into what is known */
				limit = c->start;
			next = try_mmapped(s, at, limit);
			if (!next)
				next = try_main(s, at, limit);
		}
		if (!next)
			return at;
		at = (next + GLIBC_PAGE - 1) & ~(GLIBC_PAGE - 1);
	}
	return at;
}

/* Every present page of the region that nothing is known about. */
static void try_pages(struct search *s, uint64_t at, uint64_t end)
{
	uint8_t states[PAGES_BATCH];
	struct insp_target *t = s->env->target;

	while (at < end && s->pages_left && !satisfied(s)) {
		uint64_t n = (end - at) / GLIBC_PAGE, from = at;

		n = n < PAGES_BATCH ? n : PAGES_BATCH;
		if (!t->ops->pages || t->ops->pages(t, at, (size_t)n, states))
			memset(states, INSP_PAGE_PRESENT, (size_t)n);
		while (at < from + n * GLIBC_PAGE && s->pages_left && !satisfied(s)) {
			uint64_t next = at + GLIBC_PAGE;

			if (states[(at - from) / GLIBC_PAGE] == INSP_PAGE_PRESENT) {
				uint64_t reached = follow(s, at, end);

				s->pages_left--;
				next = reached > next ? reached : next;
			}
			at = next;
		}
	}
}

static bool may_be_mapped(const struct insp_region *r)
{
	return insp_region_anonymous(r) && r->prot & INSP_PROT_WRITE && r->prot & INSP_PROT_READ &&
	       !(r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE | INSP_REGION_BRK |
			     INSP_REGION_STACK));
}

static bool may_be_malloced(const struct search *s, const struct insp_region *r)
{
	size_t i = claim_find(s, r->start);

	if (!may_be_mapped(r))
		return false;
	/* A thread's heap, all of it. */
	return !(i < s->claims.n && s->claims.items[i].start <= r->start &&
		 s->claims.items[i].end >= r->end);
}

/*
 * A page of the program's own that looks like a header spoils the sums: when leaving out exactly
 * one candidate makes both right, it is that one.
 */
static void drop_pretender(struct search *s)
{
	struct insp_glibc *g = s->g;

	if (!g->par.have || g->mmapped.n != g->par.n_mmaps + 1)
		return;
	for (size_t i = 0; i < g->mmapped.n; i++) {
		struct insp_glibc_mmapped *m = &g->mmapped.items[i];

		if (s->mmapped_bytes - (m->end - m->base) != g->par.mmapped_mem)
			continue;
		s->mmapped_bytes -= m->end - m->base;
		memmove(m, m + 1, (g->mmapped.n - i - 1) * sizeof(*m));
		g->mmapped.n--;
		return;
	}
}

static void emit(struct search *s, uint32_t allocator)
{
	struct insp_glibc *g = s->g;
	struct insp_arena *a;

	if (!g->mmapped.n)
		return;
	a = insp_vec_push(s->result->arenas);
	if (!a)
		return;
	*a = (struct insp_arena){
		.allocator = allocator,
		.name = insp_glibc_arena_name(s->env, s->result, allocator, "mmapped"),
		.flags = INSP_ARENA_MMAPPED,
		.system_bytes = g->par.have && !g->par_layout.drifts ? g->par.mmapped_mem
								      : s->mmapped_bytes,
		.nheaps = (uint32_t)g->mmapped.n,
	};
	g->mmapped_arena = (uint32_t)(s->result->arenas->n - 1);
	insp_vec_each(&g->mmapped, m) {
		if (m->chunk > m->base)
			insp_chunks_add_lone(s->result->chunks, m->base, m->chunk, g->mmapped_arena,
					     geometry, INSP_CHUNK_METADATA);
		insp_chunks_add_lone(s->result->chunks, m->chunk, m->end, g->mmapped_arena,
				     geometry, INSP_CHUNK_MMAPPED);
		if (s->env->on_block) {
			struct insp_stream stream;

			insp_stream_begin(&stream, s->env->space, m->base, m->end,
					  s->env->on_block, s->env->on_block_ctx);
			insp_stream_end(&stream);
		}
	}
}

/* The main arena, when it is in pieces. */
static const struct insp_glibc_arena *main_in_pieces(const struct insp_glibc *g)
{
	for (size_t i = 0; i < g->arenas.n; i++)
		if (g->arenas.items[i].main && g->arenas.items[i].flags & GLIBC_NONCONTIGUOUS)
			return &g->arenas.items[i];
	return NULL;
}

/* Present pages of [at, end) that begin like an mmapped chunk, or like a piece of main. */
static void hint_pages(struct insp_glibc *g, struct insp_space *space, uint64_t at, uint64_t end,
		       unsigned *pages_left)
{
	const struct insp_glibc_arena *main = main_in_pieces(g);
	struct insp_target *t = insp_space_target(space);
	uint8_t states[PAGES_BATCH];
	struct insp_stream stream;

	insp_stream_begin(&stream, space, at, end, NULL, NULL);
	while (at < end && *pages_left && g->hints.n < HINTS_MAX) {
		uint64_t n = (end - at) / GLIBC_PAGE;

		n = n < PAGES_BATCH ? n : PAGES_BATCH;
		if (!t->ops->pages || t->ops->pages(t, at, (size_t)n, states))
			memset(states, INSP_PAGE_PRESENT, (size_t)n);
		for (uint64_t i = 0; i < n && *pages_left; i++, at += GLIBC_PAGE) {
			const uint8_t *bytes;
			uint64_t words[2], *hint;
			size_t avail;

			if (states[i] != INSP_PAGE_PRESENT)
				continue;
			--*pages_left;
			bytes = insp_stream_at(&stream, at, sizeof(words), &avail);
			if (!bytes)
				continue;
			memcpy(words, bytes, sizeof(words));
			if (!mapping_length(0, words[0], words[1], end - at) &&
			    !(main && !words[0] && (words[1] & GLIBC_SIZE_BITS) == GLIBC_PREV_INUSE &&
			      insp_glibc_chain_ok(space, at, end, main->top, 8)))
				continue;
			hint = insp_vec_push(&g->hints);
			if (hint)
				*hint = at;
		}
	}
	insp_stream_end(&stream);
}

void insp_glibc_mappings_hint(struct insp_glibc *g, const struct insp_heap_env *env)
{
	unsigned pages_left = PAGES_MAX;
	uint64_t at_starts = 0;
	bool pieces = main_in_pieces(g) != NULL;

	g->hints.n = 0;
	if (!env->target->ops->stop || !g->par.have || (!g->par.n_mmaps && !pieces))
		return;
	for (size_t i = 0; i < env->regions->n; i++) {
		const struct insp_region *r = &env->regions->items[i];
		uint64_t words[2];

		if (may_be_mapped(r) && !insp_space_read(env->space, r->start, words, sizeof(words)) &&
		    mapping_length(0, words[0], words[1], r->end - r->start))
			at_starts++;
	}
	if (at_starts >= g->par.n_mmaps && !pieces)
		return;
	for (size_t i = 0; i < env->regions->n; i++) {
		const struct insp_region *r = &env->regions->items[i];

		/* The heaps of threads are read anyway, and are not made of mmapped chunks. */
		if (may_be_mapped(r) && (pieces || !g->heap_max || r->start % g->heap_max))
			hint_pages(g, env->space, r->start, r->end, &pages_left);
	}
}

/* What looked like a chunk before the stop, and is one still. */
static void try_hints(struct search *s)
{
	const struct insp_regions *regions = s->env->regions;

	for (size_t i = 0; i < s->g->hints.n && !satisfied(s); i++) {
		const struct insp_region *r = insp_regions_find(regions, s->g->hints.items[i]);

		if (r && may_be_malloced(s, r))
			(void)follow(s, s->g->hints.items[i], r->end);
	}
}

void insp_glibc_mappings_walk(struct insp_glibc *g, const struct insp_heap_env *env,
			      struct insp_heap_result *result, uint32_t allocator)
{
	struct search s = {
		.g = g,
		.env = env,
		.result = result,
		.main = (uint32_t)g->arenas.n,
		.pages_left = env->target->ops->stop ? PAGES_HELD : PAGES_MAX,
	};
	const struct insp_regions *regions = env->regions;
	uint64_t end = 0;

	g->mmapped.n = 0;
	if (!claim_spans(&s, result->chunks))
		return;
	for (uint32_t i = 0; i < g->arenas.n; i++)
		if (g->arenas.items[i].main) {
			s.main = i;
			s.main_bytes = insp_glibc_walked_bytes(g, i);
		}
	for (size_t i = 0; i < regions->n && !satisfied(&s); i++) {
		const struct insp_region *r = &regions->items[i];

		if (!may_be_malloced(&s, r))
			continue;
		/* Of neighbours it is the same: not to be looked for from each of thousands. */
		if (end < r->end)
			end = insp_glibc_mapped_end(regions, r->start);
		(void)follow(&s, r->start, end);
	}
	try_hints(&s);
	for (size_t i = 0; i < regions->n && g->par.have && !satisfied(&s); i++)
		if (may_be_malloced(&s, &regions->items[i]))
			try_pages(&s, regions->items[i].start, regions->items[i].end);
	insp_vec_free(&s.claims);
	drop_pretender(&s);
	emit(&s, allocator);
	if (!insp_glibc_mmapped_agrees(g))
		insp_heap_finding(result, env->pool, INSP_HEAP_MMAPPED_TOTAL, g->par_addr,
				  "malloc counts %" PRIu64 " mmapped chunks of %" PRIu64
				  " bytes, %zu of %" PRIu64 " were found",
				  g->par.n_mmaps, g->par.mmapped_mem, g->mmapped.n,
				  s.mmapped_bytes);
}
