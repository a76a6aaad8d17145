/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * walkstat: the few figures of a whole walk over the heaps that are worth keeping over time.
 */
#ifndef INSP_WATCH_WALKSTAT_H
#define INSP_WATCH_WALKSTAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/usage.h"
#include "snapshot/snapshot.h"

/* What the snapshot has to have; for leaks INSP_NEED_POINTERS besides. */
#define INSP_WALKSTAT_NEEDS (INSP_NEED_CHUNKS | INSP_NEED_USAGE)

/* Bytes. INSP_UNKNOWN: not known, or not asked for. */
struct insp_walkstat {
	uint64_t at_ns;	     /* CLOCK_REALTIME of the instant */
	uint64_t in_use;     /* chunks that belong to the program, mmapped ones included */
	uint64_t free;	     /* chunks that malloc keeps, tops included */
	uint64_t sys;	     /* all bytes of all heaps */
	uint64_t mmapped;    /* of in_use: in mappings of their own */
	uint64_t objects;    /* chunks in use: a number */
	uint64_t releasable; /* resident, and malloc_trim(0) would give it back */
	uint64_t leaked;     /* definitely and indirectly lost */
	uint64_t stopped_ns; /* what it cost the process */
	bool complete;	     /* all allocators that were found were walked, and to their ends */
};

/* leaks: search for them; takes some times as long as the walk. INSP_E_NOTFOUND: no heap was found.
 */
int insp_walkstat_make(const struct insp_snapshot *snapshot, bool leaks, struct insp_walkstat *ret,
		       struct insp_error *err) insp_must_check;
/* Stops the process for a walk, and keeps nothing but this. max_pause_ns 0: the default. */
int insp_walkstat_take(int pid, bool leaks, uint64_t max_pause_ns, struct insp_walkstat *ret,
		       struct insp_error *err) insp_must_check;
/* About how long that would stop it; found out without stopping it. */
int insp_walkstat_estimate(int pid, uint64_t *ret_ns, struct insp_error *err) insp_must_check;

#endif
