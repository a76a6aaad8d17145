/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * chunks: see the header for the picture. Bits live in anonymous mappings of their own, so that
 * a sparse heap costs what was touched of it and large ones get huge pages.
 */
#include "model/chunks.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "base/str.h"

#define WORDS_PER_LINE 8
#define HUGE_PAGE      ((size_t)2 << 20)

static const struct {
	const char *key, *title;
} state_names[INSP_N_CHUNK_STATES] = {
	[INSP_CHUNK_INUSE] = {"in_use", "in use"},
	[INSP_CHUNK_MMAPPED] = {"mmapped", "mmapped"},
	[INSP_CHUNK_TCACHE] = {"tcache", "tcache"},
	[INSP_CHUNK_FASTBIN] = {"fastbin", "fastbin"},
	[INSP_CHUNK_UNSORTED] = {"unsorted", "unsorted bin"},
	[INSP_CHUNK_SMALLBIN] = {"smallbin", "small bin"},
	[INSP_CHUNK_LARGEBIN] = {"largebin", "large bin"},
	[INSP_CHUNK_UNLINKED] = {"unlinked", "free, on no list"},
	[INSP_CHUNK_TOP] = {"top", "top"},
	[INSP_CHUNK_METADATA] = {"metadata", "malloc's own"},
	[INSP_CHUNK_UNKNOWN] = {"unknown", "unknown"},
};

const char *insp_chunk_state_key(enum insp_chunk_state state)
{
	return state < INSP_N_CHUNK_STATES ? state_names[state].key : "invalid";
}

const char *insp_chunk_state_title(enum insp_chunk_state state)
{
	return state < INSP_N_CHUNK_STATES ? state_names[state].title : "invalid";
}

/* 0: no such word. */
static uint32_t states_named(const char *word, size_t n)
{
	uint32_t used = 0, unused = 0, all = (1u << INSP_N_CHUNK_STATES) - 1;

	for (int s = 0; s < INSP_N_CHUNK_STATES; s++) {
		const char *key = state_names[s].key;

		if (strlen(key) == n && strncasecmp(key, word, n) == 0)
			return 1u << s;
		if (insp_chunk_state_live((enum insp_chunk_state)s))
			used |= 1u << s;
		if (insp_chunk_state_free((enum insp_chunk_state)s))
			unused |= 1u << s;
	}
	if (n == 4 && strncasecmp(word, "used", n) == 0)
		return used;
	if (n == 4 && strncasecmp(word, "free", n) == 0)
		return unused;
	return n == 3 && strncasecmp(word, "all", n) == 0 ? all : 0;
}

int insp_chunk_states_parse(const char *word, size_t n, uint32_t *ret, struct insp_error *err)
{
	struct insp_str list = {0};
	int rc = 0;

	*ret = states_named(word, n);
	if (*ret)
		return 0;
	for (int s = 0; s < INSP_N_CHUNK_STATES; s++)
		insp_str_addf(&list, ", %s", state_names[s].key);
	rc = insp_fail(err, INSP_E_USAGE, "'%.*s' is no state: used, free, all%s", n < 100 ? (int)n : 100, word,
		       insp_str_text(&list));
	insp_str_deinit(&list);
	return rc;
}

struct insp_chunks *insp_chunks_create(void)
{
	return calloc(1, sizeof(struct insp_chunks));
}

void insp_chunks_destroy(struct insp_chunks *chunks)
{
	if (!chunks)
		return;
	for (size_t i = 0; i < chunks->nspans; i++) {
		if (chunks->spans[i].bits_mapped)
			munmap(chunks->spans[i].bits, chunks->spans[i].bits_mapped);
		free(chunks->spans[i].rank);
	}
	free(chunks->spans);
	free(chunks->by_first);
	if (chunks->states)
		munmap(chunks->states, chunks->states_cap);
	free(chunks);
}

static void *map_memory(size_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (size_bytes >= HUGE_PAGE)
		(void)madvise(p, size_bytes, MADV_HUGEPAGE); /* only faster */
	return p;
}

static bool states_reserve(struct insp_chunks *chunks, size_t want)
{
	size_t cap = chunks->states_cap ? chunks->states_cap : HUGE_PAGE;
	void *p;

	if (want <= chunks->states_cap)
		return true;
	while (cap < want)
		cap *= 2;
	if (!chunks->states)
		p = map_memory(cap);
	else
		p = mremap(chunks->states, chunks->states_cap, cap, MREMAP_MAYMOVE);
	if (!p || p == MAP_FAILED) {
		chunks->failed = true;
		return false;
	}
	chunks->states = p;
	chunks->states_cap = cap;
	return true;
}

