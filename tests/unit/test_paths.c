/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/paths.h"
#include "snap.h"

struct seen {
	size_t nroots, nchunks;
	uint64_t offsets[8];
};

static bool on_ref(void *ctx, const struct insp_ref *ref)
{
	struct seen *s = ctx;

	if (ref->root)
		s->nroots++;
	else
		s->offsets[s->nchunks++] = ref->edge.offset;
	return true;
}

static void paths__are_the_shortest_and_the_surest_first(void **state)
{
	struct snap *s = snap_create();
	uint64_t m[8];
	struct insp_graph *g;
	struct insp_pool *pool = insp_pool_create();
	struct insp_paths paths;
	struct insp_edge edge;
	struct seen seen = {0};

	(void)state;
	for (int i = 0; i < 8; i++)
		m[i] = snap_chunk(s, 0x60, INSP_CHUNK_INUSE);
	/* data -> 0 -> 1 -> 2 -> 6;  data -> 3 -(interior)-> 6;  memory -> 4 -> 6;  5 -> 6, lost */
	snap_put(s, SNAP_DATA, m[0]);
	snap_put(s, m[0], m[1]);
	snap_put(s, m[1] + 8, m[2]);
	snap_put(s, m[2] + 16, m[6]);
	snap_put(s, m[2] + 24, m[6] + 8);
	snap_put(s, SNAP_DATA + 8, m[3]);
	snap_put(s, m[3], m[6] + 8);
	snap_put(s, SNAP_MEMORY, m[4]);
	snap_put(s, m[4] + 32, m[6]);
	snap_put(s, m[5], m[6]);
	snap_put(s, m[6], m[1]); /* a cycle */
	assert_int_equal(insp_graph_create(snap_seal(s), 1, &g, NULL), 0);
	assert_int_equal(insp_paths_to(g, 6, 10, pool, &paths, NULL), 0);
	assert_int_equal(paths.n, 3);
	assert_int_equal(paths.items[0].root->addr, SNAP_MEMORY);
	assert_int_equal(paths.items[0].n, 2);
	assert_true(paths.items[0].by_start);
	assert_int_equal(paths.items[1].root->addr, SNAP_DATA);
	assert_int_equal(paths.items[1].n, 4);
	assert_int_equal(paths.items[1].chunks[0], 0);
	assert_int_equal(paths.items[1].chunks[1], 1);
	assert_int_equal(paths.items[1].chunks[2], 2);
	assert_int_equal(paths.items[1].chunks[3], 6);
	assert_int_equal(paths.items[2].root->addr, SNAP_DATA + 8);
	assert_false(paths.items[2].by_start);
	assert_int_equal(insp_paths_to(g, 6, 1, pool, &paths, NULL), 0);
	assert_int_equal(paths.n, 1);
	assert_int_equal(paths.nroots, 3);
	assert_int_equal(insp_paths_to(g, 5, 1, pool, &paths, NULL), 0);
	assert_int_equal(paths.n, 0);
	assert_int_equal(insp_paths_to(g, 0, 1, pool, &paths, NULL), 0);
	assert_int_equal(paths.items[0].n, 1);

	assert_true(insp_edge_between(g, 2, 6, &edge));
	assert_int_equal(edge.offset, 16);
	assert_false(edge.interior);
	assert_true(insp_edge_between(g, 3, 6, &edge));
	assert_true(edge.interior);
	assert_false(insp_edge_between(g, 0, 6, &edge));

	assert_int_equal(insp_refs_to(g, 6, on_ref, &seen, NULL), 0);
	assert_int_equal(seen.nroots, 0);
	assert_int_equal(seen.nchunks, 5);
	assert_int_equal(seen.offsets[0], 16);
	assert_int_equal(seen.offsets[1], 24);
	seen = (struct seen){0};
	assert_int_equal(insp_refs_to(g, 0, on_ref, &seen, NULL), 0);
	assert_int_equal(seen.nroots, 1);
	insp_graph_destroy(g);
	insp_pool_destroy(pool);
	snap_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths__are_the_shortest_and_the_surest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
