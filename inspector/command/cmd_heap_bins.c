/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap bins: malloc's lists of free chunks, one row a list that is not empty. */
#include <string.h>

#include "command/heap_common.h"

struct args {
	const char *kind, *arena;
	uint64_t thread;
};

static const struct insp_option options[] = {
	{"kind", 'k', INSP_OPT_CHOICE, "KIND", "only lists of this kind", NULL,
	 "tcache|fastbin|unsorted|smallbin|largebin", offsetof(struct args, kind)},
	{"arena", 'a', INSP_OPT_ARENA, "ARENA", "only lists of this arena", NULL, NULL,
	 offsetof(struct args, arena)},
	{"thread", 't', INSP_OPT_COUNT, "TID", "only the tcache of this thread", NULL, NULL,
	 offsetof(struct args, thread)},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"kind", "kind", INSP_T_STR, 0, "tcache, fastbin, unsorted, smallbin or largebin"},
	{"arena", "arena", INSP_T_STR, 0, "arena that the list belongs to"},
	{"tid", "thread", INSP_T_ID, 0, "tcache: its thread; null when it is not known"},
	{"index", "bin", INSP_T_ID, 0, "index in malloc's own array"},
	{"size_min", "sizes from", INSP_T_COUNT, 0, "smallest chunk size that may be in it, bytes"},
	{"size_max", "to", INSP_T_COUNT, 0, "largest, bytes"},
	{"chunks", "chunks", INSP_T_COUNT, INSP_COL_TOTAL, "chunks in the list"},
	{"bytes", "bytes", INSP_T_BYTES, INSP_COL_TOTAL, "their bytes"},
	{"head", "head", INSP_T_ADDR, INSP_COL_WIDE, "address of the list head"},
	{"broken", "", INSP_T_STR, 0, "broken: the list did not close, see heap verify"},
};

static bool wanted(const struct args *a, const struct insp_bin *bin, uint32_t arena)
{
	if (a->kind && strcmp(a->kind, insp_bin_kind_name(bin->kind)) != 0)
		return false;
	if (a->arena && bin->arena != arena)
		return false;
	return !a->thread || (bin->kind == INSP_BIN_TCACHE && bin->tid == (int)a->thread);
}

static const struct insp_table table =
	INSP_TABLE("bins", NULL, columns, "no list holds a free chunk");

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	const struct args *a = args;
	uint32_t arena = 0;
	int rc;

	if (a->arena) {
		rc = insp_arena_find(snap, a->arena, &arena, err);
		if (rc)
			return rc;
	}
	insp_table_begin(report, &table);
	for (size_t i = 0; i < snap->bins.n; i++) {
		const struct insp_bin *bin = &snap->bins.items[i];

		if (!wanted(a, bin, arena))
			continue;
		insp_cell_str(report, insp_bin_kind_name(bin->kind));
		insp_cell_str(report, bin->arena < snap->arenas.n
					      ? snap->arenas.items[bin->arena].name
					      : NULL);
		if (bin->tid)
			insp_cell_i64(report, bin->tid);
		else
			insp_cell_unknown(report);
		insp_cell_i64(report, bin->index);
		insp_cell_u64(report, bin->min_size);
		if (bin->max_size < INT64_MAX)
			insp_cell_u64(report, bin->max_size);
		else
			insp_cell_unknown(report); /* the unsorted bin takes all */
		insp_cell_u64(report, bin->count);
		insp_cell_u64(report, bin->bytes);
		insp_cell_u64(report, bin->head);
		insp_cell_str(report, bin->broken ? "broken" : "");
		insp_row_end(report);
	}
	insp_table_end(report);
	return 0;
}

static const struct insp_table *const tables[] = {&table, NULL};

const struct insp_command insp_cmd_heap_bins = {
	.name = "heap bins",
	.group = "heap",
	.summary = "lists of free chunks: tcache of each thread, fast, unsorted, small, large",
	.help = "One row a list that holds something. A tcache belongs to one thread and is never "
		"given to another; fastbins hold small chunks that were not coalesced yet; the "
		"unsorted bin holds what was freed last; small bins hold one size each, large bins "
		"a "
		"range of sizes.",
	.example = "heap bins --kind tcache",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
