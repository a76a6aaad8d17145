/* SPDX-License-Identifier: GPL-3.0-or-later */
/* diff: what grew between two snapshots, group by group. */
#include <stdlib.h>
#include <string.h>

#include "analysis/groups.h"
#include "command/base.h"
#include "command/command.h"
#include "command/site_diff.h"
#include "command/type_diff.h"
#include "command/typing.h"
#include "site/sites.h"

struct args {
	const char *by, *sort, *base;
	uint64_t min, limit;
};

static const struct insp_option options[] = {
	{"BASE", 0, INSP_OPT_FILE, NULL, "the earlier snapshot, a file; at the prompt `base` can choose it",
	 NULL, NULL, offsetof(struct args, base), .file = INSP_FILE_READ},
	{"by", 'b', INSP_OPT_CHOICE, "KEY", "what to compare", "size", INSP_GROUP_CHOICES "|site",
	 offsetof(struct args, by)},
	{"sort", 0, INSP_OPT_CHOICE, "KEY", "order; change: largest first", "change",
	 "change|key|now|growth", offsetof(struct args, sort)},
	{"min", 0, INSP_OPT_SIZE, "SIZE", "leave out what changed by less", NULL, NULL,
	 offsetof(struct args, min)},
	{"limit", 'n', INSP_OPT_COUNT, "N", "at most N rows; 0: all", "30", NULL,
	 offsetof(struct args, limit)},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"key", "", INSP_T_STR, INSP_COL_WRAP,
	 "the group: a size class, a type, an arena, a thread, a state, a mapping, a call stack"},
	{"base_count", "count then", INSP_T_COUNT, 0, "chunks (or mappings) in the base"},
	{"now_count", "now", INSP_T_COUNT, 0, "in the later one"},
	{"delta_count", "change", INSP_T_DELTA_COUNT, 0, "now minus base"},
	{"base", "bytes then", INSP_T_BYTES, 0, "bytes in the base"},
	{"now", "now", INSP_T_BYTES, 0, "bytes in the later one"},
	{"delta", "change", INSP_T_DELTA, 0, "now minus base, bytes"},
	{"growth", "growth", INSP_T_FACTOR, 0, "now by base; null for new ones"},
	{"risk", "risk", INSP_T_STR, 0,
	 "share of all growth: high from 30 %, medium from 10 %, low; new, gone, fell"},
};

static const struct insp_table table = INSP_TABLE("diff", NULL, columns, "nothing changed");

static int64_t change(const struct insp_group_delta *d)
{
	return (int64_t)(d->now.bytes - d->base.bytes);
}

static const char *risk(const struct insp_group_delta *d, uint64_t growth)
{
	double share;

	if (!d->now.count)
		return "gone";
	if (change(d) < 0)
		return "fell";
	share = growth ? (double)change(d) / (double)growth : 0;
	if (!d->base.count)
		return share >= 0.3 ? "new, high" : share >= 0.1 ? "new, medium" : "new";
	return !change(d) ? "" : share >= 0.3 ? "high" : share >= 0.1 ? "medium" : "low";
}

static double factor(const struct insp_group_delta *d)
{
	return d->base.bytes ? (double)d->now.bytes / (double)d->base.bytes : 1e18;
}

static int by_key(const void *a, const void *b)
{
	const struct insp_group_delta *x = a, *y = b;

	return insp_group_order(x->rank, x->key, y->rank, y->key);
}

static int by_now(const void *a, const void *b)
{
	const struct insp_group_delta *x = a, *y = b;

	return x->now.bytes > y->now.bytes ? -1 : x->now.bytes < y->now.bytes ? 1 : by_key(a, b);
}

static int by_growth(const void *a, const void *b)
{
	double x = factor(a), y = factor(b);

	return x > y ? -1 : x < y ? 1 : by_now(a, b);
}

static void sort(struct insp_group_deltas *d, const char *order)
{
	if (!strcmp(order, "change") || !d->n)
		return; /* they come so */
	qsort(d->items, d->n, sizeof(*d->items),
	      !strcmp(order, "key") ? by_key : !strcmp(order, "now") ? by_now : by_growth);
}

