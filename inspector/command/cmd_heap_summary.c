/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap summary: the one screen that an incident starts with. */
#include <stdlib.h>

#include "analysis/census.h"
#include "base/fmt.h"
#include "command/heap_common.h"

#define SHOWN_ARENAS   5
#define SHOWN_SIZES    6
#define SHOWN_FINDINGS 5

static const struct insp_column state_columns[] = {
	{"state", "", INSP_T_STR, 0, "state of the chunks; whatis and heap chunks use the same names"},
	{"chunks", "chunks", INSP_T_COUNT, 0, "number of chunks"},
	{"bytes", "bytes", INSP_T_BYTES, 0, "bytes of the chunks, heads included"},
	{"share", "share", INSP_T_RATIO, 0, "of all bytes of all heaps"},
};

static const struct insp_column arena_columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"threads", "threads", INSP_T_COUNT, 0, "threads attached to it"},
	{"system", "from system", INSP_T_BYTES, 0, "bytes it has got from the system"},
	{"in_use", "in use", INSP_T_BYTES, 0, "bytes of chunks that belong to the program"},
	{"free", "free", INSP_T_BYTES, 0, "bytes of free chunks, top not counted"},
	{"top", "top", INSP_T_BYTES, 0, "unused end"},
};

static const struct insp_column size_columns[] = {
	{"size_min", "size from", INSP_T_BYTES, 0, "smallest chunk size of the class, bytes"},
	{"size_max", "to", INSP_T_BYTES, 0, "largest chunk size of the class, bytes"},
	{"chunks", "in use", INSP_T_COUNT, 0, "chunks that belong to the program"},
	{"bytes", "bytes", INSP_T_BYTES, 0, "their bytes"},
	{"share", "share", INSP_T_RATIO, 0, "of all bytes in use"},
};

static void report_totals(struct insp_report *r, const struct insp_snapshot *snap,
			  const struct insp_census *census)
{
	struct insp_tally live = insp_tally_live(census->total);
	struct insp_tally nfree = insp_tally_free(census->total);
	struct insp_tally all = insp_tally_all(census->total);
	uint64_t top = census->total[INSP_CHUNK_TOP].bytes;
	uint64_t scattered = nfree.bytes - top; /* free, and not at the end of an arena */

	bool any = all.count != 0; /* zeros of a heap that was not walked are no figures */

	insp_object_begin(r, "totals", NULL);
	insp_field_u64(r, "heap_bytes", any ? "heaps" : NULL, INSP_T_BYTES, all.bytes);
	insp_field_u64(r, "in_use_bytes", any ? "in use" : NULL, INSP_T_BYTES, live.bytes);
	insp_field_u64(r, "in_use_chunks", any ? "chunks in use" : NULL, INSP_T_COUNT, live.count);
	insp_field_u64(r, "free_bytes", any ? "free" : NULL, INSP_T_BYTES, nfree.bytes);
	insp_field_u64(r, "free_chunks", NULL, INSP_T_COUNT, nfree.count);
	insp_field_u64(r, "top_bytes", NULL, INSP_T_BYTES, top);
	insp_field_u64(r, "largest_free_bytes", NULL, INSP_T_BYTES, census->largest_free);
	insp_field_u64(r, "arenas", NULL, INSP_T_COUNT, snap->arenas.n);
	if (all.bytes)
		insp_field_f64(r, "fragmentation", "fragmentation", INSP_T_RATIO,
			       (double)scattered / (double)all.bytes);
	else
		insp_field_unknown(r, "fragmentation", NULL);
	insp_report_elsewhere(r, snap);
	insp_object_end(r);
}

static const struct insp_table states_table =
	INSP_TABLE("states", "Where the bytes of the heaps are", state_columns, NULL);

static void report_states(struct insp_report *r, const struct insp_census *census)
{
	uint64_t all = insp_tally_all(census->total).bytes;

	insp_table_begin(r, &states_table);
	for (unsigned s = 0; s < INSP_N_CHUNK_STATES; s++) {
		const struct insp_tally *t = &census->total[s];

		if (!t->count)
			continue;
		insp_cell_str(r, insp_chunk_state_title((enum insp_chunk_state)s));
		insp_cell_u64(r, t->count);
		insp_cell_u64(r, t->bytes);
		insp_cell_f64(r, (double)t->bytes / (double)all);
		insp_row_end(r);
	}
	insp_table_end(r);
}

struct ranked {
	uint64_t key;
	uint32_t index;
};

static int by_key_descending(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->key > y->key ? -1 : x->key < y->key ? 1 : (x->index > y->index) - (x->index < y->index);
}

static const struct insp_table arenas_table =
	INSP_TABLE("arenas", "Largest arenas", arena_columns, NULL);

