/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * take: from a target to a snapshot, in the order that keeps the pause short.
 *
 *     running  regions, modules, allocators located, buffers made and touched, pause estimated
 *     held     threads' registers and stacks, heads, heap streamed once
 *     running  free lists resolved, stacks unwound, names looked up
 */
#ifndef INSP_SNAPSHOT_TAKE_H
#define INSP_SNAPSHOT_TAKE_H

#include "base/error.h"
#include "snapshot/snapshot.h"
#include "symbol/symbols.h"
#include "target/target.h"

enum insp_capture_mode {
	INSP_CAPTURE_AUTO,
	INSP_CAPTURE_STOP,
	INSP_CAPTURE_PRECOPY,
	INSP_CAPTURE_FORK,
	INSP_CAPTURE_LIVE,
};

typedef int (*insp_on_memory_fn)(void *ctx, const struct insp_snapshot *snapshot,
				 struct insp_target *memory, struct insp_error *err);

struct insp_take_options {
	unsigned needs;			/* enum insp_need */
	enum insp_capture_mode mode;
	uint64_t max_pause_ns;		/* 0: the default of 1 s */
	bool allow_inject;
	bool hold;			/* leave it held: the caller resumes */
	uint32_t stack_bytes;		/* of each thread; 0: the default of 64 KiB */
	const char *unwinder;		/* NULL: the default */
	/*
	 * NULL, or called once while the target's memory is that of the instant: what reads more of it
	 * than a snapshot keeps. snapshot has regions and threads with registers by then; memory is
	 * the target, held, or a copy of it. Counts into the pause unless there is a copy.
	 */
	insp_on_memory_fn on_memory;
	void *on_memory_ctx;
};

/*
 * Gives ret. symbols may be NULL: then it makes its own where stacks are wanted, and, if
 * ret_symbols is not NULL, gives it to the caller.
 */
int insp_snapshot_take(struct insp_target *target, const struct insp_take_options *options,
		       struct insp_snapshot **ret, struct insp_symbols **ret_symbols,
		       struct insp_error *err) insp_must_check;

/*
 * What a snapshot with these options would do to the target, without stopping it: ret has regions,
 * modules, threads' names, allocators (as found in the running process), capture.mode,
 * .mode_reason and .estimated_stop_ns, and no chunks. A refusal (INSP_E_BUDGET) is put into
 * ret_refusal and is no failure. Gives ret.
 */
int insp_snapshot_plan(struct insp_target *target, const struct insp_take_options *options,
		       struct insp_snapshot **ret, struct insp_error *ret_refusal,
		       struct insp_error *err) insp_must_check;

#endif
