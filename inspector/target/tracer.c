/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tracer: the life of the process that holds a target.
 *
 *     owner                          tracer
 *     prepare tables and buffers
 *     start it                  ->   seize, raise priority, interrupt, wait, registers, stacks
 *     waits                     <-   HELD
 *     reads memory                   sleeps; every 5 ms: was the target killed? time over?
 *     resume                    ->   exits, and the kernel lets every thread go
 *     waits until it is gone
 *
 * Letting go by exit takes a tenth of the time of one PTRACE_DETACH for each thread, also lets go
 * what slipped out of the tables, and is what the kernel does anyway when we die.
 *
 * The tracer is a process of its own that shares memory and descriptors with this one (clone with
 * CLONE_VM, as vfork has it, but both run). So SIGKILL for meminspect does not hit it in the middle:
 * a thread of the target that was interrupted and is let go before its system call was mended gets
 * EINTR, and a call that we made inside it would not be cleared up. The tracer brings its step to an
 * end, sees that it is an orphan, and exits. (What kills it as well, the kernel out of memory or the
 * end of a container, still leaves a target that runs on.) Its handlers are its own, too, and its
 * process group: neither Ctrl-C nor Ctrl-Z stops it half way.
 *
 * For the C library it is the thread that started it, whose stack and thread-local storage it
 * uses. That thread sits in one system call meanwhile, made by hand, and touches neither. The two
 * processes talk through one word of memory and futex: whichever is killed leaves no lock taken.
 */
#include "target/tracer.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/vec.h"
#include "base/worker.h"
#include "target/live.h"
#include "target/tracer_inside.h"

#define SPARE_THREADS 16384 /* that may be born while we stop the others */

/* Ignored by default, so one that comes late does no harm. */
#define TICK_SIGNAL SIGURG

/* Of the stack that the starting thread and the tracer share, for the former. */
#define STARTER_STACK_BYTES 16384

/* ---- the word */

static unsigned look(const struct insp_tracer *t)
{
	return atomic_load(&t->word);
}

static void say(struct insp_tracer *t, unsigned set, unsigned clear)
{
	unsigned old = look(t);

	while (!atomic_compare_exchange_weak(&t->word, &old, (old | set) & ~clear))
		;
	(void)syscall(SYS_futex, &t->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Until the word is no longer seen, until_ns (0: for ever), or a signal. */
static void listen(struct insp_tracer *t, unsigned seen, uint64_t until_ns)
{
	const struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
				       .tv_nsec = (long)(until_ns % 1000000000)};

	(void)syscall(SYS_futex, &t->word, FUTEX_WAIT_BITSET_PRIVATE, seen, until_ns ? &until : NULL,
		      NULL, FUTEX_BITSET_MATCH_ANY);
}

static unsigned await(struct insp_tracer *t, unsigned any)
{
	unsigned seen;

	while (!((seen = look(t)) & any))
		listen(t, seen, 0);
	return seen;
}

/* ---- the tick */

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
static void raise_priority(void)
{
	struct sched_param fifo = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_FIFO, &fifo))
		(void)setpriority(PRIO_PROCESS, 0, -20); /* or as we are: only slower */
}

static bool orphaned(const struct insp_tracer *t)
{
	return getppid() != t->self;
}

static int stop_target(struct insp_tracer *t)
{
	int rc = tick_create(t, &t->err);

	if (!rc && orphaned(t))
		rc = INSP_E_GONE;
	if (!rc)
		rc = insp_halt_seize(t, &t->err);
	if (rc)
		return rc;
	raise_priority();
	rc = orphaned(t) ? INSP_E_GONE : insp_halt_stop(t, &t->err);
	if (rc)
		return rc;
	if (t->opts.want_registers || t->opts.stack_bytes)
		insp_stackcopy_run(t);
	tick_end(t);
	return 0;
}

static void run_call(struct insp_tracer *t)
{
	tick_start(t);
	t->fn_rc = t->fn(t, t->fn_ctx, t->fn_err);
	tick_end(t);
	say(t, INSP_TRACER_DONE, INSP_TRACER_CALL);
}

