/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The walker of glibc malloc on heaps built from bytes, sound and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/vec.h"
#include "fakeheap.h"
#include "heap/findings.h"
#include "heap/glibc.h"

static const enum fakeheap_version all_versions[] = {FAKEHEAP_2_26, FAKEHEAP_2_31, FAKEHEAP_2_36,
						     FAKEHEAP_2_43};

#define each_version(v)                                                                       \
	for (const enum fakeheap_version *v = all_versions;                                   \
	     v < all_versions + sizeof(all_versions) / sizeof(all_versions[0]); v++)

static void check_no_findings(const struct walked *w)
{
	insp_vec_each(&w->findings, f)
		fail_msg("finding %s at %#lx: %s", f->code, (long)f->addr, f->text);
}

/* Whatever the heap looks like: spans are tiled, and all that they hold is counted once. */
static void check_tiling(const struct walked *w)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t spans = 0, chunks = 0, n = 0;

	for (size_t i = 0; i < w->chunks->nspans; i++)
		spans += w->chunks->spans[i].end - w->chunks->spans[i].start;
	insp_chunks_each(w->chunks, it, c) {
		chunks += c.size;
		n++;
	}
	assert_int_equal(spans, chunks);
	assert_int_equal(n, w->chunks->n);
}

static void glibc__finds_each_layout_from_the_bytes(void **state)
{
	(void)state;
	each_version(v) {
		struct fakeheap *h = fakeheap_create(*v);
		uint64_t a = fakeheap_malloc(h, 100), b = fakeheap_malloc_arena(h, 3000);
		const struct walked *w = fakeheap_walk(h);

		check_no_findings(w);
		check_tiling(w);
		assert_int_equal(w->allocators.n, 1);
		assert_true(w->allocators.items[0].walked);
		assert_in_range(w->allocators.items[0].confidence, 90, 100);
		assert_true(w->allocators.items[0].chunks_complete);
		assert_int_equal(w->arenas.n, 2);
		assert_int_equal(w->arenas.items[0].addr, h->main_arena);
		assert_int_equal(w->arenas.items[0].top_addr, h->top);
		assert_int_equal(w->arenas.items[0].spans_bytes, FAKEHEAP_BYTES);
		assert_int_equal(w->arenas.items[1].addr, h->arena);
		assert_int_equal(w->arenas.items[1].spans_bytes, FAKEHEAP_BYTES);
		assert_int_equal(walked_state(w, a), INSP_CHUNK_INUSE);
		assert_int_equal(walked_state(w, b), INSP_CHUNK_INUSE);
		assert_int_equal(walked_state(w, h->tcache), INSP_CHUNK_METADATA);
		assert_int_equal(walked_state(w, h->top + 16), INSP_CHUNK_TOP);
		assert_int_equal(walked_state(w, h->arena_top + 16), INSP_CHUNK_TOP);
		fakeheap_destroy(h);
	}
}

static void glibc__tcache_is_free_and_has_a_thread(void **state)
{
	(void)state;
	each_version(v) {
		struct fakeheap *h = fakeheap_create(*v);
		uint64_t p[8];

		for (int i = 0; i < 8; i++)
			p[i] = i & 1 ? fakeheap_malloc_arena(h, 200) : fakeheap_malloc(h, 200);
		for (int i = 0; i < 6; i++)
			fakeheap_free_tcache(h, p[i]);
		const struct walked *w = fakeheap_walk(h);

		check_no_findings(w);
		for (int i = 0; i < 8; i++)
			assert_int_equal(walked_state(w, p[i]),
					 i < 6 ? INSP_CHUNK_TCACHE : INSP_CHUNK_INUSE);
		assert_int_equal(w->allocators.items[0].safe_linking, h->safe_linking);
		assert_int_equal(w->bins.n, 1);
		assert_int_equal(w->bins.items[0].kind, INSP_BIN_TCACHE);
		assert_int_equal(w->bins.items[0].tid, FAKEHEAP_TID);
		assert_int_equal(w->bins.items[0].count, 6);
		assert_int_equal(w->bins.items[0].bytes, 6 * 208);
		assert_int_equal(w->bins.items[0].min_size, 208);
		fakeheap_destroy(h);
	}
}

