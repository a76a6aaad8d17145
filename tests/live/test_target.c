/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The live target on processes that this test forks: what it reads is true, and the process does
 * not notice. Each victim keeps counters in memory that it shares with the test: the witness.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/pool.h"
#include "target/target.h"
#include "target/usage.h"

#define NMAX 512

struct witness {
	_Atomic uint64_t beats[NMAX];	/* of each thread */
	_Atomic uint64_t eintr, calls;
	_Atomic uint64_t signals, sent;
	_Atomic uint64_t created, exited;
	_Atomic int ready;
	_Atomic int stop;
	uint64_t marker_addr;
	uint64_t stack_addr[NMAX];
	int tids[NMAX];
};

static struct witness *w;

static pid_t spawn(void (*victim)(int), int arg)
{
	pid_t pid;

	memset(w, 0, sizeof(*w));
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		victim(arg);
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Waits for something that must happen; a test that waits for 20 s has failed. */
#define until(cond)                                                             \
	do {                                                                    \
		uint64_t end_ = insp_now_ns() + 20000000000ull;                 \
		while (!(cond) && insp_now_ns() < end_)                         \
			usleep(500);                                            \
		assert_true(cond);                                              \
	} while (0)

static struct insp_target *open_pid(pid_t pid)
{
	static char spec[16];
	struct insp_target *target;
	struct insp_error err = {0};

	snprintf(spec, sizeof(spec), "%d", pid);
	if (insp_target_open_with(&insp_target_live, spec, NULL, &target, &err))
		fail_msg("open: %s", err.msg);
	return target;
}

static void stop_with(struct insp_target *target, const struct insp_stop_options *options)
{
	struct insp_error err = {0};

	if (target->ops->stop(target, options, &err))
		fail_msg("stop: %s", err.msg);
	assert_true(target->ops->held(target));
}

static void stop(struct insp_target *target)
{
	const struct insp_stop_options options = {.want_registers = true, .stack_bytes = 64 << 10};

	stop_with(target, &options);
}

static struct insp_stop_report resume(struct insp_target *target)
{
	struct insp_stop_report report;

	target->ops->resume(target, &report);
	assert_false(target->ops->held(target));
	return report;
}

static struct insp_threads threads_of(struct insp_target *target, struct insp_pool *pool)
{
	struct insp_threads threads = {0};
	struct insp_error err = {0};

	if (target->ops->threads(target, pool, &threads, &err))
		fail_msg("threads: %s", err.msg);
	return threads;
}

/* ---- victims */

static void *beat(void *arg)
{
	size_t i = (size_t)arg;
	volatile uint64_t local[64];

	for (size_t k = 0; k < 64; k++)
		local[k] = 0x5ca1ab1e00000000 + i;
	w->stack_addr[i] = (uint64_t)(uintptr_t)local;
	w->tids[i] = (int)syscall(SYS_gettid);
	atomic_fetch_add(&w->ready, 1);
	for (;;) {
		atomic_fetch_add(&w->beats[i], 1);
		if (i % 3 != 2)
			usleep(500 + i % 7 * 100);
		else if (i % 64 != 2) /* a few spin */
			poll(NULL, 0, 2);
		if (local[3] != 0x5ca1ab1e00000000 + i)
			abort();
	}
	return NULL;
}

static void victim_threads(int n)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (long i = 1; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, beat, (void *)i))
			_exit(3);
	}
	beat(NULL);
}

static char marker[8192] = "marker";

static void victim_memory(int arg)
{
	char *shared, *lazy;

	(void)arg;
	memset(marker, 'm', sizeof(marker));
	shared = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	lazy = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || lazy == MAP_FAILED)
		_exit(3);
	shared[0] = lazy[4096] = 1;
	w->marker_addr = (uint64_t)(uintptr_t)lazy;
	atomic_store(&w->ready, 1);
	for (;;)
		pause();
}

/* ---- reading */

static uint64_t status_kib(pid_t pid, const char *key)
{
	char path[64], line[256];
	uint64_t v = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtoull(line + strlen(key) + 1, NULL, 10);
	fclose(f);
	return v;
}

