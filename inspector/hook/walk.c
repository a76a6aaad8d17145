/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * walk: from the registers of the caller to the site of its stack.
 *
 * Two allocations in a row mostly share nearly all of their stack. So the last walk is kept, and
 * the new one goes on only until it meets a frame of it: same pc, same stack pointer, same rbp
 * where rbp matters. From there outward the walk is a function of the words in the stack that it
 * read last time; when those are all unchanged (one load and compare a frame) it would find
 * the same again. This is exact, not a guess, and costs about 2 ns a frame where looking
 * up the rule of each costs 6.
 *
 *     outermost                                            innermost
 *     last walk   f0 f1 f2 f3 | f4 f5 f6        kept as far as it is the same,
 *     now         f0 f1 f2 f3 | g4 g5           replaced from there on
 *
 * On any stack but the thread's own (sigaltstack, coroutines) nothing is kept, and the
 * kernel is asked before a new page of it is read.
 */
#include <ucontext.h>

#include "hook/hook.h"

/* What a step used, for the memo. */
enum hook_uses {
	USES_BP = 1 << 0,  /* rbp took part in finding the caller */
	KEEPS_BP = 1 << 1, /* the caller has the same rbp */
};

/* The registers in a frame, and how far up its stack may be read. */
struct position {
	uint64_t pc, sp, bp, bp_slot;
	uintptr_t limit;
	bool own;
};

/* Is sp in the thread's own stack? Where that was not known so far, asks for each page between. */
static hook_cold bool own_stack_grows(struct insp_hook_thread *t, uintptr_t sp)
{
	if (!t->stack_hi || sp >= t->stack_hi || t->stack_lo - sp > (UINT64_C(64) << 20))
		return false;
	while (t->stack_lo > sp) {
		uintptr_t page = (t->stack_lo - 1) & ~(uintptr_t)4095;

		if (!insp_hook_readable(page))
			return false;
		t->stack_lo = page;
	}
	return true;
}

static void set_limit(struct insp_hook_thread *t, struct position *at)
{
	at->own = at->sp - t->stack_lo < t->stack_hi - t->stack_lo || own_stack_grows(t, at->sp);
	at->limit = at->own ? t->stack_hi : (at->sp | 4095) + 1;
}

/* The limit moved up to `end` page by page, as far as the kernel says that they can be read. */
static hook_cold uintptr_t move_limit(uintptr_t limit, uintptr_t end)
{
	while (limit < end && insp_hook_readable(limit))
		limit += 4096;
	return limit;
}

/* May n bytes at addr be read, addr being in the stack of `at`? */
static hook_inline bool may_read(struct position *at, uintptr_t addr, size_t n)
{
	if (hook_unlikely(addr < at->sp || addr % 8))
		return false;
	if (hook_likely(addr + n <= at->limit))
		return true;
	if (at->own || addr - at->sp > (UINT64_C(1) << 20))
		return false;
	at->limit = move_limit(at->limit, addr + n);
	return addr + n <= at->limit;
}

static inline uint64_t load(uintptr_t addr)
{
	return *(const volatile uint64_t *)addr;
}

enum outcome { WENT_ON, AT_END, LOST, BEHIND_SIGNAL };

static hook_cold enum outcome step_signal(struct insp_hook_thread *t, struct position *at)
{
	const ucontext_t *uc = (const ucontext_t *)at->sp;

	if (!may_read(at, at->sp, sizeof(uc->uc_flags) + sizeof(uc->uc_link) + sizeof(uc->uc_stack) +
					  sizeof(uc->uc_mcontext.gregs)))
		return LOST;
	/* Rules are looked up for the byte before: here the address itself is meant. */
	at->pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP] + 1;
	at->sp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
	at->bp = (uint64_t)uc->uc_mcontext.gregs[REG_RBP];
	at->bp_slot = 0;
	set_limit(t, at);
	return BEHIND_SIGNAL;
}

