/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fast: what each event of full mode does with the tables, in line.
 *
 * The memory of a program that allocates is in the caches; ours shall need few lines beside it, and
 * nothing that the program waits for: per event one entry of the site index, one pair of counters,
 * one word of the shadow, and at the end of a block a single store.
 */
#ifndef INSP_HOOK_FAST_H
#define INSP_HOOK_FAST_H

#include <time.h>

#include "hook/hook.h"

/* For a return address: the rule of the call before it, if it is remembered in the first place. */
static hook_inline bool insp_hook_rule_known(uintptr_t return_address, uint64_t *ret_rule)
{
	const struct insp_hook_rule_entry *entry = insp_hook_rule_entry(return_address);
	uint64_t rule = __atomic_load_n(&entry->rule, __ATOMIC_RELAXED);
	uint64_t key = __atomic_load_n(&entry->key, __ATOMIC_RELAXED);
	uint64_t now = __atomic_load_n(&insp_hook_rules.generation, __ATOMIC_RELAXED);

	*ret_rule = rule;
	return (key ^ rule ^ now) == return_address;
}

/* The same in any case. */
static hook_inline uint64_t insp_hook_rule_of(uintptr_t return_address)
{
	uint64_t rule;

	return hook_likely(insp_hook_rule_known(return_address, &rule)) ? rule
									: insp_hook_rule_slow(return_address);
}

/* The site of a stack that was met before, or 0. */
static hook_inline uint32_t insp_hook_site_find(uint64_t hash)
{
	const struct insp_hook_site_index *index = __atomic_load_n(&insp_hook_sites, __ATOMIC_ACQUIRE);
	uint64_t mask = (UINT64_C(1) << index->bits) - 1, there;

	for (uint64_t i = hash >> (64 - index->bits);; i = (i + 1) & mask) {
		there = __atomic_load_n(&index->entries[i], __ATOMIC_ACQUIRE);
		if (hook_likely(!((there ^ hash << INSP_HOOK_SITE_BITS) >> INSP_HOOK_SITE_BITS)))
			return (uint32_t)(there & INSP_HOOK_SITE_MASK);
		if (!there)
			return 0;
	}
}

typedef uint64_t insp_hook_pair __attribute__((vector_size(16)));

/* In a thread's own bank; NULL: there is no such page so far. */
static hook_inline insp_hook_pair *insp_hook_pair_of(const struct insp_hook_thread *t, uint32_t site)
{
	insp_hook_pair *page = (insp_hook_pair *)t->pages[site / INSP_HOOK_PAGE_SITES];

	return page ? page + site % INSP_HOOK_PAGE_SITES : NULL;
}

/* Each page of counters fills a page of memory, and there is one of those for each behind it. */
static hook_inline struct insp_hook_next *insp_hook_next_of(insp_hook_pair *pair)
{
	const uintptr_t page_bytes = INSP_HOOK_PAGE_SITES * sizeof(*pair), in_page = (uintptr_t)pair % page_bytes;

	_Static_assert(sizeof(struct insp_hook_next) == 2 * sizeof(*pair), "twice as far from the begin");
	return (struct insp_hook_next *)((uintptr_t)pair + page_bytes + in_page);
}

static hook_cold void insp_hook_count_slow(struct insp_hook_thread *t, uint32_t site, uint64_t objects,
					   uint64_t bytes)
{
	uint64_t page = t->pages ? (uint64_t)insp_hook_counters_page(t->pages, site / INSP_HOOK_PAGE_SITES)
				 : 0;

	if (page)
		*((insp_hook_pair *)page + site % INSP_HOOK_PAGE_SITES) += (insp_hook_pair){objects, bytes};
	else
		insp_hook_count_shared(site, objects, bytes);
}

/* Counts in the thread's own bank, or the shared one. One 16-byte store: a stop never sees an object
   counted and its bytes not. */
static hook_inline void insp_hook_count(struct insp_hook_thread *t, uint32_t site, uint64_t objects,
					uint64_t bytes)
{
	insp_hook_pair *pair = hook_likely(t->pages) ? insp_hook_pair_of(t, site) : NULL;

	if (hook_unlikely(!pair)) {
		insp_hook_count_slow(t, site, objects, bytes);
		return;
	}
	*pair += (insp_hook_pair){objects, bytes};
	t->after = insp_hook_next_of(pair);
	pair = insp_hook_pair_of(t, t->after->site);
	__builtin_prefetch(pair);
	__builtin_prefetch(insp_hook_next_of(pair));
}

