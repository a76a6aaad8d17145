/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base: the snapshot that diff compares with from now on. */
#include "front/session.h"
#include "snapshot/file.h"

struct args {
	const char *file;
};

static const struct insp_option options[] = {
	{"FILE", 0, INSP_OPT_FILE, NULL, "a snapshot that `save` wrote", NULL, NULL,
	 offsetof(struct args, file), .required = true},
	INSP_OPTION_END,
};

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct insp_session *session = ctx->session;
	struct insp_snapshot *base;
	int rc = insp_snapshot_load(((const struct args *)args)->file, &base, err);

	if (rc)
		return rc;
	insp_snapshot_destroy(session->base);
	session->base = base;
	insp_field_str(report, "comm", "base", base->comm);
	insp_field_i64(report, "pid", "pid", INSP_T_ID, base->pid);
	insp_field_u64(report, "taken_at_ns", "taken at", INSP_T_TIME, base->taken_at_ns);
	return 0;
}

const struct insp_command insp_cmd_base = {
	.name = "base",
	.group = "session",
	.summary = "choose the saved snapshot that diff compares with",
	.help = "Loads a snapshot file; from then on `diff` without a file, and `suspects`, compare with it.",
	.example = "base start.mi",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_REPL | INSP_COMMAND_GDB | INSP_COMMAND_NO_TARGET,
	.run = run,
};
