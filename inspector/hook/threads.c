/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * threads: what each thread has of its own, and who is in the middle of an event.
 *
 * A thread takes a block at its first event and gives it back when it ends; so there are as
 * many blocks as threads ever lived at once. Blocks are never unmapped. libc and other libraries
 * allocate and free in a thread even after our destructor has run: such events take a block
 * for a moment each.
 *
 * Two stand-ins have no memory of their own: `starting` while a block is being taken (libc
 * may call calloc from pthread_setspecific) and `ended` behind the destructor. Both are busy.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hook/hook.h"

hook_tls uint64_t insp_hook_left;
hook_tls struct insp_hook_thread *insp_hook_self;

/* Those who share them share their random numbers, too: a race there is one more chance. */
static struct insp_hook_thread starting = {.busy = 1, .random = 88172645463325252},
			       ended = {.busy = 1, .random = 2685821657736338717};
static struct insp_hook_thread *threads;
static uint32_t nblocks;
static int nfree;
static uint32_t *tids;
static pthread_key_t key;
static bool have_key;

static void thread_ends(void *arg)
{
	struct insp_hook_thread *t = arg;

	insp_hook_self = &ended;
	__atomic_store_n(&t->taken, 0, __ATOMIC_RELEASE);
	__atomic_fetch_add(&nfree, 1, __ATOMIC_RELEASE);
}

int insp_hook_threads_init(void)
{
	tids = insp_hook_map(INSP_HOOK_THREADS * sizeof(*tids));
	if (!tids)
		return -1;
	insp_hook_header.threads = (uint64_t)tids;
	return 0;
}

/* Not before libc is up: see the constructor in start.c. */
void insp_hook_threads_late_init(void)
{
	have_key = pthread_key_create(&key, thread_ends) == 0;
}

static struct insp_hook_thread *reuse_block(void)
{
	if (__atomic_load_n(&nfree, __ATOMIC_ACQUIRE) <= 0)
		return NULL;
	for (struct insp_hook_thread *t = __atomic_load_n(&threads, __ATOMIC_ACQUIRE); t; t = t->next) {
		int none = 0;

		if (__atomic_load_n(&t->taken, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(&t->taken, &none, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED)) {
			__atomic_fetch_sub(&nfree, 1, __ATOMIC_RELAXED);
			return t;
		}
	}
	return NULL;
}

static struct insp_hook_thread *new_block(void)
{
	struct insp_hook_thread *t = insp_hook_map(sizeof(*t));

	if (!t)
		return NULL;
	t->taken = 1;
	insp_hook_memo_init(&t->memo);
	t->index = __atomic_fetch_add(&nblocks, 1, __ATOMIC_RELAXED);
	if (insp_hook_mode == INSP_HOOK_FULL)
		t->pages = insp_hook_bank_create(t->index);
	t->next = __atomic_load_n(&threads, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&threads, &t->next, t, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	return t;
}

static uint64_t seed(const struct insp_hook_thread *t)
{
	const uint64_t *entropy = (const uint64_t *)getauxval(AT_RANDOM);
	uint64_t x = (uint64_t)(uintptr_t)t ^ (uint64_t)t->tid << 32;

	if (entropy)
		x ^= entropy[0] + entropy[1] * t->serial;
	x ^= insp_hook_header.started_ns;
	for (int i = 0; i < 3; i++) {
		x ^= x >> 31;
		x *= UINT64_C(0x7fb5d329728ea185);
	}
	return x | 1;
}

/* Where this thread's own stack ends: the kernel put the first one below the program's environment,
   glibc puts its descriptor of a thread at the upper end of the others. */
static void find_stack(struct insp_hook_thread *t)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	uintptr_t first = getauxval(AT_RANDOM) & ~(uintptr_t)7, self = (uintptr_t)pthread_self();

	if (sp < first && first - sp < (UINT64_C(64) << 20)) {
		/* The kernel keeps at least 128 MiB below it free of other mappings. */
		t->stack_hi = first;
		t->stack_lo = first - (UINT64_C(64) << 20);
	} else if (sp < self && self - sp < (UINT64_C(1) << 30)) {
		t->stack_hi = self;
		t->stack_lo = self & ~(uintptr_t)4095;
	} else {
		t->stack_hi = t->stack_lo = 0;
	}
}

static struct insp_hook_thread *take_block(void)
{
	struct insp_hook_thread *t = reuse_block();

	if (!t)
		t = new_block();
	if (!t) {
		__atomic_fetch_add(&insp_hook_header.dropped_threads, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	t->tid = (uint32_t)syscall(SYS_gettid);
	t->serial = __atomic_fetch_add(&insp_hook_header.nthreads, 1, __ATOMIC_RELAXED) %
		    INSP_HOOK_THREADS;
	tids[t->serial] = t->tid;
	t->second = -1;
	t->memo.n = t->memo.site = 0;
	t->after = &t->after_any;
	t->transient = false;
	if (!t->random)
		t->random = seed(t);
	find_stack(t);
	return t;
}

hook_cold struct insp_hook_thread *insp_hook_enter_slow(void)
{
	struct insp_hook_thread *t = insp_hook_self;
	int saved = errno;

	if (t && t != &ended) {
		__atomic_fetch_add(&insp_hook_header.nested, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	if (insp_hook_mode == INSP_HOOK_OFF)
		return NULL;
	insp_hook_self = &starting;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	struct insp_hook_thread *mine = take_block();

	if (!mine) {
		insp_hook_self = t;
		return NULL;
	}
	mine->busy = 1;
	if (t == &ended || (have_key && pthread_setspecific(key, mine))) {
		mine->transient = true;
		errno = saved;
		return mine; /* self stays `starting` until it is left */
	}
	insp_hook_self = mine;
	errno = saved;
	return mine;
}

hook_cold void insp_hook_leave_slow(struct insp_hook_thread *t)
{
	t->busy = 0;
	insp_hook_self = &ended;
	__atomic_store_n(&t->taken, 0, __ATOMIC_RELEASE);
	__atomic_fetch_add(&nfree, 1, __ATOMIC_RELEASE);
}

/* In the child only the thread that forked is there. */
void insp_hook_threads_after_fork(void)
{
	struct insp_hook_thread *self = insp_hook_self;
	int unused = 0;

	for (struct insp_hook_thread *t = threads; t; t = t->next) {
		if (t == self)
			continue;
		if (t->busy && self == &starting)
			continue; /* it may be ours, in a moment */
		t->busy = 0;
		t->taken = 0;
		unused++;
	}
	nfree = unused;
	if (self && self != &starting && self != &ended) {
		self->tid = (uint32_t)syscall(SYS_gettid);
		tids[self->serial] = self->tid;
		self->random = seed(self);
	}
}
