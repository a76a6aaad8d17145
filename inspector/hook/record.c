/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * record: what happens at an allocation that is recorded, and at the end of a recorded block.
 *
 * Order matters, since another thread may get the same address a moment later:
 *     malloc   the real call first, then the record
 *     free     the record goes first, then the real call
 *     realloc  the old record goes, the real call, then the new one (or the old one again)
 */
#include <errno.h>
#include <string.h>

#include "hook/fast.h"
#include "hook/hook.h"

/* The program's frame: what lies above the return address of a slow path that was jumped to. */
struct caller {
	uint64_t pc, sp, bp;
};
#define CALLER()                                                                  \
	((struct caller){((const uint64_t *)__builtin_frame_address(0))[1],       \
			 (uint64_t)__builtin_frame_address(0) + 16,               \
			 ((const uint64_t *)__builtin_frame_address(0))[0]})

/* So large that the countdown never comes back to it. */
#define NEVER (UINT64_MAX >> 1)

/* As below, in any mode but full. */
static hook_cold bool drawn_otherwise(size_t n)
{
	if (hook_unlikely(insp_hook_mode == INSP_HOOK_OFF)) {
		if (!insp_hook_start())
			return false; /* asks again next time */
		if (insp_hook_mode == INSP_HOOK_OFF) {
			insp_hook_left = NEVER;
			return false;
		}
		return insp_hook_mode == INSP_HOOK_FULL || drawn_otherwise(n);
	}
	if (n > PTRDIFF_MAX)
		return false; /* it will fail */
	if (!insp_hook_self) {
		struct insp_hook_thread *t = insp_hook_enter();

		if (!t) {
			insp_hook_left = insp_hook_header.sample_bytes;
			return false;
		}
		insp_hook_left = insp_hook_draw(&t->random);
		insp_hook_leave(t);
	}
	if (n <= insp_hook_left) {
		insp_hook_left -= n;
		return false;
	}
	insp_hook_left = insp_hook_draw(&insp_hook_self->random);
	return true;
}

/* Is a block of n bytes to be recorded? Also sets the countdown again. */
static hook_inline bool drawn(size_t n)
{
	return hook_likely(insp_hook_mode == INSP_HOOK_FULL) || drawn_otherwise(n);
}

static hook_cold void record_sample(struct insp_hook_thread *t, uintptr_t p, size_t n, uint32_t site)
{
	const struct insp_hook_sample sample = {
		.addr = p,
		.size_bytes = n,
		.site = site,
		.seconds = insp_hook_seconds(),
		.thread = t->tid,
	};
	double chance = insp_hook_chance(n);

	insp_hook_count(t, site, (uint64_t)(INSP_HOOK_COUNT_SCALE / chance + 0.5),
			(uint64_t)((double)n / chance + 0.5));
	__atomic_fetch_add(&insp_hook_header.nsamples, 1, __ATOMIC_RELAXED);
	if (!insp_hook_samples_add(&sample))
		__atomic_fetch_add(&insp_hook_header.dropped_records, 1, __ATOMIC_RELAXED);
}

static hook_inline void record_block(struct insp_hook_thread *t, uint64_t *word, void *p, size_t n,
				     uint32_t site)
{
	if (hook_likely(insp_hook_shadow_put(t, word, (uintptr_t)p, n, site)))
		insp_hook_count(t, site, 1, n);
	else
		__atomic_fetch_add(&insp_hook_header.dropped_records, 1, __ATOMIC_RELAXED);
}

/* Any mode, any thread. */
static hook_cold void record_any(void *p, size_t n, const struct caller *caller)
{
	struct insp_hook_thread *t = insp_hook_enter();

	if (!t)
		return;
	uint32_t site = insp_hook_capture(t, caller->pc, caller->sp, caller->bp);

	if (site && insp_hook_mode == INSP_HOOK_FULL)
		record_block(t, insp_hook_shadow_word((uintptr_t)p), p, n, site);
	else if (site)
		record_sample(t, (uintptr_t)p, n, site);
	insp_hook_leave(t);
}

static hook_inline void record(void *p, size_t n, const struct caller *caller)
{
	struct insp_hook_thread *t = insp_hook_self;

	if (hook_unlikely(insp_hook_mode != INSP_HOOK_FULL || !t || t->busy)) {
		record_any(p, n, caller);
		return;
	}
	t->busy = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	/* On its way while the stack is walked. */
	uint64_t *word = insp_hook_shadow_word((uintptr_t)p);

	__builtin_prefetch(word, 1);
	uint32_t site = insp_hook_capture(t, caller->pc, caller->sp, caller->bp);

	if (hook_likely(site))
		record_block(t, word, p, n, site);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	t->busy = 0;
}

