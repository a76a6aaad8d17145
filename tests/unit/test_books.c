/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Books, trim, occupancy, pins and map on a heap of known pages; and on random ones, where the sums must
   hold whatever comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/books.h"
#include "analysis/heapmap.h"
#include "analysis/occupancy.h"
#include "analysis/pins.h"
#include "analysis/trim.h"
#include "base/vec.h"
#include "snap.h"

#define PAGE UINT64_C(4096)

/* A snapshot by snap, with a main arena of glibc and the kernel's books. */
static struct insp_snapshot *seal(struct snap *s)
{
	struct insp_snapshot *snap = snap_seal(s);
	struct insp_arena *arena;
	struct insp_allocator *allocator;

	snap->arenas.n = snap->allocators.n = 0;
	allocator = insp_vec_push(&snap->allocators);
	*allocator = (struct insp_allocator){.name = "glibc", .title = "glibc malloc", .walked = true};
	arena = insp_vec_push(&snap->arenas);
	*arena = (struct insp_arena){.name = "main", .flags = INSP_ARENA_MAIN};
	snap->has |= INSP_NEED_USAGE | INSP_NEED_CHUNKS;
	snap->target_kind = "live";
	snap->residency = (struct insp_residency){.page_size = PAGE, .known = true};
	snap->usage.items = insp_pool_array(snap->pool, snap->regions.n, sizeof(*snap->usage.items));
	snap->usage.n = snap->regions.n;
	snap->usage.vm_rss = INSP_UNKNOWN;
	for (size_t i = 0; i < snap->regions.n; i++) {
		snap->usage.items[i].start = snap->regions.items[i].start;
		snap->usage.items[i].end = snap->regions.items[i].end;
		if (snap->regions.items[i].start == SNAP_HEAP)
			snap->regions.items[i].flags |= INSP_REGION_BRK;
	}
	return snap;
}

/* [addr, addr + npages) are of that kind; smaps counts them. In address order. */
static void pages(struct insp_snapshot *snap, uint64_t addr, uint64_t npages, enum insp_pages_kind kind)
{
	for (size_t i = 0; i < snap->usage.n; i++) {
		struct insp_region_usage *u = &snap->usage.items[i];

		if (addr < u->start || addr >= u->end)
			continue;
		assert_true(addr + npages * PAGE <= u->end);
		insp_residency_add(&snap->residency, u->start, addr, npages, kind);
		if (kind == INSP_PAGES_SWAPPED)
			u->swap += npages * PAGE;
		else if (kind != INSP_PAGES_ZERO)
			u->rss += npages * PAGE;
		u->pss = u->rss / 3;
	}
}

static uint64_t line_sum(const struct insp_books *b, uint64_t *ret_pss)
{
	uint64_t rss = 0;

	*ret_pss = 0;
	for (unsigned k = 0; k < INSP_N_BOOKS; k++) {
		rss += b->lines[k].rss;
		*ret_pss += b->lines[k].pss;
	}
	return rss;
}

static void books__split_pages_by_the_byte(void **state)
{
	struct snap *s = snap_create();
	struct insp_snapshot *snap;
	struct insp_books b;
	uint64_t pss;

	(void)state;
	snap_chunk(s, 1008, INSP_CHUNK_INUSE);
	snap_chunk(s, 3088, INSP_CHUNK_SMALLBIN);	/* page 0 ends here */
	snap_chunk(s, 2 * PAGE + 96, INSP_CHUNK_INUSE); /* pages 1, 2, and 96 of 3 */
	snap_chunk(s, 4000, INSP_CHUNK_TCACHE);
	snap_chunk(s, 4 * PAGE, INSP_CHUNK_TOP);	/* pages 4 to 7 */
	snap = seal(s);
	pages(snap, SNAP_HEAP, 2, INSP_PAGES_RESIDENT);
	pages(snap, SNAP_HEAP + 2 * PAGE, 1, INSP_PAGES_SWAPPED);
	pages(snap, SNAP_HEAP + 3 * PAGE, 2, INSP_PAGES_RESIDENT);
	pages(snap, SNAP_HEAP + 5 * PAGE, 1, INSP_PAGES_ZERO);
	assert_int_equal(insp_books_balance(snap, snap->pool, &b, NULL), 0);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_IN_USE].rss, 1008 + PAGE + 96);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_IN_USE].swap, PAGE);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_BINS].rss, 3088);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_TCACHE].rss, 4000);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_TOP].rss, PAGE);
	assert_int_equal(b.lines[INSP_BOOK_UNEXPLAINED].rss, 0);
	assert_int_equal(line_sum(&b, &pss), 4 * PAGE);
	assert_int_equal(b.rss, 4 * PAGE);
	assert_int_equal(pss, b.pss);
	assert_true(b.exact);
	insp_books_deinit(&b);
	snap_destroy(s);
}

