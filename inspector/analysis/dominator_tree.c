/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominator_tree: the tree of dominators downwards. Below the roots there may be millions of chunks that
 * hold nothing but themselves: only those that somebody will look at are put in order.
 */
#include <stdlib.h>

#include "analysis/dominators.h"
#include "base/big.h"
#include "base/log.h"

#define INTERRUPT_EVERY 0xffff

static int child_compare(const void *a, const void *b, void *dominators)
{
	const struct insp_dominators *d = dominators;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (insp_interrupted()) /* makes short of what cannot be broken off */
		return 0;
	if (d->retained[x] != d->retained[y])
		return d->retained[x] < d->retained[y] ? 1 : -1;
	return x < y ? -1 : x > y;
}

/* Those that are large enough to the front, in order. */
static void sort_children(const struct insp_dominators *d, uint32_t *children, uint32_t n, uint64_t least)
{
	uint32_t nlarge = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t child = children[i];

		if (d->retained[child] < least)
			continue;
		children[i] = children[nlarge];
		children[nlarge++] = child;
	}
	if (nlarge > 1)
		qsort_r(children, nlarge, sizeof(*children), child_compare, (void *)d);
}

static bool make(const struct insp_dominators *d, struct insp_dominator_tree *t, uint64_t least)
{
	uint32_t sum = 0;

	for (uint32_t w = 1; w <= d->n; w++) {
		if ((w & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return false;
		t->first[d->idom[w]]++;
	}
	for (size_t i = 0; i <= t->n + 1; i++) {
		sum += t->first[i];
		t->first[i] = sum;
	}
	for (uint32_t w = d->n; w; w--) {
		if ((w & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return false;
		t->children[--t->first[d->idom[w]]] = w;
	}
	for (size_t i = 0; i <= t->n; i++) {
		uint32_t n = t->first[i + 1] - t->first[i];

		if ((i & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return false;
		if (n > 1)
			sort_children(d, t->children + t->first[i], n, least);
	}
	return !insp_interrupted();
}

int insp_dominator_tree_create(const struct insp_dominators *dominators, uint64_t least,
			       struct insp_dominator_tree **ret, struct insp_error *err)
{
	struct insp_dominator_tree *t = calloc(1, sizeof(*t));
	int rc = 0;

	if (!t)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the tree of dominators");
	t->n = dominators->n;
	t->first = insp_big_alloc(t->n + 2, sizeof(*t->first));
	t->children = insp_big_alloc(t->n + 1, sizeof(*t->children));
	if (!t->first || !t->children)
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the tree of dominators");
	else if (!make(dominators, t, least))
		rc = insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	if (rc)
		insp_dominator_tree_destroy(t);
	else
		*ret = t;
	return rc;
}

void insp_dominator_tree_destroy(struct insp_dominator_tree *tree)
{
	if (!tree)
		return;
	insp_big_free(tree->first, tree->n + 2, sizeof(*tree->first));
	insp_big_free(tree->children, tree->n + 1, sizeof(*tree->children));
	free(tree);
}
