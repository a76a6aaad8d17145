/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * copy: the target's memory as it was at the stop, read after it: a forked twin, a copy that
 * was made before and completed in the stop, or one that was made in the stop. One interface over
 * target/twin.h, target/precopy.h and target/heldcopy.h, so that take.c knows one order of steps.
 *
 *     begin    while it runs
 *     held     while it stands still: from here on the copy is that instant
 *     target   after it was let go: reads from the copy
 *     end
 */
#ifndef INSP_SNAPSHOT_COPY_H
#define INSP_SNAPSHOT_COPY_H

#include "base/error.h"
#include "snapshot/take.h"

struct insp_copy;

/* For about how long the target would stand still for it; with precopy, and for what it writes
   meanwhile. 0 when it has ended. */
uint64_t insp_copy_estimate_ns(struct insp_target *target, enum insp_capture_mode mode, size_t nthreads);
/* Would it work here? It is not touched. INSP_E_UNSUPPORTED with the reason. */
int insp_copy_check(struct insp_target *target, enum insp_capture_mode mode, struct insp_error *err)
	insp_must_check;

/* mode is PRECOPY, FORK, or STOP: in the stop. INSP_E_UNSUPPORTED: not here, nothing has happened, err says why. Gives. */
int insp_copy_begin(struct insp_target *target, enum insp_capture_mode mode, struct insp_copy **ret,
		    struct insp_error *err) insp_must_check;
/* INSP_E_UNSUPPORTED: the target is held as before. */
int insp_copy_held(struct insp_copy *copy, struct insp_error *err) insp_must_check;
/* After resume: no need to watch the target any longer. */
void insp_copy_released(struct insp_copy *copy);
/* Returns view, until the end. */
struct insp_target *insp_copy_target(struct insp_copy *copy);
/* The time that the target stood still for the copy alone, beside the stop: adds to *ret_stopped_ns
   (may be NULL). Accepts NULL. */
void insp_copy_end(struct insp_copy *copy, uint64_t *ret_stopped_ns);

#endif
