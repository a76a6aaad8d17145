/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dominators: which chunks hold the memory: the tree of who goes with whom. */
#include <inttypes.h>

#include "command/heap_common.h"
#include "command/held_profile.h"

#define DEPTH_MAX 100

struct args {
	uint64_t addr, depth, limit;
	double min;
};

static const struct insp_option options[] = {
	{.name = "ADDR", .type = INSP_OPT_ADDR, .offset = offsetof(struct args, addr),
	 .help = "only what hangs on the chunk that holds this address"},
	{.name = "depth", .letter = 'd', .type = INSP_OPT_COUNT, .arg = "N", .def = "3",
	 .offset = offsetof(struct args, depth), .help = "levels of the tree; at most 100"},
	{.name = "min", .type = INSP_OPT_PERCENT, .arg = "PERCENT", .def = "1",
	 .offset = offsetof(struct args, min), .help = "leave out what holds less than this share of all memory in use"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "10",
	 .offset = offsetof(struct args, limit), .help = "at most N children of a chunk; 0: all"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"depth", NULL, INSP_T_ID, 0, "level in the tree, 0 is the top"},
	{"retained", "holds", INSP_T_BYTES, 0,
	 "retained size: what would be free without it, itself included"},
	{"share", "share", INSP_T_RATIO, 0, "of all memory in use"},
	{"what", "chunk", INSP_T_STR, INSP_COL_TREE | INSP_COL_WRAP, "type of the chunk"},
	{"chunk", "at", INSP_T_ADDR, 0, "its memory"},
	{"size", "own size", INSP_T_BYTES, INSP_COL_SPARE, "of the chunk alone"},
	{"children", "directly holds", INSP_T_COUNT, INSP_COL_SPARE,
	 "chunks that it is the nearest holder of"},
	{"lost", NULL, INSP_T_BOOL, 0, "nothing reaches it: see leaks"},
	{"held_by", "held by", INSP_T_STR, INSP_COL_WRAP,
	 "a root that points at it, on the top level"},
};
static const struct insp_table table =
	INSP_TABLE("tree", NULL, columns, "no chunk holds that much: see --min");
static const struct insp_table *const tables[] = {&table, NULL};

struct work {
	const struct insp_context *ctx;
	const struct args *args;
	struct insp_report *report;
	const struct insp_graph *graph;
	const struct insp_leaks *leaks;
	const struct insp_dominators *d;
	const struct insp_dominator_tree *tree;
	struct insp_typing *typing;
	uint64_t least, cut;
};

/* The surest root that points at it; more than one chunk may lie in between only if there are several. */
static const char *holder(const struct work *w, uint32_t id)
{
	if (w->leaks->reach[id] >= INSP_REACH_INDIRECT)
		return "nobody: it is lost";
	for (size_t i = 0; i < w->graph->nroots; i++)
		if (INSP_EDGE_TARGET(w->graph->roots[i].edge) == id)
			return insp_name_root(w->ctx, &w->graph->roots[i]);
	return "several chunks that share it: see path --all";
}

static void report_node(const struct work *w, uint32_t number, unsigned depth)
{
	struct insp_report *r = w->report;
	uint32_t id = w->d->chunk_of[number];
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, id, &c);
	insp_cell_i64(r, depth);
	insp_cell_u64(r, w->d->retained[number]);
	insp_cell_f64(r, w->d->retained[0] ? (double)w->d->retained[number] / (double)w->d->retained[0] : 0);
	insp_cell_str(r, insp_typing_name(w->typing, insp_typing_of(w->typing, &c)));
	insp_cell_u64(r, c.mem);
	insp_cell_u64(r, c.size);
	insp_cell_u64(r, w->tree->first[number + 1] - w->tree->first[number]);
	insp_cell_bool(r, w->leaks->reach[id] >= INSP_REACH_INDIRECT);
	if (w->d->idom[number])
		insp_cell_str(r, "");
	else
		insp_cell_str(r, holder(w, id));
	insp_row_depth(r, depth);
	insp_row_end(r);
}

