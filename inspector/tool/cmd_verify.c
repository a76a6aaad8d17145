/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify: what came of a fix: two stretches of recordings side by side, and the verdict. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/fmt.h"
#include "base/str.h"
#include "command/command.h"
#include "record/record.h"
#include "tool/cells.h"
#include "tool/phase.h"
#include "tool/timespan.h"

/* RSS that moves by more than this in the last quarter of a phase is not steady. */
#define STEADY_SHARE 0.05

struct args {
	const char *before, *after, *target;
	double drop;
};

static const struct insp_option options[] = {
	{.name = "BEFORE",
	 .type = INSP_OPT_FILE,
	 .offset = offsetof(struct args, before),
	 .required = true,
	 .help = "recording of before the fix, FILE or FILE@FROM..TO: 14:05, 2026-11-25T14:05, "
		 "+10min (from its "
		 "beginning), -10min (before its end), or nothing"},
	{.name = "AFTER",
	 .type = INSP_OPT_FILE,
	 .offset = offsetof(struct args, after),
	 .required = true,
	 .help = "of after it; may be the same file"},
	{.name = "target",
	 .letter = 't',
	 .type = INSP_OPT_TEXT,
	 .arg = "NAME",
	 .offset = offsetof(struct args, target),
	 .help = "which process, as watch was told it, when a recording has several"},
	{.name = "drop",
	 .type = INSP_OPT_PERCENT,
	 .arg = "PERCENT",
	 .def = "20%",
	 .offset = offsetof(struct args, drop),
	 .help = "how far below the peak it has to be to have fallen back"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"phase", "phase", INSP_T_STR, 0, "before or after"},
	{"peak_rss", "peak RSS", INSP_T_BYTES, 0,
	 "highest RSS in it, the kernel's own peak included where it rose in it"},
	{"steady_rss", "steady RSS", INSP_T_BYTES, 0, "median of its last quarter"},
	{"steady_in_use", "in use", INSP_T_BYTES, 0,
	 "of the heap, by the walks of the last quarter, or the last walk"},
	{"retained_free", "retained", INSP_T_BYTES, 0,
	 "free, and kept by malloc, by the same walks"},
	{"drop", "drop", INSP_T_RATIO, 0, "1 - steady / peak"},
	{"per_minute", "growth/min", INSP_T_DELTA, 0,
	 "slope of RSS in the last quarter, bytes a minute"},
	{"from_ns", "from", INSP_T_TIME, 0, "first sample"},
	{"span_ns", "over", INSP_T_DURATION, 0, "from the first to the last sample"},
	{"samples", "samples", INSP_T_COUNT, 0, "how many"},
	{"walks", "walks", INSP_T_COUNT, 0, "how many"},
	{"runs", "runs", INSP_T_COUNT, INSP_COL_WIDE,
	 "processes: one more than it was started anew"},
};
static const struct insp_table table = INSP_TABLE("phases", NULL, columns, NULL);

enum verdict { FELL_BACK, DID_NOT, NOT_ENOUGH };

static void report_row(struct insp_report *r, const char *name, const struct insp_phase *p)
{
	insp_cell_str(r, name);
	insp_cell_known(r, p->peak_rss);
	insp_cell_known(r, p->steady_rss);
	insp_cell_known(r, p->steady_in_use);
	insp_cell_known(r, p->retained_free);
	insp_cell_finite(r, p->drop);
	insp_cell_finite_delta(r, p->per_minute);
	insp_cell_known(r, p->samples ? p->from_ns : INSP_UNKNOWN);
	insp_cell_u64(r, p->to_ns - p->from_ns);
	insp_cell_u64(r, p->samples);
	insp_cell_u64(r, p->walks);
	insp_cell_u64(r, p->runs);
	insp_row_end(r);
}

/* By how much it moves within its last quarter. */
static bool grows(const struct insp_phase *p)
{
	double minutes = (double)(p->to_ns - p->from_ns) / 4 / 6e10;

	return isfinite(p->per_minute) &&
	       p->per_minute * minutes > STEADY_SHARE * (double)p->steady_rss;
}

static enum verdict judge(const struct args *a, const struct insp_phase *before,
			  const struct insp_phase *after, struct insp_str *words)
{
	char peak[INSP_FMT_MAX], steady[INSP_FMT_MAX], share[INSP_FMT_MAX], rate[INSP_FMT_MAX];
	const struct insp_phase *phases[] = {before, after};
	uint64_t top;

	for (int i = 0; i < 2; i++)
		if (phases[i]->samples < INSP_PHASE_SAMPLES_MIN) {
			insp_str_addf(words,
				      "Not enough data: %" PRIu64
				      " samples %s the fix, at least %d are needed.",
				      phases[i]->samples, i ? "after" : "before",
				      INSP_PHASE_SAMPLES_MIN);
			return NOT_ENOUGH;
		}
	top = before->peak_rss > after->peak_rss ? before->peak_rss : after->peak_rss;
	insp_fmt_bytes(peak, top);
	insp_fmt_bytes(steady, after->steady_rss);
	insp_fmt_percent(share, (double)top - (double)after->steady_rss, (double)top);
	if (grows(after)) {
		insp_str_addf(words,
			      "It did not fall back: after the fix RSS still grows, by %s a minute "
			      "at its end.",
			      insp_fmt_bytes(rate, (uint64_t)after->per_minute));
		return DID_NOT;
	}
	if ((double)after->steady_rss > (1 - a->drop / 100) * (double)top) {
		insp_str_addf(words,
			      "It did not fall back: steady RSS after the fix is %s, %s below the "
			      "peak of %s; %.0f %% "
			      "were asked for.",
			      steady, share, peak, a->drop);
		return DID_NOT;
	}
	insp_str_addf(words, "It fell back: from a peak of %s to a steady %s, %s less.", peak,
		      steady, share);
	return FELL_BACK;
}