static struct insp_span *span_push(struct insp_chunks *chunks)
{
	if (chunks->nspans == chunks->spans_cap) {
		size_t cap = chunks->spans_cap ? chunks->spans_cap * 2 : 64;
		struct insp_span *p = realloc(chunks->spans, cap * sizeof(*p));

		if (!p) {
			chunks->failed = true;
			return NULL;
		}
		chunks->spans = p;
		chunks->spans_cap = cap;
	}
	struct insp_span *s = &chunks->spans[chunks->nspans++];

	*s = (struct insp_span){.first = (uint32_t)chunks->n};
	return s;
}

void insp_chunks_prefault(struct insp_chunks *chunks, uint64_t heap_bytes, uint64_t nchunks)
{
	size_t want = nchunks < (UINT64_C(1) << 32) ? (size_t)nchunks : SIZE_MAX >> 32;

	(void)heap_bytes; /* the bits of a span are mapped when it begins: their size is not a guess */
	if (states_reserve(chunks, want) && want > chunks->n)
		memset(chunks->states + chunks->n, 0, want - chunks->n);
}

void insp_chunks_span_begin(struct insp_chunks *chunks, uint64_t start, uint64_t end,
			    uint32_t arena, struct insp_geometry geometry)
{
	struct insp_span *s;
	uint64_t granule = UINT64_C(1) << geometry.shift;

	assert(!chunks->open && !chunks->sealed && start < end && geometry.lead <= granule);
	s = span_push(chunks);
	if (!s)
		return;
	s->start = start;
	s->end = end;
	s->base = start & ~(granule - 1);
	s->arena = arena;
	s->geometry = geometry;
	s->nwords = (size_t)((((end - s->base - 1) >> geometry.shift) >> 6) + 1);
	s->bits_mapped = s->nwords * sizeof(uint64_t);
	s->bits = map_memory(s->bits_mapped);
	if (!s->bits) {
		s->bits_mapped = 0;
		chunks->nspans--;
		chunks->failed = true;
		return;
	}
	chunks->open = s;
}

bool insp_chunks_add_slow(struct insp_chunks *chunks, uint64_t addr, uint8_t state)
{
	struct insp_span *s = chunks->open;

	if (!s || addr < s->start || addr >= s->end || chunks->n >= UINT32_MAX)
		return false;
	if (!states_reserve(chunks, chunks->n + 1))
		return false;
	uint64_t bit = (addr - s->base) >> s->geometry.shift;

	/* Behind the last one? Only the tail of the bits can tell, and only that is looked at. */
	if (s->n) {
		for (size_t w = (size_t)(bit >> 6); w < s->nwords; w++)
			if (s->bits[w] & (w == bit >> 6 ? ~UINT64_C(0) << (bit & 63) : ~UINT64_C(0)))
				return false;
	}
	s->bits[bit >> 6] |= UINT64_C(1) << (bit & 63);
	chunks->states[chunks->n++] = state;
	s->n++;
	return true;
}

void insp_chunks_span_end(struct insp_chunks *chunks)
{
	if (chunks->open)
		insp_chunks_span_end_at(chunks, chunks->open->end);
}

void insp_chunks_span_end_at(struct insp_chunks *chunks, uint64_t end)
{
	struct insp_span *s = chunks->open;

	if (!s)
		return;
	chunks->open = NULL;
	if (s->n == 0) {
		munmap(s->bits, s->bits_mapped);
		chunks->nspans--;
		return;
	}
	assert(end > s->start && end <= s->end);
	s->end = end;
	/* The last chunk must start inside: anything later is the caller's bug. */
	s->nwords = (size_t)((((end - s->base - 1) >> s->geometry.shift) >> 6) + 1);
}

void insp_chunks_add_lone(struct insp_chunks *chunks, uint64_t start, uint64_t end, uint32_t arena,
			  struct insp_geometry geometry, enum insp_chunk_state state)
{
	struct insp_span *s;

	assert(!chunks->open && !chunks->sealed && start < end);
	if (chunks->n >= UINT32_MAX || !states_reserve(chunks, chunks->n + 1))
		return;
	s = span_push(chunks);
	if (!s)
		return;
	s->start = s->base = start;
	s->end = end;
	s->arena = arena;
	s->geometry = geometry;
	s->n = 1;
	chunks->states[chunks->n++] = state;
}

