/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * shadow: full mode's records: a word for every 32 bytes of address space in which there are blocks.
 *
 * Two live blocks of glibc's malloc never start in the same 32 bytes, so a block's address is the
 * index of its word: no search, no lock, and no more than a quarter of the heap's size. A slack (what
 * the block has beyond the bytes asked for) that does not fit into its six bits goes into the
 * next word, which is free: a block with so much slack is longer than 64 bytes. The word that
 * names the site is written last and erased first.
 */
#include "hook/hook.h"

static uint64_t *root;

int insp_hook_shadow_init(void)
{
	root = insp_hook_map(INSP_HOOK_ROOTS * sizeof(uint64_t));
	if (!root)
		return -1;
	insp_hook_header.shadow = (uint64_t)root;
	return 0;
}

/* The table behind *slot, made when there is none and `make` says so. Lock-free: the loser of a race
   gives its own back. */
static hook_cold uint64_t *table_make(uint64_t *slot, size_t nwords)
{
	uint64_t *fresh = insp_hook_map(nwords * sizeof(uint64_t));
	uint64_t there = 0;

	if (!fresh)
		return NULL;
	if (__atomic_compare_exchange_n(slot, &there, (uint64_t)fresh, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return fresh;
	insp_hook_unmap(fresh, nwords * sizeof(uint64_t));
	return (uint64_t *)there;
}

static inline uint64_t *word_of(uintptr_t p, bool make)
{
	if (hook_unlikely(p >> 47))
		return NULL;
	uint64_t *slot = &root[p >> INSP_HOOK_ROOT_SHIFT];
	uint64_t *table = (uint64_t *)__atomic_load_n(slot, __ATOMIC_ACQUIRE);

	if (hook_unlikely(!table)) {
		table = make ? table_make(slot, INSP_HOOK_MIDDLES) : NULL;
		if (!table)
			return NULL;
	}
	slot = &table[(p >> INSP_HOOK_LEAF_SHIFT) % INSP_HOOK_MIDDLES];
	table = (uint64_t *)__atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (hook_unlikely(!table)) {
		table = make ? table_make(slot, INSP_HOOK_LEAF_WORDS) : NULL;
		if (!table)
			return NULL;
	}
	return &table[(p >> INSP_HOOK_GRAIN_SHIFT) % INSP_HOOK_LEAF_WORDS];
}

/*
 * malloc_usable_size() without the call, for the hot path: glibc keeps the chunk's size, with three
 * flags in the low bits, in front of the block; a chunk of its own mapping (flag 2) ends
 * there, any other lends the first word of the next (malloc/malloc.c, "chunk2mem", since 2.0).
 */
static inline uint64_t usable(uintptr_t p)
{
	uint64_t head = ((const uint64_t *)p)[-1];

	return (head & ~UINT64_C(7)) - (head & 2 ? 16 : 8);
}

static inline uint32_t encode_seconds(struct insp_hook_thread *t)
{
	uint32_t now = insp_hook_seconds();

	if (hook_likely(now == t->seconds))
		return t->encoded;
	uint32_t e = 0;

	while (now >> e >> INSP_HOOK_MANTISSA)
		e++;
	t->seconds = now;
	t->encoded = now >> e | e << INSP_HOOK_MANTISSA;
	return t->encoded;
}

/* Bit 4 of the address, where the word wants it. */
static inline uint64_t half_of(uintptr_t p)
{
	return (p & INSP_HOOK_HALF_BYTES) * (INSP_HOOK_HALF / INSP_HOOK_HALF_BYTES);
}

bool insp_hook_shadow_put(struct insp_hook_thread *t, uintptr_t p, uint64_t size_bytes,
			  uint32_t site)
{
	uint64_t *word = word_of(p, true);
	uint64_t slack = usable(p) - size_bytes;

	if (hook_unlikely(!word))
		return false;
	if (hook_unlikely(slack >= INSP_HOOK_SLACK_MORE)) {
		uint64_t *next = word_of(p + (1u << INSP_HOOK_GRAIN_SHIFT), true);

		if (!next)
			return false;
		__atomic_store_n(next, INSP_HOOK_SITE_SLACK | slack << INSP_HOOK_SLACK_SHIFT,
				 __ATOMIC_RELEASE);
		slack = INSP_HOOK_SLACK_MORE;
	}
	__atomic_store_n(word,
			 site | half_of(p) | slack << INSP_HOOK_SLACK_SHIFT |
				 (uint64_t)encode_seconds(t) << INSP_HOOK_TIME_SHIFT |
				 (uint64_t)t->serial << INSP_HOOK_THREAD_SHIFT,
			 __ATOMIC_RELEASE);
	return true;
}

bool insp_hook_shadow_take(uintptr_t p, struct insp_hook_record *ret)
{
	uint64_t *word = word_of(p, false);

	if (hook_unlikely(!word))
		return false;
	/* Both are far away when the block is old: let them come together. */
	__builtin_prefetch((const void *)(p - 16));
	uint64_t w = __atomic_load_n(word, __ATOMIC_RELAXED);
	uint64_t slack = w >> INSP_HOOK_SLACK_SHIFT & 63;

	ret->site = (uint32_t)(w & INSP_HOOK_SITE_MASK);
	if (hook_unlikely(!ret->site || ret->site == INSP_HOOK_SITE_SLACK ||
			  (w & INSP_HOOK_HALF) != half_of(p)))
		return false;
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
	if (hook_unlikely(slack == INSP_HOOK_SLACK_MORE)) {
		uint64_t *next = word_of(p + (1u << INSP_HOOK_GRAIN_SHIFT), false);

		slack = next ? *next >> INSP_HOOK_SLACK_SHIFT : 0;
		if (next)
			__atomic_store_n(next, 0, __ATOMIC_RELEASE);
	}
	ret->word = w;
	ret->size_bytes = usable(p) - slack;
	return true;
}

void insp_hook_shadow_restore(uintptr_t p, const struct insp_hook_record *record)
{
	uint64_t *word = word_of(p, false), w = record->word;

	if (!word)
		return;
	if ((w >> INSP_HOOK_SLACK_SHIFT & 63) == INSP_HOOK_SLACK_MORE) {
		uint64_t *next = word_of(p + (1u << INSP_HOOK_GRAIN_SHIFT), false);

		if (!next)
			return;
		*next = INSP_HOOK_SITE_SLACK |
			(usable(p) - record->size_bytes) << INSP_HOOK_SLACK_SHIFT;
	}
	__atomic_store_n(word, w, __ATOMIC_RELEASE);
}
