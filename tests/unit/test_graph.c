/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/graph.h"
#include "snap.h"

static struct insp_graph *build(struct insp_snapshot *snap, unsigned nthreads)
{
	struct insp_error err = {0};
	struct insp_graph *g = NULL;

	if (insp_graph_create(snap, nthreads, &g, &err))
		fail_msg("%s", err.msg);
	return g;
}

static size_t nedges(const struct insp_graph *g, uint32_t id)
{
	return g->first[id + 1] - g->first[id];
}

static const struct insp_root *root_at(const struct insp_graph *g, uint64_t addr)
{
	for (size_t i = 0; i < g->nroots; i++)
		if (g->roots[i].addr == addr)
			return &g->roots[i];
	return NULL;
}

static void graph__tells_starts_from_interiors(void **state)
{
	struct snap *s = snap_create();
	uint64_t a = snap_chunk(s, 0x40, INSP_CHUNK_INUSE), b = snap_chunk(s, 0x20, INSP_CHUNK_INUSE);
	uint64_t c = snap_chunk(s, 0x30, INSP_CHUNK_INUSE), big = snap_lone(s, 0x21000);
	struct insp_graph *g;

	(void)state;
	snap_put(s, a, b);
	snap_put(s, a + 8, b + 1);
	snap_put(s, a + 16, b - 8);	/* its head */
	snap_put(s, a + 24, b + 16);	/* where the next head begins: one past the end */
	snap_put(s, a + 32, b + 17);	/* the last word belongs to b */
	snap_put(s, a + 0x30, big + 5); /* a's own last word, in the place of b's head */
	snap_put(s, b - 8, c);		/* b's head belongs to nobody */
	snap_put(s, c, big);
	snap_put(s, c + 8, big - 1);
	snap_put(s, big, a);
	snap_put(s, big + 0x20fe8, c + 0x10);
	g = build(snap_seal(s), 1);
	assert_int_equal(g->nedges, 7);
	assert_int_equal(nedges(g, 0), 4);
	assert_int_equal(g->edges[0], 1);
	assert_int_equal(g->edges[1], 1 | INSP_EDGE_INTERIOR);
	assert_int_equal(g->edges[2], 1 | INSP_EDGE_INTERIOR);
	assert_int_equal(g->edges[3], 3 | INSP_EDGE_INTERIOR);
	assert_int_equal(nedges(g, 1), 0);
	assert_int_equal(nedges(g, 2), 1);
	assert_int_equal(g->edges[g->first[2]], 3);
	assert_int_equal(nedges(g, 3), 2);
	assert_int_equal(g->edges[g->first[3] + 1], 2 | INSP_EDGE_INTERIOR);
	assert_int_equal(g->nroots, 0);
	insp_graph_destroy(g);
	snap_destroy(s);
}

static void graph__leaves_out_what_is_not_live(void **state)
{
	static const enum insp_chunk_state dead[] = {
		INSP_CHUNK_TCACHE, INSP_CHUNK_FASTBIN, INSP_CHUNK_UNSORTED, INSP_CHUNK_SMALLBIN,
		INSP_CHUNK_LARGEBIN, INSP_CHUNK_UNLINKED, INSP_CHUNK_TOP, INSP_CHUNK_METADATA};
	struct snap *s = snap_create();
	uint64_t live = snap_chunk(s, 0x100, INSP_CHUNK_INUSE);
	struct insp_graph *g;

	(void)state;
	for (size_t i = 0; i < sizeof(dead) / sizeof(dead[0]); i++) {
		uint64_t d = snap_chunk(s, 0x40, dead[i]);

		snap_put(s, d, live);
		snap_put(s, live + 8 * i, d);
		snap_put(s, SNAP_DATA + 8 * i, d);
	}
	uint64_t odd = snap_chunk(s, 0x40, INSP_CHUNK_UNKNOWN);

	snap_put(s, odd + 8, live);
	snap_put(s, live + 0x80, odd);
	g = build(snap_seal(s), 1);
	assert_int_equal(g->nedges, 0);
	assert_int_equal(g->nroots, 1);
	assert_int_equal(g->roots[0].kind, INSP_ROOT_UNKNOWN);
	assert_int_equal(g->roots[0].addr, odd + 8);
	insp_graph_destroy(g);
	snap_destroy(s);
}

