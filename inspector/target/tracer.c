/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tracer: the life of the thread that holds a target.
 *
 *     owner                          tracer thread
 *     prepare tables and buffers
 *     start it                  ->   seize, raise priority, interrupt, wait, registers, stacks
 *     waits                     <-   HELD
 *     reads memory                   sleeps; every 5 ms: was the target killed? time over?
 *     resume                    ->   exits, and the kernel lets every thread go
 *     waits until it is gone
 *
 * Letting go by exit takes a tenth of the time of one PTRACE_DETACH for each thread, also lets go
 * what slipped out of the tables, and is what the kernel does anyway when this process dies.
 */
#include "target/tracer.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/vec.h"
#include "base/worker.h"
#include "target/live.h"
#include "target/tracer_inside.h"

#define SPARE_THREADS 16384 /* that may be born while we stop the others */

/* Ignored by default, so one that comes late does no harm. */
#define TICK_SIGNAL SIGURG

/* The handler's only way to its tracer: a signal handler takes no argument of ours. */
static __thread struct insp_tracer *tick_tracer;

static void on_tick(int sig)
{
	struct insp_tracer *t = tick_tracer;
	int saved = errno;

	(void)sig;
	if (t) {
		if (t->steps == t->steps_at_tick)
			insp_halt_sweep(t);
		t->steps_at_tick = t->steps;
	}
	errno = saved;
}

static void *map_zeroed(size_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int make_tables(struct insp_tracer *t, struct insp_error *err)
{
	if (!insp_task_list(t->live->task_fd, &t->tids))
		return insp_fail(err, INSP_E_GONE, "process %d has ended", t->live->pid);
	t->cap = 2 * t->tids.n + SPARE_THREADS;
	t->index_size = 1;
	while (t->index_size <= 2 * t->cap)
		t->index_size *= 2;
	t->tracees = map_zeroed(t->cap * sizeof(*t->tracees));
	t->index = map_zeroed(t->index_size * sizeof(*t->index));
	if (!t->tracees || !t->index || insp_vec_reserve(&t->tids, t->tids.n + SPARE_THREADS))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < t->tids.n; i++) {
		struct insp_tracee *tracee = insp_halt_add(t, t->tids.items[i]);

		if (tracee)
			(void)insp_task_read(t->live->task_fd, tracee->tid, t->live->nested,
					     &tracee->task);
	}
	return 0;
}

/* All that costs time or memory, while the target still runs. */
static int prepare(struct insp_tracer *t, struct insp_error *err)
{
	int rc = make_tables(t, err);

	if (rc)
		return rc;
	t->pool = insp_pool_create();
	if (!t->pool)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_live_regions(t->live, t->pool, &t->regions, err);
	if (rc)
		return rc;
	return insp_stackcopy_prepare(t, err);
}

static void tick_start(struct insp_tracer *t)
{
	struct itimerspec every = {.it_value.tv_nsec = INSP_TICK_NS, .it_interval.tv_nsec = INSP_TICK_NS};

	if (t->tick_made)
		(void)timer_settime(t->tick, 0, &every, NULL);
}

static void tick_end(struct insp_tracer *t)
{
	struct itimerspec never = {0};

	if (t->tick_made)
		(void)timer_settime(t->tick, 0, &never, NULL);
}

static int tick_create(struct insp_tracer *t, struct insp_error *err)
{
	struct sigaction action = {.sa_handler = on_tick};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL};
	sigset_t set;

	event._sigev_un._tid = t->tid;
	sigemptyset(&set);
	sigaddset(&set, TICK_SIGNAL);
	tick_tracer = t;
	if (sigaction(TICK_SIGNAL, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &t->tick))
		return insp_fail_errno(err, INSP_E_IO, errno, "timer of the tracer");
	t->tick_made = true;
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	tick_start(t);
	return 0;
}

/* Against threads of the target that want the CPU while we try to stop the rest of them. */
static bool raise_priority(void)
{
	struct sched_param fifo = {.sched_priority = 1};

	return !sched_setscheduler(0, SCHED_FIFO, &fifo) || !setpriority(PRIO_PROCESS, 0, -20);
}

