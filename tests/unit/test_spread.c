/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/spread.h"
#include "base/map.h"
#include "base/str.h"
#include "command/text.h"
#include "snap.h"

enum { VOID, BYTES, NODE, NODE_POINTER, PAIR, BASE, DERIVED, CHOICE, SMALL, OPAQUE, FLEXIBLE, N_TYPES };

/* node: 40 bytes, next at 0, text at 8, anything at 16 */
static const struct insp_ctype_field node_fields[] = {
	{.offset = 0, .stride = 8, .count = 1, .pointee = NODE},
	{.offset = 8, .stride = 8, .count = 1, .pointee = BYTES},
	{.offset = 16, .stride = 8, .count = 1, .pointee = VOID},
};
static const struct insp_ctype_field to_node[] = {{.offset = 0, .stride = 8, .count = 1, .pointee = NODE}};
static const struct insp_ctype_field pair_fields[] = {{.offset = 8, .stride = 8, .count = 1, .pointee = SMALL}};
static const struct insp_ctype_field derived_fields[] = {{.offset = 64, .stride = 8, .count = 1, .pointee = NODE}};
static const struct insp_ctype_field choice_fields[] = {
	{.offset = 8, .stride = 8, .count = 1, .pointee = NODE, .weak = true},
	{.offset = 8, .stride = 8, .count = 1, .pointee = DERIVED, .weak = true},
};
static const struct insp_ctype_field flexible_fields[] = {
	{.offset = 8, .stride = 8, .count = INSP_CTYPE_TO_END, .pointee = SMALL}};

#define FIELDS(f) .fields = f, .nfields = sizeof(f) / sizeof(f[0])
static const struct insp_ctype types[N_TYPES] = {
	[VOID] = {.name = "void", .kind = INSP_CTYPE_VOID},
	[BYTES] = {.name = "char", .size_bytes = 1, .kind = INSP_CTYPE_BYTES},
	[NODE] = {.name = "node", .size_bytes = 40, .kind = INSP_CTYPE_COMPOUND, FIELDS(node_fields)},
	[NODE_POINTER] = {.name = "node *", .size_bytes = 8, .kind = INSP_CTYPE_POINTER, FIELDS(to_node)},
	[PAIR] = {.name = "pair", .size_bytes = 48, .kind = INSP_CTYPE_COMPOUND, FIELDS(pair_fields)},
	[BASE] = {.name = "base", .size_bytes = 16, .kind = INSP_CTYPE_COMPOUND, .polymorphic = true},
	[DERIVED] = {.name = "derived", .size_bytes = 200, .kind = INSP_CTYPE_COMPOUND, FIELDS(derived_fields)},
	[CHOICE] = {.name = "choice", .size_bytes = 104, .kind = INSP_CTYPE_COMPOUND, FIELDS(choice_fields)},
	[SMALL] = {.name = "small", .size_bytes = 24, .kind = INSP_CTYPE_COMPOUND},
	[OPAQUE] = {.name = "opaque", .kind = INSP_CTYPE_OPAQUE},
	[FLEXIBLE] = {.name = "flexible", .size_bytes = 8, .kind = INSP_CTYPE_COMPOUND, .open_ended = true,
		      FIELDS(flexible_fields)},
};

static const struct insp_ctype *get(void *ctx, uint32_t type)
{
	(void)ctx;
	assert_true(type < N_TYPES);
	return &types[type];
}

static uint32_t always_derived(void *ctx, const struct insp_chunk *c)
{
	(void)ctx, (void)c;
	return DERIVED;
}

static const struct insp_spread_source source = {.get = get, .class_of = always_derived};

static uint64_t chunk(struct snap *s, uint64_t request)
{
	return snap_chunk(s, (request + 8 + 15) & ~UINT64_C(15), INSP_CHUNK_INUSE);
}

static void expect(struct insp_spread *spread, struct snap *s, uint64_t mem, uint32_t type, enum insp_fit fit)
{
	enum insp_fit got_fit = INSP_N_FITS;
	uint32_t got = N_TYPES;

	if (!insp_spread_of(spread, snap_id(s, mem), &got, &got_fit)) {
		if (type != N_TYPES)
			fail_msg("no type, not %s", types[type].name);
	} else if (type == N_TYPES) {
		fail_msg("%s, where none was expected", types[got].name);
	} else if (got != type || got_fit != fit) {
		fail_msg("%s, %s, not %s, %s", types[got].name, insp_fit_key(got_fit), types[type].name,
			 insp_fit_key(fit));
	}
}

static struct insp_spread *begin(struct snap *s)
{
	struct insp_spread *spread;

