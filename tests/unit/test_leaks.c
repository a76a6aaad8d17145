/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/leaks.h"
#include "base/log.h"
#include "snap.h"

struct fixture {
	struct snap *s;
	struct insp_graph *g;
	struct insp_leaks *l;
};

static void analyse(struct fixture *f)
{
	struct insp_error err = {0};

	if (insp_graph_create(snap_seal(f->s), 1, &f->g, &err) ||
	    insp_leaks_create(f->g, &f->l, &err))
		fail_msg("%s", err.msg);
}

static void done(struct fixture *f)
{
	insp_leaks_destroy(f->l);
	insp_graph_destroy(f->g);
	snap_destroy(f->s);
}

static void expect(const struct fixture *f, uint64_t mem, enum insp_reach reach)
{
	uint32_t id = snap_id(f->s, mem);

	if (f->l->reach[id] != reach)
		fail_msg("chunk %u is %s, not %s", id, insp_reach_title(f->l->reach[id]),
			 insp_reach_title(reach));
}

static uint64_t use(struct fixture *f)
{
	return snap_chunk(f->s, 0x40, INSP_CHUNK_INUSE);
}

/* The nine cases of memcheck's manual, section "Memory leak detection". */
static void leaks__tell_the_nine_cases_of_memcheck(void **state)
{
	struct fixture f = {.s = snap_create()};
	uint64_t a[10], b[10], root = SNAP_DATA;

	(void)state;
	for (int i = 1; i <= 9; i++) {
		a[i] = use(&f);
		b[i] = use(&f);
	}
	snap_put(f.s, root, b[1]);
	snap_put(f.s, root + 8, a[1]);
	snap_put(f.s, root + 16, a[2]);
	snap_put(f.s, a[2], b[2]);
	snap_put(f.s, root + 24, a[3]); /* 3: nothing points to b */
	snap_put(f.s, a[4], b[4]);
	snap_put(f.s, root + 32, b[5] + 8);
	snap_put(f.s, root + 40, a[5]);
	snap_put(f.s, root + 48, a[6]);
	snap_put(f.s, a[6] + 8, b[6] + 8);
	snap_put(f.s, root + 56, a[7] + 16);
	snap_put(f.s, a[7], b[7]);
	snap_put(f.s, root + 64, a[8] + 16);
	snap_put(f.s, a[8], b[8] + 24);
	snap_put(f.s, a[9], b[9] + 24);
	analyse(&f);
	expect(&f, b[1], INSP_REACH_REACHABLE);
	expect(&f, b[2], INSP_REACH_REACHABLE);
	expect(&f, b[3], INSP_REACH_DEFINITE);
	expect(&f, a[4], INSP_REACH_DEFINITE);
	expect(&f, b[4], INSP_REACH_INDIRECT);
	expect(&f, b[5], INSP_REACH_POSSIBLE);
	expect(&f, a[6], INSP_REACH_REACHABLE);
	expect(&f, b[6], INSP_REACH_POSSIBLE);
	expect(&f, a[7], INSP_REACH_POSSIBLE);
	expect(&f, b[7], INSP_REACH_POSSIBLE);
	expect(&f, a[8], INSP_REACH_POSSIBLE);
	expect(&f, b[8], INSP_REACH_POSSIBLE);
	expect(&f, a[9], INSP_REACH_DEFINITE);
	expect(&f, b[9], INSP_REACH_INDIRECT);
	assert_int_equal(f.l->sums[INSP_REACH_DEFINITE].count, 3);
	assert_int_equal(f.l->sums[INSP_REACH_DEFINITE].bytes, 3 * 0x40);
	assert_int_equal(f.l->sums[INSP_REACH_INDIRECT].count, 2);
	done(&f);
}

