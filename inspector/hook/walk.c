/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * walk: from the registers of the caller to the site of its stack.
 *
 * Two allocations in a row mostly share nearly all of their stack. So the last walk is kept, and
 * the new one goes on only until it meets a frame of it: same pc, same stack pointer, same rbp
 * where rbp matters. From there outward the walk is a function of the words in the stack that it
 * read last time; when those are all unchanged (one load and compare a frame) it would find
 * the same again. This is exact, not a guess, and costs a few instructions a frame where looking
 * up the rule of each costs ten times as many.
 *
 *     outermost                                            innermost
 *     last walk   f0 f1 f2 f3 | f4 f5 f6        kept as far as it is the same,
 *     now         f0 f1 f2 f3 | g4 g5           replaced from there on
 *
 * Where the new frames are those that followed last time upon the same stack, their rules are not
 * looked up either (struct insp_hook_next). Four ways, each for what the one before does not know:
 *
 *     insp_hook_capture   the stack that followed last time
 *     capture_near        other frames, without frame pointers, on top of kept ones
 *     capture_any         any code
 *     capture_elsewhere   any stack but the thread's own (sigaltstack, coroutines): nothing is kept,
 *                         and the kernel is asked before a new page of it is read
 */
#include <ucontext.h>

#include "hook/fast.h"
#include "hook/hook.h"

/* The registers in a frame, and how far up its stack may be read. */
struct position {
	uint64_t sp, pc;
	const uint64_t *bp_at; /* where the value lies that rbp has */
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
	at->bp_at = (const uint64_t *)&uc->uc_mcontext.gregs[REG_RBP];
	set_limit(t, at);
	return BEHIND_SIGNAL;
}

/* One frame outward by any rule, with every address checked. */
static hook_cold enum outcome step_careful(struct insp_hook_thread *t, struct position *at, uint64_t rule)
{
	rule = insp_hook_rule_careful(rule);
	unsigned kind = insp_hook_rule_kind(rule), bp_kind = insp_hook_rule_bp_kind(rule);
	int64_t offset = insp_hook_rule_offset(rule);
	uintptr_t bp = *at->bp_at, cfa, slot;

	switch (kind) {
	case HOOK_RULE_SP:
		cfa = at->sp + (uint64_t)offset;
		break;
	case HOOK_RULE_BP:
		cfa = bp + (uint64_t)offset;
		break;
	case HOOK_RULE_BP_AT:
		if (!may_read(at, bp + (uint64_t)offset, 8))
			return LOST;
		cfa = load(bp + (uint64_t)offset);
		break;
	case HOOK_RULE_PLT:
		cfa = at->sp + 8 + ((int64_t)((at->pc - 1) & 15) >= offset ? 8 : 0);
		break;
	case HOOK_RULE_SIGNAL:
		return step_signal(t, at);
	case HOOK_RULE_END:
		return AT_END;
	default:
		return LOST;
	}
	if (cfa <= at->sp || !may_read(at, cfa - 8, 8))
		return LOST;
	if (bp_kind != HOOK_BP_SAME) {
		slot = (bp_kind == HOOK_BP_CFA ? cfa : bp) + (uint64_t)insp_hook_rule_bp_offset(rule);
		if (!may_read(at, slot, 8))
			return LOST;
		at->bp_at = (const uint64_t *)slot;
	}
	at->pc = load(cfa - 8);
	at->sp = cfa;
	return at->pc ? WENT_ON : AT_END;
}

/* where? a : b, and no branch: whether rbp was saved, or a frame is further in, is not to be foretold. */
static hook_inline uintptr_t choose(bool which, uintptr_t a, uintptr_t b)
{
	__asm__("" : "+r"(a), "+r"(b)); /* keeps a compiler from making it one again */
	return b ^ ((a ^ b) & -(uintptr_t)which);
}

/* ---- the memo */

/* What pads, and the mark of a stack that was not followed to its end, "return" to: themselves. */
static const uint64_t marks[] = {0, INSP_HOOK_PC_TRUNCATED, INSP_HOOK_PC_LOST};

static struct insp_hook_step mark_step(uint64_t mark)
{
	return (struct insp_hook_step){.sp = (uintptr_t)(&marks[mark] + 1), .pc = mark};
}

void insp_hook_memo_init(struct insp_hook_memo *memo)
{
	memo->frames[0].sp = UINT64_MAX;
	for (size_t i = 1; i < HOOK_PADS; i++)
		memo->frames[i] = (struct insp_hook_memo_frame){.sp = (uintptr_t)(&marks[1] + 1),
								.pc = marks[1]};
}