/* One frame outward. *ret_uses: enum hook_uses. */
static hook_inline enum outcome step(struct insp_hook_thread *t, struct position *at, uint32_t *ret_uses)
{
	insp_hook_rule rule = insp_hook_rule_of(at->pc);
	int64_t offset = insp_hook_rule_offset(rule);
	uintptr_t cfa;
	uint32_t uses = 0;

	switch (insp_hook_rule_kind(rule)) {
	case HOOK_RULE_SP:
		cfa = at->sp + (uint64_t)offset;
		break;
	case HOOK_RULE_BP:
		cfa = at->bp + (uint64_t)offset;
		uses = USES_BP;
		break;
	case HOOK_RULE_BP_AT:
		if (!may_read(at, at->bp + (uint64_t)offset, 8))
			return LOST;
		cfa = load(at->bp + (uint64_t)offset);
		uses = USES_BP;
		break;
	case HOOK_RULE_PLT:
		cfa = at->sp + 8 + ((int64_t)((at->pc - 1) & 15) >= offset ? 8 : 0);
		break;
	case HOOK_RULE_SIGNAL: {
		struct position copy = *at; /* so that *at can live in registers */
		enum outcome outcome = step_signal(t, &copy);

		*at = copy;
		return outcome;
	}
	case HOOK_RULE_END:
		return AT_END;
	default:
		return LOST;
	}
	if (hook_unlikely(cfa <= at->sp || !may_read(at, cfa - 8, 8)))
		return LOST;
	unsigned bp_kind = insp_hook_rule_bp_kind(rule);

	if (bp_kind == HOOK_BP_SAME) {
		uses |= KEEPS_BP;
		at->bp_slot = 0;
	} else {
		uintptr_t slot = (bp_kind == HOOK_BP_CFA ? cfa : at->bp) +
				 (uint64_t)insp_hook_rule_bp_offset(rule);

		if (bp_kind == HOOK_BP_BP)
			uses |= USES_BP;
		if (hook_unlikely(!may_read(at, slot, 8)))
			return LOST;
		at->bp_slot = slot;
		at->bp = load(slot);
	}
	*ret_uses = uses;
	at->pc = load(cfa - 8);
	at->sp = cfa;
	return at->pc ? WENT_ON : AT_END;
}

/* Are all words that led from frame j outward what they were? */
static hook_inline bool outward_unchanged(const struct insp_hook_thread *t, int j)
{
	for (int k = j - 1; k >= 0; k--) {
		const struct insp_hook_memo_frame *f = &t->memo[k];

		if (f->pc <= INSP_HOOK_PC_LOST)
			break; /* no frame, but the mark of a stack that ended there */
		if (hook_unlikely(load(f->sp - 8) != f->pc))
			return false;
		if (f->bp_slot && hook_unlikely(load(f->bp_slot) != f->bp))
			return false;
	}
	return true;
}

