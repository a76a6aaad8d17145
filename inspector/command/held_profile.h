/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * held_profile: the tree of dominators as weighted stacks, for pprof and flame graphs: outermost the
 * variable, thread or mapping whose pointers hold it, then type by type down to the chunk.
 */
#ifndef INSP_COMMAND_HELD_PROFILE_H
#define INSP_COMMAND_HELD_PROFILE_H

#include "command/held.h"
#include "report/profile.h"

/*
 * Chunks with the same way are one sample, so that all of them sum up to the memory in use; a chain of
 * one type (a list) is one frame. top: the number of the chunk below which to look, 0: all. Gives ret:
 * insp_profile_destroy.
 */
int insp_held_profile(const struct insp_context *ctx, const struct insp_graph *graph,
		      const struct insp_dominators *dominators, struct insp_typing *typing, uint32_t top,
		      struct insp_profile **ret, struct insp_error *err) insp_must_check;

#endif
