/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report weekly: the archive, week by week, against a baseline; with --format html a page of
 * pictures. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/fmt.h"
#include "base/str.h"
#include "command/command.h"
#include "tool/archive.h"
#include "tool/cells.h"
#include "watch/trace.h"

/* Weeks that differ by less are the same. */
#define SAME_SHARE 0.02

struct args {
	const char *folder, *target, *baseline;
};

static const struct insp_option options[] = {
	{.name = "DIR",
	 .type = INSP_OPT_FILE,
	 .offset = offsetof(struct args, folder),
	 .required = true,
	 .help = "folder with snapshots ('save') and recordings ('watch --record')"},
	{.name = "target",
	 .letter = 't',
	 .type = INSP_OPT_TEXT,
	 .arg = "NAME",
	 .offset = offsetof(struct args, target),
	 .help = "only processes of this name"},
	{.name = "baseline",
	 .letter = 'b',
	 .type = INSP_OPT_TEXT,
	 .arg = "WEEK",
	 .offset = offsetof(struct args, baseline),
	 .help = "week to compare with, like 2026-W44; default: the first"},
	INSP_OPTION_END,
};

static const struct insp_column week_columns[] = {
	{"process", "process", INSP_T_STR, 0, "name"},
	{"week", "week", INSP_T_STR, 0, "of ISO 8601, local time"},
	{"peak_rss", "peak RSS", INSP_T_BYTES, 0, "highest RSS"},
	{"rss", "RSS", INSP_T_BYTES, 0, "median of all samples and snapshots"},
	{"rss_bar", "", INSP_T_BAR, 0, "the same as a share of the largest week of this process"},
	{"change", "change", INSP_T_RATIO, 0, "of RSS against the baseline"},
	{"in_use", "in use", INSP_T_BYTES, 0, "median of all walks and snapshots"},
	{"in_use_change", "change", INSP_T_RATIO, 0, "of in use against the baseline"},
	{"free", "free", INSP_T_BYTES, 0, "kept by malloc, median"},
	{"bad_share", "bad", INSP_T_RATIO, 0,
	 "share of the samples at level warn or worse; unknown without samples"},
	{"processes", "started", INSP_T_COUNT, 0, "different processes that were seen"},
	{"samples", "samples", INSP_T_COUNT, 0, "of recordings"},
	{"walks", NULL, INSP_T_COUNT, 0, "of recordings and snapshots"},
	{"snapshots", "snapshots", INSP_T_COUNT, 0, "files"},
};
static const struct insp_table week_table =
	INSP_TABLE("weeks", "Week by week", week_columns, "no snapshots and no recordings");

static const struct insp_column point_columns[] = {
	{"process", NULL, INSP_T_STR, 0, "name"},
	{"at_ns", NULL, INSP_T_TIME, 0, "when"},
	{"RSS", NULL, INSP_T_BYTES, 0, "highest in this stretch of time"},
	{"in_use", NULL, INSP_T_BYTES, 0, "by the last walk in it"},
	{"free", NULL, INSP_T_BYTES, 0, "by the same walk"},
	{"limit", NULL, INSP_T_BYTES, 0, "of its cgroup or address space"},
};
static const struct insp_table point_table = {
	.key = "points",
	.title = NULL,
	.columns = point_columns,
	.ncolumns = sizeof(point_columns) / sizeof(point_columns[0]),
	.draw = INSP_DRAW_LINES,
};

static const struct insp_column trend_columns[] = {
	{"process", "process", INSP_T_STR, 0, "name"},
	{"trend", "trend", INSP_T_STR, 0, "median RSS, one mark a week"},
	{"baseline", "baseline", INSP_T_STR, 0, "the week that is compared with"},
	{"last", "last", INSP_T_STR, 0, "the last week there is"},
	{"change", "change", INSP_T_RATIO, 0, "of RSS from the baseline to the last week"},
	{"per_week", "per week", INSP_T_DELTA, 0,
	 "slope of the straight line through the weeks, bytes"},
	{"words", "", INSP_T_STR, INSP_COL_WRAP, "what that means"},
};
static const struct insp_table trend_table =
	INSP_TABLE("trends", "Against the baseline", trend_columns, NULL);

static double change(uint64_t now, uint64_t then)
{
	return insp_known(now) / insp_known(then) - 1;
}