	assert_int_equal(insp_spread_create(snap_seal(s), &source, &spread, NULL), 0);
	return spread;
}

static void spread__follows_lists_and_arrays_of_pointers(void **state)
{
	struct snap *s = snap_create();
	uint64_t table = chunk(s, 10 * 8), text = chunk(s, 30), thing = chunk(s, 300), nodes[50];
	struct insp_spread *spread;

	(void)state;
	for (int i = 0; i < 50; i++)
		nodes[i] = chunk(s, 40);
	for (int i = 0; i < 50; i++)
		if (i % 5 != 4)
			snap_put(s, nodes[i], nodes[i + 1]);
	for (int i = 0; i < 10; i++)
		snap_put(s, table + (uint64_t)i * 8, nodes[i * 5]);
	snap_put(s, nodes[49], nodes[0]); /* round in a circle */
	snap_put(s, nodes[3] + 8, text);
	snap_put(s, nodes[3] + 16, thing);
	spread = begin(s);
	insp_spread_pointer(spread, table, NODE_POINTER);
	assert_int_equal(insp_spread_run(spread, NULL), 0);
	expect(spread, s, table, NODE_POINTER, INSP_FIT_ARRAY);
	for (int i = 0; i < 50; i++)
		expect(spread, s, nodes[i], NODE, INSP_FIT_EXACT);
	expect(spread, s, text, BYTES, INSP_FIT_ARRAY);
	expect(spread, s, thing, N_TYPES, 0);
	insp_spread_destroy(spread);
	snap_destroy(s);
}

static void spread__takes_what_fits(void **state)
{
	struct snap *s = snap_create();
	uint64_t little = chunk(s, 20), pairs = chunk(s, 48 * 7), smalls[7], opaque = chunk(s, 77);
	uint64_t choice = chunk(s, 104), derived = chunk(s, 200), node = chunk(s, 40);
	uint64_t flexible = chunk(s, 8 + 3 * 8), items[3];
	struct insp_spread *spread;

	(void)state;
	for (int i = 0; i < 7; i++) {
		smalls[i] = chunk(s, 24);
		snap_put(s, pairs + (uint64_t)i * 48 + 8, smalls[i]);
	}
	for (int i = 0; i < 3; i++) {
		items[i] = chunk(s, 24);
		snap_put(s, flexible + 8 + (uint64_t)i * 8, items[i]);
	}
	snap_put(s, choice + 8, derived); /* as a node it would be larger; as this it fits */
	snap_put(s, derived + 64, node);
	spread = begin(s);
	insp_spread_pointer(spread, little, NODE); /* no room for one */
	insp_spread_pointer(spread, pairs, PAIR);
	insp_spread_pointer(spread, opaque, OPAQUE);
	insp_spread_pointer(spread, choice, CHOICE);
	insp_spread_pointer(spread, flexible, FLEXIBLE);
	assert_int_equal(insp_spread_run(spread, NULL), 0);
	expect(spread, s, little, N_TYPES, 0);
	expect(spread, s, pairs, PAIR, INSP_FIT_ARRAY);
	for (int i = 0; i < 7; i++)
		expect(spread, s, smalls[i], SMALL, INSP_FIT_EXACT);
	expect(spread, s, opaque, OPAQUE, INSP_FIT_OPAQUE);
	expect(spread, s, derived, DERIVED, INSP_FIT_EXACT);
	expect(spread, s, node, NODE, INSP_FIT_EXACT);
	expect(spread, s, flexible, FLEXIBLE, INSP_FIT_EXACT);
	for (int i = 0; i < 3; i++)
		expect(spread, s, items[i], SMALL, INSP_FIT_EXACT);
	insp_spread_destroy(spread);
	snap_destroy(s);
}

static void spread__prefers_the_shorter_way_and_keeps_the_other(void **state)
{
	struct snap *s = snap_create();
	uint64_t far = chunk(s, 40), both = chunk(s, 200), object = chunk(s, 200), node = chunk(s, 40);
	struct insp_spread *spread;

	(void)state;
	snap_put(s, far, both);
	snap_put(s, object + 64, node);
	spread = begin(s);
	insp_spread_pointer(spread, far, NODE);
	insp_spread_pointer(spread, both, DERIVED);
	insp_spread_pointer(spread, object, BASE); /* and says itself that it is more */
	assert_int_equal(insp_spread_run(spread, NULL), 0);
	expect(spread, s, far, NODE, INSP_FIT_EXACT);
	expect(spread, s, both, DERIVED, INSP_FIT_EXACT);
	assert_int_equal(insp_spread_other(spread, snap_id(s, both)), NODE);
	assert_int_equal(insp_spread_other(spread, snap_id(s, far)), INSP_CTYPE_NONE);
	expect(spread, s, object, DERIVED, INSP_FIT_EXACT);
	expect(spread, s, node, NODE, INSP_FIT_EXACT);
	insp_spread_destroy(spread);
	snap_destroy(s);
}

