/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Injected calls, the copy-on-write twin and the pre-copy: they do what they say, and whatever
 * becomes of us, the target keeps its registers, its signal mask, its children and its memory.
 */
#include "../unit/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "target/inject.h"
#include "target/live.h"
#include "target/precopy.h"
#include "target/tracer.h"
#include "target/twin.h"

/* ---- the victim: every thread checks something that an injection might break */

enum { WRONG_VECTOR, WRONG_REGISTER, WRONG_MASK, WRONG_ALTSTACK, WRONG_HEAP, WRONG_WAIT, WRONG_EINTR, WRONG_PROCESS };
enum { T_MAIN, T_VECTOR, T_REGISTER, T_HEAP, T_FORK, T_SLEEP, T_EPOLL, T_FUTEX, N_THREADS };

static pid_t me;

/* SIGCHLD is for the thread that forks: a handler that runs does make calls of others fail. */
static bool is_blocked(int sig, size_t thread)
{
	return sig == SIGUSR2 || (sig == SIGCHLD && thread != T_FORK);
}

static void enter_thread(size_t thread)
{
	stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (thread != T_FORK)
		sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	sigaltstack(&alt, NULL);
	atomic_fetch_add(&w->ready, 1);
}

static void check_thread(size_t i)
{
	stack_t alt;
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	for (int sig = 1; sig < 32; sig++)
		if ((sigismember(&set, sig) == 1) != is_blocked(sig, i)) {
			atomic_fetch_add(&w->wrong[WRONG_MASK], 1);
			break;
		}
	sigaltstack(NULL, &alt);
	if (alt.ss_size != 65536 || alt.ss_flags)
		atomic_fetch_add(&w->wrong[WRONG_ALTSTACK], 1);
	if (syscall(SYS_getpid) != me)
		atomic_fetch_add(&w->wrong[WRONG_PROCESS], 1);
	atomic_fetch_add(&w->beats[i], 1);
}

__attribute__((target("avx2"), noinline)) static bool vectors_keep(uint64_t seed)
{
	uint64_t in[32], out[32], n = 300000;

	for (size_t i = 0; i < 32; i++)
		in[i] = seed * 0x9e3779b97f4a7c15 + i;
	__asm__ volatile("vmovdqu (%1), %%ymm0\n vmovdqu 32(%1), %%ymm1\n vmovdqu 64(%1), %%ymm2\n"
			 "vmovdqu 96(%1), %%ymm3\n vmovdqu 128(%1), %%ymm12\n vmovdqu 160(%1), %%ymm13\n"
			 "vmovdqu 192(%1), %%ymm14\n vmovdqu 224(%1), %%ymm15\n"
			 "1: dec %0\n jnz 1b\n"
			 "vmovdqu %%ymm0, (%2)\n vmovdqu %%ymm1, 32(%2)\n vmovdqu %%ymm2, 64(%2)\n"
			 "vmovdqu %%ymm3, 96(%2)\n vmovdqu %%ymm12, 128(%2)\n vmovdqu %%ymm13, 160(%2)\n"
			 "vmovdqu %%ymm14, 192(%2)\n vmovdqu %%ymm15, 224(%2)\n"
			 : "+r"(n)
			 : "r"(in), "r"(out)
			 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm12", "xmm13", "xmm14",
			   "xmm15");
	return !memcmp(in, out, sizeof(in));
}

