/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pause: for how long a target stands still, by what we report and by what it saw itself.
 *
 *     pause [RUNS [GIB [heap|threads]]]        these only
 *
 * Forks its victims: N threads that wait or spin, 20 calls deep, and heaps of GIB GiB in pages of
 * 4 KiB that are written at a given rate. In each a heartbeat thread notes the longest time that
 * it did not run. The same processes are shown to gdb, gcore and eu-stack, where installed: of these
 * the first column is the time that they took. Prints one line of CSV for each kind: medians in ms,
 * with minimum and maximum.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/pool.h"
#include "target/precopy.h"
#include "target/target.h"
#include "target/twin.h"

struct shared {
	_Atomic uint64_t gap_ns; /* the longest since it was set to 0 */
	_Atomic int ready;
	_Atomic int fork_now;	 /* asks the heap's owner to fork, which tells how long it took */
	_Atomic uint64_t fork_ns;
	uint64_t heap, heap_bytes;
};

struct series {
	double v[1000];
	size_t n;
};

static struct shared *s;
static uint64_t write_rate; /* pages a second */

static void *heartbeat(void *arg)
{
	uint64_t last = insp_now_ns();

	for (;;) {
		uint64_t now = insp_now_ns(), gap = now - last, max = s->gap_ns;

		if (gap > max)
			s->gap_ns = gap;
		last = now;
		sched_yield();
	}
	return arg;
}

static _Atomic bool spins;

static int nthreads;

static void wait_or_spin(void)
{
	atomic_fetch_add(&s->ready, 1);
	while (spins && s->ready < nthreads) /* all are there before the machine is busy */
		usleep(1000);
	while (spins)
		;
	for (;;)
		pause();
}

static __attribute__((noinline)) int deep(int depth)
{
	volatile char pad[64];

	pad[0] = (char)depth;
	if (!depth)
		wait_or_spin();
	else
		(void)deep(depth - 1);
	return pad[0];
}

static void *thread_main(void *arg)
{
	deep(20);
	return arg;
}

static void start_thread(void *(*fn)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	if (pthread_create(&thread, &attr, fn, NULL))
		_exit(3);
}

static void victim_threads(uint64_t n)
{
	nthreads = (int)n;
	for (uint64_t i = 1; i < n; i++)
		start_thread(thread_main);
	start_thread(heartbeat);
	deep(20);
}

static void fork_when_asked(void)
{
	uint64_t begin = insp_now_ns();
	pid_t pid;

	if (!s->fork_now)
		return;
	pid = fork();
	if (!pid)
		_exit(0);
	s->fork_ns = insp_now_ns() - begin;
	(void)waitpid(pid, NULL, 0);
	s->fork_now = 0;
}

static void victim_heap(uint64_t bytes)
{
	char *heap = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t r = 88172645463325252, written = 0, start;

	if (heap == MAP_FAILED)
		_exit(3);
	madvise(heap, bytes, MADV_NOHUGEPAGE);
	memset(heap, 1, bytes);
	s->heap = (uint64_t)(uintptr_t)heap;
	s->heap_bytes = bytes;
	start_thread(heartbeat);
	atomic_store(&s->ready, 1);
	start = insp_now_ns();
	for (;;) {
		uint64_t due = (uint64_t)((double)(insp_now_ns() - start) * (double)write_rate / 1e9);

		for (; written < due; written++) {
			r ^= r << 13, r ^= r >> 7, r ^= r << 17;
			heap[r % (bytes / 4096) * 4096]++;
		}
		fork_when_asked();
		usleep(500);
	}
}

static pid_t start(void (*victim)(uint64_t), uint64_t arg, int ready)
{
	pid_t pid;

	s->ready = 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		victim(arg);
		_exit(0);
	}
	while (pid > 0 && s->ready < ready)
		usleep(1000);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void add(struct series *series, uint64_t ns)
{
	if (series->n < sizeof(series->v) / sizeof(series->v[0]))
		series->v[series->n++] = (double)ns / 1e6;
}

