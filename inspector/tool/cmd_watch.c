/* SPDX-License-Identifier: GPL-3.0-or-later */
/* watch: processes over time: on the screen, in a file, and what to do when it gets bad. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"
#include "command/command.h"
#include "front/output.h"
#include "front/progress.h"
#include "front/session.h"
#include "record/record.h"
#include "tool/capture.h"
#include "tool/stream.h"
#include "tool/terminal.h"
#include "tool/view.h"
#include "tool/watched.h"

#define INTERVAL_MIN_NS UINT64_C(50000000)
#define TARGETS_MAX	64
#define EVENTS_MAX	64

struct args {
	struct insp_words targets, on;
	uint64_t interval, walk_every, duration, of;
	double pause_budget;
	bool csv, leaks;
	const char *record, *on_limit, *warn, *crit;
};

static const struct insp_option options[] = {
	{.name = "TARGET", .type = INSP_OPT_LIST, .offset = offsetof(struct args, targets), .required = true,
	 .rest = true, .help = "PIDs and names of processes"},
	{.name = "interval", .letter = 'i', .type = INSP_OPT_DURATION, .arg = "DURATION", .def = "1s",
	 .offset = offsetof(struct args, interval), .help = "between two looks at the gauges, which stop nothing"},
	{.name = "walk-every", .type = INSP_OPT_DURATION, .arg = "DURATION", .def = "1min",
	 .offset = offsetof(struct args, walk_every),
	 .help = "between two walks over the heap, each with its pause; 0: none"},
	{.name = "pause-budget", .type = INSP_OPT_PERCENT, .arg = "PERCENT", .def = "0.1%",
	 .offset = offsetof(struct args, pause_budget),
	 .help = "share of the time that walks may stop a process; one that would exceed it is put off"},
	{.name = "duration", .letter = 'd', .type = INSP_OPT_DURATION, .arg = "DURATION",
	 .offset = offsetof(struct args, duration), .help = "end after this long; default: when you say so"},
	{.name = "csv", .type = INSP_OPT_FLAG, .offset = offsetof(struct args, csv),
	 .help = "a line of CSV for each process and interval, as --format csv"},
	{.name = "record", .letter = 'r', .type = INSP_OPT_FILE, .arg = "FILE", .offset = offsetof(struct args, record),
	 .help = "keep the series in FILE, for verify, report and check; goes on where FILE ends"},
	{.name = "on", .type = INSP_OPT_PAIRS, .arg = "LEVEL COMMAND", .offset = offsetof(struct args, on),
	 .help = "run COMMAND when it gets as bad as LEVEL (warn, crit, panic): --on crit 'save DIR/%t.mi'; %t time, "
		 "%p PID, %n name, %l level"},
	{.name = "on-limit", .type = INSP_OPT_TEXT, .arg = "N[,BYTES]", .def = INSP_CAPTURE_LIMIT_TEXT,
	 .offset = offsetof(struct args, on_limit), .help = "at most so many runs by --on, and so much in their files"},
	{.name = "warn", .type = INSP_OPT_TEXT, .arg = "PERCENT|BYTES", .def = INSP_LEVEL_WARN_TEXT,
	 .offset = offsetof(struct args, warn), .help = "level warn: above this share of the limit, or this size"},
	{.name = "crit", .type = INSP_OPT_TEXT, .arg = "PERCENT|BYTES", .def = INSP_LEVEL_CRIT_TEXT,
	 .offset = offsetof(struct args, crit), .help = "level crit"},
	{.name = "of", .type = INSP_OPT_SIZE, .arg = "BYTES", .offset = offsetof(struct args, of),
	 .help = "the limit that RSS is compared with, instead of the one that was found"},
	{.name = "leaks", .type = INSP_OPT_FLAG, .offset = offsetof(struct args, leaks),
	 .help = "with each walk look for lost memory as well: takes longer, the pause is the same"},
	INSP_OPTION_END,
};

enum mode { MODE_SCREEN, MODE_LINES, MODE_STREAM };

struct event {
	size_t target;
	uint64_t at_ns;
	const char *kind;
	char *text;
};

struct watch {
	const struct insp_settings *settings;
	struct insp_watch_options options;
	struct insp_watched *watched;
	size_t n;
	enum mode mode;
	struct insp_terminal terminal;
	struct insp_screen screen;
	struct insp_stream stream;
	struct insp_notes notes;
	struct insp_captures captures;
	struct insp_record *record; /* NULL: none wanted */
	bool record_fails;	    /* it was said */
	struct event events[EVENTS_MAX]; /* not in the recording yet */
	size_t nevents;
	uint64_t started_ns, until_ns;
	bool closed; /* nobody reads the output any more */
};

