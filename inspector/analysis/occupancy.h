/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * occupancy: how full the resident pages of the heaps are. The set of mmapped chunks is left
 * out: they are mappings of their own, and go back when they are freed.
 */
#ifndef INSP_ANALYSIS_OCCUPANCY_H
#define INSP_ANALYSIS_OCCUPANCY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "snapshot/snapshot.h"

/* Classes of pages by the share of them that is in use: none, up to 10 %, ... up to 100 %, all. */
#define INSP_FILL_CLASSES 12

struct insp_fill {
	uint64_t pages;	 /* resident */
	uint64_t unused; /* bytes on them that are not in use */
};

/* Bytes. */
struct insp_occupancy_arena {
	uint64_t system;	/* bytes of its spans */
	uint64_t free;		/* of free chunks, tcache and top included */
	uint64_t largest_free;	/* top not counted */
	uint64_t resident;
	uint64_t in_use;	/* resident, and in use */
	uint64_t resident_free;	/* resident, and free: in bins, tcaches, top */
	struct insp_fill fill[INSP_FILL_CLASSES];
};

struct insp_occupancy {
	struct insp_occupancy_arena *arenas; /* [snapshot->arenas.n] */
	struct insp_occupancy_arena total;
	bool exact; /* false: all pages count as resident */
};

/* Fills ret; arenas live in pool. */
int insp_occupancy_take(const struct insp_snapshot *snapshot, struct insp_pool *pool,
			struct insp_occupancy *ret, struct insp_error *err) insp_must_check;

/* The one figure: share of the resident bytes that is not in use, 0..1. */
double insp_occupancy_fragmentation(const struct insp_occupancy_arena *a);
/* "empty", "up to 10 %", ..., "full". */
const char *insp_fill_title(unsigned fill_class);

#endif