static hook_inline uint64_t differs(const struct insp_hook_memo_frame *f)
{
	return load(f->sp - 8) ^ f->pc;
}

/* The innermost frame of the memo, from m on outward, that is no further in than sp. Most often m or the
   next one. */
static hook_inline struct insp_hook_memo_frame *nearest(struct insp_hook_memo_frame *m, uint64_t sp)
{
	m = (struct insp_hook_memo_frame *)choose(m->sp < sp, (uintptr_t)(m - 1), (uintptr_t)m);
	while (hook_unlikely(m->sp < sp))
		m--;
	return m;
}

static hook_inline bool is_at(const struct insp_hook_memo_frame *m, uint64_t sp, uint64_t pc)
{
	return !((m->sp ^ sp) | (m->pc ^ pc));
}

static bool bp_unchanged(const struct insp_hook_memo *memo, const struct insp_hook_memo_frame *m)
{
	for (uint32_t i = 0; i < m->nbp; i++)
		if (load(memo->bp_words[i].addr) != memo->bp_words[i].value)
			return false;
	return true;
}

/* Are all words that led from m outward what they were? Four frames at once, pads included. */
static hook_inline bool unchanged(const struct insp_hook_memo *memo, const struct insp_hook_memo_frame *m)
{
	const struct insp_hook_memo_frame *f = m;
	uint64_t difference = 0;

	_Static_assert(HOOK_PADS == 4 + 1, "as many as are written out, and the end of searches");
	for (; f > &memo->frames[HOOK_PADS]; f -= 4)
		difference |= differs(f - 1) | differs(f - 2) | differs(f - 3) | differs(f - 4);
	if (hook_unlikely(m->nbp) && !bp_unchanged(memo, m))
		return false;
	return !difference;
}

/* The innermost frame in front of m from which all words outward are still what they were. */
static hook_cold struct insp_hook_memo_frame *still_good(struct insp_hook_memo *memo,
							 const struct insp_hook_memo_frame *m)
{
	struct insp_hook_memo_frame *f = &memo->frames[HOOK_PADS];
	uint32_t nbp = 0;

	while (nbp < m->nbp && load(memo->bp_words[nbp].addr) == memo->bp_words[nbp].value)
		nbp++;
	/* f is good as long as those in front of it are unchanged. */
	while (f < m && !differs(f) && f[1].nbp <= nbp)
		f++;
	return f;
}

static hook_inline uint64_t mix(uint64_t hash, uint64_t pc)
{
	return hash * UINT64_C(0x9fb21c651e98df25) + pc;
}

/* Is rbp needed to get outward from a frame with that rule? In doubt. */
static bool bp_matters(unsigned top, bool outer_matters)
{
	if (!(top & ~(unsigned)HOOK_PLAIN_BP_SAVED))
		return !top && outer_matters;
	return top >> 2 != HOOK_RULE_END;
}

/* Notes what rbp is in m, where that matters, and where it came from. Gives the number of such words
   from there outward. `mine`: no address of the stack, but of the register as it was. */
static uint16_t note_bp(struct insp_hook_memo *memo, struct insp_hook_memo_frame *m,
			const uint64_t *bp_at, const uint64_t *mine)
{
	if (!m->bp_matters)
		return m->nbp;
	memo->bp[m - memo->frames] = *bp_at;
	if (bp_at == mine)
		return m->nbp;
	memo->bp_words[m->nbp] = (struct insp_hook_bp_word){(uintptr_t)bp_at, *bp_at};
	return m->nbp + 1;
}

/* What a walk made of a stack: n steps, and the frame of the memo that it met. */
struct walked {
	uint32_t n;
	unsigned tops;			  /* of all rules, or-ed */
	struct insp_hook_memo_frame *met; /* in front of frames[HOOK_PADS]: none */
	const uint64_t *bp_at;		  /* in that frame */
	const uint64_t *mine;		  /* where the caller's rbp lies while we walk */
	bool keep;			  /* the result may serve as memo */
};