static void glibc__fastbins(void **state)
{
	(void)state;
	each_version(v) {
		struct fakeheap *h;
		uint64_t p[5];

		if (*v == FAKEHEAP_2_43)
			continue; /* has none */
		h = fakeheap_create(*v);
		for (int i = 0; i < 5; i++)
			p[i] = fakeheap_malloc(h, 40);
		for (int i = 0; i < 4; i++)
			fakeheap_free_fast(h, p[i]);
		const struct walked *w = fakeheap_walk(h);

		check_no_findings(w);
		assert_int_equal(w->bins.n, 1);
		assert_int_equal(w->bins.items[0].kind, INSP_BIN_FAST);
		assert_int_equal(w->bins.items[0].count, 4);
		assert_int_equal(walked_bytes(w, INSP_CHUNK_FASTBIN), 4 * 48);
		assert_int_equal(walked_state(w, p[4]), INSP_CHUNK_INUSE);
		fakeheap_destroy(h);
	}
}

static void glibc__bins(void **state)
{
	(void)state;
	each_version(v) {
		struct fakeheap *h = fakeheap_create(*v);
		uint64_t small = fakeheap_malloc(h, 200), large, unsorted, other;

		(void)fakeheap_malloc(h, 20);
		large = fakeheap_malloc(h, 3000);
		(void)fakeheap_malloc(h, 20);
		unsorted = fakeheap_malloc(h, 500);
		(void)fakeheap_malloc(h, 20);
		other = fakeheap_malloc_arena(h, 200);
		(void)fakeheap_malloc_arena(h, 20);
		fakeheap_free_bin(h, h->main_arena, small, 13);
		fakeheap_free_bin(h, h->main_arena, large, insp_glibc_bin_index(3008));
		fakeheap_free_bin(h, h->main_arena, unsorted, 1);
		fakeheap_free_bin(h, h->arena, other, 13);
		const struct walked *w = fakeheap_walk(h);

		check_no_findings(w);
		assert_int_equal(walked_state(w, small), INSP_CHUNK_SMALLBIN);
		assert_int_equal(walked_state(w, large), INSP_CHUNK_LARGEBIN);
		assert_int_equal(walked_state(w, unsorted), INSP_CHUNK_UNSORTED);
		assert_int_equal(walked_state(w, other), INSP_CHUNK_SMALLBIN);
		assert_int_equal(w->bins.n, 4);
		fakeheap_destroy(h);
	}
}

static void glibc__mmapped_chunks_side_by_side(void **state)
{
	(void)state;
	each_version(v) {
		struct fakeheap *h = fakeheap_create(*v);
		/* Somebody's page, then two chunks in the same mapping, a hole, and one more. */
		uint64_t a = fakeheap_mmap(h, FAKEHEAP_MMAP + 0x1000, 0x8000);
		uint64_t b = fakeheap_mmap(h, (a + fakeheap_size(h, a)) & ~UINT64_C(0xfff), 0x5000);
		uint64_t c = fakeheap_mmap(h, FAKEHEAP_MMAP + 0x20000, 0x10000);
		const struct walked *w = fakeheap_walk(h);

		check_no_findings(w);
		assert_int_equal(walked_state(w, a), INSP_CHUNK_MMAPPED);
		assert_int_equal(walked_state(w, b), INSP_CHUNK_MMAPPED);
		assert_int_equal(walked_state(w, c), INSP_CHUNK_MMAPPED);
		assert_int_equal(w->allocators.items[0].n_mmaps, 3);
		assert_true(w->allocators.items[0].chunks_complete);
		fakeheap_destroy(h);
	}
}

