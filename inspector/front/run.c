/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/run.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "front/help.h"
#include "front/output.h"
#include "front/progress.h"
#include "front/recent.h"
#include "front/session.h"
#include "render/render.h"
#include "report/sink.h"
#include "target/space.h"
#include "target/target.h"

static const struct insp_option *option_of(const struct insp_command *command, const char *name)
{
	for (const struct insp_option *o = command->options; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

static bool asks_help(int argc, char *const *argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

/* Words with what `set limit` says in front, where the command knows --limit. */
static int with_limit(const struct insp_command *command, const struct insp_settings *settings,
		      int argc, char *const *argv, struct insp_pool *pool, struct insp_words *ret)
{
	const struct insp_option *limit = option_of(command, "limit");
	int rc = 0;

	if (limit && limit->type == INSP_OPT_COUNT && settings->limit != UINT64_MAX) {
		char *word = insp_pool_printf(pool, "--limit=%" PRIu64, settings->limit);

		rc = word ? insp_words_add(ret, word, pool) : INSP_E_NOMEM;
	}
	for (int i = 0; i < argc && !rc; i++)
		rc = insp_words_add(ret, argv[i], pool);
	return rc;
}

static int wrong_place(const struct insp_command *command, unsigned where, struct insp_error *err)
{
	if (where == INSP_COMMAND_ONESHOT)
		return insp_fail(err, INSP_E_USAGE, "'%s' is for the prompt of: meminspect attach TARGET",
				 command->name);
	if (where == INSP_COMMAND_GDB)
		return insp_fail(err, INSP_E_USAGE, "'%s' makes no sense inside GDB", command->name);
	return insp_fail(err, INSP_E_USAGE, "'%s' makes no sense at the prompt", command->name);
}

/* A format for profiles wants a command that has one. */
static int check_format(const struct insp_run *run, struct insp_error *err)
{
	const struct insp_renderer *renderer = insp_renderer_find(run->settings.format);

	if (renderer && renderer->profile_only && !(run->command->flags & INSP_COMMAND_PROFILE))
		return insp_fail(err, INSP_E_USAGE, "'%s' has no profile to write as %s: text, json or csv",
				 run->command->name, renderer->name);
	return 0;
}

int insp_run_parse(int argc, char *const *argv, unsigned where, const struct insp_settings *settings,
		   struct insp_pool *pool, char **ret_target, struct insp_run *ret,
		   struct insp_error *err)
{
	struct insp_run run = {.settings = *settings};
	struct insp_option_set globals = {.options = insp_global_options, .args = &run.settings};
	struct insp_words words = {0};
	void *args;
	int used, rc;

	rc = insp_command_find(argc, argv, &run.command, &used, err);
	if (rc)
		return rc;
	argc -= used;
	argv += used;
	if (asks_help(argc, argv)) {
		if (ret_target)
			*ret_target = NULL;
		ret->settings = run.settings;
		return insp_help_run(run.command, pool, &ret->command, &ret->args, err);
	}
	if (!(run.command->flags & where))
		return wrong_place(run.command, where, err);
	if (with_limit(run.command, settings, argc, argv, pool, &words))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_command_parse(run.command, (int)words.n, words.items, pool, &globals, ret_target,
				&args, err);
	if (rc)
		return rc;
	run.args = args;
	rc = check_format(&run, err);
	if (rc)
		return rc;
	*ret = run;
	return 0;
}

unsigned insp_run_needs(const struct insp_run *run)
{
	return run->command->needs | (run->command->needs_of ? run->command->needs_of(run->args) : 0);
}

/* A command that unwinds has an option of this name. */
static const char *unwinder_of(const struct insp_run *run)
{
	const struct insp_option *o = option_of(run->command, "unwinder");
	const char *name = NULL;

	if (o && (o->type == INSP_OPT_CHOICE || o->type == INSP_OPT_TEXT))
		name = *(const char *const *)((const char *)run->args + o->offset);
	return name ? name : run->settings.unwinder;
}

static void destroy_space(void *space)
{
	insp_space_destroy(space);
}

/* The target's memory as it is now; none when it has ended. */
static int open_space(struct insp_session *session, struct insp_context *ctx, struct insp_error *err)
{
	struct insp_regions *regions = insp_pool_alloc(ctx->pool, sizeof(*regions));
	struct insp_target *target = session->target ? session->target : session->memory;

	if (!regions)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (!target || insp_session_gone(session) ||
	    target->ops->regions(target, ctx->pool, regions, NULL))
		return 0;
	ctx->space = insp_space_create(target, regions);
	if (!ctx->space || insp_pool_defer(ctx->pool, destroy_space, ctx->space)) {
		insp_space_destroy(ctx->space);
		ctx->space = NULL;
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	return 0;
}

struct memory_call {
	const struct insp_run *run;
	struct insp_context *ctx;
};

static int on_memory(void *to, const struct insp_snapshot *snapshot, struct insp_target *memory,
		     struct insp_error *err)
{
	const struct memory_call *call = to;

	return call->run->command->on_memory(call->run->args, snapshot, memory, call->ctx->pool,
					     &call->ctx->kept, err);
}

static int check_written(const char *path, struct insp_error *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	struct stat st;

	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		if (!access(path, W_OK))
			return 0;
		return insp_fail_errno(err, INSP_E_IO, errno, "'%s' cannot be written", path);
	}
	/* It is written beside its name and renamed. */
	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
	if (access(folder, W_OK | X_OK))
		return insp_fail_errno(err, INSP_E_IO, errno, "'%s' cannot be written", path);
	return 0;
}

/* What is wrong with the names of files is told before the process is stopped for nothing. */
static int check_files(const struct insp_run *run, struct insp_error *err)
{
	const char *output = run->settings.output;
	int rc = output && strcmp(output, "-") != 0 ? check_written(output, err) : 0;

	for (const struct insp_option *o = run->command->options; !rc && o && o->name; o++) {
		const char *path;

		if (o->type != INSP_OPT_FILE || o->file == INSP_FILE_ANY)
			continue;
		path = *(const char *const *)((const char *)run->args + o->offset);
		if (!path)
			continue;
		if (o->file == INSP_FILE_WRITTEN)
			rc = check_written(path, err);
		else if (access(path, R_OK))
			rc = insp_fail_errno(err, INSP_E_IO, errno, "'%s'", path);
	}
	return rc;
}

static int prepare(struct insp_session *session, const struct insp_run *run, struct insp_context *ctx,
		   struct insp_error *err)
{
	unsigned needs = insp_run_needs(run);
	int rc;

	if (!session->target && !session->snapshot)
		return 0;
	if (run->command->flags & (INSP_COMMAND_NO_TARGET | INSP_COMMAND_DIRECT))
		return 0;
	if (run->command->on_memory && run->command->wants_memory(run->args))
		rc = insp_session_with_memory(session, needs, &run->settings, on_memory,
					      &(struct memory_call){run, ctx}, err);
	else
		rc = insp_session_need(session, needs, unwinder_of(run), &run->settings, err);
	if (rc)
		return rc;
	ctx->snapshot = session->snapshot;
	ctx->base = session->base;
	ctx->symbols = needs & INSP_NEED_SYMBOLS ? session->symbols : NULL;
	if (session->interactive && !session->gone_said && insp_session_gone(session)) {
		insp_log(INSP_LOG_WARN, "the process has ended; this is the snapshot taken before");
		session->gone_said = true;
	}
	return needs & INSP_NEED_BYTES ? open_space(session, ctx, err) : 0;
}

static void envelope(struct insp_report *r, const struct insp_command *command,
		     const struct insp_snapshot *snap)
{
	const struct insp_capture_info *c;

	insp_field_str(r, "meminspect", NULL, INSP_VERSION);
	insp_field_u64(r, "format", NULL, INSP_T_ID, 1);
	insp_field_str(r, "command", NULL, command->name);
	if (!snap)
		return;
	c = &snap->capture;
	insp_object_begin(r, "target", NULL);
	insp_field_i64(r, "pid", NULL, INSP_T_ID, snap->pid);
	insp_field_str(r, "comm", NULL, snap->comm);
	insp_field_str(r, "exe", NULL, snap->exe);
	insp_field_str(r, "cmdline", NULL, snap->cmdline);
	insp_field_str(r, "hostname", NULL, snap->hostname);
	insp_field_str(r, "kind", NULL, snap->target_kind);
	insp_field_u64(r, "taken_at_ns", NULL, INSP_T_TIME, snap->taken_at_ns);
	if (snap->started_at_ns)
		insp_field_u64(r, "started_at_ns", NULL, INSP_T_TIME, snap->started_at_ns);
	else
		insp_field_unknown(r, "started_at_ns", NULL);
	insp_object_end(r);
	insp_object_begin(r, "capture", NULL);
	insp_field_str(r, "mode", NULL, c->mode);
	insp_field_str(r, "mode_reason", NULL, c->mode_reason);
	insp_field_bool(r, "consistent", NULL, c->consistent);
	insp_field_str(r, "incomplete", NULL, c->incomplete);
	insp_field_u64(r, "stopped_ns", NULL, INSP_T_DURATION, c->stopped_ns);
	insp_field_u64(r, "to_stop_ns", NULL, INSP_T_DURATION, c->to_stop_ns);
	insp_field_u64(r, "estimated_stop_ns", NULL, INSP_T_DURATION, c->estimated_stop_ns);
	insp_field_u64(r, "total_ns", NULL, INSP_T_DURATION, c->total_ns);
	insp_field_u64(r, "bytes_read", NULL, INSP_T_BYTES, c->bytes_read);
	insp_field_u64(r, "threads", NULL, INSP_T_COUNT, snap->threads.n);
	insp_field_u64(r, "threads_unstopped", NULL, INSP_T_COUNT, c->threads_unstopped);
	insp_object_end(r);
}

/* Runs it with a report behind it. A crossed threshold is a result like any other. */
static int run_reported(const struct insp_run *run, struct insp_context *ctx,
			struct insp_output *output, struct insp_error *err)
{
	const struct insp_renderer *renderer = insp_renderer_find(run->settings.format);
	struct insp_render_options options;
	struct insp_error command_err = {0};
	const struct insp_sink *sink = renderer->sink;
	struct insp_recent *recent = ctx->session->recent;
	struct insp_report *report = NULL;
	void *state, *sink_state;
	int rc, end_rc;

	if (renderer->binary && output->terminal)
		return insp_fail(err, INSP_E_USAGE, "%s is not for a terminal: -o FILE", renderer->name);
	insp_output_render_options(output, &run->settings, &options);
	state = sink_state = renderer->open(&output->out, &options);
	if (state && recent) {
		sink = insp_recent_begin(recent, sink, state);
		sink_state = recent;
	}
	if (state)
		report = insp_report_create(sink, sink_state, &output->out);
	if (!report) {
		renderer->close(state);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	if (renderer->envelope)
		envelope(report, run->command, ctx->snapshot);
	rc = insp_command_possible(run->command, ctx->snapshot, &command_err);
	if (!rc)
		rc = run->command->run(ctx, run->args, report, &command_err);
	if (!rc && renderer->profile_only && !insp_report_profiled(report))
		rc = insp_fail(&command_err, INSP_E_USAGE, "'%s' has no profile to write as %s with these options",
			       run->command->name, renderer->name);
	if (rc == INSP_E_THRESHOLD)
		end_rc = insp_report_end(report, &(struct insp_error){0}, err);
	else
		end_rc = insp_report_end(report, &command_err, err);
	insp_report_destroy(report);
	renderer->close(state);
	if (rc && err)
		*err = command_err;
	return rc ? rc : end_rc;
}

int insp_run_command(struct insp_session *session, const struct insp_run *run, struct insp_pool *pool,
		     struct insp_output *output, struct insp_error *err)
{
	struct insp_context ctx = {.session = session, .pool = pool};
	struct insp_output own;
	struct insp_error close_err = {0};
	bool closed;
	int rc, close_rc;

	insp_progress_restart();
	rc = check_files(run, err);
	if (!rc)
		rc = prepare(session, run, &ctx, err);
	if (rc)
		return rc;
	if (run->command->flags & INSP_COMMAND_DIRECT)
		return run->command->run(&ctx, run->args, NULL, err);
	if (output)
		return run_reported(run, &ctx, output, err);
	rc = insp_output_open(&own, &run->settings, err);
	if (rc)
		return rc;
	rc = run_reported(run, &ctx, &own, err);
	insp_progress_restart();
	closed = own.closed;
	close_rc = insp_output_close(&own, !rc || rc == INSP_E_THRESHOLD, &close_err);
	if (closed && (!rc || rc == INSP_E_IO))
		return 0;
	if (!rc && close_rc) {
		if (err)
			*err = close_err;
		return close_rc;
	}
	return rc;
}
