/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * halt: how every thread of a process is brought to a stop, and none is missed or harmed.
 *
 *     seize all      nothing stops yet; two or three passes catch what is being born
 *     interrupt all  the pause begins
 *     wait for each
 *     list again     a thread that was not there, or could not be seized: once more
 *
 * What each rule is for:
 * - SEIZE, never ATTACH: ATTACH sends a SIGSTOP that outlives us if we die at the wrong moment.
 * - A stop is looked at (WNOWAIT), never collected: a signal that the target was about to get is
 *   lost when its stop has been collected and we die; left alone, the kernel delivers it.
 * - waitid(P_PID) of each thread, not of any: "any" walks all tracees each time. __WNOTHREAD: the
 *   target may be a child of another thread of ours, which is not what we wait for.
 * - A pass counts as clean only when nothing was new, no SEIZE failed (that thread was exiting, and
 *   what it may have created first shows up in the next pass only), and the count agrees.
 * - Threads asleep in the kernel (state D: disk, vfork, a frozen cgroup) do not stop. They cannot
 *   run the program's code before they do, so after a while they count as still.
 * - exec: the kernel waits until all other threads are gone, which it holds are gone only when we
 *   have collected them, while our SEIZE waits for the exec to end. The tick signal breaks that:
 *   its handler collects the dead (insp_halt_sweep).
 */
#include <errno.h>
#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/vec.h"
#include "target/live.h"
#include "target/proc.h"
#include "target/tracer_inside.h"

#define STUCK_NS       20000000    /* a thread in state D for so long counts as still */
#define STUCK_TIMES    1	   /* if it was seen in it more often than that */
#define STOP_LIMIT_NS  10000000000 /* to bring all to a stop, where no limit was given */
#define SEIZE_PASSES   3
#define SWEEP_MAX      512	   /* threads looked at by one sweep: half a millisecond */
#define COUNT_DIFFERS_MAX 100

static size_t index_slot(const struct insp_tracer *t, int tid)
{
	size_t mask = t->index_size - 1, i = ((uint32_t)tid * 2654435761u) & mask;

	while (t->index[i] && t->tracees[t->index[i] - 1].tid != tid)
		i = (i + 1) & mask;
	return i;
}

struct insp_tracee *insp_halt_find(struct insp_tracer *t, int tid)
{
	size_t i = index_slot(t, tid);

	return t->index[i] ? &t->tracees[t->index[i] - 1] : NULL;
}

struct insp_tracee *insp_halt_add(struct insp_tracer *t, int tid)
{
	size_t i = index_slot(t, tid);
	struct insp_tracee *tracee;

	if (t->n >= t->cap)
		return NULL;
	tracee = &t->tracees[t->n];
	tracee->tid = tid;
	tracee->phase = INSP_TRACEE_DEAD;
	t->index[i] = (uint32_t)++t->n;
	return tracee;
}

static bool is_death(const siginfo_t *si)
{
	return si->si_code == CLD_EXITED || si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED;
}

/*
 * Collects tid if it is dead. Looks first: waitid with WEXITED alone would also take a stop of a
 * tracee, and a leader whose threads are not collected yet would block without WNOHANG.
 */
static bool reap(struct insp_tracer *t, int tid)
{
	siginfo_t si = {0};

	if (waitid(P_PID, (id_t)tid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD))
		return errno == ECHILD;
	if (!si.si_pid || !is_death(&si))
		return false;
	/* The leader's end is for its parent to collect, which may be a thread of ours. */
	if (tid != t->live->pid)
		(void)waitid(P_PID, (id_t)tid, &si, WEXITED | WNOHANG | __WALL | __WNOTHREAD);
	return true;
}

/* A look at all of many thousands would take longer than a tick: the next one would be due at once,
   and nothing else would ever be done. */
void insp_halt_sweep(struct insp_tracer *t)
{
	size_t at = t->sweep_at < t->n ? t->sweep_at : 0, left = t->n < SWEEP_MAX ? t->n : SWEEP_MAX;

	for (; left; left--, at = at + 1 < t->n ? at + 1 : 0)
		if (t->tracees[at].phase != INSP_TRACEE_DEAD && reap(t, t->tracees[at].tid))
			t->tracees[at].phase = INSP_TRACEE_DEAD;
	t->sweep_at = at;
}

