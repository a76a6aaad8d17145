/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * chunks: every chunk of every heap, in two bytes a chunk.
 *
 * A span is a stretch of address space that an allocator cut into chunks without a gap: a heap
 * of an arena, the brk area, one mmapped chunk. A chunk ends where the next one starts, so the
 * starts say everything, and they are kept as one bit per granule:
 *
 *     span  |chunk 0      |chunk 1|chunk 2              |top                  |
 *     bits  1 0 0 0 0 0 0 1 0 0 0 1 0 0 0 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0
 *     rank  number of bits before each 512-bit line: address -> index without a search
 *     state one byte a chunk, in order
 *
 * 10 million chunks in 1.4 GB take 11 MB of bits, 0.7 MB of rank and 10 MB of states; they are
 * written strictly forward while the target stands still, and nothing grows then.
 *
 * What cannot be explained (an overwritten size, a page that was swapped out) is a chunk of
 * state UNKNOWN: a span is always tiled, and the sums always add up.
 *
 * An id is the number of a chunk: dense from 0 to n - 1, in the order in which spans were
 * added; within a span in address order. It indexes every per-chunk array (states, sites, ...).
 */
#ifndef INSP_MODEL_CHUNKS_H
#define INSP_MODEL_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum insp_chunk_state {
	INSP_CHUNK_INUSE,    /* belongs to the program */
	INSP_CHUNK_MMAPPED,  /* belongs to the program, in a mapping of its own */
	INSP_CHUNK_TCACHE,   /* free, kept by one thread */
	INSP_CHUNK_FASTBIN,  /* free, not coalesced */
	INSP_CHUNK_UNSORTED, /* free */
	INSP_CHUNK_SMALLBIN, /* free */
	INSP_CHUNK_LARGEBIN, /* free */
	INSP_CHUNK_UNLINKED, /* free, and on no list (stopped inside malloc, or corrupt) */
	INSP_CHUNK_TOP,	     /* the unused end of an arena */
	INSP_CHUNK_METADATA, /* malloc's own: heap_info, arena, tcache struct, fenceposts, padding */
	INSP_CHUNK_UNKNOWN,  /* unreadable, or breaks the rules */
	INSP_N_CHUNK_STATES
};

/* Bits of a state byte beside the state. */
#define INSP_CHUNK_STATE_MASK 0x0f

/* Stable key ("in_use") and title ("in use") of a state. */
const char *insp_chunk_state_key(enum insp_chunk_state state);
const char *insp_chunk_state_title(enum insp_chunk_state state);
/* The states that a word of n bytes stands for, as a set of 1 << state: a key, "used", "free", "all".
   INSP_E_USAGE with all of them. */
int insp_chunk_states_parse(const char *word, size_t n, uint32_t *ret, struct insp_error *err) insp_must_check;

static inline bool insp_chunk_state_live(enum insp_chunk_state s)
{
	return s == INSP_CHUNK_INUSE || s == INSP_CHUNK_MMAPPED;
}

static inline bool insp_chunk_state_free(enum insp_chunk_state s)
{
	return s >= INSP_CHUNK_TCACHE && s <= INSP_CHUNK_TOP;
}

/* How an allocator lays out a chunk; all in bytes. glibc on amd64: shift 4, lead 16, tail 8. */
struct insp_geometry {
	uint8_t shift; /* log2 of the granule: every chunk starts at a multiple of it */
	uint8_t lead;  /* from the chunk's start to what malloc() returned */
	uint8_t tail;  /* bytes of the next chunk's head that belong to this one's memory */
};

struct insp_span {
	uint64_t start, end;  /* of chunks, [start, end) */
	uint64_t base;	      /* start rounded down to the granule: bit 0 */
	uint32_t arena;	      /* index into the snapshot's arenas */
	uint32_t first;	      /* id of its first chunk */
	uint32_t n;	      /* chunks */
	struct insp_geometry geometry;
	uint64_t *bits;
	uint32_t *rank;	      /* one per 8 words of bits; made by insp_chunks_seal */
	size_t nwords;
	size_t bits_mapped;   /* bytes of the mapping behind bits; 0: lone chunk, no bits at all */
};

/* Invariant after seal: spans sorted by start and disjoint; sum of span.n == n. */
struct insp_chunks {
	struct insp_span *spans;
	size_t nspans, spans_cap;
	uint32_t *by_first;   /* indexes of spans, sorted by span.first; made by seal */
	uint8_t *states;      /* [n] */
	size_t n, states_cap;
	struct insp_span *open; /* being built, or NULL */
	bool failed;	      /* memory was short: seal says so */
	bool sealed;
};

/* One chunk, as analyses and commands see it. Sizes in bytes. */
struct insp_chunk {
	uint64_t addr;	      /* start of the chunk: its header */
	uint64_t size;	      /* of the chunk, header included */
	uint64_t mem;	      /* what malloc() returned: addr + lead */
	uint64_t usable;      /* malloc_usable_size(): size - lead + tail; mmapped: size - lead */
	uint32_t id;
	uint32_t arena;
	enum insp_chunk_state state;
};

struct insp_chunks *insp_chunks_create(void);
void insp_chunks_destroy(struct insp_chunks *chunks);

/*
 * Makes room before the target is stopped, for about `nchunks` chunks and `heap_bytes` of heap,
 * and touches it, so that nothing page-faults in the pause. A hint: growth works without it.
 */
void insp_chunks_prefault(struct insp_chunks *chunks, uint64_t heap_bytes, uint64_t nchunks);

/*
 * Building: begin a span, add chunk starts in strictly rising order (the first at start), end it.
 * A chunk that breaks the order is ignored and false returned. Memory failures stick.
 */
