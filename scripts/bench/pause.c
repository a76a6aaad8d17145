/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pause: for how long a target stands still, by what we report and by what it saw itself.
 *
 *     pause RUNS [alone] SECTION...     wait10 wait500 wait5000 spin500 heap big
 *                                       spin500:eu-stack spin500:gdb spin500:gcore
 *
 * Forks its victims: N threads that wait or spin, 20 calls deep; a heap of 10 M chunks (heap, 1.4 GB)
 * or of 8 GiB (big) in pages of 4 KiB, 10,000 of which are written each second. In each, a heartbeat
 * thread notes the longest time that it did not run. The same processes are shown to gdb, gcore and
 * eu-stack, where installed (alone: not). Prints rows of a table in Markdown: medians, minimum and maximum in ms;
 * what the limits of the pause are, and whether they hold.
 *
 * Among threads that compute, the other tools take long: each has a process of its own there, as many runs
 * as fit into two and a half minutes, and is cut when one run takes longer than that.
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fmt.h"
#include "snapshot/take.h"
#include "target/target.h"

#define DEPTH	   20
#define WRITE_RATE 10000 /* pages a second */
#define N_CHUNKS   10000000u
#define BIG_CHUNKS (8u << 18) /* of 4 KiB: 8 GiB */
#define MAX_RUNS   1000
#define CUT_SECONDS 150 /* of a tool among threads that compute */

struct shared {
	_Atomic uint64_t gap_ns; /* the longest since it was set to 0 */
	_Atomic int ready;
	_Atomic int fork_now;	 /* asks the heap's owner to fork, which tells how long it took */
	_Atomic uint64_t fork_ns;
	uint64_t heap, heap_bytes;
};

struct series {
	double v[MAX_RUNS];
	size_t n;
};

static struct shared *s;
static char *buffer;
static bool peers = true, cut;

/* ---- the victims */

static bool spins;

static void *heartbeat(void *arg)
{
	const struct sched_param fifo = {.sched_priority = 2};
	uint64_t last;

	/* Among threads that all want the CPU its own turns would be what it sees. */
	if (spins && sched_setscheduler(0, SCHED_FIFO, &fifo))
		return arg;
	last = insp_now_ns();
	for (;;) {
		uint64_t now = insp_now_ns(), gap = now - last, max = s->gap_ns;

		if (gap > max)
			s->gap_ns = gap;
		last = now;
		if (spins)
			usleep(100);
		else
			sched_yield();
	}
	return arg;
}

static int nthreads;

static void wait_or_spin(void)
{
	atomic_fetch_add(&s->ready, 1);
	while (spins && s->ready < nthreads) /* all are there before the machine is busy */
		usleep(1000);
	for (volatile uint64_t i = 0; spins; i++)
		;
	for (;;)
		pause();
}

static __attribute__((noinline)) int descend(int depth)
{
	volatile char pad[64];

	pad[0] = (char)depth;
	if (!depth)
		wait_or_spin();
	else
		(void)descend(depth - 1);
	return pad[0];
}

