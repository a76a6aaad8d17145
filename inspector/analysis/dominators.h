/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominators: who holds how much.
 *
 * Chunk D dominates chunk C if every chain of pointers from a root to C goes through D: when D is
 * freed, C becomes garbage. The nearest one is C's immediate dominator; these make a tree, and
 * the sum of the sizes in D's subtree is its retained size: what goes when D goes.
 *
 * Both pointers to starts and into the middle count. Lost chunks have trees of their own below
 * the definitely lost ones, so that each live chunk has a retained size; what they point to
 * among the reachable ones is not held by them.
 */
#ifndef INSP_ANALYSIS_DOMINATORS_H
#define INSP_ANALYSIS_DOMINATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/graph.h"
#include "analysis/leaks.h"
#include "base/error.h"

#define INSP_DOMINATED_BY_ROOT UINT32_MAX /* several roots, or one directly */

/* Nodes are numbered 1 to n in the order of a depth-first walk; 0 stands for all roots. */
struct insp_dominators {
	size_t nchunks;
	uint32_t n;
	uint32_t nreachable;  /* numbers above are lost chunks */
	uint32_t *number_of;  /* [nchunks] 0: not live */
	uint32_t *chunk_of;   /* [n + 1] */
	uint32_t *idom;	      /* [n + 1] numbers; idom[i] < i */
	uint64_t *retained;   /* [n + 1] bytes, itself included, sizes with heads */
};

/*
 * Gives both: what is lost is found on the way, in a second thread (leaks without leaders, see
 * insp_leaks_create_beside). The graph's edges are used up: first, edges and nedges are gone, whatever
 * it returns; roots and insp_graph_edges_of still work. That keeps the peak below 48 bytes a chunk.
 * INSP_E_NOMEM, INSP_E_INTERRUPTED.
 */
int insp_dominators_create(struct insp_graph *graph, struct insp_leaks **ret_leaks,
			   struct insp_dominators **ret, struct insp_error *err) insp_must_check;
void insp_dominators_destroy(struct insp_dominators *dominators);

/* The immediate dominator of a live chunk: an id, or INSP_DOMINATED_BY_ROOT. */
uint32_t insp_dominator_of(const struct insp_dominators *dominators, uint32_t id);
/* 0 for what is not live. */
uint64_t insp_retained_bytes(const struct insp_dominators *dominators, uint32_t id);

/*
 * The tree downwards. Children of number i, i from 0 on: chunks whose idom is i:
 * children[first[i]] to children[first[i + 1] - 1], as numbers. Those that retain `least` or more come
 * first, largest first; the others follow in no order.
 */
struct insp_dominator_tree {
	size_t n;
	uint32_t *first;    /* [n + 2] */
	uint32_t *children; /* [n] */
};

int insp_dominator_tree_create(const struct insp_dominators *dominators, uint64_t least,
			       struct insp_dominator_tree **ret, struct insp_error *err) insp_must_check;
void insp_dominator_tree_destroy(struct insp_dominator_tree *tree);

/*
 * What groups retain: for each chunk of a group that no other of the same group dominates, its retained
 * size. What only several chunks of a group hold together is not in it, so it is a lower bound. group_of:
 * [n + 1] by number, each below ngroups; adds to ret, [ngroups]. INSP_E_NOMEM, INSP_E_INTERRUPTED.
 */
int insp_dominators_sum_groups(const struct insp_dominators *dominators, const uint32_t *group_of,
			       uint32_t ngroups, uint64_t *ret, struct insp_error *err) insp_must_check;

#endif
