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
 * fast.h       what each event of full mode does with all these
 * threads.c    what each thread has of its own; start.c  environment, real functions, fork; scope.c  who
 *              else is there
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
#define INSP_HOOK_EARLY 16384
extern char insp_hook_early_bytes[INSP_HOOK_EARLY];
static hook_inline bool insp_hook_early(const void *p)
{
	return (uintptr_t)p - (uintptr_t)insp_hook_early_bytes < INSP_HOOK_EARLY;
}
/* The bytes asked for such a block. */
size_t insp_hook_early_size(const void *p);

/* ---- scope.c */

struct link_map;
/* The first in the list of loaded objects that `any` is in which defines that function, or NULL. Stubs of
   a program for functions of its libraries do not count. */
const struct link_map *insp_hook_first_to_define(const struct link_map *any, const char *name);

/* ---- memory.c */

/* Zeroed pages that nobody pays for before they are touched; NULL when there are none. */
void *insp_hook_map(size_t size_bytes);
/* With its pages, for what will be touched all over. Where a page is read before it is written it costs two
   faults, and the second one an interrupt of every other thread. */
void *insp_hook_map_filled(size_t size_bytes);
void insp_hook_unmap(void *p, size_t size_bytes);
/* Can the page at addr be read? Asks the kernel; errno stays. */
bool insp_hook_readable(uintptr_t addr);
/* Seconds of the monotonic clock since the start. */
uint32_t insp_hook_seconds(void);

/* ---- threads.c */

#define HOOK_DEPTH 256 /* frames kept of a stack: the innermost */

/* One frame of the last walk. */
struct insp_hook_memo_frame {
	uint64_t sp;   /* stack pointer in that frame: the return address lies at sp - 8 */
	uint64_t pc;
	uint64_t hash; /* of the pcs from the outermost frame to this one */
	union {
		struct {
			uint32_t frame;	 /* its number in the table of frames; 0: not looked up */
			uint16_t nbp;	 /* entries of bp_words for the frames further out */
			bool bp_matters; /* rbp is needed to get from here outward */
		};
		uint64_t all; /* so that one store does */
	};
};
#define HOOK_ALL_NBP(nbp) ((uint64_t)(nbp) << 32)

/*
 * The last walk. frames[HOOK_PADS] is its outermost frame; those in front of it are none. frames[0] has
 * an sp beyond all, so that a search ends there; the others "return" to a word that never changes, so
 * that frames can be compared several at once.
 */
#define HOOK_PADS 5

struct insp_hook_memo {
	uint32_t n;    /* frames */
	uint32_t site; /* of all of them; 0 unknown */
	struct insp_hook_memo_frame frames[HOOK_PADS + HOOK_DEPTH + 1];
	uint64_t bp[HOOK_PADS + HOOK_DEPTH + 1]; /* rbp in each frame for which it matters */
	struct insp_hook_bp_word {
		uint64_t addr, value;
	} bp_words[HOOK_DEPTH + 1]; /* where such an rbp was loaded from */
};

struct insp_hook_step {
	uint64_t sp, pc;
	uint64_t bp_at; /* where rbp lies in that frame */
	uint64_t rule;
};

/*
 * The stack that followed in this thread upon that of a site: mostly it is so again, and then neither
 * rules, the index of sites nor the next counters have to be waited for. Lies behind the site's page of counters.
 *
 *     outermost                        innermost
 *     last     f0 f1 f2 f3 f4 f5 f6
 *     next     f0 f1 f2 f3 g4 g5 g6         kept 4, n 3
 *                        |  |  |  sp
 *              at[0] -----  |  |            words from sp to the sp of f3, of g4, of g5
 *              at[1] --------  |
 *              at[2] -----------
 */
#define HOOK_NEW 8 /* frames */

struct insp_hook_next {
	uint64_t key; /* hash of the next stack ^ generation of the rules */
	uint32_t site;
	uint16_t kept, n; /* n 0: it is not known how to get there */
	uint16_t at[HOOK_NEW];
};

