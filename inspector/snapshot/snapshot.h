/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * snapshot: the waist of the hourglass. Everything that is known about a target at one instant,
 * immutable once taken; above it nobody knows where it came from.
 *
 *     target -> (heap, stack, site) -> snapshot -> analysis -> report -> render
 */
#ifndef INSP_SNAPSHOT_SNAPSHOT_H
#define INSP_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "model/chunks.h"
#include "model/finding.h"
#include "model/heap.h"
#include "model/module.h"
#include "model/pointers.h"
#include "model/region.h"
#include "model/residency.h"
#include "model/thread.h"
#include "model/usage.h"

/* What a command wants to be in the snapshot. Regions, modules and threads' names always are. */
enum insp_need {
	INSP_NEED_STACKS = 1 << 0,   /* registers, stacks, unwound and symbolised */
	INSP_NEED_CHUNKS = 1 << 1,   /* allocators, arenas, bins, chunks */
	INSP_NEED_POINTERS = 1 << 2, /* and every pointer between them, and from roots */
	INSP_NEED_USAGE = 1 << 3,    /* /proc/PID/smaps, status, cgroup, resident pages */
	INSP_NEED_SITES = 1 << 4,    /* what the companion hook recorded */
	/* Not parts of the snapshot, but of the command's context: */
	INSP_NEED_SYMBOLS = 1 << 5,
	INSP_NEED_BYTES = 1 << 6,    /* the target's memory itself, as it is now */
	/* Not in `has` either: it will be saved, so what takes long of that is begun early. */
	INSP_NEED_PACKED = 1 << 7,
};

/* What is in use, by type, when that was counted: for comparison, where the bytes are gone. */
struct insp_type_sum {
	const char *name;
	uint64_t count, bytes;
	bool text; /* told by its characters; of others in type_of, the class of a vtable */
};
struct insp_type_sums {
	struct insp_type_sum *items;
	size_t n, cap;
	/* [ntype_of], NULL or by chunk: what its first bytes told, an item plus one; 0: nothing. As read from a
	   file, may be beyond n, and ntype_of another than that of chunks. */
	uint32_t *type_of;
	size_t ntype_of;
};

struct insp_contents; /* snapshot/contents.h */
struct insp_packed; /* snapshot/pack.h */
struct insp_sites; /* site/sites.h */

/* How the picture was taken. Times in ns. */
struct insp_capture_info {
	const char *mode;	   /* "stop", "precopy", "fork", "live", "core", "file", "gdb" */
	const char *mode_reason;   /* why this one; NULL when it was the first choice */
	bool consistent;	   /* one instant; false: approximate, and every report says so */
	const char *incomplete;	   /* what is missing and why; NULL: nothing */
	uint64_t stopped_ns, to_stop_ns;
	uint64_t bytes_read;
	uint64_t estimated_stop_ns;
	uint32_t threads_unstopped;
	uint32_t restarts_mended;
	uint64_t total_ns;	   /* from the start of the capture to its end */
};

struct insp_snapshot {
	struct insp_pool *pool;		/* owns all that is pointed to, but the three stores */
	unsigned has;			/* enum insp_need: what is in here */

	/* who */
	const char *target_kind;	/* insp_target_ops.name */
	int pid, ns_pid;
	const char *comm, *exe, *cmdline; /* cmdline: words joined by spaces */
	const char *hostname;
	uint32_t page_size;
	uint64_t taken_at_ns;		/* CLOCK_REALTIME */
	uint64_t started_at_ns;		/* of the process; 0 unknown */
	uint8_t *auxv;			/* what the kernel told the program at its start; NULL unknown */
	size_t auxv_bytes;
	struct insp_capture_info capture;

	/* what */
	struct insp_regions regions;
	struct insp_modules modules;
	struct insp_threads threads;
	struct insp_allocators allocators;
	struct insp_arenas arenas;
	struct insp_bins bins;
	struct insp_findings findings;
	struct insp_usage usage;	 /* without INSP_NEED_USAGE no items, or all 0 */
	struct insp_residency residency; /* of private anonymous regions; known with NEED_USAGE */
	struct insp_chunks *chunks;	/* never NULL; n == 0 without INSP_NEED_CHUNKS */
	struct insp_pointers *pointers; /* NULL without INSP_NEED_POINTERS */
	struct insp_sites *sites;	/* NULL: no hook in the process, or not asked for */
	struct insp_type_sums types;	/* in pool; items NULL: not counted, saved with --types only */
	struct insp_contents *contents; /* NULL: not a file that was saved with the bytes */
	struct insp_packed *packed;	/* NULL: not taken in order to be saved */
};

/* Empty, with pool and chunks. NULL when memory is short. destroy accepts NULL. */
struct insp_snapshot *insp_snapshot_create(void);
void insp_snapshot_destroy(struct insp_snapshot *snapshot);

#endif