/* The week of that name, or the first; NULL: this process has none of that name. */
static const struct insp_archive_week *baseline_of(const struct insp_archive_process *p,
						   const char *name)
{
	if (!name)
		return &p->weeks[0];
	for (size_t i = 0; i < p->nweeks; i++)
		if (strcmp(p->weeks[i].name, name) == 0)
			return &p->weeks[i];
	return NULL;
}

static uint64_t largest(const struct insp_archive_process *p)
{
	uint64_t most = 0;

	for (size_t i = 0; i < p->nweeks; i++)
		most = p->weeks[i].rss != INSP_UNKNOWN && p->weeks[i].rss > most ? p->weeks[i].rss
										 : most;
	return most;
}

static void report_weeks(struct insp_report *r, const struct insp_archive_process *p,
			 const char *baseline)
{
	const struct insp_archive_week *base = baseline_of(p, baseline);
	double most = (double)largest(p);

	for (size_t i = 0; i < p->nweeks; i++) {
		const struct insp_archive_week *w = &p->weeks[i];

		insp_cell_str(r, p->name);
		insp_cell_str(r, w->name);
		insp_cell_known(r, w->peak_rss);
		insp_cell_known(r, w->rss);
		insp_cell_finite(r, most > 0 ? insp_known(w->rss) / most : (double)NAN);
		insp_cell_finite(r, base ? change(w->rss, base->rss) : (double)NAN);
		insp_cell_known(r, w->in_use);
		insp_cell_finite(r, base ? change(w->in_use, base->in_use) : (double)NAN);
		insp_cell_known(r, w->free);
		insp_cell_finite(r, w->samples ? (double)w->bad / (double)w->samples : (double)NAN);
		insp_cell_u64(r, w->processes);
		insp_cell_u64(r, w->samples);
		insp_cell_u64(r, w->walks);
		insp_cell_u64(r, w->snapshots);
		insp_row_end(r);
	}
}

/* At its end: how many weeks in a row each was higher than the one before. */
static size_t rises(const struct insp_archive_process *p)
{
	size_t n = 0;

	for (size_t i = p->nweeks; i > 1; i--, n++)
		if (!(change(p->weeks[i - 1].rss, p->weeks[i - 2].rss) > SAME_SHARE))
			break;
	return n;
}

static void say(struct insp_str *words, const struct insp_archive_process *p,
		const struct insp_archive_week *base)
{
	const struct insp_archive_week *last = &p->weeks[p->nweeks - 1];
	double c = base ? change(last->rss, base->rss) : (double)NAN;
	size_t n = rises(p);

	insp_str_reset(words);
	if (!base)
		insp_str_add(words, "not seen in the week of the baseline");
	else if (base == last)
		insp_str_add(words, "one week only: nothing to compare with");
	else if (!isfinite(c))
		insp_str_add(words, "its RSS is not known");
	else if (fabs(c) <= SAME_SHARE)
		insp_str_add(words, "as in the baseline");
	else
		insp_str_add(words,
			     c > 0 ? "more than in the baseline" : "less than in the baseline");
	if (n >= 2)
		insp_str_addf(words, ", and grew %zu weeks in a row", n);
	if (base && base != last && change(last->in_use, base->in_use) < SAME_SHARE &&
	    c > 10 * SAME_SHARE)
		insp_str_add(words,
			     "; not what is in use, but what malloc keeps or what is no heap");
}

static void report_trend(struct insp_report *r, const struct insp_archive_process *p,
			 const char *baseline, struct insp_pool *pool)
{
	double *x = insp_pool_array(pool, p->nweeks, sizeof(*x)),
	       *y = insp_pool_array(pool, p->nweeks, sizeof(*y));
	const struct insp_archive_week *base = baseline_of(p, baseline),
				       *last = &p->weeks[p->nweeks - 1];
	struct insp_str text = {0};
	double slope;

	if (!x || !y)
		return;
	for (size_t i = 0; i < p->nweeks; i++) {
		x[i] = (double)p->weeks[i].first_ns / (7 * 86400e9);
		y[i] = insp_known(p->weeks[i].rss);
	}
	slope = insp_slope(x, y, p->nweeks);
	insp_spark_line(y, p->nweeks, true, &text);
	insp_cell_str(r, p->name);
	insp_cell_str(r, insp_str_text(&text));
	insp_cell_str(r, base ? base->name : NULL);
	insp_cell_str(r, last->name);
	insp_cell_finite(r, base && base != last ? change(last->rss, base->rss) : (double)NAN);
	insp_cell_finite_delta(r, slope);
	say(&text, p, base);
	insp_cell_str(r, insp_str_text(&text));
	insp_row_end(r);
	insp_str_deinit(&text);
}

