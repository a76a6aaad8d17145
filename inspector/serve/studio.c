/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue, and who waits for what. What an answer is made of is studio_answer.c. */
#include "serve/studio.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fmt.h"
#include "base/log.h"
#include "base/worker.h"
#include "report/profile_merge.h"
#include "serve/cpu.h"
#include "serve/profiles.h"

#define SECOND_NS    UINT64_C(1000000000)
#define WAIT_NS	     (30 * SECOND_NS)  /* then whoever waits is sent away */
#define STALE_NS     (600 * SECOND_NS) /* no answer is given again after so long */
#define WAITING_MAX  1024
#define LONG_MAX     16		       /* profiles over some seconds at a time */
#define KEPT_MAX     24		       /* answers */
#define KEPT_BYTES   (UINT64_C(16) << 20)
#define SAMPLE_NS    (SECOND_NS / 50)  /* of profiles of the CPU: at most that often */
#define SAMPLE_SHARE 100	       /* and at least that many times the stop apart */
#define LOOKED_AT    5		       /* periods without a look at /metrics end its walks */

struct waiter {
	struct waiter *next;
	insp_answered_fn done;
	void *ctx;
	uint64_t since_ns;
};

struct job {
	struct job *next;
	struct insp_served *served;
	struct insp_route route;
	char *text;
	uint64_t due_ns, asked_ns;
	struct waiter *waiters;
	/* of profiles over some seconds */
	struct insp_profile_merger *merger; /* NULL: not begun */
	uint64_t begun_ns, end_ns;
	unsigned start;			    /* which of the processes followed it was */
	struct insp_cpu_book *cpu;
};

struct kept {
	struct insp_served *served;
	struct insp_route route;
	struct insp_answer *answer;
	uint64_t made_ns;
	unsigned start; /* of which process */
};

struct insp_studio {
	struct insp_served *served;
	size_t nserved;
	const struct insp_serve_config *config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *jobs;      /* in the order of asking */
	size_t nwaiting, nlong;
	struct kept kept[KEPT_MAX];
	uint64_t kept_bytes;
	bool stopping;
};

/* ---- answers that are kept */

static bool same_route(const struct insp_route *a, const struct insp_route *b)
{
	return a->endpoint == b->endpoint && a->debug == b->debug && a->seconds == b->seconds;
}

static bool is_long(const struct insp_route *r)
{
	return r->seconds != 0;
}

static bool keeps(const struct insp_route *r)
{
	return !is_long(r) && r->endpoint != INSP_AT_SYMBOL;
}

static void forget(struct insp_studio *s, struct kept *k)
{
	if (!k->answer)
		return;
	s->kept_bytes -= k->answer->body.len;
	insp_answer_unref(k->answer);
	*k = (struct kept){0};
}

static struct kept *kept_of(struct insp_studio *s, const struct insp_served *served,
			    const struct insp_route *route)
{
	for (size_t i = 0; i < KEPT_MAX; i++)
		if (s->kept[i].answer && s->kept[i].served == served && same_route(&s->kept[i].route, route))
			return &s->kept[i];
	return NULL;
}

static void keep(struct insp_studio *s, struct insp_served *served, const struct insp_route *route,
		 struct insp_answer *answer)
{
	struct kept *k = kept_of(s, served, route);

	if (k)
		forget(s, k);
	if (answer->body.len > KEPT_BYTES / 2)
		return;
	for (;;) {
		struct kept *oldest = NULL;

		k = NULL;
		for (size_t i = 0; i < KEPT_MAX; i++) {
			if (!s->kept[i].answer)
				k = &s->kept[i];
			else if (!oldest || s->kept[i].made_ns < oldest->made_ns)
				oldest = &s->kept[i];
		}
		if (k && s->kept_bytes + answer->body.len <= KEPT_BYTES)
			break;
		forget(s, oldest);
	}
	*k = (struct kept){served, *route, insp_answer_ref(answer), insp_now_ns(), served->start};
	s->kept_bytes += answer->body.len;
}

/* One that is younger than max_age_ns, with a reference. */
static struct insp_answer *find_kept(struct insp_studio *s, const struct insp_served *served,
				     const struct insp_route *route, uint64_t max_age_ns)
{
	struct kept *k = keeps(route) ? kept_of(s, served, route) : NULL;

	return k && insp_now_ns() - k->made_ns <= max_age_ns ? insp_answer_ref(k->answer) : NULL;
}