static void spread__begins_at_objects_outside_of_the_heap(void **state)
{
	struct snap *s = snap_create();
	uint64_t first = chunk(s, 40), second = chunk(s, 40), lone = snap_lone(s, 0x3000);
	struct insp_spread *spread;

	(void)state;
	snap_put(s, SNAP_DATA + 0x100, first);
	snap_put(s, SNAP_DATA + 0x108, second); /* of the same object, but a char * */
	snap_put(s, SNAP_STACK + 0x800, lone);
	spread = begin(s);
	insp_spread_object(spread, SNAP_DATA + 0x100, NODE);
	insp_spread_object(spread, SNAP_STACK + 0x800, NODE_POINTER);
	insp_spread_object(spread, UINT64_MAX - 16, NODE); /* where nothing is */
	assert_int_equal(insp_spread_run(spread, NULL), 0);
	expect(spread, s, first, NODE, INSP_FIT_EXACT);
	expect(spread, s, second, BYTES, INSP_FIT_ARRAY);
	insp_spread_destroy(spread);
	snap_destroy(s);
}

static void map__keeps_what_was_put_in(void **state)
{
	struct insp_map map = {0};

	(void)state;
	assert_int_equal(insp_map_get(&map, 5), INSP_MAP_NONE);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(insp_map_set(&map, (uint64_t)i << 32, i), 0);
	assert_int_equal(insp_map_set(&map, 0, 77), 0);
	assert_int_equal(map.n, 10000);
	assert_int_equal(insp_map_get(&map, 0), 77);
	for (uint32_t i = 1; i < 10000; i++)
		assert_int_equal(insp_map_get(&map, (uint64_t)i << 32), i);
	assert_int_equal(insp_map_get(&map, 1), INSP_MAP_NONE);
	insp_map_deinit(&map);
}

static const char *quoted(struct insp_str *s, const char *bytes, size_t n, size_t max)
{
	insp_str_reset(s);
	insp_text_quote(s, (const uint8_t *)bytes, n, max, 1);
	return insp_str_text(s);
}

static void text__is_told_and_made_harmless(void **state)
{
	struct insp_str s = {0};

	(void)state;
	assert_int_equal(insp_text_length((const uint8_t *)"four\0more", 9), 4);
	assert_int_equal(insp_text_length((const uint8_t *)"abc\0", 4), 0);
	assert_int_equal(insp_text_length((const uint8_t *)"gr\xc3\xbc\xc3\x9f", 7), 0 + 6);
	assert_int_equal(insp_text_length((const uint8_t *)"cut off \xe2\x82", 10), 10);
	assert_int_equal(insp_text_length((const uint8_t *)"text\x1b[2J", 8), 0);
	assert_int_equal(insp_text_length((const uint8_t *)"text\xc2\x9b" "2J", 8), 0); /* CSI in one character */
	assert_int_equal(insp_text_length((const uint8_t *)"text\xe0\x80\x80", 7), 0);	/* too long a form */
	assert_int_equal(insp_text_length((const uint8_t *)"text\xed\xa0\x80", 7), 0);	/* half of a pair */
	assert_string_equal(quoted(&s, "a\tb\nc\"d\\", 8, 40), "\"a\\tb\\nc\\\"d\\\\\"");
	assert_string_equal(quoted(&s, "a\x1b[2J", 5, 40), "\"a\\x1b[2J\"");
	assert_string_equal(quoted(&s, "a\xe2\x80\xae" "b", 5, 40), "\"a\\u202eb\""); /* right to left */
	assert_string_equal(quoted(&s, "gr\xc3\xbc\xc3\x9f" "e", 7, 3), "\"gr\xc3\xbc...\"");
	assert_string_equal(quoted(&s, "cut \xe2\x82", 6, 40), "\"cut ...\"");
	assert_string_equal(quoted(&s, "\xff\xfe", 2, 40), "\"\\xff\\xfe\"");
	insp_str_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spread__follows_lists_and_arrays_of_pointers),
		cmocka_unit_test(spread__takes_what_fits),
		cmocka_unit_test(spread__prefers_the_shorter_way_and_keeps_the_other),
		cmocka_unit_test(spread__begins_at_objects_outside_of_the_heap),
		cmocka_unit_test(map__keeps_what_was_put_in),
		cmocka_unit_test(text__is_told_and_made_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
