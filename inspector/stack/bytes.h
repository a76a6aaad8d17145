/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bytes: the memory that an unwinder may look at for one thread, and how to go on without unwind
 * tables.
 *
 * The thread has been running again since its registers and stack were copied. So its stack is
 * what was copied and nothing else, unless the target is still held; other memory that does not
 * change (code, tables) comes from files and the live target; other writable memory, say the
 * stack that a signal handler's alternate stack interrupted, may have changed since, and frames
 * that rest on it are marked as guessed.
 */
#ifndef INSP_STACK_BYTES_H
#define INSP_STACK_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/unwind.h"

struct insp_stack {
	const struct insp_unwind_env *env;
	const struct insp_thread *thread;
	bool held;	   /* the target still stands still */
	bool copy_ended;   /* something beyond the copied bytes was asked for */
	bool torn;	   /* bytes were used that may have changed since */
};

/* Registers that are known in every frame. */
struct insp_cursor {
	uint64_t pc, sp, bp;
};

void insp_stack_init(struct insp_stack *stack, const struct insp_unwind_env *env,
		     const struct insp_thread *thread);

/* All of it, or false. */
bool insp_stack_read(struct insp_stack *stack, uint64_t addr, void *buf, size_t size_bytes);

/* Is addr on the stack that the thread stood on? */
bool insp_stack_is_own(const struct insp_stack *stack, uint64_t addr);
/* Lies addr in memory that may be executed? */
bool insp_stack_is_code(const struct insp_stack *stack, uint64_t addr);
/* Does a call instruction end at addr? */
bool insp_stack_after_call(struct insp_stack *stack, uint64_t addr);
/* Is addr the code that a signal handler returns to? */
bool insp_stack_is_trampoline(struct insp_stack *stack, uint64_t addr);

/*
 * The caller of a frame that no unwind table covers: by the chain of frame pointers where what
 * it says looks right, else the first word on the stack that looks like a return address (then
 * *ret_guessed). False: nothing that looks right.
 */
bool insp_stack_step(struct insp_stack *stack, const struct insp_cursor *at,
		     struct insp_cursor *ret, bool *ret_guessed);

#endif
