/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap fragmentation: how much of the resident heap is not in use, and how it is spread over pages. */
#include "analysis/occupancy.h"
#include "command/heap_common.h"

static const struct insp_column arena_columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"fragmentation", "fragmentation", INSP_T_RATIO, 0,
	 "share of its resident bytes that is not in use"},
	{"system", "size", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_SPARE, "bytes of its heaps"},
	{"free", "free", INSP_T_BYTES, INSP_COL_TOTAL,
	 "bytes of free chunks, tcache and top included"},
	{"free_share", "free/size", INSP_T_RATIO, INSP_COL_SPARE, "free bytes divided by size"},
	{"largest_free", "largest free", INSP_T_BYTES, INSP_COL_SPARE,
	 "largest free chunk, top not counted"},
	{"resident", "resident", INSP_T_BYTES, INSP_COL_TOTAL,
	 "bytes of its heaps that are in memory"},
	{"in_use", "in use", INSP_T_BYTES, INSP_COL_TOTAL, "resident bytes of chunks in use"},
	{"resident_free", "resident free", INSP_T_BYTES, INSP_COL_TOTAL,
	 "resident bytes of free chunks"},
};

static const struct insp_column fill_columns[] = {
	{"fill", "in use", INSP_T_STR, 0, "share of the page's bytes that is in use"},
	{"pages", "pages", INSP_T_COUNT, INSP_COL_TOTAL, "resident pages of all arenas"},
	{"unused", "bytes not in use", INSP_T_BYTES, INSP_COL_TOTAL, "bytes on these pages that are not in use"},
	{"share", "pages", INSP_T_BAR, 0, "share of the resident heap pages"},
};

static void report_arenas(struct insp_report *r, const struct insp_snapshot *snap,
			  const struct insp_occupancy *o)
{
	static const struct insp_table table = INSP_TABLE("arenas", "Arenas", arena_columns, "no arenas");

	insp_table_begin(r, &table);
	for (size_t i = 0; i < snap->arenas.n; i++) {
		const struct insp_occupancy_arena *a = &o->arenas[i];

		if (!a->system)
			continue;
		insp_cell_str(r, snap->arenas.items[i].name);
		insp_cell_f64(r, insp_occupancy_fragmentation(a));
		insp_cell_u64(r, a->system);
		insp_cell_u64(r, a->free);
		insp_cell_f64(r, (double)a->free / (double)a->system);
		insp_cell_u64(r, a->largest_free);
		insp_cell_u64(r, a->resident);
		insp_cell_u64(r, a->in_use);
		insp_cell_u64(r, a->resident_free);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static void report_fill(struct insp_report *r, const struct insp_occupancy *o)
{
	static const struct insp_table table =
		INSP_TABLE("pages", "How full the resident pages are", fill_columns, NULL);
	uint64_t pages = 0;

	for (unsigned i = 0; i < INSP_FILL_CLASSES; i++)
		pages += o->total.fill[i].pages;
	if (!pages)
		return;
	insp_table_begin(r, &table);
	for (unsigned i = 0; i < INSP_FILL_CLASSES; i++) {
		insp_cell_str(r, insp_fill_title(i));
		insp_cell_u64(r, o->total.fill[i].pages);
		insp_cell_u64(r, o->total.fill[i].unused);
		insp_cell_f64(r, (double)o->total.fill[i].pages / (double)pages);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct insp_occupancy o;
	int rc = insp_occupancy_take(ctx->snapshot, ctx->pool, &o, err);

	(void)args;
	if (rc)
		return rc;
	insp_object_begin(report, "totals", NULL);
	insp_field_f64(report, "fragmentation", "fragmentation", INSP_T_RATIO,
		       insp_occupancy_fragmentation(&o.total));
	insp_field_u64(report, "resident", "resident heap", INSP_T_BYTES, o.total.resident);
	insp_field_u64(report, "unused", "not in use", INSP_T_BYTES, o.total.resident - o.total.in_use);
	insp_field_u64(report, "largest_free", "largest free chunk", INSP_T_BYTES, o.total.largest_free);
	insp_field_bool(report, "exact", NULL, o.exact);
	insp_object_end(report);
	report_arenas(report, ctx->snapshot, &o);
	report_fill(report, &o);
	if (!o.exact)
		insp_note(report, INSP_WARNING, "sizes_only",
			  "which pages are resident is not known here: all of them count");
	return 0;
}

static const struct insp_column totals_fields[] = {
	{"fragmentation", NULL, INSP_T_RATIO, 0, "of the resident heap: the part that is not in use"},
	{"resident", NULL, INSP_T_BYTES, 0, "resident bytes of all heaps"},
	{"unused", NULL, INSP_T_BYTES, 0, "of them, not in use"},
	{"largest_free", NULL, INSP_T_BYTES, 0, "largest free chunk"},
	{"exact", NULL, INSP_T_BOOL, 0, "pages were looked at one by one; false: estimated"},
};
static const struct insp_table totals_doc = INSP_TABLE("totals", NULL, totals_fields, NULL);
static const struct insp_table arenas_doc = INSP_TABLE("arenas", NULL, arena_columns, NULL);
static const struct insp_table pages_doc = INSP_TABLE("pages", NULL, fill_columns, NULL);
static const struct insp_table *const tables[] = {
	&totals_doc, &arenas_doc, &pages_doc, NULL,
};

const struct insp_command insp_cmd_heap_fragmentation = {
	.name = "heap fragmentation",
	.group = "heap",
	.summary = "how much of the resident heap is not in use, and how full its pages are",
	.help = "Fragmentation, here, is one figure: of the bytes of the arenas' pages that are in "
		"memory, the "
		"share that the program does not use (free chunks, tcaches, top, malloc's own). 0 "
		"% is a "
		"heap full of chunks in use. What was never touched or was given back does not "
		"count. "
		"mmapped chunks are left out: each is a mapping of its own. (The figure of `heap "
		"summary` is "
		"another: of all chunks, resident or not, those that are free and not top.)\n\n"
		"The histogram tells what can be done: empty pages can go back (`heap trim "
		"--dry-run`), "
		"pages that are a few percent full are pinned by small chunks among free ones "
		"(`heap "
		"pins`), full ones are in use.",
	.example = "heap fragmentation",
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_USAGE | INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
