/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * progress: what goes to stderr while work is done: remarks, warnings, and how far it is. Progress
 * is shown only of what takes longer than a second: redrawn in place on a terminal, as a line
 * every few seconds elsewhere.
 */
#ifndef INSP_FRONT_PROGRESS_H
#define INSP_FRONT_PROGRESS_H

#include <stdbool.h>

#include "base/error.h"

/* Installs itself as the log callback. */
void insp_progress_install(bool quiet, bool debug);
/* A command starts: its progress is silent for a second. Ends the line that is being redrawn. */
void insp_progress_restart(void);
/* No progress from here on: nobody waits for a single thing. */
void insp_progress_end(void);
/* "meminspect: text" on stderr. */
void insp_complain(const struct insp_error *err);

#endif
