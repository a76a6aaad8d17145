/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * remote: a target that only GDB can reach (gdbserver, another machine), as a host of the core.
 *
 * What GDB told of it is copied here; memory is read through GDB when the core asks for it, page
 * by page, and each page once until the target has run: a packet costs as much as a walk over a
 * megabyte.
 */
#ifndef MEMINSPECT_GDB_REMOTE_H
#define MEMINSPECT_GDB_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <gdb/jit-reader.h>
#include <meminspect/meminspect.h>

#include "context.h"

struct remote;

struct remote *remote_create(void); /* NULL: no memory */
void remote_destroy(struct remote *remote);

/* What GDB answered, as text or bytes; may be empty, never NULL. Borrowed. */
struct remote_told {
	const char *maps;    /* /proc/PID/maps of there */
	char *threads;	     /* headings of `thread apply all`; written to */
	const uint64_t *registers; /* records, see REMOTE_MARK */
	size_t nregisters;
};

/*
 * A record for each thread: mark, number of the inferior, number of the thread in it, 17 registers
 * in DWARF order, and fs_base where GDB knows it.
 */
#define REMOTE_MARK UINT64_C(0x6d656d696e737065)

/* Takes it in, for the inferior that ctx describes; whether it runs is not known any more. */
void remote_take(struct remote *remote, const struct gdb_context *ctx, const struct remote_told *told);
/* What ctx was, then. */
const struct gdb_context *remote_context(const struct remote *remote);

/*
 * Has it run? Commands for GDB that fetch how long each known thread has been on a CPU, into the
 * pipe fd of GDB's, which holds pipe_bytes. A new thread is the work of one of these.
 */
void remote_ask_ran(const struct remote *remote, FILE *commands, int fd, size_t pipe_bytes);
/* What came through the pipe as one number; 0: not known. */
uint64_t remote_ran(const struct remote *remote, const char *text);
/* That number is what remote_fingerprint says from now on, until remote_take. */
void remote_note_ran(struct remote *remote, uint64_t ran);
uint64_t remote_fingerprint(const struct remote *remote);

/* Pages that were read are forgotten. */
void remote_forget(struct remote *remote);

/* The host for meminspect_open_host; NULL with a line in error. Good until remote_destroy. */
const struct meminspect_host *remote_host(struct remote *remote, char *error, size_t error_bytes);
/* Reads go through cb from now on; it is good for this call of GDB's only. */
void remote_attach(struct remote *remote, struct gdb_unwind_callbacks *cb);

#endif
