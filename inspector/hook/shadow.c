/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * shadow: full mode's records: a word for every 32 bytes of address space in which there are blocks.
 *
 * Two live blocks of glibc's malloc never start in the same 32 bytes, so a block's address is the
 * index of its word: no search, no lock, and no more than a quarter of the heap's size. A slack (what
 * the block has beyond the bytes asked for) that does not fit into its six bits goes into the
 * next word, which is free: a block with so much slack is longer than 64 bytes. The word that
 * names the site is written last and erased first. Putting and erasing are in fast.h.
 */
#include "hook/fast.h"
#include "hook/hook.h"

uint64_t *insp_hook_shadow_root;

int insp_hook_shadow_init(void)
{
	insp_hook_shadow_root = insp_hook_map(INSP_HOOK_ROOTS * sizeof(uint64_t));
	if (!insp_hook_shadow_root)
		return -1;
	insp_hook_header.shadow = (uint64_t)insp_hook_shadow_root;
	return 0;
}

/* The table behind *slot, made when there is none and `make` says so. Lock-free: the loser of a race
   gives its own back. */
static uint64_t *table_make(uint64_t *slot, size_t nwords)
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

hook_cold uint64_t *insp_hook_shadow_make(uintptr_t p)
{
	uint64_t *word = insp_hook_shadow_word(p), *table, *slot;

	if (word || p >> 47)
		return word;
	slot = &insp_hook_shadow_root[p >> INSP_HOOK_ROOT_SHIFT];
	table = (uint64_t *)__atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (!table)
		table = table_make(slot, INSP_HOOK_MIDDLES);
	if (table)
		(void)table_make(&table[(p >> INSP_HOOK_LEAF_SHIFT) % INSP_HOOK_MIDDLES],
				 INSP_HOOK_LEAF_WORDS);
	return insp_hook_shadow_word(p);
}

uint64_t insp_hook_shadow_take(uintptr_t p)
{
	uint64_t *word = insp_hook_shadow_word(p), w = word ? __atomic_load_n(word, __ATOMIC_RELAXED) : 0;

	if (w)
		__atomic_store_n(word, 0, __ATOMIC_RELEASE);
	return w;
}

void insp_hook_shadow_restore(uintptr_t p, uint64_t w)
{
	uint64_t *word = insp_hook_shadow_word(p);

	/* A slack in the next word is still there: nobody else writes into the grains of a live block. */
	if (word)
		__atomic_store_n(word, w, __ATOMIC_RELEASE);
}
