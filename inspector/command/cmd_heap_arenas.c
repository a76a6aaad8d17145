/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap arenas: each arena with what it got from the system and what became of it. */
#include "analysis/census.h"
#include "command/heap_common.h"

static const struct insp_column columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name; \"mmapped\" is the set of mmapped chunks"},
	{"addr", "address", INSP_T_ADDR, INSP_COL_SPARE, "of its struct malloc_state"},
	{"flags", "", INSP_T_STR, 0,
	 "locked: its mutex was held; noncontiguous; unused: no thread attached"},
	{"threads", "threads", INSP_T_COUNT, 0, "attached_threads"},
	{"heaps", "heaps", INSP_T_COUNT, INSP_COL_SPARE, "heap_info segments or pieces of brk"},
	{"system", "from system", INSP_T_BYTES, INSP_COL_TOTAL, "system_mem, bytes"},
	{"max_system", "peak", INSP_T_BYTES, INSP_COL_WIDE, "max_system_mem, bytes"},
	{"in_use_chunks", "chunks", INSP_T_COUNT, INSP_COL_TOTAL,
	 "chunks that belong to the program"},
	{"in_use", "in use", INSP_T_BYTES, INSP_COL_TOTAL, "their bytes"},
	{"tcache", "tcache", INSP_T_BYTES, INSP_COL_TOTAL,
	 "bytes of free chunks in threads' caches"},
	{"fastbin", "fastbins", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_SPARE, "bytes in fastbins"},
	{"bins", "bins", INSP_T_BYTES, INSP_COL_TOTAL, "bytes in unsorted, small and large bins"},
	{"top", "top", INSP_T_BYTES, INSP_COL_TOTAL, "bytes of top"},
	{"metadata", "own", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_WIDE, "malloc's own bytes"},
	{"unknown", "unknown", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_WIDE,
	 "bytes not understood"},
};

static void report_row(struct insp_report *r, const struct insp_arena *a,
		       const struct insp_tally *t, struct insp_pool *pool)
{
	insp_cell_str(r, a->name);
	if (a->addr)
		insp_cell_u64(r, a->addr);
	else
		insp_cell_unknown(r);
	insp_cell_str(r, insp_pool_printf(pool, "%s%s%s",
					  a->flags & INSP_ARENA_LOCKED ? "locked " : "",
					  a->flags & INSP_ARENA_NONCONTIGUOUS ? "noncontiguous " : "",
					  a->flags & INSP_ARENA_FREE_LIST ? "unused" : ""));
	if (a->flags & INSP_ARENA_MMAPPED)
		insp_cell_unknown(r);
	else
		insp_cell_u64(r, a->attached_threads);
	insp_cell_u64(r, a->nheaps);
	insp_cell_u64(r, a->system_bytes);
	insp_cell_u64(r, a->max_system_bytes);
	insp_cell_u64(r, insp_tally_live(t).count);
	insp_cell_u64(r, insp_tally_live(t).bytes);
	insp_cell_u64(r, t[INSP_CHUNK_TCACHE].bytes);
	insp_cell_u64(r, t[INSP_CHUNK_FASTBIN].bytes);
	insp_cell_u64(r, t[INSP_CHUNK_UNSORTED].bytes + t[INSP_CHUNK_SMALLBIN].bytes +
				 t[INSP_CHUNK_LARGEBIN].bytes + t[INSP_CHUNK_UNLINKED].bytes);
	insp_cell_u64(r, t[INSP_CHUNK_TOP].bytes);
	insp_cell_u64(r, t[INSP_CHUNK_METADATA].bytes);
	insp_cell_u64(r, t[INSP_CHUNK_UNKNOWN].bytes);
	insp_row_end(r);
}

static const struct insp_table table =
	INSP_TABLE("arenas", NULL, columns, "no arenas: no allocator that is walked");

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	struct insp_census census;
	int rc = insp_census_take(snap, ctx->pool, &census, err);

	(void)args;
	if (rc)
		return rc;
	insp_table_begin(report, &table);
	for (size_t i = 0; i < snap->arenas.n; i++)
		report_row(report, &snap->arenas.items[i], census.arenas[i], ctx->pool);
	insp_table_end(report);
	return 0;
}

static const struct insp_table *const tables[] = {&table, NULL};

const struct insp_command insp_cmd_heap_arenas = {
	.name = "heap arenas",
	.group = "heap",
	.summary = "each arena: bytes from the system, in use, cached, free, top",
	.help = "One row an arena. From system is malloc's own figure (system_mem): the walk "
		"accounts "
		"for every byte of it, or a finding says where not. Bytes in use, tcache, "
		"fastbins, "
		"bins, top, malloc's own and unknown add up to it.\n\n"
		"More arenas than busy threads need cost memory: MALLOC_ARENA_MAX limits them.",
	.example = "heap arenas --wide",
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
