/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * frames: one thread for each place that is hard to unwind, named after it, without frame
 * pointers. The truth has for each the functions of this file that it stands in, innermost first,
 * as "function:line", with a * for an inlined one and line 0 where it moves.
 */
/* build: -O2 -fomit-frame-pointer -fno-optimize-sibling-calls -Wno-infinite-recursion */
/* variant static: -static */
/* variant? musl: CC=musl-gcc -static */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "victim.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define INLINE	 static inline __attribute__((always_inline))

enum place { FUTEX, SIGNAL, ALTSTACK, NULLCALL, QSORT, VDSO, PLT, JIT, JIT_RBP, DEEP, WIDE, NPLACES };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int arrived, sink, forever = 1;

/* Of the calls that lead to a place, innermost first. */
static volatile int lines[NPLACES][4];

/* The line is noted, then the call is made, on one line of the source. */
#define CALL(place, depth, call) (lines[place][depth] = __LINE__, (call))

static void arrive(void)
{
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
}

static NOINLINE void block(void)
{
	while (forever)
		pause();
}

/* futex: an inlined call in the middle */

static NOINLINE int futex_leaf(int k)
{
	pthread_mutex_lock(&mutex);
	arrive();
	while (forever)
		CALL(FUTEX, 0, pthread_cond_wait(&cond, &mutex));
	return k + sink;
}

INLINE int futex_inlined(int k)
{
	return CALL(FUTEX, 1, futex_leaf(k)) + sink;
}

static NOINLINE int futex_mid(int k)
{
	return CALL(FUTEX, 2, futex_inlined(k)) * 3 + sink;
}

static NOINLINE void futex_top(void)
{
	sink += CALL(FUTEX, 3, futex_mid(1));
}

/* signal: a handler on the same stack, and one on a stack of its own */

static void on_signal(int sig)
{
	arrive();
	CALL(SIGNAL, 0, block());
	sink += sig;
}

static NOINLINE int signal_leaf(int k)
{
	return CALL(SIGNAL, 1, raise(SIGUSR2)) + k + sink;
}

static NOINLINE void signal_top(void)
{
	sink += CALL(SIGNAL, 2, signal_leaf(1));
}

static void on_altstack(int sig)
{
	arrive();
	CALL(ALTSTACK, 0, block());
	sink += sig;
}

static NOINLINE int altstack_leaf(int k)
{
	return CALL(ALTSTACK, 1, raise(SIGWINCH)) + k + sink;
}

static NOINLINE void altstack_top(void)
{
	stack_t stack = {.ss_size = 65536};

	stack.ss_sp = malloc(stack.ss_size);
	sigaltstack(&stack, NULL);
	sink += CALL(ALTSTACK, 2, altstack_leaf(1));
}

/* null: a call through a null pointer, seen from the handler of SIGSEGV */

static void on_segv(int sig)
{
	arrive();
	CALL(NULLCALL, 0, block());
	sink += sig;
}

static int (*volatile null_function)(int);

static NOINLINE int null_leaf(int k)
{
	return CALL(NULLCALL, 1, null_function(k)) + sink;
}

static NOINLINE void null_top(void)
{
	sink += CALL(NULLCALL, 2, null_leaf(1));
}

/* qsort: the C library between two functions of ours */

static int qsort_compare(const void *a, const void *b)
{
	arrive();
	CALL(QSORT, 0, block());
	return *(const int *)a - *(const int *)b + sink;
}

static NOINLINE void qsort_top(void)
{
	int numbers[4] = {4, 3, 2, 1};

	CALL(QSORT, 1, qsort(numbers, 4, sizeof(numbers[0]), qsort_compare));
	sink += numbers[0];
}

/* vdso and plt: they move all the time */

static NOINLINE int vdso_leaf(int k)
{
	struct timespec now;

	arrive();
	while (forever) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		sink = k + (int)now.tv_nsec;
	}
	return sink;
}

static NOINLINE void vdso_top(void)
{
	sink += CALL(VDSO, 0, vdso_leaf(1));
}

static NOINLINE int plt_leaf(int k)
{
	arrive();
	while (forever) {
		sink += rand() + k;
		sink += (int)random();
	}
	return sink;
}

static NOINLINE void plt_top(void)
{
	sink += CALL(PLT, 0, plt_leaf(1));
}

/* jit: code without unwind tables, once without and once with a frame pointer */

static int (*make_code(const unsigned char *code, size_t n))(int)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	memcpy(p, code, n);
	return (int (*)(int))p;
}

static NOINLINE int jit_leaf(int k)
{
	/* push $0, three times; then round and round */
	static const unsigned char code[] = {0x6a, 0, 0x6a, 0, 0x6a, 0, 0xeb, 0xfe};
	int (*function)(int) = make_code(code, sizeof(code));

	arrive();
	return CALL(JIT, 0, function(k)) + sink;
}