static void hold(struct insp_tracer *t)
{
	for (;;) {
		unsigned seen = look(t);
		uint64_t now = insp_now_ns(), until = now + INSP_TICK_NS;

		if (t->opts.max_pause_ns && now >= t->deadline_ns) {
			t->cut_short = true;
			return;
		}
		if (seen & INSP_TRACER_RELEASE || orphaned(t) || insp_halt_target_died(t))
			return;
		if (seen & INSP_TRACER_CALL) {
			run_call(t);
			continue;
		}
		if (t->opts.max_pause_ns && until > t->deadline_ns)
			until = t->deadline_ns;
		listen(t, seen, until);
	}
}

/* The target runs, a copy of it is still held. */
static void keep(struct insp_tracer *t)
{
	unsigned seen;

	insp_halt_detach_all(t);
	t->detached_ns = insp_now_ns();
	say(t, INSP_TRACER_DETACHED, 0);
	while (!((seen = look(t)) & INSP_TRACER_DROP) && !orphaned(t))
		listen(t, seen, insp_now_ns() + INSP_ORPHAN_NS);
	insp_halt_kill(t->kept);
}

/* The tracer: a process. All signals are blocked but the tick's, which the death of its starter
   sends, too. */
static int tracer_main(void *arg)
{
	struct insp_tracer *t = arg;

	t->tid = getpid();
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, TICK_SIGNAL);
	t->rc = stop_target(t);
	if (!t->rc) {
		say(t, INSP_TRACER_HELD, 0);
		hold(t);
	}
	say(t, INSP_TRACER_LET_GO, 0);
	if (t->kept)
		keep(t);
	tick_tracer = NULL;
	return 0;
}

/* By hand: the C library's own would use storage that is the tracer's meanwhile. */
static long raw_call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = 0;
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return rc;
}

/* Ahead of the threads that have just been let go, or the time of that would be told too late. */
static void wait_for_end(int pid)
{
	const struct sched_param fifo = {.sched_priority = 1};

	if (raw_call(SYS_sched_setscheduler, 0, SCHED_FIFO, (long)&fifo, 0))
		(void)raw_call(SYS_setpriority, PRIO_PROCESS, 0, -20, 0);
	while (raw_call(SYS_waitid, P_PID, pid, 0, WEXITED | __WALL) == -EINTR)
		;
}

static void *starter_main(void *arg)
{
	struct insp_tracer *t = arg;
	uintptr_t stack = ((uintptr_t)__builtin_frame_address(0) - STARTER_STACK_BYTES) & ~(uintptr_t)63;
	/* No signal to this process when it ends: it is nobody else's to wait for. */
	int pid = clone(tracer_main, (void *)stack, CLONE_VM | CLONE_FS | CLONE_FILES, t);

	if (pid < 0)
		t->rc = insp_fail_errno(&t->err, INSP_E_NOMEM, errno, "process of the tracer");
	else
		wait_for_end(pid);
	if (!t->detached_ns)
		t->detached_ns = insp_now_ns();
	if (!(look(t) & INSP_TRACER_LET_GO)) /* it was killed */
		t->cut_short = true;
	say(t, INSP_TRACER_LET_GO | INSP_TRACER_DETACHED | INSP_TRACER_ENDED, 0);
	return NULL;
}

static int start_tracer(struct insp_tracer *t, struct insp_error *err)
{
	int e = insp_worker_start(&t->thread, starter_main, t);

	if (e)
		return insp_fail_errno(err, INSP_E_NOMEM, e, "thread of the tracer");
	t->thread_made = true;
	if (!(await(t, INSP_TRACER_HELD | INSP_TRACER_LET_GO) & INSP_TRACER_HELD) && !t->rc)
		return insp_fail(err, INSP_E_GONE, "the process that was to stop process %d was killed",
				 t->live->pid);
	if (t->rc && err)
		*err = t->err;
	return t->rc;
}

static struct insp_tracer *tracer_create(struct insp_live *live,
					 const struct insp_stop_options *options)
{
	struct insp_tracer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->live = live;
	t->opts = *options;
	t->self = getpid();
	return t;
}

static void tracer_destroy(struct insp_tracer *t)
{
	insp_stackcopy_free(t);
	if (t->tracees)
		(void)munmap(t->tracees, t->cap * sizeof(*t->tracees));
	if (t->index)
		(void)munmap(t->index, t->index_size * sizeof(*t->index));
	insp_vec_free(&t->tids);
	insp_pool_destroy(t->pool);
	free(t);
}

