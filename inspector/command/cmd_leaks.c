/* SPDX-License-Identifier: GPL-3.0-or-later */
/* leaks: what nothing reaches any more, grouped by where it comes from. */
#include <inttypes.h>
#include <string.h>

#include "base/fmt.h"
#include "command/filter.h"
#include "command/heap_common.h"
#include "command/held.h"
#include "site/sites.h"

struct args {
	const char *by, *where;
	uint64_t limit, fail_on;
	bool possible, indirect, reachable, roots;
};

#define MANY 20000

static const struct insp_option options[] = {
	{.name = "by", .type = INSP_OPT_CHOICE, .arg = "KEY", .choices = "auto|site|type|size|address", .def = "auto",
	 .offset = offsetof(struct args, by),
	 .help = "what groups are made of; auto: the site where the hook recorded it, else the type; "
		 "address: each chunk by itself"},
	{.name = "possible", .letter = 'p', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, possible),
	 .help = "list possibly lost chunks as well"},
	{.name = "indirect", .letter = 'i', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, indirect),
	 .help = "list indirectly lost chunks as groups of their own as well"},
	{.name = "reachable", .letter = 'r', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, reachable),
	 .help = "list chunks that are still reachable as well"},
	{.name = "where", .type = INSP_OPT_FILTER, .arg = "FILTER", .offset = offsetof(struct args, where),
	 .help = "only chunks that a filter accepts, like 'size >= 1K and type ~ Session'"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "20",
	 .offset = offsetof(struct args, limit), .help = "at most N groups; 0: all"},
	{.name = "roots", .type = INSP_OPT_FLAG, .offset = offsetof(struct args, roots),
	 .help = "say of each mapping whether it was searched for pointers, and why"},
	{.name = "fail-on", .type = INSP_OPT_SIZE, .arg = "BYTES", .def = INSP_OPTION_NO_LIMIT,
	 .offset = offsetof(struct args, fail_on),
	 .help = "exit 3 when more than this is definitely and indirectly lost"},
	INSP_OPTION_END,
};

static const struct insp_column sum_columns[] = {
	{"reach", NULL, INSP_T_STR, 0, "definite, indirect, possible or reachable"},
	{"what", "", INSP_T_STR, 0, "the same for people"},
	{"count", "chunks", INSP_T_COUNT, 0, "number of chunks"},
	{"bytes", "bytes", INSP_T_BYTES, 0, "sizes of these chunks, heads included"},
};

static const struct insp_column group_columns[] = {
	{"reach", NULL, INSP_T_STR, 0, "as in the sums"},
	{"what", "", INSP_T_STR, 0, "the same for people"},
	{"count", "chunks", INSP_T_COUNT, 0, "chunks of this group"},
	{"bytes", "bytes", INSP_T_BYTES, 0, "their sizes"},
	{"indirect_count", "drag", INSP_T_COUNT, INSP_COL_SPARE,
	 "indirectly lost chunks that hang on them"},
	{"indirect_bytes", "along", INSP_T_BYTES, INSP_COL_SPARE, "the sizes of those"},
	{"group", "of", INSP_T_STR, INSP_COL_WRAP, "site, type or size"},
	{"example", "example", INSP_T_ADDR, 0, "memory of the one that drags most along"},
	{"example_size", NULL, INSP_T_COUNT, 0, "usable bytes of the example"},
	{"preview", "begins with", INSP_T_STR, INSP_COL_WRAP,
	 "first bytes of the example: text or hexadecimal"},
};

static const struct insp_column region_columns[] = {
	{"start", "start", INSP_T_ADDR, 0, "first address"},
	{"end", "end", INSP_T_ADDR, 0, "behind the last address"},
	{"perms", "", INSP_T_STR, 0, "as in /proc/PID/maps"},
	{"use", NULL, INSP_T_STR, 0, "stable name of the verdict"},
	{"roots", "roots", INSP_T_COUNT, INSP_COL_TOTAL, "words in it that point into a chunk in use"},
	{"why", "why", INSP_T_STR, 0, "whether it was searched, and why"},
	{"name", "mapping", INSP_T_STR, INSP_COL_WRAP, "file or name"},
};

static const struct insp_table sum_table = INSP_TABLE("sums", NULL, sum_columns, NULL);
static const struct insp_table group_table =
	INSP_TABLE("groups", "Groups, largest first", group_columns, NULL);
static const struct insp_table region_table =
	INSP_TABLE("regions", "Where pointers were looked for", region_columns, NULL);

static const struct insp_table *const tables[] = {&sum_table, &group_table, &region_table, NULL};