bool insp_halt_target_died(struct insp_tracer *t)
{
	unsigned looked = 0;

	/* A leader is not reported before its threads are collected: look at several. */
	for (size_t i = 0; i < t->n && looked < 4; i++) {
		siginfo_t si = {0};

		if (t->tracees[i].phase != INSP_TRACEE_STOPPED)
			continue;
		looked++;
		if (waitid(P_PID, (id_t)t->tracees[i].tid, &si,
			   WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD)) {
			if (errno == ECHILD)
				return true;
		} else if (si.si_pid && is_death(&si)) {
			return true;
		}
	}
	return false;
}

enum seized { SEIZE_OLD, SEIZE_NEW, SEIZE_FAILED, SEIZE_ZOMBIE, SEIZE_ERROR };

/*
 * Also told EPERM: a thread that is just exiting, whose number may be another's (after exec) when
 * we look again. So what seems to be forbidden is tried again before that is believed.
 */
static enum seized seize_again(struct insp_tracer *t, int tid, struct insp_error *err)
{
	for (int i = 0; i < 5; i++) {
		if (!ptrace(PTRACE_SEIZE, tid, NULL, (void *)PTRACE_O_TRACEEXEC)) {
			insp_halt_find(t, tid)->phase = INSP_TRACEE_SEIZED;
			return SEIZE_NEW;
		}
		if (errno == ESRCH)
			return SEIZE_FAILED;
		(void)sched_yield();
	}
	insp_live_refused(t->live->pid, err);
	return SEIZE_ERROR;
}

static enum seized seize_refused(struct insp_tracer *t, int tid, struct insp_error *err)
{
	struct insp_live *live = t->live;
	char state = insp_task_state(live->task_fd, tid);
	int tracer;

	if (!state)
		return SEIZE_FAILED;
	if (state == 'Z' || state == 'X') {
		if (tid == live->pid)
			return SEIZE_ZOMBIE; /* ended before its threads: stays like this */
		insp_halt_sweep(t);
		return SEIZE_FAILED;
	}
	tracer = insp_task_tracer(live->task_fd, tid);
	if (tracer == t->tid) { /* a thread of ours that took over the leader's number by exec */
		t->executed = true;
		return SEIZE_OLD;
	}
	if (tracer == 0)
		return seize_again(t, tid, err);
	if (tracer < 0)
		return SEIZE_FAILED;
	insp_live_traced(live->pid, tracer, err);
	return SEIZE_ERROR;
}

static enum seized seize(struct insp_tracer *t, int tid, struct insp_error *err)
{
	struct insp_tracee *tracee = insp_halt_find(t, tid);

	t->steps++;
	/* A dead one whose number is in the list again: the number was reused. */
	if (tracee && tracee->phase != INSP_TRACEE_DEAD)
		return SEIZE_OLD;
	if (!tracee)
		tracee = insp_halt_add(t, tid);
	if (!tracee) {
		insp_fail(err, INSP_E_NOMEM, "process %d has too many threads", t->live->pid);
		return SEIZE_ERROR;
	}
	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)PTRACE_O_TRACEEXEC)) {
		if (errno == EPERM || errno == EACCES)
			return seize_refused(t, tid, err);
		if (errno == ESRCH)
			return SEIZE_FAILED;
		insp_fail_errno(err, INSP_E_IO, errno, "ptrace of thread %d", tid);
		return SEIZE_ERROR;
	}
	tracee->phase = INSP_TRACEE_SEIZED;
	return SEIZE_NEW;
}

/*
 * The kernel's listing ends early, without a word, when the thread that it has come to exits at
 * that moment (next_tid() in fs/proc/base.c): so the number of threads must agree, too. In case
 * that it never does, after many passes that were clean otherwise it is ignored.
 */
static bool count_agrees(struct insp_tracer *t)
{
	struct insp_proc_stat st;
	char buf[1024];

	if (insp_proc_small(t->live->proc_fd, "stat", buf, sizeof(buf)) <= 0 ||
	    !insp_proc_stat(buf, &st))
		return false;
	return st.nthreads == t->tids.n || ++t->count_differed > COUNT_DIFFERS_MAX;
}

