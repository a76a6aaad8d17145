/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/pointers.h"

typedef void (*scan_fn)(void *pointers, uint64_t addr, const uint8_t *bytes, size_t size_bytes);

static const scan_fn scans[] = {insp_pointers_scan, insp_pointers_scan_plain};

#define NSCANS (sizeof(scans) / sizeof(scans[0]))
#define BASE   UINT64_C(0x7f0000000000)

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static void scan__keeps_what_lies_in_a_range_and_says_where(void **state)
{
	(void)state;
	for (size_t s = 0; s < NSCANS; s++)
		for (unsigned nranges = 1; nranges <= INSP_POINTERS_RANGES; nranges++) {
			struct insp_pointers *p = insp_pointers_create();
			enum { N = 3 * 512 + 37 };
			/* Not aligned in our memory, and starts inside a page of the target. */
			uint8_t *bytes = malloc(N * 8 + 4), *at = bytes + 3;
			uint64_t addr = BASE + 4096 - 24, want[N], n = 0;
			struct insp_pointers_iter it;
			uint64_t got_addr, got_value;

			for (unsigned r = 0; r < nranges; r++)
				insp_pointers_add_range(p, 0x10000000u * (r + 1),
							0x10000000u * (r + 1) + 0x1000);
			for (size_t i = 0; i < N; i++) {
				uint64_t v = rng() % 3 ? rng()
						       : 0x10000000u * (1 + rng() % 5) +
								 rng() % 0x1800 - 0x400;

				memcpy(at + i * 8, &v, 8);
				want[i] = v;
			}
			scans[s](p, addr, at, N * 8 + 1); /* the odd byte is left out */
			assert_int_equal(insp_pointers_seal(p), 0);
			assert_int_equal(p->scanned_bytes, N * 8);
			insp_pointers_from(&it, p, 0, UINT64_MAX);
			for (size_t i = 0; i < N; i++) {
				uint64_t r = want[i] / 0x10000000u;
				bool in = r >= 1 && r <= nranges && want[i] % 0x10000000u < 0x1000;

				if (!in)
					continue;
				n++;
				assert_true(insp_pointers_next(&it, &got_addr, &got_value));
				assert_int_equal(got_addr, addr + i * 8);
				assert_int_equal(got_value, want[i]);
			}
			assert_false(insp_pointers_next(&it, &got_addr, &got_value));
			assert_true(n > 20);
			insp_pointers_destroy(p);
			free(bytes);
		}
}

static void range__merges_neighbours_and_the_nearest_when_full(void **state)
{
	struct insp_pointers *p = insp_pointers_create();

	(void)state;
	insp_pointers_add_range(p, 0x5000, 0x6000);
	insp_pointers_add_range(p, 0x1000, 0x2000);
	insp_pointers_add_range(p, 0x2000, 0x3000);
	insp_pointers_add_range(p, 0x1800, 0x1900);
	insp_pointers_add_range(p, 0x7000, 0x7000);
	insp_pointers_add_range(p, UINT64_C(1) << 60, (UINT64_C(1) << 60) + 4096);
	assert_int_equal(p->nranges, 2);
	assert_int_equal(p->ranges[0].start, 0x1000);
	assert_int_equal(p->ranges[0].end, 0x3000);
	insp_pointers_add_range(p, 0x20000, 0x21000);
	insp_pointers_add_range(p, 0x30000, 0x31000);
	assert_int_equal(p->nranges, 4);
	insp_pointers_add_range(p, 0x24000, 0x25000); /* 1000-3000 and 5000-6000 are nearest */
	assert_int_equal(p->nranges, 4);
	assert_int_equal(p->ranges[0].start, 0x1000);
	assert_int_equal(p->ranges[0].end, 0x6000);
	assert_int_equal(p->ranges[2].start, 0x24000);
	insp_pointers_add_range(p, 0, 0x100000);
	assert_int_equal(p->nranges, 1);
	assert_int_equal(p->ranges[0].end, 0x100000);
	insp_pointers_destroy(p);
}

static void put(struct insp_pointers *p, uint64_t addr, size_t nwords, uint64_t first_value)
{
	uint64_t words[1024];

	for (size_t i = 0; i < nwords; i++)
		words[i] = first_value + i;
	insp_pointers_scan(p, addr, (const uint8_t *)words, nwords * 8);
}

