/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook: what the files of the companion hook share. It is a guest in somebody else's process:
 *
 *   - it needs libc alone and calls nothing of it that allocates, locks or may be absent early;
 *   - its memory comes from mmap, is bounded, and when it is used up events are dropped and counted;
 *   - it never blocks, never aborts, and leaves errno as it was;
 *   - what it records is laid out in <meminspect/hook_format.h>.
 *
 * interpose.c  the exported malloc, free, ...: a handful of instructions, then the real one
 * record.c     the slow paths behind them: the events
 * walk.c       from the caller's registers to a stack, remembering the last one; cfi.c, rules.c
 * stacks.c     stacks to site numbers; counters.c, samples.c, shadow.c  the tables
 * threads.c    what each thread has of its own; start.c  environment, real functions, fork
 */
#ifndef INSP_HOOK_HOOK_H
#define INSP_HOOK_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <meminspect/hook_format.h>

/* Nothing of ours can be seen, or replaced, from outside. */
#pragma GCC visibility push(hidden)

#define hook_likely(x)	 __builtin_expect(!!(x), 1)
#define hook_unlikely(x) __builtin_expect(!!(x), 0)
#define hook_cold	 __attribute__((noinline, cold))
#define hook_inline	 inline __attribute__((always_inline))
#define hook_export	 __attribute__((visibility("default")))
#define hook_tls	 __thread __attribute__((tls_model("initial-exec")))

/* ---- start.c */

/* The functions that were there before us. Never NULL: before they are known, stand-ins that find
   them first. */
struct insp_hook_real {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	void *(*memalign)(size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
	int (*dlclose)(void *);
};
extern struct insp_hook_real insp_hook_real;
extern struct insp_hook_header insp_hook_header;
/* enum insp_hook_mode, as the slow paths see it; OFF until started. */
extern int insp_hook_mode;

struct insp_hook_limits {
	uint32_t frames, sites, samples;
};
extern struct insp_hook_limits insp_hook_limits;

/* Reads the environment and makes the tables, once that is possible. True once it has been done,
   whatever came out. */
bool insp_hook_start(void);
/* Is it from the small buffer that serves allocations made while looking for the real malloc? */
bool insp_hook_early(const void *p);
/* The bytes asked for such a block. */
size_t insp_hook_early_size(const void *p);

/* ---- memory.c */

/* Zeroed pages that nobody pays for before they are touched; NULL when there are none. */
void *insp_hook_map(size_t size_bytes);
void insp_hook_unmap(void *p, size_t size_bytes);
/* Can the page at addr be read? Asks the kernel; errno stays. */
bool insp_hook_readable(uintptr_t addr);
/* Seconds since the start, coarse. */
uint32_t insp_hook_seconds(void);

/* ---- threads.c */

#define HOOK_DEPTH 256 /* frames kept of a stack: the innermost */

/* One frame of the last walk; the array runs from the outermost frame inward. */
struct insp_hook_memo_frame {
	uint64_t pc;
	uint64_t sp;	  /* stack pointer in that frame: the return address lies at sp - 8 */
	uint64_t bp;	  /* rbp in that frame */
	uint64_t bp_slot; /* where that was loaded from; 0: it is the same as further in */
	uint64_t hash;	  /* of the pcs from the outermost frame to this one */
	uint32_t frame;	  /* its number in the table of frames; 0: not looked up */
	bool bp_matters;  /* rbp is needed to get from here outward */
};

struct insp_hook_step {
	uint64_t pc, sp, bp, bp_slot;
	uint32_t uses; /* enum hook_uses, walk.c */
};

struct insp_hook_thread {
	struct insp_hook_thread *next;
	int taken;	    /* by a living thread */
	int busy;	    /* recording: what a signal handler allocates now is not recorded */
	bool transient;	    /* for one event only: its thread is about to end */
	uint32_t index, tid, serial;
	uint64_t *pages;    /* its own bank of counters; NULL: the shared one */
	uint64_t random;
	uintptr_t stack_lo, stack_hi; /* known to be readable */
	uint32_t seconds, encoded;    /* the last time stamp and how a record writes it */

