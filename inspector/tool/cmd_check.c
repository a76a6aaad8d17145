/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * check: one look for a monitoring system: a line, figures behind a |, and the exit code.
 *
 * Whatever goes wrong is UNKNOWN (exit 3): the plugin that said CRITICAL because it could not look
 * is the one that nobody believes any more.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/fmt.h"
#include "base/log.h"
#include "command/command.h"
#include "front/session.h"
#include "record/record.h"
#include "watch/follow.h"
#include "watch/level.h"
#include "watch/trace.h"
#include "watch/walkstat.h"

#define HOUR_NS	       UINT64_C(3600000000000)
#define KEEP_NS	       (8 * 24 * HOUR_NS)    /* of a --state file */
#define HISTORY_MIN_NS UINT64_C(60000000000) /* shorter ones say nothing about an hour */
#define HISTORY_MAX    100000

enum status { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL, STATUS_UNKNOWN };

struct args {
	const char *target, *warn, *crit, *of, *growth, *state;
	uint64_t leaked, apart, over;
};

static const struct insp_option options[] = {
	{.name = "TARGET",
	 .type = INSP_OPT_TEXT,
	 .offset = offsetof(struct args, target),
	 .required = true,
	 .help = "PID or name of the process"},
	{.name = "warn",
	 .letter = 'w',
	 .type = INSP_OPT_TEXT,
	 .arg = "PERCENT|BYTES",
	 .def = INSP_LEVEL_WARN_TEXT,
	 .offset = offsetof(struct args, warn),
	 .help = "WARNING above this share of the limit, or this size"},
	{.name = "crit",
	 .letter = 'c',
	 .type = INSP_OPT_TEXT,
	 .arg = "PERCENT|BYTES",
	 .def = INSP_LEVEL_CRIT_TEXT,
	 .offset = offsetof(struct args, crit),
	 .help = "CRITICAL above this"},
	{.name = "of",
	 .type = INSP_OPT_TEXT,
	 .arg = "limit|BYTES",
	 .def = "limit",
	 .offset = offsetof(struct args, of),
	 .help = "what shares are of: the limit that the process has, or a size, with which RSS is "
		 "compared"},
	{.name = "growth",
	 .letter = 'g',
	 .type = INSP_OPT_TEXT,
	 .arg = "RATE",
	 .offset = offsetof(struct args, growth),
	 .help = "WARNING when RSS grows faster: 10%/h, 50M/h, 1G/d; by the history in --state, or "
		 "by two looks"},
	{.name = "state",
	 .letter = 's',
	 .type = INSP_OPT_FILE,
	 .arg = "FILE",
	 .offset = offsetof(struct args, state),
	 .help = "history for --growth: what check itself keeps in FILE, or a recording that watch "
		 "writes"},
	{.name = "over",
	 .type = INSP_OPT_DURATION,
	 .arg = "DURATION",
	 .def = "1h",
	 .offset = offsetof(struct args, over),
	 .help = "with --state: how much of the history counts"},
	{.name = "apart",
	 .type = INSP_OPT_DURATION,
	 .arg = "DURATION",
	 .def = "3s",
	 .offset = offsetof(struct args, apart),
	 .help = "without --state: time between the two looks"},
	{.name = "leaked",
	 .letter = 'l',
	 .type = INSP_OPT_SIZE,
	 .arg = "BYTES",
	 .def = INSP_OPTION_NO_LIMIT,
	 .offset = offsetof(struct args, leaked),
	 .help = "WARNING when more than this is lost: walks the heap and stops the process for a "
		 "moment"},
	INSP_OPTION_END,
};

/* RSS in time, of one process. */
struct history {
	double seconds[HISTORY_MAX], rss[HISTORY_MAX];
	size_t n;
	uint64_t first_ns, last_ns;
};

