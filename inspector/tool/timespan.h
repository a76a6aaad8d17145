/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * timespan: a stretch of a recording as a user names it: FILE@FROM..TO.
 *
 * FROM and TO: 14:05 or 14:05:30 (of the recording's last day), 2026-11-25 or 2026-11-25T14:05,
 * +10min (after its beginning), -10min (before its end), or nothing: from its beginning, to its
 * end.
 */
#ifndef INSP_TOOL_TIMESPAN_H
#define INSP_TOOL_TIMESPAN_H

#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

/* FILE and what stands behind its @, "" without; in pool. The last @ counts that ".." follows. */
int insp_timespan_split(const char *text, struct insp_pool *pool, const char **ret_file,
			const char **ret_range, struct insp_error *err) insp_must_check;

/* [from, to) in CLOCK_REALTIME ns, of a recording whose samples go from first_ns to last_ns. */
int insp_timespan_parse(const char *range, uint64_t first_ns, uint64_t last_ns,
			uint64_t *ret_from_ns, uint64_t *ret_to_ns,
			struct insp_error *err) insp_must_check;

#endif
