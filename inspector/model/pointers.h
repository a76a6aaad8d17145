/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pointers: every word of the scanned memory that could be an address of a chunk.
 *
 * Filled by the same pass that streams the heaps (insp_pointers_scan is an insp_block_fn), so
 * the pause does not grow by a second one. Eight bytes a pointer:
 *
 *     bits 63..57 zero | 56..48 index of the word in its page | 47..0 the value
 *
 * and for each page that has any, its address, the index of its first pointer and their number.
 * That says the exact place of every pointer without knowing about chunks yet; who owns that place,
 * and what the value hits, is worked out after the pause (analysis/graph.c), against the chunk
 * store. Only the pages are sorted then: moving the pointers would need their memory twice.
 *
 * The scan keeps a word when it lies in one of at most INSP_POINTERS_RANGES coarse ranges that
 * cover all heaps; the exact test comes later.
 */
#ifndef INSP_MODEL_POINTERS_H
#define INSP_MODEL_POINTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSP_POINTERS_RANGES 4
#define INSP_POINTER_VALUE(p) ((p) & UINT64_C(0xffffffffffff))
#define INSP_POINTER_WORD(p)  ((unsigned)((p) >> 48) & 511)

struct insp_pointer_page {
	uint64_t addr;	     /* page aligned to 4096 */
	uint64_t first : 48; /* index into items */
	uint64_t n : 16;     /* pointers in this page, 1 to 512 */
};

/*
 * Invariant after seal: pages sorted by addr, no page twice, items in address order within a page.
 * Where the pages' items lie in `items` is in no order, and some items may belong to no page.
 */
struct insp_pointers {
	uint64_t *items;
	size_t n, cap;
	struct insp_pointer_page *pages;
	size_t npages, pages_cap;
	struct {
		uint64_t start, end;
	} ranges[INSP_POINTERS_RANGES];
	unsigned nranges;
	uint64_t scanned_bytes;
	bool failed; /* memory was short */
	bool sorted;
};

struct insp_pointers *insp_pointers_create(void);
void insp_pointers_destroy(struct insp_pointers *pointers);

/* Adds an address range that chunks may lie in; merges the nearest when there are too many. What
   was scanned before is not scanned again. */
void insp_pointers_add_range(struct insp_pointers *pointers, uint64_t start, uint64_t end);
/* Touches memory for about n pointers beforehand. */
void insp_pointers_prefault(struct insp_pointers *pointers, size_t n, size_t npages);

/* An insp_block_fn with ctx = pointers: addr is 8-aligned; a trailing part of a word is ignored. */
void insp_pointers_scan(void *pointers, uint64_t addr, const uint8_t *bytes, size_t size_bytes);
/* The same without AVX2, whatever the machine has. */
void insp_pointers_scan_plain(void *pointers, uint64_t addr, const uint8_t *bytes,
			      size_t size_bytes);

/* For loading what was saved: makes room for n pointers in npages, which the caller fills in the
   order of a sealed list. 0 or INSP_E_NOMEM. */
int insp_pointers_load_room(struct insp_pointers *pointers, size_t n, size_t npages);

/* Sorts pages; of a word scanned twice the first scan stays. 0 or INSP_E_NOMEM. */
int insp_pointers_seal(struct insp_pointers *pointers);

/* The first page at or behind addr: an index, npages if there is none. Sealed only. */
size_t insp_pointers_page_from(const struct insp_pointers *pointers, uint64_t addr);

/*
 * The pointers in [addr, end) in address order. Sealed only.
 *
 *     insp_pointers_from(&it, pointers, start, end);
 *     while (insp_pointers_next(&it, &addr, &value)) ...
 */
struct insp_pointers_iter {
	const struct insp_pointers *pointers;
	size_t page;
	uint32_t k, n;	 /* next item of that page; items in it */
	uint64_t base;	 /* its address */
	const uint64_t *items;
	uint64_t end;
};

void insp_pointers_from(struct insp_pointers_iter *it, const struct insp_pointers *pointers,
			uint64_t start, uint64_t end);
/* With the result of insp_pointers_page_from(start), for those who know it. */
void insp_pointers_from_page(struct insp_pointers_iter *it, const struct insp_pointers *pointers,
			     size_t page, uint64_t start, uint64_t end);
bool insp_pointers_next_page(struct insp_pointers_iter *it);

static inline bool insp_pointers_next(struct insp_pointers_iter *it, uint64_t *ret_addr,
				      uint64_t *ret_value)
{
	if (it->k >= it->n && !insp_pointers_next_page(it))
		return false;
	uint64_t item = it->items[it->k];
	uint64_t addr = it->base + (uint64_t)INSP_POINTER_WORD(item) * 8;

	if (addr >= it->end)
		return false;
	it->k++;
	*ret_addr = addr;
	*ret_value = INSP_POINTER_VALUE(item);
	return true;
}

#endif