/* One look at all threads. ret_clean: nothing was new, nothing failed, nothing left out. */
static int seize_pass(struct insp_tracer *t, bool *ret_clean, struct insp_error *err)
{
	struct insp_tracee *leader;
	bool clean = true;
	uint32_t nzombies = 0;

	if (!insp_task_list(t->live->task_fd, &t->tids))
		return insp_fail(err, INSP_E_GONE, "process %d has ended", t->live->pid);
	for (size_t i = 0; i < t->tids.n; i++) {
		switch (seize(t, t->tids.items[i], err)) {
		case SEIZE_OLD:
			break;
		case SEIZE_ZOMBIE:
			nzombies++;
			break;
		case SEIZE_NEW:
			clean = false;
			break;
		case SEIZE_FAILED:
			clean = false;
			t->nfailed++;
			break;
		case SEIZE_ERROR:
			return err->code;
		}
	}
	t->nzombies = nzombies;
	if (clean && !count_agrees(t)) {
		clean = false;
		t->nfailed++;
	}
	/* A thread that we have not seen yet may have executed a program: then its number is the
	   leader's now, which we had seized. */
	leader = insp_halt_find(t, t->live->pid);
	if (leader && leader->phase != INSP_TRACEE_DEAD && reap(t, leader->tid))
		leader->phase = INSP_TRACEE_DEAD;
	*ret_clean = clean && (!leader || leader->phase != INSP_TRACEE_DEAD || nzombies);
	return 0;
}

int insp_halt_seize(struct insp_tracer *t, struct insp_error *err)
{
	bool clean = false;

	for (int pass = 0; pass < SEIZE_PASSES && !clean; pass++) {
		int rc = seize_pass(t, &clean, err);

		if (rc)
			return rc;
	}
	return 0;
}

/*
 * These system calls return EINTR when a thread is stopped and let go although no signal handler
 * ran (signal(7), "Interruption of system calls by stop signals"); the sockets' only with
 * a timeout set. When one is about to, the kernel is told to restart it instead. A relative
 * timeout then starts anew.
 */
static bool fails_when_stopped(uint64_t nr)
{
	static const uint16_t numbers[] = {
		0,   1,	  19,  20,  /* read, write, readv, writev of a socket with a timeout */
		42,  43,  44,  45,  46,	 47,  288, 299, 307, /* connect, accept, send*, recv* */
		65,  220,	    /* semop, semtimedop */
		128,		    /* rt_sigtimedwait */
		208, 333, 426,	    /* io_getevents, io_pgetevents, io_uring_enter */
		232, 281, 441,	    /* epoll_wait, epoll_pwait, epoll_pwait2 */
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i] == nr)
			return true;
	return false;
}

#define KERNEL_RESTART_NO_HANDLER (-514) /* ERESTARTNOHAND: restart unless a handler runs first */

static void mend_restart(struct insp_tracer *t, struct insp_tracee *tracee)
{
	struct user_regs_struct regs = tracee->regs;
	struct iovec iov = {.iov_base = &regs, .iov_len = sizeof(regs)};

	if ((int64_t)regs.rax != -EINTR || !fails_when_stopped(regs.orig_rax))
		return;
	regs.rax = (unsigned long long)KERNEL_RESTART_NO_HANDLER;
	if (ptrace(PTRACE_SETREGSET, tracee->tid, (void *)NT_PRSTATUS, &iov))
		return;
	tracee->regs = regs;
	t->nmended++;
}

static void read_registers(struct insp_tracer *t, struct insp_tracee *tracee)
{
	struct iovec iov = {.iov_base = &tracee->regs, .iov_len = sizeof(tracee->regs)};

	t->steps++;
	if (ptrace(PTRACE_GETREGSET, tracee->tid, (void *)NT_PRSTATUS, &iov))
		return;
	/* A thread in 32-bit code gives a shorter set: not to be taken for ours. */
	if (iov.iov_len != sizeof(tracee->regs))
		return;
	tracee->have_regs = true;
	mend_restart(t, tracee);
}

static void note_stop(struct insp_tracer *t, struct insp_tracee *tracee, const siginfo_t *si)
{
	tracee->event = (uint8_t)((unsigned)si->si_status >> 8);
	tracee->sig = (uint8_t)(si->si_status & 0x7f);
	tracee->phase = INSP_TRACEE_STOPPED;
	if (tracee->event == PTRACE_EVENT_EXEC)
		t->executed = true;
	/* At once, wanted or not: should the tracer be killed before the system call is mended, it
	   fails. */
	read_registers(t, tracee);
}

static int over_time(struct insp_tracer *t, struct insp_error *err)
{
	char buf[INSP_FMT_MAX];

	t->cut_short = true;
	return insp_fail(err, INSP_E_BUDGET,
			 "process %d could not be brought to a stop within %s: it was let go",
			 t->live->pid,
			 insp_fmt_duration(buf, t->deadline_ns - t->first_interrupt_ns));
}

