/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stack/walk.h"

#include "base/vec.h"

/* A walk that has to step this often is lost. */
#define STEPS_MAX 64

static bool add_frame(struct insp_walk *walk, const struct insp_cursor *at, uint32_t flags)
{
	struct insp_frames *frames = walk->frames;
	struct insp_frame *f;

	if (frames->n >= INSP_FRAMES_MAX) {
		frames->truncated = true;
		walk->stopped = "more frames than are kept";
		return false;
	}
	f = insp_vec_push(frames);
	if (!f) {
		walk->no_memory = true;
		return false;
	}
	f->pc = at->pc;
	f->sp = at->sp;
	f->flags = flags | (walk->guessed || walk->stack.torn ? INSP_FRAME_GUESSED : 0);
	walk->last = *at;
	return true;
}

static bool refuse(struct insp_walk *walk, const char *why)
{
	walk->stopped = why;
	return false;
}

/* Both on the thread's own stack, and not going up: a loop, or broken tables. */
static bool goes_down(const struct insp_walk *walk, const struct insp_cursor *at)
{
	return at->sp <= walk->last.sp && insp_stack_is_own(&walk->stack, at->sp) &&
	       insp_stack_is_own(&walk->stack, walk->last.sp);
}

bool insp_walk_frame(struct insp_walk *walk, const struct insp_cursor *at)
{
	struct insp_frames *frames = walk->frames;
	bool interrupted;

	if (walk->skip) {
		walk->skip = false;
		return true;
	}
	/* Where it stands may be anywhere: a call through a null pointer. */
	if (!frames->n)
		return add_frame(walk, at, INSP_FRAME_ACTIVATION);
	if (!at->pc) {
		walk->bottom = true;
		return false;
	}
	if (!insp_stack_is_code(&walk->stack, at->pc))
		return refuse(walk, "a return address outside of all code");
	interrupted = frames->items[frames->n - 1].flags & INSP_FRAME_SIGNAL;
	/* A signal handler may have a stack of its own. */
	if (!interrupted && goes_down(walk, at))
		return refuse(walk, "the stack pointer does not rise");
	if (interrupted)
		return add_frame(walk, at, INSP_FRAME_ACTIVATION);
	return add_frame(walk, at,
			 insp_stack_is_trampoline(&walk->stack, at->pc) ? INSP_FRAME_SIGNAL : 0);
}

/*
 * One leg. True: the bottom was reached. Tables say so, or it is a frame pointer of zero (the ABI
 * marks the outermost frame by it) in a function of a module that has no tables there.
 */
static bool walk_leg(struct insp_walk *walk, insp_leg_fn leg, void *ctx)
{
	const struct insp_modules *modules = insp_symbols_modules(walk->stack.env->symbols);

	walk->stopped = NULL;
	if (leg(ctx, walk) || walk->bottom)
		return true;
	return !walk->stopped && !walk->stack.copy_ended && walk->frames->n && !walk->last.bp &&
	       insp_modules_find(modules, walk->last.pc);
}

static const char *end_reason(const struct insp_walk *walk)
{
	if (walk->stack.copy_ended)
		return "the copied part of the stack ended";
	if (!walk->stack.thread->stack_bytes && !walk->stack.held)
		return "the stack was not copied";
	if (walk->stopped)
		return walk->stopped;
	return "no unwind information for the last frame";
}

int insp_walk_run(struct insp_walk *walk, const struct insp_unwind_env *env,
		  const struct insp_thread *thread, insp_leg_fn leg, void *ctx,
		  struct insp_frames *frames, struct insp_error *err)
{
	*walk = (struct insp_walk){.frames = frames, .first_leg = true};
	insp_stack_init(&walk->stack, env, thread);
	for (unsigned steps = 0;; steps++) {
		struct insp_cursor next;
		bool guessed;

		if (walk_leg(walk, leg, ctx))
			return 0;
		if (walk->no_memory)
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		if (frames->truncated || steps >= STEPS_MAX || !frames->n ||
		    !insp_stack_step(&walk->stack, &walk->last, &next, &guessed))
			break;
		walk->guessed |= guessed;
		if (!add_frame(walk, &next, 0))
			break;
		walk->first_leg = false;
		walk->skip = true;
		walk->start = next;
		walk->start.pc--;
	}
	if (walk->no_memory)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	frames->truncated |= walk->stack.copy_ended;
	frames->end_reason = end_reason(walk);
	return 0;
}
