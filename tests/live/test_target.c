/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the live target reads is true, it stands still when it is stopped, and whom it refuses.
 */
#include "../unit/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "target/usage.h"

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

/* All of them together some thousand times a second. */
static void *count_slowly(void *arg)
{
	for (long i = (long)arg;; i++) {
		poll(NULL, 0, 1000 + (int)(i % 997));
		atomic_fetch_add(&w->calls, 1);
	}
	return NULL;
}

/* Small stacks: w->ready is -1 where the machine does not allow so many. */
static void victim_crowd(int n)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32 << 10);
	for (long i = 1; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, count_slowly, (void *)i)) {
			atomic_store(&w->ready, -1);
			count_slowly(NULL);
		}
	}
	atomic_store(&w->ready, 1);
	count_slowly(NULL);
}

static void hold_a_crowd(int n, int rounds)
{
	pid_t pid = spawn(victim_crowd, n);
	struct insp_target *target;

	until(w->ready);
	if (w->ready < 0) {
		end(pid);
		print_message("no %d threads can be made here\n", n);
		skip();
	}
	target = open_pid(pid);
	for (int i = 0; i < rounds; i++) {
		struct insp_stop_report report;
		uint64_t calls;

		calls = w->calls;
		until(w->calls > calls + 10); /* they do run */
		stop(target);
		calls = w->calls;
		assert_int_equal(status_kib(pid, "Threads:"), n);
		usleep(10000);
		assert_int_equal(w->calls, calls);
		report = resume(target);
		assert_int_equal(report.nthreads, n);
		assert_int_equal(report.nunstoppable, 0);
	}
	insp_target_close(target);
	end(pid);
}

static void stop__holds_5000_threads(void **state)
{
	(void)state;
	hold_a_crowd(5000, rounds_of(3, 300));
}

/* A look at all of so many takes longer than the tick that looks: it must not eat up the stop. */
static void stop__holds_8000_threads(void **state)
{
	(void)state;
	hold_a_crowd(8000, 3);
}

static void stop__keeps_a_group_stop(void **state)
{
	pid_t pid = spawn(victim_threads, 8);
	struct insp_target *target;
	uint64_t beats;
	int status;

	(void)state;
	until(w->ready == 8);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	target = open_pid(pid);
	for (int i = 0; i < 20; i++) {
		stop(target);
		(void)resume(target);
		until(state_of(pid) == 'T');
	}
	/* and its parent is told of nothing */
	assert_int_equal(waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED), 0);
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
	kill(pid, SIGCONT);
	beats = w->beats[0];
	until(w->beats[0] != beats);
	/* of both the last one counts */
	stop(target);
	kill(pid, SIGSTOP);
	kill(pid, SIGCONT);
	(void)resume(target);
	beats = w->beats[0];
	until(w->beats[0] != beats);
	insp_target_close(target);
	end(pid);
}

/* Stopped before it was held, or meanwhile: so it stays when who holds it is killed. */
static void stop__keeps_a_group_stop_when_we_die(void **state)
{
	pid_t pid = spawn(victim_threads, 8);
	int status;

	(void)state;
	until(w->ready == 8);
	for (int round = 0; round < 20; round++) {
		const bool before = round & 1;
		uint64_t beats;
		pid_t inspector;

		if (before) {
			kill(pid, SIGSTOP);
			assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		}
		atomic_store(&w->stop, 0);
		inspector = inspector_start();
		if (!inspector) {
			stop(open_pid(pid));
			atomic_store(&w->stop, 1);
			for (;;)
				pause();
		}
		until(w->stop);
		if (!before)
			kill(pid, SIGSTOP);
		assert_true(WIFSIGNALED(inspector_end(inspector, pid)));
		until(state_of(pid) == 'T');
		beats = w->beats[0];
		usleep(3000);
		assert_int_equal(beats, w->beats[0]);
		if (before) /* its parent is told once of each stop */
			assert_int_equal(waitpid(pid, &status, WNOHANG | WUNTRACED), 0);
		else
			assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		kill(pid, SIGCONT);
		assert_int_equal(waitpid(pid, &status, WCONTINUED), pid);
		assert_true(WIFCONTINUED(status));
		until(w->beats[0] != beats);
	}
	assert_int_equal(waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED), 0);
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
	/* On a busy machine the time can be over before all of them stand. */
	until(target->ops->stop(target, &options, NULL) == 0);
	beats = w->beats[0];
	until(!target->ops->held(target));
	until(w->beats[0] != beats);
	report = resume(target);
	assert_true(report.cut_short);
	insp_target_close(target);
	end(pid);
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
		cmocka_unit_test(stop__holds_5000_threads),
		cmocka_unit_test(stop__holds_8000_threads),
		cmocka_unit_test(stop__keeps_a_group_stop),
		cmocka_unit_test(stop__keeps_a_group_stop_when_we_die),
		cmocka_unit_test(stop__gives_way_to_sigkill),
		cmocka_unit_test(stop__ends_when_the_time_is_over),
		cmocka_unit_test(stop__works_without_a_main_thread),
		cmocka_unit_test(stop__accepts_a_vfork_parent),
		cmocka_unit_test(open__refuses_with_a_reason),
		cmocka_unit_test(open__finds_a_process_by_its_name),
	};

	return run_forked_tests(tests, argc, argv);
}
