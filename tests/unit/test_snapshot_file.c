/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/vec.h"
#include "site/sites.h"
#include "snapshot/contents.h"
#include "snapshot/file.h"
#include "snapshot/pack.h"

static const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};

/* Two stacks with a common caller; the block of the lone chunk is one's. */
static struct insp_sites *build_sites(const struct insp_chunks *chunks)
{
	struct insp_sites *s = insp_sites_create();

	s->state = INSP_SITES_RECORDING;
	s->sampled = true;
	s->sample_bytes = 4096;
	s->nframes = 4;
	s->frames = calloc(s->nframes, sizeof(*s->frames));
	s->frames[1] = (struct insp_site_frame){0x401000, 0};
	s->frames[2] = (struct insp_site_frame){0x401100, 1};
	s->frames[3] = (struct insp_site_frame){0x400900, 1};
	s->n = 3;
	s->items = calloc(s->n, sizeof(*s->items));
	s->items[1] = (struct insp_site){2, 10, 1000, 4, 400};
	s->items[2] = (struct insp_site){3, 2.5, 77.25, 0, 0};
	s->nrecords = 2;
	s->records = calloc(s->nrecords, sizeof(*s->records));
	s->records[0] = (struct insp_site_record){.addr = 0x5010, .size_bytes = 9, .site = 1, .time = 3};
	s->records[1] = (struct insp_site_record){.addr = 0x200010, .size_bytes = 135000, .site = 2};
	s->ntids = 1;
	s->tids = calloc(1, sizeof(*s->tids));
	s->tids[0] = 4242;
	s->nchunks = chunks->n;
	s->chunk_sites = calloc(chunks->n, sizeof(*s->chunk_sites));
	s->chunk_sites[0] = 2;
	return s;
}

static struct insp_snapshot *build(void)
{
	struct insp_snapshot *s = insp_snapshot_create();
	struct insp_region *regions = insp_pool_array(s->pool, 2, sizeof(*regions));
	struct insp_thread *t = insp_pool_alloc(s->pool, sizeof(*t));
	struct insp_frame *frame;
	struct insp_allocator *allocator = insp_vec_push(&s->allocators);
	struct insp_arena *arena = insp_vec_push(&s->arenas);
	struct insp_finding *finding = insp_vec_push(&s->findings);
	uint64_t block[512] = {0};
	unsigned seed = 3;

	s->has = INSP_NEED_CHUNKS | INSP_NEED_POINTERS;
	s->target_kind = "fake";
	s->comm = "victim";
	s->exe = NULL;
	s->pid = 4242;
	s->capture.mode = "stop";
	s->capture.stopped_ns = 4100000;
	regions[0] = (struct insp_region){.start = 0x1000, .end = 0x100000, .name = "[heap]", .prot = 3};
	regions[1] = (struct insp_region){.start = 0x200000, .end = 0x300000, .name = ""};
	s->regions = (struct insp_regions){.items = regions, .n = 2, .cap = 2};
	*t = (struct insp_thread){.tid = 7, .name = "worker", .state = 'S', .syscall = -1, .have_regs = true};
	t->regs[INSP_REG_RSP] = 0x7ffc00001000;
	t->stack_bytes = insp_pool_memdup(s->pool, "0123456789", 10);
	t->stack_len = 10;
	frame = insp_pool_array(s->pool, 1, sizeof(*frame));
	t->frames = (struct insp_frames){.items = frame, .n = 1, .cap = 1};
	*frame = (struct insp_frame){.pc = 0x1234, .function = "main", .line = 42};
	s->threads = (struct insp_threads){.items = t, .n = 1, .cap = 1};
	*allocator = (struct insp_allocator){.name = "glibc", .title = "glibc malloc"};
	*arena = (struct insp_arena){.name = "main", .addr = 0x1000, .system_bytes = 0xff000};
	*finding = (struct insp_finding){INSP_CORRUPTION, "bad_size", 0x5000, "a chunk is odd"};
	insp_chunks_add_lone(s->chunks, 0x200000, 0x221000, 0, glibc, INSP_CHUNK_MMAPPED);
	insp_chunks_span_begin(s->chunks, 0x1000, 0x100000, 0, glibc);
	for (uint64_t a = 0x1000; a < 0x100000; a += 32 + 16 * (uint64_t)(rand_r(&seed) % 20))
		insp_chunks_add(s->chunks, a, (uint8_t)(rand_r(&seed) % INSP_N_CHUNK_STATES));
	insp_chunks_span_end(s->chunks);
	assert_int_equal(insp_chunks_seal(s->chunks, NULL), 0);
	s->types.items = insp_pool_array(s->pool, 1, sizeof(*s->types.items));
	s->types.n = s->types.cap = 1;
	s->types.items[0] = (struct insp_type_sum){"struct session", 10, 480};
	s->contents = insp_contents_create();
	*insp_vec_push(s->contents) = (struct insp_contents_block){.addr = 0x1000, .npages = 2, .stored = 9};
	*insp_vec_push(s->contents) = (struct insp_contents_block){.addr = 0x8000, .npages = 64};
	s->auxv = insp_pool_memdup(s->pool, "0123456789abcdef", 16);
	s->auxv_bytes = 16;
	s->pointers = insp_pointers_create();
	insp_pointers_add_range(s->pointers, 0x1000, 0x300000);
	block[3] = 0x2010;
	block[500] = 0x200010;
	insp_pointers_scan(s->pointers, 0x5000, (uint8_t *)block, sizeof(block));
	insp_pointers_scan(s->pointers, 0x3000, (uint8_t *)block, sizeof(block));
	assert_int_equal(insp_pointers_seal(s->pointers), 0);
	s->sites = build_sites(s->chunks);
	return s;
}