/* What more the figures say. */
static void remark(struct insp_report *r, enum verdict verdict, const struct insp_phase *before,
		   const struct insp_phase *after)
{
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];

	if (verdict == NOT_ENOUGH)
		return;
	if (verdict == DID_NOT && after->retained_free != INSP_UNKNOWN &&
	    after->retained_free > after->steady_rss / 3)
		insp_note(r, INSP_NOTE, "retained",
			  "%s of it is free and kept by malloc: `heap trim --dry-run` and `heap "
			  "pins` say why",
			  insp_fmt_bytes(a, after->retained_free));
	if (verdict == DID_NOT && before->steady_in_use != INSP_UNKNOWN &&
	    after->steady_in_use != INSP_UNKNOWN &&
	    after->steady_in_use < before->steady_in_use / 2)
		insp_note(r, INSP_NOTE, "in_use_fell",
			  "what is in use fell from %s to %s: the program frees it, but it does "
			  "not go back",
			  insp_fmt_bytes(a, before->steady_in_use),
			  insp_fmt_bytes(b, after->steady_in_use));
	if (verdict == FELL_BACK && isfinite(before->drop) && before->drop > 0 &&
	    after->drop <= before->drop && after->steady_rss >= before->steady_rss)
		insp_note(r, INSP_NOTE, "as_before", "it fell back before the fix as well");
	if (!after->walks)
		insp_note(r, INSP_NOTE, "no_walks",
			  "the recording has no walks: nothing is known of what is in use and free "
			  "in the heap");
}

static int make_phase(const char *text, const char *target, struct insp_pool *pool,
		      struct insp_phase *ret, struct insp_error *err)
{
	uint64_t first, last, from, to;
	struct insp_record *record;
	const char *file, *range;
	int rc = insp_timespan_split(text, pool, &file, &range, err);

	if (!rc)
		rc = insp_record_open(file, INSP_RECORD_READ, &record, err);
	if (rc)
		return rc;
	rc = insp_record_span(record, &first, &last, err);
	if (!rc)
		rc = insp_timespan_parse(range, first, last, &from, &to, err);
	if (!rc)
		rc = insp_phase_make(record, target, from, to, pool, ret, err);
	insp_record_close(record);
	if (rc == INSP_E_USAGE)
		insp_error_prefix(err, "'%s'", text);
	return rc;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	static const char *const keys[] = {"fell_back", "did_not_fall_back", "not_enough_data"};
	const struct args *a = args;
	struct insp_phase before, after;
	struct insp_str words = {0};
	enum verdict verdict;
	int rc = make_phase(a->before, a->target, ctx->pool, &before, err);

	if (!rc)
		rc = make_phase(a->after, a->target, ctx->pool, &after, err);
	if (!rc && a->drop > 100)
		rc = insp_fail(err, INSP_E_USAGE, "option '--drop': at most 100%%");
	if (rc)
		return rc;
	verdict = judge(a, &before, &after, &words);
	insp_table_begin(report, &table);
	report_row(report, "before", &before);
	report_row(report, "after", &after);
	insp_table_end(report);
	insp_field_str(report, "verdict", NULL, keys[verdict]);
	insp_text(report, "words", "%s", insp_str_text(&words));
	remark(report, verdict, &before, &after);
	insp_str_deinit(&words);
	if (verdict == NOT_ENOUGH)
		return insp_fail(err, INSP_E_NOTFOUND, "not enough data for a verdict");
	return verdict == FELL_BACK ? 0 : insp_fail(err, INSP_E_THRESHOLD, "it did not fall back");
}

static const struct insp_column top_fields[] = {
	{"verdict", NULL, INSP_T_STR, 0, "fell_back, did_not_fall_back or not_enough_data"},
	{"words", NULL, INSP_T_STR, 0, "the verdict in words"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&table, &top_doc, NULL};

const struct insp_command insp_cmd_verify = {
	.name = "verify",
	.group = "watch",
	.summary = "what came of a fix: peak, steady and retained memory before and after, and the "
		   "verdict",
	.help = "Takes two recordings of 'watch --record', or two stretches of one: verify "
		"run.db@..14:00 run.db@14:10.. "
		"Both should have seen the same load rise and end.\n\n"
		"Steady is the median of the last quarter of a phase. It fell back when the steady "
		"RSS after the fix is "
		"at least --drop below the higher of the two peaks, and does not grow any more (by "
		"more than 5 % in that "
		"quarter).\n\n"
		"Exit 0: it fell back. 3: it did not. 1: not enough data (a phase with fewer than "
		"eight samples), or an "
		"error.",
	.example = "verify run.db@..+30min run.db@-30min..",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