/* A mapping of somebody's own that the kernel put right behind a library without .bss. */
static void roots__behind_a_module_are_not_its_data(void **state)
{
	struct snap *s = snap_create();
	uint64_t a = snap_chunk(s, 0x40, INSP_CHUNK_INUSE);
	struct insp_snapshot *snap;
	struct insp_graph *g;

	(void)state;
	snap_put(s, SNAP_DATA + 8, a);
	snap_put(s, SNAP_DATA + SNAP_REGION / 2 + 64, a);
	snap = snap_seal(s);
	snap->modules.items[0].end = SNAP_DATA + SNAP_REGION / 2;
	g = build(snap, 1);
	assert_int_equal(root_at(g, SNAP_DATA + 8)->kind, INSP_ROOT_DATA);
	assert_int_equal(root_at(g, SNAP_DATA + SNAP_REGION / 2 + 64)->kind, INSP_ROOT_MEMORY);
	insp_graph_destroy(g);
	snap_destroy(s);
}

static void roots__are_named_by_where_they_lie(void **state)
{
	struct snap *s = snap_create();
	uint64_t a = snap_chunk(s, 0x40, INSP_CHUNK_INUSE), sp = SNAP_STACK + 0x8000;
	struct insp_thread *main_thread = snap_thread(s, 10, sp);
	struct insp_thread *other = snap_thread(s, 11, SNAP_MEMORY + 0x1000);
	struct insp_thread *third;
	struct insp_graph *g;

	(void)state;
	main_thread->regs[INSP_REG_RBX] = a;
	main_thread->regs[INSP_REG_RCX] = a + 4;
	main_thread->regs[INSP_REG_RIP] = a;
	other->fs_base = SNAP_MEMORY + 0x5000;
	third = snap_thread(s, 12, SNAP_MEMORY + 0x8000);
	third->fs_base = SNAP_MEMORY + 0xa000;
	snap_put(s, SNAP_DATA + 8, a);
	snap_put(s, SNAP_DATA + SNAP_REGION / 2 + 64, a); /* .bss */
	snap_put(s, SNAP_DATA - 64, a);			  /* text */
	snap_put(s, SNAP_SHARED + 64, a);
	snap_put(s, sp - 128, a);
	snap_put(s, sp - 136, a); /* below the red zone */
	snap_put(s, sp + 512, a + 8);
	snap_put(s, SNAP_MEMORY + 0x800, a);  /* below the lowest stack pointer */
	snap_put(s, SNAP_MEMORY + 0x2000, a); /* stack of 11 */
	snap_put(s, SNAP_MEMORY + 0x5008, a + 16); /* its dtv */
	snap_put(s, SNAP_MEMORY + 0x9000, a); /* stack of 12 */
	g = build(snap_seal(s), 1);
	assert_int_equal(g->nroots, 9);
	assert_int_equal(root_at(g, SNAP_DATA + 8)->kind, INSP_ROOT_DATA);
	assert_int_equal(root_at(g, SNAP_DATA + SNAP_REGION / 2 + 64)->kind, INSP_ROOT_DATA);
	assert_null(root_at(g, SNAP_DATA - 64));
	assert_null(root_at(g, SNAP_SHARED + 64));
	assert_int_equal(root_at(g, sp - 128)->kind, INSP_ROOT_STACK);
	assert_int_equal(root_at(g, sp - 128)->owner, 0);
	assert_null(root_at(g, sp - 136));
	assert_int_equal(root_at(g, sp + 512)->edge, 0 | INSP_EDGE_INTERIOR);
	assert_null(root_at(g, SNAP_MEMORY + 0x800));
	assert_int_equal(root_at(g, SNAP_MEMORY + 0x2000)->owner, 1);
	assert_int_equal(root_at(g, SNAP_MEMORY + 0x9000)->owner, 2);
	assert_int_equal(root_at(g, SNAP_MEMORY + 0x5008)->kind, INSP_ROOT_TLS);
	assert_int_equal(root_at(g, SNAP_MEMORY + 0x5008)->edge, 0);
	assert_int_equal(root_at(g, INSP_REG_RBX)->kind, INSP_ROOT_REGISTER);
	assert_int_equal(root_at(g, INSP_REG_RCX)->edge, 0 | INSP_EDGE_INTERIOR);
	for (size_t i = 1; i < g->nroots; i++)
		assert_true(g->roots[i - 1].kind <= g->roots[i].kind);
	assert_int_equal(g->regions[0].use, INSP_USE_READ_ONLY);
	assert_int_equal(g->regions[1].use, INSP_USE_DATA);
	assert_int_equal(g->regions[2].use, INSP_USE_DATA);
	assert_int_equal(g->regions[3].use, INSP_USE_HEAP);
	assert_int_equal(g->regions[4].use, INSP_USE_STACK);
	assert_int_equal(g->regions[5].use, INSP_USE_SHARED);
	assert_int_equal(g->regions[6].use, INSP_USE_STACK);
	assert_int_equal(g->regions[6].nroots, 2);
	insp_graph_destroy(g);
	snap_destroy(s);
}

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

