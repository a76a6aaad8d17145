/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/dominators.h"
#include "base/log.h"
#include "snap.h"

struct fixture {
	struct snap *s;
	struct insp_graph *g;
	struct insp_leaks *l;
	struct insp_dominators *d;
};

static void analyse(struct fixture *f)
{
	struct insp_error err = {0};

	if (insp_graph_create(snap_seal(f->s), 1, &f->g, &err) ||
	    insp_dominators_create(f->g, &f->l, &f->d, &err))
		fail_msg("%s", err.msg);
}

static void done(struct fixture *f)
{
	insp_dominators_destroy(f->d);
	insp_leaks_destroy(f->l);
	insp_graph_destroy(f->g);
	snap_destroy(f->s);
}

static uint64_t use(struct fixture *f)
{
	return snap_chunk(f->s, 0x40, INSP_CHUNK_INUSE);
}

static void dominators__hold_what_only_they_lead_to(void **state)
{
	struct fixture f = {.s = snap_create()};
	uint64_t a = use(&f), b = use(&f), c = use(&f), shared = use(&f), tail = use(&f), lost = use(&f),
		 below = use(&f);
	struct insp_dominator_tree *t;

	(void)state;
	snap_put(f.s, SNAP_DATA, a);
	snap_put(f.s, a, b);
	snap_put(f.s, a + 8, c + 8);
	snap_put(f.s, b, shared);
	snap_put(f.s, c, shared);
	snap_put(f.s, shared, tail);
	snap_put(f.s, shared + 8, a);
	snap_put(f.s, lost, below);
	snap_put(f.s, lost + 8, tail); /* does not share in holding it */
	analyse(&f);
	assert_int_equal(insp_dominator_of(f.d, snap_id(f.s, a)), INSP_DOMINATED_BY_ROOT);
	assert_int_equal(insp_dominator_of(f.d, snap_id(f.s, shared)), snap_id(f.s, a));
	assert_int_equal(insp_dominator_of(f.d, snap_id(f.s, tail)), snap_id(f.s, shared));
	assert_int_equal(insp_dominator_of(f.d, snap_id(f.s, below)), snap_id(f.s, lost));
	assert_int_equal(insp_retained_bytes(f.d, snap_id(f.s, a)), 5 * 0x40);
	assert_int_equal(insp_retained_bytes(f.d, snap_id(f.s, b)), 0x40);
	assert_int_equal(insp_retained_bytes(f.d, snap_id(f.s, shared)), 2 * 0x40);
	assert_int_equal(insp_retained_bytes(f.d, snap_id(f.s, lost)), 2 * 0x40);
	assert_int_equal(f.d->retained[0], 7 * 0x40);
	assert_int_equal(f.d->nreachable, 5);
	assert_int_equal(f.g->nedges, 0);

	assert_int_equal(insp_dominator_tree_create(f.d, 0, &t, NULL), 0);
	assert_int_equal(t->first[1], 2);
	assert_int_equal(f.d->chunk_of[t->children[0]], snap_id(f.s, a));
	assert_int_equal(f.d->chunk_of[t->children[1]], snap_id(f.s, lost));
	uint32_t at = f.d->number_of[snap_id(f.s, a)];

	assert_int_equal(t->first[at + 1] - t->first[at], 3);
	assert_int_equal(f.d->chunk_of[t->children[t->first[at]]], snap_id(f.s, shared));
	insp_dominator_tree_destroy(t);
	done(&f);
}

/* a (1) holds b (2) holds c (1); d (2) stands alone. */
static void dominators__sum_groups_without_counting_twice(void **state)
{
	struct fixture f = {.s = snap_create()};
	uint64_t a = use(&f), b = use(&f), c = use(&f), d = use(&f), sums[3] = {0};
	uint32_t group_of[5] = {0};

	(void)state;
	snap_put(f.s, SNAP_DATA, a);
	snap_put(f.s, SNAP_DATA + 8, d);
	snap_put(f.s, a, b);
	snap_put(f.s, b, c);
	analyse(&f);
	group_of[f.d->number_of[snap_id(f.s, a)]] = group_of[f.d->number_of[snap_id(f.s, c)]] = 1;
	group_of[f.d->number_of[snap_id(f.s, b)]] = group_of[f.d->number_of[snap_id(f.s, d)]] = 2;
	assert_int_equal(insp_dominators_sum_groups(f.d, group_of, 3, sums, NULL), 0);
	assert_int_equal(sums[0], 0);
	assert_int_equal(sums[1], 3 * 0x40);
	assert_int_equal(sums[2], 3 * 0x40);
	done(&f);
}