struct check {
	const struct args *args;
	struct insp_follow follow;
	struct insp_sample sample;
	struct insp_leveler leveler;
	struct insp_walkstat walk;
	bool walked;
	double growth_limit; /* bytes an hour; 0: none given */
	double growth_share; /* the same as a share of RSS an hour; 0: see growth_limit */
	double growth;	     /* bytes an hour; NaN: not known */
	struct history *history;
	enum status status;
	struct insp_str line, figures, reasons;
};

/* "10%/h", "50M/d", "1G/min" */
static int parse_growth(struct check *c, const char *text, struct insp_pool *pool,
			struct insp_error *err)
{
	static const struct {
		const char *unit;
		double per_hour;
	} units[] = {{"h", 1}, {"d", 1.0 / 24}, {"min", 60}, {"", 0}};
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text), u = 0;
	char *amount = insp_pool_strndup(pool, text, n);
	double percent;
	uint64_t bytes;
	int rc;

	if (!amount)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	while (units[u].per_hour > 0 && (!slash || strcmp(slash + 1, units[u].unit) != 0))
		u++;
	if (units[u].per_hour <= 0)
		return insp_fail(err, INSP_E_USAGE,
				 "option '--growth': '%s' is no rate (like 10%%/h, 50M/h, 1G/d)",
				 text);
	if (n && amount[n - 1] == '%') {
		rc = insp_parse_percent(amount, &percent, err);
		if (!rc)
			c->growth_share = percent / 100 * units[u].per_hour;
	} else {
		rc = insp_parse_size(amount, &bytes, err);
		if (!rc)
			c->growth_limit = (double)bytes * units[u].per_hour;
	}
	if (rc)
		insp_error_prefix(err, "option '--growth'");
	else if (c->growth_share <= 0 && c->growth_limit <= 0)
		rc = insp_fail(err, INSP_E_USAGE, "option '--growth': '%s' is no growth", text);
	return rc;
}

static int take_options(struct check *c, struct insp_pool *pool, struct insp_error *err)
{
	const struct args *a = c->args;
	int rc = insp_threshold_parse(a->warn, &c->leveler.warn, err);

	if (!rc)
		rc = insp_threshold_parse(a->crit, &c->leveler.crit, err);
	if (!rc && strcmp(a->of, "limit") != 0)
		rc = insp_parse_size(a->of, &c->leveler.limit, err);
	if (!rc && a->growth)
		rc = parse_growth(c, a->growth, pool, err);
	return rc;
}

/* ---- growth */

static int remember(void *ctx, int64_t run, const struct insp_sample *s, enum insp_level level)
{
	struct history *h = ctx;

	(void)run;
	(void)level;
	if (s->rss == INSP_UNKNOWN || h->n == HISTORY_MAX)
		return 0;
	if (!h->n)
		h->first_ns = s->at_ns;
	h->last_ns = s->at_ns;
	h->seconds[h->n] = (double)(s->at_ns - h->first_ns) / 1e9;
	h->rss[h->n++] = (double)s->rss;
	return 0;
}

static int use_state(struct check *c, struct insp_record *record, struct insp_error *err)
{
	struct insp_record_run run = {
		.spec = c->follow.spec,
		.comm = insp_gauge_comm(c->follow.gauge),
		.pid = c->follow.pid,
		.ticks = c->follow.ticks,
		.started_at_ns = c->sample.started_at_ns,
	};
	struct insp_record_range range = {.to_ns = UINT64_MAX};
	int rc = insp_record_begin(record, err);

	range.from_ns = c->sample.at_ns > c->args->over ? c->sample.at_ns - c->args->over : 0;
	if (!rc)
		rc = insp_record_run(record, &run, &range.run, err);
	if (!rc)
		rc = insp_record_sample(record, range.run, &c->sample, c->leveler.level, err);
	if (!rc)
		rc = insp_record_forget(record,
					c->sample.at_ns > KEEP_NS ? c->sample.at_ns - KEEP_NS : 0,
					err);
	if (!rc)
		rc = insp_record_commit(record, err);
	return rc ? rc : insp_record_each_sample(record, &range, remember, c->history, err);
}

