/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * other: a second snapshot beside the command's own, with all that a context has: it is of another start
 * of the program, so its addresses want symbols of their own, and its bytes, if it has any, are in its file.
 */
#ifndef INSP_COMMAND_OTHER_H
#define INSP_COMMAND_OTHER_H

#include "command/command.h"

struct insp_other {
	struct insp_context ctx; /* its pool ends with it */
	struct insp_target *memory;
};

/* Borrows snapshot until close. with_bytes: its memory, too, where there is any. */
int insp_other_open(struct insp_other *ret, const struct insp_snapshot *snapshot, bool with_bytes,
		    struct insp_error *err) insp_must_check;
void insp_other_close(struct insp_other *other);

#endif
