/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/run_command.h"

#include "base/out.h"
#include "render/render.h"
#include "report/sink.h"

int insp_write_str(void *str, const char *bytes, size_t n, struct insp_error *err)
{
	struct insp_str *s = str;

	insp_str_addn(s, bytes, n);
	return insp_str_ok(s) ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory for the answer");
}

static int run(struct insp_context *ctx, const struct insp_command *command, const void *args,
	       const struct insp_renderer *renderer, struct insp_str *ret, struct insp_error *err)
{
	struct insp_render_options options = {.utf8 = true, .wide = true};
	struct insp_error command_err = {0};
	struct insp_report *report = NULL;
	struct insp_out out;
	void *state;
	int rc, end_rc;

	insp_out_init(&out, insp_write_str, ret);
	state = renderer->open(&out, &options);
	if (state)
		report = insp_report_create(renderer->sink, state, &out);
	if (!report) {
		renderer->close(state);
		insp_out_deinit(&out);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the answer");
	}
	rc = insp_command_possible(command, ctx->snapshot, &command_err);
	if (!rc)
		rc = command->run(ctx, args, report, &command_err);
	end_rc = insp_report_end(report, &command_err, err);
	insp_report_destroy(report);
	renderer->close(state);
	if (!end_rc && !rc)
		end_rc = insp_out_flush(&out, err);
	insp_out_deinit(&out);
	if (rc && err)
		*err = command_err;
	return rc ? rc : end_rc;
}

int insp_run_text(struct insp_context *ctx, const char *line, const char *name, struct insp_str *ret,
		  struct insp_error *err)
{
	const struct insp_renderer *renderer = insp_renderer_find(name);
	const struct insp_command *command;
	struct insp_words words = {0};
	void *args;
	int used, rc = insp_words_split(line, ctx->pool, &words, err);

	if (!rc)
		rc = insp_command_find((int)words.n, words.items, &command, &used, err);
	if (!rc)
		rc = insp_command_parse(command, (int)words.n - used, words.items + used, ctx->pool, NULL,
					NULL, &args, err);
	return rc ? rc : run(ctx, command, args, renderer, ret, err);
}