struct insp_hook_thread {
	int busy;	    /* recording: what a signal handler allocates now is not recorded */
	uint32_t tid, serial;
	uint32_t encoded;   /* the time of the last event, as a record writes it */
	int64_t second;	    /* of the wall clock, at that event */
	uint64_t *pages;    /* its own bank of counters; NULL: the shared one */
	uintptr_t stack_lo, stack_hi; /* known to be readable */
	uint64_t generation; /* of the rules that memo was made with */
	struct insp_hook_next *after; /* the last event's site */
	struct insp_hook_next after_any; /* without a bank of its own */

	struct insp_hook_thread *next;
	int taken;	    /* by a living thread */
	uint32_t index;
	bool transient;	    /* for one event only: its thread is about to end */
	uint64_t random;

	struct insp_hook_memo memo;
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
	HOOK_RULE_PLAIN, /* see enum insp_hook_plain */
	HOOK_RULE_LOST,	 /* no unwind table, or one that says what we do not understand */
	HOOK_RULE_END,	 /* outermost frame */
	HOOK_RULE_SP,	 /* CFA = rsp + offset */
	HOOK_RULE_BP,	 /* CFA = rbp + offset */
	HOOK_RULE_BP_AT, /* CFA = *(rbp + offset): a frame that realigned its stack */
	HOOK_RULE_SIGNAL, /* a signal trampoline: the registers lie in a ucontext at rsp */
	HOOK_RULE_PLT,	/* CFA = rsp + 8, and 8 more from byte `offset` of the 16-byte entry on */
	HOOK_RULE_OWN = 8, /* a bit: a frame of the hook itself, where a compiler did not jump to a slow path */
};
enum insp_hook_bp_kind {
	HOOK_BP_SAME,	/* the caller's rbp is ours */
	HOOK_BP_CFA,	/* it lies at CFA + bp_offset */
	HOOK_BP_BP,	/* it lies at rbp + bp_offset */
};
/*
 * The rules of nearly all code, with offsets that need no further check: the CFA is a multiple of 8 above
 * rsp or rbp, and rbp was saved between rsp and the return address, or not at all.
 */
enum insp_hook_plain {
	HOOK_PLAIN_FROM_BP = 1 << 0, /* CFA = rbp + offset; else rsp + offset */
	HOOK_PLAIN_BP_SAVED = 1 << 1, /* the caller's rbp lies at CFA + bp_offset; else it is ours */
};

/* How to get from a frame to its caller, packed into one word: it is read and written whole. */
typedef uint64_t insp_hook_rule;

insp_hook_rule insp_hook_rule_make(unsigned kind, unsigned bp_kind, int64_t bp_offset,
				   int64_t offset);
/* A plain rule as one that is not: with a kind. */
insp_hook_rule insp_hook_rule_careful(insp_hook_rule rule);
/* Plain flags in the two lowest bits, then the kind; for plain rules: no more than the flags. */
static inline unsigned insp_hook_rule_top(insp_hook_rule r) { return (unsigned)(r >> 56); }
static inline unsigned insp_hook_rule_kind(insp_hook_rule r) { return (r >> 58) & 7; }
static inline bool insp_hook_rule_own(insp_hook_rule r) { return (r >> 58) & HOOK_RULE_OWN; }
static inline unsigned insp_hook_rule_bp_kind(insp_hook_rule r) { return (unsigned)(r >> 62); }
static inline int64_t insp_hook_rule_offset(insp_hook_rule r) { return (int32_t)r; }
static inline int64_t insp_hook_rule_bp_offset(insp_hook_rule r)
{
	return ((int64_t)(r << 8) >> 40) * 8;
}

/* From the unwind tables, for code at exactly pc. */
insp_hook_rule insp_hook_cfi_rule(uintptr_t pc);

/* Of the library itself, by the linker. */
extern const char __ehdr_start[], etext[];