static void live__reads_what_is_there(void **state)
{
	pid_t pid = spawn(victim_memory, 0);
	struct insp_target *target;
	struct insp_pool *pool = insp_pool_create();
	struct insp_regions regions = {0};
	const struct insp_region *r;
	struct insp_error err = {0};
	uint8_t states[4], buf[8192 + 64];
	struct insp_usage usage;
	int fd;

	(void)state;
	until(w->ready);
	target = open_pid(pid);
	assert_int_equal(target->pid, pid);
	assert_int_equal(target->ops->regions(target, pool, &regions, &err), 0);
	r = insp_regions_find(&regions, (uint64_t)(uintptr_t)marker);
	assert_non_null(r);
	assert_int_equal(target->ops->read(target, (uint64_t)(uintptr_t)marker, buf, 8192), 8192);
	assert_memory_equal(buf, "mmmm", 4);
	assert_int_equal(target->ops->read(target, 8, buf, 16), 0);
	assert_int_equal(target->ops->read(target, UINT64_MAX - 8, buf, 16), 0);

	assert_int_equal(target->ops->pages(target, w->marker_addr, 4, states), 0);
	assert_int_equal(states[0], INSP_PAGE_ABSENT);
	assert_int_equal(states[1], INSP_PAGE_PRESENT);
	assert_int_equal(states[2], INSP_PAGE_ABSENT);

	r = insp_regions_find(&regions, (uint64_t)(uintptr_t)live__reads_what_is_there);
	fd = target->ops->open_file(target, INSP_TARGET_REGION_FILE, r, &err);
	assert_true(fd >= 0);
	close(fd);
	fd = target->ops->open_file(target, INSP_TARGET_EXE, NULL, &err);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(insp_usage_read(target, pool, &usage, &err), 0);
	assert_true(usage.n > 5);
	assert_true(usage.vm_rss > 0 && usage.vm_rss != INSP_UNKNOWN);
	insp_target_close(target);
	insp_pool_destroy(pool);
	end(pid);
}

static void live__leaves_the_resident_set_alone(void **state)
{
	static const char *const keys[] = {"RssAnon:", "RssShmem:", "VmPTE:", "VmSwap:"};
	pid_t pid = spawn(victim_memory, 0);
	uint64_t before[4];
	struct insp_target *target;
	struct insp_pool *pool = insp_pool_create();

	(void)state;
	until(w->ready);
	for (int i = 0; i < 4; i++)
		before[i] = status_kib(pid, keys[i]);
	target = open_pid(pid);
	for (int round = 0; round < 20; round++) {
		stop(target);
		(void)threads_of(target, pool);
		(void)resume(target);
	}
	insp_target_close(target);
	for (int i = 0; i < 4; i++)
		assert_int_equal(status_kib(pid, keys[i]), before[i]);
	insp_pool_destroy(pool);
	end(pid);
}

/* ---- stopping */

static const struct insp_thread *thread_by_tid(const struct insp_threads *threads, int tid)
{
	for (size_t i = 0; i < threads->n; i++)
		if (threads->items[i].tid == tid)
			return &threads->items[i];
	return NULL;
}

static void check_thread(const struct insp_thread *t, size_t i)
{
	uint64_t want = 0x5ca1ab1e00000000 + i, got, at = w->stack_addr[i] + 24;

	assert_non_null(t);
	assert_true(t->have_regs);
	assert_true(t->fs_base != 0);
	assert_true(t->regs[INSP_REG_RSP] >= t->stack_start);
	assert_true(t->regs[INSP_REG_RSP] < t->stack_end);
	assert_true(t->stack_addr <= t->regs[INSP_REG_RSP]);
	assert_true(at >= t->stack_addr && at + 8 <= t->stack_addr + t->stack_len);
	memcpy(&got, t->stack_bytes + (at - t->stack_addr), 8);
	assert_int_equal(got, want);
	if (t->syscall >= 0)
		assert_true(t->syscall == SYS_clock_nanosleep || t->syscall == SYS_poll);
}

