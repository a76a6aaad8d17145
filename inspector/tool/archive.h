/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * archive: a folder of snapshots and recordings as weeks of processes.
 *
 * Processes are told apart by their names: that is what stays the same over restarts and releases.
 * A week is one of ISO 8601, in local time. Figures of a week are medians, so that neither an hour
 * of load nor a restart moves them; its peak is the highest.
 */
#ifndef INSP_TOOL_ARCHIVE_H
#define INSP_TOOL_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/vec.h"

#define INSP_ARCHIVE_POINTS 480 /* of a process, for a picture */

struct insp_u64s {
	uint64_t *items;
	size_t n, cap;
};

/* Bytes; INSP_UNKNOWN: nothing is known of it. */
struct insp_archive_week {
	char name[16]; /* "2026-W48" */
	uint64_t first_ns;
	uint64_t rss, in_use, free; /* medians */
	uint64_t peak_rss;
	uint64_t samples, walks, snapshots;
	uint64_t bad;	    /* samples at level warn or worse */
	uint64_t processes; /* different ones: started anew so often, and one */
	struct insp_u64s rss_all, in_use_all, free_all, identities; /* while it is built */
};

/* What lies in one stretch of time: the highest RSS and limit, the last walk. */
struct insp_archive_point {
	uint64_t at_ns, rss, in_use, free, limit; /* at_ns 0: nothing */
};

struct insp_archive_process {
	const char *name;
	struct insp_archive_week *weeks; /* by time */
	size_t nweeks, weeks_cap;
	struct insp_archive_point points[INSP_ARCHIVE_POINTS];
};

struct insp_archive {
	struct insp_archive_process *processes; /* by name */
	size_t n, cap;
	uint64_t snapshots, recordings;
	uint64_t from_ns, to_ns;
	struct { /* files that could not be read, and why */
		char **items;
		size_t n, cap;
	} left_out;
	struct insp_pool *pool; /* borrowed: of strings */
};

/* Reads all of folder. name NULL: all processes. deinit also after a failure. */
int insp_archive_read(const char *folder, const char *name, struct insp_pool *pool,
		      struct insp_archive *ret, struct insp_error *err) insp_must_check;
void insp_archive_deinit(struct insp_archive *archive);

#endif
