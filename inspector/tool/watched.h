/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * watched: one process that is watched: its gauges at each step, a walk when one is due and the
 * pause budget has room for it, and the level that comes of both.
 */
#ifndef INSP_TOOL_WATCHED_H
#define INSP_TOOL_WATCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "report/report.h"
#include "report/sink.h"
#include "watch/follow.h"
#include "watch/gauge.h"
#include "watch/level.h"
#include "watch/trace.h"
#include "watch/walkstat.h"

/* What is drawn as a line over time. */
enum insp_figure {
	INSP_FIGURE_RSS,
	INSP_FIGURE_PSS,
	INSP_FIGURE_IN_USE,
	INSP_FIGURE_FREE,
	INSP_FIGURE_THREADS,
	INSP_FIGURE_MINOR, /* faults a second */
	INSP_FIGURE_MAJOR,
	INSP_FIGURE_USED,  /* share of the limit, percent */
	INSP_FIGURE_PSI,   /* some, percent of 10 s */
	INSP_N_FIGURES
};

struct insp_watch_options {
	uint64_t interval_ns, walk_every_ns; /* walk_every 0: never */
	double pause_share;		     /* of the time; 0..1 */
	uint64_t max_pause_ns;		     /* of one walk; 0: the default */
	bool leaks;
	struct insp_threshold warn, crit;
	uint64_t limit;			     /* instead of what was found; 0: that */
};

/* What a step found out; set of bits. */
enum insp_watch_news {
	INSP_NEWS_SAMPLE = 1 << 0,  /* there are figures */
	INSP_NEWS_WALK = 1 << 1,    /* and a new walk */
	INSP_NEWS_STARTED = 1 << 2, /* another process than before: follow.generation tells how many */
	INSP_NEWS_GONE = 1 << 3,    /* it ended, or is not there; said once */
	INSP_NEWS_LEVEL = 1 << 4,   /* level is another than level_before */
	INSP_NEWS_WALK_FAILED = 1 << 5, /* walk_error says why; said once a reason */
};

struct insp_watched {
	const struct insp_watch_options *options; /* borrowed */
	struct insp_follow follow;
	struct insp_leveler leveler;
	bool here;			/* sample is of now */
	struct insp_sample sample;	/* the last; all INSP_UNKNOWN before the first */
	bool walked;			/* walk is of this process */
	struct insp_walkstat walk;
	enum insp_level level, level_before;
	struct insp_error absent;	/* why it is not here */
	struct insp_error walk_error;
	struct insp_trace traces[INSP_N_FIGURES];
	/* pauses */
	uint64_t since_ns;		/* CLOCK_MONOTONIC: the budget runs from here */
	uint64_t spent_ns;		/* pauses since then */
	uint64_t estimate_ns;		/* of the next one; 0: not known yet */
	uint64_t estimate_rss;		/* the RSS it was made at */
	uint64_t walk_due_ns;		/* CLOCK_MONOTONIC */
	int64_t run;			/* in the recording; 0: not yet */
};

void insp_watched_init(struct insp_watched *watched, const char *spec, const struct insp_watch_options *options);
void insp_watched_deinit(struct insp_watched *watched);

/* Returns enum insp_watch_news. */
unsigned insp_watched_step(struct insp_watched *watched);
/* A pause that somebody else caused: it counts, too. */
void insp_watched_paused(struct insp_watched *watched, uint64_t stopped_ns);

/* When the next walk can be, CLOCK_MONOTONIC; 0: never. *ret_put_off: it waits for the budget. */
uint64_t insp_watched_next_walk(const struct insp_watched *watched, bool *ret_put_off);
/* Bytes a minute, over the last ten minutes at most; NaN: not known. */
double insp_watched_growth(const struct insp_watched *watched, enum insp_figure figure);

/* The columns of a row, and its values (strings are views into watched). */
extern const struct insp_table insp_watched_table;
#define INSP_WATCHED_COLUMNS_MAX 40
size_t insp_watched_row(const struct insp_watched *watched, struct insp_value *ret);

#endif
