/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * follow: the process that a PID or a name stands for, now and after it was started anew.
 *
 * A PID means one process, and is over with it. A name means whoever is called so: when the process
 * ends, the next one of that name takes its place. Where several have it, a parent stands for its
 * children (a server for its workers); otherwise nobody is chosen, and the candidates are named.
 */
#ifndef INSP_WATCH_FOLLOW_H
#define INSP_WATCH_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "watch/gauge.h"

struct insp_follow {
	const char *spec; /* borrowed */
	bool by_name;
	struct insp_gauge *gauge; /* of the process at the moment; NULL: none */
	int pid;		  /* the last one; 0: none so far */
	uint64_t ticks;		  /* of its start: together they tell processes apart */
	unsigned generation;	  /* how many processes it has been so far */
	unsigned others;	  /* of that name, when the last one was chosen: its children */
};

/* INSP_E_USAGE: spec names a core or a snapshot, which stays as it is. */
int insp_follow_check(const char *spec, struct insp_error *err) insp_must_check;
void insp_follow_init(struct insp_follow *follow, const char *spec);
void insp_follow_deinit(struct insp_follow *follow);

/*
 * A sample of the process; when that has ended, of its successor, and then generation has risen.
 * INSP_E_GONE: there is none (a name: not now). INSP_E_USAGE: several, and which? Costs a look
 * through all of /proc when there is no process, so ask at most once an interval.
 */
int insp_follow_read(struct insp_follow *follow, struct insp_sample *ret,
		     struct insp_error *err) insp_must_check;

#endif
