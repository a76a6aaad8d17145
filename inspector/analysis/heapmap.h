/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heapmap: the heaps as rows of cells of equal size, each with what is in it.
 */
#ifndef INSP_ANALYSIS_HEAPMAP_H
#define INSP_ANALYSIS_HEAPMAP_H

#include "base/error.h"
#include "snapshot/snapshot.h"

/* Bytes. */
struct insp_map_cell {
	uint32_t arena;
	size_t span;
	uint64_t start, size;
	uint64_t resident;
	uint64_t in_use, cached, free; /* of the resident ones */
	uint64_t keepers;	       /* pages on which chunks in use or cached lie */
};

struct insp_heap_map {
	struct insp_map_cell *cells; /* by arena, then by address */
	size_t n;
	uint64_t cell; /* bytes of each, the last of a span may be smaller */
	bool exact;
};

/* arena: index, or UINT32_MAX for all (mmapped chunks left out). cell 0: so that about max_cells cells
   are enough. Cells live in pool. INSP_E_USAGE: more than a million cells. */
int insp_heap_map_make(const struct insp_snapshot *snapshot, uint32_t arena, uint64_t cell,
		       size_t max_cells, struct insp_pool *pool, struct insp_heap_map *ret,
		       struct insp_error *err) insp_must_check;

#endif
