/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * held_top: what the chunks of one call stack, or where there is no hook of one type, hold together:
 * heap top --by retained.
 */
#ifndef INSP_COMMAND_HELD_TOP_H
#define INSP_COMMAND_HELD_TOP_H

#include "command/held.h"

extern const struct insp_table insp_held_top_table;

/* At most limit rows, largest first; 0: all. */
int insp_held_top(struct insp_context *ctx, uint64_t limit, struct insp_report *report,
		  struct insp_error *err) insp_must_check;

#endif