void insp_chunks_span_begin(struct insp_chunks *chunks, uint64_t start, uint64_t end,
			    uint32_t arena, struct insp_geometry geometry);
bool insp_chunks_add_slow(struct insp_chunks *chunks, uint64_t addr, uint8_t state);
void insp_chunks_span_end(struct insp_chunks *chunks);
/* Ends the open span at `end` instead of where begin said; drops an empty one. */
void insp_chunks_span_end_at(struct insp_chunks *chunks, uint64_t end);
/* One mmapped chunk: a span without bits. */
void insp_chunks_add_lone(struct insp_chunks *chunks, uint64_t start, uint64_t end, uint32_t arena,
			  struct insp_geometry geometry, enum insp_chunk_state state);

/* The hot path of a walk: bit and state, nothing else. Order is the caller's promise here. */
static inline void insp_chunks_add(struct insp_chunks *chunks, uint64_t addr, uint8_t state)
{
	struct insp_span *s = chunks->open;

	if (__builtin_expect(chunks->n >= chunks->states_cap || !s || !s->bits, 0)) {
		(void)insp_chunks_add_slow(chunks, addr, state);
		return;
	}
	uint64_t bit = (addr - s->base) >> s->geometry.shift;

	s->bits[bit >> 6] |= 1ull << (bit & 63);
	chunks->states[chunks->n++] = state;
	s->n++;
}

/*
 * Loading what was saved: spans in order of their ids, then the states of all of them. False when
 * bits and counts contradict each other or memory is short. Seal checks the rest.
 */
bool insp_chunks_load_span(struct insp_chunks *chunks, uint64_t start, uint64_t end, uint32_t arena,
			   struct insp_geometry geometry, uint32_t n, const uint8_t *bits,
			   size_t bits_bytes);
bool insp_chunks_load_states(struct insp_chunks *chunks, const uint8_t *states, size_t n);

/* Sorts, makes ranks, checks; the second time it does nothing. Overlapping spans are INSP_E_CORRUPT
   with both named. */
int insp_chunks_seal(struct insp_chunks *chunks, struct insp_error *err) insp_must_check;

/* The id of the chunk whose bytes [addr, addr+size) hold `addr`, or -1. Sealed only. */
int64_t insp_chunks_at(const struct insp_chunks *chunks, uint64_t addr);
/* The same with a hint for neighbouring look-ups: *span_hint is an index into spans. */
int64_t insp_chunks_at_hint(const struct insp_chunks *chunks, uint64_t addr, size_t *span_hint);
/* The chunk whose memory (as the program sees it: [mem, mem+usable)) holds addr, or -1. */
int64_t insp_chunks_owner(const struct insp_chunks *chunks, uint64_t addr, size_t *span_hint);

/*
 * What pointers hit, for many at once: the memory of the index is fetched ahead, which makes it
 * several times faster than one by one. ret[i] is the id of the live chunk whose memory addrs[i]
 * lies in, with INSP_HIT_INTERIOR unless it is just what malloc() returned; or INSP_HIT_NONE.
 *
 * An address just where the next chunk's head begins hits nothing, although the word there may
 * belong to the chunk before: it is far more often the end of an array, or a link of malloc's own
 * to the next chunk. Needs n below 2^31 chunks; finder starts all zero.
 */
#define INSP_HIT_INTERIOR (UINT32_C(1) << 31)
#define INSP_HIT_NONE	  UINT32_MAX
#define INSP_HIT_ID(hit)  ((hit) & ~INSP_HIT_INTERIOR)

struct insp_finder {
	uint32_t hints[256]; /* span that an address range was found in last */
};

void insp_chunks_hits(const struct insp_chunks *chunks, struct insp_finder *finder,
		      const uint64_t *addrs, size_t n, uint32_t *ret);

/* Fills ret for an id below n. O(log n). */
void insp_chunks_get(const struct insp_chunks *chunks, uint32_t id, struct insp_chunk *ret);
/* The same, several times faster, where it is known that its memory begins at mem. */
void insp_chunks_get_mem(const struct insp_chunks *chunks, uint32_t id, uint64_t mem,
			 struct insp_chunk *ret);
const struct insp_span *insp_chunks_span_of(const struct insp_chunks *chunks, uint32_t id);

static inline enum insp_chunk_state insp_chunks_state(const struct insp_chunks *chunks, uint32_t id)
{
	return (enum insp_chunk_state)(chunks->states[id] & INSP_CHUNK_STATE_MASK);
}

static inline void insp_chunks_set_state(struct insp_chunks *chunks, uint32_t id,
					 enum insp_chunk_state state)
{
	chunks->states[id] = (uint8_t)((chunks->states[id] & ~INSP_CHUNK_STATE_MASK) | state);
}

/* Iteration in address order, about 3 ns a chunk. */
struct insp_chunk_iter {
	const struct insp_chunks *chunks;
	size_t span;	/* index of the current span */
	size_t word;	/* of bits */
	uint64_t left;	/* bits of that word not yet seen */
	uint64_t next;	/* start of the next chunk, UINT64_MAX: not found yet */
	uint32_t id;
	bool in_span;
};

void insp_chunk_iter_init(struct insp_chunk_iter *it, const struct insp_chunks *chunks);
/* Starts at the chunk that holds addr, or the first one behind it. */
void insp_chunk_iter_from(struct insp_chunk_iter *it, const struct insp_chunks *chunks,
			  uint64_t addr);
bool insp_chunk_iter_next(struct insp_chunk_iter *it, struct insp_chunk *ret);

#define insp_chunks_each(chunks, it, c) \
	for (insp_chunk_iter_init(&(it), (chunks)); insp_chunk_iter_next(&(it), &(c));)

#endif