/* What lies right behind a module is its .bss as far as its hull goes, and else somebody's mapping. */
static void books__do_not_give_a_module_what_lies_behind_it(void **state)
{
	static const struct {
		uint64_t hull;
		enum insp_book_kind kind;
	} cases[] = {{SNAP_REGION, INSP_BOOK_PROGRAM_DATA},
		     {SNAP_REGION / 2 + PAGE, INSP_BOOK_ANON},
		     {SNAP_REGION / 2, INSP_BOOK_ANON}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snap *s = snap_create();
		struct insp_snapshot *snap;
		struct insp_books b;

		snap_chunk(s, PAGE, INSP_CHUNK_INUSE);
		snap = seal(s);
		snap->modules.items[0].end = SNAP_DATA + cases[i].hull;
		pages(snap, SNAP_DATA + SNAP_REGION / 2, 2, INSP_PAGES_RESIDENT);
		assert_int_equal(insp_books_balance(snap, snap->pool, &b, NULL), 0);
		assert_int_equal(b.lines[cases[i].kind].rss, 2 * PAGE);
		insp_books_deinit(&b);
		snap_destroy(s);
	}
}

static void books__what_pages_do_not_show_is_unexplained(void **state)
{
	struct snap *s = snap_create();
	struct insp_snapshot *snap;
	struct insp_books b;
	uint64_t pss;

	(void)state;
	snap_chunk(s, PAGE, INSP_CHUNK_INUSE);
	snap_chunk(s, PAGE, INSP_CHUNK_TOP);
	snap = seal(s);
	pages(snap, SNAP_HEAP, 1, INSP_PAGES_RESIDENT);
	for (size_t i = 0; i < snap->usage.n; i++)
		if (snap->usage.items[i].start == SNAP_HEAP)
			snap->usage.items[i].rss += PAGE; /* smaps knows one more */
	snap->usage.vm_rss = 5 * PAGE;
	assert_int_equal(insp_books_balance(snap, snap->pool, &b, NULL), 0);
	assert_int_equal(b.lines[INSP_BOOK_UNEXPLAINED].rss, PAGE);
	assert_int_equal(line_sum(&b, &pss), b.rss);
	assert_int_equal(b.drift, 3 * PAGE);
	insp_books_deinit(&b);
	snap_destroy(s);
}

static void books__without_page_states_sizes_stand_in(void **state)
{
	struct snap *s = snap_create();
	struct insp_snapshot *snap;
	struct insp_books b;
	uint64_t pss;

	(void)state;
	snap_chunk(s, 3 * PAGE, INSP_CHUNK_INUSE);
	snap_chunk(s, PAGE, INSP_CHUNK_TOP);
	snap = seal(s);
	pages(snap, SNAP_HEAP, 2, INSP_PAGES_RESIDENT);
	snap->residency.known = false;
	assert_int_equal(insp_books_balance(snap, snap->pool, &b, NULL), 0);
	assert_false(b.exact);
	assert_non_null(b.missing);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_IN_USE].rss, 2 * PAGE * 3 / 4);
	assert_int_equal(line_sum(&b, &pss), 2 * PAGE);
	insp_books_deinit(&b);
	snap_destroy(s);
}

static void books__of_a_core_are_sizes(void **state)
{
	struct snap *s = snap_create();
	struct insp_snapshot *snap;
	struct insp_books b;

	(void)state;
	snap_chunk(s, PAGE, INSP_CHUNK_TOP);
	snap = seal(s);
	snap->usage.n = 0;
	snap->residency.known = false;
	snap->target_kind = "core";
	assert_int_equal(insp_books_balance(snap, snap->pool, &b, NULL), 0);
	assert_non_null(strstr(b.missing, "a core"));
	assert_false(b.exact);
	assert_int_equal(b.lines[INSP_BOOK_HEAP_TOP].rss, PAGE);
	assert_true(b.drift == INT64_MIN);
	insp_books_deinit(&b);
	snap_destroy(s);
}