	uint32_t memo_n;
	uint32_t memo_site; /* of the whole memo; 0 unknown */
	struct insp_hook_memo_frame memo[HOOK_DEPTH + 1];
	struct insp_hook_step steps[HOOK_DEPTH + 1]; /* scratch, innermost first */
};

/* Bytes until the next sample. 0 in a new thread, so its first allocation takes the slow path. */
extern hook_tls uint64_t insp_hook_left;
extern hook_tls struct insp_hook_thread *insp_hook_self;

int insp_hook_threads_init(void);
void insp_hook_threads_late_init(void);
void insp_hook_threads_after_fork(void);
struct insp_hook_thread *insp_hook_enter_slow(void);
void insp_hook_leave_slow(struct insp_hook_thread *t);

/* From here to leave this thread may write tables. NULL: it may not (it already does, and this is a
   signal handler; or there is no memory for its state). */
static inline struct insp_hook_thread *insp_hook_enter(void)
{
	struct insp_hook_thread *t = insp_hook_self;

	if (hook_unlikely(!t || t->busy))
		return insp_hook_enter_slow();
	t->busy = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return t;
}

static inline void insp_hook_leave(struct insp_hook_thread *t)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (hook_unlikely(t->transient))
		insp_hook_leave_slow(t);
	else
		t->busy = 0;
}

/* ---- sampling.c */

/* Bytes that pass before the next one that is drawn. */
uint64_t insp_hook_draw(uint64_t *random);
/* The chance that a block of that size is drawn, 0 < p <= 1. */
double insp_hook_chance(uint64_t size_bytes);

/* ---- cfi.c, rules.c */

enum insp_hook_rule_kind {
	HOOK_RULE_LOST, /* no unwind table, or one that says what we do not understand */
	HOOK_RULE_END,	/* outermost frame */
	HOOK_RULE_SP,	/* CFA = rsp + offset */
	HOOK_RULE_BP,	/* CFA = rbp + offset */
	HOOK_RULE_BP_AT, /* CFA = *(rbp + offset): a frame that realigned its stack */
	HOOK_RULE_SIGNAL, /* a signal trampoline: the registers lie in a ucontext at rsp */
	HOOK_RULE_PLT,	/* CFA = rsp + 8, and 8 more from byte `offset` of the 16-byte entry on */
};
enum insp_hook_bp_kind {
	HOOK_BP_SAME,	/* the caller's rbp is ours */
	HOOK_BP_CFA,	/* it lies at CFA + bp_offset */
	HOOK_BP_BP,	/* it lies at rbp + bp_offset */
};

/* How to get from a frame to its caller, packed into one word: it is read and written whole. */
typedef uint64_t insp_hook_rule;

static inline insp_hook_rule insp_hook_rule_make(unsigned kind, unsigned bp_kind, int64_t bp_offset,
						 int64_t offset)
{
	return (uint64_t)(uint32_t)offset | ((uint64_t)(bp_offset / 8) & 0xffffff) << 32 |
	       (uint64_t)kind << 56 | (uint64_t)bp_kind << 60;
}
static inline unsigned insp_hook_rule_kind(insp_hook_rule r) { return (r >> 56) & 15; }
static inline unsigned insp_hook_rule_bp_kind(insp_hook_rule r) { return (unsigned)(r >> 60) & 3; }
static inline int64_t insp_hook_rule_offset(insp_hook_rule r) { return (int32_t)r; }
static inline int64_t insp_hook_rule_bp_offset(insp_hook_rule r)
{
	return ((int64_t)(r << 8) >> 40) * 8;
}

/* From the unwind tables, for code at exactly pc. */
insp_hook_rule insp_hook_cfi_rule(uintptr_t pc);

int insp_hook_rules_init(unsigned bits);
/* A module went: what is remembered about its addresses is void. */
void insp_hook_rules_forget(void);
/* What is remembered; key = address ^ rule ^ generation, see rules.c. */
struct insp_hook_rules {
	struct {
		uint64_t key, rule;
	} *entries;
	unsigned shift;
	uint64_t generation;
};
extern struct insp_hook_rules insp_hook_rules;
insp_hook_rule insp_hook_rule_slow(uintptr_t return_address);

/* For a return address: the rule of the call before it. */
static inline insp_hook_rule insp_hook_rule_of(uintptr_t return_address)
{
	size_t i = (return_address * UINT64_C(0x9e3779b97f4a7c15)) >> insp_hook_rules.shift;
	uint64_t rule = __atomic_load_n(&insp_hook_rules.entries[i].rule, __ATOMIC_RELAXED);
	uint64_t key = __atomic_load_n(&insp_hook_rules.entries[i].key, __ATOMIC_RELAXED);
	uint64_t now = __atomic_load_n(&insp_hook_rules.generation, __ATOMIC_RELAXED);

	return hook_likely((key ^ rule ^ now) == return_address) ? rule
								 : insp_hook_rule_slow(return_address);
}

