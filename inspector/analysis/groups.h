/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * groups: the memory of a snapshot, summed by a key that means the same in another snapshot: size
 * class, type, state, arena, thread, mapping, site. What diff and trend compare.
 *
 * To add a way to group: a row in groups.c's table and a function that calls `add` for each piece.
 */
#ifndef INSP_ANALYSIS_GROUPS_H
#define INSP_ANALYSIS_GROUPS_H

#include "base/error.h"
#include "base/pool.h"
#include "snapshot/snapshot.h"

/*
 * In use only, but for `state`, `mapping` and `thread`. bytes of a mapping: resident where known, else
 * mapped. Types are there when they were saved. A thread: see below.
 */
struct insp_group {
	const char *key; /* unique among its groups */
	uint64_t count, bytes;
	uint64_t rank;	 /* where keys are sizes: the size; else 0 */
};

/* By rank, then by key: the same in every snapshot. */
int insp_group_order(uint64_t rank_a, const char *key_a, uint64_t rank_b, const char *key_b);

struct insp_groups {
	struct insp_group *items; /* sorted by insp_group_order */
	size_t n, cap;
};

/* What --by takes: the ways of groups.c. */
#define INSP_GROUP_CHOICES "size|type|arena|thread|state|mapping"
/*
 * `thread` is what threads cost by themselves: stacks, resident where that is known, and what malloc caches
 * for each; this one is what they asked for and still is in use, as the hook recorded it. By name, since
 * ids differ from one start to the next.
 */
#define INSP_GROUP_ALLOCATING_THREAD "allocating_thread"
/* What a snapshot must have for it: enum insp_need. */
unsigned insp_groups_needs(const char *by);

/* All in pool. INSP_E_NOTFOUND: the snapshot lacks what it needs. */
int insp_groups_make(const struct insp_snapshot *snapshot, const char *by, struct insp_pool *pool,
		     struct insp_groups *ret, struct insp_error *err) insp_must_check;

/* For a grouping made elsewhere: sorts by key, and adds up groups of the same key. */
void insp_groups_merge(struct insp_groups *groups);

/* One key in two snapshots; base or now is zero when it is not there. */
struct insp_group_delta {
	const char *key;
	uint64_t rank;
	struct insp_group base, now;
};

struct insp_group_deltas {
	struct insp_group_delta *items; /* largest change of bytes first */
	size_t n, cap;
	struct insp_group base, now;	/* sums */
};

int insp_groups_diff(const struct insp_groups *base, const struct insp_groups *now,
		     struct insp_pool *pool, struct insp_group_deltas *ret, struct insp_error *err)
	insp_must_check;

#endif
