/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/served.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/fmt.h"
#include "base/log.h"
#include "model/usage.h"
#include "site/sites.h"
#include "target/target.h"

#define BUDGET_FULL_NS	1e9 /* of standstill, at the start and after a long rest */
#define LOOK_FIRST_NS	UINT64_C(500000000)
#define LOOK_LAST_NS	UINT64_C(5000000000)

const double insp_stop_bounds_s[INSP_STOP_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
						     0.1,   0.25,   0.5,   1,	 2.5};

static bool is_number(const char *s)
{
	return *s && !s[strspn(s, "0123456789")];
}

/* A label that nobody gave is made of the name. */
static void label_of(const char *spec, char *ret)
{
	const char *slash = strrchr(spec, '/');
	size_t n = 0;

	for (const char *p = slash && slash[1] ? slash + 1 : spec; *p && n + 1 < INSP_LABEL_MAX; p++) {
		char one[2] = {*p, '\0'};

		ret[n++] = insp_label_valid(one) ? *p : '_';
	}
	ret[n] = '\0';
}

int insp_served_init(struct insp_served *s, const char *words, const struct insp_serve_config *config,
		     struct insp_error *err)
{
	const char *equals = strchr(words, '=');

	*s = (struct insp_served){.spec = equals ? equals + 1 : words, .config = config, .hooked = -1};
	if (!*s->spec)
		return insp_fail(err, INSP_E_USAGE, "target '%s': nothing behind the '='", words);
	if (!equals) {
		label_of(s->spec, s->label);
	} else if ((size_t)(equals - words) < sizeof(s->label)) {
		memcpy(s->label, words, (size_t)(equals - words));
		s->label[equals - words] = '\0';
	}
	if (!insp_label_valid(s->label))
		return insp_fail(err, INSP_E_USAGE,
				 "target '%s': a label has letters, digits, '_', '-' and '.', 63 at most", words);
	s->by_name = !is_number(s->spec);
	s->budget_ns = BUDGET_FULL_NS;
	s->budget_at_ns = insp_now_ns();
	s->wait_ns = LOOK_FIRST_NS;
	s->state.walk = (struct insp_walk_figures){.leaked = INSP_UNKNOWN, .releasable = INSP_UNKNOWN};
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

void insp_served_deinit(struct insp_served *s)
{
	insp_served_drop(s);
	insp_target_close(s->target);
	s->target = NULL;
	pthread_mutex_destroy(&s->lock);
}

void insp_served_read(struct insp_served *s, struct insp_served_state *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->state;
	pthread_mutex_unlock(&s->lock);
}

void insp_served_drop(struct insp_served *s)
{
	struct insp_picture *p = &s->picture;

	if (!p->snapshot && !p->target)
		return;
	insp_symbols_destroy(p->symbols); /* borrows from the snapshot */
	insp_snapshot_destroy(p->snapshot);
	insp_target_close(p->target);
	*p = (struct insp_picture){0};
	(void)malloc_trim(0);
}

/* ---- there or not */

static void set_down(struct insp_served *s, const char *why)
{
	bool was_up;

	insp_served_drop(s);
	insp_target_close(s->target);
	s->target = NULL;
	pthread_mutex_lock(&s->lock);
	was_up = s->state.up;
	s->state.up = false;
	snprintf(s->state.why, sizeof(s->state.why), "%s", why);
	pthread_mutex_unlock(&s->lock);
	if (was_up)
		insp_log(INSP_LOG_INFO, "%s: %s", s->label, why);
	s->wait_ns = LOOK_FIRST_NS;
	s->tried_ns = insp_now_ns();
}

static void set_up(struct insp_served *s, struct insp_target *target)
{
	struct insp_target_info info = {0};
	struct insp_pool *pool = insp_pool_create();

	if (pool && target->ops->info)
		target->ops->info(target, pool, &info);
	s->target = target;
	s->hooked = -1;
	s->grown_ns = s->walked_ns = 0;
	pthread_mutex_lock(&s->lock);
	s->state.up = true;
	s->state.pid = target->pid;
	s->state.why[0] = '\0';
	s->state.starts++;
	s->state.started_ns = info.started_at_ns;
	s->state.growing = 0;
	s->state.walk = (struct insp_walk_figures){.leaked = INSP_UNKNOWN, .releasable = INSP_UNKNOWN};
	pthread_mutex_unlock(&s->lock);
	insp_log(INSP_LOG_INFO, "%s: process %d", s->label, target->pid);
	insp_pool_destroy(pool);
}

static bool ended(const struct insp_served *s)
{
	return s->target->ops->gone && s->target->ops->gone(s->target);
}

void insp_served_follow(struct insp_served *s)
{
	struct insp_target *target;
	struct insp_error err = {0};
	uint64_t now = insp_now_ns(), wait_ns;
	int rc;

	if (s->target && ended(s)) {
		char why[96];

		snprintf(why, sizeof(why), "process %d has ended%s", s->target->pid,
			 s->by_name ? ": waiting for the next of that name" : "");
		set_down(s, why);
	}
	/* The number of a process that ended means nothing any more. */
	if (s->target || (s->state.starts && !s->by_name) ||
	    (s->tried_ns && now - s->tried_ns < s->wait_ns))
		return;
	s->tried_ns = now;
	rc = insp_target_open(s->spec, &target, &err);
	if (!rc && target->pid && target->ops->stop) {
		set_up(s, target);
		return;
	}
	if (!rc) {
		insp_target_close(target);
		(void)insp_fail(&err, INSP_E_USAGE, "'%s' is no running process", s->spec);
	}
	wait_ns = s->wait_ns * 2 > LOOK_LAST_NS ? LOOK_LAST_NS : s->wait_ns * 2;
	set_down(s, err.msg);
	s->wait_ns = wait_ns;
}

/* ---- budget */

static void refill(struct insp_served *s)
{
	uint64_t now = insp_now_ns();

	s->budget_ns += (double)(now - s->budget_at_ns) * s->config->pause_budget;
	if (s->budget_ns > BUDGET_FULL_NS)
		s->budget_ns = BUDGET_FULL_NS;
	s->budget_at_ns = now;
}

static void count_stop(struct insp_served *s, uint64_t stopped_ns)
{
	unsigned i = 0;

	s->budget_ns -= (double)stopped_ns;
	while (i < INSP_STOP_BOUNDS && (double)stopped_ns > insp_stop_bounds_s[i] * 1e9)
		i++;
	pthread_mutex_lock(&s->lock);
	s->state.stops[i]++;
	s->state.nstops++;
	s->state.stopped_ns += stopped_ns;
	pthread_mutex_unlock(&s->lock);
}

/* ---- a picture */

/* The process anew: it may have become another program by exec since. */
static int reopen(struct insp_served *s, struct insp_target **ret, struct insp_error *err)
{
	char pid[16];
	int rc;

	snprintf(pid, sizeof(pid), "%d", s->target->pid);
	rc = insp_target_open(pid, ret, err);
	if (!rc && ended(s)) { /* then that number may be another's */
		insp_target_close(*ret);
		rc = insp_fail(err, INSP_E_GONE, "process %s has ended", pid);
	}
	return rc;
}

static int take(struct insp_served *s, unsigned needs, struct insp_error *err)
{
	struct insp_take_options options = s->config->take;
	struct insp_picture picture = {0};
	int rc = reopen(s, &picture.target, err);

	if (rc)
		return rc;
	options.needs = needs & ~(unsigned)(INSP_NEED_SYMBOLS | INSP_NEED_BYTES);
	if (options.needs)
		rc = insp_snapshot_take(picture.target, &options, &picture.snapshot, &picture.symbols, err);
	else /* what is loaded where is known without a stop */
		rc = insp_snapshot_plan(picture.target, &options, &picture.snapshot, &(struct insp_error){0}, err);
	if (rc) {
		insp_target_close(picture.target);
		pthread_mutex_lock(&s->lock);
		s->state.scans_failed++;
		pthread_mutex_unlock(&s->lock);
		return rc;
	}
	picture.taken_ns = insp_now_ns();
	insp_served_drop(s);
	s->picture = picture;
	if (needs & INSP_NEED_SITES)
		s->hooked = picture.snapshot->sites &&
			    picture.snapshot->sites->state == INSP_SITES_RECORDING;
	if (options.needs)
		count_stop(s, picture.snapshot->capture.stopped_ns);
	return 0;
}

int insp_served_picture(struct insp_served *s, unsigned needs, uint64_t since_ns, uint64_t *ret_wait_ns,
			struct insp_error *err)
{
	struct insp_picture *p = &s->picture;
	unsigned stops = needs & ~(unsigned)(INSP_NEED_SYMBOLS | INSP_NEED_BYTES);
	int rc = 0;

