/* SPDX-License-Identifier: GPL-3.0-or-later */
/* path: why a chunk is still there: the shortest chains of pointers to it. */
#include <inttypes.h>

#include "analysis/paths.h"
#include "command/held.h"

struct args {
	uint64_t addr, limit, steps;
	bool all;
};

static const struct insp_option options[] = {
	{.name = "ADDR", .type = INSP_OPT_ADDR, .offset = offsetof(struct args, addr), .required = true,
	 .help = "an address in a chunk in use, hexadecimal"},
	{.name = "all", .letter = 'a', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, all),
	 .help = "a path from each root that leads there, not only the shortest one"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "10",
	 .offset = offsetof(struct args, limit), .help = "with --all, at most N paths; 0: all"},
	{.name = "steps", .type = INSP_OPT_COUNT, .arg = "N", .def = "40", .offset = offsetof(struct args, steps),
	 .help = "of a longer path, show the first and last N/2 steps; 0: all"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"step", "", INSP_T_ID, 0, "0 is the root"},
	{"what", "what", INSP_T_STR, 0, "name of the root, or type of the chunk"},
	{"chunk", "chunk", INSP_T_ADDR, 0, "memory of the chunk; null for the root"},
	{"size", "size", INSP_T_COUNT, 0, "of the chunk, head included"},
	{"offset", "pointer at", INSP_T_COUNT, 0, "offset in it of the pointer to the next step"},
	{"member", "member", INSP_T_STR, 0, "what that place is called, by debug info"},
	{"interior", NULL, INSP_T_BOOL, 0, "that pointer leads into the middle of the next chunk"},
	{"to", "to", INSP_T_STR, 0, "where in the next chunk it points"},
};
static const struct insp_table table = INSP_TABLE("steps", NULL, columns, NULL);
static const struct insp_table *const tables[] = {&table, NULL};

static void report_root(const struct insp_context *ctx, struct insp_report *r,
			const struct insp_root *root)
{
	bool interior = (root->edge & INSP_EDGE_INTERIOR) != 0;

	insp_cell_i64(r, 0);
	insp_cell_str(r, insp_name_root(ctx, root));
	insp_cell_unknown(r);
	insp_cell_unknown(r);
	insp_cell_unknown(r);
	insp_cell_unknown(r);
	insp_cell_bool(r, interior);
	insp_cell_str(r, interior ? "middle" : "start");
	insp_row_end(r);
}

static void report_step(const struct insp_context *ctx, struct insp_report *r,
			const struct insp_graph *graph, struct insp_typing *typing,
			const struct insp_path *path, size_t i)
{
	struct insp_edge edge;
	struct insp_chunk c;

	insp_chunks_get(ctx->snapshot->chunks, path->chunks[i], &c);
	insp_cell_i64(r, (int64_t)i + 1);
	insp_cell_str(r, insp_typing_name(typing, insp_typing_of(typing, &c)));
	insp_cell_u64(r, c.mem);
	insp_cell_u64(r, c.size);
	if (i + 1 < path->n && insp_edge_between(graph, path->chunks[i], path->chunks[i + 1], &edge)) {
		insp_cell_u64(r, edge.offset);
		insp_cell_str(r, insp_typing_member(typing, &c, edge.offset));
		insp_cell_bool(r, edge.interior);
		insp_cell_str(r, edge.interior ? "middle" : "start");
	} else {
		insp_cell_unknown(r);
		insp_cell_unknown(r);
		insp_cell_unknown(r);
		insp_cell_unknown(r);
	}
	insp_row_end(r);
}

static void report_path(const struct insp_context *ctx, struct insp_report *r,
			const struct insp_graph *graph, struct insp_typing *typing,
			const struct insp_path *path, uint64_t steps)
{
	size_t half = steps ? steps / 2 : path->n;
	const char *unsure = insp_held_doubt(path->root, path->by_start);

	insp_object_begin(r, NULL, NULL);
	insp_field_str(r, "root_kind", NULL, insp_root_kind_key(path->root->kind));
	insp_field_str(r, "root", "held by", insp_name_root(ctx, path->root));
	insp_field_u64(r, "length", "chunks on the way", INSP_T_COUNT, path->n);
	insp_field_bool(r, "by_start", NULL, path->by_start);
	insp_field_str(r, "caveat", unsure ? "but it" : NULL, unsure);
	insp_table_begin(r, &table);
	report_root(ctx, r, path->root);
	for (size_t i = 0; i < path->n && !insp_report_failed(r); i++)
		if (i < half || i + half >= path->n)
			report_step(ctx, r, graph, typing, path, i);
	insp_table_end(r);
	if (path->n > 2 * half)
		insp_table_cut(r, 2 * half + 1, path->n + 1, "--steps 0 shows all");
	insp_object_end(r);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	size_t max = !a->all ? 1 : a->limit ? a->limit : SIZE_MAX;
	struct insp_typing *typing;
	struct insp_graph *graph;
	struct insp_paths paths;
	struct insp_chunk c;
	int rc;

	rc = insp_held_chunk_at(ctx, a->addr, &c, err);
	rc = rc ? rc : insp_held_create(ctx, &graph, NULL, NULL, err);
	rc = rc ? rc : insp_typing_create(ctx, false, &typing, err);
	rc = rc ? rc : insp_paths_to(graph, c.id, max, ctx->pool, &paths, err);
	if (rc)
		return rc;
	insp_held_report_chunk(ctx, report, typing, &c);
	insp_field_u64(report, "roots", "roots that lead to it", INSP_T_COUNT, paths.nroots);
	insp_list_begin(report, "paths", NULL);
	for (size_t i = 0; i < paths.n && !insp_report_failed(report); i++)
		report_path(ctx, report, graph, typing, &paths.items[i], a->steps);
	insp_list_end(report);
	if (!paths.n)
		insp_note(report, INSP_NOTE, "lost",
			  "no chain of pointers leads here from any root: it is lost (see `leaks`), or "
			  "held by means that cannot be seen");
	else if (paths.n < paths.nroots)
		insp_note(report, INSP_NOTE, "more_paths", "%zu of %zu paths; --all shows more", paths.n,
			  paths.nroots);
	insp_held_caveats(ctx, report);
	return 0;
}

const struct insp_command insp_cmd_path = {
	.name = "path",
	.group = "memory",
	.summary = "why a chunk is still there: the shortest path of pointers to it",
	.help = "From a root (a global variable, a thread's stack, register or thread-local storage) "
		"chunk by chunk, with the offset of each pointer. Paths of pointers to starts of chunks "
		"come before those with a pointer into the middle of one, and shorter ones first.\n\n"
		"Frames of stacks and names of variables need symbols; without them addresses are "
		"shown.",
	.example = "path 0x55d0c3a012a0 --all",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.tables = tables,
	.needs = INSP_HELD_NEEDS,
	.run = run,
};
