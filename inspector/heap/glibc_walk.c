/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_walk: one stretch of chunks, strictly forward, while the target stands still.
 *
 *     chunk  | prev_size | size|NMP | memory ...          | prev_size | size|NMP | ...
 *                           \________________________________/
 *                                      size bytes
 *
 * A chunk is free when the NEXT one's P bit (PREV_INUSE) is clear, so the loop holds the head of
 * one chunk and loads that of the next: one load a chunk. Free chunks are noted with their links,
 * and so are chunks that look in use but start with a word that could link them into a tcache or
 * fastbin; lists are put together from the notes later (glibc_lists.c).
 *
 * What ends or breaks the chain comes out of the loop into odd_chunk(): fenceposts, a gap of a
 * foreign sbrk, an overwritten size, a page that cannot be read. After the last two the walk looks
 * for the next place from where a chain of chunks holds again; what is between is UNKNOWN.
 */
#include "heap/glibc.h"

#include <inttypes.h>
#include <sys/mman.h>

#define CHAIN_LENGTH   6	/* chunks in a row that prove a new start */
#define CHAIN_MAX      4096	/* longest chain that is tried */
#define WORK_MAX       (16u << 20) /* steps along tried chains per segment: then all is UNKNOWN */
#define LOOK_BACK_MAX  (UINT64_C(1) << 20)
#define PROBES_MAX     200000	/* look-ahead reads per segment outside of the current block */
#define NOTES_FIRST    32768

static const struct insp_geometry geometry = {.shift = 4, .lead = 16, .tail = 8};