static int growth_by_state(struct check *c, struct insp_error *err)
{
	struct insp_record *record;
	int rc = insp_record_open(c->args->state, INSP_RECORD_WRITE, &record, err);

	if (rc)
		return rc;
	rc = use_state(c, record, err);
	insp_record_close(record);
	return rc;
}

static int growth_by_two_looks(struct check *c, struct insp_error *err)
{
	struct timespec ts = {(time_t)(c->args->apart / 1000000000),
			      (long)(c->args->apart % 1000000000)};
	unsigned generation = c->follow.generation;
	int rc;

	(void)remember(c->history, 0, &c->sample, INSP_LEVEL_OK);
	(void)nanosleep(&ts, NULL);
	rc = insp_follow_read(&c->follow, &c->sample, err);
	if (!rc && c->follow.generation != generation)
		rc = insp_fail(err, INSP_E_GONE, "process '%s' was started anew meanwhile",
			       c->args->target);
	if (!rc)
		(void)remember(c->history, 0, &c->sample, INSP_LEVEL_OK);
	return rc;
}

static int find_growth(struct check *c, struct insp_pool *pool, struct insp_error *err)
{
	struct history *h = insp_pool_alloc(pool, sizeof(*h));
	int rc = 0;

	c->history = h;
	c->growth = NAN;
	if (!h)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (c->args->state)
		rc = growth_by_state(c, err);
	else if (c->args->growth)
		rc = growth_by_two_looks(c, err);
	if (rc || h->n < 2 || (c->args->state && h->last_ns - h->first_ns < HISTORY_MIN_NS))
		return rc;
	c->growth = insp_slope(h->seconds, h->rss, h->n) * 3600;
	return 0;
}

/* ---- the verdict */

static insp_printf(3, 4) void reason(struct check *c, enum status status, const char *fmt, ...)
{
	va_list ap;

	if (c->reasons.len)
		insp_str_add(&c->reasons, ", ");
	va_start(ap, fmt);
	insp_str_vaddf(&c->reasons, fmt, ap);
	va_end(ap);
	c->status = status > c->status ? status : c->status;
}

static void judge_used(struct check *c)
{
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], p[INSP_FMT_MAX];
	const struct insp_leveler *l = &c->leveler;
	enum status status = l->level == INSP_LEVEL_CRIT   ? STATUS_CRITICAL
			     : l->level == INSP_LEVEL_WARN ? STATUS_WARNING
							   : STATUS_OK;

	if (l->of == INSP_UNKNOWN || !l->of)
		reason(c, status, "%s used", insp_fmt_bytes(a, l->used));
	else
		reason(c, status, "%s used, %s of %s (%s)", insp_fmt_bytes(a, l->used),
		       insp_fmt_percent(p, (double)l->used, (double)l->of),
		       insp_fmt_bytes(b, l->of),
		       l->limit ? "as given" : insp_limit_kind_title(c->sample.limit_kind));
}

static void judge_growth(struct check *c)
{
	const struct history *h = c->history;
	char a[INSP_FMT_MAX], d[INSP_FMT_MAX];
	double share = c->growth / (h->n ? h->rss[0] : NAN);
	bool fast;

	if (!c->args->growth)
		return;
	if (!isfinite(c->growth)) {
		reason(c, STATUS_OK, "growth not known yet (%zu sample%s over %s)", h->n,
		       h->n == 1 ? "" : "s", insp_fmt_duration(d, h->last_ns - h->first_ns));
		return;
	}
	fast = c->growth_share > 0 ? share > c->growth_share : c->growth > c->growth_limit;
	reason(c, fast ? STATUS_WARNING : STATUS_OK,
	       "growth %s%s/h, %+.1f %%/h (%zu samples over %s)", c->growth < 0 ? "-" : "+",
	       insp_fmt_bytes(a, (uint64_t)fabs(c->growth)), share * 100, h->n,
	       insp_fmt_duration(d, h->last_ns - h->first_ns));
}

