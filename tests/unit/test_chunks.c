/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/chunks.h"

static const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};

struct truth {
	uint64_t addr, size;
	uint32_t arena;
	uint8_t state;
};

#define NTRUTH 40000

static struct truth truth[NTRUTH];

/* Three spans added out of order and a lone chunk; truth[] in address order. */
static struct insp_chunks *build(void)
{
	static const uint64_t starts[] = {0x7f0000200000, 0x555500000010, 0x7f0000000030};
	static const size_t n[] = {10000, 20000, 9999}, at[] = {29999, 0, 20000};
	struct insp_chunks *c = insp_chunks_create();
	unsigned seed = 7;

	for (uint32_t s = 0; s < 3; s++) {
		uint64_t addr = starts[s];
		struct truth *t = truth + at[s];

		for (size_t i = 0; i < n[s]; i++) {
			uint64_t size = 32 + 16 * (uint64_t)(rand_r(&seed) % 5);

			if (s != 2 && i == 5000)
				size += 1 << 20;
			t[i] = (struct truth){addr, size, s, (uint8_t)(rand_r(&seed) % 5)};
			addr += size;
		}
		insp_chunks_span_begin(c, starts[s], addr + 4096, s, glibc);
		for (size_t i = 0; i < n[s]; i++)
			insp_chunks_add(c, t[i].addr, t[i].state);
		assert_false(insp_chunks_add_slow(c, t[0].addr, 0)); /* never backwards */
		insp_chunks_span_end_at(c, addr);
	}
	truth[NTRUTH - 1] = (struct truth){0x7f1000000000, 0x21000, 9, INSP_CHUNK_MMAPPED};
	insp_chunks_add_lone(c, 0x7f1000000000, 0x7f1000021000, 9, glibc, INSP_CHUNK_MMAPPED);
	assert_int_equal(insp_chunks_seal(c, NULL), 0);
	return c;
}

static void chunks__iterate_in_address_order_and_tile(void **state)
{
	struct insp_chunks *c = build();
	struct insp_chunk_iter it;
	struct insp_chunk ch;
	size_t i = 0;

	(void)state;
	insp_chunks_each(c, it, ch) {
		assert_int_equal(ch.addr, truth[i].addr);
		assert_int_equal(ch.size, truth[i].size);
		assert_int_equal(ch.state, truth[i].state);
		assert_int_equal(ch.arena, truth[i].arena);
		i++;
	}
	assert_int_equal(i, NTRUTH);
	insp_chunks_destroy(c);
}

static void chunks__find_by_address_and_id(void **state)
{
	struct insp_chunks *c = build();
	struct insp_chunk ch;
	size_t hint = 0;

	(void)state;
	for (size_t i = 0; i < NTRUTH; i += 7) {
		int64_t id = insp_chunks_at(c, truth[i].addr);
		bool next_touches = i + 1 < NTRUTH &&
				    truth[i + 1].addr == truth[i].addr + truth[i].size;

		assert_true(id >= 0);
		assert_int_equal(insp_chunks_at_hint(c, truth[i].addr + truth[i].size - 1, &hint),
				 id);
		insp_chunks_get(c, (uint32_t)id, &ch);
		assert_int_equal(ch.addr, truth[i].addr);
		assert_int_equal(ch.size, truth[i].size);
		assert_int_equal(ch.mem, ch.addr + 16);
		assert_int_equal(insp_chunks_owner(c, ch.mem, &hint), id);
		assert_int_equal(insp_chunks_owner(c, ch.addr + 8, &hint), -1);
		/* The program's memory reaches 8 bytes into the next head, where there is one. */
		if (next_touches)
			assert_int_equal(insp_chunks_owner(c, ch.mem + ch.usable - 1, &hint), id);
	}
	assert_int_equal(insp_chunks_at(c, 0x1000), -1);
	assert_int_equal(insp_chunks_at(c, 0x7f1000020fff), NTRUTH - 1);
	assert_int_equal(insp_chunks_owner(c, 0x7f1000020fff, &hint), NTRUTH - 1);
	assert_int_equal(insp_chunks_at(c, 0x7f1000021000), -1);
	assert_int_equal(insp_chunks_at(c, UINT64_MAX), -1);
	insp_chunks_destroy(c);
}

static void chunks__iterate_from_an_address(void **state)
{
	struct insp_chunks *c = build();
	struct insp_chunk_iter it;
	struct insp_chunk ch;

	(void)state;
	for (size_t i = 0; i < NTRUTH; i += 501) {
		insp_chunk_iter_from(&it, c, truth[i].addr + truth[i].size / 2);
		for (size_t k = i; k < NTRUTH && k < i + 3; k++) {
			assert_true(insp_chunk_iter_next(&it, &ch));
			assert_int_equal(ch.addr, truth[k].addr);
			assert_int_equal(insp_chunks_at(c, ch.addr), ch.id);
		}
	}
	insp_chunk_iter_from(&it, c, 0x600000000000); /* between spans */
	assert_true(insp_chunk_iter_next(&it, &ch));
	assert_int_equal(ch.addr, 0x7f0000000030);
	insp_chunk_iter_from(&it, c, UINT64_MAX);
	assert_false(insp_chunk_iter_next(&it, &ch));
	insp_chunks_destroy(c);
}

static void chunks__refuse_overlapping_spans(void **state)
{
	struct insp_chunks *c = insp_chunks_create();
	struct insp_error err = {0};

	(void)state;
	insp_chunks_add_lone(c, 0x1000, 0x3000, 0, glibc, INSP_CHUNK_MMAPPED);
	insp_chunks_add_lone(c, 0x2000, 0x4000, 0, glibc, INSP_CHUNK_MMAPPED);
	assert_int_equal(insp_chunks_seal(c, &err), INSP_E_CORRUPT);
	assert_string_equal(err.msg, "two heaps overlap: 0x1000-0x3000 and 0x2000-0x4000");
	insp_chunks_destroy(c);
}

static void chunks__stay_empty_without_chunks(void **state)
{
	struct insp_chunks *c = insp_chunks_create();
	struct insp_chunk_iter it;
	struct insp_chunk ch;

	(void)state;
	insp_chunks_span_begin(c, 0x1000, 0x2000, 0, glibc);
	insp_chunks_span_end(c);
	assert_int_equal(insp_chunks_seal(c, NULL), 0);
	insp_chunk_iter_init(&it, c);
	assert_false(insp_chunk_iter_next(&it, &ch));
	assert_int_equal(insp_chunks_at(c, 0x1000), -1);
	insp_chunks_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks__iterate_in_address_order_and_tile),
		cmocka_unit_test(chunks__find_by_address_and_id),
		cmocka_unit_test(chunks__iterate_from_an_address),
		cmocka_unit_test(chunks__refuse_overlapping_spans),
		cmocka_unit_test(chunks__stay_empty_without_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
