/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stack/walk.h"

#include <string.h>

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

static bool check_frame(struct insp_walk *walk, const struct insp_cursor *at)
{
	struct insp_frames *frames = walk->frames;
	bool interrupted;

	/* Where it stands may be anywhere: a call through a null pointer. */
	if (!frames->n)
		return add_frame(walk, at, INSP_FRAME_ACTIVATION);
	/* The same for what a signal interrupted, and its handler may have a stack of its own. */
	interrupted = frames->items[frames->n - 1].flags & INSP_FRAME_SIGNAL;
	if (interrupted)
		return add_frame(walk, at, INSP_FRAME_ACTIVATION);
	if (!at->pc) {
		walk->bottom = true;
		return false;
	}
	if (!insp_stack_is_code(&walk->stack, at->pc))
		return refuse(walk, "a return address outside of all code");
	if (goes_down(walk, at))
		return refuse(walk, "the stack pointer does not rise");
	return add_frame(walk, at,
			 insp_stack_is_trampoline(&walk->stack, at->pc) ? INSP_FRAME_SIGNAL : 0);
}

bool insp_walk_frame(struct insp_walk *walk, const struct insp_cursor *at)
{
	if (walk->skip)
		walk->skip = false;
	else if (!check_frame(walk, at))
		return false;
	/* The kernel's frame is always the same, whatever tables say or fail to say about it. */
	if (walk->frames->items[walk->frames->n - 1].flags & INSP_FRAME_SIGNAL)
		return false;
	/* Outside of modules there are no tables, and unwinders follow anything that might be a frame
	   pointer; insp_stack_step looks closer. */
	return insp_modules_find(insp_symbols_modules(walk->stack.env->symbols), at->pc);
}

/*
 * One leg. True: the bottom was reached. Tables say so, or it is a frame pointer of zero (the ABI
 * marks the outermost frame by it) in a function of a module that has no tables there.
 */
static bool walk_leg(struct insp_walk *walk, insp_leg_fn leg, void *ctx)
{
	const struct insp_modules *modules = insp_symbols_modules(walk->stack.env->symbols);
	bool bottom;

	walk->stopped = NULL;
	bottom = leg(ctx, walk) || walk->bottom;
	/* A return address that cannot be read looks like the bottom to libdw. */
	if (walk->stopped || walk->stack.copy_ended || !walk->frames->n)
		return false;
	if (bottom)
		return !(walk->frames->items[walk->frames->n - 1].flags & INSP_FRAME_SIGNAL);
	return !walk->last.bp && insp_modules_find(modules, walk->last.pc);
}

static void start_at(struct insp_walk *walk, const struct insp_cursor *at)
{
	walk->known = 1u << INSP_REG_RIP | 1u << INSP_REG_RSP | 1u << INSP_REG_RBP;
	walk->regs[INSP_REG_RIP] = at->pc - 1;
	walk->regs[INSP_REG_RSP] = at->sp;
	walk->regs[INSP_REG_RBP] = at->bp;
	walk->skip = true;
}

/*
 * What a signal interrupted, from the frame that the kernel made: when the trampoline runs, the
 * stack pointer is at a struct ucontext. Tables are not asked: some C libraries have none there,
 * and libdw takes a jump to address zero for the bottom.
 *
 *     0 flags, link, stack   40 r8 .. r15   104 rdi rsi rbp rbx rdx rax rcx rsp rip
 */
static bool step_signal(struct insp_walk *walk)
{
	static const enum insp_reg order[] = {
		INSP_REG_R8,  INSP_REG_R9,  INSP_REG_R10, INSP_REG_R11, INSP_REG_R12, INSP_REG_R13,
		INSP_REG_R14, INSP_REG_R15, INSP_REG_RDI, INSP_REG_RSI, INSP_REG_RBP, INSP_REG_RBX,
		INSP_REG_RDX, INSP_REG_RAX, INSP_REG_RCX, INSP_REG_RSP, INSP_REG_RIP,
	};
	uint64_t saved[INSP_N_REGS];
	struct insp_cursor at;

	_Static_assert(sizeof(order) / sizeof(order[0]) == INSP_N_REGS, "every register");
	if (!insp_stack_read(&walk->stack, walk->last.sp + 40, saved, sizeof(saved)))
		return false;
	for (unsigned i = 0; i < INSP_N_REGS; i++)
		walk->regs[order[i]] = saved[i];
	walk->known = (1u << INSP_N_REGS) - 1;
	walk->skip = true;
	at = (struct insp_cursor){.pc = walk->regs[INSP_REG_RIP],
				  .sp = walk->regs[INSP_REG_RSP],
				  .bp = walk->regs[INSP_REG_RBP]};
	return add_frame(walk, &at, INSP_FRAME_ACTIVATION);
}

/* Beyond the last frame, by other means than tables. False: the end. */
static bool step(struct insp_walk *walk)
{
	struct insp_frames *frames = walk->frames;
	struct insp_cursor next;
	bool guessed;

	if (frames->truncated || !frames->n)
		return false;
	if (frames->items[frames->n - 1].flags & INSP_FRAME_SIGNAL)
		return step_signal(walk);
	if (!insp_stack_step(&walk->stack, &walk->last, &next, &guessed))
		return false;
	walk->guessed |= guessed;
	start_at(walk, &next);
	return add_frame(walk, &next, 0);
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
	*walk = (struct insp_walk){.frames = frames, .known = (1u << INSP_N_REGS) - 1};
	insp_stack_init(&walk->stack, env, thread);
	memcpy(walk->regs, thread->regs, sizeof(walk->regs));
	for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
		if (walk_leg(walk, leg, ctx))
			return 0;
		if (walk->no_memory || !step(walk))
			break;
	}
	if (walk->no_memory)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	frames->truncated |= walk->stack.copy_ended;
	frames->end_reason = end_reason(walk);
	return 0;
}