/* Puts the new frames behind the kept ones. Rbp plays a part, other than in most code. */
static hook_cold void append_with_bp(struct insp_hook_memo *memo, struct insp_hook_memo_frame *m,
				     const struct insp_hook_step *steps, const struct walked *w)
{
	uint16_t nbp = 0;

	/* Reached from another frame than last time: that may have kept rbp elsewhere. */
	if (m >= &memo->frames[HOOK_PADS])
		nbp = note_bp(memo, m, w->bp_at, w->mine);
	for (uint32_t n = w->n; n--;) {
		const struct insp_hook_step *s = &steps[n];
		bool outer = m >= &memo->frames[HOOK_PADS] && m->bp_matters;

		m++;
		*m = (struct insp_hook_memo_frame){
			.sp = s->sp,
			.pc = s->pc,
			.hash = mix(m >= &memo->frames[HOOK_PADS + 1] ? m[-1].hash : 0, s->pc),
			.nbp = nbp,
			.bp_matters = bp_matters(insp_hook_rule_top(s->rule), outer),
		};
		nbp = note_bp(memo, m, (const uint64_t *)s->bp_at, w->mine);
	}
}

/* The n steps in front of s, innermost first, behind m. */
static hook_inline uint64_t append(struct insp_hook_memo_frame *m, const struct insp_hook_step *s, uint32_t n)
{
	/* Made in a register: a word put together in memory from pieces would have to get there first. */
	const uint64_t all = HOOK_ALL_NBP(m->nbp);
	uint64_t hash = m->hash;

	while (n--) {
		s--;
		m++;
		hash = mix(hash, s->pc);
		m->sp = s->sp;
		m->pc = s->pc;
		m->hash = hash;
		m->all = all;
	}
	return hash;
}

static hook_inline uint64_t finish(uint64_t hash)
{
	return hash * UINT64_C(0x9e3779b97f4a7c15);
}

/* Not the stack that came last time. */
static __attribute__((noinline)) uint32_t other_site(struct insp_hook_thread *t, uint64_t hash, uint32_t depth)
{
	uint32_t site = insp_hook_site_find(hash);

	if (hook_unlikely(!site))
		site = insp_hook_site_enter(t->tid, hash, &t->memo.frames[HOOK_PADS], depth);
	if (site)
		*t->after = (struct insp_hook_next){.key = hash ^ t->generation, .site = site};
	return site;
}

static hook_inline uint32_t site_of(struct insp_hook_thread *t, uint64_t hash, uint32_t depth)
{
	hash = finish(hash);
	return hook_likely(t->after->key == (hash ^ t->generation)) ? t->after->site
								    : other_site(t, hash, depth);
}

/* The new frames join the kept ones; the site of all of them. */
static hook_inline uint32_t merge(struct insp_hook_thread *t, const struct walked *w)
{
	struct insp_hook_memo *memo = &t->memo;
	struct insp_hook_memo_frame *m = w->met;
	uint32_t depth;
	uint64_t hash;

	if (m < &memo->frames[HOOK_PADS])
		m = &memo->frames[HOOK_PADS - 1];
	depth = (uint32_t)(m - &memo->frames[HOOK_PADS - 1]) + w->n;
	if (!w->n && depth == memo->n && memo->site)
		return memo->site;
	memo->n = depth;
	memo->site = 0;
	if (hook_unlikely(!depth))
		return 0;
	if (hook_likely(!(w->tops & ~(unsigned)HOOK_PLAIN_BP_SAVED) && !m->bp_matters)) {
		hash = append(m, t->steps + w->n, w->n);
	} else {
		append_with_bp(memo, m, t->steps, w);
		hash = memo->frames[HOOK_PADS - 1 + depth].hash;
	}
	return memo->site = site_of(t, hash, depth);
}

/* ---- the walk */

/* A step that is no plain one. True: go on. */
static hook_cold bool walk_careful(struct insp_hook_thread *t, struct position *at, uint64_t rule,
				   struct walked *w)
{
	enum outcome outcome;

	if (!at->pc) { /* behind the outermost frame */
		w->n--;
		w->met = &t->memo.frames[0];
		return false;
	}
	outcome = step_careful(t, at, rule);
	if (insp_hook_rule_own(rule))
		w->n = 0; /* stacks begin with the caller */
	if (outcome == WENT_ON)
		return true;
	w->met = &t->memo.frames[0];
	if (outcome == BEHIND_SIGNAL) {
		w->keep = false;
		return true;
	}
	if (outcome == LOST)
		t->steps[w->n++] = mark_step(INSP_HOOK_PC_LOST);
	return false;
}