int insp_hook_rules_init(unsigned bits);
/* A module went: what is remembered about its addresses is void. */
void insp_hook_rules_forget(void);
/* What is remembered; key = address ^ rule ^ generation, see rules.c. */
struct insp_hook_rules {
	struct insp_hook_rule_entry {
		uint64_t key, rule;
	} *entries;
	uint64_t mask; /* of an entry's place in bytes */
	uint64_t generation;
};
extern struct insp_hook_rules insp_hook_rules;

static hook_inline struct insp_hook_rule_entry *insp_hook_rule_entry(uintptr_t return_address)
{
	/* No hash: code that runs together has its rules in few pages and lines, too. One entry for every four
	   addresses; they are of 16 bytes, and the mask takes what is below. */
	_Static_assert(sizeof(*insp_hook_rules.entries) == 16, "or the shifts are others");
	uint64_t at = (return_address << 2 ^ return_address >> 13) & insp_hook_rules.mask;

	return (struct insp_hook_rule_entry *)((char *)insp_hook_rules.entries + at);
}
insp_hook_rule insp_hook_rule_slow(uintptr_t return_address);

/* ---- walk.c */

void insp_hook_memo_init(struct insp_hook_memo *memo);

/* The site of the stack whose innermost frame continues at pc with that rsp and rbp; 0: none. */
uint32_t insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp);

/* ---- stacks.c */

int insp_hook_stacks_init(void);
/* Enters the stack in frames[0..n), outermost first, whose hash is `hash`: gives its number, 0 when the
   tables are full. Fills in `frame` of each. tid: of the thread that asks. */
uint32_t insp_hook_site_enter(uint32_t tid, uint64_t hash, struct insp_hook_memo_frame *frames,
			      uint32_t n);
void insp_hook_stacks_before_fork(bool busy);
void insp_hook_stacks_after_fork(bool busy);

/*
 * Hash of a stack -> its site. An entry is the lower bits of the hash and the site; the upper bits say
 * where in the table it is. 0: empty. Behind the entries lie the whole hashes, for when it grows.
 */
struct insp_hook_site_index {
	uint32_t bits, used;
	uint64_t entries[];
};
extern struct insp_hook_site_index *insp_hook_sites;

/* ---- counters.c */

int insp_hook_counters_init(void);
uint64_t *insp_hook_bank_create(uint32_t index);
uint64_t *insp_hook_counters_page(uint64_t *bank, uint32_t page);
void insp_hook_count_shared(uint32_t site, uint64_t objects, uint64_t bytes);

/* ---- samples.c */

/*
 * Was perhaps a block recorded at p? One bit a slot, at the upper bits of a hash: how far it is to be
 * shifted stands in front of the bits. In full mode it is so far that a single word of ones is left,
 * and always near; as long as nothing is recorded, one of zeroes.
 */
extern const uint64_t *insp_hook_filter;

static inline uint64_t insp_hook_filter_hash(uintptr_t p)
{
	return (p >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}
static inline bool insp_hook_maybe(const void *p)
{
	const uint64_t *filter = __atomic_load_n(&insp_hook_filter, __ATOMIC_RELAXED);
	uint64_t slot = insp_hook_filter_hash((uintptr_t)p) >> filter[0];

	return (filter[1 + slot / 64] >> (slot % 64)) & 1;
}
void insp_hook_filter_add(uintptr_t p);
void insp_hook_filter_all(void);

int insp_hook_samples_init(void);
bool insp_hook_samples_add(const struct insp_hook_sample *sample);
/* Takes it out; false when it was not recorded. */
bool insp_hook_samples_take(uintptr_t p, struct insp_hook_sample *ret);

/* ---- shadow.c: full mode */

int insp_hook_shadow_init(void);
/* Makes the word for p if there is none; NULL: no memory, or no such address. */
uint64_t *insp_hook_shadow_make(uintptr_t p);
/* Takes the record of p out: gives its word, 0 none. Restore: the block stayed after all. */
uint64_t insp_hook_shadow_take(uintptr_t p);
void insp_hook_shadow_restore(uintptr_t p, uint64_t word);
extern uint64_t *insp_hook_shadow_root;

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
