/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/served.h"

#include <stdio.h>
#include <string.h>

#include "base/fmt.h"
#include "base/log.h"
#include "model/usage.h"
#include "site/sites.h"
#include "target/target.h"

#define BUDGET_FULL_NS	 1e9 /* of standstill, at the start and after a long rest */
#define BUDGET_LEAVE_NS 9e8 /* what is not urgent leaves so much of it */
#define LOOK_FIRST_NS	UINT64_C(1000000000) /* from one look to the next */
#define LOOK_LAST_NS	UINT64_C(8000000000) /* when it has been away for long: a look costs a walk through /proc */
#define LATE_NS		UINT64_C(100000000)

const double insp_stop_bounds_s[INSP_STOP_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
						     0.1,   0.25,   0.5,   1,	 2.5};

/* A label that nobody gave is made of the name. */
static void label_of(const char *spec, char *ret)
{
	const char *slash = strrchr(spec, '/');
	size_t n = 0;

	for (const char *p = slash && slash[1] ? slash + 1 : spec; *p && n + 1 < INSP_LABEL_MAX; p++) {
		char part[3] = {n ? '_' : *p, n ? *p : '\0'};

		ret[n++] = insp_label_valid(part) ? *p : '_';
	}
	ret[n] = '\0';
}

int insp_served_init(struct insp_served *s, const char *words, const struct insp_serve_config *config,
		     struct insp_error *err)
{
	const char *equals = strchr(words, '=');
	int rc;