enum key { KEY_SITE, KEY_TYPE, KEY_SIZE, KEY_ADDRESS };

struct work {
	struct insp_context *ctx;
	const struct args *args;
	struct insp_typing *types;
	struct insp_filter *filter;
	enum key key;
};

static uint64_t key_of(void *ctx, const struct insp_chunk *c)
{
	const struct work *w = ctx;

	switch (w->key) {
	case KEY_SITE:
		return w->ctx->snapshot->sites->chunk_sites[c->id];
	case KEY_TYPE:
		return insp_typing_of(w->types, c);
	case KEY_ADDRESS:
		return c->mem;
	default:
		return c->size;
	}
}

static bool accept(void *ctx, const struct insp_chunk *c)
{
	const struct work *w = ctx;

	return !w->filter || insp_filter_accepts(w->filter, c);
}

static const char *group_name(const struct work *w, const struct insp_leak_group *g)
{
	switch (w->key) {
	case KEY_SITE:
		return insp_name_site(w->ctx, (uint32_t)g->key);
	case KEY_TYPE:
		return insp_typing_name(w->types, (uint32_t)g->key);
	case KEY_ADDRESS:
		return insp_pool_printf(w->ctx->pool, "%#" PRIx64, g->key);
	default:
		return insp_pool_printf(w->ctx->pool, "%" PRIu64 " bytes", g->key);
	}
}

static int choose_key(struct work *w, struct insp_error *err)
{
	const char *by = w->args->by;
	bool sites = insp_held_has_sites(w->ctx->snapshot);

	w->key = strcmp(by, "site") == 0   ? KEY_SITE
		 : strcmp(by, "size") == 0 ? KEY_SIZE
		 : strcmp(by, "type") == 0 ? KEY_TYPE
		 : strcmp(by, "address") == 0 ? KEY_ADDRESS
		 : sites		   ? KEY_SITE
					   : KEY_TYPE;
	if (w->key == KEY_SITE && !sites)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "sites are known only of processes that run with the hook: see "
				 "--by type and --by size");
	return 0;
}

static void report_sums(struct insp_report *r, const struct insp_leaks *l)
{
	insp_table_begin(r, &sum_table);
	for (int k = INSP_REACH_DEFINITE; k >= INSP_REACH_REACHABLE; k--) {
		insp_cell_str(r, insp_reach_key((enum insp_reach)k));
		insp_cell_str(r, insp_reach_title((enum insp_reach)k));
		insp_cell_u64(r, l->sums[k].count);
		insp_cell_u64(r, l->sums[k].bytes);
		insp_row_end(r);
	}
	insp_table_end(r);
}

/* An empty list is good news only when chunks were walked and no doubtful ones are left out of it. */
static void report_none(struct insp_report *r, const struct work *w, const struct insp_leaks *l)
{
	const struct insp_leak_sum *possible = &l->sums[INSP_REACH_POSSIBLE];
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];

	if (!w->ctx->snapshot->chunks->n)
		return; /* the caveats say so */
	if (w->args->where)
		insp_note(r, INSP_NOTE, "no_groups", "no listed chunk passes --where");
	else if (possible->count && !w->args->possible)
		insp_note(r, INSP_NOTE, "only_possible",
			  "nothing is definitely lost; %s chunks (%s) have only pointers into their "
			  "middle: --possible lists them",
			  insp_fmt_count(a, possible->count), insp_fmt_bytes(b, possible->bytes));
	else
		insp_note(r, INSP_NOTE, "no_groups", "nothing is lost");
}

static void report_groups(struct insp_report *r, const struct work *w, const struct insp_leaks *l)
{
	size_t limit = w->args->limit && w->args->limit < l->ngroups ? w->args->limit : l->ngroups;

	insp_table_begin(r, &group_table);
	for (size_t i = 0; i < limit && !insp_report_failed(r); i++) {
		const struct insp_leak_group *g = &l->groups[i];
		struct insp_chunk c;

		insp_chunks_get(w->ctx->snapshot->chunks, g->example, &c);
		insp_cell_str(r, insp_reach_key(g->reach));
		insp_cell_str(r, insp_reach_title(g->reach));
		insp_cell_u64(r, g->count);
		insp_cell_u64(r, g->bytes);
		insp_cell_u64(r, g->dragged.count);
		insp_cell_u64(r, g->dragged.bytes);
		insp_cell_str(r, group_name(w, g));
		insp_cell_u64(r, c.mem);
		insp_cell_u64(r, c.usable);
		insp_cell_str(r, insp_typing_preview(w->types, &c));
		insp_row_end(r);
	}
	insp_table_end(r);
	if (!l->ngroups)
		report_none(r, w, l);
	if (limit < l->ngroups)
		insp_table_cut(r, limit, l->ngroups, "--limit 0 shows all");
}