/* ---- telling */

static void show_text(struct watch *w, const char *text)
{
	struct insp_str line = {0};

	insp_view_clock(&line, insp_wallclock_ns());
	insp_str_add(&line, text);
	if (w->mode == MODE_SCREEN) {
		insp_notes_add(&w->notes, insp_str_text(&line));
	} else if (w->mode == MODE_STREAM) {
		insp_log(INSP_LOG_INFO, "%s", insp_str_text(&line));
	} else {
		insp_str_addc(&line, '\n');
		w->closed |= !insp_terminal_write(&line);
	}
	insp_str_deinit(&line);
}

/* To the user, and into the recording. */
static insp_printf(4, 5) void tell(struct watch *w, size_t target, const char *kind, const char *fmt, ...)
{
	struct insp_str text = {0};
	va_list ap;

	insp_str_addf(&text, "%s: ", w->watched[target].follow.spec);
	va_start(ap, fmt);
	insp_str_vaddf(&text, fmt, ap);
	va_end(ap);
	show_text(w, insp_str_text(&text));
	if (w->record && w->nevents < EVENTS_MAX) {
		struct event *e = &w->events[w->nevents];

		*e = (struct event){target, insp_wallclock_ns(), kind, strdup(insp_str_text(&text))};
		w->nevents += e->text != NULL;
	}
	insp_str_deinit(&text);
}

/* Below the screen there is no stderr. */
static void on_log(void *ctx, enum insp_log_level level, const char *text, uint64_t part, uint64_t whole)
{
	(void)part;
	(void)whole;
	if (level == INSP_LOG_INFO || level == INSP_LOG_WARN)
		show_text(ctx, text);
}

/* ---- the recording */

static void drop_events(struct watch *w)
{
	for (size_t i = 0; i < w->nevents; i++)
		free(w->events[i].text);
	w->nevents = 0;
}

static int record_target(struct watch *w, struct insp_watched *t, unsigned news, struct insp_error *err)
{
	struct insp_record_run run = {.spec = t->follow.spec, .pid = t->follow.pid, .ticks = t->follow.ticks};
	int rc = 0;

	if (!t->here)
		return 0;
	run.comm = insp_gauge_comm(t->follow.gauge);
	run.started_at_ns = t->sample.started_at_ns;
	if (!t->run)
		rc = insp_record_run(w->record, &run, &t->run, err);
	if (!rc)
		rc = insp_record_sample(w->record, t->run, &t->sample, t->level, err);
	if (!rc && news & INSP_NEWS_WALK)
		rc = insp_record_walk(w->record, t->run, &t->walk, err);
	return rc;
}

static int record_all(struct watch *w, const unsigned *news, struct insp_error *err)
{
	int rc = insp_record_begin(w->record, err);

	for (size_t i = 0; i < w->n && !rc; i++)
		rc = record_target(w, &w->watched[i], news[i], err);
	for (size_t i = 0; i < w->nevents && !rc; i++) {
		const struct event *e = &w->events[i];

		rc = insp_record_event(w->record, w->watched[e->target].run, e->at_ns, e->kind, e->text, err);
	}
	return rc ? rc : insp_record_commit(w->record, err);
}

/* One interval, one transaction. When it cannot be written (disk full) the watch goes on. */
static void keep(struct watch *w, const unsigned *news)
{
	struct insp_error err = {0};
	int rc;

	if (!w->record)
		return;
	rc = record_all(w, news, &err);
	if (rc) {
		insp_record_rollback(w->record);
		for (size_t i = 0; i < w->n; i++)
			w->watched[i].run = 0; /* it may not have got in */
		if (!w->record_fails)
			show_text(w, err.msg);
	} else if (w->record_fails) {
		show_text(w, "the recording goes on");
	}
	w->record_fails = rc != 0;
	if (!rc || w->nevents == EVENTS_MAX)
		drop_events(w);
}

