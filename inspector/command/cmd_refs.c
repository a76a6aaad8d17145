/* SPDX-License-Identifier: GPL-3.0-or-later */
/* refs: who points at a chunk, or what a chunk points at. */
#include <inttypes.h>

#include "analysis/paths.h"
#include "command/filter.h"
#include "command/held.h"

struct args {
	uint64_t addr, limit;
	const char *where;
	bool from;
};

static const struct insp_option options[] = {
	{.name = "ADDR",
	 .type = INSP_OPT_ADDR,
	 .offset = offsetof(struct args, addr),
	 .required = true,
	 .help = "an address in a chunk in use, hexadecimal"},
	{.name = "from",
	 .type = INSP_OPT_FLAG,
	 .offset = offsetof(struct args, from),
	 .help = "what the chunk points at, instead of who points at it"},
	{.name = "where",
	 .type = INSP_OPT_FILTER,
	 .arg = "FILTER",
	 .offset = offsetof(struct args, where),
	 .help = "only other chunks that a filter accepts, like 'type ~ entry'; roots are left "
		 "out"},
	{.name = "limit",
	 .letter = 'n',
	 .type = INSP_OPT_COUNT,
	 .arg = "N",
	 .def = "50",
	 .offset = offsetof(struct args, limit),
	 .help = "at most N rows; 0: all"},
	INSP_OPTION_END,
};

static const struct insp_column to_columns[] = {
	{"kind", "kind", INSP_T_STR, 0,
	 "data, tls, register, stack, memory, unknown (roots), or chunk"},
	{"word", "word at", INSP_T_ADDR, 0, "address of the pointer; null for a register"},
	{"interior", NULL, INSP_T_BOOL, 0, "it points into the middle of the chunk"},
	{"to", "to", INSP_T_STR, 0, "start or middle"},
	{"chunk", "in chunk", INSP_T_ADDR, 0, "memory of the chunk that the pointer lies in"},
	{"offset", "offset", INSP_T_COUNT, 0, "of the pointer in it"},
	{"member", "member", INSP_T_STR, 0, "what that place is called, by debug info"},
	{"what", "what", INSP_T_STR, INSP_COL_WRAP, "name of the root, or type of the chunk"},
};

static const struct insp_column from_columns[] = {
	{"offset", "offset", INSP_T_COUNT, 0, "of the pointer in the chunk"},
	{"member", "member", INSP_T_STR, 0, "what that place is called, by debug info"},
	{"value", "pointer", INSP_T_ADDR, 0, "its value"},
	{"interior", NULL, INSP_T_BOOL, 0, "it points into the middle of the target"},
	{"to", "to", INSP_T_STR, 0, "start or middle"},
	{"chunk", "chunk", INSP_T_ADDR, 0, "memory of the chunk that it points at"},
	{"size", "size", INSP_T_COUNT, 0, "of that chunk, head included"},
	{"what", "what", INSP_T_STR, INSP_COL_WRAP, "type of that chunk"},
};

static const struct insp_table to_table =
	INSP_TABLE("refs", NULL, to_columns, "nothing points at it: it is lost, or held by means that cannot be seen");
static const struct insp_table from_table =
	INSP_TABLE("targets", NULL, from_columns, "it points at no chunk in use");
static const struct insp_table *const tables[] = {&to_table, &from_table, NULL};

struct work {
	struct insp_context *ctx;
	struct insp_report *report;
	struct insp_typing *typing;
	struct insp_filter *filter; /* NULL: all */
	struct insp_chunk asked;    /* the chunk that was asked for */
	uint64_t limit, shown, total;
};

static bool show_more(struct work *w)
{
	w->total++;
	if (w->limit && w->shown >= w->limit)
		return false;
	w->shown++;
	return true;
}

static bool on_ref(void *ctx, const struct insp_ref *ref)
{
	struct work *w = ctx;
	struct insp_report *r = w->report;
	struct insp_chunk c;

	if (!ref->root)
		insp_chunks_get(w->ctx->snapshot->chunks, ref->source, &c);
	if (w->filter && (ref->root || !insp_filter_accepts(w->filter, &c)))
		return !insp_report_failed(r);
	if (!show_more(w))
		return !insp_report_failed(r);
	insp_cell_str(r, ref->root ? insp_root_kind_key(ref->root->kind) : "chunk");
	if (ref->root && ref->root->kind == INSP_ROOT_REGISTER)
		insp_cell_unknown(r);
	else
		insp_cell_u64(r, ref->edge.addr);
	insp_cell_bool(r, ref->edge.interior);
	insp_cell_str(r, ref->edge.interior ? "middle" : "start");
	if (ref->root) {
		insp_cell_unknown(r);
		insp_cell_unknown(r);
		insp_cell_unknown(r);
		insp_cell_str(r, insp_name_root(w->ctx, ref->root));
	} else {
		insp_cell_u64(r, c.mem);
		insp_cell_u64(r, ref->edge.offset);
		insp_cell_str(r, insp_typing_member(w->typing, &c, ref->edge.offset));
		insp_cell_str(r, insp_typing_name(w->typing, insp_typing_of(w->typing, &c)));
	}
	insp_row_end(r);
	return !insp_report_failed(r);
}

static bool on_edge(void *ctx, const struct insp_edge *edge)
{
	struct work *w = ctx;
	struct insp_report *r = w->report;
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, edge->target, &c);
	if ((w->filter && !insp_filter_accepts(w->filter, &c)) || !show_more(w))
		return !insp_report_failed(r);
	insp_cell_u64(r, edge->offset);
	insp_cell_str(r, insp_typing_member(w->typing, &w->asked, edge->offset));
	insp_cell_u64(r, edge->value);
	insp_cell_bool(r, edge->interior);
	insp_cell_str(r, edge->interior ? "middle" : "start");
	insp_cell_u64(r, c.mem);
	insp_cell_u64(r, c.size);
	insp_cell_str(r, insp_typing_name(w->typing, insp_typing_of(w->typing, &c)));
	insp_row_end(r);
	return !insp_report_failed(r);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct work w = {.ctx = ctx, .report = report, .limit = a->limit};
	struct insp_graph *graph;
	struct insp_chunk c;
	int rc;

	rc = insp_held_chunk_at(ctx, a->addr, &c, err);
	w.asked = c;
	rc = rc ? rc : insp_held_create(ctx, &graph, NULL, NULL, err);
	rc = rc ? rc : insp_typing_create(ctx, false, &w.typing, err);
	if (!rc && a->where)
		rc = insp_filter_create(ctx, a->where, w.typing, NULL, &w.filter, err);
	if (rc)
		return rc;
	insp_held_report_chunk(ctx, report, w.typing, &c);
	insp_table_begin(report, a->from ? &from_table : &to_table);
	if (a->from)
		insp_graph_edges_of(graph, c.id, on_edge, &w);
	else
		rc = insp_refs_to(graph, c.id, on_ref, &w, err);
	insp_table_end(report);
	if (w.shown < w.total)
		insp_table_cut(report, w.shown, w.total, "--limit 0 shows all");
	insp_held_caveats(ctx, report);
	return rc;
}

const struct insp_command insp_cmd_refs = {
	.name = "refs",
	.group = "memory",
	.summary = "who points at a chunk, or what it points at",
	.help = "Every word that points into the chunk: in the data of modules, on stacks, in "
		"registers, and in other chunks in use. A number that looks like an address counts "
		"as one; on a stack it may be left over from a call that returned.",
	.example = "refs 0x55d0c3a012a0 --limit 20",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.tables = tables,
	.needs = INSP_HELD_NEEDS,
	.run = run,
};
