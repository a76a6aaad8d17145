/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tracer: holds a live process still.
 *
 * One task, the tracer, does every ptrace call, because the kernel ties a tracee to the task that
 * seized it. Its exit is the detach, however it comes about: asked for, at the end of the time
 * allowed, or by a death. So the target runs on whatever happens here. It is a process beside this
 * one, in the same memory: when this one is killed, it brings what it is at to an end first.
 */
#ifndef INSP_TARGET_TRACER_H
#define INSP_TARGET_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#include "base/error.h"
#include "target/target.h"
#include "target/task.h"

struct insp_live;
struct insp_tracer;

enum insp_tracee_phase {
	INSP_TRACEE_SEIZED,	 /* ours, and still running */
	INSP_TRACEE_INTERRUPTED, /* asked to stop */
	INSP_TRACEE_STOPPED,
	INSP_TRACEE_UNSTOPPABLE, /* in the kernel for long: cannot run user code before it stops */
	INSP_TRACEE_DEAD,
};

struct insp_tracee {
	int tid;
	volatile uint8_t phase;	 /* enum insp_tracee_phase; the tick handler sets DEAD */
	uint8_t event;		 /* of the stop: PTRACE_EVENT_*; 0: about to get signal `sig` */
	uint8_t sig;
	uint8_t times_stuck;	 /* seen in state D */
	bool have_regs;
	uint64_t asked_ns;	 /* when it was interrupted */
	struct user_regs_struct regs;
	uint64_t stack_addr;	 /* what stack bytes were copied, and where to in the stack buffer */
	size_t stack_off, stack_len;
	uint64_t region_start, region_end; /* the mapping that rsp points into; 0, 0 unknown */
	struct insp_task task;	 /* as it was before the stop; task.state == 0: it is new */
};

/*
 * Stops every thread of live and, when asked, copies registers and stacks. Gives. After failure
 * the target runs as before.
 */
int insp_tracer_stop(struct insp_live *live, const struct insp_stop_options *options,
		     struct insp_tracer **ret, struct insp_error *err) insp_must_check;
/* Thread safe. */
bool insp_tracer_held(const struct insp_tracer *tracer);
/* Lets go, waits until the kernel has done so, frees. report may be NULL. Accepts NULL. */
void insp_tracer_resume(struct insp_tracer *tracer, struct insp_stop_report *report);

/*
 * Runs fn in the tracer while the target is held, and waits for it: where ptrace calls of others
 * (injection) have to be made. INSP_E_GONE when the target was let go. In fn this process is the
 * parent, and errors go through err alone.
 */
typedef int (*insp_tracer_fn)(struct insp_tracer *tracer, void *ctx, struct insp_error *err);
int insp_tracer_call(struct insp_tracer *tracer, insp_tracer_fn fn, void *ctx,
		     struct insp_error *err) insp_must_check;

/*
 * From a call in the tracer: child, a process that it traces, stays held when the target is
 * let go, and is killed when we die. Then resume() does not free the tracer: insp_tracer_drop
 * does, after killing the child. child 0: no longer.
 */
void insp_tracer_keep(struct insp_tracer *tracer, int child);
void insp_tracer_drop(struct insp_tracer *tracer);

/* Views, good while the target is held; the dead are among them. */
struct insp_tracee *insp_tracer_tracees(struct insp_tracer *tracer, size_t *ret_n);

/* The copied stack bytes outlive the tracer as long as somebody has a share in them. */
struct insp_stack_bytes;
struct insp_stack_bytes *insp_tracer_stacks(struct insp_tracer *tracer); /* takes a share; may be NULL */
uint8_t *insp_stack_bytes_at(struct insp_stack_bytes *bytes, size_t off);
void insp_stack_bytes_drop(void *bytes);

#endif