static void judge_leaked(struct check *c)
{
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];

	if (c->walked)
		reason(c, c->walk.leaked > c->args->leaked ? STATUS_WARNING : STATUS_OK,
		       "%s leaked (stopped for %s)", insp_fmt_bytes(a, c->walk.leaked),
		       insp_fmt_duration(b, c->walk.stopped_ns));
}

/* ---- figures: 'label'=value[unit];warn;crit;min;max */

static void figure(struct check *c, const char *label, uint64_t value, const char *unit)
{
	if (value != INSP_UNKNOWN)
		insp_str_addf(&c->figures, " %s=%" PRIu64 "%s", label, value, unit);
}

static void used_figure(struct check *c)
{
	uint64_t warn = insp_threshold_bytes(&c->leveler.warn, c->leveler.of);
	uint64_t crit = insp_threshold_bytes(&c->leveler.crit, c->leveler.of);

	insp_str_addf(&c->figures, " used=%" PRIu64 "B;", c->leveler.used);
	if (warn != INSP_UNKNOWN)
		insp_str_addf(&c->figures, "%" PRIu64, warn);
	insp_str_addc(&c->figures, ';');
	if (crit != INSP_UNKNOWN)
		insp_str_addf(&c->figures, "%" PRIu64, crit);
	insp_str_add(&c->figures, ";0;");
	if (c->leveler.of != INSP_UNKNOWN)
		insp_str_addf(&c->figures, "%" PRIu64, c->leveler.of);
}

static void add_figures(struct check *c)
{
	const struct insp_sample *s = &c->sample;

	used_figure(c);
	figure(c, "rss", s->rss, "B");
	figure(c, "pss", s->pss, "B");
	figure(c, "swap", s->swap, "B");
	figure(c, "threads", s->threads, "");
	figure(c, "fds", s->open_fds, "");
	figure(c, "minor_faults", s->minor_faults, "c");
	figure(c, "major_faults", s->major_faults, "c");
	if (isfinite(c->growth))
		insp_str_addf(&c->figures, " growth_per_hour=%" PRId64 "B", (int64_t)c->growth);
	if (!c->walked)
		return;
	figure(c, "in_use", c->walk.in_use, "B");
	figure(c, "free", c->walk.free, "B");
	insp_str_addf(&c->figures, " leaked=%" PRIu64 "B;%" PRIu64, c->walk.leaked,
		      c->args->leaked);
	insp_str_addf(&c->figures, " pause=%.6fs", (double)c->walk.stopped_ns / 1e9);
}

