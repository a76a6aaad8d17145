/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One document, and what each renderer makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "base/utf8.h"
#include "render/render.h"
#include "report/sink.h"

static int into_str(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	(void)err;
	insp_str_addn(ctx, bytes, n);
	return 0;
}

typedef void (*document_fn)(struct insp_report *r);

/* Renders document; the caller frees. */
static char *render_as(const char *name, const struct insp_render_options *options,
		       document_fn document, const struct insp_error *command_err)
{
	const struct insp_renderer *renderer = insp_renderer_find(name);
	static const struct insp_error well;
	struct insp_str text = {0};
	struct insp_error err = {0};
	struct insp_report *r;
	struct insp_out out;
	void *state;

	assert_non_null(renderer);
	insp_out_init(&out, into_str, &text);
	state = renderer->open(&out, options);
	assert_non_null(state);
	r = insp_report_create(renderer->sink, state, &out);
	assert_non_null(r);
	document(r);
	assert_int_equal(insp_report_end(r, command_err ? command_err : &well, &err), 0);
	insp_report_destroy(r);
	renderer->close(state);
	insp_out_deinit(&out);
	assert_true(insp_str_ok(&text));
	return text.s ? text.s : strdup("");
}

static void expect(const char *name, const struct insp_render_options *options, document_fn document,
		   const char *expected)
{
	char *got = render_as(name, options, document, NULL);

	assert_string_equal(got, expected);
	free(got);
}

static const struct insp_column arena_columns[] = {
	{"name", "name", INSP_T_STR, 0, "its name"},
	{"addr", "address", INSP_T_ADDR, INSP_COL_WIDE, "of its struct"},
	{"bytes", "size", INSP_T_BYTES, INSP_COL_TOTAL, "of it"},
	{"threads", "threads", INSP_T_COUNT, INSP_COL_TOTAL, "attached"},
	{"locked", "locked", INSP_T_BOOL, 0, "when it stood still"},
};
static const struct insp_table arenas = INSP_TABLE("arenas", "Arenas", arena_columns, "no arenas");

static void arena(struct insp_report *r, const char *name, uint64_t addr, uint64_t bytes,
		  uint64_t threads, bool locked)
{
	insp_cell_str(r, name);
	insp_cell_u64(r, addr);
	insp_cell_u64(r, bytes);
	insp_cell_u64(r, threads);
	insp_cell_bool(r, locked);
	insp_row_end(r);
}

static void sample(struct insp_report *r)
{
	insp_object_begin(r, "heap", "Heap");
	insp_field_str(r, "allocator", "allocator", "glibc \"malloc\"");
	insp_field_u64(r, "in_use", "in use", INSP_T_BYTES, 1234567);
	insp_field_u64(r, "raw_only", NULL, INSP_T_COUNT, 7);
	insp_field_unknown(r, "version", "version");
	insp_table_begin(r, &arenas);
	arena(r, "main", 0x7f00, 1048576, 1, false);
	arena(r, "arena 1", 0x55d0c3a012a0, 512, 1200, true);
	insp_table_end(r);
	insp_table_cut(r, 2, 1234, "--limit 0 shows all");
	insp_note(r, INSP_WARNING, "swapped", "%d pages are in swap", 2);
	insp_object_end(r);
}

static const struct insp_render_options plain;

static void render__text_lines_up(void **state)
{
	(void)state;
	expect("text", &plain, sample,
	       "Heap\n"
	       "  allocator  glibc \"malloc\"\n"
	       "  in use     1.18 MiB\n"
	       "  version    -\n"
	       "\n"
	       "  Arenas\n"
	       "  NAME         SIZE  THREADS  LOCKED\n"
	       "  main     1.00 MiB        1  no\n"
	       "  arena 1     512 B    1,200  yes\n"
	       "  total    1.00 MiB    1,201\n"
	       "  first 2 of 1,234 shown; --limit 0 shows all\n"
	       "  warning: 2 pages are in swap\n");
}

static void render__text_raw_and_wide(void **state)
{
	const struct insp_render_options options = {.raw = true, .wide = true};
	char *got;

	(void)state;
	got = render_as("text", &options, sample, NULL);
	assert_non_null(strstr(got, "  in use     1234567\n"));
	assert_non_null(strstr(got, "NAME            ADDRESS     SIZE  THREADS  LOCKED\n"));
	assert_non_null(strstr(got, "arena 1  0x55d0c3a012a0      512     1200  yes\n"));
	free(got);
}