/* Of a process that has ended, or so old that nobody may have it. */
static void forget_old(struct insp_studio *s)
{
	uint64_t now = insp_now_ns();

	for (size_t i = 0; i < KEPT_MAX; i++)
		if (s->kept[i].answer && (now - s->kept[i].made_ns > STALE_NS || s->kept[i].start != s->kept[i].served->start))
			forget(s, &s->kept[i]);
}

static struct insp_answer *busy(const char *what)
{
	struct insp_answer *a = insp_answer_error(503, "%s", what);

	if (a)
		a->retry_after_s = 1;
	return a;
}

struct insp_answer *insp_studio_find(struct insp_studio *s, const struct insp_want *want)
{
	struct insp_answer *a = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->stopping)
		a = busy("meminspect is ending");
	else if (!want->route.fresh)
		a = find_kept(s, want->served, &want->route, s->config->min_interval_ns);
	pthread_mutex_unlock(&s->lock);
	return a;
}

/* ---- the queue */

static void job_free(struct job *j)
{
	insp_profile_merger_destroy(j->merger);
	insp_cpu_book_destroy(j->cpu);
	free(j->text);
	free(j);
}

/* Takes it off the queue. Under the lock. */
static struct waiter *unqueue(struct insp_studio *s, struct job *job)
{
	struct job **at = &s->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	s->nlong -= is_long(&job->route);
	for (struct waiter *w = job->waiters; w; w = w->next)
		s->nwaiting--;
	return job->waiters;
}

/* Gives answer; NULL stands for too little memory, and then there is no better one. */
static void answer_all(struct waiter *waiters, struct insp_answer *answer)
{
	while (waiters) {
		struct waiter *next = waiters->next;

		waiters->done(waiters->ctx, answer ? insp_answer_ref(answer) : NULL);
		free(waiters);
		waiters = next;
	}
	insp_answer_unref(answer);
}

/* made: now, and not given once more. */
static void finish(struct insp_studio *s, struct job *job, struct insp_answer *answer, bool made)
{
	struct waiter *waiters;

	pthread_mutex_lock(&s->lock);
	waiters = unqueue(s, job);
	if (made && answer && answer->status == 200 && keeps(&job->route))
		keep(s, job->served, &job->route, answer);
	pthread_mutex_unlock(&s->lock);
	answer_all(waiters, answer);
	job_free(job);
}

static struct job *job_like(struct insp_studio *s, const struct insp_want *want)
{
	if (!keeps(&want->route))
		return NULL;
	for (struct job *j = s->jobs; j; j = j->next)
		if (j->served == want->served && same_route(&j->route, &want->route) &&
		    j->route.fresh >= want->route.fresh)
			return j;
	return NULL;
}

static struct job *job_new(struct insp_studio *s, const struct insp_want *want)
{
	struct job *job = calloc(1, sizeof(*job)), **at = &s->jobs;

	if (!job)
		return NULL;
	job->served = want->served;
	job->route = want->route;
	job->text = want->text ? strdup(want->text) : NULL;
	job->asked_ns = job->due_ns = insp_now_ns();
	if (want->text && !job->text) {
		free(job);
		return NULL;
	}
	while (*at)
		at = &(*at)->next;
	*at = job;
	s->nlong += is_long(&want->route);
	return job;
}

void insp_studio_ask(struct insp_studio *s, const struct insp_want *want, insp_answered_fn done, void *ctx)
{
	struct waiter *w = calloc(1, sizeof(*w));
	struct job *job = NULL;
	const char *why = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->stopping)
		why = "meminspect is ending";
	else if (s->nwaiting >= WAITING_MAX)
		why = "too many requests are waiting";
	else if (is_long(&want->route) && s->nlong >= LONG_MAX)
		why = "too many profiles over some seconds are being made";
	if (!why && w) {
		job = job_like(s, want);
		job = job ? job : job_new(s, want);
	}
	if (job) {
		*w = (struct waiter){job->waiters, done, ctx, insp_now_ns()};
		job->waiters = w;
		s->nwaiting++;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	if (!job) {
		free(w);
		done(ctx, busy(why ? why : "out of memory"));
	}
}

