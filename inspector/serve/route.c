/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/route.h"

#include <string.h>

#include "base/fmt.h"

static const struct {
	enum insp_endpoint endpoint;
	const char *path;  /* behind /t/LABEL, if that is there */
	const char *about; /* in the index of /debug/pprof/ */
} rows[] = {
	{INSP_AT_PAGE, "/", NULL},
	{INSP_AT_METRICS, "/metrics", NULL},
	{INSP_AT_SELF, "/metrics/self", NULL},
	{INSP_AT_HEALTH, "/healthz", NULL},
	{INSP_AT_SCRIPT, "/page.js", NULL},
	{INSP_AT_STATE, "/state.json", NULL},
	{INSP_AT_FLAME_HEAP, "/flame/heap", NULL},
	{INSP_AT_FLAME_THREADS, "/flame/threads", NULL},
	{INSP_AT_INDEX, "/debug/pprof/", NULL},
	{INSP_AT_ALLOCS, "/debug/pprof/allocs", "allocations since the start, by call stack (with the hook)"},
	{INSP_AT_BLOCK, "/debug/pprof/block", "empty: nobody records how long threads waited"},
	{INSP_AT_CMDLINE, "/debug/pprof/cmdline", "the command line of the process"},
	{INSP_AT_GOROUTINE, "/debug/pprof/goroutine", "the stacks of all threads, under the name that clients ask for"},
	{INSP_AT_HEAP, "/debug/pprof/heap", "memory in use: by call stack with the hook, else by arena and size"},
	{INSP_AT_MUTEX, "/debug/pprof/mutex", "empty: nobody records who held locks"},
	{INSP_AT_PROFILE, "/debug/pprof/profile",
	 "where the CPU time goes, sampled for ?seconds=N (30): each sample is a short stop"},
	{INSP_AT_SYMBOL, "/debug/pprof/symbol", "names for addresses"},
	{INSP_AT_THREADCREATE, "/debug/pprof/threadcreate", "threads by the function that they were started with"},
	{INSP_AT_THREADS, "/debug/pprof/threads", "the stacks of all threads"},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

const char *insp_endpoint_name(enum insp_endpoint endpoint)
{
	for (size_t i = 0; i < NROWS; i++)
		if (rows[i].endpoint == endpoint)
			return strrchr(rows[i].path, '/') + 1;
	return "?";
}

const char *insp_endpoint_about(enum insp_endpoint endpoint)
{
	for (size_t i = 0; i < NROWS; i++)
		if (rows[i].endpoint == endpoint)
			return rows[i].about;
	return NULL;
}

bool insp_label_valid(const char *label)
{
	size_t n = strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");

	/* "." and ".." mean something else in a path. */
	return n && !label[n] && n < INSP_LABEL_MAX && label[0] != '.' && label[0] != '-';
}

static bool take_label(const char *label, size_t n, struct insp_route *ret)
{
	if (n >= sizeof(ret->label))
		return false;
	memcpy(ret->label, label, n);
	ret->label[n] = '\0';
	return insp_label_valid(ret->label);
}

static unsigned refuse(unsigned status, struct insp_error *err, const char *text)
{
	(void)insp_fail(err, status == 404 ? INSP_E_NOTFOUND : INSP_E_USAGE, "%s", text);
	return status;
}

/* debug and seconds, with the words that Go's handlers have for what they do not like. */
static unsigned parse_numbers(insp_param_fn param, void *ctx, struct insp_route *ret, struct insp_error *err)
{
	const char *debug = param(ctx, "debug"), *seconds = param(ctx, "seconds");
	uint64_t v = 0;

	if (debug && insp_parse_u64(debug, &v, NULL) == 0)
		ret->debug = v > 2 ? 2 : (unsigned)v;
	v = 0;
	if (ret->endpoint == INSP_AT_PROFILE) {
		if (!seconds || insp_parse_u64(seconds, &v, NULL) || !v)
			v = INSP_PROFILE_SECONDS;
	} else if (seconds && *seconds) {
		if (insp_parse_u64(seconds, &v, NULL) || !v)
			return refuse(400, err, "invalid value for \"seconds\" - must be a positive integer");
		if (ret->debug)
			return refuse(400, err, "seconds and debug params are incompatible");
	}
	if (v > INSP_SECONDS_MAX)
		return refuse(400, err, "profile duration exceeds the limit of 600 seconds");
	ret->seconds = (uint32_t)v;
	return 0;
}

static bool yes(const char *value)
{
	uint64_t v;

	return value && insp_parse_u64(value, &v, NULL) == 0 && v;
}

unsigned insp_route_parse(const char *path, insp_param_fn param, void *ctx, struct insp_route *ret,
			  struct insp_error *err)
{
	struct insp_route r = {.endpoint = INSP_N_ENDPOINTS};
	const char *target = param(ctx, "target");

	if (target && !take_label(target, strlen(target), &r))
		return refuse(404, err, "no target has such a label");
	if (strncmp(path, "/t/", 3) == 0) {
		size_t n = strcspn(path + 3, "/");

		if (!take_label(path + 3, n, &r))
			return refuse(404, err, "no target has such a label");
		path += 3 + n;
	}
	r.slash = !*path || strcmp(path, "/debug/pprof") == 0;
	if (r.slash)
		path = *path ? "/debug/pprof/" : "/";
	for (size_t i = 0; i < NROWS; i++)
		if (strcmp(rows[i].path, path) == 0)
			r.endpoint = rows[i].endpoint;
	if (r.endpoint == INSP_N_ENDPOINTS)
		return refuse(404, err,
			      strncmp(path, "/debug/pprof/", 13) == 0 ? "Unknown profile" : "404 page not found");
	if (insp_endpoint_profile(r.endpoint)) {
		unsigned status = parse_numbers(param, ctx, &r, err);

		if (status)
			return status;
	}
	r.fresh = (r.endpoint == INSP_AT_HEAP && yes(param(ctx, "gc"))) ||
		  (r.endpoint == INSP_AT_PAGE && yes(param(ctx, "refresh")));
	*ret = r;
	return 0;
}