static void render__text_colours_are_asked_for(void **state)
{
	const struct insp_render_options options = {.color = true};
	char *got;

	(void)state;
	got = render_as("text", &options, sample, NULL);
	assert_non_null(strstr(got, "\033[1mHeap\033[0m\n"));
	assert_non_null(strstr(got, "\033[33mwarning:\033[0m 2 pages"));
	free(got);
	got = render_as("text", &plain, sample, NULL);
	assert_null(strchr(got, '\033'));
	free(got);
}

static void render__json_has_raw_values(void **state)
{
	(void)state;
	expect("json", &plain, sample,
	       "{\"heap\":{\"allocator\":\"glibc \\\"malloc\\\"\",\"in_use\":1234567,\"raw_only\":7,"
	       "\"version\":null,\"arenas\":["
	       "{\"name\":\"main\",\"addr\":\"0x7f00\",\"bytes\":1048576,\"threads\":1,\"locked\":false},"
	       "{\"name\":\"arena 1\",\"addr\":\"0x55d0c3a012a0\",\"bytes\":512,\"threads\":1200,"
	       "\"locked\":true}],\"arenas_shown\":2,\"arenas_total\":1234},"
	       "\"notes\":[{\"severity\":\"warning\",\"code\":\"swapped\","
	       "\"text\":\"2 pages are in swap\"}]}\n");
}

static void render__csv_has_the_table(void **state)
{
	(void)state;
	expect("csv", &plain, sample,
	       "name,addr,bytes,threads,locked\n"
	       "main,0x7f00,1048576,1,false\n"
	       "arena 1,0x55d0c3a012a0,512,1200,true\n");
}

static void fields_only(struct insp_report *r)
{
	insp_field_str(r, "name", "name", "a,b \"c\"");
	insp_object_begin(r, "usage", "Usage");
	insp_field_u64(r, "rss", "RSS", INSP_T_BYTES, 4096);
	insp_field_f64(r, "ratio", "ratio", INSP_T_RATIO, 0.125);
	insp_object_end(r);
}

static void render__csv_without_a_table_is_key_value(void **state)
{
	(void)state;
	expect("csv", &plain, fields_only,
	       "key,value\nname,\"a,b \"\"c\"\"\"\nusage.rss,4096\nusage.ratio,0.125\n");
	expect("text", &plain, fields_only, "name  a,b \"c\"\n\nUsage\n  RSS    4.00 KiB\n  ratio  12.5 %\n");
	expect("json", &plain, fields_only,
	       "{\"name\":\"a,b \\\"c\\\"\",\"usage\":{\"rss\":4096,\"ratio\":0.125},\"notes\":[]}\n");
}

static const struct insp_column frame_columns[] = {
	{"pc", "pc", INSP_T_ADDR, 0, "of the frame"},
	{"function", "function", INSP_T_STR, INSP_COL_TREE, "its name"},
};
static const struct insp_table frames = INSP_TABLE("frames", NULL, frame_columns, NULL);

static void nested(struct insp_report *r)
{
	insp_list_begin(r, "threads", NULL);
	for (int i = 1; i <= 2; i++) {
		insp_object_begin(r, NULL, i == 1 ? "thread 1" : "thread 2");
		insp_field_i64(r, "tid", "tid", INSP_T_ID, i);
		insp_table_begin(r, &frames);
		insp_cell_u64(r, 0x10);
		insp_cell_strf(r, "f%d", i);
		insp_row_depth(r, 1);
		insp_row_end(r);
		insp_table_end(r);
		insp_object_end(r);
	}
	insp_list_end(r);
}

static void render__lists_nest(void **state)
{
	(void)state;
	expect("text", &plain, nested,
	       "thread 1\n  tid  1\n\n    PC  FUNCTION\n  0x10    f1\n\n"
	       "thread 2\n  tid  2\n\n    PC  FUNCTION\n  0x10    f2\n");
	expect("json", &plain, nested,
	       "{\"threads\":[{\"tid\":1,\"frames\":[{\"pc\":\"0x10\",\"function\":\"f1\",\"depth\":1}]},"
	       "{\"tid\":2,\"frames\":[{\"pc\":\"0x10\",\"function\":\"f2\",\"depth\":1}]}],\"notes\":[]}\n");
	expect("csv", &plain, nested, "tid,pc,function\n1,0x10,f1\n2,0x10,f2\n");
}

