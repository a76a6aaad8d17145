/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * run_command: a command of the command line on a picture that is there, rendered into a string.
 */
#ifndef INSP_SERVE_RUN_COMMAND_H
#define INSP_SERVE_RUN_COMMAND_H

#include "base/str.h"
#include "command/command.h"

/* line: "heap top --limit 15"; renderer: "text", "html". Appends. */
int insp_run_text(struct insp_context *ctx, const char *line, const char *renderer, struct insp_str *ret,
		  struct insp_error *err) insp_must_check;

/* An insp_write_fn; its ctx is the struct insp_str to append to. */
int insp_write_str(void *str, const char *bytes, size_t n, struct insp_error *err);

#endif
