/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * trim: what malloc_trim(pad) would give back, computed by glibc's own rules, without calling it.
 */
#ifndef INSP_ANALYSIS_TRIM_H
#define INSP_ANALYSIS_TRIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "snapshot/snapshot.h"

/* Resident bytes, except absent. release_* and kept_* add up to the resident free bytes. */
struct insp_trim_arena {
	bool trims;		/* false: not glibc's, or the set of mmapped chunks */
	uint64_t release_bins;	/* whole pages inside free chunks */
	uint64_t release_top;	/* main arena: the end of brk */
	uint64_t release_swap;	/* swap that goes with them */
	uint64_t kept_tcache;	/* threads' caches are not touched */
	uint64_t kept_small;	/* in free chunks that hold no whole page */
	uint64_t kept_edges;	/* first and last pages of larger ones, shared with neighbours */
	uint64_t kept_top;
	const char *top_reason; /* why not all of top; NULL: none is left */
	uint64_t absent;	/* bytes of free chunks that are not resident: given back already */
};

struct insp_trim {
	struct insp_trim_arena *arenas; /* [snapshot->arenas.n] */
	struct insp_trim_arena total;
	bool exact;		/* page states were known; false: counts every page as resident */
};

/* Fills ret; arenas live in pool. Asks for Ctrl-C. */
int insp_trim_plan(const struct insp_snapshot *snapshot, uint64_t pad, struct insp_pool *pool,
		   struct insp_trim *ret, struct insp_error *err) insp_must_check;

static inline uint64_t insp_trim_release(const struct insp_trim_arena *a)
{
	return a->release_bins + a->release_top;
}

static inline uint64_t insp_trim_kept(const struct insp_trim_arena *a)
{
	return a->kept_tcache + a->kept_small + a->kept_edges + a->kept_top;
}

#endif
