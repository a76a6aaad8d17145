/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * atomic: a file that appears whole or not at all: written without a name in the same folder, which it
 * gets at the end. A full disk or a kill leaves the old file, or none. Only where the file system knows no
 * nameless files (NFS, some overlays) it is NAME.XXXXXX meanwhile, and a kill may leave that behind.
 */
#ifndef INSP_BASE_ATOMIC_H
#define INSP_BASE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct insp_atomic {
	char *path, *temporary;
	int fd;		/* write to it as you like */
	bool nameless;	/* it has not even its temporary name yet */
	int failed;	/* errno of the first failed insp_atomic_put; 0 none */
};

int insp_atomic_begin(struct insp_atomic *file, const char *path, struct insp_error *err)
	insp_must_check;
/* n bytes at offset. Sticky: after a failure it does nothing, and _end says so. */
void insp_atomic_put(struct insp_atomic *file, uint64_t offset, const void *bytes, size_t n);
/* What was put there goes to the disk from now on, so that the end need not wait for all of it. */
void insp_atomic_push(struct insp_atomic *file, uint64_t offset, size_t n);
/* rc 0: synced and renamed. Else, or when that fails, nothing is left. Returns rc or the failure. */
int insp_atomic_end(struct insp_atomic *file, int rc, struct insp_error *err) insp_must_check;

#endif
