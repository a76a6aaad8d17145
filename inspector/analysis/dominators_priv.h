/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the steps of dominators.c share: the arrays by number, and who gives which of them to the
 * next step. At 10 million chunks each is 40 MB, so none lives longer than it is needed.
 */
#ifndef INSP_ANALYSIS_DOMINATORS_PRIV_H
#define INSP_ANALYSIS_DOMINATORS_PRIV_H

#include "analysis/dominators.h"

#define INSP_DOMINATORS_STEPS	 0xffff /* between two looks for Ctrl-C */
#define INSP_DOMINATORS_PARALLEL 200000 /* edges; below, a second thread is not worth its start */

struct insp_dominators_builder {
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	struct insp_dominators *d;
	size_t cap;	/* nchunks + 1: length of the arrays by number */
	bool parallel;	/* two threads */

	/* Filled by the walk. parent becomes d->idom. */
	uint32_t *parent;
	uint32_t *semi;	 /* the smallest number that points there, of those below its own */

	/* Filled by the turn: sources[rows[w]] to sources[rows[w + 1] - 1] point at w and are above it. */
	uint32_t *rows;	   /* [cap + 1]; before that the walk's places in the edges */
	uint32_t *sources; /* [nsources + 1] */
	size_t nsources;
};

/* 0, INSP_E_NOMEM or INSP_E_INTERRUPTED, without a message. */
int insp_dominators_walk(struct insp_dominators_builder *b) insp_must_check;
int insp_dominators_turn(struct insp_dominators_builder *b) insp_must_check;

#endif