static const struct insp_column top_fields[] = {
	{"line", NULL, INSP_T_STR, 0, "what monitoring systems read: status, reasons, figures"},
	{"status", NULL, INSP_T_STR, 0, "ok, warning, critical or unknown"},
	{"exit_code", NULL, INSP_T_ID, 0, "0, 1, 2 or 3"},
	{"pid", NULL, INSP_T_ID, 0, "of the process"},
	{"comm", NULL, INSP_T_STR, 0, "its name"},
	{"used", NULL, INSP_T_BYTES, 0, "what counts against the limit"},
	{"limit", NULL, INSP_T_BYTES, 0, "that limit"},
	{"rss", NULL, INSP_T_BYTES, 0, "resident set"},
	{"growth_per_hour", NULL, INSP_T_DELTA, 0, "of RSS, bytes; null: not known"},
	{"leaked", NULL, INSP_T_BYTES, 0, "lost bytes; null: not asked for"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&top_doc, NULL};

static void maybe_bytes(struct insp_report *r, const char *key, uint64_t v)
{
	if (v == INSP_UNKNOWN)
		insp_field_unknown(r, key, NULL);
	else
		insp_field_u64(r, key, NULL, INSP_T_BYTES, v);
}

static void tell(struct check *c, struct insp_report *r)
{
	static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	static const char *const keys[] = {"ok", "warning", "critical", "unknown"};

	insp_str_addf(&c->line, "MEMORY %s - %s %d: %s", words[c->status],
		      insp_gauge_comm(c->follow.gauge), c->follow.pid, insp_str_text(&c->reasons));
	insp_str_replace(&c->line, '|', '/');
	insp_str_addf(&c->line, " |%s", insp_str_text(&c->figures));
	insp_text(r, "line", "%s", insp_str_text(&c->line));
	insp_field_str(r, "status", NULL, keys[c->status]);
	insp_field_i64(r, "exit_code", NULL, INSP_T_ID, (int)c->status);
	insp_field_i64(r, "pid", NULL, INSP_T_ID, c->follow.pid);
	insp_field_str(r, "comm", NULL, insp_gauge_comm(c->follow.gauge));
	maybe_bytes(r, "used", c->leveler.used);
	maybe_bytes(r, "limit", c->leveler.of);
	maybe_bytes(r, "rss", c->sample.rss);
	if (isfinite(c->growth))
		insp_field_i64(r, "growth_per_hour", NULL, INSP_T_DELTA, (int64_t)c->growth);
	else
		insp_field_unknown(r, "growth_per_hour", NULL);
	maybe_bytes(r, "leaked", c->walked ? c->walk.leaked : INSP_UNKNOWN);
}

static int look(struct check *c, uint64_t max_pause_ns, struct insp_pool *pool,
		struct insp_error *err)
{
	int rc = insp_follow_read(&c->follow, &c->sample, err);

	if (!rc)
		rc = find_growth(c, pool, err);
	if (rc)
		return rc;
	insp_leveler_sample(&c->leveler, &c->sample);
	if (c->leveler.used == INSP_UNKNOWN)
		return insp_fail(err, INSP_E_NOTFOUND,
				 "process %d: its memory is not known (it may be ending)",
				 c->follow.pid);
	if (c->args->leaked != UINT64_MAX) {
		rc = insp_walkstat_take(c->follow.pid, true, max_pause_ns, &c->walk, err);
		c->walked = !rc;
	}
	return rc;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct check *c = insp_pool_alloc(ctx->pool, sizeof(*c));
	int rc;

	if (!c)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	c->args = args;
	rc = take_options(c, ctx->pool, err);
	if (rc)
		return rc;
	insp_follow_init(&c->follow, c->args->target);
	rc = look(c, ctx->session->settings.max_pause_ns, ctx->pool, err);
	if (!rc) {
		judge_used(c);
		judge_growth(c);
		judge_leaked(c);
		add_figures(c);
		tell(c, report);
		ctx->session->exit_code = (int)c->status;
	}
	insp_follow_deinit(&c->follow);
	insp_str_deinit(&c->line);
	insp_str_deinit(&c->figures);
	insp_str_deinit(&c->reasons);
	return rc;
}

const struct insp_command insp_cmd_check = {
	.name = "check",
	.group = "watch",
	.summary =
		"one look for a monitoring system: OK, WARNING, CRITICAL or UNKNOWN, with figures",
	.help = "One line with figures behind a |, as Nagios, Icinga and their relatives read "
		"them. Exit 0 OK, 1 "
		"WARNING, 2 CRITICAL, 3 UNKNOWN: whatever keeps it from looking, a wrong option "
		"included.\n\n"
		"Shares are of the smallest limit that the process has: its cgroup's (or one "
		"above), RLIMIT_AS, or the "
		"memory of the machine; 'watch' explains what counts against it. With --of BYTES "
		"it is RSS that is "
		"compared.\n\n"
		"--growth needs a history. With --state FILE it is the slope of RSS over the last "
		"hour (--over) in that "
		"file: check adds what it sees each time, keeps eight days, and knows the growth "
		"when there is a minute "
		"of it; FILE may be a recording that watch writes. Without --state it looks twice, "
		"--apart from "
		"each other, and an hour is guessed from seconds: good for a fast leak, not for a "
		"slow one. The line "
		"says how many samples over how long it rests on. Growth and --leaked are never "
		"CRITICAL by "
		"themselves.\n\n"
		"Nothing is stopped but with --leaked.",
	.example = "check --warn 70% --crit 90%",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET | INSP_COMMAND_PLUGIN,
	.tables = tables,
	.run = run,
};