static void items_without_tables(struct insp_report *r)
{
	insp_list_begin(r, "groups", NULL);
	for (int i = 0; i < 2; i++) {
		insp_object_begin(r, NULL, NULL);
		insp_field_i64(r, "n", "n", INSP_T_ID, -i);
		insp_object_begin(r, "at", NULL);
		insp_field_u64(r, "addr", "addr", INSP_T_ADDR, 16);
		insp_object_end(r);
		insp_object_end(r);
	}
	insp_list_end(r);
}

static void render__csv_items_are_rows(void **state)
{
	(void)state;
	expect("csv", &plain, items_without_tables, "n,at.addr\n0,0x10\n-1,0x10\n");
}

static void hostile(struct insp_report *r)
{
	insp_field_str(r, "a", "a", "x\033[2J\n\t\"\\\x7f");
	insp_field_str(r, "b", "b", "\xff\xc3\xa9\xe2\x82");
	insp_field_str(r, "c", "c", "\xe2\x80\xae" "evil");
	insp_field_f64(r, "d", NULL, INSP_T_FACTOR, 0.0 / 0.0);
	insp_field_f64(r, "e", NULL, INSP_T_FACTOR, 1e300 * 1e300);
}

static void render__hostile_strings_are_harmless(void **state)
{
	const struct insp_render_options utf8 = {.utf8 = true};

	(void)state;
	expect("json", &plain, hostile,
	       "{\"a\":\"x\\u001b[2J\\n\\t\\\"\\\\\\u007f\",\"b\":\"\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd"
	       "\xef\xbf\xbd\",\"c\":\"\xe2\x80\xae"
	       "evil\",\"d\":null,\"e\":null,\"notes\":[]}\n");
	expect("text", &utf8, hostile,
	       "a  x\\x1b[2J\\n\\t\"\\\\x7f\nb  \xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\n"
	       "c  \xef\xbf\xbd"
	       "evil\n");
}

static void render__error_leaves_json_well_formed(void **state)
{
	const struct insp_error err = {.code = INSP_E_IO, .msg = "no \"luck\""};
	char *got;

	(void)state;
	got = render_as("json", &plain, fields_only, &err);
	assert_string_equal(got, "{\"name\":\"a,b \\\"c\\\"\",\"usage\":{\"rss\":4096,\"ratio\":0.125},"
				 "\"notes\":[],\"error\":\"no \\\"luck\\\"\"}\n");
	free(got);
}

static void broken_off(struct insp_report *r)
{
	insp_object_begin(r, "a", NULL);
	insp_table_begin(r, &frames);
	insp_cell_u64(r, 1);
	insp_interrupt();
	insp_cell_str(r, "x");
	insp_row_end(r);
	insp_table_end(r);
	insp_object_end(r);
}

static void render__interrupt_ends_in_order(void **state)
{
	const struct insp_renderer *renderer = insp_renderer_find("json");
	struct insp_str text = {0};
	struct insp_error err = {0};
	struct insp_report *r;
	struct insp_out out;
	void *s;

	(void)state;
	insp_out_init(&out, into_str, &text);
	s = renderer->open(&out, &plain);
	r = insp_report_create(renderer->sink, s, &out);
	broken_off(r);
	assert_true(insp_report_failed(r));
	assert_int_equal(insp_report_end(r, &(struct insp_error){0}, &err), INSP_E_INTERRUPTED);
	assert_string_equal(insp_str_text(&text),
			    "{\"a\":{\"frames\":[]},\"notes\":[],\"error\":\"interrupted\"}\n");
	insp_interrupt_clear();
	insp_report_destroy(r);
	renderer->close(s);
	insp_out_deinit(&out);
	insp_str_deinit(&text);
}

static int disk_full(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	(void)bytes;
	(void)n;
	++*(int *)ctx;
	return insp_fail(err, INSP_E_IO, "no space left");
}