static NOINLINE void jit_top(void)
{
	sink += CALL(JIT, 1, jit_leaf(1));
}

static NOINLINE int jit_rbp_leaf(int k)
{
	/* push %rbp; mov %rsp, %rbp; sub $24, %rsp; round and round */
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48,
					     0x83, 0xec, 0x18, 0xeb, 0xfe};
	int (*function)(int) = make_code(code, sizeof(code));

	arrive();
	return CALL(JIT_RBP, 0, function(k)) + sink;
}

static NOINLINE void jit_rbp_top(void)
{
	sink += CALL(JIT_RBP, 1, jit_rbp_leaf(1));
}

/* deep: more frames than are kept; wide: a frame larger than what is copied */

static NOINLINE int deep_down(volatile int depth)
{
	if (depth > 0)
		return deep_down(depth - 1) + sink;
	arrive();
	block();
	return sink;
}

static NOINLINE void deep_top(void)
{
	sink += deep_down(600);
}

static NOINLINE int wide_leaf(volatile char *bytes)
{
	arrive();
	CALL(WIDE, 0, block());
	return bytes[0] + sink;
}

static NOINLINE void wide_top(void)
{
	volatile char bytes[100000];

	bytes[0] = bytes[sizeof(bytes) - 1] = (char)sink;
	sink += CALL(WIDE, 1, wide_leaf(bytes));
}

static struct {
	const char *name;
	void (*top)(void);
	int spins;
	const char *chain; /* %d for the lines in their order */
	int tid;
} all[NPLACES] = {
	[FUTEX] = {"futex", futex_top, 0, "futex_leaf:%d futex_inlined*:%d futex_mid:%d futex_top:%d", 0},
	[SIGNAL] = {"signal", signal_top, 0, "block:0 on_signal:%d signal_leaf:%d signal_top:%d", 0},
	[ALTSTACK] = {"altstack", altstack_top, 0,
		      "block:0 on_altstack:%d altstack_leaf:%d altstack_top:%d", 0},
	[NULLCALL] = {"null", null_top, 0, "block:0 on_segv:%d null_leaf:%d null_top:%d", 0},
	[QSORT] = {"qsort", qsort_top, 0, "block:0 qsort_compare:%d qsort_top:%d", 0},
	[VDSO] = {"vdso", vdso_top, 1, "vdso_leaf:0 vdso_top:%d", 0},
	[PLT] = {"plt", plt_top, 1, "plt_leaf:0 plt_top:%d", 0},
	[JIT] = {"jit", jit_top, 1, "jit_leaf:%d jit_top:%d", 0},
	[JIT_RBP] = {"jit_rbp", jit_rbp_top, 1, "jit_rbp_leaf:%d jit_rbp_top:%d", 0},
	[DEEP] = {"deep", deep_top, 0, "", 0},
	[WIDE] = {"wide", wide_top, 0, "block:0 wide_leaf:%d wide_top:%d", 0},
};

static void *thread_main(void *arg)
{
	size_t i = (size_t)arg;

	pthread_setname_np(pthread_self(), all[i].name);
	all[i].tid = (int)syscall(SYS_gettid);
	all[i].top();
	return NULL;
}

/* It has arrived; it is there when it sleeps. */
static void wait_for_sleep(int tid)
{
	char path[64], stat[64] = "";

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	while (!strstr(stat, ") S")) {
		FILE *f = fopen(path, "r");

		if (!f || !fgets(stat, sizeof(stat), f))
			_exit(5);
		fclose(f);
		usleep(1000);
	}
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	static char places[8192];
	pthread_attr_t attr;
	size_t n = 0;

	victim_init();
	sigaction(SIGUSR2, &action, NULL);
	action.sa_handler = on_segv;
	sigaction(SIGSEGV, &action, NULL);
	action.sa_handler = on_altstack;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGWINCH, &action, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 << 10);
	for (size_t i = 0; i < NPLACES; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, thread_main, (void *)i))
			return 1;
	}
	while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < NPLACES)
		usleep(1000);
	for (size_t i = 0; i < NPLACES; i++) {
		if (!all[i].spins)
			wait_for_sleep(all[i].tid);
		n += (size_t)snprintf(places + n, sizeof(places) - n, "%s\"%s\":\"", i ? "," : "",
				      all[i].name);
		n += (size_t)snprintf(places + n, sizeof(places) - n, all[i].chain, lines[i][0],
				      lines[i][1], lines[i][2], lines[i][3]);
		n += (size_t)snprintf(places + n, sizeof(places) - n, "\"");
	}
	victim_ready("\"places\":{%s}", places);
	victim_wait();
}
