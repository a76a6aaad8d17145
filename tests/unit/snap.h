/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * snap: a snapshot made by hand, for tests of analyses.
 *
 *     struct snap *s = snap_create();
 *     uint64_t a = snap_chunk(s, 32, INSP_CHUNK_INUSE);   (its memory: 16 behind the head)
 *     snap_put(s, SNAP_DATA, a);                          (a global variable points to it)
 *     struct insp_snapshot *snapshot = snap_seal(s);
 *     ...
 *     snap_destroy(s);
 *
 * Chunks lie in one heap from SNAP_HEAP on, one behind the other, as glibc's do; snap_heap starts
 * another one. There is a module's data at SNAP_DATA, a stack at SNAP_STACK, and unclaimed
 * memory at SNAP_MEMORY, each of SNAP_REGION bytes. Ids are in the order of snap_chunk.
 */
#ifndef TESTS_UNIT_SNAP_H
#define TESTS_UNIT_SNAP_H

#include "snapshot/snapshot.h"

#define SNAP_DATA   UINT64_C(0x555555500000)
#define SNAP_HEAP   UINT64_C(0x555555600000)
#define SNAP_MEMORY UINT64_C(0x7ffff0000000)
#define SNAP_LONE   UINT64_C(0x7fffd0000000)
#define SNAP_SHARED UINT64_C(0x7ffff2000000)
#define SNAP_STACK  UINT64_C(0x7fffff000000)
#define SNAP_REGION UINT64_C(0x10000)

struct snap;

struct snap *snap_create(void);
void snap_destroy(struct snap *s); /* and its snapshot */

/* The address of its memory. size_bytes is that of the chunk, a multiple of 16. */
uint64_t snap_chunk(struct snap *s, uint64_t size_bytes, enum insp_chunk_state state);
/* An mmapped chunk in a mapping of its own, from SNAP_LONE on. */
uint64_t snap_lone(struct snap *s, uint64_t size_bytes);
/* Following chunks are in a heap of their own at addr. */
void snap_heap(struct snap *s, uint64_t addr);
/* A thread that stands with rsp on the stack; returns its registers. */
struct insp_thread *snap_thread(struct snap *s, int tid, uint64_t rsp);
/* A word of memory. */
void snap_put(struct snap *s, uint64_t addr, uint64_t value);
/* No more of the above. */
struct insp_snapshot *snap_seal(struct snap *s);

uint32_t snap_id(const struct snap *s, uint64_t mem);
size_t snap_nchunks(const struct snap *s);

#endif