static void fill_report(const struct insp_tracer *t, struct insp_stop_report *report)
{
	uint64_t end = t->detached_ns;

	*report = (struct insp_stop_report){
		.stopped_ns = t->first_interrupt_ns ? end - t->first_interrupt_ns : 0,
		.to_stop_ns = t->all_stopped_ns ? t->all_stopped_ns - t->first_interrupt_ns : 0,
		.nunstoppable = t->nzombies,
		.nthreads = t->nzombies,
		.restarts_mended = t->nmended,
		.cut_short = t->cut_short,
	};
	for (size_t i = 0; i < t->n; i++) {
		report->nthreads += t->tracees[i].phase != INSP_TRACEE_DEAD;
		report->nunstoppable += t->tracees[i].phase == INSP_TRACEE_UNSTOPPABLE;
	}
}

/*
 * While the target waits for the owner, the owner should not wait for others. The tracer has real-time
 * priority where that is allowed, but does little; the owner reads for long, so it only goes ahead.
 * Nice values are a thread's own, in Linux.
 */
static void hurry(struct insp_tracer *t)
{
	t->owner_nice = getpriority(PRIO_PROCESS, 0);
	t->hurried = !setpriority(PRIO_PROCESS, 0, -20);
}

static void hurry_no_more(struct insp_tracer *t)
{
	if (t->hurried)
		(void)setpriority(PRIO_PROCESS, 0, t->owner_nice);
	t->hurried = false;
}

int insp_tracer_stop(struct insp_live *live, const struct insp_stop_options *options,
		     struct insp_tracer **ret, struct insp_error *err)
{
	struct insp_tracer *t = tracer_create(live, options);
	int rc;

	if (!t)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = prepare(t, err);
	if (!rc) {
		hurry(t);
		rc = start_tracer(t, err);
	}
	if (rc) {
		insp_tracer_resume(t, NULL);
		return rc;
	}
	*ret = t;
	return 0;
}

bool insp_tracer_held(const struct insp_tracer *t)
{
	return (look(t) & (INSP_TRACER_HELD | INSP_TRACER_LET_GO)) == INSP_TRACER_HELD;
}

/* When the starter ends, the kernel has let go of every thread: it collects the tracer last. */
void insp_tracer_resume(struct insp_tracer *t, struct insp_stop_report *report)
{
	if (!t)
		return;
	if (t->thread_made) {
		say(t, INSP_TRACER_RELEASE, 0);
		(void)await(t, INSP_TRACER_DETACHED | INSP_TRACER_ENDED);
	}
	hurry_no_more(t);
	/* Somebody still has a copy of the target in hold. */
	if (t->kept) {
		if (report)
			fill_report(t, report);
		return;
	}
	if (t->thread_made)
		(void)pthread_join(t->thread, NULL);
	if (report)
		fill_report(t, report);
	tracer_destroy(t);
}

void insp_tracer_keep(struct insp_tracer *t, int child)
{
	t->kept = child;
}

void insp_tracer_drop(struct insp_tracer *t)
{
	say(t, INSP_TRACER_DROP, 0);
	(void)pthread_join(t->thread, NULL);
	tracer_destroy(t);
}

int insp_tracer_call(struct insp_tracer *t, insp_tracer_fn fn, void *ctx, struct insp_error *err)
{
	unsigned seen;

	if (!insp_tracer_held(t))
		return insp_fail(err, INSP_E_GONE, "process %d was let go", t->live->pid);
	t->fn = fn;
	t->fn_ctx = ctx;
	t->fn_err = err;
	say(t, INSP_TRACER_CALL, INSP_TRACER_DONE);
	seen = await(t, INSP_TRACER_DONE | INSP_TRACER_LET_GO);
	if (seen & INSP_TRACER_DONE)
		return t->fn_rc;
	return insp_fail(err, INSP_E_GONE, "process %d was let go", t->live->pid);
}

void insp_tracer_abandon(struct insp_tracer *t)
{
	say(t, INSP_TRACER_RELEASE, 0);
}

struct insp_tracee *insp_tracer_tracees(struct insp_tracer *t, size_t *ret_n)
{
	*ret_n = t->n;
	return t->tracees;
}
