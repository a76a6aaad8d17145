/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * unwind_libdw: libdwfl's unwinder over copied registers and stack bytes.
 *
 * libdwfl asks for memory and initial registers by callback and steps by .eh_frame and
 * .debug_frame. It takes callbacks once in its life, so they find the walk in hand through the
 * slot that symbols keeps for that.
 */
#include <elf.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>

#include "stack/walk.h"

struct state {
	const struct insp_unwind_env *env;
	Dwfl *dwfl;
	struct insp_walk walk;
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
	if (!insp_stack_read(&state->walk.stack, addr, &word, sizeof(word)))
		return false;
	*ret = word;
	return true;
}

static bool set_initial_registers(Dwfl_Thread *thread, void *thread_arg)
{
	const struct insp_walk *walk = &((struct state *)thread_arg)->walk;

	for (unsigned i = 0; i < INSP_N_REGS; i++) {
		Dwarf_Word value = walk->regs[i];

		if (walk->known & 1u << i && !dwfl_thread_state_registers(thread, (int)i, 1, &value))
			return false;
	}
	return true;
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
	int pid = state->env->target && state->env->target->pid > 0 ? state->env->target->pid : 1;
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

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct insp_walk *walk = arg;
	struct insp_cursor at;

	if (!dwfl_frame_pc(frame, &at.pc, NULL))
		return DWARF_CB_ABORT;
	at.sp = frame_register(frame, INSP_REG_RSP);
	at.bp = frame_register(frame, INSP_REG_RBP);
	return insp_walk_frame(walk, &at) ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static bool walk_leg(void *arg, struct insp_walk *walk)
{
	struct state *state = arg;

	return dwfl_getthread_frames(state->dwfl, walk->stack.thread->tid, on_frame, walk) == 0;
}

static int libdw_unwind(void *arg, const struct insp_thread *thread, struct insp_frames *frames,
			struct insp_error *err)
{
	struct state *state = arg;

	return insp_walk_run(&state->walk, state->env, thread, walk_leg, state, frames, err);
}

const struct insp_unwinder insp_unwinder_libdw = {
	.name = "libdw",
	.title = "elfutils libdw",
	.open = libdw_open,
	.unwind = libdw_unwind,
	.close = libdw_close,
};
