/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * precopy: most of the memory is copied while the target runs, so that the stop has to copy only
 * what was written since.
 *
 *     insp_precopy_begin     a stop of under a millisecond; then the target runs, watched
 *     insp_precopy_rounds    while it runs: copies, again what was written meanwhile
 *     target->ops->stop      registers and stacks, as ever
 *     insp_precopy_finish    while it is held: the rest
 *     target->ops->resume
 *     insp_precopy_target    reads from the copy, at leisure
 *     insp_precopy_end
 *
 * Injects two system calls (see target/inject.h), and needs Linux 6.7. Costs the target one minor
 * fault for each page that it writes meanwhile, and us as much memory as it has.
 */
#ifndef INSP_TARGET_PRECOPY_H
#define INSP_TARGET_PRECOPY_H

#include <stdint.h>

#include "base/error.h"

struct insp_precopy;
struct insp_stop_report;
struct insp_target;

struct insp_precopy_info {
	uint64_t first_stop_ns;	  /* of begin: to get the descriptor */
	uint64_t tracked_bytes;	  /* mapped memory that is watched */
	uint64_t copied_bytes;	  /* while it ran */
	uint64_t dirty_bytes;	  /* written again since the last round */
	uint64_t held_bytes;	  /* copied in finish */
};

/* Can this kernel do it at all? 0, or INSP_E_UNSUPPORTED with the reason. Tried on ourselves. */
int insp_precopy_supported(struct insp_error *err) insp_must_check;

/* And of this target? INSP_E_UNSUPPORTED with the reason. It is not touched. */
int insp_precopy_check(struct insp_target *target, struct insp_error *err) insp_must_check;

/* The target must not be stopped. Gives; borrows target until the end. */
int insp_precopy_begin(struct insp_target *target, struct insp_precopy **ret, struct insp_error *err)
	insp_must_check;
/* Until a further round would not help any more. */
int insp_precopy_rounds(struct insp_precopy *precopy, struct insp_error *err) insp_must_check;
/* While the target is held. */
int insp_precopy_finish(struct insp_precopy *precopy, struct insp_error *err) insp_must_check;
/* After finish: returns view, until the end. Its regions are those of the stop. */
struct insp_target *insp_precopy_target(struct insp_precopy *precopy);
const struct insp_precopy_info *insp_precopy_info(const struct insp_precopy *precopy);
/* The copy stays; the target is no longer watched. To be called soon after the stop. */
void insp_precopy_unwatch(struct insp_precopy *precopy);
/* Accepts NULL; may be called at any point. */
void insp_precopy_end(struct insp_precopy *precopy);

#endif
