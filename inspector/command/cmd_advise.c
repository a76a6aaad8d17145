/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advise: what the figures mean and what to try. */
#include "analysis/advise.h"
#include "analysis/graph.h"
#include "analysis/leaks.h"
#include "command/heap_common.h"
#include "command/site_profile.h"

struct args {
	bool leaks;
};

static const struct insp_option options[] = {
	{.name = "leaks", .type = INSP_OPT_FLAG, .offset = offsetof(struct args, leaks),
	 .help = "look for lost chunks, too: reads all of the target's memory once more"},
	INSP_OPTION_END,
};

static const struct insp_column fields[] = {
	{"code", NULL, INSP_T_STR, 0, "stable name of the advice"},
	{"severity", NULL, INSP_T_STR, 0, "note: worth knowing; warning: worth acting on"},
	{"verdict", NULL, INSP_T_STR, 0, "what it is, in one line"},
	{"bytes", NULL, INSP_T_BYTES, 0, "that it is about"},
	{"evidence", NULL, INSP_T_STR, 0, "the figures it rests on"},
	{"try", NULL, INSP_T_STR, 0, "what to try"},
	{"see", NULL, INSP_T_STR, 0, "command that shows more"},
};
static const struct insp_table doc = INSP_TABLE("advice", NULL, fields, NULL);
static const struct insp_table *const tables[] = {&doc, NULL};

static unsigned needs_of(const void *args)
{
	const struct args *a = args;

	return INSP_NEED_SITES | INSP_NEED_SYMBOLS | (a->leaks ? INSP_NEED_POINTERS : 0);
}

static int find_leaks(const struct insp_snapshot *snap, struct insp_advise_leaks *ret, struct insp_error *err)
{
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	int rc = insp_graph_create(snap, 0, &graph, err);

	if (rc)
		return rc;
	rc = insp_leaks_create(graph, &leaks, err);
	if (!rc) {
		const struct insp_leak_sum *direct = &leaks->sums[INSP_REACH_DEFINITE];
		const struct insp_leak_sum *behind = &leaks->sums[INSP_REACH_INDIRECT];

		*ret = (struct insp_advise_leaks){true, direct->bytes + behind->bytes, direct->count + behind->count};
		insp_leaks_destroy(leaks);
	}
	insp_graph_destroy(graph);
	return rc;
}

struct names {
	struct insp_profile *profile;
	const uint32_t *sites;
};

static const char *site_name(void *ctx, uint32_t site)
{
	const struct names *n = ctx;

	return insp_site_place(n->profile, n->sites, site, 1);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_advise_leaks leaks = {0};
	struct names names = {0};
	const struct insp_advise_names namer = {site_name, &names};
	const struct insp_sites *sites = ctx->snapshot->sites;
	struct insp_advices advices;
	int rc = 0;

	if (a->leaks)
		rc = find_leaks(ctx->snapshot, &leaks, err);
	if (!rc && sites && sites->n)
		rc = insp_heap_profile(ctx, sites, &names.profile, &names.sites, err);
	if (!rc)
		rc = insp_advise(ctx->snapshot, &leaks, names.profile ? &namer : NULL, ctx->pool,
				 &advices, err);
	insp_profile_destroy(names.profile);
	if (rc)
		return rc;
	insp_list_begin(report, "advice", NULL);
	for (size_t i = 0; i < advices.n; i++) {
		const struct insp_advice *x = &advices.items[i];

		insp_object_begin(report, NULL, x->verdict);
		insp_field_str(report, "code", NULL, x->code);
		insp_field_str(report, "severity", NULL, x->severity == INSP_NOTE ? "note" : "warning");
		insp_field_str(report, "verdict", NULL, x->verdict);
		insp_field_u64(report, "bytes", x->bytes ? "about" : NULL, INSP_T_BYTES, x->bytes);
		insp_field_str(report, "evidence", "because", x->evidence);
		insp_field_str(report, "try", x->attempt ? "try" : NULL, x->attempt);
		insp_field_str(report, "see", x->see ? "see" : NULL, x->see);
		insp_object_end(report);
	}
	insp_list_end(report);
	insp_advices_deinit(&advices);
	return 0;
}

const struct insp_command insp_cmd_advise = {
	.name = "advise",
	.group = "memory",
	.summary = "in plain words: what the figures mean and what to try, with the evidence",
	.help = "Looks at the books, at the pages of the heap and at what pins them, and says what stands out: "
		"too many arenas, a free top that is kept, whole free pages, fragmentation by chunks in use, an mmap "
		"threshold that has grown, thread stacks, tcaches, huge pages, memory outside of malloc, a limit that "
		"is near, a damaged heap, or nothing.\n\n"
		"A cause is named when it holds at least a twentieth of RSS and a megabyte. Each comes with the "
		"figures that it rests on, what to try, and the command that shows more. With --leaks it also "
		"looks for chunks that nothing points at.",
	.example = "advise",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.tables = tables,
	.needs = INSP_NEED_USAGE | INSP_NEED_CHUNKS,
	.needs_of = needs_of,
	.run = run,
};
