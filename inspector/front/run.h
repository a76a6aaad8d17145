/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * run: from words to a rendered result. The command line, the prompt, `attach -x` and the C API
 * all go through here.
 */
#ifndef INSP_FRONT_RUN_H
#define INSP_FRONT_RUN_H

#include "base/error.h"
#include "base/pool.h"
#include "command/command.h"
#include "front/settings.h"

struct insp_output;
struct insp_session;

/* One command, ready to run. Lives in the pool it was parsed into. */
struct insp_run {
	const struct insp_command *command;
	const void *args;
	struct insp_settings settings; /* the session's, changed by what was given */
};

/*
 * Parses words (the command's first). ret_target as in insp_command_parse. where is the flag of
 * the place: INSP_COMMAND_REPL, _ONESHOT or _GDB. With --help the run is `help` of that command.
 */
int insp_run_parse(int argc, char *const *argv, unsigned where, const struct insp_settings *settings,
		   struct insp_pool *pool, char **ret_target, struct insp_run *ret,
		   struct insp_error *err) insp_must_check;

/* enum insp_need of it, options considered. */
unsigned insp_run_needs(const struct insp_run *run);

/*
 * Prepares what it needs, runs it and renders the result to output, or, NULL, to where its
 * settings say. A reader of the output that went away is no error.
 */
int insp_run_command(struct insp_session *session, const struct insp_run *run, struct insp_pool *pool,
		     struct insp_output *output, struct insp_error *err) insp_must_check;

#endif
