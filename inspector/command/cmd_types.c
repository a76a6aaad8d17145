/* SPDX-License-Identifier: GPL-3.0-or-later */
/* types: what the memory in use consists of, as far as its bytes and debug info tell. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "command/filter.h"
#include "command/held.h"

struct args {
	const char *sort, *where;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{.name = "sort", .type = INSP_OPT_CHOICE, .arg = "KEY", .choices = "bytes|count|name", .def = "bytes",
	 .offset = offsetof(struct args, sort), .help = "order of the rows"},
	{.name = "where", .type = INSP_OPT_FILTER, .arg = "FILTER", .offset = offsetof(struct args, where),
	 .help = "only chunks that a filter accepts, like 'size >= 1K and type ~ Session'"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "30",
	 .offset = offsetof(struct args, limit), .help = "at most N rows; 0: all"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"type", "type", INSP_T_STR, INSP_COL_WRAP, "class, text, or size"},
	{"source", "known by", INSP_T_STR, INSP_COL_SPARE, "vtable, debug_info, text or size"},
	{"count", "chunks", INSP_T_COUNT, INSP_COL_TOTAL, "chunks in use of this type"},
	{"bytes", "bytes", INSP_T_BYTES, INSP_COL_TOTAL, "their sizes, heads included"},
	{"share", "share", INSP_T_RATIO, 0, "of the bytes of all rows"},
	{"exact", NULL, INSP_T_COUNT, 0,
	 "by debug info: chunks that the type or an array of it fits exactly"},
	{"disputed", NULL, INSP_T_COUNT, 0,
	 "by debug info: chunks that another pointer calls something else"},
	{"also", NULL, INSP_T_STR, 0, "what one of these is called as well; null: none"},
	{"example", "example", INSP_T_ADDR, 0, "memory of one of them"},
	{"preview", "begins with", INSP_T_STR, INSP_COL_WRAP,
	 "first bytes of the example: text or hexadecimal"},
};
static const struct insp_table table = INSP_TABLE("types", NULL, columns, "no chunk in use matches");

static const struct insp_column coverage_columns[] = {
	{"source", "known by", INSP_T_STR, 0, "vtable, debug_info, text or size"},
	{"count", "chunks", INSP_T_COUNT, 0, "chunks in use"},
	{"bytes", "bytes", INSP_T_BYTES, 0, "their sizes"},
	{"share", "share", INSP_T_RATIO, 0, "of the bytes"},
};
static const struct insp_table coverage_table = INSP_TABLE("coverage", "Coverage", coverage_columns, NULL);
static const struct insp_table *const tables[] = {&table, &coverage_table, NULL};

struct row {
	uint32_t type, example;
	uint64_t count, bytes;
	uint64_t exact, disputed;
	const char *also;
};

struct rows {
	struct insp_typing *typing;
	struct row *items; /* [n] by type */
	uint32_t n;
	uint64_t bytes;
};

static void sum_up_debug(struct insp_typing *typing, const struct insp_chunk *c, struct row *row)
{
	const char *other = NULL;
	enum insp_fit fit;

	if (!insp_typing_debug(typing, c, &fit, &other))
		return;
	row->exact += fit == INSP_FIT_EXACT || fit == INSP_FIT_ARRAY;
	row->disputed += other != NULL;
	row->also = row->also ? row->also : other;
}

static int sum_up(const struct insp_context *ctx, struct insp_filter *filter, struct rows *rows,
		  struct insp_error *err)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t seen = 0;

	rows->n = insp_typing_count(rows->typing);
	rows->items = insp_pool_array(ctx->pool, (size_t)rows->n + 1, sizeof(*rows->items));
	if (!rows->items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	insp_chunks_each(ctx->snapshot->chunks, it, c) {
		uint32_t type;

		if ((++seen & 0xffff) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (!insp_chunk_state_live(c.state) || (filter && !insp_filter_accepts(filter, &c)))
			continue;
		type = insp_typing_of(rows->typing, &c);
		if (type >= rows->n)
			continue;
		if (!rows->items[type].count++)
			rows->items[type].example = c.id;
		rows->items[type].type = type;
		rows->items[type].bytes += c.size;
		if (insp_typing_source(rows->typing, type) == INSP_TYPE_DEBUG)
			sum_up_debug(rows->typing, &c, &rows->items[type]);
		rows->bytes += c.size;
	}
	return 0;
}

static int by_bytes(const void *a, const void *b, void *unused)
{
	const struct row *x = a, *y = b;

	(void)unused;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->type < y->type ? -1 : x->type > y->type;
}

static int by_count(const void *a, const void *b, void *unused)
{
	const struct row *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count ? 1 : -1) : by_bytes(a, b, unused);
}

static int by_name(const void *a, const void *b, void *typing)
{
	return strcmp(insp_typing_name(typing, ((const struct row *)a)->type),
		      insp_typing_name(typing, ((const struct row *)b)->type));
}