/* ---- an interval */

struct saying {
	struct watch *watch;
	size_t target;
};

static void say_capture(void *ctx, const char *text)
{
	const struct saying *s = ctx;

	tell(s->watch, s->target, "capture", "%s", text);
}

static void capture(struct watch *w, size_t i)
{
	struct insp_watched *t = &w->watched[i];
	const struct insp_capture_subject subject = {
		.pid = t->follow.pid,
		.name = insp_gauge_comm(t->follow.gauge),
		.before = t->level_before,
		.now = t->level,
	};
	uint64_t stopped_ns;

	insp_captures_run(&w->captures, &subject, say_capture, &(struct saying){w, i}, &stopped_ns);
	insp_watched_paused(t, stopped_ns);
}

static void tell_level(struct watch *w, size_t i)
{
	const struct insp_watched *t = &w->watched[i];
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], c[INSP_FMT_MAX];

	tell(w, i, "level", "%s (was %s): %s used, %s of %s", insp_level_title(t->level),
	     insp_level_title(t->level_before), insp_fmt_bytes(a, t->leveler.used),
	     t->leveler.of == INSP_UNKNOWN ? "-"
					   : insp_fmt_percent(b, (double)t->leveler.used, (double)t->leveler.of),
	     t->leveler.of == INSP_UNKNOWN ? "-" : insp_fmt_bytes(c, t->leveler.of));
}

static void handle(struct watch *w, size_t i, unsigned news)
{
	const struct insp_watched *t = &w->watched[i];

	if (news & INSP_NEWS_GONE)
		tell(w, i, "gone", "%s%s", t->absent.msg, t->follow.by_name ? ": waiting for it" : "");
	if (news & INSP_NEWS_STARTED && t->follow.generation > 1)
		tell(w, i, "restart", "started anew: process %d", t->follow.pid);
	if (news & INSP_NEWS_WALK_FAILED)
		tell(w, i, "walk", "no walk: %s", t->walk_error.msg);
	if (news & INSP_NEWS_LEVEL) {
		tell_level(w, i);
		capture(w, i);
	}
}

static void draw(struct watch *w)
{
	struct insp_str out = {0};

	if (!insp_terminal_size(STDOUT_FILENO, &w->screen.columns, &w->screen.rows))
		w->closed = true;
	insp_view_screen(&out, w->watched, w->n, &w->options, &w->notes, &w->screen);
	w->closed |= !insp_terminal_write(&out);
	insp_str_deinit(&out);
}

static void print_lines(struct watch *w)
{
	struct insp_str out = {0};

	for (size_t i = 0; i < w->n; i++)
		if (w->watched[i].here)
			insp_view_line(&out, &w->watched[i]);
	w->closed |= !insp_terminal_write(&out);
	insp_str_deinit(&out);
}

static void show(struct watch *w)
{
	if (w->mode == MODE_SCREEN)
		draw(w);
	else if (w->mode == MODE_LINES)
		print_lines(w);
	else
		w->closed |= insp_stream_rows(&w->stream, w->watched, w->n, NULL) != 0;
}

static void interval(struct watch *w)
{
	unsigned news[TARGETS_MAX];

	for (size_t i = 0; i < w->n; i++) {
		insp_progress_restart();
		news[i] = insp_watched_step(&w->watched[i]);
		handle(w, i, news[i]);
	}
	keep(w, news);
	show(w);
}

/* A PID that has ended does not come back. */
static bool all_over(const struct watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->watched[i].here || w->watched[i].follow.by_name)
			return false;
	return true;
}

/* Waits for the next interval. False: it is time to end. */
static bool wait_for(struct watch *w, uint64_t next_ns)
{
	for (;;) {
		char key = 0;
		unsigned wake = insp_terminal_wait(&w->terminal, next_ns, &key);

		if (wake & INSP_WAKE_END || (wake & INSP_WAKE_KEY && (key == 'q' || key == 'Q')))
			return false;
		if (wake & INSP_WAKE_RESIZE && w->mode == MODE_SCREEN)
			draw(w);
		if (insp_now_ns() >= next_ns)
			return true;
	}
}