static inline uint64_t mix(uint64_t hash, uint64_t pc)
{
	hash = (hash ^ pc) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* Puts the n new frames behind the kept ones, of which j is the innermost. */
static hook_inline uint32_t merge(struct insp_hook_thread *t, int j, uint32_t n, const struct position *at)
{
	uint32_t depth = (uint32_t)(j + 1);
	uint64_t hash = j >= 0 ? t->memo[j].hash : 0;

	if (j >= 0) {
		/* Reached from another frame than last time: it may have kept rbp elsewhere. */
		t->memo[j].bp = at->bp;
		t->memo[j].bp_slot = t->memo[j].bp_matters ? at->bp_slot : 0;
	}
	if (!n && depth == t->memo_n && t->memo_site)
		return t->memo_site;
	while (n--) {
		const struct insp_hook_step *s = &t->steps[n];
		struct insp_hook_memo_frame *f = &t->memo[depth];

		f->pc = s->pc;
		f->sp = s->sp;
		f->bp = s->bp;
		f->bp_matters = (s->uses & USES_BP) ||
				((s->uses & KEEPS_BP) && depth && f[-1].bp_matters);
		f->bp_slot = f->bp_matters ? s->bp_slot : 0;
		hash = mix(hash, s->pc);
		f->hash = hash;
		f->frame = 0;
		depth++;
	}
	t->memo_n = depth;
	t->memo_site = depth ? insp_hook_site_of(hash | !hash, t->memo, depth) : 0;
	return t->memo_site;
}

/* Walks outward from *at until the end or a frame of the memo. Returns the number of steps made; *ret_j
   is the frame it met, -1 for none; *ret_keep whether the result may serve as memo. */
static hook_inline uint32_t walk(struct insp_hook_thread *t, struct position *at, bool use_memo, int *ret_j,
			    bool *ret_keep)
{
	int j = use_memo ? (int)t->memo_n - 1 : -1;
	uint64_t mark = 0;
	uint32_t n = 0;

	*ret_keep = at->own;
	for (;;) {
		while (j >= 0 && t->memo[j].sp < at->sp)
			j--;
		if (j >= 0 && t->memo[j].sp == at->sp && t->memo[j].pc == at->pc &&
		    (!t->memo[j].bp_matters || t->memo[j].bp == at->bp)) {
			if (hook_likely(outward_unchanged(t, j)))
				break;
			j = -1;
		}
		if (hook_unlikely(n == HOOK_DEPTH)) {
			mark = INSP_HOOK_PC_TRUNCATED;
			*ret_keep = false;
			break;
		}
		struct insp_hook_step *s = &t->steps[n++];

		*s = (struct insp_hook_step){at->pc, at->sp, at->bp, at->bp_slot, 0};
		enum outcome outcome = step(t, at, &s->uses);

		if (hook_likely(outcome == WENT_ON))
			continue;
		j = -1;
		if (outcome == BEHIND_SIGNAL) {
			*ret_keep = false;
			continue;
		}
		if (outcome == LOST)
			mark = INSP_HOOK_PC_LOST;
		break;
	}
	if (mark) {
		j = -1;
		t->steps[n++] = (struct insp_hook_step){.pc = mark, .sp = UINT64_MAX};
	}
	*ret_j = j;
	return n;
}

static inline bool in_own_code(uint64_t pc)
{
	return pc - (uint64_t)__ehdr_start < (uint64_t)etext - (uint64_t)__ehdr_start;
}

/* Steps out of the hook itself, where a compiler did not jump to the slow path but called it. */
static hook_cold bool leave_own_code(struct insp_hook_thread *t, struct position *at)
{
	uint32_t uses;

	for (unsigned i = 0; in_own_code(at->pc); i++)
		if (i == 4 || step(t, at, &uses) != WENT_ON)
			return false;
	at->bp_slot = 0;
	return true;
}

/* The walk again, without the memo, which cannot hold it together with what it kept. */
static hook_cold uint32_t capture_plain(struct insp_hook_thread *t, struct position at)
{
	uint32_t site, n;
	bool keep;
	int j;

	n = walk(t, &at, false, &j, &keep);
	t->memo_n = t->memo_site = 0;
	site = merge(t, -1, n, &at);
	if (!keep)
		t->memo_n = t->memo_site = 0;
	return site;
}

uint32_t insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct position at = {.pc = pc, .sp = sp, .bp = bp};
	bool keep;
	int j;

	at.own = sp - t->stack_lo < t->stack_hi - t->stack_lo;
	at.limit = t->stack_hi;
	if (hook_unlikely(!at.own || in_own_code(pc))) {
		struct position copy = at;

		set_limit(t, &copy);
		if (!leave_own_code(t, &copy))
			return 0;
		if (!copy.own)
			return capture_plain(t, copy);
		at = copy;
	}
	const uint64_t first_pc = at.pc, first_sp = at.sp, first_bp = at.bp;
	uint32_t n = walk(t, &at, true, &j, &keep);

	if (hook_unlikely(!keep || (j >= 0 && (uint32_t)(j + 1) + n > HOOK_DEPTH)))
		return capture_plain(t, (struct position){.pc = first_pc, .sp = first_sp, .bp = first_bp,
							  .limit = t->stack_hi, .own = true});
	return merge(t, j, n, &at);
}
