/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fakeheap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/vec.h"

#define HEAP_INFO (h->version <= FAKEHEAP_2_31 ? 0x20u : 0x30u)
#define P UINT64_C(1)

/* Offsets in mp_ and the tcache struct, written down once more here: a test, not a copy. */
static const struct {
	uint64_t bins, n_mmaps, mmapped_mem, sbrk_base, tcache_bins;
	uint64_t tcache_size, entries, count_size;
	bool safe_linking;
} versions[FAKEHEAP_N] = {
	[FAKEHEAP_2_26] = {104, 40, 56, 72, 80, 576, 64, 1, false},
	[FAKEHEAP_2_31] = {112, 40, 56, 72, 80, 640, 128, 2, false},
	[FAKEHEAP_2_36] = {112, 60, 80, 96, 104, 640, 128, 2, true},
	[FAKEHEAP_2_43] = {24, 68, 88, 104, 112, 760, 152, 2, true},
};

static void put(struct fakeheap *h, uint64_t addr, uint64_t value)
{
	fake_put64(h->fake, addr, value);
}

static uint64_t get(struct fakeheap *h, uint64_t addr)
{
	return fake_get64(h->fake, addr);
}

static void put32(struct fakeheap *h, uint64_t addr, uint32_t value)
{
	fake_put(h->fake, addr, &value, sizeof(value));
}

static uint64_t bin_at(struct fakeheap *h, uint64_t arena, unsigned bin)
{
	return arena + h->bins + 16 * (uint64_t)(bin - 1) - 16;
}

static void init_arena(struct fakeheap *h, uint64_t arena, uint64_t next, uint64_t top,
		       uint64_t system_mem)
{
	for (unsigned i = 1; i <= 127; i++) {
		put(h, bin_at(h, arena, i) + 16, bin_at(h, arena, i));
		put(h, bin_at(h, arena, i) + 24, bin_at(h, arena, i));
	}
	put(h, arena + h->bins - 16, top);
	put(h, arena + h->tail + 16, next);
	put(h, arena + h->tail + 32, 1); /* attached_threads */
	put(h, arena + h->tail + 40, system_mem);
	put(h, arena + h->tail + 48, system_mem);
}

static void init_par(struct fakeheap *h)
{
	put(h, h->par, 131072);	     /* trim_threshold */
	put(h, h->par + 8, 131072);  /* top_pad */
	put(h, h->par + 16, 131072); /* mmap_threshold */
	put(h, h->par + 24, 8);	     /* arena_test */
	put32(h, h->par + versions[h->version].n_mmaps + 4, 65536);
	put(h, h->par + versions[h->version].sbrk_base, FAKEHEAP_BRK);
	put(h, h->par + versions[h->version].tcache_bins, 64);
	put(h, h->par + versions[h->version].tcache_bins + 8,
	    h->version == FAKEHEAP_2_43 ? 1041 : 1032);
	put(h, h->par + versions[h->version].tcache_bins + 16,
	    h->version == FAKEHEAP_2_43 ? 16 : 7);
}

static void add_modules(struct fakeheap *h)
{
	struct insp_module *m = insp_vec_push(&h->modules);

	assert_non_null(m);
	*m = (struct insp_module){.path = "/lib/libc.so.6",
				  .start = FAKEHEAP_LIBC,
				  .end = FAKEHEAP_LIBC + 0x4000};
}

struct fakeheap *fakeheap_create(enum fakeheap_version version)
{
	struct fakeheap *h = calloc(1, sizeof(*h));
	struct insp_thread *t;
	uint32_t rw = INSP_PROT_READ | INSP_PROT_WRITE;