static int loop(struct watch *w, struct insp_error *err)
{
	uint64_t next = w->started_ns;

	for (;;) {
		uint64_t now;

		interval(w);
		if (w->closed)
			return 0;
		if (all_over(w)) {
			*err = w->watched[0].absent;
			return err->code;
		}
		now = insp_now_ns();
		next += w->options.interval_ns;
		if (next < now) /* a walk took longer */
			next = now;
		if (next >= w->until_ns)
			return 0;
		if (!wait_for(w, next))
			return 0;
	}
}

/* ---- begin and end */

static int take_options(struct watch *w, const struct args *a, struct insp_error *err)
{
	const char *format = w->settings->format;
	int rc;

	w->options = (struct insp_watch_options){
		.interval_ns = a->interval,
		.walk_every_ns = a->walk_every,
		.pause_share = a->pause_budget / 100,
		.max_pause_ns = w->settings->max_pause_ns,
		.leaks = a->leaks,
		.limit = a->of,
	};
	if (a->interval < INTERVAL_MIN_NS)
		return insp_fail(err, INSP_E_USAGE, "option '--interval': at least 50ms");
	if (a->pause_budget > 100)
		return insp_fail(err, INSP_E_USAGE, "option '--pause-budget': at most 100%%");
	if (w->settings->output)
		return insp_fail(err, INSP_E_USAGE, "watch writes to stdout while it runs; --record FILE keeps the series");
	if (strcmp(format, "text") != 0 && strcmp(format, "csv") != 0 && strcmp(format, "json") != 0)
		return insp_fail(err, INSP_E_USAGE, "watch writes text, csv or json, not %s", format);
	rc = insp_threshold_parse(a->warn, &w->options.warn, err);
	if (!rc)
		rc = insp_threshold_parse(a->crit, &w->options.crit, err);
	w->mode = a->csv || strcmp(format, "text") != 0 ? MODE_STREAM
		  : isatty(STDOUT_FILENO) && !w->settings->quiet ? MODE_SCREEN
							       : MODE_LINES;
	return rc;
}

static int take_targets(struct watch *w, const struct args *a, struct insp_pool *pool, struct insp_error *err)
{
	if (a->targets.n > TARGETS_MAX)
		return insp_fail(err, INSP_E_USAGE, "at most %d processes", TARGETS_MAX);
	w->watched = insp_pool_array(pool, a->targets.n, sizeof(*w->watched));
	if (!w->watched)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (; w->n < a->targets.n; w->n++)
		insp_watched_init(&w->watched[w->n], a->targets.items[w->n], &w->options);
	return 0;
}

/* What a user got wrong is said now and not on a screen. A name may come later, a PID may not. */
static int check_targets(struct watch *w, struct insp_error *err)
{
	struct insp_sample sample;

	for (size_t i = 0; i < w->n; i++) {
		struct insp_follow probe;
		int rc;

		rc = insp_follow_check(w->watched[i].follow.spec, err);
		if (rc)
			return rc;
		insp_follow_init(&probe, w->watched[i].follow.spec);
		rc = insp_follow_read(&probe, &sample, err);
		insp_follow_deinit(&probe);
		if (rc && (rc != INSP_E_GONE || !probe.by_name))
			return rc;
	}
	if (err)
		*err = (struct insp_error){0};
	return 0;
}

static int begin_output(struct watch *w, bool csv, struct insp_error *err)
{
	struct insp_render_options look;
	struct insp_output out;

	if (w->mode == MODE_STREAM)
		return insp_stream_open(&w->stream, csv ? "csv" : w->settings->format, err);
	insp_output_open_fd(&out, STDOUT_FILENO);
	insp_output_render_options(&out, w->settings, &look);
	(void)insp_output_close(&out, true, NULL);
	w->screen.color = look.color;
	w->screen.utf8 = look.utf8;
	return 0;
}

