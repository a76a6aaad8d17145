/* SPDX-License-Identifier: GPL-3.0-or-later */
/* attach: several commands on one snapshot, or a prompt. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/progress.h"
#include "front/run.h"
#include "front/session.h"

struct args {
	struct insp_words execute;
	bool hold;
};

static const struct insp_option options[] = {
	{.name = "execute", .letter = 'x', .type = INSP_OPT_LIST, .arg = "COMMAND",
	 .offset = offsetof(struct args, execute),
	 .help = "run COMMAND instead of a prompt; several share one snapshot"},
	{.name = "hold", .type = INSP_OPT_FLAG, .offset = offsetof(struct args, hold),
	 .help = "keep the process stopped until you leave"},
	INSP_OPTION_END,
};

/* All are parsed before the target is touched, then share one pause. */
static int run_all(struct insp_session *session, const struct insp_words *lines,
		   struct insp_pool *pool, struct insp_error *err)
{
	struct insp_run *runs = insp_pool_array(pool, lines->n, sizeof(*runs));
	unsigned needs = 0;
	int rc, first = 0;

	if (!runs)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < lines->n; i++) {
		struct insp_words words = {0};

		rc = insp_words_split(lines->items[i], pool, &words, err);
		if (!rc)
			rc = insp_run_parse((int)words.n, words.items, INSP_COMMAND_REPL,
					    &session->settings, pool, NULL, &runs[i], err);
		if (rc) {
			insp_error_prefix(err, "-x '%s'", lines->items[i]);
			return rc;
		}
		needs |= insp_run_needs(&runs[i]);
	}
	session->needs = needs;
	rc = insp_session_need(session, needs, NULL, &session->settings, err);
	for (size_t i = 0; i < lines->n && !rc && !session->leave; i++) {
		struct insp_error own = {0};
		int one = insp_run_command(session, &runs[i], pool, NULL, &own);

		if (one == INSP_E_INTERRUPTED || insp_interrupted()) {
			if (err)
				*err = own;
			return one;
		}
		if (one && first)
			insp_complain(&own); /* the first failure is told by the caller */
		if (one && !first) {
			first = one;
			if (err)
				*err = own;
		}
	}
	return rc ? rc : first;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_session *session = ctx->session;
	int rc;

	(void)report;
	session->hold = a->hold;
	if (a->execute.n)
		return run_all(session, &a->execute, ctx->pool, err);
	if (!session->shell)
		return insp_fail(err, INSP_E_UNSUPPORTED, "there is no prompt here");
	/* Threads and heap answer from the same instant. */
	session->needs = session->target ? INSP_NEED_CHUNKS | INSP_NEED_STACKS : 0;
	rc = insp_session_need(session, session->needs, session->settings.unwinder, &session->settings,
			       err);
	return rc ? rc : session->shell(session, err);
}

const struct insp_command insp_cmd_attach = {
	.name = "attach",
	.group = "session",
	.summary = "take a snapshot and open a prompt on it, or run several commands",
	.help = "Stops the process for the moment of the snapshot and lets it run on; the commands at the "
		"prompt work on the snapshot. 'refresh' takes a new one. What a command needs and the "
		"snapshot does not hold costs another stop.\n\n"
		"With -x, once or several times, the commands are run one after the other on one "
		"snapshot, without a prompt. With --format json each gives one object on one line. "
		"Commands are also read from stdin when it is not a terminal.\n\n"
		"With --hold the process stays stopped, and the prompt says HELD, until you leave.",
	.example = "attach -x maps -x 'maps --writable'",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_DIRECT,
	.run = run,
};
