/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * census: how many chunks and bytes of each state, per arena, and by size.
 *
 * One pass over the chunks. Sizes are those of chunks, heads included, as malloc_info counts
 * them; what the program may use of a chunk is 8 bytes less.
 */
#ifndef INSP_ANALYSIS_CENSUS_H
#define INSP_ANALYSIS_CENSUS_H

#include "base/error.h"
#include "snapshot/snapshot.h"

struct insp_tally {
	uint64_t count, bytes;
};

/*
 * Size classes: exact in steps of 16 bytes up to 1 KiB, then four per doubling. Class c holds
 * the sizes [insp_size_class_min(c), insp_size_class_min(c + 1)).
 */
#define INSP_SIZE_CLASSES (64 + 4 * 54)
unsigned insp_size_class(uint64_t size);
uint64_t insp_size_class_min(unsigned size_class);

struct insp_size_row {
	struct insp_tally live, free; /* free: every free state but top */
};

struct insp_census {
	struct insp_tally total[INSP_N_CHUNK_STATES];
	struct insp_tally (*arenas)[INSP_N_CHUNK_STATES]; /* [snapshot->arenas.n] */
	struct insp_size_row sizes[INSP_SIZE_CLASSES];
	uint64_t largest_free; /* bytes; top not counted */
};

/* Fills ret; arenas live in pool. Asks for Ctrl-C. */
int insp_census_take(const struct insp_snapshot *snapshot, struct insp_pool *pool,
		     struct insp_census *ret, struct insp_error *err) insp_must_check;

/* Sums over a row of states. */
struct insp_tally insp_tally_live(const struct insp_tally states[INSP_N_CHUNK_STATES]);
struct insp_tally insp_tally_free(const struct insp_tally states[INSP_N_CHUNK_STATES]); /* with top */
struct insp_tally insp_tally_all(const struct insp_tally states[INSP_N_CHUNK_STATES]);

#endif
