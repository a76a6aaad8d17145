/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * leaks: which chunks the program can still reach, in the words of valgrind's memcheck.
 *
 *     still reachable  a chain of pointers to the starts of chunks leads here from a root
 *     possibly lost    every chain from a root has a pointer into the middle of a chunk
 *     definitely lost  no chain at all, and no lost chunk points here that is not itself
 *                      held only by this one
 *     indirectly lost  no chain from a root, but a lost chunk points here (start or middle): it
 *                      goes when that one is freed
 *
 * Of a lost cycle that nothing else holds, the chunk with the lowest address is definitely lost
 * and the others indirectly. Each indirectly lost chunk is laid to one definitely lost chunk that
 * drags it along, so sums count nothing twice.
 *
 * Conservative: a number that looks like an address keeps a chunk. So what is called lost is lost
 * (but for pointers kept where nobody looks: encoded, in vector registers, in shared memory or a
 * file), and what is called reachable may be lost all the same.
 */
#ifndef INSP_ANALYSIS_LEAKS_H
#define INSP_ANALYSIS_LEAKS_H

#include <stddef.h>
#include <stdint.h>

#include "analysis/graph.h"
#include "base/error.h"

enum insp_reach {
	INSP_REACH_NONE, /* not a live chunk */
	INSP_REACH_REACHABLE,
	INSP_REACH_POSSIBLE,
	INSP_REACH_INDIRECT,
	INSP_REACH_DEFINITE,
	INSP_N_REACHES
};

struct insp_leak_sum {
	uint64_t count, bytes; /* chunks, and their sizes with heads */
};

/* Chunks of one kind that have the same key. */
struct insp_leak_group {
	enum insp_reach reach;
	uint64_t key;
	uint64_t count, bytes;
	struct insp_leak_sum dragged; /* DEFINITE: indirectly lost chunks that hang on these */
	uint32_t example;	      /* id: of DEFINITE, the one that drags most; else the first */
};

struct insp_leaks {
	const struct insp_graph *graph;
	uint8_t *reach;		 /* [nchunks] enum insp_reach */
	uint32_t *leader;	 /* [nchunks] of INDIRECT: the id that it is laid to; NULL if nothing is
				    lost, or it was not wanted */
	struct insp_leak_sum sums[INSP_N_REACHES];
	struct insp_leak_group *groups; /* by bytes and dragged bytes, largest first */
	size_t ngroups;
};

/*
 * What a chunk is grouped by: its site, its type, its size. NULL: the size. accept says whether a
 * chunk is listed at all (sums and reach are not touched by it); NULL: all.
 */
struct insp_leak_grouping {
	uint64_t (*key_of)(void *ctx, const struct insp_chunk *chunk);
	bool (*accept)(void *ctx, const struct insp_chunk *chunk);
	void *ctx;
	uint32_t reaches; /* set of 1 << enum insp_reach to make groups of; 0: the lost ones */
};

/* Gives. Borrows graph for as long as it lives. INSP_E_NOMEM, INSP_E_INTERRUPTED. */
int insp_leaks_create(const struct insp_graph *graph, struct insp_leaks **ret,
		      struct insp_error *err) insp_must_check;
/* The same without leader, which is four bytes a chunk: no groups. For a second thread: shows no progress. */
int insp_leaks_create_beside(const struct insp_graph *graph, struct insp_leaks **ret,
			     struct insp_error *err) insp_must_check;
void insp_leaks_destroy(struct insp_leaks *leaks);
/* Fills groups, forgetting earlier ones. Needs leaders. */
int insp_leaks_group(struct insp_leaks *leaks, const struct insp_leak_grouping *grouping,
		     struct insp_error *err) insp_must_check;

const char *insp_reach_key(enum insp_reach reach);   /* "reachable", "possible", ... */
const char *insp_reach_title(enum insp_reach reach); /* "still reachable", "possibly lost", ... */

#endif