static void dominators__do_not_recurse_on_a_long_list(void **state)
{
	enum { N = 200000 };
	struct fixture f = {.s = snap_create()};
	uint64_t prev = use(&f), first = prev;

	(void)state;
	snap_put(f.s, SNAP_DATA, prev);
	for (int i = 1; i < N; i++) {
		uint64_t c = use(&f);

		snap_put(f.s, prev, c);
		snap_put(f.s, c + 8, prev);
		if (i % 3 == 0)
			snap_put(f.s, c + 16, first);
		prev = c;
	}
	analyse(&f);
	assert_int_equal(insp_retained_bytes(f.d, 0), (uint64_t)N * 0x40);
	assert_int_equal(insp_retained_bytes(f.d, N - 1), 0x40);
	assert_int_equal(insp_dominator_of(f.d, N - 1), N - 2);
	done(&f);
}

static void dominators__end_on_an_interrupt(void **state)
{
	struct fixture f = {.s = snap_create()};
	struct insp_error err = {0};
	uint64_t c = use(&f);

	(void)state;
	snap_put(f.s, SNAP_DATA, c);
	assert_int_equal(insp_graph_create(snap_seal(f.s), 1, &f.g, &err), 0);
	insp_interrupt();
	assert_int_equal(insp_dominators_create(f.g, &f.l, &f.d, &err), INSP_E_INTERRUPTED);
	insp_interrupt_clear();
	assert_null(f.d);
	done(&f);
}

/* ---- against the definition, on random graphs */

#define MAX 14

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* Reached from the roots when chunk `without` is not there. */
static void reach_without(int n, bool e[MAX][MAX], const bool root[MAX], int without, bool seen[MAX])
{
	bool more = true;

	for (int i = 0; i < n; i++)
		seen[i] = root[i] && i != without;
	while (more) {
		more = false;
		for (int i = 0; i < n; i++)
			for (int j = 0; j < n; j++)
				if (seen[i] && e[i][j] && !seen[j] && j != without)
					more = seen[j] = true;
	}
}

static void check_random(const struct fixture *f, int n, bool e[MAX][MAX], bool root[MAX])
{
	bool seen[MAX][MAX], all[MAX], lost_root[MAX];

	reach_without(n, e, root, -1, all);
	for (int i = 0; i < n; i++) {
		lost_root[i] = f->l->reach[i] == INSP_REACH_DEFINITE;
		for (int j = 0; j < n; j++)
			e[i][j] = e[i][j] && (all[i] || !all[j]);
	}
	for (int i = 0; i < n; i++)
		root[i] |= lost_root[i];
	for (int d = 0; d < n; d++)
		reach_without(n, e, root, d, seen[d]);
	for (int x = 0; x < n; x++) {
		uint64_t held = 0;
		uint32_t idom = insp_dominator_of(f->d, (uint32_t)x);

		for (int y = 0; y < n; y++) /* what x dominates, itself included */
			held += !seen[x][y] ? 0x110 : 0;
		assert_int_equal(insp_retained_bytes(f->d, (uint32_t)x), held);
		/* The immediate dominator dominates x, and every other one dominates it. */
		if (idom != INSP_DOMINATED_BY_ROOT)
			assert_false(seen[idom][x]);
		for (int d = 0; d < n; d++)
			if (d != x && !seen[d][x]) {
				assert_int_not_equal(idom, INSP_DOMINATED_BY_ROOT);
				assert_true(d == (int)idom || !seen[d][idom]);
			}
	}
}

/* What groups of random chunks hold: all that is in the subtree of one of them. */
static void check_groups(const struct fixture *f, int n)
{
	uint32_t group_of[MAX + 1] = {0};
	uint64_t sums[4] = {0}, want[4] = {0};

	for (int i = 0; i < n; i++)
		group_of[f->d->number_of[i]] = 1 + (uint32_t)(rng() % 3);
	assert_int_equal(insp_dominators_sum_groups(f->d, group_of, 4, sums, NULL), 0);
	for (int i = 0; i < n; i++)
		for (uint32_t g = 1; g < 4; g++)
			for (uint32_t at = f->d->number_of[i]; at; at = f->d->idom[at])
				if (group_of[at] == g) {
					want[g] += 0x110;
					break;
				}
	assert_memory_equal(sums, want, sizeof(sums));
}

static void dominators__equal_their_definition_on_random_graphs(void **state)
{
	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct fixture f = {.s = snap_create()};
		bool e[MAX][MAX] = {{false}}, root[MAX] = {false};
		int n = 2 + (int)(rng() % (MAX - 1)), nedges = 1 + (int)(rng() % 32);
		uint64_t mems[MAX];

		for (int i = 0; i < n; i++)
			mems[i] = snap_chunk(f.s, 0x110, INSP_CHUNK_INUSE);
		for (int k = 0; k < nedges; k++) {
			uint64_t i = rng() % (uint64_t)n, j = rng() % (uint64_t)n;

			snap_put(f.s, mems[i] + 8 * (uint64_t)k, mems[j] + 8 * (rng() % 2));
			e[i][j] = true;
		}
		for (int k = 0; k < 1 + (int)(rng() % 2); k++) {
			uint64_t j = rng() % (uint64_t)n;

			snap_put(f.s, SNAP_DATA + 8 * (uint64_t)k, mems[j]);
			root[j] = true;
		}
		analyse(&f);
		assert_int_equal(f.d->n, n);
		check_random(&f, n, e, root);
		check_groups(&f, n);
		done(&f);
	}
}

