/* SPDX-License-Identifier: GPL-3.0-or-later */
/* quit: leaves the prompt. */
#include "front/session.h"

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	(void)args;
	(void)report;
	(void)err;
	ctx->session->leave = true;
	return 0;
}

const struct insp_command insp_cmd_quit = {
	.name = "quit",
	.group = "session",
	.summary = "leave the prompt; the process runs on",
	.help = "Lets the process go, if it is held, and ends meminspect. Ctrl-D does the same.",
	.example = "quit",
	.flags = INSP_COMMAND_REPL | INSP_COMMAND_DIRECT,
	.run = run,
};