static void render__write_failure_sticks(void **state)
{
	const struct insp_renderer *renderer = insp_renderer_find("csv");
	struct insp_error err = {0};
	struct insp_report *r;
	struct insp_out out;
	int calls = 0;
	void *s;

	(void)state;
	insp_out_init(&out, disk_full, &calls);
	s = renderer->open(&out, &plain);
	r = insp_report_create(renderer->sink, s, &out);
	insp_table_begin(r, &frames);
	for (int i = 0; i < 200000; i++) {
		insp_cell_u64(r, UINT64_MAX);
		insp_cell_str(r, "function");
		insp_row_end(r);
	}
	insp_table_end(r);
	assert_true(insp_report_failed(r));
	assert_int_equal(insp_report_end(r, &(struct insp_error){0}, &err), INSP_E_IO);
	assert_string_equal(err.msg, "no space left");
	assert_int_equal(calls, 1);
	insp_report_destroy(r);
	renderer->close(s);
	insp_out_deinit(&out);
}

static const struct insp_column path_columns[] = {
	{"id", "id", INSP_T_ID, 0, ""},
	{"path", "path", INSP_T_STR, INSP_COL_WRAP, ""},
	{"what", "what", INSP_T_STR, INSP_COL_WRAP, ""},
};
static const struct insp_table paths = INSP_TABLE("paths", NULL, path_columns, NULL);

static void long_paths(struct insp_report *r)
{
	insp_table_begin(r, &paths);
	insp_cell_i64(r, -1);
	insp_cell_str(r, "/usr/lib/x86_64-linux-gnu/libc.so.6");
	insp_cell_str(r, "\xc3\xa9\xc3\xa9 \xe6\xbc\xa2 and a long description of it");
	insp_row_end(r);
	insp_table_end(r);
}

static void render__narrow_terminals_cut(void **state)
{
	const struct insp_render_options narrow = {.width = 40, .utf8 = true};
	const char *line;
	char *got;

	(void)state;
	got = render_as("text", &narrow, long_paths, NULL);
	assert_non_null(strstr(got, "\xe2\x80\xa6"));
	assert_non_null(strstr(got, "libc.so.6"));
	for (line = got; *line;) {
		size_t n = strcspn(line, "\n");

		assert_true(insp_utf8_columns(line, n) <= 40);
		line += n + 1;
	}
	free(got);
	got = render_as("text", &plain, long_paths, NULL);
	assert_non_null(strstr(got, "/usr/lib/x86_64-linux-gnu/libc.so.6"));
	free(got);
}

static const struct insp_column option_columns[] = {
	{"option", "option", INSP_T_STR, 0, ""},
	{"help", "meaning", INSP_T_STR, INSP_COL_WRAP | INSP_COL_FOLD, ""},
};
static const struct insp_table option_table = INSP_TABLE("options", NULL, option_columns, NULL);

static void long_help(struct insp_report *r)
{
	insp_table_begin(r, &option_table);
	insp_cell_str(r, "--min SIZE");
	insp_cell_str(r, "only chunks of at least this size, aword_that_is_longer_than_its_line so");
	insp_row_end(r);
	insp_table_end(r);
}

static void render__narrow_terminals_fold_what_is_to_be_read(void **state)
{
	const struct insp_render_options narrow = {.width = 32, .utf8 = true};
	char *got;

	(void)state;
	got = render_as("text", &narrow, long_help, NULL);
	assert_non_null(strstr(got, "--min SIZE  only chunks of at\n"
				    "            least this size,\n"
				    "            aword_that_is_longer\n"
				    "            _than_its_line so\n"));
	free(got);
	got = render_as("text", &plain, long_help, NULL);
	assert_non_null(strstr(got, "aword_that_is_longer_than_its_line so\n"));
	free(got);
}

static const struct insp_column share_columns[] = {
	{"name", "name", INSP_T_STR, 0, ""},
	{"share", "share", INSP_T_BAR, 0, ""},
};
static const struct insp_table shares = INSP_TABLE("shares", NULL, share_columns, NULL);

static void a_bar(struct insp_report *r)
{
	insp_table_begin(r, &shares);
	insp_cell_str(r, "what is longer than ten");
	insp_cell_f64(r, 1);
	insp_row_end(r);
	insp_table_end(r);
}