static void glibc__missing_mmapped_chunk_is_said(void **state)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
	uint64_t a = fakeheap_mmap(h, FAKEHEAP_MMAP, 0x8000);

	(void)state;
	fake_put64(h->fake, a - 8, 0); /* overwritten */
	const struct walked *w = fakeheap_walk(h);

	assert_non_null(walked_finding(w, "mmapped_total"));
	assert_false(w->allocators.items[0].chunks_complete);
	fakeheap_destroy(h);
}

static struct fakeheap *many_chunks(uint64_t *p, int n)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);

	for (int i = 0; i < n; i++)
		p[i] = fakeheap_malloc(h, 100);
	return h;
}

static void glibc__impossible_sizes_are_passed(void **state)
{
	static const uint64_t sizes[] = {0,	 1,    0x11,   0x19, 0x4141414141414141,
					 ~UINT64_C(0), 0x1000001, 0x72, 0x78};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t p[40];
		struct fakeheap *h = many_chunks(p, 40);

		fake_put64(h->fake, p[20] - 8, sizes[i]);
		const struct walked *w = fakeheap_walk(h);

		check_tiling(w);
		assert_non_null(walked_finding(w, "bad_size"));
		assert_int_equal(walked_finding(w, "bad_size")->addr, p[20] - 16);
		assert_int_equal(walked_state(w, p[19]), INSP_CHUNK_INUSE);
		assert_int_equal(walked_state(w, p[20]), INSP_CHUNK_UNKNOWN);
		assert_int_equal(walked_state(w, p[21]), INSP_CHUNK_INUSE);
		assert_int_equal(walked_bytes(w, INSP_CHUNK_UNKNOWN), 112);
		assert_int_equal(w->arenas.items[0].spans_bytes, FAKEHEAP_BYTES);
		fakeheap_destroy(h);
	}
}

/* A size that can be, but leads into the middle of another chunk: the one before is the liar. */
static void glibc__size_that_leads_astray(void **state)
{
	uint64_t p[40];
	struct fakeheap *h = many_chunks(p, 40);

	(void)state;
	fake_put64(h->fake, p[20] - 8, 0x141); /* not a multiple of 0x70 */
	const struct walked *w = fakeheap_walk(h);

	check_tiling(w);
	assert_non_null(walked_finding(w, "bad_size"));
	assert_int_equal(walked_finding(w, "bad_size")->addr, p[20] - 16);
	assert_int_equal(walked_state(w, p[20]), INSP_CHUNK_UNKNOWN);
	assert_int_equal(walked_state(w, p[21]), INSP_CHUNK_INUSE);
	fakeheap_destroy(h);
}

static void glibc__overwritten_top(void **state)
{
	uint64_t p[40];
	struct fakeheap *h = many_chunks(p, 40);

	(void)state;
	fake_put64(h->fake, h->top + 8, ~UINT64_C(0));
	const struct walked *w = fakeheap_walk(h);

	check_tiling(w);
	assert_non_null(walked_finding(w, "bad_top"));
	assert_int_equal(walked_state(w, h->top + 16), INSP_CHUNK_TOP);
	fakeheap_destroy(h);

	h = many_chunks(p, 40);
	fake_put64(h->fake, h->main_arena + h->bins - 16, FAKEHEAP_MMAP + 0x100);
	w = fakeheap_walk(h);
	check_tiling(w);
	assert_non_null(walked_finding(w, "bad_top"));
	assert_int_equal(walked_state(w, h->top + 16), INSP_CHUNK_TOP);
	fakeheap_destroy(h);
}

