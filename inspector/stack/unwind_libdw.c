/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * unwind_libdw: libdwfl's unwinder over copied registers and stack bytes.
 *
 * libdwfl asks for memory and initial registers by callback and steps by .eh_frame and
 * .debug_frame. Where it knows no more (code made at run time has no tables), the walk goes on by
 * insp_stack_step and, from the frame found there, by libdwfl again: a walk is a row of
 * legs, each with its own initial registers.
 *
 *     leg 1   registers of the thread -> frames in libraries -> JIT code, no table
 *     step    frame pointer or scan
 *     leg 2   pc, sp, bp of the step -> the interpreter, main, _start
 */
#include <elf.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "stack/bytes.h"

/* A walk that guesses this often is lost. */
#define STEPS_MAX 64

struct state {
	const struct insp_unwind_env *env;
	Dwfl *dwfl;
	/* the walk in hand */
	struct insp_stack stack;
	struct insp_frames *frames;
	struct insp_cursor start; /* of a leg after the first */
	struct insp_cursor last;  /* the last good frame */
	bool first_leg;
	bool guessed;		  /* frames from here on rest on a guess */
	bool skip;		  /* the leg's first frame is in the list already */
	bool bottom;		  /* reached */
	bool no_memory;
	const char *stopped;	  /* we ended the leg ourselves, and why */
};

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	(void)dwfl, (void)arg, (void)thread_arg;
	return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	void **slot = arg;

	(void)dwfl, (void)tid;
	*thread_arg = *slot;
	return *slot;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *ret, void *arg)
{
	struct state *state = *(void **)arg;
	uint64_t word;

	(void)dwfl;
	if (!insp_stack_read(&state->stack, addr, &word, sizeof(word)))
		return false;
	*ret = word;
	return true;
}

static bool set_initial_registers(Dwfl_Thread *thread, void *thread_arg)
{
	const struct state *state = thread_arg;
	Dwarf_Word regs[INSP_N_REGS];

	if (state->first_leg) {
		for (unsigned i = 0; i < INSP_N_REGS; i++)
			regs[i] = state->stack.thread->regs[i];
		return dwfl_thread_state_registers(thread, 0, INSP_N_REGS, regs);
	}
	return dwfl_thread_state_registers(thread, INSP_REG_RBP, 1, &state->start.bp) &&
	       dwfl_thread_state_registers(thread, INSP_REG_RSP, 1, &state->start.sp) &&
	       dwfl_thread_state_registers(thread, INSP_REG_RIP, 1, &state->start.pc);
}

static const Dwfl_Thread_Callbacks callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_initial_registers,
};

/* libdwfl learns from an ELF header what machine it is; otherwise it would open every module. */
static bool attach(struct state *state)
{
	void **slot = insp_symbols_slot(state->env->symbols);
	Elf64_Ehdr ehdr = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(ehdr),
	};
	int pid = state->env->target && state->env->target->pid ? state->env->target->pid : 1;
	Elf *elf;
	bool ok;

	if (dwfl_pid(state->dwfl) > 0)
		return true;
	elf = elf_memory((char *)&ehdr, sizeof(ehdr));
	ok = elf && dwfl_attach_state(state->dwfl, elf, pid, &callbacks, slot);
	elf_end(elf);
	return ok;
}

static int libdw_open(const struct insp_unwind_env *env, void **ret, struct insp_error *err)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	state->env = env;
	state->dwfl = insp_symbols_dwfl(env->symbols);
	if (!attach(state)) {
		free(state);
		return insp_fail(err, INSP_E_UNSUPPORTED, "libdw cannot unwind: %s",
				 dwfl_errmsg(-1));
	}
	*insp_symbols_slot(env->symbols) = state;
	*ret = state;
	return 0;
}

static void libdw_close(void *arg)
{
	struct state *state = arg;

	if (!state)
		return;
	*insp_symbols_slot(state->env->symbols) = NULL;
	free(state);
}

static uint64_t frame_register(Dwfl_Frame *frame, unsigned reg)
{
	Dwarf_Word value;

	return dwfl_frame_reg(frame, reg, &value) == 0 ? value : 0;
}