bool insp_chunks_load_span(struct insp_chunks *chunks, uint64_t start, uint64_t end, uint32_t arena,
			   struct insp_geometry geometry, uint32_t n, const uint8_t *bits,
			   size_t bits_bytes)
{
	size_t first = chunks->n, last_bit, count = 0;
	struct insp_span *s;

	if (n > UINT32_MAX - first)
		return false;
	chunks->n = first + n; /* the states follow */
	if (!bits) {
		s = n == 1 ? span_push(chunks) : NULL;
		if (!s)
			return false;
		*s = (struct insp_span){.start = start, .end = end, .base = start, .arena = arena,
					.first = (uint32_t)first, .n = 1, .geometry = geometry};
		return true;
	}
	insp_chunks_span_begin(chunks, start, end, arena, geometry);
	s = chunks->open;
	chunks->open = NULL;
	if (!s)
		return false;
	if (bits_bytes != s->nwords * sizeof(uint64_t))
		return false;
	memcpy(s->bits, bits, bits_bytes);
	for (size_t w = 0; w < s->nwords; w++)
		count += (size_t)__builtin_popcountll(s->bits[w]);
	last_bit = (size_t)((end - s->base - 1) >> geometry.shift);
	s->first = (uint32_t)first;
	s->n = n;
	/* The first chunk starts the span, and none starts behind its end. */
	return count == n && s->bits[0] & 1 &&
	       (last_bit % 64 == 63 || !(s->bits[last_bit / 64] >> (last_bit % 64 + 1)));
}