static void hold_and_check(int n)
{
	pid_t pid = spawn(victim_threads, n);
	struct insp_target *target;

	until(w->ready == n);
	target = open_pid(pid);
	for (int round = 0; round < 10; round++) {
		struct insp_pool *pool = insp_pool_create();
		struct insp_threads threads;
		struct insp_stop_report report;
		uint64_t beats[NMAX];

		stop(target);
		threads = threads_of(target, pool);
		assert_int_equal(threads.n, n);
		assert_int_equal(threads.items[0].tid, pid);
		for (int i = 0; i < n; i++)
			beats[i] = w->beats[i];
		usleep(3000);
		for (int i = 0; i < n; i++)
			assert_int_equal(beats[i], w->beats[i]);
		report = resume(target);
		for (int i = 0; i < n; i++)
			check_thread(thread_by_tid(&threads, w->tids[i]), (size_t)i);
		assert_int_equal(report.nthreads, n);
		assert_int_equal(report.nunstoppable, 0);
		assert_false(report.cut_short);
		assert_true(report.stopped_ns >= 3000000);
		assert_true(report.to_stop_ns <= report.stopped_ns);
		for (int i = 0; i < n; i++)
			until(w->beats[i] != beats[i]);
		insp_pool_destroy(pool);
	}
	insp_target_close(target);
	end(pid);
}

static void stop__holds_one_thread(void **state)
{
	(void)state;
	hold_and_check(1);
}

static void stop__holds_50_threads(void **state)
{
	(void)state;
	hold_and_check(50);
}

static void stop__holds_500_threads(void **state)
{
	(void)state;
	hold_and_check(500);
}

static char state_of(pid_t pid)
{
	char path[64], buf[512], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

static void stop__keeps_a_group_stop(void **state)
{
	pid_t pid = spawn(victim_threads, 8);
	struct insp_target *target;
	uint64_t beats;

	(void)state;
	until(w->ready == 8);
	kill(pid, SIGSTOP);
	until(state_of(pid) == 'T');
	target = open_pid(pid);
	for (int i = 0; i < 20; i++) {
		stop(target);
		(void)resume(target);
		until(state_of(pid) == 'T');
	}
	beats = w->beats[0];
	usleep(5000);
	assert_int_equal(beats, w->beats[0]);
	/* SIGCONT that comes while it is held takes effect */
	stop(target);
	kill(pid, SIGCONT);
	(void)resume(target);
	until(w->beats[0] != beats);
	/* and so does SIGSTOP */
	stop(target);
	kill(pid, SIGSTOP);
	(void)resume(target);
	until(state_of(pid) == 'T');
	insp_target_close(target);
	end(pid);
}

static void stop__gives_way_to_sigkill(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		pid_t pid = spawn(victim_threads, 8);
		struct insp_target *target;
		int status;

		until(w->ready == 8);
		target = open_pid(pid);
		stop(target);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid); /* while it is held */
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_false(target->ops->held(target));
		assert_true(target->ops->gone(target));
		(void)resume(target);
		insp_target_close(target);
	}
}

static void stop__ends_when_the_time_is_over(void **state)
{
	const struct insp_stop_options options = {.max_pause_ns = 20000000};
	pid_t pid = spawn(victim_threads, 8);
	struct insp_target *target;
	struct insp_stop_report report;
	uint64_t beats;

	(void)state;
	until(w->ready == 8);
	target = open_pid(pid);
	stop_with(target, &options);
	beats = w->beats[0];
	until(!target->ops->held(target));
	until(w->beats[0] != beats);
	report = resume(target);
	assert_true(report.cut_short);
	insp_target_close(target);
	end(pid);
}

/* ---- deaths of the inspector */

static void inspect_for_ever(pid_t pid)
{
	for (;;) {
		struct insp_target *target = open_pid(pid);

		for (int i = 0; i < 5; i++) {
			stop(target);
			(void)resume(target);
		}
		insp_target_close(target);
	}
}

static void stop__survives_the_death_of_the_inspector(void **state)
{
	pid_t pid = spawn(victim_threads, 8);

	(void)state;
	until(w->ready == 8);
	for (int round = 0; round < 200; round++) {
		uint64_t beats[8];
		pid_t inspector = fork();
		int status;

		assert_true(inspector >= 0);
		if (!inspector)
			inspect_for_ever(pid);
		usleep(1000 + (unsigned)(round * 7919) % 9000);
		kill(inspector, SIGKILL);
		assert_int_equal(waitpid(inspector, &status, 0), inspector);
		assert_true(WIFSIGNALED(status)); /* it was at work, and did not fail before */
		for (int i = 0; i < 8; i++)
			beats[i] = w->beats[i];
		for (int i = 0; i < 8; i++)
			until(w->beats[i] != beats[i]);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}

/* ---- system calls, signals */

static void *epoll_waits(void *arg)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	(void)arg;
	atomic_fetch_add(&w->ready, 1);
	for (;;) {
		int n = epoll_wait(fd, &event, 1, 5);

		atomic_fetch_add(&w->calls, 1);
		if (n < 0 && errno == EINTR)
			atomic_fetch_add(&w->eintr, 1);
	}
	return NULL;
}

