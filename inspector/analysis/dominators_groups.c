/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dominators_groups: what the chunks of a group retain together.
 *
 * Retained sizes of a group's chunks must not be added up: where one dominates another, its own already
 * has the other's in it. So the tree of dominators is walked with a count for each group of how many of
 * its chunks lie on the way up, and a chunk's size is added when there is none.
 */
#include "analysis/dominators.h"

#include <stdlib.h>

#include "base/big.h"
#include "base/log.h"

#define INTERRUPT_EVERY 0xffff

struct summing {
	const struct insp_dominators *d;
	const struct insp_dominator_tree *tree;
	const uint32_t *group_of;
	uint32_t *next; /* by number: the next child to go to, an index of tree->children */
	uint32_t *above;
	uint64_t *sums;
};

static bool sum_up(struct summing *s)
{
	uint32_t at = 0;
	uint64_t steps = 0;

	for (;;) {
		if ((++steps & INTERRUPT_EVERY) == 0) {
			insp_progress("adding up groups", steps, UINT64_C(2) * s->d->n);
			if (insp_interrupted())
				return false;
		}
		if (s->next[at] < s->tree->first[at + 1]) {
			at = s->tree->children[s->next[at]++];
			if (!s->above[s->group_of[at]]++)
				s->sums[s->group_of[at]] += s->d->retained[at];
			continue;
		}
		if (!at)
			return true;
		s->above[s->group_of[at]]--;
		at = s->d->idom[at];
	}
}

int insp_dominators_sum_groups(const struct insp_dominators *dominators, const uint32_t *group_of,
			       uint32_t ngroups, uint64_t *ret, struct insp_error *err)
{
	const size_t n = (size_t)dominators->n + 1;
	struct summing s = {.d = dominators, .group_of = group_of, .sums = ret};
	struct insp_dominator_tree *tree;
	int rc = insp_dominator_tree_create(dominators, UINT64_MAX, &tree, err);

	if (rc)
		return rc;
	s.tree = tree;
	s.next = insp_big_alloc(n, sizeof(*s.next));
	s.above = calloc((size_t)ngroups + 1, sizeof(*s.above));
	if (!s.next || !s.above) {
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for what groups hold");
	} else {
		for (size_t i = 0; i < n; i++)
			s.next[i] = tree->first[i];
		if (!sum_up(&s))
			rc = insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	}
	insp_big_free(s.next, n, sizeof(*s.next));
	free(s.above);
	insp_dominator_tree_destroy(tree);
	return rc;
}
