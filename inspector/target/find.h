/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * find: processes by their name.
 */
#ifndef INSP_TARGET_FIND_H
#define INSP_TARGET_FIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct insp_processes {
	int pids[64];
	size_t n; /* may exceed the room: then the last ones are not kept */
};

/* Whose main thread or program is called that; not ourselves, no zombies, no kernel threads. */
void insp_processes_named(const char *name, struct insp_processes *ret);
/* INSP_E_USAGE: "3 processes are called 'x', name one by its pid: ..." */
int insp_processes_several(const char *name, const struct insp_processes *found,
			   struct insp_error *err);

#endif