static void *sigtimed_waits(void *arg)
{
	const struct timespec timeout = {.tv_nsec = 5000000};
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	atomic_fetch_add(&w->ready, 1);
	for (;;) {
		int n = sigtimedwait(&set, NULL, &timeout);

		atomic_fetch_add(&w->calls, 1);
		if (n < 0 && errno == EINTR)
			atomic_fetch_add(&w->eintr, 1);
	}
	return NULL;
}

static void victim_waits(int arg)
{
	pthread_t thread;

	(void)arg;
	if (pthread_create(&thread, NULL, epoll_waits, NULL))
		_exit(3);
	sigtimed_waits(NULL);
}

static void stop__lets_no_call_fail(void **state)
{
	pid_t pid = spawn(victim_waits, 0);
	struct insp_target *target;
	uint32_t mended = 0;

	(void)state;
	until(w->ready == 2);
	target = open_pid(pid);
	for (int i = 0; i < 300; i++) {
		stop(target);
		mended += resume(target).restarts_mended;
	}
	insp_target_close(target);
	until(w->calls > 2);
	assert_int_equal(w->eintr, 0);
	assert_true(mended > 0); /* or the test has tested nothing */
	end(pid);
}

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&w->signals, 1);
}

static void victim_signals(int n)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGRTMIN, &action, NULL);
	victim_threads(n);
}

static void send_signals(pid_t pid)
{
	while (!w->stop) {
		if (!sigqueue(pid, SIGRTMIN, (union sigval){0}))
			atomic_fetch_add(&w->sent, 1);
		for (volatile int i = 0; i < 20000; i++)
			;
	}
	_exit(0);
}

static void stop__loses_no_signal(void **state)
{
	pid_t pid = spawn(victim_signals, 6), sender;
	struct insp_target *target;

	(void)state;
	until(w->ready == 6);
	sender = fork();
	assert_true(sender >= 0);
	if (!sender)
		send_signals(pid);
	target = open_pid(pid);
	for (int i = 0; i < 300; i++) {
		stop(target);
		(void)resume(target);
	}
	insp_target_close(target);
	for (int round = 0; round < 100; round++) { /* and not when we die */
		pid_t inspector = fork();

		if (!inspector)
			inspect_for_ever(pid);
		usleep(500 + (unsigned)(round * 7919) % 4000);
		end(inspector);
	}
	w->stop = 1;
	assert_int_equal(waitpid(sender, NULL, 0), sender);
	assert_true(w->sent > 1000);
	until(w->signals == w->sent);
	end(pid);
}

/* ---- storms, exec, exit */

static pthread_attr_t storm_attr;

static void *storm_link(void *arg)
{
	pthread_t thread;

	atomic_fetch_add(&w->created, 1);
	while (pthread_create(&thread, &storm_attr, storm_link, arg))
		usleep(100);
	atomic_fetch_add(&w->exited, 1);
	return NULL;
}

static void victim_storm(int chains)
{
	pthread_attr_init(&storm_attr);
	pthread_attr_setstacksize(&storm_attr, 32 << 10);
	pthread_attr_setdetachstate(&storm_attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < chains; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &storm_attr, storm_link, NULL))
			_exit(3);
	}
	atomic_store(&w->ready, 1);
	for (;;)
		pause();
}

static void stop__catches_every_thread_of_a_storm(void **state)
{
	pid_t pid = spawn(victim_storm, 20);
	struct insp_target *target;

	(void)state;
	until(w->ready);
	target = open_pid(pid);
	for (int i = 0; i < 200; i++) {
		uint64_t created, exited;

		stop(target);
		created = w->created;
		exited = w->exited;
		usleep(1000);
		assert_int_equal(created, w->created);
		assert_int_equal(exited, w->exited);
		(void)resume(target);
	}
	insp_target_close(target);
	end(pid);
}

static void *spin_exec(void *arg)
{
	(void)arg;
	for (;;)
		usleep(100);
	return NULL;
}

/* Executes itself again and again, each time from a thread among others. */
static void victim_exec(int arg)
{
	char *argv[] = {(char *)"exec-again", NULL};

	(void)arg;
	atomic_store(&w->ready, 1);
	execv("/proc/self/exe", argv);
	_exit(3);
}