int insp_glibc_notes_init(struct insp_glibc_notes *notes, size_t item_size, size_t expect)
{
	size_t cap = expect > NOTES_FIRST ? expect : NOTES_FIRST;
	void *p = mmap(NULL, cap * item_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return INSP_E_NOMEM;
	*notes = (struct insp_glibc_notes){.items = p, .cap = cap, .item_size = item_size};
	(void)madvise(p, cap * item_size, MADV_HUGEPAGE);		    /* only faster */
	(void)madvise(p, NOTES_FIRST * item_size, MADV_POPULATE_WRITE); /* the same */
	return 0;
}

void insp_glibc_notes_deinit(struct insp_glibc_notes *notes)
{
	if (notes->items)
		munmap(notes->items, notes->cap * notes->item_size);
	*notes = (struct insp_glibc_notes){0};
}

bool insp_glibc_notes_grow(struct insp_glibc_notes *notes)
{
	void *p;

	if (notes->failed || !notes->items)
		return false;
	p = mremap(notes->items, notes->cap * notes->item_size, 2 * notes->cap * notes->item_size,
		   MREMAP_MAYMOVE);
	if (p == MAP_FAILED) {
		notes->failed = true;
		return false;
	}
	notes->items = p;
	notes->cap *= 2;
	return true;
}

static inline void note_free(struct insp_glibc_walk *w, uint64_t addr, uint64_t size, uint64_t fd,
			     uint64_t bk)
{
	struct insp_glibc_notes *notes = &w->g->free_notes;

	if (__builtin_expect(notes->n == notes->cap, 0) && !insp_glibc_notes_grow(notes))
		return;
	((struct insp_glibc_free *)notes->items)[notes->n++] = (struct insp_glibc_free){
		.addr = addr,
		.fd = fd,
		.bk = bk,
		.id = (uint32_t)w->result->chunks->n,
		.granules = size >> 4 < UINT32_MAX ? (uint32_t)(size >> 4) : UINT32_MAX,
	};
}

static void note_link(struct insp_glibc_walk *w, uint64_t addr, uint64_t size, uint64_t next)
{
	struct insp_glibc_notes *notes = &w->g->link_notes;

	if (__builtin_expect(notes->n == notes->cap, 0) && !insp_glibc_notes_grow(notes))
		return;
	((struct insp_glibc_link *)notes->items)[notes->n++] = (struct insp_glibc_link){
		.addr = addr,
		.next = next,
		.id = (uint32_t)w->result->chunks->n,
		.granules = (uint32_t)(size >> 4),
	};
}

static void prev_size_wrong(struct insp_glibc_walk *w, uint64_t addr, uint64_t size,
			    uint64_t prev_size)
{
	insp_heap_finding(w->result, w->env->pool, INSP_HEAP_PREV_SIZE_MISMATCH, addr,
			  "free chunk of %" PRIu64 " bytes: prev_size behind it says %" PRIu64,
			  size, prev_size);
}

/* What the loop needs to know of a link, in registers. */
struct link_test {
	uint64_t max, mask, start[2], length[2];
};

static struct link_test link_test(const struct insp_glibc *g)
{
	struct link_test t = {.max = g->link_max, .mask = g->safe_linking ? ~UINT64_C(0) : 0};

	for (int i = 0; i < 2; i++) {
		t.start[i] = g->range[i].start;
		t.length[i] = g->range[i].end - g->range[i].start;
	}
	return t;
}

/*
 * A word of zero is a link too, the last one of a list; but without mangling every zeroed chunk
 * starts like that, so then the end of a list is a chunk without a note.
 */
static inline bool link_leads(const struct link_test *t, uint64_t word, uint64_t field,
			      uint64_t *ret_next)
{
	uint64_t next = word ^ (field >> 12 & t->mask);

	*ret_next = next;
	if (next & (GLIBC_ALIGN - 1))
		return false;
	if (next - t->start[0] < t->length[0] || next - t->start[1] < t->length[1])
		return true;
	return next == 0 && t->mask;
}

static inline bool size_ok(uint64_t head, uint64_t left)
{
	uint64_t size = head & ~GLIBC_SIZE_BITS;

	return !(head & (8 | GLIBC_IS_MMAPPED)) && size >= GLIBC_MIN_SIZE && size <= left;
}

/*
 * One chunk whose next one's head lies outside of the block. Keeps what it needs of this one
 * before it asks for the next block, since that is the same buffer.
 */
static void add_at_edge(struct insp_glibc_walk *w, const struct link_test *t, uint64_t addr,
			const uint8_t *p)
{
	uint64_t size = insp_glibc_load(p + 8) & ~GLIBC_SIZE_BITS, next = addr + size, to;
	uint64_t fd = insp_glibc_load(p + 16), bk = insp_glibc_load(p + 24);
	size_t avail;
	bool in_use = true;

	if (next + GLIBC_HEADER <= w->end) {
		const uint8_t *q = insp_stream_at(&w->stream, next, GLIBC_HEADER, &avail);

		/* Where the next head cannot be read, in use is what does no harm. */
		in_use = !q || insp_glibc_load(q + 8) & GLIBC_PREV_INUSE;
		if (!in_use && insp_glibc_load(q) != size)
			prev_size_wrong(w, addr, size, insp_glibc_load(q));
	}
	if (!in_use)
		note_free(w, addr, size, fd, bk);
	else if (size <= t->max && link_leads(t, fd, addr + 16, &to))
		note_link(w, addr, size, to);
	insp_chunks_add(w->result->chunks, addr, in_use ? INSP_CHUNK_INUSE : INSP_CHUNK_UNLINKED);
}

/*
 * The hot loop: chunks from addr on, while they look right. Returns where it stopped: at
 * w->limit, or at a chunk that is odd, or at one that cannot be read.
 */
static uint64_t walk_run(struct insp_glibc_walk *w, uint64_t addr)
{
	struct insp_chunks *chunks = w->result->chunks;
	const struct link_test t = link_test(w->g);
	const uint64_t limit = w->limit;

	while (addr + GLIBC_MIN_SIZE <= limit) {
		size_t avail;
		const uint8_t *p = insp_stream_at(&w->stream, addr, GLIBC_MIN_SIZE, &avail);

		if (!p) {
			/* Gone, or it straddles two mappings: then a small read gets it. */
			uint8_t copy[GLIBC_MIN_SIZE];

			if (insp_space_read(w->env->space, addr, copy, sizeof(copy)) ||
			    !size_ok(insp_glibc_load(copy + 8), limit - addr))
				return addr;
			add_at_edge(w, &t, addr, copy);
			addr += insp_glibc_load(copy + 8) & ~GLIBC_SIZE_BITS;
			continue;
		}
		uint64_t head = insp_glibc_load(p + 8), size;

		for (;;) {
			uint64_t next_head, to;

			size = head & ~GLIBC_SIZE_BITS;
			if (__builtin_expect(!size_ok(head, limit - addr), 0))
				return addr;
			if (__builtin_expect(size + GLIBC_MIN_SIZE > avail, 0))
				break;
			next_head = insp_glibc_load(p + size + 8);
			if (next_head & GLIBC_PREV_INUSE) {
				if (size <= t.max &&
				    link_leads(&t, insp_glibc_load(p + 16), addr + 16, &to))
					note_link(w, addr, size, to);
				insp_chunks_add(chunks, addr, INSP_CHUNK_INUSE);
			} else {
				if (__builtin_expect(insp_glibc_load(p + size) != size, 0))
					prev_size_wrong(w, addr, size, insp_glibc_load(p + size));
				note_free(w, addr, size, insp_glibc_load(p + 16),
					  insp_glibc_load(p + 24));
				insp_chunks_add(chunks, addr, INSP_CHUNK_UNLINKED);
			}
			addr += size;
			p += size;
			avail -= size;
			head = next_head;
			if (addr == limit)
				return addr;
		}
		add_at_edge(w, &t, addr, p);
		addr += size;
	}
	return addr;
}

/* The two words of the header at addr: through the block if it is there, else by a small read. */
static bool peek(struct insp_glibc_walk *w, uint64_t addr, uint64_t *ret_prev_size,
		 uint64_t *ret_head)
{
	uint64_t off = addr - w->stream.buf_addr, words[2];

	if (off < w->stream.buf_len && w->stream.buf_len - off >= GLIBC_HEADER) {
		memcpy(words, w->stream.buf + off, sizeof(words));
	} else {
		if (!w->probes)
			return false;
		w->probes--;
		if (insp_space_read(w->env->space, addr, words, sizeof(words)))
			return false;
	}
	*ret_prev_size = words[0];
	*ret_head = words[1];
	return true;
}

/*
 * Does a chain of chunks hold from addr on, reaching beyond `past`? It may also end early, exactly
 * where chunks have to end.
 */
static bool chain_holds(struct insp_glibc_walk *w, uint64_t addr, uint64_t past)
{
	uint64_t prev_size, head;

	if (!peek(w, addr, &prev_size, &head))
		return false;
	for (unsigned n = 0;; n++) {
		uint64_t size = head & ~GLIBC_SIZE_BITS;

		if (addr == w->limit)
			return n >= 1;
		if (n >= CHAIN_LENGTH && addr > past)
			return true;
		if (n > CHAIN_MAX || !w->work)
			return false;
		w->work--;
		if (!size_ok(head, w->limit - addr))
			return n >= 2 && size <= GLIBC_HEADER && addr > past &&
			       w->end - addr <= GLIBC_MIN_SIZE; /* fenceposts at the end */
		if (w->main && head & GLIBC_NON_MAIN)
			return false;
		addr += size;
		if (addr + GLIBC_HEADER > w->end)
			return addr == w->end && n >= 2;
		if (!peek(w, addr, &prev_size, &head))
			return false;
		if (!(head & GLIBC_PREV_INUSE) && prev_size != size)
			return false;
	}
}

bool insp_glibc_chain_ok(struct insp_space *space, uint64_t addr, uint64_t limit, uint64_t top,
			 unsigned n)
{
	uint64_t words[2];

	for (unsigned i = 0; i < n; i++) {
		uint64_t size;

		if (addr == top)
			return true;
		if (addr + GLIBC_HEADER > limit || insp_space_read(space, addr, words, sizeof(words)))
			return false;
		size = words[1] & ~GLIBC_SIZE_BITS;
		if (size == GLIBC_HEADER) /* fencepost: the end */
			return i >= 1;
		if (!size_ok(words[1], limit - addr) || words[1] & GLIBC_NON_MAIN)
			return false;
		addr += size;
	}
	return true;
}

/*
 * Where can the walk go on, at or behind `from`? Returns w->limit when nowhere: what is left is
 * UNKNOWN. `past`: the chain must lead beyond this address.
 */
static uint64_t resync(struct insp_glibc_walk *w, uint64_t from, uint64_t past)
{
	uint64_t addr = (from + GLIBC_ALIGN - 1) & ~(GLIBC_ALIGN - 1);

	while (addr + GLIBC_MIN_SIZE <= w->limit) {
		size_t avail;
		const uint8_t *p = insp_stream_at(&w->stream, addr, GLIBC_HEADER, &avail);

		if (!p) { /* not readable: the next page may be */
			addr = (addr & ~(GLIBC_PAGE - 1)) + GLIBC_PAGE;
			continue;
		}
		size_t n = avail / GLIBC_ALIGN;

		for (size_t i = 0; i < n && addr + GLIBC_MIN_SIZE <= w->limit;
		     i++, addr += GLIBC_ALIGN)
			if (size_ok(insp_glibc_load(p + GLIBC_ALIGN * i + 8), w->limit - addr) &&
			    chain_holds(w, addr, past))
				return addr;
	}
	return w->limit;
}

static void set_last(struct insp_glibc_walk *w, enum insp_chunk_state state)
{
	struct insp_chunks *chunks = w->result->chunks;

	if (chunks->open && chunks->open->n)
		chunks->states[chunks->n - 1] = (uint8_t)state;
}

/* The address of the chunk added last, which lies below addr. */
static bool last_addr(const struct insp_glibc_walk *w, uint64_t addr, uint64_t *ret)
{
	const struct insp_span *s = w->result->chunks->open;

	if (!s || !s->n || addr <= s->start || addr > s->end)
		return false;
	/* Not from the end of the span: a heap with many bad sizes would be looked through for each. */
	for (size_t word = (size_t)((addr - 1 - s->base) / GLIBC_ALIGN / 64) + 1; word-- > 0;)
		if (s->bits[word]) {
			*ret = s->base + ((uint64_t)word * 64 + 63 -
					  (uint64_t)__builtin_clzll(s->bits[word])) * GLIBC_ALIGN;
			return *ret >= s->start;
		}
	return false;
}

/* A thread arena's full heap: [fencepost of 16 or 32 bytes] [head of size 0] and the end. */
static bool heap_end(struct insp_glibc_walk *w, uint64_t addr, uint64_t head)
{
	uint64_t size = head & ~GLIBC_SIZE_BITS, prev_size, next_head;

	if (w->main || w->top)
		return false;
	if (size == 0 && addr + GLIBC_HEADER == w->end) {
		uint64_t before;

		/* Old top was too small to be freed: it became the fencepost. */
		if (last_addr(w, addr, &before) && addr - before == GLIBC_MIN_SIZE)
			set_last(w, INSP_CHUNK_METADATA);
		insp_chunks_add(w->result->chunks, addr, INSP_CHUNK_METADATA);
		return true;
	}
	if (size == GLIBC_HEADER && addr + GLIBC_MIN_SIZE == w->end &&
	    peek(w, addr + GLIBC_HEADER, &prev_size, &next_head) &&
	    (next_head & ~GLIBC_SIZE_BITS) == 0) {
		insp_chunks_add(w->result->chunks, addr, INSP_CHUNK_METADATA);
		insp_chunks_add(w->result->chunks, addr + GLIBC_HEADER, INSP_CHUNK_METADATA);
		return true;
	}
	return false;
}

/*
 * A piece of the main arena ends with two fenceposts of 16 bytes at a page boundary; when the top
 * that they replaced was 48 bytes long, there is a third before them. Returns how many, or 0.
 */
static unsigned main_fences(struct insp_glibc_walk *w, uint64_t addr, uint64_t head)
{
	uint64_t left = GLIBC_PAGE - (addr & (GLIBC_PAGE - 1)), prev_size, next_head;

	if (!w->main || (head & ~GLIBC_PREV_INUSE) != GLIBC_HEADER || left > 3 * GLIBC_HEADER ||
	    left < 2 * GLIBC_HEADER || addr + left > w->end)
		return 0;
	for (uint64_t off = GLIBC_HEADER; off < left; off += GLIBC_HEADER)
		if (!peek(w, addr + off, &prev_size, &next_head) ||
		    next_head != (GLIBC_HEADER | GLIBC_PREV_INUSE))
			return 0;
	return (unsigned)(left / GLIBC_HEADER);
}

/* Behind a fence in the brk area: where malloc's memory goes on; the gap is somebody else's. */
static uint64_t cross_gap(struct insp_glibc_walk *w, uint64_t gap)
{
	uint64_t next;

	if (gap >= w->limit)
		return gap;
	next = resync(w, gap, gap);
	if (next == gap)
		return gap;
	insp_chunks_add(w->result->chunks, gap, INSP_CHUNK_METADATA);
	insp_heap_finding(w->result, w->env->pool, INSP_HEAP_FOREIGN_SBRK, gap,
			  "%" PRIu64 " bytes of the brk area belong to somebody else",
			  next - gap);
	return next;
}

static void unknown(struct insp_glibc_walk *w, uint64_t start, uint64_t end)
{
	w->g->stats.unknown_bytes += end - start;
	insp_chunks_add(w->result->chunks, start, INSP_CHUNK_UNKNOWN);
}

static uint64_t skip_unreadable(struct insp_glibc_walk *w, uint64_t addr)
{
	uint64_t next = resync(w, (addr & ~(GLIBC_PAGE - 1)) + GLIBC_PAGE, addr);

	unknown(w, addr, next);
	insp_heap_finding(w->result, w->env->pool, INSP_HEAP_UNREADABLE, addr,
			  "%" PRIu64 " bytes from %#" PRIx64
			  " on could not be read or follow what could not",
			  next - addr, addr);
	return next;
}

/* The P bit of a bad head says nothing of the chunk before, unless prev_size agrees with it. */
static void trust_in_use(struct insp_glibc_walk *w, uint64_t addr)
{
	const struct insp_chunks *chunks = w->result->chunks;
	uint64_t before, prev_size, head;

	if (last_addr(w, addr, &before) && chunks->states[chunks->n - 1] == INSP_CHUNK_UNLINKED &&
	    (!peek(w, addr, &prev_size, &head) || prev_size != addr - before))
		set_last(w, INSP_CHUNK_INUSE);
}

/*
 * The head at addr cannot be. Either it was overwritten, or the chunk before it was, and sent us
 * here. If a chain that leads beyond addr starts inside the chunk before, that one is wrong.
 */
static uint64_t skip_bad(struct insp_glibc_walk *w, uint64_t addr, uint64_t head)
{
	uint64_t before, next;

	trust_in_use(w, addr);

	if (last_addr(w, addr, &before) && addr - before > GLIBC_MIN_SIZE &&
	    addr - before <= LOOK_BACK_MAX) {
		uint64_t limit = w->limit;

		w->limit = addr; /* candidates end here, but their chains may not */
		for (next = before + GLIBC_MIN_SIZE; next + GLIBC_HEADER <= addr;
		     next += GLIBC_ALIGN) {
			uint64_t prev_size, h;
			bool holds;

			if (!peek(w, next, &prev_size, &h) || !size_ok(h, limit - next))
				continue;
			w->limit = limit;
			holds = chain_holds(w, next, addr);
			w->limit = addr;
			if (!holds)
				continue;
			w->limit = limit;
			set_last(w, INSP_CHUNK_UNKNOWN);
			w->g->stats.unknown_bytes += next - before;
			w->g->stats.nbad++;
			insp_heap_finding(w->result, w->env->pool, INSP_HEAP_BAD_SIZE, before,
					  "its size %#" PRIx64
					  " leads into nothing; chunks go on at %#" PRIx64,
					  addr - before, next);
			return next;
		}
		w->limit = limit;
	}
	next = resync(w, addr + GLIBC_ALIGN, addr);
	unknown(w, addr, next);
	w->g->stats.nbad++;
	insp_heap_finding(w->result, w->env->pool, INSP_HEAP_BAD_SIZE, addr,
			  "size %#" PRIx64 " cannot be; chunks go on at %#" PRIx64, head, next);
	return next;
}

/* The chain stopped at addr, before the limit. Returns where to go on, or w->end when it is done. */
static uint64_t odd_chunk(struct insp_glibc_walk *w, uint64_t addr, bool stop_at_fence)
{
	size_t avail;
	const uint8_t *p;
	uint64_t head;

	p = insp_stream_at(&w->stream, addr, GLIBC_HEADER, &avail);
	if (!p)
		return skip_unreadable(w, addr);
	head = insp_glibc_load(p + 8);
	if (heap_end(w, addr, head))
		return w->end;
	unsigned nfences = main_fences(w, addr, head);

	if (nfences) {
		for (unsigned i = 0; i < nfences; i++, addr += GLIBC_HEADER)
			insp_chunks_add(w->result->chunks, addr, INSP_CHUNK_METADATA);
		if (stop_at_fence) {
			w->end = w->limit = addr;
			return addr;
		}
		return cross_gap(w, addr);
	}
	return skip_bad(w, addr, head);
}

/* top: from its header to the end of the heap, whatever its size says. */
static void add_top(struct insp_glibc_walk *w)
{
	size_t avail;
	const uint8_t *p = insp_stream_at(&w->stream, w->top, GLIBC_HEADER, &avail);
	uint64_t head = p ? insp_glibc_load(p + 8) : 0;

	insp_chunks_add(w->result->chunks, w->top, INSP_CHUNK_TOP);
	if (!p || (head & ~GLIBC_SIZE_BITS) != w->end - w->top || !(head & GLIBC_PREV_INUSE))
		insp_heap_finding(w->result, w->env->pool, INSP_HEAP_BAD_TOP, w->top,
				  "top's size is %#" PRIx64 ", its heap has %#" PRIx64
				  " bytes left",
				  head, w->end - w->top);
}

uint64_t insp_glibc_walk_segment(struct insp_glibc *g, const struct insp_heap_env *env,
				 struct insp_heap_result *result, uint32_t arena, uint64_t start,
				 uint64_t first, uint64_t end, bool stop_at_fence)
{
	const struct insp_glibc_arena *a = &g->arenas.items[arena];
	struct insp_glibc_segment *s = insp_vec_push(&g->segments);
	struct insp_glibc_walk w = {
		.g = g,
		.env = env,
		.result = result,
		.end = end,
		.limit = end,
		.arena = arena,
		.main = a->main,
		.probes = PROBES_MAX,
		.work = WORK_MAX,
	};
	uint64_t addr = first;

	if (!s || first < start || first >= end)
		return end;
	if (a->top >= first && a->top < end && !(a->top & (GLIBC_ALIGN - 1)))
		w.top = w.limit = a->top;
	*s = (struct insp_glibc_segment){
		.start = start,
		.arena = arena,
		.first_free = g->free_notes.n,
		.first_link = g->link_notes.n,
	};
	insp_chunks_span_begin(result->chunks, start, end, a->index, geometry);
	insp_stream_begin(&w.stream, env->space, start, end, env->on_block, env->on_block_ctx);
	if (first > start)
		insp_chunks_add(result->chunks, start, INSP_CHUNK_METADATA);
	while (addr < w.limit) {
		addr = walk_run(&w, addr);
		if (addr < w.limit)
			addr = odd_chunk(&w, addr, stop_at_fence);
	}
	if (w.top && w.limit == w.top)
		add_top(&w);
	insp_stream_end(&w.stream);
	if (result->chunks->open)
		insp_chunks_span_end_at(result->chunks, w.end);
	s->end = w.end;
	s->nfree = g->free_notes.n - s->first_free;
	s->nlinks = g->link_notes.n - s->first_link;
	return w.end;
}