static void seal__sorts_pages_and_joins_parts(void **state)
{
	struct insp_pointers *p = insp_pointers_create();
	struct insp_pointers_iter it;
	uint64_t addr, value, want = BASE, n = 0;

	(void)state;
	insp_pointers_add_range(p, 0x100000, 0x200000);
	put(p, BASE + 0x3000, 512, 0x130000);
	put(p, BASE + 0x1800, 256, 0x110100); /* the second half first */
	put(p, BASE, 512, 0x100000);
	put(p, BASE + 0x1000, 256, 0x110000);
	put(p, BASE + 0x17f8, 2, 0x1fffff); /* again: what was seen first stays */
	put(p, BASE + 0x5000, 512, 0x300000); /* nothing to keep */
	assert_int_equal(insp_pointers_seal(p), 0);
	assert_int_equal(p->npages, 3);
	insp_pointers_from(&it, p, BASE, BASE + 0x2000);
	while (insp_pointers_next(&it, &addr, &value)) {
		assert_int_equal(addr, want);
		assert_int_equal(value, (addr < BASE + 0x1000 ? 0x100000 : 0x110000) +
						(addr & 4095) / 8);
		want += 8;
		n++;
	}
	assert_int_equal(n, 1024);
	assert_int_equal(insp_pointers_page_from(p, BASE + 0x2000), 2);
	assert_int_equal(insp_pointers_page_from(p, BASE + 0x3fff), 2);
	assert_int_equal(insp_pointers_page_from(p, BASE + 0x4000), 3);
	insp_pointers_from(&it, p, BASE + 0x3010, BASE + 0x3020);
	assert_true(insp_pointers_next(&it, &addr, &value));
	assert_int_equal(addr, BASE + 0x3010);
	assert_true(insp_pointers_next(&it, &addr, &value));
	assert_false(insp_pointers_next(&it, &addr, &value));
	insp_pointers_destroy(p);
}

static void check_pages(struct insp_pointers *p, size_t want)
{
	assert_int_equal(insp_pointers_seal(p), 0);
	assert_int_equal(p->npages, want);
	for (size_t i = 0; i < want; i++) {
		assert_int_equal(p->pages[i].addr, BASE + i * 4096);
		assert_int_equal(p->pages[i].n, 1);
		assert_int_equal(INSP_POINTER_VALUE(p->items[p->pages[i].first]), 0x100000 + i);
	}
	insp_pointers_destroy(p);
}

/* From the few runs of a walk, which are merged, to no order at all; each page once again at the end. */
static void seal__sorts_any_number_of_runs(void **state)
{
	(void)state;
	for (size_t runs = 1; runs <= 300; runs += runs < 10 ? 1 : 29) {
		struct insp_pointers *p = insp_pointers_create();
		size_t n = 300;

		insp_pointers_add_range(p, 0x100000, 0x200000);
		for (size_t r = 0; r < runs; r++)
			for (size_t i = runs - 1 - r; i < n; i += runs)
				put(p, BASE + i * 4096, 1, 0x100000 + i);
		for (size_t i = 0; i < n; i++)
			put(p, BASE + i * 4096, 1, 0x1f0000);
		check_pages(p, n);
	}
}

static void store__grows_without_prefault_and_survives_emptiness(void **state)
{
	struct insp_pointers *p = insp_pointers_create(), *q = insp_pointers_create();
	struct insp_pointers_iter it;
	uint64_t addr, value, n = 0;

	(void)state;
	assert_int_equal(insp_pointers_seal(q), 0);
	insp_pointers_from(&it, q, 0, UINT64_MAX);
	assert_false(insp_pointers_next(&it, &addr, &value));
	insp_pointers_destroy(q);

	insp_pointers_add_range(p, 0x100000, 0x200000);
	insp_pointers_prefault(p, 10, 1);
	for (size_t i = 0; i < 2000; i++)
		put(p, BASE + i * 4096, 512, 0x100000);
	assert_int_equal(insp_pointers_seal(p), 0);
	insp_pointers_from(&it, p, BASE, UINT64_MAX);
	while (insp_pointers_next(&it, &addr, &value)) {
		assert_int_equal(addr, BASE + n * 8);
		assert_int_equal(value, 0x100000 + n % 512);
		n++;
	}
	assert_int_equal(n, 2000 * 512);
	insp_pointers_destroy(p);
	insp_pointers_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan__keeps_what_lies_in_a_range_and_says_where),
		cmocka_unit_test(range__merges_neighbours_and_the_nearest_when_full),
		cmocka_unit_test(seal__sorts_pages_and_joins_parts),
		cmocka_unit_test(seal__sorts_any_number_of_runs),
		cmocka_unit_test(store__grows_without_prefault_and_survives_emptiness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
