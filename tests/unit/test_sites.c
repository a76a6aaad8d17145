/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reader of the hook's tables, on tables made by hand and on damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <meminspect/hook_format.h>

#include "fake.h"
#include "site/sites.h"

#define LIBRARY UINT64_C(0x7f0000000000)
#define DATA	(LIBRARY + 0x4000)
#define TABLES	UINT64_C(0x7f1000000000)
#define HEAP	UINT64_C(0x555500000000)
#define LEAF	(TABLES + 0x200000)
#define BLOCK	(HEAP + 0x1010) /* the upper half of its 32 bytes */

struct tables {
	struct fake *fake;
	struct insp_hook_header header;
};

static void put_note(struct fake *f)
{
	Elf64_Ehdr e = {.e_phoff = 64, .e_phnum = 1, .e_phentsize = sizeof(Elf64_Phdr)};
	Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = 256, .p_filesz = 28, .p_vaddr = 256};
	Elf64_Nhdr n = {11, 4, INSP_HOOK_NOTE_TYPE};
	int32_t offset = 0x4000 - (256 + 24);

	memcpy(e.e_ident, ELFMAG, SELFMAG);
	e.e_ident[EI_CLASS] = ELFCLASS64;
	fake_put(f, LIBRARY, &e, sizeof(e));
	fake_put(f, LIBRARY + 64, &p, sizeof(p));
	fake_put(f, LIBRARY + 256, &n, sizeof(n));
	fake_put(f, LIBRARY + 268, INSP_HOOK_NOTE_NAME, 11);
	fake_put(f, LIBRARY + 280, &offset, sizeof(offset));
}

/* One site of two frames, that allocated twice and freed once. */
static struct tables build(enum insp_hook_mode mode)
{
	struct tables t = {.fake = fake_create()};
	struct insp_hook_header *h = &t.header;
	struct insp_hook_frame frames[3] = {{0}, {0x401000, 0, 0}, {0x402000, 1, 1}};
	struct insp_hook_counters counters = {2, 300};
	struct insp_hook_sample sample = {BLOCK, 200, 1, 5, 77, 0};
	uint32_t sites[2] = {0, 2};

	fake_region(t.fake, HEAP, 0x10000, INSP_PROT_READ | INSP_PROT_WRITE, "");
	fake_region(t.fake, LIBRARY, 0x6000, INSP_PROT_READ, "/lib/libmeminspect-hook.so");
	fake_region(t.fake, TABLES, 0x700000, INSP_PROT_READ | INSP_PROT_WRITE, "");
	put_note(t.fake);
	memcpy(h->magic, INSP_HOOK_MAGIC, 8);
	h->version = INSP_HOOK_VERSION;
	h->header_bytes = sizeof(*h);
	h->state = INSP_HOOK_RUNNING;
	h->mode = mode;
	h->sample_bytes = 1024;
	h->nframes = 3;
	h->nsites = 2;
	h->frames[0] = TABLES;
	h->sites[0] = TABLES + 0x20000;
	h->banks[3] = TABLES + 0x30000;
	h->samples = TABLES + 0x50000;
	h->samples_cap = 64;
	h->shadow = TABLES + 0x60000;
	h->threads = TABLES + 0x680000;
	fake_put(t.fake, TABLES, frames, sizeof(frames));
	fake_put(t.fake, TABLES + 0x20000, sites, sizeof(sites));
	fake_put64(t.fake, TABLES + 0x30000, TABLES + 0x40000);
	fake_put(t.fake, TABLES + 0x40000 + sizeof(counters), &counters, sizeof(counters));
	fake_put(t.fake, TABLES + 0x50000 + 7 * sizeof(sample), &sample, sizeof(sample));
	/* root -> middle -> leaf -> word, and the slack behind it */
	fake_put64(t.fake, h->shadow + (HEAP >> INSP_HOOK_ROOT_SHIFT) * 8, TABLES + 0x100000);
	fake_put64(t.fake,
		   TABLES + 0x100000 + (HEAP >> INSP_HOOK_LEAF_SHIFT) % INSP_HOOK_MIDDLES * 8, LEAF);
	fake_put64(t.fake, LEAF + (BLOCK - HEAP) / 32 * 8,
		   1 | INSP_HOOK_HALF | (uint64_t)INSP_HOOK_SLACK_MORE << INSP_HOOK_SLACK_SHIFT |
			   UINT64_C(5) << INSP_HOOK_TIME_SHIFT);
	fake_put64(t.fake, LEAF + (BLOCK - HEAP) / 32 * 8 + 8,
		   INSP_HOOK_SITE_SLACK | UINT64_C(100) << INSP_HOOK_SLACK_SHIFT);
	fake_put64(t.fake, h->threads, 77);
	return t;
}