static void end_output(struct watch *w)
{
	if (w->mode == MODE_SCREEN)
		insp_progress_install(w->settings->quiet, w->settings->debug);
	insp_terminal_close(&w->terminal);
	insp_interrupt_clear();
	if (w->mode == MODE_STREAM)
		insp_stream_close(&w->stream);
	/* The last picture stays, as lines. */
	if (w->mode == MODE_SCREEN && !w->closed) {
		for (size_t i = 0; i < w->notes.n; i++) {
			struct insp_str line = {0};
			size_t at = (w->notes.next + INSP_VIEW_NOTES - w->notes.n + i) % INSP_VIEW_NOTES;

			insp_str_addf(&line, "%s\n", w->notes.lines[at]);
			(void)insp_terminal_write(&line);
			insp_str_deinit(&line);
		}
		print_lines(w);
	}
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report, struct insp_error *err)
{
	const struct args *a = args;
	struct watch *w = insp_pool_alloc(ctx->pool, sizeof(*w));
	int rc;

	(void)report;
	if (!w)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	w->settings = &ctx->session->settings;
	rc = take_options(w, a, err);
	if (!rc)
		rc = insp_captures_init(&w->captures, &a->on, a->on_limit, w->settings, ctx->pool, err);
	if (!rc)
		rc = take_targets(w, a, ctx->pool, err);
	if (!rc)
		rc = check_targets(w, err);
	if (!rc && a->record)
		rc = insp_record_open(a->record, INSP_RECORD_WRITE, &w->record, err);
	if (!rc)
		rc = begin_output(w, a->csv, err);
	if (!rc) {
		w->started_ns = insp_now_ns();
		w->until_ns = a->duration ? w->started_ns + a->duration : UINT64_MAX;
		if (w->mode == MODE_SCREEN)
			insp_log_set(on_log, w);
		insp_terminal_open(&w->terminal, w->mode == MODE_SCREEN);
		rc = loop(w, err);
		end_output(w);
	}
	insp_record_close(w->record);
	for (size_t i = 0; i < w->n; i++)
		insp_watched_deinit(&w->watched[i]);
	insp_notes_free(&w->notes);
	drop_events(w);
	return rc;
}

static const struct insp_table *const tables[] = {&insp_watched_table, NULL};

const struct insp_command insp_cmd_watch = {
	.name = "watch",
	.group = "watch",
	.summary = "a process over time: memory, growth, faults, limit and pressure, and the heap now and then",
	.help = "On a terminal a screen that is drawn anew each interval (q quits), elsewhere a line an interval. RSS, "
		"PSS, threads, faults, the limit and memory pressure are read from /proc and the cgroup: that stops "
		"nothing. What is in use and free in the heap needs a walk, which stops the process for a moment; "
		"walks are never more than --pause-budget of the time, the first one included, so the larger the "
		"heap, the rarer they are.\n\n"
		"A PID is watched until it ends. A name is followed: when the process ends, the next one of that "
		"name takes its place. Of several with the name the one is meant that the others are children "
		"of; without such a one, name a PID.\n\n"
		"The limit is the smallest of the cgroup's (and those above it), RLIMIT_AS and the memory of the "
		"machine; what counts against it is the cgroup's use without inactive file cache, the address "
		"space, or RSS. Levels: warn and crit by the thresholds. panic: above 70 % of the limit, and in "
		"three walks in a row, each at least a minute after the one before, the bytes in use did not "
		"fall and malloc_trim could give back less than 10 % of the heap.\n\n"
		"--on runs commands as they are typed at the prompt, at most once a minute for each, and within "
		"--on-limit (" INSP_CAPTURE_LIMIT_TEXT ": five runs, 1 GiB of files in all).\n\n"
		"--record keeps all this in an SQLite file: one transaction an interval, so a kill loses the last "
		"interval at most. A restart of the process is a new run in it. When the disk is full the "
		"watch goes on without it. It can be read while it is written.\n\n"
		"Growth is the slope of the last ten minutes. PSS is read less often when the process is large: "
		"it may cost 1 % of the time at most.",
	.example = "watch --duration 1s --interval 500ms",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET | INSP_COMMAND_DIRECT,
	.tables = tables,
	.run = run,
};
