/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap trim: what malloc_trim would give back, without calling it. */
#include <string.h>

#include "analysis/trim.h"
#include "command/heap_common.h"

struct args {
	bool dry_run;
	uint64_t pad;
};

static const struct insp_option options[] = {
	{.name = "dry-run", .type = INSP_OPT_FLAG, .offset = offsetof(struct args, dry_run),
	 .help = "only say what would be given back; needed, because nothing else can be done from outside"},
	{.name = "pad", .type = INSP_OPT_SIZE, .arg = "BYTES", .offset = offsetof(struct args, pad),
	 .help = "what to leave in top, as the argument of malloc_trim(pad)"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"addr", NULL, INSP_T_ADDR, 0, "of its struct malloc_state"},
	{"release", "goes back", INSP_T_BYTES, INSP_COL_TOTAL,
	 "resident bytes that malloc_trim would return"},
	{"release_bins", "of bins", INSP_T_BYTES, INSP_COL_TOTAL,
	 "of it, whole pages inside free chunks"},
	{"release_top", "of top", INSP_T_BYTES, INSP_COL_TOTAL,
	 "of it, the end of the heap segment (brk)"},
	{"kept_small", "small chunks", INSP_T_BYTES, INSP_COL_TOTAL,
	 "stays: free chunks that hold no whole page"},
	{"kept_edges", "edges", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_SPARE,
	 "stays: first and last pages of larger free chunks"},
	{"kept_tcache", "tcache", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_SPARE,
	 "stays: threads' caches are not touched"},
	{"kept_top", "top", INSP_T_BYTES, INSP_COL_TOTAL, "stays: what is left of top"},
	{"absent", "gone already", INSP_T_BYTES, INSP_COL_TOTAL,
	 "bytes of free chunks that are not resident"},
	{"release_swap", "swap", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_WIDE,
	 "swapped bytes that would go, too"},
	{"top_reason", "why top stays", INSP_T_STR, INSP_COL_WIDE | INSP_COL_WRAP,
	 "why top is not given back in full"},
};

static void report_row(struct insp_report *r, const struct insp_arena *arena,
		       const struct insp_trim_arena *a)
{
	insp_cell_str(r, arena->name);
	insp_cell_u64(r, arena->addr);
	insp_cell_u64(r, insp_trim_release(a));
	insp_cell_u64(r, a->release_bins);
	insp_cell_u64(r, a->release_top);
	insp_cell_u64(r, a->kept_small);
	insp_cell_u64(r, a->kept_edges);
	insp_cell_u64(r, a->kept_tcache);
	insp_cell_u64(r, a->kept_top);
	insp_cell_u64(r, a->absent);
	insp_cell_u64(r, a->release_swap);
	insp_cell_str(r, a->top_reason ? a->top_reason : "");
	insp_row_end(r);
}

static void explain(struct insp_report *r, const struct insp_trim *trim)
{
	const struct insp_trim_arena *t = &trim->total;
	uint64_t kept = insp_trim_kept(t);

	insp_object_begin(r, "totals", NULL);
	insp_field_u64(r, "release", "malloc_trim would return", INSP_T_BYTES, insp_trim_release(t));
	insp_field_u64(r, "kept", "free, and would stay", INSP_T_BYTES, kept);
	insp_field_bool(r, "exact", NULL, trim->exact);
	insp_object_end(r);
	if (!trim->exact)
		insp_note(r, INSP_WARNING, "sizes_only",
			  "which pages are resident is not known here: the figures are the most that can go");
	if (t->kept_top > kept / 2 && t->kept_top > (1u << 20))
		insp_note(r, INSP_NOTE, "tops",
			  "most of what stays is the top of other arenas than main, which malloc_trim does "
			  "not cut: fewer arenas (MALLOC_ARENA_MAX) have fewer tops");
	else if (t->kept_small + t->kept_edges > kept / 2 && t->kept_small + t->kept_edges > (1u << 20))
		insp_note(r, INSP_NOTE, "pinned",
			  "most of what stays shares pages with chunks in use: `heap pins` names them");
	else if (t->kept_tcache > kept / 2 && t->kept_tcache > (1u << 20))
		insp_note(r, INSP_NOTE, "tcaches",
			  "most of what stays lies in threads' caches: glibc.malloc.tcache_count limits them");
}

static const struct insp_table table =
	INSP_TABLE("arenas", NULL, columns, "no arena of glibc's malloc");

/* Says how to trim from where the user is: in a shell, at GDB's prompt, at a dead process. */
static int must_be_dry(const struct insp_snapshot *snap, struct insp_error *err)
{
	static const char only[] = "only --dry-run: nothing is called in the target";

	if (!strcmp(snap->target_kind, "core"))
		return insp_fail(err, INSP_E_USAGE, "%s", only);
	if (strcmp(snap->target_kind, "live"))
		return insp_fail(err, INSP_E_USAGE, "%s. To trim it: call (int)malloc_trim(0)", only);
	return insp_fail(err, INSP_E_USAGE,
			 "%s. To trim it, have the program call malloc_trim(0), or: "
			 "gdb -p %d -batch -ex 'call (int)malloc_trim(0)'",
			 only, snap->pid);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_snapshot *snap = ctx->snapshot;
	struct insp_trim trim;
	int rc;

	if (!a->dry_run)
		return must_be_dry(snap, err);
	rc = insp_trim_plan(snap, a->pad, ctx->pool, &trim, err);
	if (rc)
		return rc;
	insp_table_begin(report, &table);
	for (size_t i = 0; i < snap->arenas.n; i++)
		if (trim.arenas[i].trims)
			report_row(report, &snap->arenas.items[i], &trim.arenas[i]);
	insp_table_end(report);
	explain(report, &trim);
	return 0;
}

static const struct insp_column totals_fields[] = {
	{"release", NULL, INSP_T_BYTES, 0, "what malloc_trim(0) would give back to the system"},
	{"kept", NULL, INSP_T_BYTES, 0, "free, and would stay resident"},
	{"exact", NULL, INSP_T_BOOL, 0, "pages were looked at one by one; false: estimated"},
};
static const struct insp_table totals_doc = INSP_TABLE("totals", NULL, totals_fields, NULL);
static const struct insp_table *const tables[] = {&totals_doc, &table, NULL};

const struct insp_command insp_cmd_heap_trim = {
	.name = "heap trim",
	.group = "heap",
	.summary = "what malloc_trim(0) would give back, per arena, and what would stay and why",
	.help = "Plans malloc_trim by glibc's own rules and counts only pages that are resident: "
		"whole pages "
		"inside free chunks go back, in every arena; the top is cut in the main arena "
		"only, if it "
		"still ends where the heap segment ends.\n\n"
		"What stays: free chunks that hold no whole page, the first and last page of "
		"larger ones, the "
		"chunks in threads' caches (tcache), and the tops of the other arenas, which only "
		"free() "
		"cuts when a chunk next to top is freed and top exceeds M_TRIM_THRESHOLD.\n\n"
		"Nothing is called in the target.",
	.example = "heap trim --dry-run",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_USAGE | INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