/* Writes to a temporary file and gives its bytes. */
static uint8_t *saved_bytes(const struct insp_snapshot *s, size_t *ret_n)
{
	char path[] = "/tmp/meminspect-test.XXXXXX";
	int fd = mkstemp(path);
	struct insp_error err;
	FILE *f;
	uint8_t *bytes = malloc(1 << 20);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(insp_snapshot_save(s, path, &err), 0);
	assert_true(insp_snapshot_is_file(path));
	f = fopen(path, "rb");
	assert_non_null(f);
	*ret_n = fread(bytes, 1, 1 << 20, f);
	assert_true(*ret_n > 0 && *ret_n < 1 << 20);
	fclose(f);
	unlink(path);
	return bytes;
}

static void snapshot_file__gives_back_what_was_saved(void **state)
{
	struct insp_snapshot *a = build(), *b = NULL;
	struct insp_chunk_iter ia, ib;
	struct insp_chunk ca, cb;
	struct insp_error err = {0};
	size_t n, count = 0;
	uint8_t *bytes = saved_bytes(a, &n);

	(void)state;
	assert_int_equal(insp_snapshot_load_bytes(bytes, n, "x", &b, &err), 0);
	assert_string_equal(b->comm, "victim");
	assert_null(b->exe);
	assert_int_equal(b->pid, 4242);
	assert_int_equal(b->capture.stopped_ns, 4100000);
	assert_int_equal(b->regions.n, 2);
	assert_string_equal(b->regions.items[0].name, "[heap]");
	assert_int_equal(b->threads.items[0].regs[INSP_REG_RSP], 0x7ffc00001000);
	assert_memory_equal(b->threads.items[0].stack_bytes, "0123456789", 10);
	assert_string_equal(b->threads.items[0].frames.items[0].function, "main");
	assert_int_equal(b->threads.items[0].syscall, -1);
	assert_string_equal(b->arenas.items[0].name, "main");
	assert_string_equal(b->findings.items[0].text, "a chunk is odd");
	assert_int_equal(a->chunks->n, b->chunks->n);
	insp_chunk_iter_init(&ia, a->chunks);
	insp_chunk_iter_init(&ib, b->chunks);
	while (insp_chunk_iter_next(&ia, &ca)) {
		assert_true(insp_chunk_iter_next(&ib, &cb));
		assert_int_equal(ca.addr, cb.addr);
		assert_int_equal(ca.size, cb.size);
		assert_int_equal(ca.state, cb.state);
		assert_int_equal(ca.id, cb.id);
		count++;
	}
	assert_false(insp_chunk_iter_next(&ib, &cb));
	assert_int_equal(count, a->chunks->n);
	assert_int_equal(b->types.n, 1);
	assert_string_equal(b->types.items[0].name, "struct session");
	assert_int_equal(b->types.items[0].bytes, 480);
	assert_int_equal(b->pointers->npages, 2);
	assert_int_equal(b->pointers->pages[0].addr, 0x3000);
	assert_int_equal(b->pointers->pages[1].n, 2);
	assert_int_equal(INSP_POINTER_VALUE(b->pointers->items[b->pointers->pages[1].first]), 0x2010);
	assert_true(b->sites && b->sites->sampled);
	assert_int_equal(b->sites->n, 3);
	assert_true(b->sites->items[2].alloc_bytes == 77.25);
	assert_memory_equal(a->sites->records, b->sites->records, 2 * sizeof(*a->sites->records));
	assert_int_equal(insp_sites_record_at(b->sites, 0x200010)->site, 2);
	assert_int_equal(b->sites->chunk_sites[0], 2);
	assert_int_equal(b->sites->frames[3].pc, 0x400900);
	insp_snapshot_destroy(a);
	insp_snapshot_destroy(b);
	free(bytes);
}