/* Walks outward until the end or a frame of the memo. */
static hook_inline void walk(struct insp_hook_thread *t, const struct position *from, bool use_memo,
			     struct walked *ret)
{
	struct insp_hook_memo_frame *m = &t->memo.frames[use_memo ? HOOK_PADS - 1 + t->memo.n : 0];
	uint64_t sp = from->sp, pc = from->pc, limit = from->limit;
	const uint64_t *bp_at = from->bp_at;
	bool own = from->own, keep = own;
	unsigned tops = 0;
	uint32_t n = 0;

	for (;;) {
		m = nearest(m, sp);
		if (hook_unlikely(is_at(m, sp, pc)) &&
		    (!m->bp_matters || t->memo.bp[m - t->memo.frames] == *bp_at)) {
			if (hook_likely(unchanged(&t->memo, m)))
				break;
			m = still_good(&t->memo, m);
			continue;
		}
		if (hook_unlikely(n == HOOK_DEPTH)) {
			t->steps[n++] = mark_step(INSP_HOOK_PC_TRUNCATED);
			keep = false;
			m = &t->memo.frames[0];
			break;
		}
		uint64_t rule = insp_hook_rule_of(pc);
		unsigned top = insp_hook_rule_top(rule);
		uintptr_t cfa = sp + (uint64_t)insp_hook_rule_offset(rule);

		t->steps[n++] = (struct insp_hook_step){sp, pc, (uintptr_t)bp_at, rule};
		tops |= top;
		/* The rules of nearly all code; then those of code with frame pointers. */
		if (hook_unlikely(top & ~(unsigned)HOOK_PLAIN_BP_SAVED)) {
			if (top & ~(unsigned)(HOOK_PLAIN_FROM_BP | HOOK_PLAIN_BP_SAVED))
				goto careful;
			cfa += *bp_at - sp;
			if (hook_unlikely(cfa % 8 || cfa < sp + 8))
				goto careful;
		}
		if (hook_unlikely(cfa > limit))
			goto careful;
		bp_at = (const uint64_t *)choose(top & HOOK_PLAIN_BP_SAVED,
						 cfa + (uint64_t)insp_hook_rule_bp_offset(rule),
						 (uintptr_t)bp_at);
		pc = load(cfa - 8);
		sp = cfa;
		continue;
careful: {
		struct position at = {sp, pc, bp_at, limit, own};
		struct walked w = {.n = n, .met = m, .keep = keep};
		bool on = walk_careful(t, &at, rule, &w);

		sp = at.sp;
		pc = at.pc;
		limit = at.limit;
		bp_at = at.bp_at;
		own = at.own;
		n = w.n;
		m = w.met;
		keep = w.keep;
		if (!on)
			break;
	}
	}
	*ret = (struct walked){n, tops, m, bp_at, from->bp_at, keep};
}

/* Steps taken without the memo, which cannot hold them together with what it kept. */
static hook_cold uint32_t capture_plain(struct insp_hook_thread *t, const struct position *at)
{
	struct walked w;
	uint32_t site;

	walk(t, at, false, &w);
	t->memo.n = t->memo.site = 0;
	site = merge(t, &w);
	if (!w.keep)
		t->memo.n = t->memo.site = 0;
	return site;
}

/* Not on the thread's own stack, as far as that is known. */
static hook_cold uint32_t capture_elsewhere(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct position at = {.pc = pc, .sp = sp, .bp_at = &bp, .limit = t->stack_hi};

	set_limit(t, &at);
	t->memo.n = t->memo.site = 0;
	return capture_plain(t, &at);
}

/* Any code, on the thread's own stack. */
static __attribute__((noinline)) uint32_t capture_any(struct insp_hook_thread *t, uint64_t pc, uint64_t sp,
						      uint64_t bp)
{
	const struct position at = {.pc = pc, .sp = sp, .bp_at = &bp, .limit = t->stack_hi, .own = true};
	struct walked w;

	walk(t, &at, true, &w);
	if (hook_unlikely(!w.keep || w.met + w.n > &t->memo.frames[HOOK_PADS - 1 + HOOK_DEPTH]))
		return capture_plain(t, &at);
	return merge(t, &w);
}

/* Code was unloaded: the frames of the memo may have been its. */
static hook_cold uint32_t capture_anew(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp)
{
	t->generation = __atomic_load_n(&insp_hook_rules.generation, __ATOMIC_RELAXED);
	t->memo.n = t->memo.site = 0;
	return insp_hook_capture(t, pc, sp, bp);
}