static void report_row(struct insp_report *r, const struct insp_group_delta *d, uint64_t growth)
{
	insp_cell_str(r, d->key);
	insp_cell_u64(r, d->base.count);
	insp_cell_u64(r, d->now.count);
	insp_cell_i64(r, (int64_t)(d->now.count - d->base.count));
	insp_cell_u64(r, d->base.bytes);
	insp_cell_u64(r, d->now.bytes);
	insp_cell_i64(r, change(d));
	if (d->base.bytes)
		insp_cell_f64(r, factor(d));
	else
		insp_cell_unknown(r);
	insp_cell_str(r, risk(d, growth));
	insp_row_end(r);
}

static void report_rows(struct insp_report *report, const struct insp_group_deltas *d, const struct args *a,
			uint64_t growth)
{
	uint64_t shown = 0, total = 0;

	insp_table_begin(report, &table);
	for (size_t i = 0; i < d->n; i++) {
		int64_t c = change(&d->items[i]);

		if ((!c && d->items[i].now.count == d->items[i].base.count) ||
		    (uint64_t)(c < 0 ? -c : c) < a->min)
			continue;
		total++;
		if (a->limit && shown >= a->limit)
			continue;
		report_row(report, &d->items[i], growth);
		shown++;
	}
	insp_table_end(report);
	if (shown < total)
		insp_table_cut(report, shown, total, "--limit 0 shows all");
}

static void report_heads(struct insp_report *r, const struct insp_snapshot *base,
			 const struct insp_snapshot *now, const struct insp_group_deltas *d)
{
	insp_field_u64(r, "base_taken_at_ns", "base taken at", INSP_T_TIME, base->taken_at_ns);
	insp_field_u64(r, "elapsed_ns", "then to now", INSP_T_DURATION,
		       now->taken_at_ns > base->taken_at_ns ? now->taken_at_ns - base->taken_at_ns : 0);
	insp_field_u64(r, "base_bytes", "bytes then", INSP_T_BYTES, d->base.bytes);
	insp_field_u64(r, "now_bytes", "bytes now", INSP_T_BYTES, d->now.bytes);
	insp_field_i64(r, "delta_bytes", "change", INSP_T_DELTA,
		       (int64_t)(d->now.bytes - d->base.bytes));
	if (strcmp(base->comm, now->comm) != 0)
		insp_note(r, INSP_WARNING, "other_program", "the base is of %s, this is %s", base->comm,
			  now->comm);
}

struct comparison {
	struct insp_groups then, now;
	struct insp_profile *profile; /* NULL: none yet */
	const char *note;	      /* what the figures mean, where that is not plain; NULL */
};

static void destroy_profile(void *profile)
{
	insp_profile_destroy(profile);
}

static bool recorded(const struct insp_snapshot *s)
{
	return s->sites && s->sites->state == INSP_SITES_RECORDING && s->sites->nrecords;
}

/* What threads asked for where both sides know that, else what they cost. */
static int group_threads(struct insp_context *ctx, const struct insp_snapshot *base, struct comparison *c,
			 struct insp_error *err)
{
	bool both = recorded(base) && recorded(ctx->snapshot);
	const char *by = both ? INSP_GROUP_ALLOCATING_THREAD : "thread";
	int rc = insp_groups_make(base, by, ctx->pool, &c->then, err);

	c->note = both ? "what the threads asked for and is in use, as the hook recorded it"
		       : "stacks of the threads and what malloc caches for them; what they asked for needs "
			 "both to be taken with the hook";
	return rc ? rc : insp_groups_make(ctx->snapshot, by, ctx->pool, &c->now, err);
}

static int group(struct insp_context *ctx, const struct insp_snapshot *base, const char *by,
		 struct comparison *c, struct insp_error *err)
{
	int rc;

	if (!strcmp(by, "site")) {
		rc = insp_site_diff(ctx, base, &c->then, &c->now, &c->profile, err);
		if (!rc && insp_pool_defer(ctx->pool, destroy_profile, c->profile)) {
			insp_profile_destroy(c->profile);
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		}
		return rc;
	}
	if (!strcmp(by, "type"))
		return insp_type_diff(ctx, base, &c->then, &c->now, &c->note, err);
	if (!strcmp(by, "thread"))
		return group_threads(ctx, base, c, err);
	rc = insp_groups_make(base, by, ctx->pool, &c->then, err);
	return rc ? rc : insp_groups_make(ctx->snapshot, by, ctx->pool, &c->now, err);
}

