/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * serve: pictures of running processes over HTTP: /debug/pprof/ as Go programs have it, /metrics for
 * Prometheus, and a start page.
 *
 *     http.c     connections: limits, deadlines, who may ask; never waits for a target
 *     route.c    what a request means
 *     studio.c   one thread that takes pictures and makes answers of them; requests that want the
 *                same share one picture, and one answer
 *     served.c   the processes: followed over restarts, with what is known of them
 *
 * A request that needs a picture is set aside and costs a socket until the studio has its answer.
 */
#ifndef INSP_SERVE_SERVE_H
#define INSP_SERVE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "snapshot/take.h"

struct insp_serve_config {
	const char *listen;	   /* "127.0.0.1:6070", "[::1]:0" */
	const char *const *targets; /* [ntargets] PID, NAME, LABEL=PID or LABEL=NAME */
	size_t ntargets;
	const char *token_file;	   /* NULL: nobody has to show one */
	const char *tls_cert, *tls_key; /* PEM files; NULL: plain HTTP */
	uint64_t min_interval_ns;  /* an answer is given again for so long */
	uint64_t walk_every_ns;	   /* a walk of the heap for /metrics */
	double pause_budget;	   /* 0..1: share of time that a process may stand still */
	uint64_t rate;		   /* requests a second of one client */
	bool leaks;		   /* count leaked bytes in walks */
	struct insp_take_options take; /* mode, max_pause_ns, allow_inject, unwinder */
	/* Called once, when requests are answered: with where, and what to tell the user beside that. */
	void (*ready)(void *ctx, const char *url, const char *remark);
	void *ready_ctx;
};

/* Serves until insp_interrupted(). Borrows config. No target is left stopped. */
int insp_serve_run(const struct insp_serve_config *config, struct insp_error *err) insp_must_check;

#endif
