/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inferior: the session of the core on GDB's current inferior, kept until the inferior runs.
 *
 *   native  opened as a process that we trace already: the core reads it itself, as fast as ever
 *   core    opened by its path: the core reads the file, GDB is not asked
 *   remote  behind callbacks: mappings and registers as GDB told them, memory by target_read
 */
#ifndef MEMINSPECT_GDB_INFERIOR_H
#define MEMINSPECT_GDB_INFERIOR_H

#include <stddef.h>

#include <gdb/jit-reader.h>

#include "context.h"

struct inferior;

/*
 * The session for what ctx describes; the one of the last command when it is still the same and has
 * not run. NULL: error says why. cb is good for this call of GDB's only, and so is reading memory.
 */
struct meminspect *inferior_session(struct inferior **inferior, const struct gdb_context *ctx,
				    struct gdb_unwind_callbacks *cb, char *error, size_t error_bytes);
/* What a remote target needs: the text of `info proc mappings`, and a file of registers: for each
   thread a mark, its number in GDB, 17 registers in DWARF order, fs_base, 8 bytes each. A record
   ends early where GDB could not tell a register. */
void inferior_remote(struct inferior **inferior, char *mappings, int registers_fd);
void inferior_close(struct inferior *inferior); /* accepts NULL */

#endif