/* ---- against another algorithm, on graphs large enough for two threads */

enum { LARGE = 60000, EDGES = 4 * LARGE };

/* Cooper, Harvey and Kennedy's: numbers in reverse postorder, then rounds until nothing changes. */
struct rounds {
	uint32_t first[LARGE + 2], targets[EDGES + LARGE]; /* node LARGE: all roots */
	uint32_t order[LARGE + 1], place[LARGE + 1], idom[LARGE + 1], stack[LARGE + 1], at[LARGE + 1];
	uint32_t n;
};

/* Fills order from its end; place is where a node is in it, UINT32_MAX: not reached. */
static void number_nodes(struct rounds *r)
{
	uint32_t depth = 1, left = LARGE + 1;

	memset(r->place, 0xff, sizeof(r->place));
	memcpy(r->at, r->first, sizeof(r->at));
	r->stack[0] = LARGE;
	r->place[LARGE] = 0;
	while (depth) {
		uint32_t node = r->stack[depth - 1];

		if (r->at[node] == r->first[node + 1]) {
			r->order[--left] = node;
			r->place[node] = left;
			depth--;
			continue;
		}
		uint32_t t = r->targets[r->at[node]++];

		if (r->place[t] == UINT32_MAX) {
			r->place[t] = 0;
			r->stack[depth++] = t;
		}
	}
	r->n = left;
}

static uint32_t common(const struct rounds *r, uint32_t a, uint32_t b)
{
	while (a != b)
		if (r->place[a] > r->place[b])
			a = r->idom[a];
		else
			b = r->idom[b];
	return a;
}

static void find_by_rounds(struct rounds *r)
{
	bool more = true;

	number_nodes(r);
	memset(r->idom, 0xff, sizeof(r->idom));
	r->idom[LARGE] = LARGE;
	while (more) {
		more = false;
		for (uint32_t i = r->n; i <= LARGE; i++) {
			uint32_t node = r->order[i];

			for (uint32_t e = r->first[node]; e < r->first[node + 1]; e++) {
				uint32_t t = r->targets[e];
				uint32_t idom = r->idom[t] == UINT32_MAX ? node : common(r, r->idom[t], node);

				if (t == LARGE || idom == r->idom[t])
					continue;
				r->idom[t] = idom;
				more = true;
			}
		}
	}
}

static void large_graph(struct snap *s, struct rounds *r, int nroots)
{
	static uint64_t mems[LARGE];
	uint32_t n = 0;

	for (int i = 0; i < LARGE; i++)
		mems[i] = snap_chunk(s, 0x40, INSP_CHUNK_INUSE);
	for (uint32_t i = 0; i < LARGE; i++) {
		uint32_t degree = (uint32_t)(rng() % 7);

		r->first[i] = n;
		for (uint32_t k = 0; k < degree && n < EDGES; k++) {
			uint32_t t = (uint32_t)(rng() % 4 ? (i + rng() % 50) % LARGE : rng() % LARGE);

			snap_put(s, mems[i] + 8 * k, mems[t]);
			r->targets[n++] = t;
		}
	}
	r->first[LARGE] = n;
	for (int k = 0; k < nroots; k++) {
		uint32_t t = (uint32_t)(rng() % LARGE);

		snap_put(s, SNAP_DATA + 8 * (uint64_t)k, mems[t]);
		r->targets[n++] = t;
	}
	r->first[LARGE + 1] = n;
}

static void dominators__of_large_graphs_equal_those_found_by_rounds(void **state)
{
	struct rounds *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	for (int round = 0; round < 4; round++) {
		struct fixture f = {.s = snap_create()};

		large_graph(f.s, r, 1 + 10 * round);
		analyse(&f);
		find_by_rounds(r);
		assert_int_equal(f.d->nreachable, LARGE + 1 - r->n - 1);
		for (uint32_t i = 0; i < LARGE; i++) {
			uint32_t idom = insp_dominator_of(f.d, i);

			if (r->idom[i] == UINT32_MAX) /* lost */
				assert_true(f.d->number_of[i] > f.d->nreachable);
			else
				assert_int_equal(idom == INSP_DOMINATED_BY_ROOT ? LARGE : idom, r->idom[i]);
		}
		done(&f);
	}
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dominators__hold_what_only_they_lead_to),
		cmocka_unit_test(dominators__sum_groups_without_counting_twice),
		cmocka_unit_test(dominators__do_not_recurse_on_a_long_list),
		cmocka_unit_test(dominators__end_on_an_interrupt),
		cmocka_unit_test(dominators__equal_their_definition_on_random_graphs),
		cmocka_unit_test(dominators__of_large_graphs_equal_those_found_by_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