static void snapshot_file__refuses_damage_everywhere(void **state)
{
	struct insp_snapshot *a = build(), *b = NULL;
	struct insp_error err = {0};
	size_t n;
	uint8_t *bytes = saved_bytes(a, &n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		bytes[i] ^= 0x41;
		assert_int_not_equal(insp_snapshot_load_bytes(bytes, n, "x", &b, &err), 0);
		assert_true(err.msg[0] != '\0');
		bytes[i] ^= 0x41;
	}
	for (size_t cut = 0; cut < n; cut += 13)
		assert_int_not_equal(insp_snapshot_load_bytes(bytes, cut, "x", &b, &err), 0);
	bytes[8] = INSP_FILE_FORMAT + 1;
	assert_int_equal(insp_snapshot_load_bytes(bytes, n, "x", &b, &err), INSP_E_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "this version reads format"));
	insp_snapshot_destroy(a);
	free(bytes);
}

/* What indexes something else, or is divided by, is checked once, here. */
static void snapshot_file__refuses_numbers_that_lead_astray(void **state)
{
	struct insp_error err = {0};

	(void)state;
	for (int which = 0; which < 6; which++) {
		struct insp_snapshot *a = build(), *b = NULL;
		uint8_t *bytes;
		size_t n;

		if (which == 0)
			a->page_size = 0;
		else if (which == 1)
			a->page_size = 6000;
		else if (which == 2)
			a->arenas.items[0].allocator = 1;
		else if (which == 5)
			a->comm = NULL; /* found by the fuzzer */
		else
			a->chunks->spans[which - 3].arena = 1;
		bytes = saved_bytes(a, &n);
		assert_int_equal(insp_snapshot_load_bytes(bytes, n, "x", &b, &err), INSP_E_CORRUPT);
		insp_snapshot_destroy(a);
		free(bytes);
	}
}

/* Sections that pass their checksums but hold nonsense: every truncation and many flips. */
static void snapshot_file__survives_nonsense_in_a_section(void **state)
{
	struct insp_snapshot *a = build();
	unsigned seed = 11;

	(void)state;
	for (size_t k = 0; k < insp_nsections; k++) {
		struct insp_codec w, r;

		insp_codec_write_init(&w);
		insp_sections[k].describe(&w, a);
		assert_int_equal(w.failed, 0);
		for (int round = 0; round < 400; round++) {
			struct insp_snapshot *b = insp_snapshot_create();
			size_t n = round % 3 ? w.n : (size_t)rand_r(&seed) % (w.n + 1);
			uint8_t *copy = malloc(w.n + 1);

			memcpy(copy, w.bytes, w.n);
			for (int flips = rand_r(&seed) % 4; flips >= 0 && w.n; flips--)
				copy[(size_t)rand_r(&seed) % w.n] = (uint8_t)rand_r(&seed);
			insp_codec_read_init(&r, copy, n, b->pool);
			insp_sections[k].describe(&r, b);
			insp_snapshot_destroy(b);
			free(copy);
		}
		insp_codec_deinit(&w);
	}
	insp_snapshot_destroy(a);
}

/* As a snapshot that is taken to be saved: begun early or not, the file is the same; so is a second one. */
static void snapshot_file__is_the_same_packed_early(void **state)
{
	struct insp_snapshot *a = build();
	size_t n, m;
	uint8_t *late = saved_bytes(a, &n), *early;

	(void)state;
	a->packed = insp_packed_begin(a);
	assert_non_null(a->packed);
	for (int i = 0; i < 2; i++) {
		early = saved_bytes(a, &m);
		assert_int_equal(m, n);
		assert_memory_equal(early, late, n);
		free(early);
	}
	free(late);
	insp_snapshot_destroy(a);
	a = build(); /* and never saved */
	a->packed = insp_packed_begin(a);
	insp_snapshot_destroy(a);
}

static void snapshot_file__writes_nothing_where_it_may_not(void **state)
{
	struct insp_snapshot *a = build();
	struct insp_error err = {0};

	(void)state;
	assert_int_equal(insp_snapshot_save(a, "/nonexistent/dir/x.mi", &err), INSP_E_IO);
	assert_non_null(strstr(err.msg, "/nonexistent/dir/x.mi"));
	insp_snapshot_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_file__gives_back_what_was_saved),
		cmocka_unit_test(snapshot_file__refuses_damage_everywhere),
		cmocka_unit_test(snapshot_file__refuses_numbers_that_lead_astray),
		cmocka_unit_test(snapshot_file__survives_nonsense_in_a_section),
		cmocka_unit_test(snapshot_file__is_the_same_packed_early),
		cmocka_unit_test(snapshot_file__writes_nothing_where_it_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
