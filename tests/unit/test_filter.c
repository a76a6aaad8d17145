/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "command/filter.h"
#include "snap.h"

/* a (0x40, used) -> b (0x80, used) -> c (0x100, used); d (0x40, free); e (0x2000, mmapped) */
struct fixture {
	struct snap *s;
	struct insp_context ctx;
	uint64_t mem[5];
};

static struct fixture make(void)
{
	struct fixture f = {.s = snap_create()};

	f.mem[0] = snap_chunk(f.s, 0x40, INSP_CHUNK_INUSE);
	f.mem[1] = snap_chunk(f.s, 0x80, INSP_CHUNK_INUSE);
	f.mem[2] = snap_chunk(f.s, 0x100, INSP_CHUNK_INUSE);
	f.mem[3] = snap_chunk(f.s, 0x40, INSP_CHUNK_TCACHE);
	f.mem[4] = snap_lone(f.s, 0x2000);
	snap_put(f.s, SNAP_DATA + 8, f.mem[0]);
	snap_put(f.s, f.mem[0] + 8, f.mem[1]);
	snap_put(f.s, f.mem[1], f.mem[2] + 16);
	f.ctx.snapshot = snap_seal(f.s);
	f.ctx.pool = insp_pool_create();
	assert_non_null(f.ctx.pool);
	return f;
}

static void done(struct fixture *f)
{
	insp_pool_destroy(f->ctx.pool);
	snap_destroy(f->s);
}

/* Which of the five it accepts: "ab--e"; or the error. */
static const char *accepted(struct fixture *f, const char *text)
{
	static char result[512];
	struct insp_filter *filter;
	struct insp_error err = {0};
	bool written = !insp_filter_check(text, f->ctx.pool, NULL);

	if (insp_filter_create(&f->ctx, text, NULL, NULL, &filter, &err)) {
		snprintf(result, sizeof(result), "%s", err.msg);
		assert_true(result[0]);
		return result;
	}
	assert_true(written);
	for (int i = 0; i < 5; i++) {
		struct insp_chunk c;

		insp_chunks_get(f->ctx.snapshot->chunks, snap_id(f->s, f->mem[i]), &c);
		result[i] = insp_filter_accepts(filter, &c) ? (char)('a' + i) : '-';
	}
	result[5] = '\0';
	return result;
}

static void filter__compares_numbers_and_texts(void **state)
{
	static const char *const cases[][2] = {
		{"size = 64", "a--d-"},	     {"size != 64", "-bc-e"},	    {"size < 128", "a--d-"},
		{"size <= 128", "ab-d-"},    {"size>128", "--c-e"},	    {"size >= 8K", "----e"},
		{"size >= 1KiB", "----e"},   {"state = in_use", "abc--"},    {"state = IN_USE", "abc--"},
		{"state = used", "abc-e"},   {"state != used", "---d-"},     {"state = free", "---d-"},
		{"state ~ cache", "---d-"},  {"state !~ cache", "abc-e"},    {"state = 'in_use'", "abc--"},
		{"state = \"in_use\"", "abc--"}, {"usable > 0x40", "-bc-e"}, {"addr >= 0", "abcde"},
	};
	struct fixture f = make();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(accepted(&f, cases[i][0]), cases[i][1]) != 0)
			fail_msg("%s: %s, not %s", cases[i][0], accepted(&f, cases[i][0]), cases[i][1]);
	done(&f);
}

static void filter__and_binds_closer_than_or(void **state)
{
	static const char *const cases[][2] = {
		{"size = 64 or size = 128 and state = free", "a--d-"},
		{"(size = 64 or size = 128) and state = free", "---d-"},
		{"size = 128 and state = used or size = 64", "ab-d-"},
		{"not size = 64 and state = used", "-bc-e"},
		{"not (size = 64 and state = used)", "-bcde"},
		{"not not size = 64", "a--d-"},
		{"!size=64 && state=used || size=256", "-bc-e"},
		{"size = 64 state = free", "---d-"},
		{"SIZE = 64 AND NOT STATE = free", "a----"},
		{"  ( ( size=64 ) )  ", "a--d-"},
	};
	struct fixture f = make();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(accepted(&f, cases[i][0]), cases[i][1]) != 0)
			fail_msg("%s: %s, not %s", cases[i][0], accepted(&f, cases[i][0]), cases[i][1]);
	done(&f);
}

