/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * paths: why a chunk is still there: who points at it, and the shortest ways to it from the roots.
 */
#ifndef INSP_ANALYSIS_PATHS_H
#define INSP_ANALYSIS_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/graph.h"
#include "base/error.h"
#include "base/pool.h"

/* One word that points at the chunk. */
struct insp_ref {
	const struct insp_root *root; /* view; NULL: the word lies in a chunk */
	uint32_t source;	      /* that chunk */
	struct insp_edge edge;	      /* root: addr and interior only */
};

/* Calls fn for each word that points at chunk id, roots first, until it says false. */
typedef bool (*insp_ref_fn)(void *ctx, const struct insp_ref *ref);
int insp_refs_to(const struct insp_graph *graph, uint32_t id, insp_ref_fn fn, void *ctx,
		 struct insp_error *err) insp_must_check;

struct insp_path {
	const struct insp_root *root; /* view */
	uint32_t *chunks;	      /* from the root's target to the chunk asked for */
	size_t n;		      /* at least 1 */
	bool by_start;		      /* all pointers on it are to starts of chunks */
};

struct insp_paths {
	struct insp_path *items; /* those by starts only first, then the shorter ones */
	size_t n;
	size_t nroots;		 /* roots from which there is a way, at least n */
};

/*
 * From up to max roots that lead to chunk id the shortest path each, in pool. n == 0: nothing leads
 * there. INSP_E_NOMEM, INSP_E_INTERRUPTED.
 */
int insp_paths_to(const struct insp_graph *graph, uint32_t id, size_t max, struct insp_pool *pool,
		  struct insp_paths *ret, struct insp_error *err) insp_must_check;

/* The pointer in chunk source that leads to target: the first to its start, else the first at
   all. False if there is none. */
bool insp_edge_between(const struct insp_graph *graph, uint32_t source, uint32_t target,
		       struct insp_edge *ret);

#endif