static int stop_target(struct insp_tracer *t)
{
	int rc = tick_create(t, &t->err);

	if (!rc)
		rc = insp_halt_seize(t, &t->err);
	if (rc)
		return rc;
	t->raised = raise_priority();
	rc = insp_halt_stop(t, &t->err);
	if (rc)
		return rc;
	if (t->opts.want_registers || t->opts.stack_bytes)
		insp_stackcopy_run(t);
	tick_end(t);
	return 0;
}

static void sleep_a_tick(struct insp_tracer *t)
{
	struct timespec until;
	uint64_t at = insp_now_ns() + INSP_TICK_NS;

	if (t->opts.max_pause_ns && at > t->deadline_ns)
		at = t->deadline_ns;
	until.tv_sec = (time_t)(at / 1000000000);
	until.tv_nsec = (long)(at % 1000000000);
	(void)pthread_cond_timedwait(&t->cond, &t->lock, &until);
}

static void run_call(struct insp_tracer *t)
{
	int rc;

	(void)pthread_mutex_unlock(&t->lock);
	tick_start(t);
	rc = t->fn(t, t->fn_ctx, t->fn_err);
	tick_end(t);
	(void)pthread_mutex_lock(&t->lock);
	t->fn_rc = rc;
	t->fn = NULL;
	(void)pthread_cond_broadcast(&t->cond);
}

/* Called and left with the lock held. */
static void hold(struct insp_tracer *t)
{
	while (!t->let_go) {
		if (t->opts.max_pause_ns && insp_now_ns() >= t->deadline_ns) {
			t->cut_short = true;
			break;
		}
		if (insp_halt_target_died(t))
			break;
		if (t->fn)
			run_call(t);
		else
			sleep_a_tick(t);
	}
}

static void *tracer_main(void *arg)
{
	struct insp_tracer *t = arg;
	int rc;

	t->tid = (int)syscall(SYS_gettid);
	rc = stop_target(t);
	(void)pthread_mutex_lock(&t->lock);
	t->rc = rc;
	if (!rc) {
		atomic_store(&t->state, INSP_TRACER_HELD);
		(void)pthread_cond_broadcast(&t->cond);
		hold(t);
	}
	t->let_go_ns = insp_now_ns();
	atomic_store(&t->state, INSP_TRACER_LET_GO);
	if (t->kept)
		insp_halt_detach_all(t);
	(void)pthread_cond_broadcast(&t->cond);
	while (t->kept && !t->drop_kept)
		(void)pthread_cond_wait(&t->cond, &t->lock);
	if (t->kept)
		insp_halt_kill(t->kept);
	(void)pthread_mutex_unlock(&t->lock);
	tick_tracer = NULL;
	return NULL;
}

static int start_thread(struct insp_tracer *t, struct insp_error *err)
{
	int e = insp_worker_start(&t->thread, tracer_main, t);

	if (e)
		return insp_fail_errno(err, INSP_E_NOMEM, e, "tracer thread");
	t->thread_made = true;
	(void)pthread_mutex_lock(&t->lock);
	while (atomic_load(&t->state) == INSP_TRACER_STOPPING)
		(void)pthread_cond_wait(&t->cond, &t->lock);
	(void)pthread_mutex_unlock(&t->lock);
	if (t->rc && err)
		*err = t->err;
	return t->rc;
}

static struct insp_tracer *tracer_create(struct insp_live *live,
					 const struct insp_stop_options *options)
{
	struct insp_tracer *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	if (!t)
		return NULL;
	t->live = live;
	t->opts = *options;
	t->self = getpid();
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&t->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	return t;
}

