/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef INSP_ANALYSIS_GRAPH_ROOTS_H
#define INSP_ANALYSIS_GRAPH_ROOTS_H

#include "analysis/graph.h"

/* Fills roots, nroots and regions of a graph; the second half of insp_graph_create. */
int insp_graph_find_roots(struct insp_graph *graph, struct insp_error *err) insp_must_check;

#endif
