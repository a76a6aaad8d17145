/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * unwind: from the registers and stack bytes that were copied in the pause to frames, after it.
 *
 * An unwinder is one row of stack/unwinders.def and one file; it turns one thread into a list of
 * (pc, sp) and nothing else. Names and lines are added by symbol/. To add one: write
 * stack/unwind_<name>.c with `const struct insp_unwinder insp_unwinder_<name>`, add a row.
 */
#ifndef INSP_STACK_UNWIND_H
#define INSP_STACK_UNWIND_H

#include "base/error.h"
#include "base/pool.h"
#include "model/thread.h"
#include "symbol/symbols.h"
#include "target/target.h"

#define INSP_FRAMES_MAX 512

struct insp_unwind_env {
	struct insp_target *target;   /* for bytes outside of the copied stacks (text, CFI); may be NULL */
	struct insp_symbols *symbols;
	const struct insp_regions *regions;
	struct insp_threads *threads;
	struct insp_pool *pool;
};

/* pcs only: function, file and so on stay NULL. */
struct insp_unwinder {
	const char *name; /* "libdw", "libunwind" */
	const char *title;
	int (*open)(const struct insp_unwind_env *env, void **ret, struct insp_error *err);
	/* Appends frames (pc, sp, flags), innermost first. A stack that ends early is not an error:
	   frames->end_reason says why. */
	int (*unwind)(void *state, const struct insp_thread *thread, struct insp_frames *frames,
		      struct insp_error *err);
	void (*close)(void *state);
};

#define X(name) extern const struct insp_unwinder insp_unwinder_##name;
#include "stack/unwinders.def"
#undef X

/* By name; NULL name: the first row. NULL when there is none. */
const struct insp_unwinder *insp_unwinder_find(const char *name);

/*
 * Unwinds and symbolises every thread that has registers; fills thread->frames. Equal pcs are
 * symbolised once. Threads that cannot be unwound get end_reason, never an error.
 */
int insp_unwind_all(const struct insp_unwind_env *env, const struct insp_unwinder *unwinder,
		    struct insp_error *err) insp_must_check;

#endif