static void leaks__prefer_the_better_path(void **state)
{
	struct fixture f = {.s = snap_create()};
	uint64_t a = use(&f), b = use(&f), c = use(&f);

	(void)state;
	snap_put(f.s, SNAP_DATA, a + 8); /* first seen by its middle, then by its start */
	snap_put(f.s, SNAP_DATA + 8, b);
	snap_put(f.s, b, a);
	snap_put(f.s, b + 8, c + 8);
	snap_put(f.s, a, c);
	analyse(&f);
	expect(&f, a, INSP_REACH_REACHABLE);
	expect(&f, c, INSP_REACH_REACHABLE);
	done(&f);
}

static void leaks__name_one_chunk_of_a_lost_cycle(void **state)
{
	struct fixture f = {.s = snap_create()};
	uint64_t a = use(&f), b = use(&f), c = use(&f), self = use(&f), x = use(&f), y = use(&f),
		 z = use(&f);

	(void)state;
	snap_put(f.s, a, b);
	snap_put(f.s, b, c);
	snap_put(f.s, c, a);
	snap_put(f.s, self, self);
	/* x and y hold each other, z behind them holds y: z is the one to free */
	snap_put(f.s, x, y);
	snap_put(f.s, y, x);
	snap_put(f.s, z, y);
	analyse(&f);
	expect(&f, a, INSP_REACH_DEFINITE);
	expect(&f, b, INSP_REACH_INDIRECT);
	expect(&f, c, INSP_REACH_INDIRECT);
	expect(&f, self, INSP_REACH_DEFINITE);
	expect(&f, x, INSP_REACH_INDIRECT);
	expect(&f, y, INSP_REACH_INDIRECT);
	expect(&f, z, INSP_REACH_DEFINITE);
	assert_int_equal(f.l->leader[snap_id(f.s, x)], snap_id(f.s, z));
	done(&f);
}

static uint64_t by_size_over_100(void *ctx, const struct insp_chunk *c)
{
	(void)ctx;
	return c->size > 0x100;
}

static bool not_small(void *ctx, const struct insp_chunk *c)
{
	return c->size > *(uint64_t *)ctx;
}

static void groups__count_and_drag_along(void **state)
{
	struct fixture f = {.s = snap_create()};
	uint64_t list[5], tiny, limit = 0x20;
	struct insp_leak_grouping grouping = {.key_of = by_size_over_100};

	(void)state;
	for (int i = 0; i < 5; i++)
		list[i] = snap_chunk(f.s, 0x50, INSP_CHUNK_INUSE);
	tiny = snap_chunk(f.s, 0x20, INSP_CHUNK_INUSE);
	uint64_t big = snap_chunk(f.s, 0x200, INSP_CHUNK_INUSE);

	for (int i = 1; i < 5; i++)
		if (i != 2)
			snap_put(f.s, list[i], list[i - 1]); /* 4 -> 3 -> 2, 1 -> 0 */
	snap_put(f.s, list[0], big);
	analyse(&f);
	assert_int_equal(insp_leaks_group(f.l, NULL, NULL), 0);
	assert_int_equal(f.l->ngroups, 4);
	const struct insp_leak_group *g = &f.l->groups[0];

	assert_int_equal(g->reach, INSP_REACH_DEFINITE);
	assert_int_equal(g->key, 0x50);
	assert_int_equal(g->count, 2);
	assert_int_equal(g->bytes, 0xa0);
	assert_int_equal(g->dragged.count, 4);
	assert_int_equal(g->dragged.bytes, 3 * 0x50 + 0x200);
	assert_int_equal(g->example, snap_id(f.s, list[1]));
	assert_int_equal(f.l->groups[1].reach, INSP_REACH_INDIRECT);
	assert_int_equal(f.l->groups[1].key, 0x200);
	assert_int_equal(f.l->groups[3].example, snap_id(f.s, tiny));

	assert_int_equal(insp_leaks_group(f.l, &grouping, NULL), 0);
	assert_int_equal(f.l->ngroups, 3);
	grouping.accept = not_small;
	grouping.ctx = &limit;
	grouping.reaches = 1u << INSP_REACH_DEFINITE;
	grouping.key_of = NULL;
	assert_int_equal(insp_leaks_group(f.l, &grouping, NULL), 0);
	assert_int_equal(f.l->ngroups, 1);
	done(&f);
}