/* The tick's signal interrupts the wait every few milliseconds. */
static int wait_for(struct insp_tracer *t, struct insp_tracee *tracee, uint64_t until_ns,
		    struct insp_error *err)
{
	while (tracee->phase == INSP_TRACEE_INTERRUPTED) {
		siginfo_t si = {0};
		uint64_t now;

		if (!waitid(P_PID, (id_t)tracee->tid, &si,
			    WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD)) {
			t->steps++;
			if (!is_death(&si))
				note_stop(t, tracee, &si);
			else if (reap(t, tracee->tid))
				tracee->phase = INSP_TRACEE_DEAD;
			continue;
		}
		if (errno != EINTR) {
			tracee->phase = INSP_TRACEE_DEAD;
			break;
		}
		now = insp_now_ns();
		if (now - tracee->asked_ns > STUCK_NS &&
		    insp_task_state(t->live->task_fd, tracee->tid) == 'D' &&
		    ++tracee->times_stuck > STUCK_TIMES)
			tracee->phase = INSP_TRACEE_UNSTOPPABLE;
		if (now > until_ns)
			return over_time(t, err);
	}
	return 0;
}

static int interrupt_and_wait(struct insp_tracer *t, struct insp_error *err)
{
	uint64_t now = insp_now_ns();

	for (size_t i = 0; i < t->n; i++) {
		struct insp_tracee *tracee = &t->tracees[i];

		if (tracee->phase != INSP_TRACEE_SEIZED)
			continue;
		t->steps++;
		/* One that cannot be interrupted is dying: the wait below sees it. */
		(void)ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
		tracee->phase = INSP_TRACEE_INTERRUPTED;
		tracee->asked_ns = now;
		tracee->times_stuck = 0;
	}
	for (size_t i = 0; i < t->n; i++) {
		int rc = wait_for(t, &t->tracees[i], t->deadline_ns, err);

		if (rc)
			return rc;
	}
	return 0;
}

static bool any_alive(const struct insp_tracer *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->tracees[i].phase != INSP_TRACEE_DEAD)
			return true;
	return false;
}

static void detach(const struct insp_tracee *tracee)
{
	if (tracee->phase == INSP_TRACEE_STOPPED)
		(void)ptrace(PTRACE_DETACH, tracee->tid, NULL,
			     (void *)(uintptr_t)(tracee->event ? 0 : tracee->sig));
}

/*
 * The time is over, and some were asked to stop that have not come to it (a busy machine). Were they
 * let go now, the system call that one was in would fail, because nobody mends it. So those that
 * stand run on at once, and the others are waited for: until they stop, they run.
 */
static void give_up(struct insp_tracer *t)
{
	uint64_t until_ns = insp_now_ns() + STOP_LIMIT_NS;

	for (size_t i = 0; i < t->n; i++) {
		detach(&t->tracees[i]);
		if (t->tracees[i].phase == INSP_TRACEE_STOPPED)
			t->tracees[i].phase = INSP_TRACEE_DEAD;
	}
	for (size_t i = 0; i < t->n; i++) {
		(void)!wait_for(t, &t->tracees[i], until_ns, NULL);
		detach(&t->tracees[i]);
	}
}

int insp_halt_stop(struct insp_tracer *t, struct insp_error *err)
{
	bool clean = false;

	t->first_interrupt_ns = insp_now_ns();
	t->deadline_ns = t->first_interrupt_ns +
			 (t->opts.max_pause_ns ? t->opts.max_pause_ns : STOP_LIMIT_NS);
	while (!clean) {
		int rc = interrupt_and_wait(t, err);

		if (rc) {
			give_up(t);
			return rc;
		}
		rc = seize_pass(t, &clean, err);
		if (rc)
			return rc;
		if (t->executed)
			return insp_fail(err, INSP_E_GONE,
					 "process %d executed another program while it was being "
					 "stopped: try again",
					 t->live->pid);
		if (insp_now_ns() > t->deadline_ns)
			return over_time(t, err);
		/* Threads on their way out need a CPU for it, which a real-time thread would keep. */
		if (t->nfailed)
			(void)usleep(t->nfailed < 100 ? 20 : 200);
	}
	if (!any_alive(t))
		return insp_fail(err, INSP_E_GONE, "process %d has ended", t->live->pid);
	t->all_stopped_ns = insp_now_ns();
	return 0;
}

void insp_halt_detach_all(struct insp_tracer *t)
{
	for (size_t i = 0; i < t->n; i++)
		detach(&t->tracees[i]);
}

void insp_halt_kill(int tid)
{
	siginfo_t si = {0};

	(void)kill(tid, SIGKILL);
	/* The stop that it was in may be reported first. */
	while (!is_death(&si))
		if (waitid(P_PID, (id_t)tid, &si, WEXITED | __WALL | __WNOTHREAD) && errno != EINTR)
			break;
}
