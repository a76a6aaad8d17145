/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * counters: per site, what was allocated since the start. What of that is in use, the records say.
 *
 * A bank is one array of counters, in pages that appear when they are needed. The first threads
 * have a bank each and count without any locked instruction; all others, signal handlers and
 * sampled mode (where events are rare) share the last one. Readers add up all banks.
 */
#include "hook/fast.h"
#include "hook/hook.h"

_Static_assert(sizeof(struct insp_hook_counters) == sizeof(insp_hook_pair), "a pair a site");
_Static_assert(INSP_HOOK_PAGE_SITES * sizeof(insp_hook_pair) == 4096, "in a page of memory");

#define SHARED (INSP_HOOK_BANKS - 1)

static uint64_t *shared;

/* NULL when there are none left, or no memory. */
uint64_t *insp_hook_bank_create(uint32_t index)
{
	if (index >= SHARED)
		return NULL;
	uint64_t *bank = insp_hook_map(INSP_HOOK_PAGES * sizeof(uint64_t));

	if (bank)
		__atomic_store_n(&insp_hook_header.banks[index], (uint64_t)bank, __ATOMIC_RELEASE);
	return bank;
}

int insp_hook_counters_init(void)
{
	shared = insp_hook_map(INSP_HOOK_PAGES * sizeof(uint64_t));
	if (!shared)
		return -1;
	insp_hook_header.banks[SHARED] = (uint64_t)shared;
	return 0;
}

hook_cold uint64_t *insp_hook_counters_page(uint64_t *bank, uint32_t page)
{
	size_t next_bytes = bank == shared ? 0 : sizeof(struct insp_hook_next);
	size_t size_bytes = INSP_HOOK_PAGE_SITES * (sizeof(struct insp_hook_counters) + next_bytes);
	uint64_t *fresh = insp_hook_map_filled(size_bytes);
	uint64_t there = 0;

	if (!fresh)
		return NULL;
	if (__atomic_compare_exchange_n(&bank[page], &there, (uint64_t)fresh, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	insp_hook_unmap(fresh, size_bytes);
	return (uint64_t *)there;
}

/* cmpxchg16b: many threads, and still a stop never sees half an event. */
void insp_hook_count_shared(uint32_t site, uint64_t objects, uint64_t bytes)
{
	uint64_t page = __atomic_load_n(&shared[site / INSP_HOOK_PAGE_SITES], __ATOMIC_ACQUIRE);

	if (hook_unlikely(!page)) {
		page = (uint64_t)insp_hook_counters_page(shared, site / INSP_HOOK_PAGE_SITES);
		if (!page)
			return;
	}
	uint64_t *pair = (uint64_t *)page + (size_t)(site % INSP_HOOK_PAGE_SITES) * 2;
	uint64_t n = pair[0], b = pair[1];

	for (;;) {
		unsigned __int128 was = (unsigned __int128)b << 64 | n;
		unsigned __int128 now = (unsigned __int128)(b + bytes) << 64 | (n + objects);
		unsigned __int128 seen =
			__sync_val_compare_and_swap((unsigned __int128 *)pair, was, now);

		if (hook_likely(seen == was))
			return;
		n = (uint64_t)seen;
		b = (uint64_t)(seen >> 64);
	}
}
