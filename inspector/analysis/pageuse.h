/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pageuse: the heaps page by page: how full each is, and which chunks keep it.
 *
 * One pass over the chunks, in address order. What fragmentation, pins and the map are made from.
 */
#ifndef INSP_ANALYSIS_PAGEUSE_H
#define INSP_ANALYSIS_PAGEUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "snapshot/snapshot.h"

#define INSP_PAGE_KEEPERS_MAX 260 /* chunks of at least 16 bytes that a 4 KiB page can touch, and more */

enum insp_page_where {
	INSP_PAGE_WHERE_RESIDENT,
	INSP_PAGE_WHERE_SWAPPED,
	INSP_PAGE_WHERE_ABSENT,
};

/* A chunk that is not free for the taking: in use, or in a tcache, or malloc's own. */
struct insp_page_keeper {
	uint32_t id;
	uint64_t addr, size;
	enum insp_chunk_state state;
};

/*
 * npages pages from addr on, all alike: npages > 1 only inside of one chunk. Bytes are those of
 * one page, and may add up to less than a page at the ends of a span.
 */
struct insp_page_use {
	uint64_t addr, npages;
	uint32_t arena;
	size_t span;		/* index into the chunks' spans */
	enum insp_page_where where;
	uint64_t live;		/* in use by the program */
	uint64_t cached;	/* in tcaches */
	uint64_t free;		/* in bins and top */
	uint64_t own;		/* malloc's own, or not understood */
	const struct insp_page_keeper *keepers; /* borrowed for the call */
	unsigned nkeepers;
};

typedef void (*insp_page_use_fn)(void *ctx, const struct insp_page_use *use);

/* Calls fn for all pages of all heaps, in address order, those of mmapped chunks included. Asks for
   Ctrl-C: INSP_E_INTERRUPTED. Without known residency all pages count as resident. */
int insp_pages_each(const struct insp_snapshot *snapshot, insp_page_use_fn fn, void *ctx,
		    struct insp_error *err) insp_must_check;

#endif