static void *thread_main(void *arg)
{
	descend(DEPTH);
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
	descend(DEPTH);
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

static uint64_t next_random(void)
{
	static uint64_t r = 88172645463325252;

	r ^= r << 13, r ^= r >> 7, r ^= r << 17;
	return r;
}

/* A chain, so that nothing is lost; n of 16 to 240 bytes, or of a page. */
static void victim_heap(uint64_t n)
{
	const bool big = n == BIG_CHUNKS;
	static void **chain;
	volatile char *heap;
	uint64_t written = 0, start;

	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	for (uint64_t i = 0; i < n; i++) {
		size_t size = big ? 4080 : 16 + next_random() % 225;
		void **p = malloc(size);

		if (!p)
			_exit(3);
		memset(p, (int)i, size);
		if (!i)
			s->heap = (uint64_t)(uintptr_t)p & ~4095ull;
		*p = chain;
		chain = p;
	}
	s->heap_bytes = ((uint64_t)(uintptr_t)chain & ~4095ull) - s->heap;
	heap = (char *)(uintptr_t)s->heap;
	start_thread(heartbeat);
	atomic_store(&s->ready, 1);
	start = insp_now_ns();
	for (;;) {
		uint64_t due = (uint64_t)((double)(insp_now_ns() - start) * WRITE_RATE / 1e9);

		for (; written < due; written++) {
			volatile char *at = heap + next_random() % s->heap_bytes;
			char same = *at;

			*at = same; /* written, and the heap stays what it is */
		}
		fork_when_asked();
		usleep(500);
	}
}

static pid_t start(void (*victim)(uint64_t), uint64_t arg, int ready)
{
	pid_t pid;

	s->ready = 0;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		victim(arg);
		_exit(0);
	}
	while (pid > 0 && s->ready < ready)
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			fprintf(stderr, "pause: the victim did not start\n");
			exit(1);
		} else {
			usleep(1000);
		}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- what is done to them: fills *pause_ns (0: not known) */

typedef bool (*once_fn)(struct insp_target *target, uint64_t *pause_ns);

static bool take(struct insp_target *target, enum insp_capture_mode mode, unsigned needs, uint64_t *pause_ns)
{
	const struct insp_take_options options = {.needs = needs, .mode = mode, .allow_inject = true,
						  .max_pause_ns = 20000000000};
	static const char *const names[] = {"", "stop", "precopy", "fork", "live"};
	struct insp_error err = {0};
	struct insp_snapshot *snap;
	bool fine;

	if (insp_snapshot_take(target, &options, &snap, NULL, &err)) {
		fprintf(stderr, "pause: %s\n", err.msg);
		return false;
	}
	*pause_ns = snap->capture.stopped_ns;
	fine = !strcmp(snap->capture.mode, names[mode]);
	if (!fine)
		fprintf(stderr, "pause: taken by %s: %s\n", snap->capture.mode, snap->capture.mode_reason);
	insp_snapshot_destroy(snap);
	return fine;
}

static bool once_threads(struct insp_target *target, uint64_t *pause_ns)
{
	return take(target, INSP_CAPTURE_STOP, INSP_NEED_STACKS, pause_ns);
}

static bool once_stop(struct insp_target *target, uint64_t *pause_ns)
{
	return take(target, INSP_CAPTURE_STOP, INSP_NEED_CHUNKS, pause_ns);
}

static bool once_precopy(struct insp_target *target, uint64_t *pause_ns)
{
	return take(target, INSP_CAPTURE_PRECOPY, INSP_NEED_CHUNKS, pause_ns);
}

static bool once_fork(struct insp_target *target, uint64_t *pause_ns)
{
	return take(target, INSP_CAPTURE_FORK, INSP_NEED_CHUNKS, pause_ns);
}

/* What reading alone costs: all of the heap through one block of 1 MiB. */
static bool once_raw(struct insp_target *target, uint64_t *pause_ns)
{
	uint64_t begin = insp_now_ns();

	for (uint64_t at = 0; at < s->heap_bytes; at += 1 << 20)
		(void)target->ops->read(target, s->heap + at, buffer, 1 << 20);
	*pause_ns = insp_now_ns() - begin;
	return true;
}

static bool once_bare_fork(struct insp_target *target, uint64_t *pause_ns)
{
	(void)target;
	s->fork_now = 1;
	while (s->fork_now)
		usleep(1000);
	*pause_ns = s->fork_ns;
	return true;
}

static bool run_tool(const char *format, struct insp_target *target)
{
	char command[512] = "";
	int status, len = 0;

	if (spins)
		len = snprintf(command, sizeof(command), "exec timeout -k 1 %d ", CUT_SECONDS);
	snprintf(command + len, sizeof(command) - (size_t)len, format, target->pid);
	status = system(command);
	cut = spins && WIFEXITED(status) && (WEXITSTATUS(status) == 124 || WEXITSTATUS(status) == 137);
	/* 127: not installed. eu-stack ends with 1 when one frame of thousands has no name. */
	return WIFEXITED(status) && WEXITSTATUS(status) != 127;
}

