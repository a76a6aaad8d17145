/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * forked: processes for the live tests, forked by the test itself. Each keeps counters in memory
 * that it shares with the test: a witness that does not depend on what is tested.
 */
#ifndef TEST_FORKED_H
#define TEST_FORKED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/pool.h"
#include "snapshot/take.h"
#include "target/target.h"
#include "target/tracer.h"

#define NMAX 512

struct witness {
	_Atomic uint64_t beats[NMAX];	/* of each thread */
	_Atomic uint64_t eintr, calls;
	_Atomic uint64_t signals, sent;
	_Atomic uint64_t created, exited;
	_Atomic uint64_t taken[5];	/* pictures, by the way that they were taken in the end */
	_Atomic uint64_t wrong[8];	/* of what must never happen: each test says which is which */
	_Atomic int ready;
	_Atomic int stop;
	uint64_t marker_addr;
	uint64_t stack_addr[NMAX];
	int tids[NMAX];
};

extern struct witness *w;

/* Runs the tests; argv[1] may be a pattern of their names. */
#define run_forked_tests(tests, argc, argv)                                           \
	(forked_init() ? 1                                                            \
		       : (cmocka_set_test_filter((argc) > 1 ? (argv)[1] : NULL),     \
			  cmocka_run_group_tests(tests, NULL, NULL)))
int forked_init(void);

/* How often: the long form of `make stress`, or the short one. */
int rounds_of(int few, int many);

/* Victims are this program, with a sanitizer in it where it has one: then skips, with the reason. */
#ifdef __SANITIZE_ADDRESS__
#define skip_with_sanitizer(why)             \
	do {                                 \
		print_message("%s\n", why); \
		skip();                      \
	} while (0)
#else
#define skip_with_sanitizer(why) ((void)0)
#endif

/* A new process that runs victim(arg), with a fresh witness; dies with the test. */
pid_t spawn(void (*victim)(int), int arg);
/* SIGKILLs and collects it. */
void end(pid_t pid);

/* Waits for something that must happen; a test that waits for 20 s has failed. */
#define until(cond)                                                             \
	do {                                                                    \
		uint64_t end_ = insp_now_ns() + 20000000000ull;                 \
		while (!(cond) && insp_now_ns() < end_)                         \
			usleep(500);                                            \
		assert_true(cond);                                              \
	} while (0)

/*
 * A process that inspects another one, so that it can be killed: returns in the child with 0. What
 * fails in there ends it with 4 instead of going on as a second test. inspector_end kills it (unless
 * it has ended), and waits until its tracer, which outlives it for a moment, has ended and let go of
 * target; it returns the wait status. One at a time.
 */
pid_t inspector_start(void);
int inspector_end(pid_t inspector, pid_t target);

struct insp_target *open_pid(pid_t pid);
void stop_with(struct insp_target *target, const struct insp_stop_options *options);
void stop(struct insp_target *target); /* with registers and 64 KiB of each stack */
struct insp_stop_report resume(struct insp_target *target);
/* A snapshot of heap and stacks, this way or by a stop; what does not work fails the test. */
void take_picture(struct insp_target *target, enum insp_capture_mode mode);
/*
 * In a stop: fn, which asks target for its parent, in the tracer. True: it was done, and *value is us; false: it was
 * refused, and err says why. All else fails the test.
 */
bool asked_in_stop(struct insp_target *target, insp_tracer_fn fn, void *ctx, const int64_t *value,
		   struct insp_error *err);
struct insp_threads threads_of(struct insp_target *target, struct insp_pool *pool);

uint64_t status_kib(pid_t pid, const char *key); /* "VmRSS:" */
char state_of(pid_t pid);

/* ---- victims */

/* The body of a thread that beats: w->beats[(size_t)arg]. */
void *beat(void *arg);
/* A process of n threads that beat; the first is the main one. */
void victim_threads(int n);

#endif