__attribute__((noinline)) static bool registers_keep(void)
{
	uint64_t bad;

	__asm__ volatile("mov $0x1111, %%r8\n mov $0x2222, %%r9\n mov $0x3333, %%r10\n mov $0x4444, %%r11\n"
			 "mov $0x5555, %%r12\n mov $0x6666, %%r13\n mov $0x7777, %%r14\n mov $0x8888, %%r15\n"
			 "mov $0x9999, %%rdi\n mov $0xaaaa, %%rsi\n mov $0xbbbb, %%rdx\n"
			 "movq $0x1234567, -64(%%rsp)\n movq $0x7654321, -128(%%rsp)\n mov $200000, %%rcx\n"
			 "1: dec %%rcx\n jnz 1b\n mov $1, %%eax\n"
			 "cmp $0x1111, %%r8\n jne 2f\n cmp $0x2222, %%r9\n jne 2f\n cmp $0x3333, %%r10\n jne 2f\n"
			 "cmp $0x4444, %%r11\n jne 2f\n cmp $0x5555, %%r12\n jne 2f\n cmp $0x6666, %%r13\n jne 2f\n"
			 "cmp $0x7777, %%r14\n jne 2f\n cmp $0x8888, %%r15\n jne 2f\n cmp $0x9999, %%rdi\n jne 2f\n"
			 "cmp $0xaaaa, %%rsi\n jne 2f\n cmp $0xbbbb, %%rdx\n jne 2f\n"
			 "cmpq $0x1234567, -64(%%rsp)\n jne 2f\n cmpq $0x7654321, -128(%%rsp)\n jne 2f\n"
			 "xor %%eax, %%eax\n 2:\n"
			 : "=a"(bad)
			 :
			 : "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rdx", "rcx",
			   "memory", "cc");
	return !bad;
}

static void *run_vector(void *arg)
{
	enter_thread(T_VECTOR);
	for (uint64_t seed = 1;; seed++) {
		if (__builtin_cpu_supports("avx2") && !vectors_keep(seed))
			atomic_fetch_add(&w->wrong[WRONG_VECTOR], 1);
		check_thread(T_VECTOR);
		usleep(200);
	}
	return arg;
}

static void *run_register(void *arg)
{
	enter_thread(T_REGISTER);
	for (;;) {
		if (!registers_keep())
			atomic_fetch_add(&w->wrong[WRONG_REGISTER], 1);
		check_thread(T_REGISTER);
		usleep(200);
	}
	return arg;
}

static void *run_heap(void *arg)
{
	unsigned char *p[512] = {0};
	size_t size[512] = {0};
	uint32_t r = 12345;

	enter_thread(T_HEAP);
	for (uint64_t n = 0;; n++) {
		size_t i = (r = r * 1103515245 + 12345) >> 8 & 511;

		for (size_t k = 0; p[i] && k < size[i]; k++)
			if (p[i][k] != (unsigned char)(i + k))
				atomic_fetch_add(&w->wrong[WRONG_HEAP], 1);
		if (p[i]) {
			free(p[i]);
			p[i] = NULL;
		} else {
			size[i] = 1 + (r >> 16) % 300;
			p[i] = malloc(size[i]);
			for (size_t k = 0; k < size[i]; k++)
				p[i][k] = (unsigned char)(i + k);
		}
		if (n % 2000 == 0) {
			check_thread(T_HEAP);
			usleep(200);
		}
	}
	return arg;
}

static void on_child(int sig)
{
	(void)sig;
	atomic_fetch_add(&w->signals, 1);
}

/* Its own children come and go; a wait for any must never see another. */
static void *run_fork(void *arg)
{
	enter_thread(T_FORK);
	for (;;) {
		int status;
		pid_t pid, got;

		if (waitpid(-1, &status, WNOHANG) != -1 || errno != ECHILD)
			atomic_fetch_add(&w->wrong[WRONG_WAIT], 1);
		pid = fork();
		if (!pid)
			_exit(7);
		atomic_fetch_add(&w->created, 1);
		got = waitpid(-1, &status, 0);
		if (got != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
			atomic_fetch_add(&w->wrong[WRONG_WAIT], 1);
		while (w->signals < w->created) /* two at once would be one signal */
			usleep(100);
		check_thread(T_FORK);
		usleep(2000);
	}
	return arg;
}

static void *run_sleep(void *arg)
{
	const struct timespec t = {.tv_nsec = 3000000};

	enter_thread(T_SLEEP);
	for (;;) {
		if (syscall(SYS_nanosleep, &t, NULL))
			atomic_fetch_add(&w->wrong[WRONG_EINTR], 1);
		check_thread(T_SLEEP);
	}
	return arg;
}

static void *run_epoll(void *arg)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	enter_thread(T_EPOLL);
	for (;;) {
		struct epoll_event event;

		if (epoll_wait(fd, &event, 1, 3))
			atomic_fetch_add(&w->wrong[WRONG_EINTR], 1);
		check_thread(T_EPOLL);
	}
	return arg;
}

