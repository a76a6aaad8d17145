/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fakeheap: a heap of glibc made byte by byte in a fake target, as malloc itself would leave it:
 * a libc with main_arena and mp_, a brk area, one thread with a tcache, one arena more.
 *
 *     struct fakeheap *h = fakeheap_create(FAKEHEAP_2_36);
 *     uint64_t p = fakeheap_malloc(h, 100);        (memory, cut from top)
 *     fakeheap_free_tcache(h, p);
 *     const struct walked *w = fakeheap_walk(h);   (owned by h; once)
 *     fakeheap_destroy(h);
 */
#ifndef TESTS_UNIT_FAKEHEAP_H
#define TESTS_UNIT_FAKEHEAP_H

#include "fake.h"
#include "heap/allocator.h"

enum fakeheap_version { FAKEHEAP_2_26, FAKEHEAP_2_31, FAKEHEAP_2_36, FAKEHEAP_2_43, FAKEHEAP_N };

#define FAKEHEAP_LIBC  UINT64_C(0x7ffff7a00000) /* .data of libc */
#define FAKEHEAP_BRK   UINT64_C(0x555555800000)
#define FAKEHEAP_HEAP  UINT64_C(0x7ffff0000000) /* of the second arena */
#define FAKEHEAP_MMAP  UINT64_C(0x7fffe0001000) /* an anonymous mapping */
#define FAKEHEAP_TLS   UINT64_C(0x7ffff7b00000)
#define FAKEHEAP_BYTES UINT64_C(0x21000)        /* of the brk area and of the second heap */
#define FAKEHEAP_MMAP_BYTES UINT64_C(0x40000)
#define FAKEHEAP_TID   4243

struct walked {
	struct insp_allocators allocators;
	struct insp_arenas arenas;
	struct insp_chunks *chunks;
	struct insp_bins bins;
	struct insp_findings findings;
};

struct fakeheap {
	struct fake *fake;
	enum fakeheap_version version;
	uint64_t main_arena, arena, par, tcache; /* addresses */
	uint64_t top, arena_top;
	uint64_t bins, tail;	/* offsets in malloc_state: of bins, of binmap */
	bool safe_linking;
	struct walked walked;
	struct insp_pool *pool;
	struct insp_space *space;
	struct insp_modules modules;
	struct insp_threads threads;
	int rc;			/* of the walk: fuzzing only; fakeheap_walk wants 0 */
};

struct fakeheap *fakeheap_create(enum fakeheap_version version);
void fakeheap_destroy(struct fakeheap *h);

/* One arena more, of FAKEHEAP_BYTES at each of these; torn: none leads from its last heap to the others. */
uint64_t fakeheap_add_arena(struct fakeheap *h, const uint64_t *heaps, size_t nheaps, bool torn);

/* From the main arena's top; the address of the memory. */
uint64_t fakeheap_malloc(struct fakeheap *h, uint64_t bytes);
/* From the second arena's. */
uint64_t fakeheap_malloc_arena(struct fakeheap *h, uint64_t bytes);
uint64_t fakeheap_size(struct fakeheap *h, uint64_t mem); /* of the chunk */

/* Free, the neighbours' heads included. bin: 1 unsorted, 2.. as in malloc; of the arena at addr. */
void fakeheap_free_bin(struct fakeheap *h, uint64_t arena, uint64_t mem, unsigned bin);
void fakeheap_free_fast(struct fakeheap *h, uint64_t mem);
void fakeheap_free_tcache(struct fakeheap *h, uint64_t mem);
/* An mmapped chunk at addr in FAKEHEAP_MMAP, and malloc's count of it. */
uint64_t fakeheap_mmap(struct fakeheap *h, uint64_t addr, uint64_t bytes);

/* All three steps. The first fails the test when an error comes up, the second never does. */
const struct walked *fakeheap_walk(struct fakeheap *h);
void fakeheap_try(struct fakeheap *h, insp_block_fn on_block, void *ctx);

/* State of the chunk whose memory is at mem; INSP_N_CHUNK_STATES: no chunk starts there. */
enum insp_chunk_state walked_state(const struct walked *w, uint64_t mem);
const struct insp_finding *walked_finding(const struct walked *w, const char *code);
uint64_t walked_bytes(const struct walked *w, enum insp_chunk_state state);

#endif
