/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * route: what the path and the parameters of a request mean. Pure text in, a few numbers out.
 *
 * To add an endpoint: 1. a value of enum insp_endpoint; 2. a row in route.c; 3. what makes its answer:
 * in studio_answer.c when it needs a picture, in http.c when it does not.
 */
#ifndef INSP_SERVE_ROUTE_H
#define INSP_SERVE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum insp_endpoint {
	/* without a picture */
	INSP_AT_INDEX, INSP_AT_CMDLINE, INSP_AT_METRICS, INSP_AT_SELF, INSP_AT_HEALTH, INSP_AT_SCRIPT,
	INSP_AT_STATE,
	/* profiles that are read off a picture */
	INSP_AT_HEAP, INSP_AT_ALLOCS, INSP_AT_GOROUTINE, INSP_AT_THREADS, INSP_AT_THREADCREATE,
	INSP_AT_MUTEX, INSP_AT_BLOCK,
	/* of many pictures */
	INSP_AT_PROFILE,
	/* other things about one */
	INSP_AT_SYMBOL, INSP_AT_PAGE, INSP_AT_FLAME_HEAP, INSP_AT_FLAME_THREADS,
	INSP_N_ENDPOINTS
};

static inline bool insp_endpoint_profile(enum insp_endpoint e)
{
	return e >= INSP_AT_HEAP && e <= INSP_AT_PROFILE;
}

static inline bool insp_endpoint_picture(enum insp_endpoint e)
{
	return e >= INSP_AT_HEAP;
}

#define INSP_LABEL_MAX 64
#define INSP_SECONDS_MAX 600
#define INSP_PROFILE_SECONDS 30

/* A request, understood. */
struct insp_route {
	enum insp_endpoint endpoint;
	char label[INSP_LABEL_MAX]; /* of the target; empty: the first */
	unsigned debug;		    /* 0: profile.proto; 1: text; 2: more text */
	uint32_t seconds;	    /* of a profile: over so long; 0: of one instant */
	bool fresh;		    /* gc=1, refresh=1: not an answer that was given before */
	bool slash;		    /* the path lacks its last slash: relative links need it */
};

/* Parameters of the query, decoded; NULL: not there. */
typedef const char *(*insp_param_fn)(void *ctx, const char *name);

/* 0, or the HTTP status to refuse it with and err filled for people. */
unsigned insp_route_parse(const char *path, insp_param_fn param, void *ctx, struct insp_route *ret,
			  struct insp_error *err);

/* "heap": the last word of its path. */
const char *insp_endpoint_name(enum insp_endpoint endpoint);
/* What the index says about it; NULL: not listed there. */
const char *insp_endpoint_about(enum insp_endpoint endpoint);

/* May this be a label: letters, digits, '_', and behind the first of these '-' and '.'; not too long? */
bool insp_label_valid(const char *label);

#endif