static bool once_gdb(struct insp_target *target, uint64_t *pause_ns)
{
	(void)pause_ns;
	return run_tool("gdb -nx -batch -p %d -ex 'thread apply all bt' >/dev/null 2>&1", target);
}

static bool once_eu_stack(struct insp_target *target, uint64_t *pause_ns)
{
	(void)pause_ns;
	return run_tool("eu-stack -p %d >/dev/null 2>&1", target);
}

static bool once_gcore(struct insp_target *target, uint64_t *pause_ns)
{
	char path[64];
	bool fine;

	(void)pause_ns;
	fine = run_tool("gcore -o /tmp/meminspect-bench %d >/dev/null 2>&1", target);
	snprintf(path, sizeof(path), "/tmp/meminspect-bench.%d", target->pid);
	(void)unlink(path);
	return fine;
}

/* ---- the table */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void add(struct series *series, uint64_t ns)
{
	series->v[series->n++] = (double)ns / 1e6;
}

static double median(struct series *series)
{
	qsort(series->v, series->n, sizeof(double), by_value);
	return series->v[series->n / 2];
}

static void print_series(struct series *series)
{
	double m = median(series);

	if (m > 0)
		printf(" %.*f (%.*f-%.*f) |", m < 10 ? 2 : 1, m, m < 10 ? 2 : 1, series->v[0],
		       m < 10 ? 2 : 1, series->v[series->n - 1]);
	else
		printf(" |");
}

struct kind {
	const char *what;
	once_fn once;
	bool peer;	    /* another tool */
	double limit_ms;    /* 0 none */
	int base;	    /* or limit_times of what this one, counted back from here, had; 0 none */
	double limit_times;
};

static void row(const char *where, const struct kind *kind, const double *medians, struct series *pause,
		struct series *took, struct series *seen)
{
	double m = median(pause), base = kind->base ? medians[-kind->base] : 0;

