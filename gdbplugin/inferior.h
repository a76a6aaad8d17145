/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inferior: the session of the core on GDB's current inferior, kept until the inferior runs.
 *
 *   native  opened as a process that we trace already: the core reads it itself, as fast as ever
 *   core    opened by its path: the core reads the file, GDB is not asked
 *   remote  behind callbacks (remote.h)
 */
#ifndef MEMINSPECT_GDB_INFERIOR_H
#define MEMINSPECT_GDB_INFERIOR_H

#include <stddef.h>

#include <gdb/jit-reader.h>

#include "context.h"

struct inferior;
struct remote;

/*
 * The session for what ctx describes; the one of the last command when it is still the same and has
 * not run. NULL: error says why. cb is good for this call of GDB's only, and so is reading memory.
 */
struct meminspect *inferior_session(struct inferior **inferior, const struct gdb_context *ctx,
				    struct gdb_unwind_callbacks *cb, char *error, size_t error_bytes);
/* Where to put what GDB told of a remote target, before inferior_session; NULL: no memory. */
struct remote *inferior_remote(struct inferior **inferior);
/* Is the session on the remote target that ctx describes, and can be told whether that has run? */
int inferior_is_remote(const struct inferior *inferior, const struct gdb_context *ctx);
/* Memory is read anew, even if the inferior has not run: GDB may have written. Accepts NULL. */
void inferior_forget(struct inferior *inferior);
void inferior_close(struct inferior *inferior); /* accepts NULL */

#endif