static void render__narrow_terminals_have_no_bars(void **state)
{
	const struct insp_render_options narrow = {.width = 44, .utf8 = true}, fits = {.width = 45, .utf8 = true};
	char *got;

	(void)state;
	got = render_as("text", &narrow, a_bar, NULL);
	assert_string_equal(got, "NAME\nwhat is longer than ten\n");
	free(got);
	got = render_as("text", &fits, a_bar, NULL);
	assert_non_null(strstr(got, "\xe2\x96\x88"));
	free(got);
}

static const struct insp_column spare_columns[] = {
	{"name", "name", INSP_T_STR, 0, ""},
	{"a", "left", INSP_T_COUNT, INSP_COL_SPARE | INSP_COL_TOTAL, ""},
	{"b", "kept", INSP_T_COUNT, INSP_COL_TOTAL, ""},
	{"c", "right", INSP_T_COUNT, INSP_COL_SPARE, ""},
};
static const struct insp_table spare_table = INSP_TABLE("spare", NULL, spare_columns, NULL);

static void spare(struct insp_report *r)
{
	insp_table_begin(r, &spare_table);
	insp_cell_str(r, "alpha");
	insp_cell_u64(r, 1);
	insp_cell_u64(r, 2);
	insp_cell_u64(r, 3);
	insp_row_end(r);
	insp_table_end(r);
}

/* Spare columns go from the right, only as many as it takes, and are named. */
static void render__narrow_terminals_leave_spare_columns_out(void **state)
{
	static const struct {
		unsigned width;
		bool wide;
		const char *text;
	} rows[] = {
		{24, false,
		 "NAME   LEFT  KEPT  RIGHT\nalpha     1     2      3\ntotal     1     2\n"},
		{23, false,
		 "NAME   LEFT  KEPT\nalpha     1     2\ntotal     1     2\n"
		 "left out for want of room: right; --wide shows all\n"},
		{16, false,
		 "NAME   KEPT\nalpha     2\ntotal     2\n"
		 "left out for want of room: left, right; --wide shows all\n"},
		{16, true,
		 "NAME   LEFT  KEPT  RIGHT\nalpha     1     2      3\ntotal     1     2\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct insp_render_options o = {.width = rows[i].width, .wide = rows[i].wide};
		char *got = render_as("text", &o, spare, NULL);

		assert_string_equal(got, rows[i].text);
		free(got);
	}
}

static void many_rows(struct insp_report *r)
{
	insp_table_begin(r, &arenas);
	for (uint64_t i = 0; i < 3000; i++)
		arena(r, i == 2500 ? "a name that came late" : "x", i, i, 1, false);
	insp_table_end(r);
}

static void render__streams_after_the_first_rows(void **state)
{
	char *got, *p;
	size_t lines = 0;

	(void)state;
	got = render_as("text", &plain, many_rows, NULL);
	for (p = got; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 3000 + 3); /* heading, header, total */
	assert_non_null(strstr(got, "a name that came late"));
	assert_non_null(strstr(got, "4.29 MiB")); /* the total is of all rows */
	free(got);
}

static void empty_table(struct insp_report *r)
{
	insp_table_begin(r, &arenas);
	insp_table_end(r);
	insp_table_begin(r, &frames);
	insp_table_end(r);
}

static void render__empty_tables(void **state)
{
	(void)state;
	expect("text", &plain, empty_table, "Arenas\nno arenas\n");
	expect("json", &plain, empty_table, "{\"arenas\":[],\"frames\":[],\"notes\":[]}\n");
	expect("csv", &plain, empty_table, "name,addr,bytes,threads,locked\n\npc,function\n");
}

static const struct insp_column number_columns[] = {
	{"delta", "delta", INSP_T_DELTA, INSP_COL_TOTAL, ""},
	{"ratio", "ratio", INSP_T_RATIO, 0, ""},
	{"factor", "factor", INSP_T_FACTOR, 0, ""},
	{"took_ns", "took", INSP_T_DURATION, 0, ""},
	{"at_ns", "at", INSP_T_TIME, 0, ""},
	{"bar", "bar", INSP_T_BAR, 0, ""},
};
static const struct insp_table numbers = INSP_TABLE("numbers", NULL, number_columns, NULL);

static void all_types(struct insp_report *r)
{
	insp_table_begin(r, &numbers);
	insp_cell_i64(r, -2048);
	insp_cell_f64(r, 0.5);
	insp_cell_f64(r, 2.44);
	insp_cell_u64(r, 4100000);
	insp_cell_u64(r, UINT64_C(1000000000000000000));
	insp_cell_f64(r, 0.25);
	insp_row_end(r);
	insp_cell_i64(r, 1024);
	for (int i = 0; i < 5; i++)
		insp_cell_unknown(r);
	insp_row_end(r);
	insp_table_end(r);
}

static void render__numbers_have_units(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	expect("text", &plain, all_types,
	       "    DELTA   RATIO  FACTOR     TOOK  AT                   BAR\n"
	       "-2.00 KiB  50.0 %    2.4x  4.10 ms  2001-09-09 01:46:40  #####\n"
	       "+1.00 KiB       -       -        -  -                    -\n"
	       "-1.00 KiB\n");
	expect("csv", &plain, all_types,
	       "delta,ratio,factor,took_ns,at_ns,bar\n"
	       "-2048,0.5,2.44,4100000,1000000000000000000,0.25\n1024,,,,,\n");
}

static void out__integers(void **state)
{
	static const uint64_t values[] = {0, 9, 10, 99, 100, 12345, 1000000007, UINT64_MAX};
	struct insp_str text = {0};
	struct insp_out out;

	(void)state;
	insp_out_init(&out, into_str, &text);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		insp_out_u64(&out, values[i]);
		insp_out_addc(&out, ' ');
	}
	insp_out_i64(&out, INT64_MIN);
	insp_out_addc(&out, ' ');
	insp_out_hex(&out, 0);
	insp_out_addc(&out, ' ');
	insp_out_hex(&out, UINT64_MAX);
	assert_int_equal(insp_out_flush(&out, NULL), 0);
	assert_string_equal(insp_str_text(&text),
			    "0 9 10 99 100 12345 1000000007 18446744073709551615 "
			    "-9223372036854775808 0x0 0xffffffffffffffff");
	insp_out_deinit(&out);
	insp_str_deinit(&text);
}