static void report_coverage(struct insp_report *r, const struct rows *rows)
{
	insp_table_begin(r, &coverage_table);
	for (unsigned s = 0; s < INSP_N_TYPE_SOURCES; s++) {
		uint64_t count = 0, bytes = 0;

		for (uint32_t i = 0; i < rows->n; i++)
			if (rows->items[i].count &&
			    insp_typing_source(rows->typing, rows->items[i].type) == s) {
				count += rows->items[i].count;
				bytes += rows->items[i].bytes;
			}
		insp_cell_str(r, insp_type_source_key((enum insp_type_source)s));
		insp_cell_u64(r, count);
		insp_cell_u64(r, bytes);
		insp_cell_f64(r, rows->bytes ? (double)bytes / (double)rows->bytes : 0);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static void report_rows(const struct insp_context *ctx, struct insp_report *r, struct rows *rows,
			uint64_t limit)
{
	uint64_t shown = 0, total = 0;

	insp_table_begin(r, &table);
	for (uint32_t i = 0; i < rows->n && !insp_report_failed(r); i++) {
		const struct row *row = &rows->items[i];
		struct insp_chunk c;

		if (!row->count)
			continue;
		total++;
		if (limit && shown >= limit)
			continue;
		shown++;
		insp_chunks_get(ctx->snapshot->chunks, row->example, &c);
		insp_cell_str(r, insp_typing_name(rows->typing, row->type));
		insp_cell_str(r, insp_type_source_key(insp_typing_source(rows->typing, row->type)));
		insp_cell_u64(r, row->count);
		insp_cell_u64(r, row->bytes);
		insp_cell_f64(r, rows->bytes ? (double)row->bytes / (double)rows->bytes : 0);
		if (insp_typing_source(rows->typing, row->type) == INSP_TYPE_DEBUG) {
			insp_cell_u64(r, row->exact);
			insp_cell_u64(r, row->disputed);
		} else {
			insp_cell_unknown(r);
			insp_cell_unknown(r);
		}
		insp_cell_str(r, row->also);
		insp_cell_u64(r, c.mem);
		insp_cell_str(r, insp_typing_preview(rows->typing, &c));
		insp_row_end(r);
	}
	insp_table_end(r);
	if (shown < total)
		insp_table_cut(r, shown, total, "--limit 0 shows all");
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_filter *filter = NULL;
	struct rows rows = {0};
	int rc;

	rc = insp_typing_create(ctx, true, &rows.typing, err);
	if (!rc && a->where)
		rc = insp_filter_create(ctx, a->where, rows.typing, NULL, &filter, err);
	rc = rc ? rc : sum_up(ctx, filter, &rows, err);
	if (rc)
		return rc;
	if (rows.n) /* no array of none */
		qsort_r(rows.items, rows.n, sizeof(*rows.items),
			!strcmp(a->sort, "bytes") ? by_bytes : !strcmp(a->sort, "count") ? by_count : by_name,
			rows.typing);
	report_coverage(report, &rows);
	report_rows(ctx, report, &rows, a->limit);
	if (!insp_typing_have_bytes(rows.typing))
		insp_note(report, INSP_WARNING, "no_bytes",
			  "the bytes of the chunks are not at hand: what is text, and classes by their "
			  "vtables, are not known; save --types or --contents keeps them");
	if (!insp_typing_have_debug_info(rows.typing))
		insp_note(report, INSP_NOTE, "no_debug_info",
			  "no module has debug info (the package with its symbols, or -g): types "
			  "of C are "
			  "not known");
	return 0;
}

const struct insp_command insp_cmd_types = {
	.name = "types",
	.group = "memory",
	.summary = "what the memory in use consists of: structs and classes, text, sizes",
	.help = "Without any help from the program. An object of a C++ class with virtual "
		"functions begins "
		"with a pointer to its vtable, which has a name in the symbol table. Where modules "
		"have debug "
		"info, global and static variables, thread-local ones, and locals on stacks and in "
		"registers "
		"have types; what they point at has one, too, and so on along the pointers, the "
		"shortest way "
		"first, where the size fits: `struct entry`; `struct entry[]` is several in a row, "
		"`with struct "
		"entry` has one in its middle. void * says nothing. What begins with printable "
		"characters is "
		"text; of the others the size is known.\n\n"
		"Of what is called a struct, `exact` chunks have just its size; others are larger, "
		"and may be "
		"something that begins with it. `disputed` chunks are called something else by a "
		"pointer that "
		"is further away: whatis names both.\n\n"
		"On a running process the first bytes are read after the pause: a chunk that was "
		"freed in "
		"between may be called what is there now. Types by debug info are of the instant.",
	.example = "types --where 'size >= 64' --limit 10",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.tables = tables,
	.needs = INSP_TYPING_NEEDS | INSP_NEED_SITES,
	.run = run,
};