static void leaks__end_on_an_interrupt(void **state)
{
	struct fixture f = {.s = snap_create()};
	struct insp_error err = {0};

	(void)state;
	for (int i = 0; i < 0x20000; i++)
		(void)use(&f);
	assert_int_equal(insp_graph_create(snap_seal(f.s), 1, &f.g, &err), 0);
	insp_interrupt();
	assert_int_equal(insp_leaks_create(f.g, &f.l, &err), INSP_E_INTERRUPTED);
	insp_interrupt_clear();
	assert_null(f.l);
	done(&f);
}

/* ---- against the definition, on random graphs */

#define N 12

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* Reaches: closure[i][j] along edges of `e` (1 start, 2 interior, 3 any). */
static void close_over(uint8_t e[N][N], uint8_t kinds, bool closure[N][N])
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++)
			closure[i][j] = i == j || e[i][j] & kinds;
	for (int k = 0; k < N; k++)
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++)
				closure[i][j] |= closure[i][k] && closure[k][j];
}

static enum insp_reach slow_reach(uint8_t root[N], bool by_start[N][N], bool any[N][N], int x)
{
	bool seen_any = false;

	for (int i = 0; i < N; i++) {
		if (root[i] & 1 && by_start[i][x])
			return INSP_REACH_REACHABLE;
		if (root[i] && any[i][x])
			seen_any = true;
	}
	if (seen_any)
		return INSP_REACH_POSSIBLE;
	/* Lost: definite if whatever reaches it is reached back, and has no lower address. */
	for (int i = 0; i < N; i++)
		if (any[i][x] && (!any[x][i] || i < x))
			return INSP_REACH_INDIRECT;
	return INSP_REACH_DEFINITE;
}

static void leaks__equal_their_definition_on_random_graphs(void **state)
{
	size_t seen[INSP_N_REACHES] = {0};

	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct fixture f = {.s = snap_create()};
		uint8_t e[N][N] = {{0}}, root[N] = {0};
		bool by_start[N][N], any[N][N];
		uint64_t mems[N], degree = 1 + rng() % 30;

		for (int i = 0; i < N; i++)
			mems[i] = snap_chunk(f.s, 0x110, INSP_CHUNK_INUSE);
		for (uint64_t k = 0; k < degree; k++) {
			uint64_t i = rng() % N, j = rng() % N, interior = rng() % 3 == 0;

			snap_put(f.s, mems[i] + 8 * k, mems[j] + 8 * interior);
			e[i][j] |= interior ? 2 : 1;
		}
		for (uint64_t k = 0; k < rng() % 4; k++) {
			uint64_t j = rng() % N, interior = rng() % 2;

			snap_put(f.s, SNAP_DATA + 8 * k, mems[j] + 8 * interior);
			root[j] |= interior ? 2 : 1;
		}
		close_over(e, 1, by_start);
		close_over(e, 3, any);
		analyse(&f);
		for (int i = 0; i < N; i++) {
			expect(&f, mems[i], slow_reach(root, by_start, any, i));
			seen[f.l->reach[i]]++;
			if (f.l->reach[i] == INSP_REACH_INDIRECT) {
				assert_int_equal(f.l->reach[f.l->leader[i]], INSP_REACH_DEFINITE);
				assert_true(any[f.l->leader[i]][i]);
			}
		}
		done(&f);
	}
	for (int r = INSP_REACH_REACHABLE; r < INSP_N_REACHES; r++)
		assert_true(seen[r] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaks__tell_the_nine_cases_of_memcheck),
		cmocka_unit_test(leaks__prefer_the_better_path),
		cmocka_unit_test(leaks__name_one_chunk_of_a_lost_cycle),
		cmocka_unit_test(groups__count_and_drag_along),
		cmocka_unit_test(leaks__end_on_an_interrupt),
		cmocka_unit_test(leaks__equal_their_definition_on_random_graphs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
