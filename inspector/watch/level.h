/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * level: how bad it is, from gauges and walks.
 *
 *     warn   used is above 70 % of the limit
 *     crit   above 90 %
 *     panic  above 70 %, and three walks in a row, each at least 60 s after the one before, in
 * which the bytes in use did not fall and malloc_trim could give back less than 10 % of the heaps:
 * it grows, and nothing of it is going to come back
 *
 * Both thresholds can be given, as shares of the limit or in bytes.
 */
#ifndef INSP_WATCH_LEVEL_H
#define INSP_WATCH_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "watch/gauge.h"
#include "watch/walkstat.h"

enum insp_level {
	INSP_LEVEL_OK,
	INSP_LEVEL_WARN,
	INSP_LEVEL_CRIT,
	INSP_LEVEL_PANIC,
	INSP_N_LEVELS
};

#define INSP_LEVEL_CHOICES   "warn|crit|panic" /* for options */
#define INSP_LEVEL_WARN_TEXT "70%"	       /* defaults */
#define INSP_LEVEL_CRIT_TEXT "90%"

#define INSP_PANIC_WALKS      3
#define INSP_PANIC_APART_NS   UINT64_C(60000000000)
#define INSP_PANIC_RELEASABLE 0.10 /* of sys */
#define INSP_PANIC_USED	      0.70 /* of the limit */

/* One of the two is not 0. */
struct insp_threshold {
	double share; /* 0..1 of the limit; 0: see bytes */
	uint64_t bytes;
};

/* "70%" or what insp_parse_size takes. 0, and shares above 100 %, are INSP_E_USAGE. */
int insp_threshold_parse(const char *text, struct insp_threshold *ret,
			 struct insp_error *err) insp_must_check;
/* In bytes; INSP_UNKNOWN: a share of a limit that is not known. */
uint64_t insp_threshold_bytes(const struct insp_threshold *threshold, uint64_t limit);

/* All zero, but the thresholds, is a valid start. One per process, and a new one after a restart.
 */
struct insp_leveler {
	struct insp_threshold warn, crit;
	uint64_t limit;	       /* instead of the sample's; 0: that */
	enum insp_level level; /* as of the last call */
	/* what the level rests on; INSP_UNKNOWN before the first sample */
	uint64_t used, of;
	/* the row of walks */
	unsigned nwalks;
	uint64_t last_walk_ns, last_in_use;
};

/* Each returns the level now. Unknown figures never raise it. */
enum insp_level insp_leveler_sample(struct insp_leveler *leveler, const struct insp_sample *sample);
enum insp_level insp_leveler_walk(struct insp_leveler *leveler, const struct insp_walkstat *walk);

const char *insp_level_key(enum insp_level level);   /* "ok", "warn", "crit", "panic" */
const char *insp_level_title(enum insp_level level); /* "OK", "WARNING", "CRITICAL", "PANIC" */
/* INSP_N_LEVELS: none of them. */
enum insp_level insp_level_find(const char *key);

#endif
