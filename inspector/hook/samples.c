/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * samples: the live blocks that were drawn, in sampled mode.
 *
 * A hash table with open addressing and no locks: an allocation claims an empty entry by compare
 * and swap, fills it, and publishes the address last; a free finds its own block's entry, which
 * nobody else can be interested in. It does not grow: what does not fit is counted as dropped. A few
 * entries near its begin are tried first, so that the samples of a small heap share few pages.
 *
 * In front of it, for the fast path of free, stands a filter of one bit a slot. A counter behind
 * each bit lets bits be cleared again; one that reaches its maximum stays set. There are two, and all
 * is in both: a small one, which leaves the program its cache, and one for when that is too full to
 * say no.
 */
#include <string.h>

#include "hook/hook.h"

#define SMALL_BITS 15
#define LARGE_BITS 17
#define SMALL_HOLDS (1 << (SMALL_BITS - 4)) /* blocks: one slot in sixteen */

/* The shift, then the bits: see insp_hook_maybe. */
static const uint64_t none[] = {63, 0}, all[] = {63, UINT64_MAX};
static uint64_t small[1 + (1 << (SMALL_BITS - 6))] = {64 - SMALL_BITS};
static uint64_t large[1 + (1 << (LARGE_BITS - 6))] = {64 - LARGE_BITS};
static uint8_t small_counts[1 << SMALL_BITS], large_counts[1 << LARGE_BITS];
static int32_t live; /* in them */

const uint64_t *insp_hook_filter = none;

#define EMPTY	0
#define GONE	1
#define FILLING 2

static struct insp_hook_sample *samples;
static uint32_t samples_mask;

/* Where an entry may be: within so many from where a hash, shifted, points to. */
#define NEAR_BITS 10
static struct {
	unsigned shift, probes;
} areas[] = {{.probes = 8}, {.probes = 64}};
#define NAREAS (sizeof(areas) / sizeof(areas[0]))

int insp_hook_samples_init(void)
{
	unsigned bits = 8;

	while (1u << bits < insp_hook_limits.samples && bits < 24)
		bits++;
	samples = insp_hook_map(sizeof(*samples) << bits);
	if (!samples)
		return -1;
	samples_mask = (1u << bits) - 1;
	areas[0].shift = 64 - (bits < NEAR_BITS ? bits : NEAR_BITS);
	areas[1].shift = 64 - bits;
	insp_hook_header.samples = (uint64_t)samples;
	insp_hook_header.samples_cap = 1u << bits;
	return 0;
}

static void set_bit(uint64_t *filter, uint8_t *counts, uintptr_t p)
{
	uint64_t slot = insp_hook_filter_hash(p) >> filter[0];
	uint8_t n = __atomic_load_n(&counts[slot], __ATOMIC_RELAXED);

	while (n < UINT8_MAX)
		if (__atomic_compare_exchange_n(&counts[slot], &n, (uint8_t)(n + 1), true, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			break;
	(void)__atomic_fetch_or(&filter[1 + slot / 64], UINT64_C(1) << (slot % 64), __ATOMIC_RELAXED);
}

/*
 * Another thread may add to the slot between the two steps and find its bit cleared: so the bit
 * goes first, and comes back when the counter says that somebody needs it.
 */
static void clear_bit(uint64_t *filter, uint8_t *counts, uintptr_t p)
{
	uint64_t slot = insp_hook_filter_hash(p) >> filter[0];
	uint64_t *word = &filter[1 + slot / 64], bit = UINT64_C(1) << (slot % 64);
	uint8_t n = __atomic_load_n(&counts[slot], __ATOMIC_RELAXED);

	do {
		if (n == UINT8_MAX || n == 0)
			return;
	} while (!__atomic_compare_exchange_n(&counts[slot], &n, (uint8_t)(n - 1), true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	if (n > 1)
		return;
	(void)__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&counts[slot], __ATOMIC_SEQ_CST))
		(void)__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
}

/* From then on frees look there; not if that is no step up. */
static void change_filter(const uint64_t *from, const uint64_t *to)
{
	(void)__atomic_compare_exchange_n(&insp_hook_filter, &from, to, false, __ATOMIC_RELEASE,
					  __ATOMIC_RELAXED);
}

void insp_hook_filter_add(uintptr_t p)
{
	set_bit(small, small_counts, p);
	set_bit(large, large_counts, p);
	change_filter(none, small);
	if (__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED) > SMALL_HOLDS)
		change_filter(small, large);
}

static void filter_remove(uintptr_t p)
{
	clear_bit(small, small_counts, p);
	clear_bit(large, large_counts, p);
	(void)__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
}

void insp_hook_filter_all(void)
{
	__atomic_store_n(&insp_hook_filter, all, __ATOMIC_RELEASE);
}

static uint32_t home(uintptr_t p, size_t area)
{
	return (uint32_t)(((p >> 4) * UINT64_C(0xd6e8feb86659fd93)) >> areas[area].shift);
}

static bool claim(struct insp_hook_sample *s)
{
	uint64_t there = EMPTY; /* most often, and a page that is only read first faults twice */

	return __atomic_compare_exchange_n(&s->addr, &there, FILLING, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED) ||
	       (there == GONE && __atomic_compare_exchange_n(&s->addr, &there, FILLING, false,
							     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

bool insp_hook_samples_add(const struct insp_hook_sample *sample)
{
	for (size_t area = 0; area < NAREAS; area++) {
		uint32_t i = home(sample->addr, area);

		for (unsigned k = 0; k < areas[area].probes; k++, i = (i + 1) & samples_mask) {
			if (!claim(&samples[i]))
				continue;
			samples[i].size_bytes = sample->size_bytes;
			samples[i].site = sample->site;
			samples[i].seconds = sample->seconds;
			samples[i].thread = sample->thread;
			insp_hook_filter_add(sample->addr);
			__atomic_store_n(&samples[i].addr, sample->addr, __ATOMIC_RELEASE);
			return true;
		}
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

static struct insp_hook_sample *find(uintptr_t p, size_t area)
{
	uint32_t i = home(p, area);

	for (unsigned k = 0; k < areas[area].probes; k++, i = (i + 1) & samples_mask) {
		uint64_t there = __atomic_load_n(&samples[i].addr, __ATOMIC_ACQUIRE);

		if (there == p)
			return &samples[i];
		if (there == EMPTY)
			return NULL;
	}
	return NULL;
}

bool insp_hook_samples_take(uintptr_t p, struct insp_hook_sample *ret)
{
	struct insp_hook_sample *s = NULL;

	for (size_t area = 0; area < NAREAS && !s; area++)
		s = find(p, area);
	if (!s)
		return false;
	*ret = *s;
	leave_entry((uint32_t)(s - samples));
	filter_remove(p);
	return true;
}