void insp_studio_tick(struct insp_studio *s)
{
	struct waiter *late = NULL;
	uint64_t now = insp_now_ns();

	pthread_mutex_lock(&s->lock);
	for (struct job *j = s->jobs; j; j = j->next) {
		struct waiter **at = &j->waiters;

		while (*at) {
			struct waiter *w = *at;

			if (now - w->since_ns < WAIT_NS + j->route.seconds * SECOND_NS) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			w->next = late;
			late = w;
			s->nwaiting--;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (late)
		answer_all(late, busy("the picture takes too long: try again"));
}

/* ---- the work */

/* Why there is no picture. */
static struct insp_answer *no_picture(const struct job *job, uint64_t wait_ns, const struct insp_error *err)
{
	struct insp_answer *a = insp_answer_error(503, "target '%s': %s", job->served->label, err->msg);
	uint64_t s = wait_ns / SECOND_NS;

	if (a)
		a->retry_after_s = s > 3600 ? 3600 : s ? (uint32_t)s : 1;
	return a;
}

static unsigned walk_needs(const struct insp_studio *s, const struct insp_served *served)
{
	return INSP_WALKSTAT_NEEDS | (served->hooked < 0 ? INSP_NEED_SITES : 0) |
	       (s->config->leaks ? INSP_NEED_POINTERS | INSP_NEED_STACKS : 0);
}

static bool walk_is_near(const struct insp_studio *s, const struct insp_served *served)
{
	return insp_now_ns() - served->walked_ns >= s->config->walk_every_ns / 2;
}

static void take_figures(struct insp_studio *s, struct insp_served *served, struct insp_error *err)
{
	struct insp_walkstat stat;

	if (!insp_walkstat_make(served->picture.snapshot,
				s->config->leaks && served->picture.snapshot->has & INSP_NEED_POINTERS, &stat, err))
		insp_served_walked(served, &stat);
}

/* A picture that was taken for somebody else saves the process the stop of a walk. */
static void use_for_walk(struct insp_studio *s, struct insp_served *served)
{
	const struct insp_picture *p = &served->picture;

	if (walk_is_near(s, served) && !(INSP_WALKSTAT_NEEDS & ~p->snapshot->has) &&
	    (!s->config->leaks || p->snapshot->has & INSP_NEED_POINTERS))
		take_figures(s, served, &(struct insp_error){0});
}

/* What all jobs that are due want of this process: they shall share the stop. */
static unsigned needs_together(struct insp_studio *s, const struct insp_served *served)
{
	uint64_t now = insp_now_ns();
	unsigned needs = 0;

	pthread_mutex_lock(&s->lock);
	for (struct job *j = s->jobs; j; j = j->next)
		if (j->served == served && j->due_ns <= now)
			needs |= insp_studio_needs(served, &j->route);
	pthread_mutex_unlock(&s->lock);
	if (needs & INSP_NEED_CHUNKS && walk_is_near(s, served))
		needs |= walk_needs(s, served);
	return needs;
}

/* The picture that a job needs, or, when there is none, an answer in its place. */
static bool have_picture(struct insp_studio *s, struct job *job, struct insp_answer **ret)
{
	uint64_t since = insp_now_ns() - s->config->min_interval_ns, wait_ns = 0;
	struct insp_answer *before;
	struct insp_error err = {0};
	int rc;

	if (is_long(&job->route))
		since = job->due_ns;
	else if (job->route.fresh)
		since = job->asked_ns;
	pthread_mutex_lock(&s->lock);
	before = find_kept(s, job->served, &job->route, STALE_NS);
	pthread_mutex_unlock(&s->lock);
	rc = insp_served_picture(job->served, needs_together(s, job->served), since,
				 !before || job->route.fresh, &wait_ns, &err);
	if (rc == INSP_E_BUDGET && before) {
		*ret = before;
		return false;
	}
	insp_answer_unref(before);
	if (rc)
		*ret = no_picture(job, wait_ns, &err);
	else
		use_for_walk(s, job->served);
	return !rc;
}

static struct insp_answer *failed(const struct job *job, const struct insp_error *err)
{
	return insp_answer_error(err->code == INSP_E_USAGE ? 400 : 500, "target '%s': %s", job->served->label,
				 err->msg);
}

static void work_short(struct insp_studio *s, struct job *job)
{
	struct insp_answer *answer;
	struct insp_error err = {0};
	bool made = have_picture(s, job, &answer);

	if (made) {
		answer = insp_studio_answer(job->served, &job->route, job->text, &err);
		if (!answer && err.code)
			answer = failed(job, &err);
		if (answer)
			answer->taken_at_ns = job->served->picture.snapshot->taken_at_ns;
	}
	finish(s, job, answer, made);
}

/* Adds the picture at hand to a job's sum. */
static int add_picture(struct job *job, int64_t factor, struct insp_error *err)
{
	struct insp_picture *p = &job->served->picture;
	struct insp_pool *pool = insp_pool_create();
	struct insp_context ctx = {.snapshot = p->snapshot, .symbols = p->symbols, .pool = pool};
	struct insp_profile *profile;
	int rc;

	if (!pool || (!job->merger && !(job->merger = insp_profile_merger_create())))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	else
		rc = insp_profile_of(&ctx, job->route.endpoint, &profile, err);
	if (!rc) {
		if (job->cpu)
			rc = insp_cpu_book_look(job->cpu, p->snapshot, profile, err);
		if (!rc)
			rc = insp_profile_merger_add(job->merger, profile, factor, err);
		insp_profile_destroy(profile);
	}
	insp_pool_destroy(pool);
	return rc;
}

/* What no look saw, and how many there were. */
static int add_rest(struct job *job, struct insp_error *err)
{
	struct insp_profile *rest, *sum = insp_profile_merger_sum(job->merger);
	int rc = insp_cpu_book_rest(job->cpu, sum->pool, &rest, err);

	if (rc)
		return rc;
	rc = insp_profile_merger_add(job->merger, rest, 1, err);
	sum->comment = rest->comment;
	insp_profile_destroy(rest);
	return rc;
}

static struct insp_answer *end_long(struct job *job, struct insp_error *err)
{
	struct insp_profile *sum = insp_profile_merger_sum(job->merger);
	struct insp_answer *answer;

	insp_profile_drop_zeroes(sum);
	sum->duration_ns = insp_now_ns() - job->begun_ns;
	sum->delta = job->route.endpoint != INSP_AT_PROFILE;
	sum->time_ns = insp_wallclock_ns() - (sum->delta ? 0 : sum->duration_ns);
	answer = insp_studio_profile(sum, &job->route, err);
	return answer ? answer : failed(job, err);
}

/* The first look and the second. */
static void work_delta(struct insp_studio *s, struct job *job)
{
	struct insp_answer *answer;
	struct insp_error err = {0};
	bool first = !job->begun_ns;

	if (!have_picture(s, job, &answer)) {
		finish(s, job, answer, false);
		return;
	}
	if (first) {
		job->begun_ns = insp_now_ns();
		job->start = job->served->start;
	} else if (job->start != job->served->start) {
		(void)insp_fail(&err, INSP_E_GONE, "the process was started anew meanwhile");
	}
	if (!err.code)
		(void)add_picture(job, first ? -1 : 1, &err);
	if (err.code) {
		finish(s, job, failed(job, &err), false);
		return;
	}
	if (!first) {
		finish(s, job, end_long(job, &err), false);
		return;
	}
	pthread_mutex_lock(&s->lock);
	job->due_ns = job->begun_ns + job->route.seconds * SECOND_NS;
	pthread_mutex_unlock(&s->lock);
}

static void work_profile(struct insp_studio *s, struct job *job)
{
	struct insp_answer *answer;
	struct insp_error err = {0};
	uint64_t now, apart, end_ns;

	if (!have_picture(s, job, &answer)) {
		finish(s, job, answer, false);
		return;
	}
	if (!job->cpu && !(job->cpu = insp_cpu_book_create()))
		(void)insp_fail(&err, INSP_E_NOMEM, "out of memory for the profile");
	else
		(void)add_picture(job, 1, &err);
	now = insp_now_ns();
	job->begun_ns = job->begun_ns ? job->begun_ns : now;
	end_ns = job->begun_ns + job->route.seconds * SECOND_NS;
	if (err.code || now >= end_ns) {
		if (!err.code)
			(void)add_rest(job, &err);
		finish(s, job, err.code ? failed(job, &err) : end_long(job, &err), false);
		return;
	}
	apart = job->served->picture.snapshot->capture.stopped_ns * SAMPLE_SHARE;
	pthread_mutex_lock(&s->lock);
	job->due_ns = now + (apart > SAMPLE_NS ? apart : SAMPLE_NS);
	if (job->due_ns > end_ns)
		job->due_ns = end_ns;
	pthread_mutex_unlock(&s->lock);
}

static void work(struct insp_studio *s, struct job *job)
{
	if (!is_long(&job->route))
		work_short(s, job);
	else if (job->route.endpoint == INSP_AT_PROFILE)
		work_profile(s, job);
	else
		work_delta(s, job);
}

/* ---- walks for /metrics */

static bool wants_walk(const struct insp_studio *s, struct insp_served *served)
{
	struct insp_served_state state;
	uint64_t now = insp_now_ns();

	insp_served_read(served, &state);
	if (!state.up)
		return false;
	if (state.starts != served->start || !served->walked_ns)
		return true;
	return now - served->walked_ns >= s->config->walk_every_ns && state.walk_asked_ns &&
	       now - state.walk_asked_ns < LOOKED_AT * s->config->walk_every_ns;
}

static void walk(struct insp_studio *s, struct insp_served *served)
{
	struct insp_error err = {0};
	uint64_t wait_ns = 0, since = insp_now_ns() - s->config->min_interval_ns;
	int rc = insp_served_picture(served, walk_needs(s, served), since, !served->walked_ns, &wait_ns, &err);

	if (!rc) {
		take_figures(s, served, &err);
		rc = err.code;
	}
	/* When it may not be stopped now, it is tried again soon; when it cannot be walked, in its time. */
	if (rc == INSP_E_BUDGET && wait_ns)
		served->walked_ns = insp_now_ns() - s->config->walk_every_ns + wait_ns;
	else if (rc)
		served->walked_ns = insp_now_ns();
	if (rc)
		insp_log(INSP_LOG_DEBUG, "%s: no walk: %s", served->label, err.msg);
}

/* ---- the thread */

/* What is due, the longest first; NULL: wait until *ret_next_ns. Under the lock. */
static struct job *next_job(struct insp_studio *s, uint64_t *ret_next_ns)
{
	struct job *best = NULL;

	for (struct job *j = s->jobs; j; j = j->next)
		if (!best || j->due_ns < best->due_ns)
			best = j;
	if (best && best->due_ns <= insp_now_ns())
		return best;
	if (best && best->due_ns < *ret_next_ns)
		*ret_next_ns = best->due_ns;
	return NULL;
}

static void wait_until(struct insp_studio *s, uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};

	(void)pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

/* Once a second: who is there, which pictures nobody needs any more, whose walk is due. */
static void chores(struct insp_studio *s)
{
	uint64_t now = insp_now_ns();

	for (size_t i = 0; i < s->nserved; i++) {
		struct insp_served *served = &s->served[i];

		if (wants_walk(s, served))
			walk(s, served);
		if (served->picture.snapshot && now > served->picture.taken_ns + s->config->min_interval_ns) {
			insp_served_drop(served);
			(void)malloc_trim(0);
		}
	}
	pthread_mutex_lock(&s->lock);
	forget_old(s);
	pthread_mutex_unlock(&s->lock);
}

static void *studio_main(void *ctx)
{
	struct insp_studio *s = ctx;
	uint64_t chores_ns = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		uint64_t next = chores_ns + SECOND_NS;
		struct job *job;

		if (insp_now_ns() >= next) {
			pthread_mutex_unlock(&s->lock);
			chores(s);
			chores_ns = insp_now_ns();
			pthread_mutex_lock(&s->lock);
			continue;
		}
		job = next_job(s, &next);
		if (job) {
			pthread_mutex_unlock(&s->lock);
			work(s, job);
			pthread_mutex_lock(&s->lock);
		} else {
			wait_until(s, next);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int insp_studio_start(struct insp_served *served, size_t nserved, const struct insp_serve_config *config,
		      struct insp_studio **ret, struct insp_error *err)
{
	struct insp_studio *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	if (!s)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	s->served = served;
	s->nserved = nserved;
	s->config = config;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = insp_worker_start(&s->thread, studio_main, s);
	if (rc) {
		free(s);
		return insp_fail_errno(err, INSP_E_IO, rc, "a thread");
	}
	*ret = s;
	return 0;
}

void insp_studio_stop(struct insp_studio *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	while (s->jobs)
		finish(s, s->jobs, busy("meminspect is ending"), false);
}

void insp_studio_destroy(struct insp_studio *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < KEPT_MAX; i++)
		forget(s, &s->kept[i]);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