static void glibc__swapped_page_is_unknown_and_not_read(void **state)
{
	uint64_t p[300];
	struct fakeheap *h = many_chunks(p, 300);
	uint64_t page = FAKEHEAP_BRK + 0x4000;

	(void)state;
	fake_page_state(h->fake, page, 2, INSP_PAGE_SWAPPED);
	const struct walked *w = fakeheap_walk(h);

	check_tiling(w);
	assert_non_null(walked_finding(w, "unreadable"));
	assert_in_range(walked_bytes(w, INSP_CHUNK_UNKNOWN), 8192 - 224, 8192 + 224);
	assert_int_equal(walked_state(w, p[299]), INSP_CHUNK_INUSE);
	assert_int_equal(w->arenas.items[0].spans_bytes, FAKEHEAP_BYTES);
	assert_false(w->allocators.items[0].chunks_complete);
	fakeheap_destroy(h);
}

static void glibc__untouched_pages_are_not_read(void **state)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
	uint64_t big = fakeheap_malloc(h, 0x10000), behind = fakeheap_malloc(h, 100);

	(void)state;
	fake_page_state(h->fake, FAKEHEAP_BRK + 0x2000, 8, INSP_PAGE_ABSENT);
	const struct walked *w = fakeheap_walk(h);

	check_no_findings(w);
	assert_int_equal(walked_state(w, big), INSP_CHUNK_INUSE);
	assert_int_equal(walked_state(w, behind), INSP_CHUNK_INUSE);
	fakeheap_destroy(h);
}

struct binned {
	struct fakeheap *h;
	uint64_t p[10];
};

/* Ten chunks of one size in one bin, with used ones between them. */
static struct binned ten_in_a_bin(unsigned bin)
{
	struct binned b = {.h = fakeheap_create(FAKEHEAP_2_36)};

	for (int i = 0; i < 10; i++) {
		b.p[i] = fakeheap_malloc(b.h, 200);
		(void)fakeheap_malloc(b.h, 20);
	}
	for (int i = 0; i < 10; i++)
		fakeheap_free_bin(b.h, b.h->main_arena, b.p[i], bin);
	return b;
}

static void glibc__looped_bin_ends(void **state)
{
	struct binned b = ten_in_a_bin(1);
	const struct walked *w;

	(void)state;
	fake_put64(b.h->fake, b.p[4], b.p[7] - 16); /* fd back to one that was passed */
	w = fakeheap_walk(b.h);
	check_tiling(w);
	assert_non_null(walked_finding(w, "list_loop"));
	assert_true(w->bins.items[0].broken);
	/* The rest is reached over bk. */
	assert_int_equal(walked_bytes(w, INSP_CHUNK_UNSORTED), 10 * 208);
	assert_int_equal(walked_bytes(w, INSP_CHUNK_UNLINKED), 0);
	fakeheap_destroy(b.h);
}

static void glibc__list_into_nowhere(void **state)
{
	static const uint64_t where[] = {0, 8, FAKEHEAP_BRK + 0x20, FAKEHEAP_MMAP,
					 ~UINT64_C(0) << 4, 0x123456789};

	(void)state;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		struct binned b = ten_in_a_bin(13);
		const struct walked *w;

		fake_put64(b.h->fake, b.p[4], where[i]);
		fake_put64(b.h->fake, b.p[5] + 8, where[i]);
		w = fakeheap_walk(b.h);
		check_tiling(w);
		assert_non_null(walked_finding(w, "list_foreign"));
		fakeheap_destroy(b.h);
	}
}

static void glibc__wrong_bin_and_wrong_back_link(void **state)
{
	struct binned b = ten_in_a_bin(14);
	const struct walked *w = fakeheap_walk(b.h);

	(void)state;
	assert_non_null(walked_finding(w, "list_wrong_bin"));
	fakeheap_destroy(b.h);

	b = ten_in_a_bin(13);
	fake_put64(b.h->fake, b.p[4] + 8, b.p[9] - 16);
	w = fakeheap_walk(b.h);
	assert_non_null(walked_finding(w, "list_bad_back"));
	assert_int_equal(walked_bytes(w, INSP_CHUNK_SMALLBIN), 10 * 208);
	fakeheap_destroy(b.h);
}

