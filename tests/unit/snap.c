/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/vec.h"

static const struct insp_geometry glibc_geometry = {.shift = 4, .lead = 16, .tail = 8};

struct word {
	uint64_t addr, value;
};

struct snap {
	struct insp_snapshot *snapshot;
	INSP_VEC(struct word) words;
	INSP_VEC(uint64_t) mems;
	INSP_VEC(struct insp_region) heaps;
	uint64_t next, heap, next_lone;
	bool open;
};

static void add_region(struct snap *s, uint64_t start, uint64_t end, uint32_t prot, uint32_t flags,
		       uint64_t inode, const char *name)
{
	struct insp_region *r = insp_vec_push(&s->heaps);

	*r = (struct insp_region){.start = start, .end = end, .prot = prot, .flags = flags,
				  .inode = inode, .name = name};
}

struct snap *snap_create(void)
{
	struct snap *s = calloc(1, sizeof(*s));
	const uint32_t rw = INSP_PROT_READ | INSP_PROT_WRITE;

	s->snapshot = insp_snapshot_create();
	s->snapshot->pointers = insp_pointers_create();
	s->snapshot->has = INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_STACKS;
	s->snapshot->modules.items = insp_pool_array(s->snapshot->pool, 1,
						     sizeof(struct insp_module));
	s->snapshot->modules.n = 1;
	s->snapshot->modules.items[0] = (struct insp_module){
		.path = "/bin/made-by-hand", .start = SNAP_DATA - 0x10000,
		.end = SNAP_DATA + SNAP_REGION, .is_main = true};
	add_region(s, SNAP_DATA - 0x10000, SNAP_DATA, INSP_PROT_READ | INSP_PROT_EXEC, 0, 1,
		   "/bin/made-by-hand");
	add_region(s, SNAP_DATA, SNAP_DATA + SNAP_REGION / 2, rw, 0, 1, "/bin/made-by-hand");
	add_region(s, SNAP_DATA + SNAP_REGION / 2, SNAP_DATA + SNAP_REGION, rw, 0, 0, "");
	add_region(s, SNAP_MEMORY, SNAP_MEMORY + SNAP_REGION, rw, 0, 0, "");
	add_region(s, SNAP_SHARED, SNAP_SHARED + SNAP_REGION, rw, INSP_REGION_SHARED, 2, "/dev/shm/x");
	add_region(s, SNAP_STACK, SNAP_STACK + SNAP_REGION, rw, INSP_REGION_STACK, 0, "[stack]");
	s->next_lone = SNAP_LONE;
	s->next = s->heap = SNAP_HEAP;
	return s;
}

void snap_destroy(struct snap *s)
{
	insp_snapshot_destroy(s->snapshot);
	insp_vec_free(&s->words);
	insp_vec_free(&s->mems);
	insp_vec_free(&s->heaps);
	free(s);
}

static void heap_end(struct snap *s)
{
	if (s->open) {
		insp_chunks_span_end_at(s->snapshot->chunks, s->next);
		add_region(s, s->heap & ~UINT64_C(4095), (s->next + 4095) & ~UINT64_C(4095),
			   INSP_PROT_READ | INSP_PROT_WRITE, 0, 0, "");
	}
	s->open = false;
}

void snap_heap(struct snap *s, uint64_t addr)
{
	heap_end(s);
	s->heap = s->next = addr;
}

uint64_t snap_chunk(struct snap *s, uint64_t size_bytes, enum insp_chunk_state state)
{
	uint64_t addr = s->next;

	if (!s->open)
		insp_chunks_span_begin(s->snapshot->chunks, s->heap, s->heap + (1u << 30), 0,
				       glibc_geometry);
	s->open = true;
	insp_chunks_add(s->snapshot->chunks, addr, (uint8_t)state);
	s->next += size_bytes;
	*(uint64_t *)insp_vec_push(&s->mems) = addr + 16;
	return addr + 16;
}

uint64_t snap_lone(struct snap *s, uint64_t size_bytes)
{
	uint64_t addr = s->next_lone;

	if (s->open)
		snap_heap(s, (s->next + 0xfffff) & ~UINT64_C(0xfffff));
	insp_chunks_add_lone(s->snapshot->chunks, addr, addr + size_bytes, 0, glibc_geometry,
			     INSP_CHUNK_MMAPPED);
	add_region(s, addr, addr + size_bytes, INSP_PROT_READ | INSP_PROT_WRITE, 0, 0, "");
	s->next_lone += size_bytes + 4096;
	*(uint64_t *)insp_vec_push(&s->mems) = addr + 16;
	return addr + 16;
}

struct insp_thread *snap_thread(struct snap *s, int tid, uint64_t rsp)
{
	struct insp_threads *t = &s->snapshot->threads;

	if (!t->cap) {
		t->cap = 64;
		t->items = insp_pool_array(s->snapshot->pool, t->cap, sizeof(*t->items));
	}
	assert_true(t->n < t->cap);
	t->items[t->n] = (struct insp_thread){.tid = tid, .have_regs = true};
	t->items[t->n].regs[INSP_REG_RSP] = rsp;
	return &t->items[t->n++];
}

void snap_put(struct snap *s, uint64_t addr, uint64_t value)
{
	struct word *w = insp_vec_push(&s->words);

	*w = (struct word){addr, value};
}

static int word_compare(const void *a, const void *b)
{
	const struct word *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int region_compare(const void *a, const void *b)
{
	const struct insp_region *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct insp_snapshot *snap_seal(struct snap *s)
{
	struct insp_snapshot *snap = s->snapshot;
	uint64_t page[512];

	heap_end(s);
	qsort(s->heaps.items, s->heaps.n, sizeof(*s->heaps.items), region_compare);
	snap->regions.items = insp_pool_memdup(snap->pool, s->heaps.items,
					       s->heaps.n * sizeof(*s->heaps.items));
	snap->regions.n = s->heaps.n;
	assert_int_equal(insp_chunks_seal(snap->chunks, NULL), 0);
	insp_pointers_add_range(snap->pointers, SNAP_DATA, SNAP_HEAP + (UINT64_C(1) << 40));
	insp_pointers_add_range(snap->pointers, SNAP_LONE, SNAP_MEMORY);
	if (s->words.n)
		qsort(s->words.items, s->words.n, sizeof(*s->words.items), word_compare);
	for (size_t i = 0; i < s->words.n;) {
		uint64_t addr = s->words.items[i].addr & ~UINT64_C(4095);

		memset(page, 0, sizeof(page));
		for (; i < s->words.n && s->words.items[i].addr < addr + 4096; i++)
			page[s->words.items[i].addr % 4096 / 8] = s->words.items[i].value;
		insp_pointers_scan(snap->pointers, addr, (const uint8_t *)page, sizeof(page));
	}
	assert_int_equal(insp_pointers_seal(snap->pointers), 0);
	return snap;
}

uint32_t snap_id(const struct snap *s, uint64_t mem)
{
	for (size_t i = 0; i < s->mems.n; i++)
		if (s->mems.items[i] == mem)
			return (uint32_t)i;
	fail_msg("no chunk at %#llx", (unsigned long long)mem);
	return 0;
}

size_t snap_nchunks(const struct snap *s)
{
	return s->mems.n;
}