static void trim__follows_the_rules(void **state)
{
	struct snap *s = snap_create();
	struct insp_snapshot *snap;
	struct insp_trim t;

	(void)state;
	snap_chunk(s, 4000, INSP_CHUNK_INUSE);
	snap_chunk(s, 3 * PAGE, INSP_CHUNK_LARGEBIN);  /* from 4000: page 1 begins at 96 behind its head */
	snap_chunk(s, 96, INSP_CHUNK_INUSE);	       /* ends page 3 */
	snap_chunk(s, PAGE - 64, INSP_CHUNK_SMALLBIN); /* page 4: too small alone, but joined by */
	snap_chunk(s, 64, INSP_CHUNK_FASTBIN);
	snap_chunk(s, PAGE, INSP_CHUNK_FASTBIN);       /* these: pages 4 and 5, page 5 goes */
	snap_chunk(s, 48, INSP_CHUNK_TCACHE);
	snap_chunk(s, PAGE - 48, INSP_CHUNK_INUSE);    /* page 6 */
	snap_chunk(s, 64, INSP_CHUNK_FASTBIN);	       /* joins top: pages 7 to 10 */
	snap_chunk(s, 4 * PAGE - 64, INSP_CHUNK_TOP);
	snap = seal(s);
	pages(snap, SNAP_HEAP, 10, INSP_PAGES_RESIDENT);
	assert_int_equal(insp_trim_plan(snap, 0, snap->pool, &t, NULL), 0);
	/* of the large one, the two whole pages; of the joined one, page 5 */
	assert_int_equal(t.arenas[0].release_bins, 3 * PAGE);
	/* 16384 - 33 bytes in whole pages, of which the last one is not resident */
	assert_int_equal(t.arenas[0].release_top, 2 * PAGE);
	assert_int_equal(t.arenas[0].kept_tcache, 48);
	assert_int_equal(t.arenas[0].kept_edges, 96 + (3 * PAGE - 96 - 2 * PAGE) + PAGE);
	assert_int_equal(t.arenas[0].kept_top, PAGE);
	assert_int_equal(t.arenas[0].absent, PAGE);
	assert_int_equal(insp_trim_plan(snap, PAGE, snap->pool, &t, NULL), 0);
	assert_int_equal(t.arenas[0].release_top, PAGE);
	snap->arenas.items[0].flags = 0; /* no top of another arena is cut */
	assert_int_equal(insp_trim_plan(snap, 0, snap->pool, &t, NULL), 0);
	assert_int_equal(t.arenas[0].release_top, 0);
	assert_non_null(t.arenas[0].top_reason);
	snap_destroy(s);
}

static void pins__share_out_what_is_free(void **state)
{
	struct snap *s = snap_create();
	struct insp_snapshot *snap;
	struct insp_pins p;
	uint64_t last;

	(void)state;
	snap_chunk(s, 4000, INSP_CHUNK_LARGEBIN);
	snap_chunk(s, 96, INSP_CHUNK_INUSE); /* alone on page 0 */
	snap_chunk(s, 4 * PAGE, INSP_CHUNK_LARGEBIN);
	snap_chunk(s, 1024, INSP_CHUNK_INUSE);
	snap_chunk(s, 2048, INSP_CHUNK_SMALLBIN);
	last = snap_chunk(s, 1024, INSP_CHUNK_INUSE);
	snap_chunk(s, 2 * PAGE, INSP_CHUNK_TOP);
	snap = seal(s);
	pages(snap, SNAP_HEAP, 8, INSP_PAGES_RESIDENT);
	assert_int_equal(insp_pins_find(snap, 10, NULL, snap->pool, &p, NULL), 0);
	assert_int_equal(p.pinned, 4000 + 2048);
	assert_int_equal(p.free_pages, 6 * PAGE);
	assert_int_equal(p.npins, 3);
	assert_int_equal(p.pins[0].size, 96);
	assert_int_equal(p.pins[0].pinned, 4000);
	assert_int_equal(p.pins[1].pinned, 1024);
	assert_int_equal(p.ngroups, 2);
	assert_int_equal(p.ntops, 1);
	assert_int_equal(p.tops[0].last, last - 16);
	assert_int_equal(p.tops[0].last_gain, 1024);
	assert_int_equal(p.tops[0].chunks, 3); /* all, back to the first */
	assert_int_equal(p.nheaps, 1);
	assert_int_equal(p.heaps[0].chunks, 3);
	snap_destroy(s);
}

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static void fill_randomly(struct snap *s, uint64_t *seed)
{
	uint64_t end = 0;

	for (unsigned i = 0, n = 1 + (unsigned)next(seed) % 300; i < n; i++) {
		uint64_t size = next(seed) % 8 ? 32 + next(seed) % 90 * 16 : 32 + next(seed) % 2000 * 16;

		snap_chunk(s, size, (enum insp_chunk_state)(next(seed) % INSP_CHUNK_TOP));
		end += size;
	}
	snap_chunk(s, (end + 2 * PAGE) / PAGE * PAGE - end, INSP_CHUNK_TOP);
}