static void *exec_again(void *arg)
{
	char *argv[] = {(char *)"exec-again", NULL};

	(void)arg;
	usleep(2000);
	execv("/proc/self/exe", argv);
	_exit(3);
}

static int exec_again_main(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 8; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, i ? spin_exec : exec_again, NULL))
			return 3;
	}
	for (;;)
		pause();
}

static void stop__survives_exec(void **state)
{
	pid_t pid = spawn(victim_exec, 0);
	char spec[16];
	unsigned stopped = 0;

	(void)state;
	until(w->ready);
	snprintf(spec, sizeof(spec), "%d", pid);
	for (int i = 0; i < 300; i++) {
		const struct insp_stop_options options = {.want_registers = true, .stack_bytes = 4096};
		struct insp_target *target;
		struct insp_error err = {0};
		uint64_t start = insp_now_ns();

		if (insp_target_open_with(&insp_target_live, spec, NULL, &target, &err))
			fail_msg("open: %s", err.msg);
		if (!target->ops->stop(target, &options, &err)) {
			stopped++;
			(void)resume(target);
		} else {
			assert_int_equal(err.code, INSP_E_GONE);
		}
		insp_target_close(target);
		assert_true(insp_now_ns() - start < 5000000000ull); /* no deadlock */
	}
	assert_true(stopped > 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}

static void victim_exits(int n)
{
	for (long i = 1; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, beat, (void *)i))
			_exit(3);
	}
	atomic_fetch_add(&w->ready, 1);
	usleep(2000 + (useconds_t)getpid() % 5 * 300);
	_exit(7);
}

static void stop__keeps_the_exit_code(void **state)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		pid_t pid = spawn(victim_exits, 8);
		char spec[16];
		int status;

		snprintf(spec, sizeof(spec), "%d", pid);
		for (;;) {
			const struct insp_stop_options options = {.want_registers = true};
			struct insp_target *target;
			struct insp_error err = {0};
			int rc = insp_target_open_with(&insp_target_live, spec, NULL, &target, &err);

			if (rc) {
				assert_int_equal(rc, INSP_E_GONE);
				break;
			}
			if (!target->ops->stop(target, &options, &err))
				(void)resume(target);
			else
				assert_int_equal(err.code, INSP_E_GONE);
			insp_target_close(target);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 7);
	}
}

/* ---- odd targets and refusals */

static void victim_leader_ends(int n)
{
	for (long i = 1; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, beat, (void *)i))
			_exit(3);
	}
	pthread_exit(NULL);
}

static void stop__works_without_a_main_thread(void **state)
{
	pid_t pid = spawn(victim_leader_ends, 4);
	struct insp_target *target;
	struct insp_pool *pool = insp_pool_create();
	struct insp_regions regions;
	struct insp_stop_report report;
	uint8_t byte;

	(void)state;
	until(w->ready == 3 && state_of(pid) == 'Z');
	target = open_pid(pid);
	assert_int_equal(target->ops->regions(target, pool, &regions, NULL), 0);
	assert_int_equal(target->ops->read(target, (uint64_t)(uintptr_t)marker, &byte, 1), 1);
	stop(target);
	report = resume(target);
	assert_int_equal(report.nthreads, 4);
	assert_int_equal(report.nunstoppable, 1);
	insp_target_close(target);
	insp_pool_destroy(pool);
	end(pid);
}

static void victim_vfork(int arg)
{
	(void)arg;
	atomic_store(&w->ready, 1);
	if (!vfork()) { /* the parent is in state D until this one is done */
		atomic_store(&w->ready, 2);
		while (!w->stop)
			syscall(SYS_sched_yield);
		_exit(0);
	}
	for (;;)
		pause();
}

static void stop__accepts_a_vfork_parent(void **state)
{
	pid_t pid = spawn(victim_vfork, 0);
	struct insp_target *target;
	struct insp_stop_report report;

	(void)state;
	until(w->ready == 2);
	target = open_pid(pid);
	stop(target);
	report = resume(target);
	assert_int_equal(report.nunstoppable, 1);
	insp_target_close(target);
	w->stop = 1;
	end(pid);
}