	*s = (struct insp_served){.spec = equals ? equals + 1 : words, .config = config, .hooked = -1};
	if (!*s->spec)
		return insp_fail(err, INSP_E_USAGE, "target '%s': nothing behind the '='", words);
	rc = insp_follow_check(s->spec, err);
	if (rc)
		return rc;
	if (!equals) {
		label_of(s->spec, s->label);
	} else if ((size_t)(equals - words) < sizeof(s->label)) {
		memcpy(s->label, words, (size_t)(equals - words));
		s->label[equals - words] = '\0';
	}
	if (!insp_label_valid(s->label))
		return insp_fail(err, INSP_E_USAGE,
				 "target '%s': a label has letters, digits, '_', and behind these '-' and '.', 63 at most", words);
	insp_follow_init(&s->follow, s->spec);
	s->budget_ns = BUDGET_FULL_NS;
	s->budget_at_ns = insp_now_ns();
	s->wait_ns = LOOK_FIRST_NS;
	snprintf(s->state.why, sizeof(s->state.why), "nobody has looked for it yet");
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

void insp_served_deinit(struct insp_served *s)
{
	insp_served_drop(s);
	insp_follow_deinit(&s->follow);
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
}

/* ---- there or not */

static void trend_add(struct insp_trend *t, const struct insp_served_state *state)
{
	t->points[t->next] = (struct insp_trend_point){
		.at_ns = insp_wallclock_ns(),
		.rss = state->up ? state->sample.rss : INSP_UNKNOWN,
		.in_use = state->up && state->walk.at_ns ? state->walk.in_use : INSP_UNKNOWN,
		.free = state->up && state->walk.at_ns ? state->walk.free : INSP_UNKNOWN,
	};
	t->next = (t->next + 1) % INSP_TREND_POINTS;
	t->n += t->n < INSP_TREND_POINTS;
}

/* Another process than before. Under the lock. */
static void begin_process(struct insp_served *s)
{
	struct insp_served_state *state = &s->state;

	state->starts++;
	state->pid = s->follow.pid;
	state->growing = 0;
	memset(&state->walk, 0, sizeof(state->walk));
}

static double share_of_limit(const struct insp_sample *sample)
{
	uint64_t used = insp_sample_used(sample);

	return used == INSP_UNKNOWN || sample->limit == INSP_UNKNOWN || !sample->limit
		       ? -1
		       : (double)used / (double)sample->limit;
}

void insp_served_sample(struct insp_served *s)
{
	struct insp_served_state *state = &s->state;
	struct insp_sample sample;
	struct insp_error err = {0};
	uint64_t now = insp_now_ns();
	unsigned before = s->follow.generation;
	bool was_up = state->up;
	int rc;

	if (now < s->look_ns)
		return;
	rc = insp_follow_read(&s->follow, &sample, &err);
	pthread_mutex_lock(&s->lock);
	if (!rc && (s->follow.generation != before || !state->starts))
		begin_process(s);
	state->up = !rc;
	if (!rc) {
		state->sample = sample;
		state->limit_share = share_of_limit(&sample);
	}
	snprintf(state->why, sizeof(state->why), "%.255s", rc ? err.msg : "");
	if (now >= s->trend_ns) {
		trend_add(&state->trend, state);
		s->trend_ns = now + INSP_TREND_EVERY_NS;
	}
	pthread_mutex_unlock(&s->lock);
	if (was_up && rc)
		insp_log(INSP_LOG_INFO, "%s: %s", s->label, err.msg);
	else if (!rc && (s->follow.generation != before || !was_up))
		insp_log(INSP_LOG_INFO, "%s: process %d", s->label, s->follow.pid);
	s->wait_ns = !rc || was_up ? LOOK_FIRST_NS : s->wait_ns * 2 > LOOK_LAST_NS ? LOOK_LAST_NS : s->wait_ns * 2;
	s->look_ns = insp_now_ns() + s->wait_ns;
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

/* By its number, which may be another's by now: that one was started after it was last seen. */
static int open_target(const struct insp_served_state *state, struct insp_target **ret, struct insp_error *err)
{
	struct insp_target_info info = {0};
	struct insp_pool *pool = insp_pool_create();
	char pid[16];
	int rc;

	if (!pool)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	snprintf(pid, sizeof(pid), "%d", state->pid);
	rc = insp_target_open(pid, ret, err);
	if (!rc && (*ret)->ops->info)
		(*ret)->ops->info(*ret, pool, &info);
	if (!rc && info.started_at_ns > state->sample.at_ns + LATE_NS) {
		insp_target_close(*ret);
		rc = insp_fail(err, INSP_E_GONE, "process %s has ended", pid);
	}
	insp_pool_destroy(pool);
	return rc;
}

static int take(struct insp_served *s, const struct insp_served_state *state, unsigned needs,
		struct insp_error *err)
{
	struct insp_take_options options = s->config->take;
	struct insp_picture picture = {0};
	int rc = open_target(state, &picture.target, err);

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

int insp_served_picture(struct insp_served *s, unsigned needs, uint64_t since_ns, bool urgent,
			uint64_t *ret_wait_ns, struct insp_error *err)
{
	struct insp_picture *p = &s->picture;
	unsigned stops = needs & ~(unsigned)(INSP_NEED_SYMBOLS | INSP_NEED_BYTES);
	struct insp_served_state state;
	int rc = 0;

	insp_served_read(s, &state);
	if (!state.up || state.starts != s->start)
		insp_served_drop(s);
	if (!state.up)
		return insp_fail(err, INSP_E_GONE, "%s", state.why);
	if (state.starts != s->start) {
		s->hooked = -1;
		s->walked_ns = s->grown_ns = 0;
		s->start = state.starts;
	}
	refill(s);
	if (!p->snapshot || p->taken_ns < since_ns || stops & ~p->snapshot->has) {
		double least_ns = urgent ? 0 : BUDGET_LEAVE_NS;

		if (stops && s->budget_ns <= least_ns) {
			*ret_wait_ns = (uint64_t)((least_ns - s->budget_ns) / s->config->pause_budget) + 1;
			return insp_fail(err, INSP_E_BUDGET,
					 "'%s' has stood still for its share of time (--pause-budget)",
					 s->label);
		}
		rc = take(s, &state, needs, err);
	}
	if (!rc && needs & INSP_NEED_SYMBOLS && !p->symbols)
		rc = insp_symbols_create(p->target, &p->snapshot->regions, &p->snapshot->modules,
					 &p->symbols, err);
	return rc;
}

void insp_served_walked(struct insp_served *s, const struct insp_walkstat *walk)
{
	uint64_t now = insp_now_ns();
	bool counts = !s->grown_ns || now - s->grown_ns + LATE_NS >= s->config->walk_every_ns;

	s->walked_ns = now;
	pthread_mutex_lock(&s->lock);
	s->state.walk = *walk;
	s->state.scans++;
	if (counts && s->grown_ns)
		s->state.growing = walk->in_use >= s->grown_from ? s->state.growing + 1 : 0;
	pthread_mutex_unlock(&s->lock);
	if (counts) {
		s->grown_ns = now;
		s->grown_from = walk->in_use;
	}
}
