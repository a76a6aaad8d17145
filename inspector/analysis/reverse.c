/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analysis/reverse.h"

#include "base/big.h"
#include "base/log.h"

#define INTERRUPT_EVERY 0xffff

int insp_reverse_init(struct insp_reverse *ret, const struct insp_graph *graph)
{
	const struct insp_graph *g = graph;
	size_t n = g->nchunks;
	uint32_t sum = 0;

	*ret = (struct insp_reverse){.nchunks = n, .cap = g->nedges + 1};
	ret->first = insp_big_alloc(n + 2, sizeof(*ret->first));
	ret->edges = insp_big_alloc(ret->cap, sizeof(*ret->edges));
	if (!ret->first || !ret->edges)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		if ((i & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return INSP_E_INTERRUPTED;
		for (uint32_t e = g->first[i]; e < g->first[i + 1]; e++)
			ret->first[INSP_EDGE_TARGET(g->edges[e])]++;
	}
	for (size_t i = 0; i <= n + 1; i++) { /* now the ends; filling moves them to the starts */
		sum += ret->first[i];
		ret->first[i] = sum;
	}
	for (size_t i = n; i--;) {
		if ((i & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return INSP_E_INTERRUPTED;
		for (uint32_t e = g->first[i + 1]; e-- > g->first[i];) {
			uint32_t t = INSP_EDGE_TARGET(g->edges[e]);

			ret->edges[--ret->first[t]] = (uint32_t)i | (g->edges[e] & INSP_EDGE_INTERIOR);
		}
	}
	return 0;
}

void insp_reverse_deinit(struct insp_reverse *reverse)
{
	insp_big_free(reverse->first, reverse->nchunks + 2, sizeof(*reverse->first));
	insp_big_free(reverse->edges, reverse->cap, sizeof(*reverse->edges));
	*reverse = (struct insp_reverse){0};
}
