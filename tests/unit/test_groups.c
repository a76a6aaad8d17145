/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/groups.h"
#include "base/vec.h"

static const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};

/* n chunks of 48 bytes, then one free one of 4096. */
static struct insp_snapshot *snapshot(size_t n)
{
	struct insp_snapshot *s = insp_snapshot_create();
	struct insp_arena *arena = insp_vec_push(&s->arenas);
	uint64_t at = 0x1000;

	*arena = (struct insp_arena){.name = "main"};
	s->has = INSP_NEED_CHUNKS;
	s->comm = "victim";
	insp_chunks_span_begin(s->chunks, at, at + n * 48 + 4096, 0, glibc);
	for (size_t i = 0; i < n; i++, at += 48)
		insp_chunks_add(s->chunks, at, INSP_CHUNK_INUSE);
	insp_chunks_add(s->chunks, at, INSP_CHUNK_LARGEBIN);
	insp_chunks_span_end(s->chunks);
	assert_int_equal(insp_chunks_seal(s->chunks, NULL), 0);
	return s;
}

static void groups__sum_by_size_and_state(void **state)
{
	struct insp_snapshot *s = snapshot(10);
	struct insp_groups g;

	(void)state;
	assert_int_equal(insp_groups_make(s, "size", s->pool, &g, NULL), 0);
	assert_int_equal(g.n, 1);
	assert_string_equal(g.items[0].key, "48 B");
	assert_int_equal(g.items[0].count, 10);
	assert_int_equal(g.items[0].bytes, 480);
	assert_int_equal(insp_groups_make(s, "state", s->pool, &g, NULL), 0);
	assert_int_equal(g.n, 2);
	assert_string_equal(g.items[1].key, "largebin");
	assert_int_equal(g.items[1].bytes, 4096);
	insp_snapshot_destroy(s);
}

static void groups__diff_names_new_and_vanished(void **state)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_group a[] = {{"gone", 2, 100}, {"same", 1, 50}};
	struct insp_group b[] = {{"new", 1, 900}, {"same", 1, 50}};
	struct insp_groups base = {a, 2, 2}, now = {b, 2, 2};
	struct insp_group_deltas d;

	(void)state;
	assert_int_equal(insp_groups_diff(&base, &now, pool, &d, NULL), 0);
	assert_int_equal(d.n, 3);
	assert_string_equal(d.items[0].key, "new");
	assert_int_equal(d.items[0].base.bytes, 0);
	assert_string_equal(d.items[1].key, "gone");
	assert_int_equal(d.items[1].now.count, 0);
	assert_string_equal(d.items[2].key, "same");
	assert_int_equal(d.base.bytes, 150);
	assert_int_equal(d.now.bytes, 950);
	insp_pool_destroy(pool);
}

static void groups__refuse_what_the_snapshot_lacks(void **state)
{
	struct insp_snapshot *s = snapshot(1);
	struct insp_error err = {0};
	struct insp_groups g;

	(void)state;
	s->has = 0;
	assert_int_equal(insp_groups_make(s, "size", s->pool, &g, &err), INSP_E_NOTFOUND);
	assert_string_equal(err.msg, "the snapshot of victim was taken without chunks");
	insp_snapshot_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups__sum_by_size_and_state),
		cmocka_unit_test(groups__diff_names_new_and_vanished),
		cmocka_unit_test(groups__refuse_what_the_snapshot_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
