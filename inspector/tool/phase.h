/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * phase: a stretch of a recording in the five figures that matter for what came of a fix.
 *
 *     peak     the highest RSS in it; between two samples the kernel's own peak (VmHWM) tells
 *     steady   the median of its last quarter: what is left when the load is gone
 *     drop     1 - steady / peak
 */
#ifndef INSP_TOOL_PHASE_H
#define INSP_TOOL_PHASE_H

#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "record/record.h"

#define INSP_PHASE_SAMPLES_MIN 8 /* with fewer there is nothing to say */

/* Bytes; INSP_UNKNOWN where there was nothing to tell from. */
struct insp_phase {
	uint64_t from_ns, to_ns; /* of the first and the last sample; 0: none */
	uint64_t samples, walks, runs;
	uint64_t peak_rss, steady_rss;
	uint64_t steady_in_use,
		retained_free; /* of the heap, by the walks of the last quarter, or the last one */
	double drop;	       /* NaN without samples */
	double per_minute;     /* slope of RSS in the last quarter, bytes; NaN not known */
};

/*
 * target: the name or PID that watch was told; NULL: the only one there is. INSP_E_USAGE when there
 * are several. No samples is no failure.
 */
int insp_phase_make(struct insp_record *record, const char *target, uint64_t from_ns,
		    uint64_t to_ns, struct insp_pool *pool, struct insp_phase *ret,
		    struct insp_error *err) insp_must_check;

/* Of n values, which get sorted; INSP_UNKNOWN without any. */
uint64_t insp_median(uint64_t *values, size_t n);

#endif