static void report_arenas(struct insp_report *r, const struct insp_snapshot *snap,
			  const struct insp_census *census, struct insp_pool *pool)
{
	struct ranked *rank = insp_pool_array(pool, snap->arenas.n + 1, sizeof(*rank));
	size_t n = snap->arenas.n, shown = 0;

	if (!rank || !n)
		return;
	for (size_t i = 0; i < n; i++)
		rank[i] = (struct ranked){insp_tally_all(census->arenas[i]).bytes, (uint32_t)i};
	qsort(rank, n, sizeof(*rank), by_key_descending);
	insp_table_begin(r, &arenas_table);
	for (; shown < n && shown < SHOWN_ARENAS; shown++) {
		const struct insp_arena *a = &snap->arenas.items[rank[shown].index];
		const struct insp_tally *states = census->arenas[rank[shown].index];
		uint64_t top = states[INSP_CHUNK_TOP].bytes;

		insp_cell_str(r, a->name);
		if (a->flags & INSP_ARENA_MMAPPED)
			insp_cell_unknown(r);
		else
			insp_cell_u64(r, a->attached_threads);
		insp_cell_u64(r, a->system_bytes);
		insp_cell_u64(r, insp_tally_live(states).bytes);
		insp_cell_u64(r, insp_tally_free(states).bytes - top);
		insp_cell_u64(r, top);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (shown < n)
		insp_table_cut(r, shown, n, "heap arenas lists them");
}

static const struct insp_table sizes_table =
	INSP_TABLE("sizes", "Sizes that hold most", size_columns, NULL);

static void report_sizes(struct insp_report *r, const struct insp_census *census,
			 struct insp_pool *pool)
{
	struct ranked *rank = insp_pool_array(pool, INSP_SIZE_CLASSES, sizeof(*rank));
	uint64_t live = insp_tally_live(census->total).bytes;

	if (!rank || !live)
		return;
	for (uint32_t i = 0; i < INSP_SIZE_CLASSES; i++)
		rank[i] = (struct ranked){census->sizes[i].live.bytes, i};
	qsort(rank, INSP_SIZE_CLASSES, sizeof(*rank), by_key_descending);
	insp_table_begin(r, &sizes_table);
	for (size_t i = 0; i < SHOWN_SIZES && rank[i].key; i++) {
		const struct insp_size_row *row = &census->sizes[rank[i].index];

		insp_cell_u64(r, insp_size_class_min(rank[i].index));
		insp_cell_u64(r, insp_size_class_min(rank[i].index + 1) - 1);
		insp_cell_u64(r, row->live.count);
		insp_cell_u64(r, row->live.bytes);
		insp_cell_f64(r, (double)row->live.bytes / (double)live);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	struct insp_census census;
	int rc = insp_census_take(snap, ctx->pool, &census, err);

	(void)args;
	if (rc)
		return rc;
	insp_report_allocators(report, snap, ctx->pool);
	report_totals(report, snap, &census);
	report_states(report, &census);
	report_arenas(report, snap, &census, ctx->pool);
	report_sizes(report, &census, ctx->pool);
	insp_report_findings(report, snap, SHOWN_FINDINGS, NULL);
	return 0;
}

static const struct insp_column totals_fields[] = {
	{"heap_bytes", NULL, INSP_T_BYTES, 0, "all heaps of all arenas, mmapped chunks included"},
	{"in_use_bytes", NULL, INSP_T_BYTES, 0, "in chunks that belong to the program"},
	{"in_use_chunks", NULL, INSP_T_COUNT, 0, "chunks that belong to the program"},
	{"free_bytes", NULL, INSP_T_BYTES, 0, "in free chunks and tops"},
	{"free_chunks", NULL, INSP_T_COUNT, 0, "free chunks, tops included"},
	{"top_bytes", NULL, INSP_T_BYTES, 0, "of the free bytes: the unused ends of arenas"},
	{"largest_free_bytes", NULL, INSP_T_BYTES, 0, "largest free chunk that is not a top"},
	{"arenas", NULL, INSP_T_COUNT, 0, "arenas"},
	{"fragmentation", NULL, INSP_T_RATIO, 0, "share of the heaps that is free and not at the end of an arena"},
};
static const struct insp_table totals_doc = INSP_TABLE("totals", NULL, totals_fields, NULL);
static const struct insp_table *const tables[] = {
	&insp_allocators_doc, &totals_doc, &insp_findings_doc, &states_table, &arenas_table,
	&sizes_table, NULL,
};

const struct insp_command insp_cmd_heap_summary = {
	.name = "heap summary",
	.group = "heap",
	.summary = "allocator, arenas, bytes in use and free, sizes, findings: one screen",
	.help = "Shows which allocators were recognised and how surely, then every byte of their "
		"heaps by the state of its chunk.\n\n"
		"In use is what the program asked for and has not freed. tcache, fastbin and the "
		"bins "
		"hold free chunks that malloc keeps for reuse; top is the unused end of an arena. "
		"Sizes "
		"are those of chunks: the program's bytes, 8 bytes of head, rounded up to 16.\n\n"
		"Fragmentation is the share of the heaps that is free but not at the end of an "
		"arena "
		"(top): free chunks between used ones, which malloc can reuse but hardly give "
		"back. "
		"It counts all chunks, resident or not; `heap fragmentation` looks at the pages in "
		"memory.",
	.example = "heap summary",
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