static struct insp_sites *read_it(struct tables *t)
{
	struct insp_space *space;
	struct insp_sites *sites = NULL;
	struct insp_error err;

	fake_put(t->fake, DATA, &t->header, sizeof(t->header));
	space = insp_space_create(fake_target(t->fake), fake_regions(t->fake));
	assert_int_equal(insp_sites_read(space, fake_regions(t->fake), &sites, &err), 0);
	insp_space_destroy(space);
	return sites;
}

static void sites__reads_what_full_mode_wrote(void **state)
{
	const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};
	struct tables t = build(INSP_HOOK_FULL);
	struct insp_sites *s = read_it(&t);
	struct insp_chunks *chunks = insp_chunks_create();
	uint64_t pcs[4], mark;

	(void)state;
	assert_true(s && s->state == INSP_SITES_RECORDING && !s->sampled);
	assert_true(s->items[1].allocs == 2 && s->items[1].alloc_bytes == 300);
	assert_int_equal(insp_sites_stack(s, 1, pcs, 4, &mark), 2);
	assert_int_equal(pcs[0], 0x402000);
	assert_int_equal(pcs[1], 0x401000);
	assert_int_equal(s->nrecords, 1);
	insp_chunks_span_begin(chunks, HEAP, HEAP + 0x10000, 0, glibc);
	insp_chunks_add(chunks, HEAP, INSP_CHUNK_INUSE);
	insp_chunks_add(chunks, BLOCK - 16, INSP_CHUNK_INUSE);
	insp_chunks_add(chunks, BLOCK - 16 + 320, INSP_CHUNK_TOP);
	insp_chunks_span_end(chunks);
	assert_int_equal(insp_chunks_seal(chunks, NULL), 0);
	assert_int_equal(insp_sites_join(s, chunks, NULL), 0);
	assert_int_equal(s->chunk_sites[1], 1);
	assert_non_null(insp_sites_record_at(s, BLOCK));
	/* 320 - 8 usable, 100 of them not asked for */
	assert_int_equal(insp_sites_record_at(s, BLOCK)->size_bytes, 212);
	assert_true(s->items[1].live == 1 && s->items[1].live_bytes == 212);
	assert_int_equal(s->tids[insp_sites_record_at(s, BLOCK)->thread], 77);
	assert_int_equal(insp_site_record_seconds(insp_sites_record_at(s, BLOCK)), 5);
	insp_chunks_destroy(chunks);
	insp_sites_destroy(s);
	fake_destroy(t.fake);
}

static void sites__reads_samples(void **state)
{
	struct tables t = build(INSP_HOOK_SAMPLED);
	struct insp_sites *s = read_it(&t);

	(void)state;
	assert_true(s && s->sampled && s->nrecords == 1);
	assert_int_equal(insp_sites_record_at(s, BLOCK)->size_bytes, 200);
	assert_true(insp_sites_weight(s, 200) > 5.6 && insp_sites_weight(s, 200) < 5.7);
	assert_int_equal(s->damaged, 0);
	insp_sites_destroy(s);
	fake_destroy(t.fake);
}

static void sites__refuses_other_versions(void **state)
{
	struct tables t = build(INSP_HOOK_FULL);
	struct insp_sites *s;

	(void)state;
	t.header.version = 7;
	s = read_it(&t);
	assert_int_equal(s->state, INSP_SITES_REFUSED);
	assert_non_null(strstr(s->why, "version 7"));
	insp_sites_destroy(s);
	t.header.version = INSP_HOOK_VERSION;
	t.header.nframes = UINT32_MAX;
	s = read_it(&t);
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
		struct tables t = build(round % 2 ? INSP_HOOK_FULL : INSP_HOOK_SAMPLED);
		struct insp_sites *s;

		for (int flips = rand_r(&seed) % 6; flips >= 0; flips--) {
			size_t at = offsetof(struct insp_hook_header, nframes) +
				    (size_t)rand_r(&seed) %
					    (sizeof(t.header) - offsetof(struct insp_hook_header, nframes));

			((uint8_t *)&t.header)[at] = (uint8_t)rand_r(&seed);
			fake_put64(t.fake, TABLES + (uint64_t)(rand_r(&seed) % 0x60000) / 8 * 8,
				   (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40));
			fake_put64(t.fake, LEAF + (uint64_t)(rand_r(&seed) % 0x4000) * 8,
				   (uint64_t)rand_r(&seed) << 32 | (uint64_t)rand_r(&seed));
		}
		s = read_it(&t);
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
		cmocka_unit_test(sites__reads_samples),
		cmocka_unit_test(sites__refuses_other_versions),
		cmocka_unit_test(sites__survives_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
