/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * usage: what the kernel says about a live target's memory.
 */
#ifndef INSP_TARGET_USAGE_H
#define INSP_TARGET_USAGE_H

#include <stdbool.h>

#include "base/error.h"
#include "model/usage.h"

struct insp_live;
struct insp_pool;
struct insp_target;

/*
 * Fills usage; items and strings live in pool. What cannot be read is INSP_UNKNOWN, and items are
 * empty when smaps is not readable; only a target that has ended, or is not a live one, is an
 * error. Reading smaps walks the target's page tables: it takes the longer the more is resident.
 */
int insp_usage_read(struct insp_target *target, struct insp_pool *pool, struct insp_usage *usage,
		    struct insp_error *err) insp_must_check;
/* The same without smaps: cheap. */
int insp_usage_read_summary(struct insp_target *target, struct insp_pool *pool,
			    struct insp_usage *usage, struct insp_error *err) insp_must_check;
/* How much this process may still take: what is available on the machine, and left in its own memory
   cgroup. INSP_UNKNOWN. */
uint64_t insp_usage_room(void);
/*
 * Frozen by its cgroup of version 2: threads stop for a tracer, and make no step for it. (With
 * version 1 they do not even stop.)
 */
bool insp_usage_frozen(struct insp_live *live);

#endif
