/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap sizes: a histogram of chunk sizes, used and free side by side. */
#include "analysis/census.h"
#include "command/heap_common.h"

static const struct insp_column columns[] = {
	{"size_min", "size from", INSP_T_COUNT, 0, "smallest chunk size of the class, bytes"},
	{"size_max", "to", INSP_T_COUNT, 0, "largest chunk size of the class, bytes"},
	{"in_use_chunks", "in use", INSP_T_COUNT, INSP_COL_TOTAL, "chunks that belong to the program"},
	{"in_use", "bytes", INSP_T_BYTES, INSP_COL_TOTAL, "their bytes"},
	{"free_chunks", "free", INSP_T_COUNT, INSP_COL_TOTAL, "free chunks, top not counted"},
	{"free", "bytes free", INSP_T_BYTES, INSP_COL_TOTAL, "their bytes"},
	{"share", "share of bytes in use", INSP_T_BAR, 0, "of all bytes in use"},
};

static const struct insp_table table = INSP_TABLE("sizes", NULL, columns, "no chunks");

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct insp_census census;
	uint64_t live;
	int rc = insp_census_take(ctx->snapshot, ctx->pool, &census, err);

	(void)args;
	if (rc)
		return rc;
	live = insp_tally_live(census.total).bytes;
	insp_table_begin(report, &table);
	for (unsigned c = 0; c < INSP_SIZE_CLASSES; c++) {
		const struct insp_size_row *row = &census.sizes[c];

		if (!row->live.count && !row->free.count)
			continue;
		insp_cell_u64(report, insp_size_class_min(c));
		insp_cell_u64(report, insp_size_class_min(c + 1) - 1);
		insp_cell_u64(report, row->live.count);
		insp_cell_u64(report, row->live.bytes);
		insp_cell_u64(report, row->free.count);
		insp_cell_u64(report, row->free.bytes);
		insp_cell_f64(report, live ? (double)row->live.bytes / (double)live : 0);
		insp_row_end(report);
	}
	insp_table_end(report);
	return 0;
}

static const struct insp_table *const tables[] = {&table, NULL};

const struct insp_command insp_cmd_heap_sizes = {
	.name = "heap sizes",
	.group = "heap",
	.summary = "histogram of chunk sizes, used and free",
	.help = "Sizes are those of chunks, heads included. Up to 1 KiB each class is one size "
		"(steps of 16 bytes), above there are four classes per doubling. A size with many "
		"free chunks and few in use is what an earlier peak left behind.",
	.example = "heap sizes",
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
