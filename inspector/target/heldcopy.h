/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heldcopy: all private writable memory copied in the stop, so that what takes long (compressing it, writing
 * it to a disk) is done from the copy while the target runs. Nothing is injected; costs us as much memory as
 * the target has, which is touched before the stop.
 *
 *     insp_heldcopy_begin    while it runs
 *     target->ops->stop
 *     insp_heldcopy_held     while it is held
 *     target->ops->resume
 *     insp_heldcopy_target   reads from the copy
 *     insp_heldcopy_end
 */
#ifndef INSP_TARGET_HELDCOPY_H
#define INSP_TARGET_HELDCOPY_H

#include "base/error.h"

struct insp_heldcopy;
struct insp_target;

/* INSP_E_UNSUPPORTED: not of such a target, or no room for it. Gives; borrows target until the end. */
int insp_heldcopy_begin(struct insp_target *target, struct insp_heldcopy **ret, struct insp_error *err)
	insp_must_check;
int insp_heldcopy_held(struct insp_heldcopy *copy, struct insp_error *err) insp_must_check;
/* Returns view, until the end; NULL: out of memory. */
struct insp_target *insp_heldcopy_target(struct insp_heldcopy *copy);
/* Accepts NULL; may be called at any point. */
void insp_heldcopy_end(struct insp_heldcopy *copy);

#endif