static void page_randomly(struct insp_snapshot *snap, uint64_t *seed)
{
	for (size_t i = 0; i < snap->regions.n; i++) {
		const struct insp_region *r = &snap->regions.items[i];

		if (!insp_region_anonymous(r) || !(r->prot & INSP_PROT_WRITE) || r->flags & INSP_REGION_SHARED)
			continue;
		for (uint64_t at = r->start; at < r->end; at += PAGE) {
			unsigned kind = (unsigned)next(seed) % 8;

			if (kind < 5)
				pages(snap, at, 1, kind < 2 ? INSP_PAGES_HUGE : INSP_PAGES_RESIDENT);
			else if (kind < 7)
				pages(snap, at, 1, kind == 5 ? INSP_PAGES_SWAPPED : INSP_PAGES_ZERO);
		}
	}
}

static void books__sums_hold_on_random_heaps(void **state)
{
	uint64_t seed = 4711;

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		struct snap *s = snap_create();
		struct insp_snapshot *snap;
		struct insp_books b;
		struct insp_trim t;
		struct insp_occupancy o;
		struct insp_pins p;
		struct insp_heap_map map;
		uint64_t pss, heap_free = 0, cells = 0, runs = 0;

		fill_randomly(s, &seed);
		snap = seal(s);
		page_randomly(snap, &seed);
		assert_int_equal(insp_books_balance(snap, snap->pool, &b, NULL), 0);
		assert_int_equal(line_sum(&b, &pss), b.rss);
		assert_int_equal(pss, b.pss);
		assert_int_equal(b.lines[INSP_BOOK_UNEXPLAINED].rss, 0);
		for (size_t i = 0; i < snap->residency.n; i++)
			if (insp_page_run_resident(&snap->residency.items[i]))
				runs += snap->residency.items[i].npages * PAGE;
		assert_int_equal(runs, b.rss);
		assert_int_equal(insp_occupancy_take(snap, snap->pool, &o, NULL), 0);
		assert_int_equal(insp_pins_find(snap, 5, NULL, snap->pool, &p, NULL), 0);
		assert_int_equal(insp_trim_plan(snap, 0, snap->pool, &t, NULL), 0);
		assert_int_equal(insp_heap_map_make(snap, UINT32_MAX, 0, 50, snap->pool, &map, NULL), 0);
		heap_free = b.lines[INSP_BOOK_HEAP_BINS].rss + b.lines[INSP_BOOK_HEAP_TOP].rss;
		assert_int_equal(p.pinned + p.free_pages, heap_free);
		heap_free += b.lines[INSP_BOOK_HEAP_TCACHE].rss;
		assert_int_equal(insp_trim_release(&t.total) + insp_trim_kept(&t.total), heap_free);
		assert_int_equal(o.total.resident_free, heap_free);
		assert_int_equal(t.total.release_bins % PAGE, 0);
		for (size_t i = 0; i < map.n; i++)
			cells += map.cells[i].resident;
		assert_true(map.n <= 50);
		assert_int_equal(cells, o.total.resident);
		insp_books_deinit(&b);
		snap_destroy(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(books__split_pages_by_the_byte),
		cmocka_unit_test(books__do_not_give_a_module_what_lies_behind_it),
		cmocka_unit_test(books__what_pages_do_not_show_is_unexplained),
		cmocka_unit_test(books__without_page_states_sizes_stand_in),
		cmocka_unit_test(books__of_a_core_are_sizes),
		cmocka_unit_test(trim__follows_the_rules),
		cmocka_unit_test(pins__share_out_what_is_free),
		cmocka_unit_test(books__sums_hold_on_random_heaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