static hook_cold void *malloc_otherwise(size_t n, const struct caller *caller)
{
	bool wanted = drawn(n);
	void *p = insp_hook_real.malloc(n);

	if (wanted && p)
		record_any(p, n, caller);
	return p;
}

void *insp_hook_slow_malloc(size_t n)
{
	struct caller caller = CALLER();
	void *p;

	if (hook_unlikely(insp_hook_mode != INSP_HOOK_FULL))
		return malloc_otherwise(n, &caller);
	p = insp_hook_real.malloc(n);
	if (hook_likely(p))
		record(p, n, &caller);
	return p;
}

void *insp_hook_slow_calloc(size_t n, size_t size_bytes)
{
	struct caller caller = CALLER();
	size_t total;
	bool wanted = !__builtin_mul_overflow(n, size_bytes, &total) && drawn(total);
	void *p = insp_hook_real.calloc(n, size_bytes);

	if (wanted && p)
		record_any(p, total, &caller);
	return p;
}

void *insp_hook_slow_aligned(void *(*real)(size_t, size_t), size_t align, size_t n)
{
	struct caller caller = CALLER();
	bool wanted = drawn(n);
	void *p = real(align, n);

	if (wanted && p)
		record_any(p, n, &caller);
	return p;
}

void *insp_hook_slow_paged(void *(*real)(size_t), size_t n)
{
	struct caller caller = CALLER();
	bool wanted = drawn(n);
	void *p = real(n);

	if (wanted && p)
		record_any(p, n, &caller);
	return p;
}

int insp_hook_slow_posix_memalign(void **ret, size_t align, size_t n)
{
	struct caller caller = CALLER();
	bool wanted = drawn(n);
	int rc = insp_hook_real.posix_memalign(ret, align, n);

	if (wanted && !rc)
		record_any(*ret, n, &caller);
	return rc;
}

/* ---- the end of a block */

static hook_cold void end_of_sample(void *p)
{
	struct insp_hook_sample sample;

	if (p && insp_hook_mode == INSP_HOOK_SAMPLED)
		(void)insp_hook_samples_take((uintptr_t)p, &sample);
}

void insp_hook_slow_free(void *p)
{
	if (hook_unlikely(insp_hook_early(p)))
		return;
	if (hook_likely(insp_hook_mode == INSP_HOOK_FULL))
		insp_hook_shadow_erase((uintptr_t)p);
	else
		end_of_sample(p);
	insp_hook_real.free(p);
}

static hook_cold void *leave_early_block(void *p, size_t n)
{
	size_t was = insp_hook_early_size(p);
	void *q = insp_hook_real.malloc(n);

	if (q)
		memcpy(q, p, was < n ? was : n);
	return q;
}

/* What was known about a block, as long as it may still be needed. */
struct former {
	uint64_t word; /* full mode */
	bool sampled;
	struct insp_hook_sample sample;
};

static hook_inline void take(void *p, struct former *ret)
{
	ret->word = 0;
	ret->sampled = false;
	if (hook_likely(insp_hook_mode == INSP_HOOK_FULL))
		ret->word = insp_hook_shadow_take((uintptr_t)p);
	else if (insp_hook_mode == INSP_HOOK_SAMPLED)
		ret->sampled = insp_hook_samples_take((uintptr_t)p, &ret->sample);
}

static hook_cold void put_back(void *p, const struct former *former)
{
	if (former->word)
		insp_hook_shadow_restore((uintptr_t)p, former->word);
	else if (former->sampled && !insp_hook_samples_add(&former->sample))
		__atomic_fetch_add(&insp_hook_header.dropped_records, 1, __ATOMIC_RELAXED);
}

void *insp_hook_slow_realloc(void *p, size_t n)
{
	struct caller caller = CALLER();
	bool wanted = drawn(n);
	struct former former = {.word = 0};
	void *q;

	if (hook_unlikely(p && insp_hook_early(p))) {
		q = leave_early_block(p, n);
	} else {
		if (p)
			take(p, &former);
		q = insp_hook_real.realloc(p, n);
	}
	if (hook_unlikely(!q && n && p))
		put_back(p, &former);
	if (wanted && q)
		record(q, n, &caller);
	return q;
}