/* The word of the shadow for a block at p; NULL: there is none so far. */
static hook_inline uint64_t *insp_hook_shadow_word(uintptr_t p)
{
	if (hook_unlikely(p >> 47))
		return NULL;
	uint64_t *middle = (uint64_t *)__atomic_load_n(&insp_hook_shadow_root[p >> INSP_HOOK_ROOT_SHIFT],
						       __ATOMIC_ACQUIRE);

	if (hook_unlikely(!middle))
		return NULL;
	uint64_t *leaf = (uint64_t *)__atomic_load_n(
		&middle[(p >> INSP_HOOK_LEAF_SHIFT) % INSP_HOOK_MIDDLES], __ATOMIC_ACQUIRE);

	if (hook_unlikely(!leaf))
		return NULL;
	return &leaf[(p >> INSP_HOOK_GRAIN_SHIFT) % INSP_HOOK_LEAF_WORDS];
}

/*
 * malloc_usable_size() without the call, for the hot path: glibc keeps the chunk's size, with three
 * flags in the low bits, in front of the block; a chunk of its own mapping (flag 2) ends
 * there, any other lends the first word of the next (malloc/malloc.c, "chunk2mem", since 2.0).
 */
static hook_inline uint64_t insp_hook_usable(uintptr_t p)
{
	uint64_t head = ((const uint64_t *)p)[-1];

	return (head & ~UINT64_C(7)) - (head & 2 ? 16 : 8);
}

static hook_cold uint32_t insp_hook_encode_second(struct insp_hook_thread *t, int64_t second)
{
	uint32_t now = insp_hook_seconds(), e = 0;

	while (now >> e >> INSP_HOOK_MANTISSA)
		e++;
	t->second = second;
	t->encoded = now >> e | e << INSP_HOOK_MANTISSA;
	return t->encoded;
}

/* The time as a record writes it. time() only loads a word, and says by any change that the clock is to be read
   that nobody can set. */
static hook_inline uint32_t insp_hook_encoded_now(struct insp_hook_thread *t)
{
	int64_t second = time(NULL);

	return hook_likely(second == t->second) ? t->encoded : insp_hook_encode_second(t, second);
}

/* Bit 4 of the address, where the word wants it. */
static hook_inline uint64_t insp_hook_shadow_half(uintptr_t p)
{
	return (p & INSP_HOOK_HALF_BYTES) * (INSP_HOOK_HALF / INSP_HOOK_HALF_BYTES);
}

/* Records a block in full mode, in its word of the shadow if that is there already; false: no memory. */
static hook_inline bool insp_hook_shadow_put(struct insp_hook_thread *t, uint64_t *word, uintptr_t p,
					     uint64_t size_bytes, uint32_t site)
{
	uint64_t slack = insp_hook_usable(p) - size_bytes;

	if (hook_unlikely(!word)) {
		word = insp_hook_shadow_make(p);
		if (!word)
			return false;
	}
	if (hook_unlikely(slack >= INSP_HOOK_SLACK_MORE)) {
		uint64_t *next = insp_hook_shadow_make(p + (1u << INSP_HOOK_GRAIN_SHIFT));

		if (!next)
			return false;
		__atomic_store_n(next, INSP_HOOK_SITE_SLACK | slack << INSP_HOOK_SLACK_SHIFT,
				 __ATOMIC_RELEASE);
		slack = INSP_HOOK_SLACK_MORE;
	}
	__atomic_store_n(word,
			 site | insp_hook_shadow_half(p) | slack << INSP_HOOK_SLACK_SHIFT |
				 (uint64_t)insp_hook_encoded_now(t) << INSP_HOOK_TIME_SHIFT |
				 (uint64_t)t->serial << INSP_HOOK_THREAD_SHIFT,
			 __ATOMIC_RELEASE);
	return true;
}

/*
 * The end of a block: a store, and no look at what was there, which may be far away. Whatever was in
 * this grain was the record of this block, since no other one that lives can start there.
 */
static hook_inline void insp_hook_shadow_erase(uintptr_t p)
{
	uint64_t *word = insp_hook_shadow_word(p);

	if (hook_likely(word))
		__atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

#endif
