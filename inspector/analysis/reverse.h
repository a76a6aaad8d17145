/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * reverse: the edges of a graph turned around.
 */
#ifndef INSP_ANALYSIS_REVERSE_H
#define INSP_ANALYSIS_REVERSE_H

#include <stdint.h>

#include "analysis/graph.h"
#include "base/error.h"

/*
 * edges[first[t]] to edges[first[t + 1] - 1]: the ids that point to t, each with
 * INSP_EDGE_INTERIOR where it points into its middle.
 */
struct insp_reverse {
	size_t nchunks, cap;
	uint32_t *first; /* [nchunks + 2] */
	uint32_t *edges; /* [cap] */
};

/* Fills ret. 0, INSP_E_NOMEM or INSP_E_INTERRUPTED, without a message. deinit accepts a half-built one. */
int insp_reverse_init(struct insp_reverse *ret, const struct insp_graph *graph) insp_must_check;
void insp_reverse_deinit(struct insp_reverse *reverse);

#endif