/* For renderers of profiles: a stack of one name for each group that changed. */
static int profile_groups(struct insp_context *ctx, const struct insp_group_deltas *d, const char *by,
			  struct insp_profile **ret, struct insp_error *err)
{
	struct insp_profile *p = insp_profile_create(
		ctx->pool, insp_pool_printf(ctx->pool, "change by %s", by));

	if (!p || insp_pool_defer(ctx->pool, destroy_profile, p)) {
		insp_profile_destroy(p);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	insp_profile_add_type(p, "objects", "count");
	insp_profile_add_type(p, "space", "bytes");
	p->default_type = 1;
	p->delta = true;
	p->time_ns = ctx->snapshot->taken_at_ns;
	for (size_t i = 0; i < d->n; i++) {
		int64_t count = (int64_t)(d->items[i].now.count - d->items[i].base.count);
		struct insp_profile_sample *sample;
		uint32_t location;

		if (!count && !change(&d->items[i]))
			continue;
		location = insp_profile_add_location(p, 0, 0);
		insp_profile_add_frame(p, d->items[i].key, NULL, 0);
		sample = insp_profile_add_sample(p);
		sample->values[0] = count;
		sample->values[1] = change(&d->items[i]);
		insp_profile_push(p, location);
	}
	*ret = p;
	return insp_profile_ok(p, err);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_snapshot *base;
	struct comparison c = {0};
	struct insp_group_deltas d;
	uint64_t growth = 0;
	int rc = insp_base_find(ctx, a->base, &base, err);

	if (!rc)
		rc = group(ctx, base, a->by, &c, err);
	if (!rc)
		rc = insp_groups_diff(&c.then, &c.now, ctx->pool, &d, err);
	if (!rc && !c.profile && insp_report_wants_profile(report))
		rc = profile_groups(ctx, &d, a->by, &c.profile, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < d.n; i++)
		growth += change(&d.items[i]) > 0 ? (uint64_t)change(&d.items[i]) : 0;
	sort(&d, a->sort);
	report_heads(report, base, ctx->snapshot, &d);
	if (c.note)
		insp_note(report, INSP_NOTE, "means", "%s", c.note);
	report_rows(report, &d, a, growth);
	if (c.profile)
		insp_report_profile_only(report, c.profile);
	return 0;
}

static unsigned needs_of(const void *args)
{
	const char *by = ((const struct args *)args)->by;

	if (!strcmp(by, "site"))
		return INSP_NEED_SITES | INSP_NEED_SYMBOLS;
	return !strcmp(by, "type") ? INSP_TYPING_NEEDS : insp_groups_needs(by);
}

static const struct insp_column top_fields[] = {
	{"base_taken_at_ns", NULL, INSP_T_TIME, 0, "of the older snapshot"},
	{"elapsed_ns", NULL, INSP_T_DURATION, 0, "between the two"},
	{"base_bytes", NULL, INSP_T_BYTES, 0, "in use then"},
	{"now_bytes", NULL, INSP_T_BYTES, 0, "in use now"},
	{"delta_bytes", NULL, INSP_T_DELTA, 0, "now minus then"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&top_doc, &table, NULL};

const struct insp_command insp_cmd_diff = {
	.name = "diff",
	.group = "files",
	.summary = "what grew since an earlier snapshot, by size, type, site, arena, thread, state or mapping",
	.help = "Compares a saved snapshot with the process, or with a second file: `meminspect diff "
		"start.mi peak.mi`. Bytes and counts are those in use, but for states and mappings.\n\n"
		"Risk is how much of all growth a group is responsible for: high from 30 %, medium from "
		"10 %. A group that only appears now is new; one that is not there any more is gone.\n\n"
		"--by site compares who allocated what is in use, as the hook recorded it, by the names of "
		"functions.\n\n"
		"--by type wants debug info, or the bytes (save --contents), or what was counted when it was "
		"saved (save --types); where one side has neither bytes nor counts, both are told without.\n\n"
		"--by thread adds up threads of the same name: what they asked for where the hook recorded it "
		"on both sides, else their stacks and what malloc caches for them.\n\n"
		"--format pprof, folded and flamegraph write the change, of --by site stack by stack.",
	.example = "diff --by size start.mi",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_PROFILE,
	.tables = tables,
	.needs_of = needs_of,
	.run = run,
};
