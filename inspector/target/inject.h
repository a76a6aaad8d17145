/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inject: lets a held thread of the target make one system call for us.
 *
 * Off unless the user allows it. The target heals itself: before its registers are changed, a
 * signal frame that holds them all is put below its stack, and the injected call returns into
 * rt_sigreturn. So if this process dies at any step, the thread goes on where it was, without us.
 */
#ifndef INSP_TARGET_INJECT_H
#define INSP_TARGET_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct insp_inject;
struct insp_target;
struct insp_tracer;

/*
 * While the target runs: finds the instructions that are needed in its code, and tells early when
 * injection is out of the question: INSP_E_UNSUPPORTED with the reason. Gives.
 */
int insp_inject_create(struct insp_target *target, struct insp_inject **ret, struct insp_error *err)
	insp_must_check;
void insp_inject_destroy(struct insp_inject *inject); /* accepts NULL */

/*
 * In the tracer only (insp_tracer_call): makes the call in the first thread for which that
 * is safe. 0: it was made, and *ret_value is its result, also a negative errno. When no thread
 * would do: INSP_E_UNSUPPORTED with the reason of the last one, and nothing has changed. Other
 * errors: the target is being let go.
 */
int insp_inject_call(struct insp_inject *inject, struct insp_tracer *tracer, long number,
		     const uint64_t args[6], int64_t *ret_value, struct insp_error *err)
	insp_must_check;

/*
 * The same for clone(CLONE_FILES): the child is ours to trace from birth, stopped, and can do
 * nothing by itself but end. *ret_child is its pid here.
 */
int insp_inject_clone(struct insp_inject *inject, struct insp_tracer *tracer, int *ret_child,
		      int64_t *ret_value, struct insp_error *err) insp_must_check;

/* A call made by such a child, which afterwards stands where it stood. */
int insp_inject_child(struct insp_inject *inject, struct insp_tracer *tracer, int child, long number,
		      const uint64_t args[6], int64_t *ret_value, struct insp_error *err)
	insp_must_check;

/*
 * From now on calls undo what earlier ones did, so they are also made where the process was stopped by a
 * signal meanwhile. insp_inject_until_done says so itself.
 */
void insp_inject_clean_up(struct insp_inject *inject);

/* For tests: called between any two steps of an injection. */
void insp_inject_on_step(struct insp_inject *inject, void (*fn)(void *ctx), void *ctx);

/*
 * The same while the target runs, or was just let go: stops it for the one call, again and again
 * for some seconds when that fails (a busy machine, no thread that is fit). For what must not
 * be left behind. Adds to *stopped_ns.
 */
int insp_inject_until_done(struct insp_inject *inject, struct insp_target *target, long number,
			   const uint64_t args[6], int64_t *ret_value, uint64_t *stopped_ns,
			   struct insp_error *err) insp_must_check;

#endif