	printf("| %s | %s |", where, kind->what);
	print_series(pause);
	print_series(seen);
	print_series(took);
	if (cut)
		printf(" cut after %d s |", CUT_SECONDS);
	else
		printf(" %zu |", pause->n);
	if (base > 0)
		printf(" %.2f x, at most %.1f x: %s |\n", m / base, kind->limit_times,
		       m <= base * kind->limit_times ? "yes" : "NO");
	else if (kind->limit_ms > 0)
		printf(" %g ms: %s |\n", kind->limit_ms, m <= kind->limit_ms ? "yes" : "NO");
	else
		printf(" |\n");
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

/* All kinds on the same process. */
static void bench(pid_t pid, const char *where, const struct kind *kinds, size_t n, int runs)
{
	struct insp_target *target = open_pid(pid);
	double medians[16] = {0};

	for (size_t k = 0; k < n; k++) {
		struct series pause = {.n = 0}, took = {.n = 0}, seen = {.n = 0};
		const uint64_t start_ns = insp_now_ns();

		if (kinds[k].peer && !peers)
			continue;
		for (int i = 0; i < runs; i++) {
			uint64_t pause_ns = 0, begin;

			usleep(20000);
			s->gap_ns = 0;
			begin = insp_now_ns();
			if (!kinds[k].once(target, &pause_ns))
				break;
			add(&took, insp_now_ns() - begin);
			usleep(5000); /* the heartbeat has seen the end of it */
			add(&pause, pause_ns);
			add(&seen, s->gap_ns);
			if (kinds[k].peer && spins && insp_now_ns() - start_ns > CUT_SECONDS * UINT64_C(1000000000))
				break;
		}
		if (pause.n < (size_t)runs && !(kinds[k].peer && spins && pause.n)) {
			printf("| %s | %s | not possible here | | | | |\n", where, kinds[k].what);
			continue;
		}
		row(where, &kinds[k], &medians[k], &pause, &took, &seen);
		medians[k] = median(&pause);
	}
	insp_target_close(target);
	end(pid);
}

/* peer: NULL, or the first letters of the only tool to be tried. */
static void bench_threads(int n, bool spin, const char *peer, double limit_ms, int runs)
{
	const struct kind kinds[] = {
		{"meminspect `threads`", once_threads, false, limit_ms, 0, 0},
		{"eu-stack -p", once_eu_stack, true, 0, 0, 0},
		{"gdb -batch, thread apply all bt", once_gdb, true, 0, 0, 0},
		{"gcore", once_gcore, true, 0, 0, 0},
	};
	size_t first = 0, nkinds = sizeof(kinds) / sizeof(kinds[0]);
	char where[64];
	pid_t pid;

	if (peer) {
		for (first = 1; first < nkinds && strncmp(kinds[first].what, peer, strlen(peer)) != 0; first++)
			;
		nkinds = first < nkinds;
	} else if (spin) {
		nkinds = 1;
	}
	spins = spin;
	snprintf(where, sizeof(where), "%d threads that %s", n, spin ? "compute" : "wait");
	pid = start(victim_threads, (uint64_t)n, n);
	/* All tools alike: to prepare and to show takes minutes among so many that compute. */
	if (spin)
		(void)setpriority(PRIO_PROCESS, 0, -20);
	bench(pid, where, &kinds[first], nkinds, runs);
	(void)setpriority(PRIO_PROCESS, 0, 0);
}

static void bench_heap(int runs)
{
	const struct kind kinds[] = {
		{"raw read of its pages", once_raw, false, 0, 0, 0},
		{"`--capture stop`", once_stop, false, 0, 1, 1.3},
		{"`--capture precopy`", once_precopy, false, 10, 0, 0},
		{"fork() by itself", once_bare_fork, false, 0, 0, 0},
		{"`--capture fork`", once_fork, false, 0, 1, 1.3},
		{"eu-stack -p", once_eu_stack, true, 0, 0, 0},
		{"gdb -batch, thread apply all bt", once_gdb, true, 0, 0, 0},
		{"gcore", once_gcore, true, 0, 0, 0},
	};

	bench(start(victim_heap, N_CHUNKS, 1), "10 M chunks, 1.3 GiB", kinds,
	      sizeof(kinds) / sizeof(kinds[0]), runs);
}

static void bench_big(int runs)
{
	const struct kind kinds[] = {{"`--capture precopy`", once_precopy, false, 20, 0, 0}};

	bench(start(victim_heap, BIG_CHUNKS, 1), "8 GiB", kinds, 1, runs);
}

int main(int argc, char **argv)
{
	int runs = argc > 1 ? atoi(argv[1]) : 0;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	buffer = aligned_alloc(4096, 1 << 20);
	if (runs < 1 || runs > MAX_RUNS || s == MAP_FAILED || !buffer)
		return 1;
	memset(buffer, 0, 1 << 20);
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], "alone"))
			peers = false;
		else if (!strcmp(argv[i], "wait10"))
			bench_threads(10, false, NULL, 1, runs);
		else if (!strcmp(argv[i], "wait500"))
			bench_threads(500, false, NULL, 10, runs);
		else if (!strcmp(argv[i], "wait5000"))
			bench_threads(5000, false, NULL, 100, runs);
		else if (!strcmp(argv[i], "spin500"))
			bench_threads(500, true, NULL, 20, runs);
		else if (!strncmp(argv[i], "spin500:", 8))
			bench_threads(500, true, argv[i] + 8, 20, runs);
		else if (!strcmp(argv[i], "heap"))
			bench_heap(runs);
		else if (!strcmp(argv[i], "big"))
			bench_big(runs);
		else
			return 1;
	return 0;
}