static void report_regions(struct insp_report *r, const struct insp_graph *g)
{
	insp_table_begin(r, &region_table);
	for (size_t i = 0; i < g->snapshot->regions.n; i++) {
		const struct insp_region *region = &g->snapshot->regions.items[i];
		char perms[5];

		insp_cell_u64(r, region->start);
		insp_cell_u64(r, region->end);
		insp_cell_str(r, insp_region_perms(region, perms));
		insp_cell_str(r, insp_region_use_key(g->regions[i].use));
		insp_cell_u64(r, g->regions[i].nroots);
		insp_cell_str(r, insp_region_use_text(g->regions[i].use));
		insp_cell_str(r, region->name);
		insp_row_end(r);
	}
	insp_table_end(r);
}

/* So many that reading all of the heap forward is faster than reading these one by one. */
static bool many_listed(const struct work *w, const struct insp_leaks *l)
{
	uint64_t n = l->sums[INSP_REACH_DEFINITE].count;

	n += w->args->possible ? l->sums[INSP_REACH_POSSIBLE].count : 0;
	n += w->args->indirect ? l->sums[INSP_REACH_INDIRECT].count : 0;
	n += w->args->reachable ? l->sums[INSP_REACH_REACHABLE].count : 0;
	return n > MANY;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct work w = {.ctx = ctx, .args = args};
	struct insp_leak_grouping grouping = {.key_of = key_of, .accept = accept, .ctx = &w};
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	uint64_t lost;
	int rc;

	rc = choose_key(&w, err);
	rc = rc ? rc : insp_held_create(ctx, &graph, &leaks, NULL, err);
	rc = rc ? rc : insp_typing_create(ctx, w.key == KEY_TYPE && many_listed(&w, leaks), &w.types, err);
	if (!rc && w.args->where)
		rc = insp_filter_create(ctx, w.args->where, w.types, leaks, &w.filter, err);
	if (rc)
		return rc;
	grouping.reaches = 1u << INSP_REACH_DEFINITE |
			   (w.args->possible ? 1u << INSP_REACH_POSSIBLE : 0) |
			   (w.args->indirect ? 1u << INSP_REACH_INDIRECT : 0) |
			   (w.args->reachable ? 1u << INSP_REACH_REACHABLE : 0);
	rc = insp_leaks_group(leaks, &grouping, err);
	if (rc)
		return rc;
	report_sums(report, leaks);
	report_groups(report, &w, leaks);
	if (w.args->roots)
		report_regions(report, graph);
	insp_held_caveats(ctx, report);
	insp_report_elsewhere(report, ctx->snapshot);
	if (!ctx->snapshot->chunks->n && w.args->fail_on != UINT64_MAX)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "no heap was walked: --fail-on cannot say whether something is lost");
	lost = leaks->sums[INSP_REACH_DEFINITE].bytes + leaks->sums[INSP_REACH_INDIRECT].bytes;
	if (lost > w.args->fail_on) {
		char a[INSP_FMT_MAX], b[INSP_FMT_MAX];

		return insp_fail(err, INSP_E_THRESHOLD, "%s lost, more than the %s of --fail-on",
				 insp_fmt_bytes(a, lost), insp_fmt_bytes(b, w.args->fail_on));
	}
	return 0;
}

const struct insp_command insp_cmd_leaks = {
	.name = "leaks",
	.group = "memory",
	.summary = "memory in use that nothing points to any more",
	.help = "Looks for a chain of pointers from the program's roots (data of modules, stacks, "
		"registers, thread-local storage, memory that no allocator claims) to every chunk "
		"in "
		"use. In valgrind's words: definitely lost is what nothing points to; indirectly "
		"lost what only lost chunks point to, it goes with them; possibly lost what is "
		"only "
		"reached through a pointer into the middle of a chunk; the rest is still "
		"reachable.\n\n"
		"It is conservative: a number that looks like an address keeps a chunk, so a real "
		"leak may be called reachable. The other way round, a chunk whose only pointer is "
		"encoded, in shared memory or in a vector register is called lost although it is "
		"not. --roots shows where was looked.\n\n"
		"'drag' and 'along' are the indirectly lost chunks that would be freed with the "
		"group. 'x ADDR' shows the example's bytes, 'refs ADDR' who points at it.",
	.example = "leaks --by size --limit 10",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.tables = tables,
	.needs = INSP_HELD_NEEDS,
	.run = run,
};