static void glibc__free_chunk_on_no_list(void **state)
{
	struct binned b = ten_in_a_bin(13);
	uint64_t head = b.h->main_arena + b.h->bins + 16 * 12;
	const struct walked *w;

	(void)state;
	fake_put64(b.h->fake, head, head - 16);
	fake_put64(b.h->fake, head + 8, head - 16);
	fake_put64(b.h->fake, b.h->main_arena, 1); /* the mutex is held */
	w = fakeheap_walk(b.h);
	assert_non_null(walked_finding(w, "free_not_listed"));
	assert_non_null(walked_finding(w, "arena_locked"));
	assert_true(w->arenas.items[0].flags & INSP_ARENA_LOCKED);
	assert_int_equal(walked_bytes(w, INSP_CHUNK_UNLINKED), 10 * 208);
	fakeheap_destroy(b.h);
}

static void glibc__prev_size_that_does_not_match(void **state)
{
	struct binned b = ten_in_a_bin(13);
	const struct walked *w;

	(void)state;
	fake_put64(b.h->fake, b.p[3] - 16 + 208, 192);
	w = fakeheap_walk(b.h);
	assert_non_null(walked_finding(w, "prev_size_mismatch"));
	assert_int_equal(walked_finding(w, "prev_size_mismatch")->addr, b.p[3] - 16);
	fakeheap_destroy(b.h);
}

static void glibc__tcache_loops_and_counts(void **state)
{
	(void)state;
	each_version(v) {
		struct fakeheap *h = fakeheap_create(*v);
		uint64_t p[5];

		for (int i = 0; i < 5; i++)
			p[i] = fakeheap_malloc(h, 200);
		for (int i = 0; i < 5; i++)
			fakeheap_free_tcache(h, p[i]);
		/* The third one leads back to the fifth. */
		fake_put64(h->fake, p[2], h->safe_linking ? p[2] >> 12 ^ p[4] : p[4]);
		const struct walked *w = fakeheap_walk(h);

		check_tiling(w);
		assert_non_null(walked_finding(w, "list_loop"));
		assert_int_equal(walked_bytes(w, INSP_CHUNK_TCACHE), 3 * 208);
		fakeheap_destroy(h);

		if (*v != FAKEHEAP_2_36 && *v != FAKEHEAP_2_43)
			continue;
		h = fakeheap_create(*v);
		for (int i = 0; i < 5; i++)
			p[i] = fakeheap_malloc(h, 200);
		for (int i = 0; i < 5; i++)
			fakeheap_free_tcache(h, p[i]);
		fake_put64(h->fake, p[2], p[2] >> 12); /* ends there */
		w = fakeheap_walk(h);
		assert_non_null(walked_finding(w, "tcache_count"));
		fakeheap_destroy(h);
	}
}

static void glibc__heap_info_that_leads_in_circles(void **state)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
	const struct walked *w;

	(void)state;
	fake_put64(h->fake, FAKEHEAP_HEAP + 8, FAKEHEAP_HEAP);
	w = fakeheap_walk(h);
	check_tiling(w);
	assert_non_null(walked_finding(w, "heap_header"));
	assert_int_equal(w->arenas.items[1].spans_bytes, FAKEHEAP_BYTES);
	fakeheap_destroy(h);

	h = fakeheap_create(FAKEHEAP_2_36);
	fake_put64(h->fake, FAKEHEAP_HEAP + 16, 0x3000000); /* size beyond the mapping */
	w = fakeheap_walk(h);
	check_tiling(w);
	assert_non_null(walked_finding(w, "heap_header"));
	fakeheap_destroy(h);
}

#define N_ARENAS 40
#define N_HEAPS	 3

/* Their heaps lie mixed, in no order. */
static const struct walked *walk_many(struct fakeheap *h, bool torn)
{
	for (uint64_t k = 0; k < N_ARENAS; k++) {
		uint64_t heaps[N_HEAPS];

		for (uint64_t i = 0; i < N_HEAPS; i++)
			heaps[i] = UINT64_C(0x7f0000000000) + ((k * 7 + i * 11) % N_ARENAS * N_HEAPS + i) * 0x4000000;
		(void)fakeheap_add_arena(h, heaps, N_HEAPS, torn);
	}
	return fakeheap_walk(h);
}

