/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base: the earlier snapshot that a command compares with. */
#ifndef INSP_COMMAND_BASE_H
#define INSP_COMMAND_BASE_H

#include "command/command.h"

/* The one in that file, else (NULL) the one chosen at the prompt; INSP_E_USAGE: there is neither. Lives
   as long as the command. */
int insp_base_find(struct insp_context *ctx, const char *file, const struct insp_snapshot **ret,
		   struct insp_error *err) insp_must_check;

#endif
