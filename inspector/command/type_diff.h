/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * type_diff: what is in use by type, of two snapshots, told by the same means for both: where one has
 * neither bytes nor sums by type that were saved with it, both do without, or all that has a vtable or is
 * text would seem to be new.
 */
#ifndef INSP_COMMAND_TYPE_DIFF_H
#define INSP_COMMAND_TYPE_DIFF_H

#include "analysis/groups.h"
#include "command/command.h"

/* *ret_note (may be NULL after it): what the reader must know, in ctx->pool. */
int insp_type_diff(struct insp_context *ctx, const struct insp_snapshot *base, struct insp_groups *ret_then,
		   struct insp_groups *ret_now, const char **ret_note, struct insp_error *err)
	insp_must_check;

/* What is in use in ctx's snapshot by type, in pool; with_chunks, for saving it, which chunk is what. */
int insp_type_sums_make(struct insp_context *ctx, struct insp_pool *pool, bool with_chunks,
			struct insp_type_sums *ret, struct insp_error *err) insp_must_check;

#endif