	assert_non_null(h);
	h->version = version;
	h->fake = fake_create();
	h->safe_linking = versions[version].safe_linking;
	h->bins = versions[version].bins;
	h->tail = h->bins + 254 * 8;
	(void)fake_region(h->fake, FAKEHEAP_LIBC, 0x4000, rw, "/lib/libc.so.6");
	(void)fake_region(h->fake, FAKEHEAP_BRK, FAKEHEAP_BYTES, rw, "[heap]");
	(void)fake_region(h->fake, FAKEHEAP_HEAP, FAKEHEAP_BYTES, rw, "");
	(void)fake_region(h->fake, FAKEHEAP_MMAP, FAKEHEAP_MMAP_BYTES, rw, "");
	(void)fake_region(h->fake, FAKEHEAP_TLS, 0x4000, rw, "");
	h->par = FAKEHEAP_LIBC + 0x340;
	h->main_arena = FAKEHEAP_LIBC + 0xc60;
	h->arena = FAKEHEAP_HEAP + HEAP_INFO;
	h->top = FAKEHEAP_BRK;
	h->arena_top = (h->arena + h->tail + 56 + 15) & ~UINT64_C(15);
	init_arena(h, h->main_arena, h->arena, h->top, FAKEHEAP_BYTES);
	init_arena(h, h->arena, h->main_arena, h->arena_top, FAKEHEAP_BYTES);
	init_par(h);
	put(h, h->top + 8, FAKEHEAP_BYTES | P);
	put(h, h->arena_top + 8, (FAKEHEAP_HEAP + FAKEHEAP_BYTES - h->arena_top) | P);
	put(h, FAKEHEAP_HEAP, h->arena);
	put(h, FAKEHEAP_HEAP + 16, FAKEHEAP_BYTES);
	put(h, FAKEHEAP_HEAP + 24, FAKEHEAP_BYTES);
	h->tcache = fakeheap_malloc(h, versions[version].tcache_size);
	if (version == FAKEHEAP_2_43)
		for (uint64_t i = 0; i < 76; i++)
			fake_put(h->fake, h->tcache + 2 * i, "\x10", 2);
	t = fake_thread(h->fake, FAKEHEAP_TID);
	t->have_regs = true;
	t->fs_base = FAKEHEAP_TLS + 0x3000;
	put(h, t->fs_base - 0x58, h->tcache);
	put(h, t->fs_base - 0x40, h->main_arena);
	add_modules(h);
	return h;
}

uint64_t fakeheap_add_arena(struct fakeheap *h, const uint64_t *heaps, size_t nheaps, bool torn)
{
	const uint32_t rw = INSP_PROT_READ | INSP_PROT_WRITE;
	const uint64_t arena = heaps[0] + HEAP_INFO, first = (arena + h->tail + 56 + 15) & ~UINT64_C(15);
	uint64_t top = first;

	for (size_t i = 0; i < nheaps; i++) {
		(void)fake_region(h->fake, heaps[i], FAKEHEAP_BYTES, rw, "");
		put(h, heaps[i], arena);
		put(h, heaps[i] + 8, i && !torn ? heaps[i - 1] : 0);
		put(h, heaps[i] + 16, FAKEHEAP_BYTES);
		put(h, heaps[i] + 24, FAKEHEAP_BYTES);
		if (i)
			top = heaps[i] + HEAP_INFO;
		put(h, top + 8, (heaps[i] + FAKEHEAP_BYTES - top) | P | (i + 1 < nheaps ? 4 : 0));
	}
	init_arena(h, arena, get(h, h->main_arena + h->tail + 16), top, nheaps * FAKEHEAP_BYTES);
	put(h, h->main_arena + h->tail + 16, arena);
	return arena;
}

void fakeheap_destroy(struct fakeheap *h)
{
	insp_chunks_destroy(h->walked.chunks);
	insp_vec_free(&h->walked.allocators);
	insp_vec_free(&h->walked.arenas);
	insp_vec_free(&h->walked.bins);
	insp_vec_free(&h->walked.findings);
	insp_vec_free(&h->modules);
	insp_space_destroy(h->space);
	insp_pool_destroy(h->pool);
	fake_destroy(h->fake);
	free(h);
}

static uint64_t cut(struct fakeheap *h, uint64_t arena, uint64_t *top, uint64_t bytes, uint64_t flags)
{
	uint64_t size = bytes + 8 < 32 ? 32 : (bytes + 8 + 15) & ~UINT64_C(15), chunk = *top;
	uint64_t left = (get(h, chunk + 8) & ~UINT64_C(7)) - size;

	put(h, chunk + 8, size | P | flags);
	*top = chunk + size;
	put(h, *top + 8, left | P);
	put(h, arena + h->bins - 16, *top);
	return chunk + 16;
}

uint64_t fakeheap_malloc(struct fakeheap *h, uint64_t bytes)
{
	return cut(h, h->main_arena, &h->top, bytes, 0);
}

uint64_t fakeheap_malloc_arena(struct fakeheap *h, uint64_t bytes)
{
	return cut(h, h->arena, &h->arena_top, bytes, 4);
}

uint64_t fakeheap_size(struct fakeheap *h, uint64_t mem)
{
	return get(h, mem - 8) & ~UINT64_C(7);
}

void fakeheap_free_bin(struct fakeheap *h, uint64_t arena, uint64_t mem, unsigned bin)
{
	uint64_t chunk = mem - 16, size = fakeheap_size(h, mem), head = bin_at(h, arena, bin);
	uint64_t first = get(h, head + 16);

	put(h, chunk + size, size);
	put(h, chunk + size + 8, get(h, chunk + size + 8) & ~P);
	put(h, chunk + 16, first);
	put(h, chunk + 24, head);
	put(h, first + 24, chunk);
	put(h, head + 16, chunk);
}

