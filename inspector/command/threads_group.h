/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * threads_group: threads that stand in the same place, and what they wait for.
 */
#ifndef INSP_COMMAND_THREADS_GROUP_H
#define INSP_COMMAND_THREADS_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "model/thread.h"

struct insp_space;

/*
 * Same place: the same return addresses, and innermost the same function. (There, the address
 * itself differs between threads that compute.) Invariant: n > 0, threads in the order of tids.
 */
struct insp_thread_group {
	const struct insp_thread **threads; /* [n] */
	size_t n;
	uint64_t cpu_ns;		    /* of all of them */
};

struct insp_thread_groups {
	struct insp_thread_group *items; /* in the order of their first threads */
	size_t n;
};

/* each: every thread is a group of its own. Lives in pool. */
int insp_threads_group(const struct insp_threads *threads, bool each, struct insp_pool *pool,
		       struct insp_thread_groups *ret, struct insp_error *err) insp_must_check;

/* "worker/0 .. worker/36", "worker", "a, b, c, ...": what the threads are called. View in pool. */
const char *insp_thread_group_names(const struct insp_thread_group *group, struct insp_pool *pool);

enum insp_wait_kind {
	INSP_WAIT_NONE, /* or for nothing that we can name */
	INSP_WAIT_MUTEX,
	INSP_WAIT_RWLOCK,
	INSP_WAIT_COND,
	INSP_WAIT_SEMAPHORE,
	INSP_WAIT_THREAD, /* pthread_join */
	INSP_WAIT_LIBC,	  /* a lock inside of the C library */
};

/* What a thread in futex() waits for, judged by the functions that led there. */
struct insp_wait {
	enum insp_wait_kind kind;
	uint64_t addr;			 /* of the futex word: for a mutex, of the mutex */
	bool free_now;			 /* mutex: nobody holds it any more */
	int owner_ns_tid;		 /* mutex, thread: in the target's namespace; 0 unknown */
	const struct insp_thread *owner; /* NULL: unknown, or no thread of this process */
};

/* space may be NULL: then nobody knows who holds it. */
void insp_wait_of(const struct insp_threads *threads, const struct insp_thread *thread,
		  struct insp_space *space, struct insp_wait *ret);
/* "mutex", "rwlock", ...; NULL for NONE. */
const char *insp_wait_key(enum insp_wait_kind kind);
/* "a mutex at 0x..., held by thread 12 (main)"; NULL for NONE. View in pool. */
const char *insp_wait_text(const struct insp_wait *wait, struct insp_pool *pool);

#endif
