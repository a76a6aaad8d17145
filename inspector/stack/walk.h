/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * walk: what all unwinders do alike: check each frame, know the bottom, and go on where unwind
 * tables end.
 *
 * A walk is a row of legs. An unwinder walks a leg as far as it can:
 *
 *     leg 1   registers of the thread -> frames in libraries -> code made at run time: no tables
 *     step    by frame pointer, or by scanning the stack (bytes.h)
 *     leg 2   pc, sp, bp of the step -> the interpreter, main, _start
 */
#ifndef INSP_STACK_WALK_H
#define INSP_STACK_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/bytes.h"

struct insp_walk {
	struct insp_stack stack;
	struct insp_frames *frames;
	uint64_t regs[INSP_N_REGS]; /* what the leg begins with; pc lies inside of the call, one before
				       the return address, unless the thread stands there */
	uint32_t known;		  /* bits of enum insp_reg: those of regs that are */
	struct insp_cursor last;  /* the last good frame */
	bool skip;		  /* the leg's first frame is in the list already */
	bool guessed;		  /* frames from here on rest on a guess */
	bool bottom;		  /* reached */
	bool no_memory;
	const char *stopped;	  /* a frame was refused, and why */
};

/* Walks from where walk says, calling insp_walk_frame for each frame, its first included, until
   that says false or it knows no more. Returns true when its tables say that this is the bottom. */
typedef bool (*insp_leg_fn)(void *ctx, struct insp_walk *walk);

/* Takes a frame, or refuses it: false, the leg is over. */
bool insp_walk_frame(struct insp_walk *walk, const struct insp_cursor *at);

/* Appends the frames of thread. 0 or INSP_E_NOMEM. */
int insp_walk_run(struct insp_walk *walk, const struct insp_unwind_env *env,
		  const struct insp_thread *thread, insp_leg_fn leg, void *ctx,
		  struct insp_frames *frames, struct insp_error *err) insp_must_check;

#endif
