/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reader of the hook's tables, on tables made by hand and on damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fakehook.h"

static void sites__reads_what_full_mode_wrote(void **state)
{
	const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};
	struct fakehook t = fakehook_build(INSP_HOOK_FULL);
	struct insp_sites *s = fakehook_read(&t);
	struct insp_chunks *chunks = insp_chunks_create();
	uint64_t pcs[4], mark;

	(void)state;
	assert_true(s && s->state == INSP_SITES_RECORDING && !s->sampled);
	assert_true(s->items[1].allocs == 2 && s->items[1].alloc_bytes == 300);
	assert_int_equal(insp_sites_stack(s, 1, pcs, 4, &mark), 2);
	assert_int_equal(pcs[0], 0x402000);
	assert_int_equal(pcs[1], 0x401000);
	assert_int_equal(s->nrecords, 1);
	insp_chunks_span_begin(chunks, FAKEHOOK_HEAP, FAKEHOOK_HEAP + 0x10000, 0, glibc);
	insp_chunks_add(chunks, FAKEHOOK_HEAP, INSP_CHUNK_INUSE);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK - 16, INSP_CHUNK_INUSE);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK - 16 + 320, INSP_CHUNK_TOP);
	insp_chunks_span_end(chunks);
	assert_int_equal(insp_chunks_seal(chunks, NULL), 0);
	assert_int_equal(insp_sites_join(s, chunks, NULL), 0);
	assert_int_equal(s->chunk_sites[1], 1);
	assert_non_null(insp_sites_record_at(s, FAKEHOOK_BLOCK));
	/* 320 - 8 usable, 100 of them not asked for */
	assert_int_equal(insp_sites_record_at(s, FAKEHOOK_BLOCK)->size_bytes, 212);
	assert_true(s->items[1].live == 1 && s->items[1].live_bytes == 212);
	assert_int_equal(s->tids[insp_sites_record_at(s, FAKEHOOK_BLOCK)->thread], 77);
	assert_int_equal(insp_site_record_seconds(insp_sites_record_at(s, FAKEHOOK_BLOCK)), 5);
	insp_chunks_destroy(chunks);
	insp_sites_destroy(s);
	fake_destroy(t.fake);
}

/* As memalign makes them: 65520 bytes of a mapping come before the block. */
static void sites__find_aligned_blocks_inside_of_their_chunk(void **state)
{
	const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};
	struct fakehook t = fakehook_build(INSP_HOOK_FULL);
	struct insp_sites *s = fakehook_read(&t);
	struct insp_chunks *chunks = insp_chunks_create();
	struct insp_chunk c;

	(void)state;
	insp_chunks_span_begin(chunks, FAKEHOOK_BLOCK - 0x10000, FAKEHOOK_BLOCK + 0x10000, 0, glibc);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK - 0x10000, INSP_CHUNK_MMAPPED);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK + 0x1000, INSP_CHUNK_TOP);
	insp_chunks_span_end(chunks);
	assert_int_equal(insp_chunks_seal(chunks, NULL), 0);
	assert_int_equal(insp_sites_join(s, chunks, NULL), 0);
	insp_chunks_get(chunks, 0, &c);
	assert_null(insp_sites_record_at(s, c.mem));
	assert_ptr_equal(insp_sites_record_of(s, &c), insp_sites_record_at(s, FAKEHOOK_BLOCK));
	assert_non_null(insp_sites_record_of(s, &c));
	insp_chunks_get(chunks, 1, &c);
	assert_null(insp_sites_record_of(s, &c));
	insp_chunks_destroy(chunks);
	insp_sites_destroy(s);
	fake_destroy(t.fake);
}

static void sites__reads_samples(void **state)
{
	struct fakehook t = fakehook_build(INSP_HOOK_SAMPLED);
	struct insp_sites *s = fakehook_read(&t);

	(void)state;
	assert_true(s && s->sampled && s->nrecords == 1);
	assert_int_equal(insp_sites_record_at(s, FAKEHOOK_BLOCK)->size_bytes, 200);
	assert_true(insp_sites_weight(s, 200) > 5.6 && insp_sites_weight(s, 200) < 5.7);
	assert_int_equal(s->damaged, 0);
	insp_sites_destroy(s);
	fake_destroy(t.fake);
}

static void sites__refuses_other_versions(void **state)
{
	struct fakehook t = fakehook_build(INSP_HOOK_FULL);
	struct insp_sites *s;

	(void)state;
	t.header.version = 7;
	s = fakehook_read(&t);
	assert_int_equal(s->state, INSP_SITES_REFUSED);
	assert_non_null(strstr(s->why, "version 7"));
	insp_sites_destroy(s);
	t.header.version = INSP_HOOK_VERSION;
	t.header.nframes = UINT32_MAX;
	s = fakehook_read(&t);
	assert_int_equal(s->state, INSP_SITES_REFUSED);
	insp_sites_destroy(s);
	fake_destroy(t.fake);
}

/* Every stack ends and every index is in its table, whatever the bytes say. */
static void sites__survives_nonsense(void **state)
{
	unsigned seed = 5;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct fakehook t = fakehook_build(round % 2 ? INSP_HOOK_FULL : INSP_HOOK_SAMPLED);
		struct insp_sites *s;

		for (int flips = rand_r(&seed) % 6; flips >= 0; flips--) {
			size_t at = offsetof(struct insp_hook_header, nframes) +
				    (size_t)rand_r(&seed) %
					    (sizeof(t.header) - offsetof(struct insp_hook_header, nframes));

			((uint8_t *)&t.header)[at] = (uint8_t)rand_r(&seed);
			fake_put64(t.fake, FAKEHOOK_TABLES + (uint64_t)(rand_r(&seed) % 0x60000) / 8 * 8,
				   (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40));
			fake_put64(t.fake, FAKEHOOK_LEAF + (uint64_t)(rand_r(&seed) % 0x4000) * 8,
				   (uint64_t)rand_r(&seed) << 32 | (uint64_t)rand_r(&seed));
		}
		s = fakehook_read(&t);
		for (uint32_t i = 0; s && i < s->n; i++) {
			uint64_t pcs[64], mark;

			(void)insp_sites_stack(s, i, pcs, 64, &mark);
		}
		for (size_t i = 0; s && i < s->nrecords; i++)
			assert_true(s->records[i].site < s->n && s->records[i].thread < s->ntids);
		insp_sites_destroy(s);
		fake_destroy(t.fake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sites__reads_what_full_mode_wrote),
		cmocka_unit_test(sites__find_aligned_blocks_inside_of_their_chunk),
		cmocka_unit_test(sites__reads_samples),
		cmocka_unit_test(sites__refuses_other_versions),
		cmocka_unit_test(sites__survives_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