/* ---- walk.c */

/* Of the library itself, by the linker. */
extern const char __ehdr_start[], etext[];

/* The site of the stack whose innermost frame continues at pc with that rsp and rbp; 0: none. */
uint32_t insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp);

/* ---- stacks.c */

int insp_hook_stacks_init(void);
/* The number of the stack in frames[0..n), outermost first, whose hash is `hash`; 0 when the table is
   full. Fills in `frame` of each. */
uint32_t insp_hook_site_of(uint64_t hash, struct insp_hook_memo_frame *frames, uint32_t n);
void insp_hook_stacks_before_fork(bool busy);
void insp_hook_stacks_after_fork(bool busy);

/* ---- counters.c */

int insp_hook_counters_init(void);
uint64_t *insp_hook_bank_create(uint32_t index);
uint64_t *insp_hook_counters_page(uint64_t *bank, uint32_t page);
void insp_hook_count_shared(uint32_t site, bool freed, uint64_t objects, uint64_t bytes);

typedef uint64_t insp_hook_pair __attribute__((vector_size(16)));

/* Counts in the thread's own bank, t NULL: in the shared one. One 16-byte store: a stop never sees
   an object counted and its bytes not. */
static inline void insp_hook_count(struct insp_hook_thread *t, uint32_t site, bool freed,
				   uint64_t objects, uint64_t bytes)
{
	if (hook_unlikely(!t || !t->pages)) {
		insp_hook_count_shared(site, freed, objects, bytes);
		return;
	}
	uint64_t page = t->pages[site / INSP_HOOK_PAGE_SITES];

	if (hook_unlikely(!page)) {
		page = (uint64_t)insp_hook_counters_page(t->pages, site / INSP_HOOK_PAGE_SITES);
		if (!page)
			return;
	}
	insp_hook_pair *pair =
		(insp_hook_pair *)page + (size_t)(site % INSP_HOOK_PAGE_SITES) * 2 + freed;

	*pair += (insp_hook_pair){objects, bytes};
}

/* ---- samples.c */

/* One bit a slot: was perhaps a block recorded whose address falls there? Full mode: always. */
#define HOOK_FILTER_BITS 17
extern uint64_t insp_hook_filter[1u << (HOOK_FILTER_BITS - 6)];

static inline uint32_t insp_hook_filter_slot(uintptr_t p)
{
	return (uint32_t)(((p >> 4) * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - HOOK_FILTER_BITS));
}
static inline bool insp_hook_maybe(const void *p)
{
	uint32_t slot = insp_hook_filter_slot((uintptr_t)p);

	return (insp_hook_filter[slot / 64] >> (slot % 64)) & 1;
}
void insp_hook_filter_add(uintptr_t p);
void insp_hook_filter_all(void);

int insp_hook_samples_init(void);
bool insp_hook_samples_add(const struct insp_hook_sample *sample);
/* Takes it out; false when it was not recorded. */
bool insp_hook_samples_take(uintptr_t p, struct insp_hook_sample *ret);

/* ---- shadow.c: full mode */

struct insp_hook_record {
	uint64_t word;
	uint64_t size_bytes; /* as asked for */
	uint32_t site;
};
int insp_hook_shadow_init(void);
bool insp_hook_shadow_put(struct insp_hook_thread *t, uintptr_t p, uint64_t size_bytes,
			  uint32_t site);
bool insp_hook_shadow_take(uintptr_t p, struct insp_hook_record *ret);
/* The other way round, when the block stayed after all. */
void insp_hook_shadow_restore(uintptr_t p, const struct insp_hook_record *record);

/* ---- record.c: the slow paths */

void *insp_hook_slow_malloc(size_t n);
void *insp_hook_slow_calloc(size_t n, size_t size_bytes);
void *insp_hook_slow_realloc(void *p, size_t n);
void insp_hook_slow_free(void *p);
void *insp_hook_slow_aligned(void *(*real)(size_t, size_t), size_t align, size_t n);
void *insp_hook_slow_paged(void *(*real)(size_t), size_t n);
int insp_hook_slow_posix_memalign(void **ret, size_t align, size_t n);

#pragma GCC visibility pop

#endif