static void *run_futex(void *arg)
{
	const struct timespec t = {.tv_nsec = 3000000};
	uint32_t word = 0;

	enter_thread(T_FUTEX);
	for (;;) {
		if (syscall(SYS_futex, &word, 128, 0, &t, NULL, 0) != -1 || errno != ETIMEDOUT)
			atomic_fetch_add(&w->wrong[WRONG_EINTR], 1);
		check_thread(T_FUTEX);
	}
	return arg;
}

static void victim_integrity(int arg)
{
	void *(*const run[])(void *) = {run_vector, run_register, run_heap, run_fork, run_sleep, run_epoll, run_futex};
	struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};

	(void)arg;
	me = getpid();
	sigaction(SIGCHLD, &action, NULL);
	enter_thread(T_MAIN);
	for (size_t i = 0; i < sizeof(run) / sizeof(run[0]); i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, run[i], NULL))
			_exit(3);
	}
	for (;;) {
		usleep(1000);
		check_thread(T_MAIN);
	}
}

static void assert_unharmed(pid_t pid)
{
	uint64_t beats[N_THREADS];

	for (int i = 0; i < N_THREADS; i++)
		beats[i] = w->beats[i];
	for (int i = 0; i < N_THREADS; i++)
		until(w->beats[i] > beats[i] + 1);
	for (int i = 0; i < 8; i++)
		if (w->wrong[i])
			fail_msg("harm of kind %d was done %llu times", i, (unsigned long long)w->wrong[i]);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

/* ---- injected calls */

struct call {
	struct insp_inject *inject;
	long number;
	uint64_t args[6];
	int64_t value;
};

static int make_call(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	struct call *c = ctx;

	return insp_inject_call(c->inject, t, c->number, c->args, &c->value, err);
}

static void inject__makes_the_call_and_leaves_no_trace(void **state)
{
	pid_t pid = spawn(victim_integrity, 0);
	struct insp_error err = {0};
	struct insp_target *target;
	struct call call = {.number = SYS_getppid};
	unsigned made = 0;

	(void)state;
	until(w->ready == N_THREADS);
	target = open_pid(pid);
	if (insp_inject_create(target, &call.inject, &err))
		fail_msg("%s", err.msg);
	for (int i = 0; i < 500; i++) {
		call.value = 0;
		made += asked_in_stop(target, make_call, &call, &call.value, &err);
	}
	assert_true(made > 450);
	assert_unharmed(pid);
	until(w->created == w->signals);
	insp_inject_destroy(call.inject);
	insp_target_close(target);
	end(pid);
}

/* Of both, as when memory runs out, or of the inspector alone: then its tracer finishes. */
struct death {
	int at, now;
	bool both;
};

/* Called in the tracer, a child of the inspector. */
static void maybe_die(void *ctx)
{
	struct death *d = ctx;

	if (d->now++ != d->at)
		return;
	usleep((unsigned)(d->at * 37 + getpid()) % 60);
	kill(getppid(), SIGKILL);
	if (d->both)
		kill(getpid(), SIGKILL);
}

/* Exits with 0 when it got through without reaching the step. */
static void inject_and_die(pid_t pid, int at, bool both)
{
	struct death death = {.at = at, .both = both};
	struct insp_target *target = open_pid(pid);
	struct call call = {.number = SYS_getppid};

	if (insp_inject_create(target, &call.inject, NULL))
		_exit(2);
	insp_inject_on_step(call.inject, maybe_die, &death);
	stop(target);
	if (insp_tracer_call(insp_live_of(target)->tracer, make_call, &call, NULL))
		_exit(3);
	(void)resume(target);
	_exit(0);
}

static void twin_and_die(pid_t pid, int at, bool both)
{
	struct death death = {.at = at, .both = both};
	struct insp_target *target = open_pid(pid);
	struct insp_twin *twin;

	if (insp_twin_prepare(target, &twin, NULL))
		_exit(2);
	insp_inject_on_step(insp_twin_inject(twin), maybe_die, &death);
	stop(target);
	if (insp_twin_fork(twin, NULL))
		_exit(3);
	(void)resume(target);
	insp_twin_end(twin, NULL);
	_exit(0);
}

/* Dies at every step in turn until none is left; how many there are. */
static int die_at_every_step(void (*inspector)(pid_t, int, bool), pid_t pid, int rounds)
{
	int at = 0, through = 0;

	for (;; at++) {
		through = 0;
		for (int round = 0; round < rounds; round++) {
			pid_t child = inspector_start();
			siginfo_t si;
			int status;

			if (!child)
				inspector(pid, at, round & 1);
			assert_int_equal(waitid(P_PID, (id_t)child, &si, WEXITED | WNOWAIT), 0);
			status = inspector_end(child, pid);
			if (!WIFSIGNALED(status)) {
				through++;
				/* 3: no thread was fit this time */
				assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
			}
		}
		assert_unharmed(pid);
		if (through == rounds)
			return at;
	}
}

static void inject__heals_the_target_when_we_die(void **state)
{
	pid_t pid = spawn(victim_integrity, 0);

	(void)state;
	until(w->ready == N_THREADS);
	assert_true(die_at_every_step(inject_and_die, pid, rounds_of(5, 45)) > 12);
	end(pid);
}

/* ---- the twin */

static uint64_t *numbers; /* private memory of a victim: all elements are always equal, or one ahead */

static void *count_up(void *arg)
{
	for (;;)
		for (size_t i = 0; i < 1024; i++) {
			numbers[i * 512]++;
			if (!i)
				atomic_fetch_add(&w->beats[0], 1);
		}
	return arg;
}

static void victim_counts(int arg)
{
	pthread_t thread;

	(void)arg;
	numbers = mmap(NULL, 1024 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (numbers == MAP_FAILED)
		_exit(3);
	memset(numbers, 0, 1024 * 4096);
	w->marker_addr = (uint64_t)(uintptr_t)numbers;
	if (pthread_create(&thread, NULL, count_up, NULL))
		_exit(3);
	atomic_store(&w->ready, 1);
	for (;;)
		pause();
}

static void assert_one_instant(struct insp_target *view)
{
	uint64_t first, v, last = 0;
	bool fell = false;

	assert_int_equal(view->ops->read(view, w->marker_addr, &first, 8), 8);
	last = first;
	for (size_t i = 1; i < 1024; i++) {
		assert_int_equal(view->ops->read(view, w->marker_addr + i * 4096, &v, 8), 8);
		assert_true(v == last || (v == last - 1 && !fell));
		fell = fell || v != last;
		last = v;
	}
}

static void twin__stands_still_while_the_target_runs(void **state)
{
	pid_t pid = spawn(victim_counts, 0);
	struct insp_error err = {0};
	struct insp_target *target;
	unsigned made = 0;

	(void)state;
	until(w->ready);
	target = open_pid(pid);
	for (int i = 0; i < 30; i++) {
		struct insp_pool *pool = insp_pool_create();
		struct insp_regions regions;
		struct insp_twin *twin;
		uint64_t beats;
		int rc;

		if (insp_twin_prepare(target, &twin, &err))
			fail_msg("%s", err.msg);
		stop(target);
		rc = insp_twin_fork(twin, &err);
		(void)resume(target);
		beats = w->beats[0];
		until(w->beats[0] > beats + 10);
		if (!rc) {
			struct insp_target *view = insp_twin_target(twin);
			uint8_t page;

			made++;
			assert_one_instant(view);
			assert_int_equal(view->ops->regions(view, pool, &regions, &err), 0);
			assert_non_null(insp_regions_find(&regions, w->marker_addr));
			assert_int_equal(view->ops->pages(view, w->marker_addr, 1, &page), 0);
			assert_int_equal(page, INSP_PAGE_PRESENT);
		} else {
			assert_int_equal(rc, INSP_E_UNSUPPORTED);
		}
		insp_twin_end(twin, NULL);
		insp_pool_destroy(pool);
	}
	assert_true(made > 20);
	insp_target_close(target);
	end(pid);
}

/* Children that send no signal when they end: ours; the victim's own send SIGCHLD. */
static size_t silent_children_of(pid_t pid)
{
	char cmd[64];
	size_t n = 0;
	int child;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "cat /proc/%d/task/*/children", pid);
	f = popen(cmd, "r");
	assert_non_null(f);
	while (fscanf(f, "%d", &child) == 1) {
		char path[64], stat[1024];
		int fd, exit_signal = -1, field = 2;
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		len = fd >= 0 ? read(fd, stat, sizeof(stat) - 1) : -1;
		if (fd >= 0)
			close(fd);
		if (len <= 0)
			continue;
		stat[len] = '\0';
		for (char *p = strrchr(stat, ')'); p && (p = strchr(p + 1, ' '));)
			if (++field == 38)
				exit_signal = atoi(p + 1);
		assert_true(exit_signal >= 0);
		n += exit_signal == 0;
	}
	pclose(f);
	return n;
}

static void twin__is_invisible_to_the_target(void **state)
{
	pid_t pid = spawn(victim_integrity, 0);
	struct insp_target *target;
	unsigned made = 0;

	(void)state;
	until(w->ready == N_THREADS);
	target = open_pid(pid);
	for (int i = 0; i < 100; i++) {
		struct insp_twin *twin;

		assert_int_equal(insp_twin_prepare(target, &twin, NULL), 0);
		stop(target);
		if (!insp_twin_fork(twin, NULL) && !made++)
			assert_int_equal(silent_children_of(pid), 1); /* who looks for it sees it */
		if (i % 4) /* else it is ended while the target is held */
			(void)resume(target);
		insp_twin_end(twin, NULL);
		if (!(i % 4))
			(void)resume(target);
	}
	assert_true(made > 80);
	assert_unharmed(pid);
	until(w->created == w->signals); /* and no SIGCHLD of ours */
	until(silent_children_of(pid) == 0);
	insp_target_close(target);
	end(pid);
}

static void twin__heals_the_target_when_we_die(void **state)
{
	pid_t pid = spawn(victim_integrity, 0);

	(void)state;
	until(w->ready == N_THREADS);
	assert_true(die_at_every_step(twin_and_die, pid, rounds_of(2, 45)) > 25);
	end(pid);
}

/* ---- the pre-copy */

static void victim_churns(int arg)
{
	const size_t n = 4096, big = n * 4096;
	char *heap = mmap(NULL, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *extra = NULL;
	uint64_t r = 88172645463325252;

	(void)arg;
	if (heap == MAP_FAILED)
		_exit(3);
	memset(heap, 1, big);
	w->marker_addr = (uint64_t)(uintptr_t)heap;
	atomic_store(&w->ready, 1);
	for (uint64_t i = 0;; i++) {
		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		memset(heap + r % n * 4096, (int)i, 64);
		if (i % 64 == 0)
			madvise(heap + r / 7 % n * 4096, 4096, MADV_DONTNEED);
		if (i % 1000 == 0) {
			if (extra)
				munmap(extra, 1 << 20);
			extra = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (extra == MAP_FAILED)
				_exit(3);
			memset(extra, (int)i, 1 << 19);
		}
		if (i % 500 == 0)
			free(malloc(1 + r % 200000));
		if (i % 16 == 0)
			usleep(100);
		atomic_fetch_add(&w->beats[0], 1);
	}
}

/* Every page that the target has, in every private writable mapping, is the same in the copy. */
static uint64_t compare(struct insp_target *live, struct insp_target *view)
{
	struct insp_pool *pool = insp_pool_create();
	static uint8_t a[4096], b[4096];
	struct insp_regions regions;
	uint64_t compared = 0;

	assert_int_equal(live->ops->regions(live, pool, &regions, NULL), 0);
	for (size_t i = 0; i < regions.n; i++) {
		const struct insp_region *r = &regions.items[i];

		if (!(r->prot & INSP_PROT_WRITE) || r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE))
			continue;
		if (insp_region_bytes(r) > 4ull << 30)
			continue; /* a sanitizer's shadow: too much to look at page by page */
		for (uint64_t at = r->start; at < r->end; at += 4096) {
			uint8_t states[2];

			assert_int_equal(live->ops->pages(live, at, 1, &states[0]), 0);
			assert_int_equal(view->ops->pages(view, at, 1, &states[1]), 0);
			if (states[0] != INSP_PAGE_PRESENT) {
				assert_true(states[1] != INSP_PAGE_PRESENT);
				continue;
			}
			assert_int_equal(live->ops->read(live, at, a, 4096), 4096);
			if (states[1] == INSP_PAGE_ABSENT)
				memset(b, 0, 4096); /* the kernel's page of zeroes */
			else
				assert_int_equal(view->ops->read(view, at, b, 4096), 4096);
			if (memcmp(a, b, 4096))
				fail_msg("page %#llx differs", (unsigned long long)at);
			compared++;
		}
	}
	insp_pool_destroy(pool);
	return compared;
}

static size_t watched_mappings(pid_t pid)
{
	char path[64], line[512];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += !strncmp(line, "VmFlags:", 8) && strstr(line, " uw");
	fclose(f);
	return n;
}

static void precopy__equals_the_memory_at_the_stop(void **state)
{
	struct insp_error err = {0};
	struct insp_target *target;
	pid_t pid;

	(void)state;
	if (insp_precopy_supported(&err)) {
		print_message("%s\n", err.msg);
		skip();
	}
	pid = spawn(victim_churns, 0);
	until(w->ready);
	target = open_pid(pid);
	for (int i = 0; i < 8; i++) {
		struct insp_precopy *p;
		const struct insp_precopy_info *info;

		if (insp_precopy_begin(target, &p, &err))
			fail_msg("%s", err.msg);
		assert_int_equal(insp_precopy_rounds(p, &err), 0);
		stop(target);
		if (insp_precopy_finish(p, &err))
			fail_msg("%s", err.msg);
		assert_true(compare(target, insp_precopy_target(p)) > 3000);
		(void)resume(target);
		info = insp_precopy_info(p);
		assert_true(info->copied_bytes > 8 << 20);
		assert_true(info->held_bytes < info->copied_bytes);
		insp_precopy_end(p);
		assert_int_equal(watched_mappings(pid), 0);
	}
	insp_target_close(target);
	end(pid);
}

static void precopy_for_ever(pid_t pid)
{
	struct insp_target *target = open_pid(pid);

	for (;;) {
		struct insp_precopy *p;

		if (insp_precopy_begin(target, &p, NULL))
			continue;
		(void)!insp_precopy_rounds(p, NULL);
		stop(target);
		(void)!insp_precopy_finish(p, NULL);
		(void)resume(target);
		insp_precopy_end(p);
	}
}

static void precopy__survives_the_death_of_the_inspector(void **state)
{
	struct insp_error err = {0};
	pid_t pid;

	(void)state;
	if (insp_precopy_supported(&err)) {
		print_message("%s\n", err.msg);
		skip();
	}
	pid = spawn(victim_churns, 0);
	until(w->ready);
	for (int round = 0; round < rounds_of(30, 1000); round++) {
		pid_t inspector = inspector_start();
		uint64_t beats;

		if (!inspector)
			precopy_for_ever(pid);
		usleep(1000 + (unsigned)(round * 7919) % 40000);
		assert_true(WIFSIGNALED(inspector_end(inspector, pid)));
		beats = w->beats[0];
		until(w->beats[0] > beats + 10);
		until(watched_mappings(pid) == 0);
	}
	end(pid);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inject__makes_the_call_and_leaves_no_trace),
		cmocka_unit_test(inject__heals_the_target_when_we_die),
		cmocka_unit_test(twin__stands_still_while_the_target_runs),
		cmocka_unit_test(twin__is_invisible_to_the_target),
		cmocka_unit_test(twin__heals_the_target_when_we_die),
		cmocka_unit_test(precopy__equals_the_memory_at_the_stop),
		cmocka_unit_test(precopy__survives_the_death_of_the_inspector),
	};

	return run_forked_tests(tests, argc, argv);
}
