/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * held: what the commands about who holds what have in common: the graph for the length of one
 * command, and names for people.
 */
#ifndef INSP_COMMAND_HELD_H
#define INSP_COMMAND_HELD_H

#include "analysis/dominators.h"
#include "analysis/graph.h"
#include "analysis/leaks.h"
#include "command/command.h"
#include "command/typing.h"

/* What every one of them needs in the snapshot and beside it. */
#define INSP_HELD_NEEDS                                                                       \
	(INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_STACKS | INSP_NEED_SITES | \
	 INSP_NEED_SYMBOLS | INSP_NEED_BYTES)

/* Live until the command is done. leaks and dominators may be NULL: not wanted. */
int insp_held_create(const struct insp_context *ctx, struct insp_graph **ret,
		     struct insp_leaks **ret_leaks, struct insp_dominators **ret_dominators,
		     struct insp_error *err) insp_must_check;

/* The live chunk whose memory holds addr; INSP_E_NOTFOUND says what is there instead. */
int insp_held_chunk_at(const struct insp_context *ctx, uint64_t addr, struct insp_chunk *ret,
		       struct insp_error *err) insp_must_check;

/* "global `table` + 0x10 in libfoo.so", "stack of thread 12 (worker), frame 3 handle()". View in
   the context's pool, never NULL unless memory is short. */
const char *insp_name_root(const struct insp_context *ctx, const struct insp_root *root);

/* Why a path from this root may not be one: "rests on a word of a stack, ...". NULL: no doubt. */
const char *insp_held_doubt(const struct insp_root *root, bool by_start);

/* The object "chunk": address, sizes, type, first bytes, site. */
void insp_held_report_chunk(const struct insp_context *ctx, struct insp_report *report,
			    struct insp_typing *typing, const struct insp_chunk *chunk);

/* "parse < read_config < main" for a site of the hook. View in the context's pool. */
const char *insp_name_site(const struct insp_context *ctx, uint32_t site);
/* Are there sites, joined with the chunks? */
bool insp_held_has_sites(const struct insp_snapshot *snapshot);

/* Says in a note what the picture lacks: no allocator walked, not consistent, no bytes. */
void insp_held_caveats(const struct insp_context *ctx, struct insp_report *report);

#endif