static void report_points(struct insp_report *r, const struct insp_archive_process *p)
{
	for (size_t i = 0; i < INSP_ARCHIVE_POINTS; i++) {
		const struct insp_archive_point *point = &p->points[i];

		if (!point->at_ns)
			continue;
		insp_cell_str(r, p->name);
		insp_cell_u64(r, point->at_ns);
		insp_cell_known(r, point->rss);
		insp_cell_known(r, point->in_use);
		insp_cell_known(r, point->free);
		insp_cell_known(r, point->limit);
		insp_row_end(r);
	}
}

static void report_all(struct insp_report *r, const struct insp_archive *a, const char *baseline,
		       struct insp_pool *pool)
{
	insp_field_u64(r, "from_ns", "from", INSP_T_TIME, a->from_ns);
	insp_field_u64(r, "to_ns", "to", INSP_T_TIME, a->to_ns);
	insp_field_u64(r, "recordings", "recordings", INSP_T_COUNT, a->recordings);
	insp_field_u64(r, "snapshots", "snapshots", INSP_T_COUNT, a->snapshots);
	insp_table_begin(r, &trend_table);
	for (size_t i = 0; i < a->n; i++)
		if (a->processes[i].nweeks)
			report_trend(r, &a->processes[i], baseline, pool);
	insp_table_end(r);
	insp_table_begin(r, &point_table);
	for (size_t i = 0; i < a->n; i++)
		report_points(r, &a->processes[i]);
	insp_table_end(r);
	insp_table_begin(r, &week_table);
	for (size_t i = 0; i < a->n; i++)
		if (a->processes[i].nweeks)
			report_weeks(r, &a->processes[i], baseline);
	insp_table_end(r);
	for (size_t i = 0; i < a->left_out.n; i++)
		insp_note(r, INSP_WARNING, "left_out", "left out: %s", a->left_out.items[i]);
}

static int check_baseline(const struct insp_archive *a, const char *baseline,
			  struct insp_error *err)
{
	bool found = !baseline;

	for (size_t i = 0; i < a->n && !found; i++)
		found = baseline_of(&a->processes[i], baseline) != NULL;
	return found ? 0
		     : insp_fail(
			       err, INSP_E_USAGE,
			       "option '--baseline': nothing is known of week '%s' (like 2026-W44)",
			       baseline);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_archive archive;
	int rc = insp_archive_read(a->folder, a->target, ctx->pool, &archive, err);

	if (!rc && !archive.n)
		rc = archive.left_out.n && !a->target
			     ? insp_fail(err, INSP_E_NOTFOUND, "nothing in '%s' can be used: %s",
					 a->folder, archive.left_out.items[0])
			     : insp_fail(err, INSP_E_NOTFOUND,
					 "no snapshots and no recordings%s%s in '%s'",
					 a->target ? " of " : "", a->target ? a->target : "",
					 a->folder);
	if (!rc)
		rc = check_baseline(&archive, a->baseline, err);
	if (!rc)
		report_all(report, &archive, a->baseline, ctx->pool);
	insp_archive_deinit(&archive);
	return rc;
}

static const struct insp_column top_fields[] = {
	{"from_ns", NULL, INSP_T_TIME, 0, "the earliest figure"},
	{"to_ns", NULL, INSP_T_TIME, 0, "the latest"},
	{"recordings", NULL, INSP_T_COUNT, 0, "that were read"},
	{"snapshots", NULL, INSP_T_COUNT, 0, "that were read"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&top_doc, &trend_table, &point_table, &week_table,
						  NULL};

const struct insp_command insp_cmd_report_weekly = {
	.name = "report weekly",
	.group = "watch",
	.summary = "an archive of snapshots and recordings, week by week, against a baseline",
	.help = "Reads all snapshots and recordings of a folder and says of each process, told by "
		"its name, how its "
		"memory went from week to week. Figures of a week are medians: neither an hour of "
		"load nor a restart "
		"moves them; the peak is the highest RSS. Change is against --baseline, or the "
		"first week.\n\n"
		"With --format html -o FILE it is one page that needs nothing but itself, with "
		"lines of RSS, what is in "
		"use and free in the heap, and the limit. In --format json the table points has "
		"what is drawn.\n\n"
		"Files that cannot be read are named and left out.",
	.example = "report weekly /var/tmp/memory",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
