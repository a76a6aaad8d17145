/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * twin: a copy-on-write copy of the target, made by one injected clone.
 *
 *     insp_twin_prepare    while it runs: may it be done, is there memory for it?
 *     target->ops->stop    registers and stacks, as ever
 *     insp_twin_fork       while it is held
 *     target->ops->resume
 *     insp_twin_target     reads from the twin, at leisure
 *     insp_twin_end        a second stop, of one call, to collect it
 *
 * The twin is invisible to the target: no SIGCHLD, no wait() sees it, it holds no descriptor open.
 * It never runs a line of the program, is the first to be killed when memory is short, and dies
 * with us. Costs the target its page tables' copying (20 to 50 ms for each GiB), and afterwards one
 * copied page for each that it writes.
 *
 * Not frozen by it: shared mappings, and those with MADV_DONTFORK (absent) or MADV_WIPEONFORK
 * (zero).
 */
#ifndef INSP_TARGET_TWIN_H
#define INSP_TARGET_TWIN_H

#include <stdint.h>

#include "base/error.h"

struct insp_inject;
struct insp_target;
struct insp_twin;

/* Gives; borrows target until the end. */
int insp_twin_prepare(struct insp_target *target, struct insp_twin **ret, struct insp_error *err)
	insp_must_check;
/* INSP_E_UNSUPPORTED: not here, and nothing has happened; the target is held as before. */
int insp_twin_fork(struct insp_twin *twin, struct insp_error *err) insp_must_check;
/* Returns view, until the end. Its stop slots are NULL. */
struct insp_target *insp_twin_target(struct insp_twin *twin);
/* Accepts NULL; may be called at any point. ret_stopped_ns (may be NULL): the second stop. */
void insp_twin_end(struct insp_twin *twin, uint64_t *ret_stopped_ns);

/* For tests. */
struct insp_inject *insp_twin_inject(struct insp_twin *twin);

#endif