static void print(const char *what, struct series *reported, struct series *seen, uint64_t extra_bytes)
{
	qsort(reported->v, reported->n, sizeof(double), by_value);
	qsort(seen->v, seen->n, sizeof(double), by_value);
	if (!reported->n) {
		printf("%s,not possible here\n", what);
		return;
	}
	printf("%s,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%zu,%.1f\n", what, reported->v[reported->n / 2],
	       reported->v[0], reported->v[reported->n - 1], seen->v[seen->n / 2], seen->v[0],
	       seen->v[seen->n - 1], reported->n, (double)extra_bytes / 1e6);
	fflush(stdout);
}

static struct insp_target *open_pid(pid_t pid)
{
	static char spec[16];
	struct insp_error err = {0};
	struct insp_target *target;

	snprintf(spec, sizeof(spec), "%d", pid);
	if (insp_target_open_with(&insp_target_live, spec, NULL, &target, &err)) {
		fprintf(stderr, "pause: %s\n", err.msg);
		exit(1);
	}
	return target;
}

static const struct insp_stop_options with_stacks = {.want_registers = true, .stack_bytes = 64 << 10};

static char *buffer;

/* All of the heap through one reused block: what a walk in the stop reads. */
static void read_heap(struct insp_target *target)
{
	for (uint64_t at = 0; at < s->heap_bytes; at += 1 << 20)
		(void)target->ops->read(target, s->heap + at, buffer, 1 << 20);
}

static bool once_stop(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	(void)extra;
	if (target->ops->stop(target, &with_stacks, NULL))
		return false;
	read_heap(target);
	target->ops->resume(target, report);
	return true;
}

static bool once_precopy(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	struct insp_error err = {0};
	struct insp_precopy *p;

	if (insp_precopy_begin(target, &p, &err)) {
		fprintf(stderr, "pause: %s\n", err.msg);
		return false;
	}
	(void)!insp_precopy_rounds(p, NULL);
	s->gap_ns = 0;
	if (!target->ops->stop(target, &with_stacks, NULL)) {
		(void)!insp_precopy_finish(p, &err);
		target->ops->resume(target, report);
	}
	*extra = insp_precopy_info(p)->held_bytes;
	insp_precopy_end(p);
	return true;
}

static bool once_twin(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	struct insp_error err = {0};
	struct insp_twin *twin;
	int rc;

	(void)extra;
	if (insp_twin_prepare(target, &twin, &err)) {
		fprintf(stderr, "pause: %s\n", err.msg);
		return false;
	}
	if (target->ops->stop(target, &with_stacks, NULL))
		return false;
	rc = insp_twin_fork(twin, &err);
	target->ops->resume(target, report);
	insp_twin_end(twin, NULL);
	return !rc;
}

static bool once_threads(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_threads threads;
	int rc = target->ops->stop(target, &with_stacks, NULL);

	(void)extra;
	if (!rc) {
		(void)target->ops->threads(target, pool, &threads, NULL);
		target->ops->resume(target, report);
	}
	insp_pool_destroy(pool);
	return !rc;
}

/* What reading alone costs, and what a fork by the target itself does: to compare with. */
static bool once_raw(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	uint64_t begin = insp_now_ns();

	(void)extra;
	read_heap(target);
	report->stopped_ns = insp_now_ns() - begin;
	return true;
}

static bool once_bare_fork(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	(void)target;
	(void)extra;
	s->fork_now = 1;
	while (s->fork_now)
		usleep(1000);
	report->stopped_ns = s->fork_ns;
	return true;
}

static bool run_tool(const char *format, struct insp_target *target, struct insp_stop_report *report)
{
	char command[512];
	uint64_t begin = insp_now_ns();
	int status;

	snprintf(command, sizeof(command), format, target->pid);
	status = system(command);
	report->stopped_ns = insp_now_ns() - begin;
	/* 127: not installed. eu-stack ends with 1 when one frame of thousands has no name. */
	return WIFEXITED(status) && WEXITSTATUS(status) != 127;
}

static bool once_gdb(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	(void)extra;
	return run_tool("gdb -nx -batch -p %d -ex 'thread apply all bt' >/dev/null 2>&1", target, report);
}

