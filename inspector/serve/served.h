/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * served: a process that is served: found, followed over restarts when it was named and not numbered,
 * and what is remembered of it between two pictures.
 *
 * The budget is a bucket of nanoseconds of standstill: each stop takes what it cost, time fills it up at
 * the share that is allowed, and while it is empty nobody stops the process. It is full at the start. What
 * comes by itself (walks, scrapes that were answered before) stops the process only when the bucket is nearly
 * full, so that it costs the share from the beginning, and leaves the rest to people who ask something new.
 */
#ifndef INSP_SERVE_SERVED_H
#define INSP_SERVE_SERVED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "serve/route.h"
#include "serve/serve.h"
#include "snapshot/snapshot.h"
#include "symbol/symbols.h"
#include "watch/follow.h"
#include "watch/walkstat.h"

/* A snapshot and what belongs to it. Of the studio's thread alone. */
struct insp_picture {
	struct insp_target *target;
	struct insp_snapshot *snapshot; /* NULL: none */
	struct insp_symbols *symbols;	/* NULL: not needed yet */
	uint64_t taken_ns;		/* CLOCK_MONOTONIC, when it was finished */
};

/* What is kept of the past: an hour, a point every ten seconds. */
#define INSP_TREND_POINTS   360
#define INSP_TREND_EVERY_NS UINT64_C(10000000000)

struct insp_trend_point {
	uint64_t at_ns; /* CLOCK_REALTIME */
	uint64_t rss, in_use, free; /* bytes; INSP_UNKNOWN: not known (the process was away, no walk yet) */
};

struct insp_trend {
	struct insp_trend_point points[INSP_TREND_POINTS];
	size_t n, next; /* a ring once it is full */
};

/* How long stops were: counts below each bound, the rest in the last. */
#define INSP_STOP_BOUNDS 11
extern const double insp_stop_bounds_s[INSP_STOP_BOUNDS];

/* What everybody may read, under the lock. */
struct insp_served_state {
	bool up;
	int pid;
	char why[256];		/* why not */
	unsigned starts;	/* processes followed so far */
	struct insp_sample sample; /* the last one, while up */
	double limit_share;	/* used of the limit; negative: not known */
	uint64_t stops[INSP_STOP_BOUNDS + 1], nstops, stopped_ns;
	uint64_t scans, scans_failed, growing;
	uint64_t walk_asked_ns; /* CLOCK_MONOTONIC: somebody looked at the figures */
	struct insp_walkstat walk; /* at_ns 0: none yet */
	struct insp_trend trend;
};

struct insp_served {
	char label[INSP_LABEL_MAX];
	const char *spec;	/* borrowed */
	const struct insp_serve_config *config;
	const struct insp_served *all; /* it and the others, in order */
	size_t nall;

	/* of the thread that calls insp_served_sample */
	struct insp_follow follow;
	uint64_t look_ns, wait_ns;  /* CLOCK_MONOTONIC of the next look; how long when it is not there */
	uint64_t trend_ns;

	/* of the studio's thread */
	struct insp_picture picture;
	unsigned start;		    /* which process it was last time */
	int hooked;		    /* has it the hook: 1, 0, -1 not known */
	double budget_ns;
	uint64_t budget_at_ns;
	uint64_t walked_ns, grown_ns, grown_from; /* CLOCK_MONOTONIC; in-use bytes then */

	pthread_mutex_t lock;
	struct insp_served_state state;
};

/* words: PID, NAME, LABEL=PID, LABEL=NAME. Borrows both. */
int insp_served_init(struct insp_served *served, const char *words, const struct insp_serve_config *config,
		     struct insp_error *err) insp_must_check;
void insp_served_deinit(struct insp_served *served);

/* Looks after the process: its gauges, once a second, or whether it is there again. Call it often. */
void insp_served_sample(struct insp_served *served);

/*
 * For the studio's thread. Makes sure that its picture has `needs` (enum insp_need) and is not older than
 * since_ns. A stop costs budget; urgent: may use it up. INSP_E_GONE: not there now. INSP_E_BUDGET: it has
 * stood still enough; *ret_wait_ns until it may again.
 */
int insp_served_picture(struct insp_served *served, unsigned needs, uint64_t since_ns, bool urgent,
			uint64_t *ret_wait_ns, struct insp_error *err) insp_must_check;
/* Forgets the picture. */
void insp_served_drop(struct insp_served *served);

/* A copy of what is known. */
void insp_served_read(struct insp_served *served, struct insp_served_state *ret);
/* Puts the figures of a walk into the state, and counts whether it grew. */
void insp_served_walked(struct insp_served *served, const struct insp_walkstat *walk);

#endif
