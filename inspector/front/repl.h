/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * repl: the prompt. Also reads commands from a pipe, then without prompt and history.
 */
#ifndef INSP_FRONT_REPL_H
#define INSP_FRONT_REPL_H

#include "base/error.h"

struct insp_session;

/* An insp_shell_fn. At a prompt it returns 0; of a script, what its first failed command did. */
int insp_repl_run(struct insp_session *session, struct insp_error *err);

#endif
