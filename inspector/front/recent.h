/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * recent: the addresses that the last commands showed, for TAB. A sink that notes them and hands
 * every event on to the renderer's.
 */
#ifndef INSP_FRONT_RECENT_H
#define INSP_FRONT_RECENT_H

#include <stddef.h>
#include <stdint.h>

#include "report/sink.h"

#define INSP_RECENT_MAX	       256
#define INSP_RECENT_OF_COMMAND 128 /* first ones of each command: nobody types the millionth */

/* Invariant: the newest n of `total` lie in items[], as a ring. All-zero is empty. */
struct insp_recent {
	uint64_t items[INSP_RECENT_MAX];
	size_t n, next;
	size_t left; /* that this command may still add */
	const struct insp_sink *sink;
	void *state;
};

/* The sink to give to a report, whose state is recent. Events go on to sink and state. */
const struct insp_sink *insp_recent_begin(struct insp_recent *recent, const struct insp_sink *sink,
					  void *state);
/* The i-th, newest first; i < n. */
uint64_t insp_recent_get(const struct insp_recent *recent, size_t i);

#endif