static int add_frame(struct state *state, const struct insp_cursor *at, uint32_t flags)
{
	struct insp_frame *f = insp_vec_push(state->frames);

	if (!f) {
		state->no_memory = true;
		return DWARF_CB_ABORT;
	}
	f->pc = at->pc;
	f->sp = at->sp;
	f->flags = flags | (state->guessed || state->stack.torn ? INSP_FRAME_GUESSED : 0);
	state->last = *at;
	return DWARF_CB_OK;
}

static int stop(struct state *state, const char *why)
{
	state->stopped = why;
	return DWARF_CB_ABORT;
}

/* Both on the stack that was copied, and not going up: a loop, or broken tables. */
static bool goes_down(const struct state *state, const struct insp_cursor *at)
{
	const struct insp_thread *t = state->stack.thread;

	return at->sp <= state->last.sp && at->sp >= t->stack_start &&
	       state->last.sp < t->stack_end && at->sp < t->stack_end;
}

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct state *state = arg;
	struct insp_frames *frames = state->frames;
	struct insp_cursor at;
	bool activation, in_handler;
	uint32_t flags = 0;

	if (!dwfl_frame_pc(frame, &at.pc, &activation))
		return stop(state, "libdw knows no pc for a frame");
	at.sp = frame_register(frame, INSP_REG_RSP);
	at.bp = frame_register(frame, INSP_REG_RBP);
	if (state->skip) {
		state->skip = false;
		return DWARF_CB_OK;
	}
	if (frames->n >= INSP_FRAMES_MAX) {
		frames->truncated = true;
		return stop(state, "more frames than are kept");
	}
	if (frames->n && !at.pc) {
		state->bottom = true;
		return DWARF_CB_ABORT;
	}
	if (frames->n && !insp_stack_is_code(&state->stack, at.pc))
		return stop(state, "a return address outside of all code");
	in_handler = frames->n && frames->items[frames->n - 1].flags & INSP_FRAME_SIGNAL;
	if (frames->n && !in_handler && goes_down(state, &at))
		return stop(state, "the stack pointer does not rise");
	if (!frames->n || in_handler)
		flags |= INSP_FRAME_ACTIVATION;
	else if (activation && insp_stack_is_trampoline(&state->stack, at.pc))
		flags |= INSP_FRAME_SIGNAL;
	return add_frame(state, &at, flags);
}

/*
 * One leg. True: the bottom was reached. That is what the tables say, or a frame pointer of zero
 * (by which the ABI marks the outermost frame) in a function of a module without tables.
 */
static bool walk_leg(struct state *state)
{
	int rc;

	state->stopped = NULL;
	state->bottom = false;
	rc = dwfl_getthread_frames(state->dwfl, state->stack.thread->tid, on_frame, state);
	return rc == 0 || state->bottom ||
	       (!state->stopped && state->frames->n && !state->last.bp &&
		insp_modules_find(insp_symbols_modules(state->env->symbols), state->last.pc));
}

static int libdw_unwind(void *arg, const struct insp_thread *thread, struct insp_frames *frames,
			struct insp_error *err)
{
	struct state *state = arg;

	insp_stack_init(&state->stack, state->env, thread);
	state->frames = frames;
	state->first_leg = true;
	state->guessed = state->skip = state->no_memory = false;
	frames->end_reason = NULL;
	for (unsigned steps = 0;; steps++) {
		struct insp_cursor next;
		bool guessed;

		if (walk_leg(state))
			return 0;
		if (state->no_memory)
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		state->first_leg = false;
		if (frames->truncated || steps >= STEPS_MAX || !frames->n ||
		    !insp_stack_step(&state->stack, &state->last, &next, &guessed))
			break;
		state->guessed |= guessed;
		state->start = next;
		if (frames->n >= INSP_FRAMES_MAX) {
			frames->truncated = true;
			break;
		}
		if (add_frame(state, &next, 0) != DWARF_CB_OK)
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		state->skip = true;
	}
	if (state->stack.copy_ended)
		frames->truncated = true;
	frames->end_reason = insp_stack_end_reason(&state->stack);
	if (state->stopped)
		frames->end_reason = state->stopped;
	return 0;
}

const struct insp_unwinder insp_unwinder_libdw = {
	.name = "libdw",
	.title = "elfutils libdw",
	.open = libdw_open,
	.unwind = libdw_unwind,
	.close = libdw_close,
};