bool insp_chunks_load_states(struct insp_chunks *chunks, const uint8_t *states, size_t n)
{
	if (n != chunks->n || !states_reserve(chunks, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((states[i] & INSP_CHUNK_STATE_MASK) >= INSP_N_CHUNK_STATES)
			return false;
	if (n)
		memcpy(chunks->states, states, n);
	return true;
}

static int span_compare(const void *a, const void *b)
{
	const struct insp_span *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int first_compare(const void *a, const void *b, void *spans)
{
	const struct insp_span *x = (const struct insp_span *)spans + *(const uint32_t *)a;
	const struct insp_span *y = (const struct insp_span *)spans + *(const uint32_t *)b;

	return x->first < y->first ? -1 : x->first > y->first;
}

int insp_chunks_seal(struct insp_chunks *chunks, struct insp_error *err)
{
	assert(!chunks->open);
	if (chunks->sealed)
		return 0;
	if (chunks->failed)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the chunks of the heap");
	if (chunks->nspans)
		qsort(chunks->spans, chunks->nspans, sizeof(*chunks->spans), span_compare);
	for (size_t i = 0; i < chunks->nspans; i++) {
		struct insp_span *s = &chunks->spans[i];

		if (i && s->start < s[-1].end)
			return insp_fail(err, INSP_E_CORRUPT,
					 "two heaps overlap: %#" PRIx64 "-%#" PRIx64
					 " and %#" PRIx64 "-%#" PRIx64,
					 s[-1].start, s[-1].end, s->start, s->end);
		if (!s->bits || s->rank)
			continue;
		size_t nlines = (s->nwords + WORDS_PER_LINE - 1) / WORDS_PER_LINE;
		uint32_t count = 0;

		s->rank = malloc((nlines + 1) * sizeof(*s->rank));
		if (!s->rank)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the chunk index");
		for (size_t w = 0; w < s->nwords; w++) {
			if (w % WORDS_PER_LINE == 0)
				s->rank[w / WORDS_PER_LINE] = count;
			count += (uint32_t)__builtin_popcountll(s->bits[w]);
		}
		s->rank[nlines] = count;
		assert(count == s->n);
	}
	chunks->by_first = malloc((chunks->nspans + 1) * sizeof(*chunks->by_first));
	if (!chunks->by_first)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the chunk index");
	for (size_t i = 0; i < chunks->nspans; i++)
		chunks->by_first[i] = (uint32_t)i;
	qsort_r(chunks->by_first, chunks->nspans, sizeof(*chunks->by_first), first_compare,
		chunks->spans);
	chunks->sealed = true;
	return 0;
}

/* The span that holds addr, or nspans. */
static size_t span_find(const struct insp_chunks *chunks, uint64_t addr)
{
	size_t lo = 0, hi = chunks->nspans;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (chunks->spans[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < chunks->nspans && chunks->spans[lo].start <= addr)
		return lo;
	return chunks->nspans;
}

static size_t span_find_hint(const struct insp_chunks *chunks, uint64_t addr, size_t *hint)
{
	size_t i = *hint;

	if (i < chunks->nspans && addr >= chunks->spans[i].start && addr < chunks->spans[i].end)
		return i;
	i = span_find(chunks, addr);
	if (i < chunks->nspans)
		*hint = i;
	return i;
}

/* Number of chunks of the span that start at or before bit. */
static inline __attribute__((always_inline)) uint32_t span_rank(const struct insp_span *s, uint64_t bit)
{
	size_t w = (size_t)(bit >> 6), line = w / WORDS_PER_LINE;
	uint32_t count = s->rank[line];

	for (size_t i = line * WORDS_PER_LINE; i < w; i++)
		count += (uint32_t)__builtin_popcountll(s->bits[i]);
	return count + (uint32_t)__builtin_popcountll(s->bits[w] << (63 - (bit & 63)));
}

/* The bit of the k-th chunk (from 0) of the span. */
static uint64_t span_select(const struct insp_span *s, uint32_t k)
{
	size_t lo = 0, hi = (s->nwords + WORDS_PER_LINE - 1) / WORDS_PER_LINE;

	while (hi - lo > 1) { /* the last line with rank <= k */
		size_t mid = lo + (hi - lo) / 2;

		if (s->rank[mid] <= k)
			lo = mid;
		else
			hi = mid;
	}
	uint32_t left = k - s->rank[lo];

	for (size_t w = lo * WORDS_PER_LINE;; w++) {
		uint64_t word = s->bits[w];
		uint32_t here = (uint32_t)__builtin_popcountll(word);

		if (left >= here) {
			left -= here;
			continue;
		}
		while (left--)
			word &= word - 1;
		return (uint64_t)w * 64 + (uint64_t)__builtin_ctzll(word);
	}
}

static inline uint64_t bit_addr(const struct insp_span *s, uint64_t bit)
{
	uint64_t addr = s->base + (bit << s->geometry.shift);

	return addr < s->start ? s->start : addr;
}

int64_t insp_chunks_at_hint(const struct insp_chunks *chunks, uint64_t addr, size_t *span_hint)
{
	size_t i = span_find_hint(chunks, addr, span_hint);
	const struct insp_span *s;

	if (i == chunks->nspans)
		return -1;
	s = &chunks->spans[i];
	if (!s->bits)
		return s->first;
	return (int64_t)s->first + span_rank(s, (addr - s->base) >> s->geometry.shift) - 1;
}

int64_t insp_chunks_at(const struct insp_chunks *chunks, uint64_t addr)
{
	size_t hint = SIZE_MAX;

	return insp_chunks_at_hint(chunks, addr, &hint);
}

int64_t insp_chunks_owner(const struct insp_chunks *chunks, uint64_t addr, size_t *span_hint)
{
	size_t i = span_find_hint(chunks, addr, span_hint);
	const struct insp_span *s;

	if (i == chunks->nspans)
		return -1;
	s = &chunks->spans[i];
	if (!s->bits)
		return addr - s->start < s->geometry.lead ? -1 : (int64_t)s->first;
	uint64_t bit = (addr - s->base) >> s->geometry.shift;
	uint32_t rank = span_rank(s, bit);

	if (s->bits[bit >> 6] >> (bit & 63) & 1) {
		uint64_t off = addr - bit_addr(s, bit);

		if (off < s->geometry.tail)
			return rank >= 2 ? (int64_t)s->first + rank - 2 : -1;
		if (off < s->geometry.lead)
			return -1;
	}
	return (int64_t)s->first + rank - 1;
}

#define HIT_BATCH 64

/* The span that holds addr, or NULL. */
static const struct insp_span *finder_span(const struct insp_chunks *chunks,
					   struct insp_finder *finder, uint64_t addr)
{
	uint32_t *hint = &finder->hints[addr >> 21 & 255];
	size_t i = *hint;

	if (i < chunks->nspans && addr - chunks->spans[i].start <
					  chunks->spans[i].end - chunks->spans[i].start)
		return &chunks->spans[i];
	i = span_find(chunks, addr);
	if (i == chunks->nspans)
		return NULL;
	*hint = (uint32_t)i;
	return &chunks->spans[i];
}

/*
 * One address inside span s, whose index lines are in the cache by now. A chunk's memory is
 * [start + lead, end + tail), so the chunk that holds addr - tail is the only candidate.
 */
static inline __attribute__((always_inline)) uint32_t hit_one(const struct insp_span *s,
							       uint64_t addr)
{
	const struct insp_geometry g = s->geometry;
	uint64_t x = addr - g.tail, bit = (x - s->base) >> g.shift, next, head;
	uint32_t id;

	if (addr - s->start < g.tail)
		return INSP_HIT_NONE;
	if (s->bits[bit >> 6] >> (bit & 63) & 1 && x - bit_addr(s, bit) < (uint64_t)g.lead - g.tail)
		return INSP_HIT_NONE; /* in its head */
	id = s->first + span_rank(s, bit) - 1;
	if (g.tail) {
		next = (addr - s->base) >> g.shift;
		if (s->bits[next >> 6] >> (next & 63) & 1 && bit_addr(s, next) == addr)
			return INSP_HIT_NONE;
	}
	if (addr - s->start < g.lead)
		return INSP_HIT_NONE;
	head = (addr - g.lead - s->base) >> g.shift;
	if (s->bits[head >> 6] >> (head & 63) & 1 && bit_addr(s, head) == addr - g.lead)
		return id;
	return id | INSP_HIT_INTERIOR;
}

static inline __attribute__((always_inline)) void
hits_batch(const struct insp_chunks *chunks, struct insp_finder *finder, const uint64_t *addrs,
	   size_t n, uint32_t *ret)
{
	const struct insp_span *spans[HIT_BATCH];

	for (size_t i = 0; i < n; i++) {
		const struct insp_span *s = finder_span(chunks, finder, addrs[i]);

		spans[i] = s;
		if (!s || !s->bits)
			continue;
		uint64_t bit = (addrs[i] - s->base) >> s->geometry.shift;

		__builtin_prefetch(&s->bits[bit >> 6]);
		__builtin_prefetch(&s->rank[bit >> 9]);
	}
	for (size_t i = 0; i < n; i++) {
		const struct insp_span *s = spans[i];
		uint64_t off;

		ret[i] = INSP_HIT_NONE;
		if (!s)
			continue;
		off = addrs[i] - s->start;
		if (s->bits)
			ret[i] = hit_one(s, addrs[i]);
		else if (off >= s->geometry.lead)
			ret[i] = s->first | (off == s->geometry.lead ? 0 : INSP_HIT_INTERIOR);
		if (ret[i] != INSP_HIT_NONE)
			__builtin_prefetch(&chunks->states[INSP_HIT_ID(ret[i])]);
	}
	for (size_t i = 0; i < n; i++)
		if (ret[i] != INSP_HIT_NONE &&
		    !insp_chunk_state_live(insp_chunks_state(chunks, INSP_HIT_ID(ret[i]))))
			ret[i] = INSP_HIT_NONE;
}

/* The baseline of x86-64 has no popcnt: without it the compiler calls a function for each word. */
static __attribute__((target("popcnt"))) void
hits_batch_popcnt(const struct insp_chunks *chunks, struct insp_finder *finder,
		  const uint64_t *addrs, size_t n, uint32_t *ret)
{
	hits_batch(chunks, finder, addrs, n, ret);
}

void insp_chunks_hits(const struct insp_chunks *chunks, struct insp_finder *finder,
		      const uint64_t *addrs, size_t n, uint32_t *ret)
{
	bool popcnt = __builtin_cpu_supports("popcnt");

	for (size_t i = 0; i < n; i += HIT_BATCH) {
		size_t here = n - i < HIT_BATCH ? n - i : HIT_BATCH;

		if (popcnt)
			hits_batch_popcnt(chunks, finder, addrs + i, here, ret + i);
		else
			hits_batch(chunks, finder, addrs + i, here, ret + i);
	}
}

const struct insp_span *insp_chunks_span_of(const struct insp_chunks *chunks, uint32_t id)
{
	size_t lo = 0, hi = chunks->nspans;

	if (id >= chunks->n)
		return NULL;
	while (hi - lo > 1) { /* the last span with first <= id */
		size_t mid = lo + (hi - lo) / 2;

		if (chunks->spans[chunks->by_first[mid]].first <= id)
			lo = mid;
		else
			hi = mid;
	}
	return &chunks->spans[chunks->by_first[lo]];
}

static void chunk_fill(const struct insp_chunks *chunks, const struct insp_span *s, uint64_t start,
		       uint64_t end, uint32_t id, struct insp_chunk *ret)
{
	uint64_t size = end - start, lead = s->geometry.lead;
	uint64_t tail = s->bits ? s->geometry.tail : 0;

	ret->addr = start;
	ret->size = size;
	ret->mem = start + lead;
	ret->usable = size > lead ? size - lead + tail : 0;
	ret->id = id;
	ret->arena = s->arena;
	ret->state = insp_chunks_state(chunks, id);
}

/* The chunk at a bit: it ends at the next one that is set. */
static void fill_at_bit(const struct insp_chunks *chunks, const struct insp_span *s, uint64_t bit,
			uint32_t id, struct insp_chunk *ret)
{
	uint64_t end = s->end;

	if (id - s->first + 1 < s->n) {
		size_t w = (size_t)((bit + 1) >> 6);
		uint64_t word = s->bits[w] & (UINT64_MAX << ((bit + 1) & 63));

		while (!word)
			word = s->bits[++w];
		end = bit_addr(s, (uint64_t)w * 64 + (uint64_t)__builtin_ctzll(word));
	}
	chunk_fill(chunks, s, bit_addr(s, bit), end, id, ret);
}

void insp_chunks_get(const struct insp_chunks *chunks, uint32_t id, struct insp_chunk *ret)
{
	const struct insp_span *s = insp_chunks_span_of(chunks, id);

	assert(s);
	if (s->bits)
		fill_at_bit(chunks, s, span_select(s, id - s->first), id, ret);
	else
		chunk_fill(chunks, s, s->start, s->end, id, ret);
}

void insp_chunks_get_mem(const struct insp_chunks *chunks, uint32_t id, uint64_t mem,
			 struct insp_chunk *ret)
{
	const struct insp_span *s = insp_chunks_span_of(chunks, id);

	assert(s);
	if (s->bits)
		fill_at_bit(chunks, s, (mem - s->geometry.lead - s->base) >> s->geometry.shift, id,
			    ret);
	else
		chunk_fill(chunks, s, s->start, s->end, id, ret);
}

void insp_chunk_iter_init(struct insp_chunk_iter *it, const struct insp_chunks *chunks)
{
	*it = (struct insp_chunk_iter){.chunks = chunks};
}

void insp_chunk_iter_from(struct insp_chunk_iter *it, const struct insp_chunks *chunks,
			  uint64_t addr)
{
	size_t i = span_find(chunks, addr);
	struct insp_chunk c;
	int64_t id;

	insp_chunk_iter_init(it, chunks);
	if (i == chunks->nspans) { /* between spans: the first one behind */
		for (i = 0; i < chunks->nspans && chunks->spans[i].start < addr; i++)
			;
		it->span = i;
		return;
	}
	const struct insp_span *s = &chunks->spans[i];

	it->span = i;
	if (!s->bits)
		return;
	id = insp_chunks_at(chunks, addr);
	insp_chunks_get(chunks, (uint32_t)id, &c);
	uint64_t bit = (c.addr - s->base) >> s->geometry.shift;

	it->in_span = true;
	it->id = (uint32_t)id;
	it->word = (size_t)(bit >> 6);
	it->left = s->bits[it->word] & (~UINT64_C(1) << (bit & 63));
	it->next = c.addr;
}

bool insp_chunk_iter_next(struct insp_chunk_iter *it, struct insp_chunk *ret)
{
	const struct insp_chunks *chunks = it->chunks;
	const struct insp_span *s;

	if (it->span >= chunks->nspans)
		return false;
	s = &chunks->spans[it->span];
	if (!s->bits) {
		chunk_fill(chunks, s, s->start, s->end, s->first, ret);
		it->span++;
		return true;
	}
	if (!it->in_span) {
		it->in_span = true;
		it->id = s->first;
		it->word = 0;
		it->left = s->bits[0];
		while (!it->left)
			it->left = s->bits[++it->word];
		it->next = bit_addr(s, (uint64_t)it->word * 64 +
					       (uint64_t)__builtin_ctzll(it->left));
		it->left &= it->left - 1;
	}
	uint64_t start = it->next, end = s->end;

	while (!it->left && it->word + 1 < s->nwords)
		it->left = s->bits[++it->word];
	if (it->left) {
		end = bit_addr(s, (uint64_t)it->word * 64 + (uint64_t)__builtin_ctzll(it->left));
		it->left &= it->left - 1;
		it->next = end;
	} else {
		it->in_span = false;
		it->span++;
	}
	chunk_fill(chunks, s, start, end, it->id++, ret);
	return true;
}