static bool once_eu_stack(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	(void)extra;
	return run_tool("eu-stack -p %d >/dev/null 2>&1", target, report);
}

static bool once_gcore(struct insp_target *target, struct insp_stop_report *report, uint64_t *extra)
{
	char path[64];
	bool fine;

	(void)extra;
	fine = run_tool("gcore -o /tmp/meminspect-bench %d >/dev/null 2>&1", target, report);
	snprintf(path, sizeof(path), "/tmp/meminspect-bench.%d", target->pid);
	(void)unlink(path);
	return fine;
}

typedef bool (*once_fn)(struct insp_target *, struct insp_stop_report *, uint64_t *);

struct kind {
	const char *what;
	once_fn once;
	bool slow; /* fewer runs */
};

#define SLOW_RUNS 5

/* All kinds on the same process. */
static void bench(pid_t pid, const char *where, const struct kind *kinds, size_t n, int runs)
{
	struct insp_target *target = open_pid(pid);

	for (size_t k = 0; k < n; k++) {
		int wanted = kinds[k].slow && runs > SLOW_RUNS ? SLOW_RUNS : runs;
		struct series reported = {0}, seen = {0};
		uint64_t extra = 0;
		char what[128];

		for (int i = 0; i < wanted; i++) {
			struct insp_stop_report report = {0};

			usleep(20000);
			s->gap_ns = 0;
			if (!kinds[k].once(target, &report, &extra))
				break;
			usleep(5000); /* the heartbeat has seen the end of it */
			add(&reported, report.stopped_ns);
			add(&seen, s->gap_ns);
		}
		snprintf(what, sizeof(what), "%s: %s", where, kinds[k].what);
		print(what, &reported, &seen, extra);
	}
	insp_target_close(target);
	end(pid);
}

static void bench_threads(uint64_t n, bool spin, int runs)
{
	const struct kind kinds[] = {
		{"meminspect", once_threads, spin},
		{"eu-stack -p", once_eu_stack, true},
		{"gdb thread apply all bt", once_gdb, true},
	};
	char where[64];

	spins = spin;
	snprintf(where, sizeof(where), "%d threads that %s", (int)n, spin ? "spin" : "wait");
	/* The other tools would be at work for minutes. */
	bench(start(victim_threads, n, (int)n), where, kinds, spin || n > 1000 ? 1 : 3, runs);
}

static void bench_heap(uint64_t bytes, uint64_t rate, const struct kind *kinds, size_t n, int runs)
{
	char where[64];

	write_rate = rate;
	snprintf(where, sizeof(where), "%d GiB and %d pages/s", (int)(bytes >> 30), (int)rate);
	bench(start(victim_heap, bytes, 1), where, kinds, n, runs);
}

int main(int argc, char **argv)
{
	const struct kind most[] = {
		{"raw read", once_raw, false},	 {"stop and read", once_stop, false},
		{"precopy", once_precopy, false}, {"bare fork by itself", once_bare_fork, false},
		{"fork", once_twin, false},	 {"gcore", once_gcore, true},
	};
	int runs = argc > 1 ? atoi(argv[1]) : 20;
	uint64_t gib = argc > 2 ? (uint64_t)atoi(argv[2]) : 1, bytes = gib << 30;
	const char *only = argc > 3 ? argv[3] : "";

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	buffer = aligned_alloc(4096, 1 << 20);
	if (s == MAP_FAILED || !buffer)
		return 1;
	memset(buffer, 0, 1 << 20);
	printf("kind,stopped_or_taken_ms,min,max,gap_seen_ms,min,max,runs,held_mb\n");
	fflush(stdout);
	if (strcmp(only, "heap")) {
		bench_threads(10, false, runs);
		bench_threads(500, false, runs);
		bench_threads(5000, false, runs);
		bench_threads(500, true, runs); /* slow to prepare */
	}
	if (strcmp(only, "threads")) {
		bench_heap(bytes, 10000, most, sizeof(most) / sizeof(most[0]), runs);
		bench_heap(bytes, 100000, &most[2], 1, runs);
	}
	return 0;
}