/* Notes how the last walk got here: n steps, in front of the kept ones. */
static hook_inline void note_next(struct insp_hook_thread *t, const struct insp_hook_memo_frame *m, uint32_t n)
{
	struct insp_hook_next *next = t->after;
	uint32_t kept = (uint32_t)(m - &t->memo.frames[HOOK_PADS - 1]);
	uint64_t sp = t->steps[0].sp;

	next->n = 0;
	if (!n || !kept || n > HOOK_NEW || m->sp - sp > UINT16_MAX * sizeof(sp))
		return;
	next->at[0] = (uint16_t)((m->sp - sp) / sizeof(sp));
	for (uint32_t i = 1; i < n; i++)
		next->at[i] = (uint16_t)((t->steps[n - i].sp - sp) / sizeof(sp));
	next->kept = (uint16_t)kept;
	next->n = (uint16_t)n;
}

/*
 * What many events need: a few frames without frame pointers, then one of the memo.
 * As soon as it is anything else, the general walk begins anew.
 */
static __attribute__((noinline)) uint32_t capture_near(struct insp_hook_thread *t, uint64_t pc, uint64_t sp,
						       uint64_t bp)
{
	const uint64_t unusual = ~(((uint64_t)HOOK_PLAIN_BP_SAVED << 56) | (UINT64_MAX >> 8));
	const uint64_t pc0 = pc, sp0 = sp, limit = t->stack_hi;
	struct insp_hook_memo *memo = &t->memo;
	struct insp_hook_memo_frame *m = &memo->frames[HOOK_PADS - 1 + memo->n];
	struct insp_hook_step *s = t->steps;

	if (hook_unlikely(sp - t->stack_lo >= limit - t->stack_lo))
		return capture_elsewhere(t, pc, sp, bp);
	for (;;) {
		m = nearest(m, sp);
		if (hook_unlikely(is_at(m, sp, pc))) {
			if (hook_likely(unchanged(memo, m)))
				break;
			m = still_good(memo, m);
			continue;
		}
		uint64_t rule;

		if (hook_unlikely(!insp_hook_rule_known(pc, &rule)))
			return capture_any(t, pc0, sp0, bp);
		s->sp = sp;
		s->pc = pc;
		s++;
		sp += (uint64_t)insp_hook_rule_offset(rule);
		if (hook_unlikely(rule & unusual || sp > limit || s == &t->steps[HOOK_DEPTH]))
			return capture_any(t, pc0, sp0, bp);
		pc = load(sp - 8);
	}
	uint32_t n = (uint32_t)(s - t->steps), depth = (uint32_t)(m - &memo->frames[HOOK_PADS - 1]) + n;

	if (hook_unlikely(m->bp_matters || depth > HOOK_DEPTH))
		return capture_any(t, pc0, sp0, bp);
	if (!n && depth == memo->n && memo->site)
		return memo->site;
	memo->n = depth;
	memo->site = site_of(t, append(m, s, n), depth);
	if (hook_likely(memo->site))
		note_next(t, m, n);
	return memo->site;
}

/*
 * What nearly every event needs and no more: the stack that followed last time. When pc, sp and the words
 * with the return addresses are what they were, a walk would read them all, one after the other, and come
 * to the same.
 */
uint32_t insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp)
{
	const struct insp_hook_next *next = t->after;
	const uint16_t *at = next->at;
	struct insp_hook_memo *memo = &t->memo;
	struct insp_hook_memo_frame *m = &memo->frames[HOOK_PADS - 1 + next->kept];
	struct insp_hook_step *s = &t->steps[next->n];
	uint64_t hash;

	if (hook_unlikely(t->generation != __atomic_load_n(&insp_hook_rules.generation, __ATOMIC_RELAXED)))
		return capture_anew(t, pc, sp, bp);
	if (!next->n || next->kept > memo->n || m->sp != sp + *at * sizeof(sp) || m->bp_matters ||
	    sp < t->stack_lo)
		return capture_near(t, pc, sp, bp);
	hash = m->hash;
	while (--s > t->steps) {
		s->sp = sp + *++at * sizeof(sp);
		s->pc = load(s->sp - sizeof(sp));
		hash = mix(hash, s->pc);
	}
	s->sp = sp;
	s->pc = pc;
	hash = finish(mix(hash, pc)) ^ t->generation;
	if ((hash ^ next->key) | differs(m) || !unchanged(memo, m))
		return capture_near(t, pc, sp, bp);
	append(m, s + next->n, next->n);
	memo->n = (uint32_t)next->kept + next->n;
	return memo->site = next->site;
}
