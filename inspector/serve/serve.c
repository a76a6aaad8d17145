/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/serve.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fmt.h"
#include "base/log.h"
#include "serve/http.h"
#include "serve/served.h"
#include "serve/studio.h"
#include "target/target.h"

#define TICK_MS	    100
#define TARGETS_MAX 64

struct serve {
	struct insp_served *served;
	size_t nserved; /* initialised */
	struct insp_studio *studio;
	struct insp_http *http;
};

static int init_targets(struct serve *s, const struct insp_serve_config *config, struct insp_error *err)
{
	if (config->ntargets > TARGETS_MAX)
		return insp_fail(err, INSP_E_USAGE, "at most %d targets", TARGETS_MAX);
	s->served = calloc(config->ntargets + 1, sizeof(*s->served));
	if (!s->served)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (; s->nserved < config->ntargets; s->nserved++) {
		struct insp_served *one = &s->served[s->nserved];
		int rc = insp_served_init(one, config->targets[s->nserved], config, err);

		if (rc)
			return rc;
		one->all = s->served;
		one->nall = config->ntargets;
		for (size_t i = 0; i < s->nserved; i++)
			if (strcmp(s->served[i].label, one->label) == 0)
				return insp_fail(err, INSP_E_USAGE,
						 "two targets have the label '%s': say LABEL=PID for one of them",
						 one->label);
	}
	return 0;
}

/* What cannot be looked at is told at once, and not to each client. */
static int may_look(const struct insp_served *served, struct insp_error *err)
{
	struct insp_target *target;
	char pid[16];
	int rc;

	snprintf(pid, sizeof(pid), "%d", served->state.pid);
	rc = insp_target_open(pid, &target, err);
	if (!rc)
		insp_target_close(target);
	return rc;
}

/* A number that is no process, or one that may not be looked at, is an error at once; a name may come. */
static int first_look(struct serve *s, struct insp_error *err)
{
	int rc;

	for (size_t i = 0; i < s->nserved; i++) {
		struct insp_served *one = &s->served[i];

		insp_served_sample(one);
		if (one->state.up) {
			rc = may_look(one, err);
			if (rc)
				return rc;
			continue;
		}
		if (!one->follow.by_name)
			return insp_fail(err, INSP_E_GONE, "%s", one->state.why);
		insp_log(INSP_LOG_WARN, "%s: %s: waiting for it", one->label, one->state.why);
	}
	return 0;
}

static void until_interrupted(struct serve *s)
{
	while (!insp_interrupted()) {
		struct timespec pause = {0, TICK_MS * 1000000};

		for (size_t i = 0; i < s->nserved; i++)
			insp_served_sample(&s->served[i]);
		insp_http_tick(s->http);
		insp_studio_tick(s->studio);
		(void)nanosleep(&pause, NULL); /* a signal ends it early */
	}
}

int insp_serve_run(const struct insp_serve_config *config, struct insp_error *err)
{
	struct serve s = {0};
	char url[96];
	int rc;

	/* Threads of ours allocate little and free it soon: one arena keeps our own memory flat. */
	(void)mallopt(M_ARENA_MAX, 1);
	rc = insp_http_open(config, url, sizeof(url), &s.http, err);
	if (!rc)
		rc = init_targets(&s, config, err);
	if (!rc)
		rc = first_look(&s, err);
	if (!rc)
		rc = insp_studio_start(s.served, s.nserved, config, &s.studio, err);
	if (!rc)
		rc = insp_http_start(s.http, s.served, s.nserved, s.studio, err);
	if (!rc) {
		config->ready(config->ready_ctx, url, NULL);
		until_interrupted(&s);
		insp_http_quiesce(s.http);
	}
	if (s.studio)
		insp_studio_stop(s.studio);
	insp_http_close(s.http);
	insp_studio_destroy(s.studio);
	while (s.nserved)
		insp_served_deinit(&s.served[--s.nserved]);
	free(s.served);
	return rc;
}
