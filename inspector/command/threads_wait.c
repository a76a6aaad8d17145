/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * threads_wait: what a thread in futex() waits for, and who holds it.
 *
 * The kernel knows an address only. What lies there follows from the function that called: a
 * thread in futex() below pthread_mutex_lock() waits for a mutex, and the futex word is its first
 * member. glibc keeps the owner's thread id at offset 8 and the kind at 16 (struct
 * __pthread_mutex_s, sysdeps/nptl/bits/struct_mutex.h, the same since 2.4 on x86-64):
 *
 *     0 lock   4 count   8 owner   12 nusers   16 kind
 *
 * musl's mutex is different and keeps no owner for the plain kind: there it stays unknown.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>

#include "command/threads_group.h"
#include "target/space.h"

#define FRAMES_LOOKED_AT 12

enum futex_op {
	FUTEX_OP_WAIT = 0,
	FUTEX_OP_LOCK_PI = 6,
	FUTEX_OP_WAIT_BITSET = 9,
	FUTEX_OP_LOCK_PI2 = 13,
	FUTEX_OP_MASK = 127,
};

/* The first match counts: pthread_cond_wait takes its mutex again in __pthread_mutex_cond_lock,
   called from it, so the innermost of the two says what is waited for. */
static const struct {
	const char *part;
	enum insp_wait_kind kind;
} callers[] = {
	{"pthread_mutex_", INSP_WAIT_MUTEX},	 {"pthread_rwlock_", INSP_WAIT_RWLOCK},
	{"pthread_cond_", INSP_WAIT_COND},	 {"sem_wait", INSP_WAIT_SEMAPHORE},
	{"sem_timedwait", INSP_WAIT_SEMAPHORE},	 {"sem_clockwait", INSP_WAIT_SEMAPHORE},
	{"pthread_clockjoin", INSP_WAIT_THREAD}, {"pthread_join", INSP_WAIT_THREAD},
	{"pthread_timedjoin", INSP_WAIT_THREAD},
};

static enum insp_wait_kind kind_of(const struct insp_thread *t, bool *ret_musl)
{
	enum insp_wait_kind fallback = INSP_WAIT_NONE;

	for (size_t i = 0; i < t->frames.n && i < FRAMES_LOOKED_AT; i++) {
		const struct insp_frame *f = &t->frames.items[i];

		if (!f->function)
			continue;
		*ret_musl = f->module && strstr(f->module, "musl");
		for (size_t k = 0; k < sizeof(callers) / sizeof(callers[0]); k++)
			if (strstr(f->function, callers[k].part))
				return callers[k].kind;
		if (strstr(f->function, "lll_lock_wait"))
			fallback = INSP_WAIT_LIBC;
	}
	return fallback;
}

static const struct insp_thread *thread_of(const struct insp_threads *threads, int ns_tid)
{
	for (size_t i = 0; i < threads->n; i++)
		if (threads->items[i].ns_tid == ns_tid)
			return &threads->items[i];
	return NULL;
}

static int mutex_owner(struct insp_space *space, uint64_t addr, bool pi, bool *ret_free)
{
	uint32_t words[5];

	if (!space || insp_space_read(space, addr, words, sizeof(words)))
		return 0;
	*ret_free = !words[0];
	if (pi)
		return (int)(words[0] & 0x3fffffff);
	/* A count of users of zero means that this is no mutex of glibc, or nobody's. */
	return words[0] && words[3] && words[2] <= INT32_MAX ? (int)words[2] : 0;
}

void insp_wait_of(const struct insp_threads *threads, const struct insp_thread *thread,
		  struct insp_space *space, struct insp_wait *ret)
{
	unsigned op = (unsigned)thread->syscall_args[1] & FUTEX_OP_MASK;
	bool pi = op == FUTEX_OP_LOCK_PI || op == FUTEX_OP_LOCK_PI2, musl = false;

	*ret = (struct insp_wait){.kind = INSP_WAIT_NONE};
	if (thread->syscall != SYS_futex ||
	    (op != FUTEX_OP_WAIT && op != FUTEX_OP_WAIT_BITSET && !pi))
		return;
	ret->kind = kind_of(thread, &musl);
	ret->addr = thread->syscall_args[0];
	if (ret->kind == INSP_WAIT_MUTEX && !musl)
		ret->owner_ns_tid = mutex_owner(space, ret->addr, pi, &ret->free_now);
	else if (ret->kind == INSP_WAIT_THREAD) /* the word is that thread's id, until it ends */
		ret->owner_ns_tid = (int)thread->syscall_args[2];
	if (ret->owner_ns_tid)
		ret->owner = thread_of(threads, ret->owner_ns_tid);
}

const char *insp_wait_key(enum insp_wait_kind kind)
{
	static const char *const keys[] = {
		[INSP_WAIT_MUTEX] = "mutex",   [INSP_WAIT_RWLOCK] = "rwlock",
		[INSP_WAIT_COND] = "condition", [INSP_WAIT_SEMAPHORE] = "semaphore",
		[INSP_WAIT_THREAD] = "thread", [INSP_WAIT_LIBC] = "libc_lock",
	};

	return keys[kind];
}

const char *insp_wait_text(const struct insp_wait *wait, struct insp_pool *pool)
{
	static const char *const words[] = {
		[INSP_WAIT_MUTEX] = "a mutex",		   [INSP_WAIT_RWLOCK] = "a rwlock",
		[INSP_WAIT_COND] = "a condition variable", [INSP_WAIT_SEMAPHORE] = "a semaphore",
		[INSP_WAIT_THREAD] = "the end of a thread",
		[INSP_WAIT_LIBC] = "a lock inside of the C library",
	};
	const char *verb = wait->kind == INSP_WAIT_THREAD ? ":" : ", held by";

	if (!words[wait->kind])
		return NULL;
	if (wait->owner)
		return insp_pool_printf(pool, "%s at %#" PRIx64 "%s thread %d (%s)",
					words[wait->kind], wait->addr, verb, wait->owner->tid,
					wait->owner->name);
	if (wait->owner_ns_tid)
		return insp_pool_printf(pool, "%s at %#" PRIx64 "%s thread %d, which is not one of "
					"this process", words[wait->kind], wait->addr, verb,
					wait->owner_ns_tid);
	return insp_pool_printf(pool, "%s at %#" PRIx64 "%s", words[wait->kind], wait->addr,
				wait->free_now ? ", which is free by now" : "");
}