struct want {
	uint64_t addr, value;
};

struct check {
	const struct insp_graph *g;
	uint32_t next;
};

static bool check_edge(void *ctx, const struct insp_edge *edge)
{
	struct check *c = ctx;
	uint32_t e = c->g->edges[c->next++];

	assert_int_equal(INSP_EDGE_TARGET(e), edge->target);
	assert_int_equal((e & INSP_EDGE_INTERIOR) != 0, edge->interior);
	return true;
}

/* Every word of every chunk, against insp_chunks_owner; one worker against two. */
static void graph__equals_the_slow_way_on_random_heaps(void **state)
{
	enum { N = 600 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct snap *s = snap_create();
		uint64_t mems[N], sizes[N];
		struct insp_snapshot *snap;
		struct insp_graph *g, *g2;
		size_t hint = 0, want = 0;

		for (size_t i = 0; i < N; i++) {
			if (i == 200 || i == 400)
				snap_heap(s, SNAP_HEAP + i * 0x1000000 + 16 * (rng() % 8));
			if (rng() % 40 == 0) {
				sizes[i] = 4096 * (1 + rng() % 3);
				mems[i] = snap_lone(s, sizes[i]);
				sizes[i] -= 8;
				continue;
			}
			sizes[i] = 16 * (2 + rng() % 12);
			mems[i] = snap_chunk(s, sizes[i],
					     rng() % 3 ? INSP_CHUNK_INUSE : INSP_CHUNK_SMALLBIN);
		}
		for (size_t i = 0; i < N; i++)
			for (uint64_t off = 0; off + 16 < sizes[i] && off < 256; off += 8) {
				size_t t = rng() % N;

				if (rng() % 3 == 0)
					snap_put(s, mems[i] + off,
						 mems[t] - 24 + (rng() % 2 ? 24 : rng() % (sizes[t] + 24)));
			}
		snap = snap_seal(s);
		g = build(snap, 1);
		g2 = build(snap, 2);
		assert_int_equal(g->nedges, g2->nedges);
		assert_memory_equal(g->first, g2->first, (g->nchunks + 1) * sizeof(*g->first));
		assert_memory_equal(g->edges, g2->edges, g->nedges * sizeof(*g->edges));
		for (uint32_t id = 0; id < g->nchunks; id++) {
			struct check check = {g, g->first[id]};
			struct insp_pointers_iter it;
			struct insp_chunk c, t;
			uint64_t addr, value;

			insp_graph_edges_of(g, id, check_edge, &check);
			assert_int_equal(check.next, g->first[id + 1]);
			insp_chunks_get(snap->chunks, id, &c);
			if (!insp_chunk_state_live(c.state))
				continue;
			insp_pointers_from(&it, snap->pointers, c.mem, c.mem + c.usable);
			while (insp_pointers_next(&it, &addr, &value)) {
				int64_t owner = insp_chunks_owner(snap->chunks, value, &hint);

				if (owner < 0)
					continue;
				insp_chunks_get(snap->chunks, (uint32_t)owner, &t);
				if (!insp_chunk_state_live(t.state) ||
				    (t.usable % 16 == 8 && value == t.mem + t.usable - 8))
					continue;
				assert_int_equal(g->edges[want],
						 t.id | (value == t.mem ? 0 : INSP_EDGE_INTERIOR));
				want++;
			}
			assert_int_equal(want, g->first[id + 1]);
		}
		assert_true(want > 500);
		insp_graph_destroy(g);
		insp_graph_destroy(g2);
		snap_destroy(s);
	}
}

static void graph__refuses_a_snapshot_without_pointers(void **state)
{
	struct insp_snapshot *snap = insp_snapshot_create();
	struct insp_error err = {0};
	struct insp_graph *g = NULL;

	(void)state;
	assert_int_equal(insp_graph_create(snap, 0, &g, &err), INSP_E_UNSUPPORTED);
	assert_null(g);
	insp_snapshot_destroy(snap);
	insp_graph_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graph__tells_starts_from_interiors),
		cmocka_unit_test(graph__leaves_out_what_is_not_live),
		cmocka_unit_test(roots__behind_a_module_are_not_its_data),
		cmocka_unit_test(roots__are_named_by_where_they_lie),
		cmocka_unit_test(graph__equals_the_slow_way_on_random_heaps),
		cmocka_unit_test(graph__refuses_a_snapshot_without_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