static void tracer_destroy(struct insp_tracer *t)
{
	if (t->tick_made)
		(void)timer_delete(t->tick);
	insp_stackcopy_free(t);
	if (t->tracees)
		(void)munmap(t->tracees, t->cap * sizeof(*t->tracees));
	if (t->index)
		(void)munmap(t->index, t->index_size * sizeof(*t->index));
	insp_vec_free(&t->tids);
	insp_pool_destroy(t->pool);
	(void)pthread_cond_destroy(&t->cond);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

/* A joined thread may still be on its way out, and the detach is the last thing that it does. */
static void wait_until_detached(struct insp_tracer *t)
{
	(void)pthread_join(t->thread, NULL);
	for (unsigned i = 0; !syscall(SYS_tgkill, t->self, t->tid, 0); i++)
		if (i < 1000)
			(void)sched_yield();
		else
			(void)usleep(100);
}

static void fill_report(const struct insp_tracer *t, struct insp_stop_report *report)
{
	uint64_t end = t->cut_short ? t->let_go_ns : insp_now_ns();

	*report = (struct insp_stop_report){
		.stopped_ns = t->first_interrupt_ns ? end - t->first_interrupt_ns : 0,
		.to_stop_ns = t->all_stopped_ns ? t->all_stopped_ns - t->first_interrupt_ns : 0,
		.nunstoppable = t->nzombies,
		.nthreads = t->nzombies,
		.restarts_mended = t->nmended,
		.cut_short = t->cut_short,
		.raised_priority = t->raised,
	};
	for (size_t i = 0; i < t->n; i++) {
		report->nthreads += t->tracees[i].phase != INSP_TRACEE_DEAD;
		report->nunstoppable += t->tracees[i].phase == INSP_TRACEE_UNSTOPPABLE;
	}
}

int insp_tracer_stop(struct insp_live *live, const struct insp_stop_options *options,
		     struct insp_tracer **ret, struct insp_error *err)
{
	struct insp_tracer *t = tracer_create(live, options);
	int rc;

	if (!t)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = prepare(t, err);
	if (!rc)
		rc = start_thread(t, err);
	if (rc) {
		insp_tracer_resume(t, NULL);
		return rc;
	}
	*ret = t;
	return 0;
}

bool insp_tracer_held(const struct insp_tracer *t)
{
	return atomic_load(&t->state) == INSP_TRACER_HELD;
}

/* Let go, but not freed: somebody still has a copy of the target in hold. */
static bool let_go_but_keep(struct insp_tracer *t)
{
	bool kept;

	(void)pthread_mutex_lock(&t->lock);
	kept = t->kept != 0;
	t->let_go = true;
	(void)pthread_cond_broadcast(&t->cond);
	while (kept && atomic_load(&t->state) != INSP_TRACER_LET_GO)
		(void)pthread_cond_wait(&t->cond, &t->lock);
	(void)pthread_mutex_unlock(&t->lock);
	return kept;
}

void insp_tracer_resume(struct insp_tracer *t, struct insp_stop_report *report)
{
	if (!t)
		return;
	if (t->thread_made && let_go_but_keep(t)) {
		if (report)
			fill_report(t, report);
		return;
	}
	if (t->thread_made)
		wait_until_detached(t);
	if (report)
		fill_report(t, report);
	tracer_destroy(t);
}

void insp_tracer_keep(struct insp_tracer *t, int child)
{
	(void)pthread_mutex_lock(&t->lock);
	t->kept = child;
	(void)pthread_mutex_unlock(&t->lock);
}

void insp_tracer_drop(struct insp_tracer *t)
{
	(void)pthread_mutex_lock(&t->lock);
	t->drop_kept = true;
	(void)pthread_cond_broadcast(&t->cond);
	(void)pthread_mutex_unlock(&t->lock);
	wait_until_detached(t);
	tracer_destroy(t);
}

int insp_tracer_call(struct insp_tracer *t, insp_tracer_fn fn, void *ctx, struct insp_error *err)
{
	int rc = INSP_E_GONE;

	(void)pthread_mutex_lock(&t->lock);
	if (atomic_load(&t->state) == INSP_TRACER_HELD) {
		t->fn = fn;
		t->fn_ctx = ctx;
		t->fn_err = err;
		(void)pthread_cond_broadcast(&t->cond);
		while (t->fn && atomic_load(&t->state) == INSP_TRACER_HELD)
			(void)pthread_cond_wait(&t->cond, &t->lock);
		rc = t->fn ? INSP_E_GONE : t->fn_rc;
		if (t->fn)
			insp_fail(err, INSP_E_GONE, "process %d was let go", t->live->pid);
	} else {
		insp_fail(err, INSP_E_GONE, "process %d was let go", t->live->pid);
	}
	(void)pthread_mutex_unlock(&t->lock);
	return rc;
}

void insp_tracer_abandon(struct insp_tracer *t)
{
	(void)pthread_mutex_lock(&t->lock);
	t->let_go = true;
	(void)pthread_mutex_unlock(&t->lock);
}

struct insp_live *insp_tracer_live(struct insp_tracer *t)
{
	return t->live;
}

struct insp_tracee *insp_tracer_tracees(struct insp_tracer *t, size_t *ret_n)
{
	*ret_n = t->n;
	return t->tracees;
}
