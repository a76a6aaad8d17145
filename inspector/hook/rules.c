/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rules: remembers the rule of every return address that was met.
 *
 * A direct-mapped table of two ways, without locks: an entry is the rule and a key = address ^ rule ^
 * generation, so a half-written or mixed entry matches no address. A new generation (in the upper
 * 16 bits, where addresses have zeroes) voids them all when a module was unloaded.
 */
#include "hook/hook.h"

struct insp_hook_rules insp_hook_rules = {.generation = UINT64_C(1) << 48};

insp_hook_rule insp_hook_rule_make(unsigned kind, unsigned bp_kind, int64_t bp_offset, int64_t offset)
{
	bool fits = offset >= 8 && offset % 8 == 0, saved = bp_kind == HOOK_BP_CFA;
	uint64_t top = (uint64_t)kind << 2 | (uint64_t)bp_kind << 6;

	if (kind == HOOK_RULE_SP && fits &&
	    (bp_kind == HOOK_BP_SAME || (saved && bp_offset <= -16 && bp_offset + offset >= 0)))
		top = saved ? HOOK_PLAIN_BP_SAVED : 0;
	else if (kind == HOOK_RULE_BP && fits &&
		 (bp_kind == HOOK_BP_SAME || (saved && bp_offset == -16 && offset == 16)))
		top = HOOK_PLAIN_FROM_BP | (saved ? HOOK_PLAIN_BP_SAVED : 0);
	return (uint64_t)(uint32_t)offset | ((uint64_t)(bp_offset / 8) & 0xffffff) << 32 | top << 56;
}

int insp_hook_rules_init(unsigned bits)
{
	insp_hook_rules.entries = insp_hook_map(sizeof(*insp_hook_rules.entries) << bits);
	insp_hook_rules.mask = ((UINT64_C(1) << bits) - 1) * sizeof(*insp_hook_rules.entries);
	return insp_hook_rules.entries ? 0 : -1;
}

void insp_hook_rules_forget(void)
{
	(void)__atomic_fetch_add(&insp_hook_rules.generation, UINT64_C(1) << 48, __ATOMIC_RELAXED);
}

/* A plain rule as one that is not. */
insp_hook_rule insp_hook_rule_careful(insp_hook_rule rule)
{
	unsigned top = insp_hook_rule_top(rule);
	uint64_t kind = top & HOOK_PLAIN_FROM_BP ? HOOK_RULE_BP : HOOK_RULE_SP;
	uint64_t bp_kind = top & HOOK_PLAIN_BP_SAVED ? HOOK_BP_CFA : HOOK_BP_SAME;

	if (insp_hook_rule_kind(rule) != HOOK_RULE_PLAIN)
		return rule;
	return (rule & ~(UINT64_C(0xff) << 56)) | kind << 58 | bp_kind << 62;
}

static hook_cold insp_hook_rule find_rule(uintptr_t return_address)
{
	/* The call is before the address, and may be the last thing in its function. */
	insp_hook_rule rule = insp_hook_cfi_rule(return_address - 1);
	unsigned kind = insp_hook_rule_kind(rule);

	/* The kernel "returns" to the first byte of a signal trampoline, and libraries of coroutines to
	   that of an outermost function: nothing was called there. */
	if (kind == HOOK_RULE_LOST || kind == HOOK_RULE_END) {
		insp_hook_rule at = insp_hook_cfi_rule(return_address);
		unsigned at_kind = insp_hook_rule_kind(at);

		if (at_kind == HOOK_RULE_SIGNAL || at_kind == HOOK_RULE_END)
			rule = at;
	}
	if (return_address - (uintptr_t)__ehdr_start < (uintptr_t)etext - (uintptr_t)__ehdr_start)
		rule = insp_hook_rule_careful(rule) | (uint64_t)HOOK_RULE_OWN << 58;
	return rule;
}

static void enter(struct insp_hook_rule_entry *entry, uint64_t key, uint64_t rule)
{
	__atomic_store_n(&entry->rule, rule, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->key, key, __ATOMIC_RELAXED);
}

/* Not in the first way. The entry there moves to the second: with two addresses that share a
   place, both stay. */
insp_hook_rule insp_hook_rule_slow(uintptr_t return_address)
{
	uint64_t now = __atomic_load_n(&insp_hook_rules.generation, __ATOMIC_RELAXED);
	struct insp_hook_rule_entry *first = insp_hook_rule_entry(return_address);
	struct insp_hook_rule_entry *second = &insp_hook_rules.entries[(first - insp_hook_rules.entries) ^ 1];
	uint64_t rule = __atomic_load_n(&second->rule, __ATOMIC_RELAXED);
	uint64_t key = __atomic_load_n(&second->key, __ATOMIC_RELAXED);

	if ((key ^ rule ^ now) == return_address)
		return rule;
	rule = find_rule(return_address);
	enter(second, first->key, first->rule);
	enter(first, return_address ^ rule ^ now, rule);
	return rule;
}
