/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap map: a picture of the heaps, holes and pins visible at a glance. */
#include <inttypes.h>

#include "analysis/heapmap.h"
#include "command/heap_common.h"

#define DEFAULT_CELLS 2400

struct args {
	const char *arena;
	uint64_t cell, cells;
};

static const struct insp_option options[] = {
	{.name = "arena", .letter = 'a', .type = INSP_OPT_ARENA, .arg = "ARENA", .offset = offsetof(struct args, arena),
	 .help = "only this one"},
	{.name = "cell", .type = INSP_OPT_SIZE, .arg = "BYTES", .offset = offsetof(struct args, cell),
	 .help = "bytes a cell stands for, rounded up to a power of two, at least a page"},
	{.name = "cells", .type = INSP_OPT_COUNT, .arg = "N", .def = "2400", .offset = offsetof(struct args, cells),
	 .help = "choose the cells so large that about N are enough"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"start", "start", INSP_T_ADDR, 0, "first address of the cell"},
	{"size", "size", INSP_T_BYTES, 0, "bytes it stands for"},
	{"fill", "in use", INSP_T_RATIO, 0, "share of its resident bytes that is in use; unknown: nothing is resident"},
	{"resident", "resident", INSP_T_BYTES, 0, "bytes in memory"},
	{"in_use", "bytes in use", INSP_T_BYTES, 0, "resident bytes of chunks in use, and malloc's own"},
	{"tcache", "tcache", INSP_T_BYTES, 0, "resident bytes of chunks in tcaches"},
	{"free", "free", INSP_T_BYTES, 0, "resident bytes in bins and top"},
	{"pinned_pages", "pages with chunks", INSP_T_COUNT, 0, "resident pages that chunks in use or cached lie on"},
};

static const struct insp_column top_fields[] = {
	{"cell", NULL, INSP_T_BYTES, 0, "bytes that a cell stands for"},
	{"exact", NULL, INSP_T_BOOL, 0, "false: all pages were taken as resident"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table table = {
	.key = "cells",
	.columns = columns,
	.ncolumns = sizeof(columns) / sizeof(columns[0]),
	.empty = "no heap to show",
	.draw = INSP_DRAW_MAP,
};
static const struct insp_table *const tables[] = {&top_doc, &table, NULL};

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_snapshot *snap = ctx->snapshot;
	uint32_t arena = UINT32_MAX;
	struct insp_heap_map map;
	int rc = 0;

	if (a->arena)
		rc = insp_arena_find(snap, a->arena, &arena, err);
	if (!rc)
		rc = insp_heap_map_make(snap, arena, a->cell, a->cells ? (size_t)a->cells : DEFAULT_CELLS,
					ctx->pool, &map, err);
	if (rc)
		return rc;
	insp_field_u64(report, "cell", "a cell stands for", INSP_T_BYTES, map.cell);
	insp_field_bool(report, "exact", NULL, map.exact);
	insp_table_begin(report, &table);
	for (size_t i = 0; i < map.n && !insp_report_failed(report); i++) {
		const struct insp_map_cell *c = &map.cells[i];

		insp_cell_str(report, snap->arenas.items[c->arena].name);
		insp_cell_u64(report, c->start);
		insp_cell_u64(report, c->size);
		if (c->resident)
			insp_cell_f64(report, (double)c->in_use / (double)c->resident);
		else
			insp_cell_unknown(report);
		insp_cell_u64(report, c->resident);
		insp_cell_u64(report, c->in_use);
		insp_cell_u64(report, c->cached);
		insp_cell_u64(report, c->free);
		insp_cell_u64(report, c->keepers);
		insp_row_end(report);
	}
	insp_table_end(report);
	if (!map.exact)
		insp_note(report, INSP_WARNING, "sizes_only",
			  "which pages are resident is not known here: all of them are drawn as if they were");
	return 0;
}

const struct insp_command insp_cmd_heap_map = {
	.name = "heap map",
	.group = "heap",
	.summary = "a picture of the heaps: how full each stretch is, holes and pins at a glance",
	.help = "Draws each arena as rows of cells, in address order. The fuller the block, the "
		"more of its "
		"resident bytes is in use; a cell that is resident and almost empty is what pins "
		"memory, a "
		"dot is not in memory at all. Colours say the same from green (in use) to red "
		"(almost "
		"empty, and still resident).\n\n"
		"With --format html it is a page with one picture, where the pointer shows the "
		"figures of a "
		"cell: meminspect heap map --format html -o map.html PID.",
	.example = "heap map --cells 400",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.tables = tables,
	.needs = INSP_NEED_USAGE | INSP_NEED_CHUNKS,
	.run = run,
};
