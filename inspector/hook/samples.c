/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * samples: the live blocks that were drawn, in sampled mode.
 *
 * A hash table with open addressing and no locks: an allocation claims an empty entry by compare
 * and swap, fills it, and publishes the address last; a free finds its own block's entry, which
 * nobody else can be interested in. It does not grow: what does not fit is counted as dropped.
 *
 * In front of it, for the fast path of free, stands a filter of one bit a slot. A counter behind
 * each bit lets bits be cleared again; one that reaches its maximum stays set.
 */
#include <string.h>

#include "hook/hook.h"

uint64_t insp_hook_filter[1u << (HOOK_FILTER_BITS - 6)] __attribute__((aligned(64)));
uint64_t insp_hook_filter_shift = 64 - HOOK_FILTER_BITS;
static uint8_t filter_counts[1u << HOOK_FILTER_BITS];

#define EMPTY	0
#define GONE	1
#define FILLING 2
#define PROBES	64

static struct insp_hook_sample *samples;
static uint32_t samples_mask;
static unsigned samples_shift;

int insp_hook_samples_init(void)
{
	unsigned bits = 8;

	while (1u << bits < insp_hook_limits.samples && bits < 24)
		bits++;
	samples = insp_hook_map(sizeof(*samples) << bits);
	if (!samples)
		return -1;
	samples_mask = (1u << bits) - 1;
	samples_shift = 64 - bits;
	insp_hook_header.samples = (uint64_t)samples;
	insp_hook_header.samples_cap = 1u << bits;
	return 0;
}

void insp_hook_filter_add(uintptr_t p)
{
	uint64_t slot = insp_hook_filter_slot(p, 64 - HOOK_FILTER_BITS);
	uint8_t n = __atomic_load_n(&filter_counts[slot], __ATOMIC_RELAXED);

	while (n < UINT8_MAX)
		if (__atomic_compare_exchange_n(&filter_counts[slot], &n, (uint8_t)(n + 1), true,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			break;
	(void)__atomic_fetch_or(&insp_hook_filter[slot / 64], UINT64_C(1) << (slot % 64),
				__ATOMIC_RELAXED);
}

/*
 * Another thread may add to the slot between the two steps and find its bit cleared: so the bit
 * goes first, and comes back when the counter says that somebody needs it.
 */
static void filter_remove(uintptr_t p)
{
	uint64_t slot = insp_hook_filter_slot(p, 64 - HOOK_FILTER_BITS);
	uint64_t bit = UINT64_C(1) << (slot % 64);
	uint8_t n = __atomic_load_n(&filter_counts[slot], __ATOMIC_RELAXED);

	do {
		if (n == UINT8_MAX || n == 0)
			return;
	} while (!__atomic_compare_exchange_n(&filter_counts[slot], &n, (uint8_t)(n - 1), true,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	if (n > 1)
		return;
	(void)__atomic_fetch_and(&insp_hook_filter[slot / 64], ~bit, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&filter_counts[slot], __ATOMIC_SEQ_CST))
		(void)__atomic_fetch_or(&insp_hook_filter[slot / 64], bit, __ATOMIC_SEQ_CST);
}

void insp_hook_filter_all(void)
{
	__atomic_store_n(&insp_hook_filter[0], UINT64_MAX, __ATOMIC_RELAXED);
	__atomic_store_n(&insp_hook_filter_shift, 63, __ATOMIC_RELEASE);
}

static uint32_t home(uintptr_t p)
{
	return (uint32_t)(((p >> 4) * UINT64_C(0xd6e8feb86659fd93)) >> samples_shift);
}

bool insp_hook_samples_add(const struct insp_hook_sample *sample)
{
	uint32_t i = home(sample->addr);

	for (unsigned k = 0; k < PROBES; k++, i = (i + 1) & samples_mask) {
		uint64_t there = __atomic_load_n(&samples[i].addr, __ATOMIC_RELAXED);

		if (there > GONE ||
		    !__atomic_compare_exchange_n(&samples[i].addr, &there, FILLING, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		samples[i].size_bytes = sample->size_bytes;
		samples[i].site = sample->site;
		samples[i].seconds = sample->seconds;
		samples[i].thread = sample->thread;
		insp_hook_filter_add(sample->addr);
		__atomic_store_n(&samples[i].addr, sample->addr, __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

/*
 * Others may have probed past this entry, so it stays a stepping stone, unless the chain ends behind it:
 * a table full of stepping stones would make every search a long one.
 */
static void leave_entry(uint32_t i)
{
	uint64_t *next = &samples[(i + 1) & samples_mask].addr;
	uint64_t empty = EMPTY;

	if (__atomic_load_n(next, __ATOMIC_SEQ_CST) != EMPTY) {
		__atomic_store_n(&samples[i].addr, GONE, __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&samples[i].addr, EMPTY, __ATOMIC_SEQ_CST);
	/* Somebody may have stepped over us in between. */
	if (__atomic_load_n(next, __ATOMIC_SEQ_CST) != EMPTY)
		(void)__atomic_compare_exchange_n(&samples[i].addr, &empty, GONE, false,
						  __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

bool insp_hook_samples_take(uintptr_t p, struct insp_hook_sample *ret)
{
	uint32_t i = home(p);

	for (unsigned k = 0; k < PROBES; k++, i = (i + 1) & samples_mask) {
		uint64_t there = __atomic_load_n(&samples[i].addr, __ATOMIC_ACQUIRE);

		if (there == EMPTY)
			return false;
		if (there != p)
			continue;
		*ret = samples[i];
		leave_entry(i);
		filter_remove(p);
		return true;
	}
	return false;
}