/* Whose chain is torn: its heaps are found where they lie, and each one is given to its own arena. */
static void glibc__lost_heaps_of_many_arenas(void **state)
{
	struct fakeheap *whole = fakeheap_create(FAKEHEAP_2_36), *torn = fakeheap_create(FAKEHEAP_2_36);
	const struct walked *a = walk_many(whole, false), *b = walk_many(torn, true);
	struct insp_chunk_iter it, it2;
	struct insp_chunk c, c2;

	(void)state;
	check_no_findings(a);
	check_tiling(a);
	check_tiling(b);
	assert_int_equal(a->arenas.n, N_ARENAS + 2);
	assert_int_equal(b->arenas.n, a->arenas.n);
	for (size_t i = 0; i < a->arenas.n; i++) {
		assert_int_equal(a->arenas.items[i].spans_bytes, (i > 0 && i <= N_ARENAS ? N_HEAPS : 1) * FAKEHEAP_BYTES);
		assert_int_equal(b->arenas.items[i].spans_bytes, a->arenas.items[i].spans_bytes);
		assert_int_equal(b->arenas.items[i].nheaps, a->arenas.items[i].nheaps);
	}
	assert_int_equal(b->chunks->n, a->chunks->n);
	insp_chunk_iter_init(&it2, b->chunks);
	insp_chunks_each(a->chunks, it, c) {
		assert_true(insp_chunk_iter_next(&it2, &c2));
		assert_int_equal(c2.addr, c.addr);
		assert_int_equal(c2.size, c.size);
		assert_int_equal(c2.state, c.state);
		assert_int_equal(c2.arena, c.arena);
	}
	fakeheap_destroy(whole);
	fakeheap_destroy(torn);
}

static void glibc__torn_ring_of_arenas(void **state)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
	const struct walked *w;

	(void)state;
	fake_put64(h->fake, h->arena + h->tail + 16, h->arena); /* next: itself */
	w = fakeheap_walk(h);
	check_tiling(w);
	assert_int_equal(w->allocators.n, 1);
	assert_true(w->allocators.items[0].confidence < 90);
	if (w->allocators.items[0].walked)
		assert_non_null(walked_finding(w, "arena_list"));
	fakeheap_destroy(h);
}

static void count_block(void *ctx, uint64_t addr, const uint8_t *bytes, size_t size_bytes)
{
	(void)addr;
	(void)bytes;
	*(uint64_t *)ctx += size_bytes;
}

static void glibc__on_block_sees_every_present_byte_once(void **state)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
	uint64_t seen = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		(void)fakeheap_malloc(h, 300);
	(void)fakeheap_mmap(h, FAKEHEAP_MMAP, 0x8000);
	fake_page_state(h->fake, FAKEHEAP_BRK + FAKEHEAP_BYTES - 0x3000, 3, INSP_PAGE_ABSENT);
	fakeheap_try(h, count_block, &seen);
	assert_int_equal(h->rc, 0);
	assert_int_equal(seen, FAKEHEAP_BYTES - 0x3000 + FAKEHEAP_BYTES + 0x9000);
	fakeheap_destroy(h);
}

static void glibc__bins_by_size(void **state)
{
	uint64_t lo, hi, last = 0;

	(void)state;
	assert_int_equal(insp_glibc_bin_index(32), 2);
	assert_int_equal(insp_glibc_bin_index(1008), 63);
	assert_int_equal(insp_glibc_bin_index(1024), 64);
	assert_int_equal(insp_glibc_bin_index(1 << 20), 126);
	for (unsigned bin = 2; bin <= 126; bin++) {
		insp_glibc_bin_sizes(bin, &lo, &hi);
		if (lo > hi)
			continue; /* a number that no size has */
		assert_int_equal(insp_glibc_bin_index(lo), bin);
		assert_int_equal(insp_glibc_bin_index(hi < 1 << 25 ? hi : 1 << 25), bin);
		if (last)
			assert_int_equal(lo, last + 16);
		last = hi;
	}
}