	insp_served_follow(s);
	if (!s->target)
		return insp_fail(err, INSP_E_GONE, "%s", s->state.why);
	refill(s);
	if (!p->snapshot || p->taken_ns < since_ns || stops & ~p->snapshot->has) {
		if (stops && s->budget_ns <= 0) {
			*ret_wait_ns = (uint64_t)(-s->budget_ns / s->config->pause_budget) + 1000000000;
			return insp_fail(err, INSP_E_BUDGET,
					 "'%s' has stood still for its share of time (--pause-budget)",
					 s->label);
		}
		rc = take(s, needs, err);
	}
	if (!rc && needs & INSP_NEED_SYMBOLS && !p->symbols)
		rc = insp_symbols_create(p->target, &p->snapshot->regions, &p->snapshot->modules,
					 &p->symbols, err);
	if (rc == INSP_E_GONE || (rc && ended(s)))
		insp_served_follow(s);
	return rc;
}

void insp_served_walked(struct insp_served *s, const struct insp_walk_figures *figures)
{
	uint64_t now = insp_now_ns();
	bool counts = !s->grown_ns || now - s->grown_ns + 1000000000 >= s->config->walk_every_ns;
	bool grew = s->grown_ns && figures->inuse >= s->grown_from;

	s->walked_ns = now;
	pthread_mutex_lock(&s->lock);
	s->state.walk = *figures;
	s->state.scans++;
	if (counts && s->grown_ns)
		s->state.growing = grew ? s->state.growing + 1 : 0;
	pthread_mutex_unlock(&s->lock);
	if (counts) {
		s->grown_ns = now;
		s->grown_from = figures->inuse;
	}
}