/* Children come largest first: the first that is too small ends it. */
static void report_children(struct work *w, uint32_t top)
{
	struct {
		uint32_t at, end, shown;
	} stack[DEPTH_MAX + 1];
	unsigned depth = 0, deepest = w->args->depth < DEPTH_MAX ? (unsigned)w->args->depth : DEPTH_MAX;

	if (!deepest)
		return;
	stack[0].at = w->tree->first[top];
	stack[0].end = w->tree->first[top + 1];
	stack[0].shown = 0;
	for (;;) {
		bool full = w->args->limit && stack[depth].shown >= w->args->limit;

		if (insp_report_failed(w->report))
			return;
		if (stack[depth].at < stack[depth].end && !full) {
			uint32_t child = w->tree->children[stack[depth].at++];

			stack[depth].shown++;
			if (w->d->retained[child] < w->least) {
				stack[depth].at = stack[depth].end;
				continue;
			}
			report_node(w, child, depth);
			if (depth + 1 < deepest) {
				depth++;
				stack[depth].at = w->tree->first[child];
				stack[depth].end = w->tree->first[child + 1];
				stack[depth].shown = 0;
			}
			continue;
		}
		if (!depth)
			return;
		depth--;
	}
}

static void tree_destroy(void *tree)
{
	insp_dominator_tree_destroy(tree);
}

/* Who holds it, as stacks; only where somebody draws them. */
static int report_profile(const struct work *w, uint32_t top, struct insp_error *err)
{
	struct insp_profile *profile;
	int rc;

	if (!insp_report_wants_profile(w->report))
		return 0;
	rc = insp_held_profile(w->ctx, w->graph, w->d, w->typing, top, &profile, err);
	if (rc)
		return rc;
	insp_report_profile_only(w->report, profile);
	insp_profile_destroy(profile);
	return 0;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct work w = {.ctx = ctx, .args = args, .report = report};
	struct insp_dominator_tree *tree;
	struct insp_dominators *d;
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	struct insp_chunk c = {0};
	int rc = 0;

	if (w.args->addr)
		rc = insp_held_chunk_at(ctx, w.args->addr, &c, err);
	rc = rc ? rc : insp_held_create(ctx, &graph, &leaks, &d, err);
	rc = rc ? rc : insp_typing_create(ctx, false, &w.typing, err);
	if (rc)
		return rc;
	w.least = (uint64_t)((double)(w.args->addr ? insp_retained_bytes(d, c.id) : d->retained[0]) *
			     w.args->min / 100);
	rc = insp_dominator_tree_create(d, w.least, &tree, err);
	if (rc)
		return rc;
	if (insp_pool_defer(ctx->pool, tree_destroy, tree)) {
		tree_destroy(tree);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	w.graph = graph;
	w.leaks = leaks;
	w.d = d;
	w.tree = tree;
	insp_field_u64(report, "in_use", "memory in use", INSP_T_BYTES, d->retained[0]);
	insp_table_begin(report, &table);
	if (w.args->addr) {
		report_node(&w, d->number_of[c.id], 0);
		report_children(&w, d->number_of[c.id]);
	} else {
		report_children(&w, 0);
	}
	insp_table_end(report);
	insp_held_caveats(ctx, report);
	insp_report_elsewhere(report, ctx->snapshot);
	return report_profile(&w, w.args->addr ? d->number_of[c.id] : 0, err);
}

const struct insp_command insp_cmd_dominators = {
	.name = "dominators",
	.group = "memory",
	.summary = "which chunks hold the memory in use, as a tree",
	.help = "A chunk holds another when every path of pointers to that one goes through it: "
		"were it freed, the other would be garbage. What a chunk holds, itself included, "
		"is "
		"its retained size. The tree shows on the top level what is held by roots directly "
		"or "
		"by several holders, and below each chunk what it holds.\n\n"
		"A chunk that two others share is held by neither, but by their common holder. "
		"With "
		"ADDR, shares of --min are of that chunk's retained size.\n\n"
		"--format flamegraph, folded and pprof show all of the tree, chunks of one type "
		"with the "
		"same holders as one frame: outermost the variable, thread or mapping that holds, "
		"then "
		"type by type. Lists are one frame.",
	.example = "dominators --depth 4 --min 5",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS | INSP_COMMAND_PROFILE,
	.tables = tables,
	.needs = INSP_HELD_NEEDS,
	.run = run,
};