static void glibc__no_malloc_at_all_is_a_row(void **state)
{
	struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
	const struct walked *w;

	(void)state;
	for (uint64_t off = 0; off < 0x4000; off += 8)
		fake_put64(h->fake, FAKEHEAP_LIBC + off, 0);
	w = fakeheap_walk(h);
	assert_int_equal(w->allocators.n, 1);
	assert_string_equal(w->allocators.items[0].name, "glibc");
	assert_false(w->allocators.items[0].walked);
	assert_non_null(strstr(w->allocators.items[0].evidence, "never called"));
	fakeheap_destroy(h);

	h = fakeheap_create(FAKEHEAP_2_36);
	for (uint64_t off = 0; off < 0x4000; off += 8)
		fake_put64(h->fake, FAKEHEAP_LIBC + off, 0);
	h->modules.n = 0;
	w = fakeheap_walk(h);
	assert_int_equal(w->allocators.n, 1);
	assert_string_equal(w->allocators.items[0].name, "none");
	fakeheap_destroy(h);
}

static void findings__codes_are_unique_and_told(void **state)
{
	(void)state;
	for (int i = 0; i < INSP_N_HEAP_FINDINGS; i++) {
		assert_true(strlen(insp_heap_findings[i].meaning) > 10);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(insp_heap_findings[i].code,
						insp_heap_findings[k].code);
	}
}

static void findings__stop_at_the_limit(void **state)
{
	struct insp_findings findings = {0};
	struct insp_pool *pool = insp_pool_create();

	(void)state;
	for (int i = 0; i < INSP_FINDINGS_MAX + 5; i++)
		insp_finding_add(&findings, pool, INSP_NOTE, "bad_size", 1, "number %d", i);
	assert_int_equal(findings.n, INSP_FINDINGS_MAX);
	assert_int_equal(findings.dropped, 5);
	assert_string_equal(findings.items[7].text, "number 7");
	insp_vec_free(&findings);
	insp_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc__finds_each_layout_from_the_bytes),
		cmocka_unit_test(glibc__tcache_is_free_and_has_a_thread),
		cmocka_unit_test(glibc__fastbins),
		cmocka_unit_test(glibc__bins),
		cmocka_unit_test(glibc__mmapped_chunks_side_by_side),
		cmocka_unit_test(glibc__missing_mmapped_chunk_is_said),
		cmocka_unit_test(glibc__impossible_sizes_are_passed),
		cmocka_unit_test(glibc__size_that_leads_astray),
		cmocka_unit_test(glibc__overwritten_top),
		cmocka_unit_test(glibc__swapped_page_is_unknown_and_not_read),
		cmocka_unit_test(glibc__untouched_pages_are_not_read),
		cmocka_unit_test(glibc__looped_bin_ends),
		cmocka_unit_test(glibc__list_into_nowhere),
		cmocka_unit_test(glibc__wrong_bin_and_wrong_back_link),
		cmocka_unit_test(glibc__free_chunk_on_no_list),
		cmocka_unit_test(glibc__prev_size_that_does_not_match),
		cmocka_unit_test(glibc__tcache_loops_and_counts),
		cmocka_unit_test(glibc__heap_info_that_leads_in_circles),
		cmocka_unit_test(glibc__lost_heaps_of_many_arenas),
		cmocka_unit_test(glibc__torn_ring_of_arenas),
		cmocka_unit_test(glibc__on_block_sees_every_present_byte_once),
		cmocka_unit_test(glibc__bins_by_size),
		cmocka_unit_test(glibc__no_malloc_at_all_is_a_row),
		cmocka_unit_test(findings__codes_are_unique_and_told),
		cmocka_unit_test(findings__stop_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