static void filter__follows_pointers_from_an_address(void **state)
{
	struct fixture f = make();
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "reached-by = %#lx", (unsigned long)SNAP_DATA + 8);
	assert_string_equal(accepted(&f, text), "abc--");
	snprintf(text, sizeof(text), "reached-by = %#lx", (unsigned long)f.mem[1] + 24);
	assert_string_equal(accepted(&f, text), "-bc--");
	snprintf(text, sizeof(text), "reached-by != %#lx and state = used", (unsigned long)f.mem[1]);
	assert_string_equal(accepted(&f, text), "a---e");
	snprintf(text, sizeof(text), "reached-by = %#lx", (unsigned long)f.mem[3]);
	assert_string_equal(accepted(&f, text), "-----");
	assert_string_equal(accepted(&f, "reached-by = 0xfffffffffffffff8"), "-----");
	done(&f);
}

static void filter__says_where_it_is_wrong(void **state)
{
	static const char *const cases[][2] = {
		{"", "'the end'"},	       {"size", "one of = != < <= > >= expected at 'the end'"},
		{"size >", "a value expected at 'the end'"}, {"size = 1 or", "'the end'"},
		{"(size = 1", "')' expected at 'the end'"},  {"size = 1)", "'and' or 'or' expected at ')'"},
		{"colour = red", "at 'colour = red'"},	     {"size ~ 3", "at '~ 3'"},
		{"state < 3", "at '< 3'"},		     {"state = 'in_use", "the closing quote"},
		{"size = pear", "'pear'"},		     {"type = x", "does not look at types"},
		{"reach = definite", "`leaks` only"},	     {"site ~ x", "run with the hook"},
		{"function = x", "run with the hook"},	     {"age > 1h", "run with the hook"},
		{"reached-by ~ 1", "goes with = and !="},    {"reached-by = zebra", "'zebra' is no address"},
		{"size = 1 and and size = 2", "at 'and size = 2'"},
		{"state = pear", "'pear' is no state: used, free, all, in_use"},
		{"reach = pear", "'pear' is none of"},
	};
	struct fixture f = make();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strstr(accepted(&f, cases[i][0]), cases[i][1]))
			fail_msg("'%s': %s, without %s", cases[i][0], accepted(&f, cases[i][0]), cases[i][1]);
	done(&f);
}

/* Any bytes: an error or an answer, in bounded depth. */
/* What depends on the process is no question of how it is written. */
static void filter__check_needs_no_process(void **state)
{
	static const char *const good[] = {"reach = definite", "type ~ x and age > 1h", "reached-by = zebra",
					   "not state ~ bin or site != y"};
	static const char *const bad[] = {"", "size", "colour = red", "state = pear", "reach ~ pear", "(size = 1"};
	struct insp_pool *pool = insp_pool_create();

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(insp_filter_check(good[i], pool, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(insp_filter_check(bad[i], pool, NULL), INSP_E_USAGE);
	insp_pool_destroy(pool);
}

static void filter__survives_what_nobody_types(void **state)
{
	static const char *const parts[] = {"size", "=",  "1",	"(",   ")",  "not", "and", "or", "!", "'",
					    "\"",   "~",  "<=", "&&", "||", "\x80", "state", "used", " ", "reached-by"};
	struct fixture f = make();
	uint64_t seed = 7;
	struct insp_str s = {0};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		insp_str_reset(&s);
		for (unsigned k = 0; k < 12; k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			insp_str_add(&s, parts[(seed >> 33) % (sizeof(parts) / sizeof(parts[0]))]);
			if (seed >> 63)
				insp_str_addc(&s, ' ');
		}
		(void)accepted(&f, insp_str_text(&s));
	}
	insp_str_reset(&s);
	for (int i = 0; i < 100000; i++)
		insp_str_add(&s, i % 2 ? "(" : "not ");
	assert_non_null(strstr(accepted(&f, insp_str_text(&s)), "less depth"));
	insp_str_reset(&s);
	insp_str_add(&s, "state = ");
	insp_str_pad(&s, 'x', 100000);
	assert_true(accepted(&f, insp_str_text(&s))[0]);
	insp_str_deinit(&s);
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filter__compares_numbers_and_texts),
		cmocka_unit_test(filter__and_binds_closer_than_or),
		cmocka_unit_test(filter__follows_pointers_from_an_address),
		cmocka_unit_test(filter__says_where_it_is_wrong),
		cmocka_unit_test(filter__check_needs_no_process),
		cmocka_unit_test(filter__survives_what_nobody_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