static void open__refuses_with_a_reason(void **state)
{
	struct insp_target *target, *second;
	struct insp_error err = {0};
	char spec[16];
	pid_t pid;

	(void)state;
	assert_int_equal(insp_target_open_with(&insp_target_live, "999999999", NULL, &target, &err),
			 INSP_E_GONE);
	snprintf(spec, sizeof(spec), "%d", getpid());
	assert_int_equal(insp_target_open_with(&insp_target_live, spec, NULL, &target, &err),
			 INSP_E_USAGE);
	if (!access("/proc/2/exe", F_OK) || readlink("/proc/2/exe", spec, sizeof(spec)) < 0) {
		/* a kernel thread, where this pid namespace has them */
		int rc = insp_target_open_with(&insp_target_live, "2", NULL, &target, &err);

		assert_true(rc == INSP_E_PERM || rc == INSP_E_GONE);
	}

	pid = fork(); /* becomes a zombie */
	if (!pid)
		_exit(0);
	until(state_of(pid) == 'Z');
	snprintf(spec, sizeof(spec), "%d", pid);
	assert_int_equal(insp_target_open_with(&insp_target_live, spec, NULL, &target, &err),
			 INSP_E_GONE);
	assert_non_null(strstr(err.msg, "zombie"));
	end(pid);

	pid = spawn(victim_threads, 2);
	until(w->ready == 2);
	second = open_pid(pid);
	target = open_pid(pid);
	stop(target);
	snprintf(spec, sizeof(spec), "%d", pid);
	assert_int_equal(second->ops->stop(second, &(struct insp_stop_options){0}, &err), INSP_E_PERM);
	assert_non_null(strstr(err.msg, "traced by"));
	assert_true(target->ops->held(target));
	insp_target_close(second);
	assert_int_equal(insp_target_open_with(&insp_target_live, spec, NULL, &second, &err),
			 INSP_E_PERM);
	assert_non_null(strstr(err.msg, "traced by"));
	insp_target_close(target);

	snprintf(spec, sizeof(spec), "%d", w->tids[1]);
	assert_int_equal(insp_target_open_with(&insp_target_live, spec, NULL, &target, &err),
			 INSP_E_USAGE);
	assert_non_null(strstr(err.msg, "thread of process"));
	end(pid);
}

static void victim_named(int arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "insp-odd name");
	atomic_store(&w->ready, 1);
	for (;;)
		pause();
}

static void open__finds_a_process_by_its_name(void **state)
{
	pid_t pid = spawn(victim_named, 0), other;
	struct insp_target *target;
	struct insp_error err = {0};
	char spec[16];

	(void)state;
	until(w->ready);
	assert_int_equal(insp_target_open("insp-odd name", &target, &err), 0);
	assert_int_equal(target->pid, pid);
	assert_string_equal(target->comm, "insp-odd name");
	insp_target_close(target);
	w->ready = 0;
	other = fork();
	if (!other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		victim_named(0);
	}
	until(w->ready);
	assert_int_equal(insp_target_open("insp-odd name", &target, &err), INSP_E_USAGE);
	snprintf(spec, sizeof(spec), "%d", pid);
	assert_non_null(strstr(err.msg, spec));
	snprintf(spec, sizeof(spec), "%d", other);
	assert_non_null(strstr(err.msg, spec));
	end(pid);
	end(other);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(live__reads_what_is_there),
		cmocka_unit_test(live__leaves_the_resident_set_alone),
		cmocka_unit_test(stop__holds_one_thread),
		cmocka_unit_test(stop__holds_50_threads),
		cmocka_unit_test(stop__holds_500_threads),
		cmocka_unit_test(stop__keeps_a_group_stop),
		cmocka_unit_test(stop__gives_way_to_sigkill),
		cmocka_unit_test(stop__ends_when_the_time_is_over),
		cmocka_unit_test(stop__survives_the_death_of_the_inspector),
		cmocka_unit_test(stop__lets_no_call_fail),
		cmocka_unit_test(stop__loses_no_signal),
		cmocka_unit_test(stop__catches_every_thread_of_a_storm),
		cmocka_unit_test(stop__survives_exec),
		cmocka_unit_test(stop__keeps_the_exit_code),
		cmocka_unit_test(stop__works_without_a_main_thread),
		cmocka_unit_test(stop__accepts_a_vfork_parent),
		cmocka_unit_test(open__refuses_with_a_reason),
		cmocka_unit_test(open__finds_a_process_by_its_name),
	};

	if (!strcmp(argv[0], "exec-again"))
		return exec_again_main();
	w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