static void utf8__rejects_what_is_none(void **state)
{
	static const char *const bad[] = {"\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
					  "\xf4\x90\x80\x80", "\xff", "\xe2\x82"};
	uint32_t c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(insp_utf8_decode(bad[i], strlen(bad[i]), &c), 1);
		assert_int_equal(c, UINT32_MAX);
	}
	assert_int_equal(insp_utf8_decode("\xf0\x9f\x98\x80", 4, &c), 4);
	assert_int_equal(c, 0x1f600);
	assert_int_equal(insp_utf8_columns("a\xe6\xbc\xa2" "e\xcc\x81", 7), 4);
}

static const struct insp_column cell_columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "label"},
	{"start", "start", INSP_T_ADDR, 0, "address"},
	{"size", "size", INSP_T_BYTES, 0, "bytes"},
	{"fill", "in use", INSP_T_RATIO, 0, "share"},
};
static const struct insp_table cell_table = {
	.key = "cells",
	.columns = cell_columns,
	.ncolumns = sizeof(cell_columns) / sizeof(cell_columns[0]),
	.draw = INSP_DRAW_MAP,
};

static void map_document(struct insp_report *r)
{
	static const double fills[] = {1, 0.5, 0.01, 0, -1};

	insp_table_begin(r, &cell_table);
	for (unsigned i = 0; i < 20; i++) {
		insp_cell_str(r, i < 18 ? "main" : "<b>");
		insp_cell_u64(r, 0x555555550000 + i * 4096);
		insp_cell_u64(r, 4096);
		if (fills[i % 5] < 0)
			insp_cell_unknown(r);
		else
			insp_cell_f64(r, fills[i % 5]);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static void render__text_draws_maps(void **state)
{
	const struct insp_render_options narrow = {.width = 50}, color = {.width = 50, .color = true};
	char *got;

	(void)state;
	expect("text", &narrow, map_document,
	       "main      0x555555550000  #41_.#41_.#41_.#\n"
	       "          0x555555560000  41\n"
	       "<b>       0x555555562000  _.\n"
	       "# all in use   4 half   1 almost free   _ free, resident   . not in memory\n");
	got = render_as("text", &color, map_document, NULL);
	assert_non_null(strstr(got, "\033[38;5;34m#"));
	free(got);
}

static void render__html_escapes_and_draws(void **state)
{
	char *got;

	(void)state;
	got = render_as("html", &plain, map_document, NULL);
	assert_non_null(strstr(got, "<svg "));
	assert_non_null(strstr(got, "in use: 50.0 %"));
	assert_null(strstr(got, "<b>"));
	assert_non_null(strstr(got, "&lt;b&gt;"));
	assert_non_null(strstr(got, "</svg>"));
	free(got);
	got = render_as("html", &plain, sample, NULL);
	assert_non_null(strstr(got, "<dt>allocator</dt><dd>glibc &quot;malloc&quot;</dd>"));
	assert_non_null(strstr(got, "<td class=\"n\">1.00 MiB</td>"));
	assert_non_null(strstr(got, "<p class=\"warning\">2 pages are in swap</p>"));
	assert_non_null(strstr(got, "</body></html>\n"));
	free(got);
}

static void lines_document(struct insp_report *r)
{
	static const struct insp_column columns[] = {
		{"who", NULL, INSP_T_STR, 0, ""},
		{"at_ns", NULL, INSP_T_TIME, 0, ""},
		{"in_use", NULL, INSP_T_BYTES, 0, ""},
	};
	static const struct insp_table table = {.key = "points",
						.columns = columns,
						.ncolumns = 3,
						.draw = INSP_DRAW_LINES};

	insp_table_begin(r, &table);
	for (uint64_t i = 0; i < 9; i++) {
		insp_cell_str(r, i < 6 ? "a<b" : "c");
		insp_cell_u64(r, i * 1000000000);
		if (i == 3 || i == 5)
			insp_cell_unknown(r);
		else
			insp_cell_u64(r, i << 20);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static void render__html_draws_lines_over_time(void **state)
{
	char *got, *second;

	(void)state;
	got = render_as("html", &plain, lines_document, NULL);
	assert_non_null(strstr(got, "<h3>a&lt;b</h3>\n<svg"));
	assert_non_null(strstr(got, ">in use 4.00 MiB</text>"));
	/* Broken where nothing is known; what is left alone there is a dot. */
	assert_non_null(strstr(got, "'/>\n<circle cx="));
	assert_null(strstr(got, "nan"));
	assert_null(strstr(got, "<table>"));
	second = strstr(got, "<h3>c</h3>\n<svg");
	assert_non_null(second);
	assert_null(strstr(second, "<circle"));
	free(got);
	got = render_as("text", &plain, lines_document, NULL);
	assert_string_equal(got, "");
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(render__html_draws_lines_over_time),
		cmocka_unit_test(render__text_draws_maps),
		cmocka_unit_test(render__html_escapes_and_draws),
		cmocka_unit_test(render__text_lines_up),
		cmocka_unit_test(render__text_raw_and_wide),
		cmocka_unit_test(render__text_colours_are_asked_for),
		cmocka_unit_test(render__json_has_raw_values),
		cmocka_unit_test(render__csv_has_the_table),
		cmocka_unit_test(render__csv_without_a_table_is_key_value),
		cmocka_unit_test(render__lists_nest),
		cmocka_unit_test(render__csv_items_are_rows),
		cmocka_unit_test(render__hostile_strings_are_harmless),
		cmocka_unit_test(render__error_leaves_json_well_formed),
		cmocka_unit_test(render__interrupt_ends_in_order),
		cmocka_unit_test(render__write_failure_sticks),
		cmocka_unit_test(render__narrow_terminals_cut),
		cmocka_unit_test(render__narrow_terminals_fold_what_is_to_be_read),
		cmocka_unit_test(render__narrow_terminals_have_no_bars),
		cmocka_unit_test(render__narrow_terminals_leave_spare_columns_out),
		cmocka_unit_test(render__streams_after_the_first_rows),
		cmocka_unit_test(render__empty_tables),
		cmocka_unit_test(render__numbers_have_units),
		cmocka_unit_test(out__integers),
		cmocka_unit_test(utf8__rejects_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