static uint64_t protect(const struct fakeheap *h, uint64_t field, uint64_t value)
{
	return h->safe_linking ? field >> 12 ^ value : value;
}

void fakeheap_free_fast(struct fakeheap *h, uint64_t mem)
{
	uint64_t head = h->main_arena + h->bins - 96 + 8 * (fakeheap_size(h, mem) / 16 - 2);

	put(h, mem, protect(h, mem, get(h, head)));
	put(h, head, mem - 16);
}

void fakeheap_free_tcache(struct fakeheap *h, uint64_t mem)
{
	uint64_t bin = fakeheap_size(h, mem) / 16 - 2;
	uint64_t entry = h->tcache + versions[h->version].entries + 8 * bin;
	uint64_t count = h->tcache + versions[h->version].count_size * bin;
	uint64_t word = get(h, count);

	put(h, mem, protect(h, mem, get(h, entry)));
	put(h, mem + 8, 0x1122334455667788);
	put(h, entry, mem);
	put(h, count, h->version == FAKEHEAP_2_43 ? word - 1 : word + 1);
}

uint64_t fakeheap_mmap(struct fakeheap *h, uint64_t addr, uint64_t bytes)
{
	uint64_t tail = h->version == FAKEHEAP_2_43 ? 16 : 0;
	uint64_t total = (bytes + 16 + tail + 4095) & ~UINT64_C(4095);
	uint64_t n = h->par + versions[h->version].n_mmaps;
	uint64_t mem = h->par + versions[h->version].mmapped_mem;

	put(h, addr, 0);
	put(h, addr + 8, (total - tail) | 2);
	put32(h, n, (uint32_t)get(h, n) + 1);
	put32(h, n + 8, (uint32_t)get(h, n)); /* max_n_mmaps */
	put(h, mem, get(h, mem) + total);
	put(h, mem + 8, get(h, mem));
	return addr + 16;
}

void fakeheap_try(struct fakeheap *h, insp_block_fn on_block, void *ctx)
{
	struct insp_target *target = fake_target(h->fake);
	struct insp_heap_result result = {&h->walked.allocators, &h->walked.arenas, NULL,
					  &h->walked.bins, &h->walked.findings};
	struct insp_heap_walk *walk = NULL;
	uint64_t bytes, nchunks;

	h->pool = insp_pool_create();
	h->space = insp_space_create(target, fake_regions(h->fake));
	h->walked.chunks = result.chunks = insp_chunks_create();
	assert_non_null(h->pool);
	assert_non_null(h->space);
	assert_non_null(result.chunks);
	struct insp_heap_env env = {
		.target = target,
		.space = h->space,
		.regions = fake_regions(h->fake),
		.modules = &h->modules,
		.pool = h->pool,
	};

	h->rc = insp_heap_walk_begin(&env, &result, &walk, NULL);
	if (h->rc)
		return;
	insp_heap_walk_estimate(walk, &bytes, &nchunks);
	assert_int_equal(target->ops->threads(target, h->pool, &h->threads, NULL), 0);
	env.threads = &h->threads;
	env.on_block = on_block;
	env.on_block_ctx = ctx;
	h->rc = insp_heap_walk_collect(walk, &env, &result, NULL);
	if (!h->rc)
		h->rc = insp_heap_walk_finish(walk, &env, &result, NULL);
	insp_heap_walk_end(walk);
}

const struct walked *fakeheap_walk(struct fakeheap *h)
{
	fakeheap_try(h, NULL, NULL);
	assert_int_equal(h->rc, 0);
	return &h->walked;
}

enum insp_chunk_state walked_state(const struct walked *w, uint64_t mem)
{
	int64_t id = insp_chunks_at(w->chunks, mem);
	struct insp_chunk c;

	if (id < 0)
		return INSP_N_CHUNK_STATES;
	insp_chunks_get(w->chunks, (uint32_t)id, &c);
	return c.mem == mem ? c.state : INSP_N_CHUNK_STATES;
}

const struct insp_finding *walked_finding(const struct walked *w, const char *code)
{
	insp_vec_each(&w->findings, f)
		if (strcmp(f->code, code) == 0)
			return f;
	return NULL;
}

uint64_t walked_bytes(const struct walked *w, enum insp_chunk_state state)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t sum = 0;

	insp_chunks_each(w->chunks, it, c)
		if (c.state == state)
			sum += c.size;
	return sum;
}
