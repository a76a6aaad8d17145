/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * place: what a place outside of the heap is called in the source: the variable that holds it and
 * the member in that, "table.buckets[3]". NULL: debug info is not there, or knows of none. Views in
 * the context's pool.
 */
#ifndef INSP_COMMAND_PLACE_H
#define INSP_COMMAND_PLACE_H

#include "command/command.h"

/* A global or static variable. */
const char *insp_place_global(const struct insp_context *ctx, uint64_t addr);
/* A thread-local variable of the thread. */
const char *insp_place_thread_local(const struct insp_context *ctx,
				    const struct insp_thread *thread, uint64_t addr);
/* "local 'table' of main()"-less: the local's name and member of the frame that holds addr;
 *ret_frame is its number. */
const char *insp_place_local(const struct insp_context *ctx, const struct insp_thread *thread,
			     uint64_t addr, size_t *ret_frame);
/* The local that a register of the innermost frame holds. */
const char *insp_place_register(const struct insp_context *ctx, const struct insp_thread *thread,
				unsigned reg);

#endif
