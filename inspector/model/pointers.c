/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pointers: the sieve that every word of the target goes through while it stands still.
 *
 * Each word is written to where the next pointer would go, and the place moves on only if the word
 * was one: no branch depends on the data. With AVX2 four words go through at once, and a table of
 * permutations moves those that passed to the front. Both are faster than the kernel delivers the
 * bytes, so what counts is that output pages are there already: see prefault.
 */
#include "model/pointers.h"

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

#define PAGE_BYTES     UINT64_C(4096)
#define WORDS_PER_PAGE 512u
#define MAX_RUNS       64u
#define HUGE_PAGE      ((size_t)2 << 20)
#define ADDRESS_END    (UINT64_C(1) << 47) /* of user space on x86-64 with four levels */
/* A kernel may write up to three words behind the last pointer that it keeps. */
#define SLACK_ITEMS    (WORDS_PER_PAGE + 4)

static void *map_grow(void *old, size_t old_bytes, size_t new_bytes)
{
	void *p;

	if (old)
		p = mremap(old, old_bytes, new_bytes, MREMAP_MAYMOVE);
	else
		p = mmap(NULL, new_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (new_bytes >= HUGE_PAGE)
		(void)madvise(p, new_bytes, MADV_HUGEPAGE); /* only faster */
	return p;
}

/* Room for `want` elements of size_bytes in a mapping; sticky on failure. */
static bool reserve(struct insp_pointers *p, void **mem, size_t *cap, size_t want, size_t size_bytes)
{
	size_t room = *cap ? *cap : HUGE_PAGE / size_bytes;
	void *grown;

	if (want <= *cap)
		return true;
	while (room < want)
		room *= 2;
	grown = map_grow(*mem, *cap * size_bytes, room * size_bytes);
	if (!grown) {
		p->failed = true;
		return false;
	}
	*mem = grown;
	*cap = room;
	return true;
}

static bool reserve_items(struct insp_pointers *p, size_t want)
{
	return want <= p->cap ||
	       reserve(p, (void **)&p->items, &p->cap, want, sizeof(*p->items));
}

static bool reserve_pages(struct insp_pointers *p, size_t want)
{
	return want <= p->pages_cap ||
	       reserve(p, (void **)&p->pages, &p->pages_cap, want, sizeof(*p->pages));
}

struct insp_pointers *insp_pointers_create(void)
{
	return calloc(1, sizeof(struct insp_pointers));
}

void insp_pointers_destroy(struct insp_pointers *pointers)
{
	if (!pointers)
		return;
	if (pointers->items)
		munmap(pointers->items, pointers->cap * sizeof(*pointers->items));
	if (pointers->pages)
		munmap(pointers->pages, pointers->pages_cap * sizeof(*pointers->pages));
	free(pointers);
}

void insp_pointers_add_range(struct insp_pointers *pointers, uint64_t start, uint64_t end)
{
	struct {
		uint64_t start, end;
	} all[INSP_POINTERS_RANGES + 1];
	unsigned n = 0, at = 0, nearest;

	if (end > ADDRESS_END)
		end = ADDRESS_END;
	if (start >= end)
		return;
	for (unsigned i = 0; i < pointers->nranges; i++) { /* swallow what it touches */
		uint64_t s = pointers->ranges[i].start, e = pointers->ranges[i].end;

		if (e < start || s > end) {
			all[n].start = s;
			all[n++].end = e;
			if (e < start)
				at = n;
			continue;
		}
		start = s < start ? s : start;
		end = e > end ? e : end;
	}
	memmove(&all[at + 1], &all[at], (n - at) * sizeof(all[0]));
	all[at].start = start;
	all[at].end = end;
	n++;
	if (n > INSP_POINTERS_RANGES) {
		nearest = 1;
		for (unsigned i = 2; i < n; i++)
			if (all[i].start - all[i - 1].end < all[nearest].start - all[nearest - 1].end)
				nearest = i;
		all[nearest - 1].end = all[nearest].end;
		n--;
		memmove(&all[nearest], &all[nearest + 1], (n - nearest) * sizeof(all[0]));
	}
	for (unsigned i = 0; i < n; i++) {
		pointers->ranges[i].start = all[i].start;
		pointers->ranges[i].end = all[i].end;
	}
	pointers->nranges = n;
}

void insp_pointers_prefault(struct insp_pointers *pointers, size_t n, size_t npages)
{
	if (n > SIZE_MAX / 64 || npages > SIZE_MAX / 64)
		return;
	if (reserve_items(pointers, n + SLACK_ITEMS))
		memset(pointers->items + pointers->n, 0, n * sizeof(*pointers->items));
	if (reserve_pages(pointers, npages + 1))
		memset(pointers->pages + pointers->npages, 0, npages * sizeof(*pointers->pages));
}

/* Words of one page, or of a part of it: the number kept. out has room for nwords + 3. */
typedef size_t (*sieve_fn)(const struct insp_pointers *p, const uint8_t *bytes, unsigned word,
			   unsigned nwords, uint64_t *out);

static size_t sieve_plain(const struct insp_pointers *p, const uint8_t *bytes, unsigned word,
			  unsigned nwords, uint64_t *out)
{
	uint64_t start[INSP_POINTERS_RANGES] = {0}, size[INSP_POINTERS_RANGES] = {0};
	size_t n = 0;

	for (unsigned i = 0; i < p->nranges; i++) {
		start[i] = p->ranges[i].start;
		size[i] = p->ranges[i].end - p->ranges[i].start;
	}
	_Static_assert(INSP_POINTERS_RANGES == 4, "four comparisons below");
	for (unsigned i = 0; i < nwords; i++) {
		uint64_t v;

		memcpy(&v, bytes + (size_t)i * 8, 8);
		out[n] = v | (uint64_t)(word + i) << 48;
		n += (unsigned)(v - start[0] < size[0]) | (unsigned)(v - start[1] < size[1]) |
		     (unsigned)(v - start[2] < size[2]) | (unsigned)(v - start[3] < size[3]);
	}
	return n;
}

/* For each of 16 masks: the 32-bit lanes of the chosen 64-bit words, packed to the front. */
#define LANES(a, b, c, d) \
	{2 * (a), 2 * (a) + 1, 2 * (b), 2 * (b) + 1, 2 * (c), 2 * (c) + 1, 2 * (d), 2 * (d) + 1}
static const uint32_t pack_lanes[16][8] __attribute__((aligned(32))) = {
	LANES(0, 0, 0, 0), LANES(0, 0, 0, 0), LANES(1, 0, 0, 0), LANES(0, 1, 0, 0),
	LANES(2, 0, 0, 0), LANES(0, 2, 0, 0), LANES(1, 2, 0, 0), LANES(0, 1, 2, 0),
	LANES(3, 0, 0, 0), LANES(0, 3, 0, 0), LANES(1, 3, 0, 0), LANES(0, 1, 3, 0),
	LANES(2, 3, 0, 0), LANES(0, 2, 3, 0), LANES(1, 2, 3, 0), LANES(0, 1, 2, 3),
};

/*
 * There is no unsigned comparison of 64 bits, but with both sides shifted by 2^63 the signed one
 * tells the same: v - start < size  <=>  v - (start + 2^63) <s size - 2^63.
 */
#define BIAS (UINT64_C(1) << 63)

static inline __attribute__((target("avx2"), always_inline)) size_t
sieve_avx2_n(const struct insp_pointers *p, const uint8_t *bytes, unsigned word, unsigned nwords,
	     uint64_t *out, const unsigned nranges)
{
	__m256i start[INSP_POINTERS_RANGES], size[INSP_POINTERS_RANGES];
	__m256i index = _mm256_slli_epi64(_mm256_add_epi64(_mm256_set1_epi64x(word),
							   _mm256_setr_epi64x(0, 1, 2, 3)), 48);
	const __m256i step = _mm256_set1_epi64x(INT64_C(4) << 48);
	size_t n = 0;
	unsigned i = 0;

	for (unsigned r = 0; r < nranges; r++) {
		start[r] = _mm256_set1_epi64x((long long)(p->ranges[r].start + BIAS));
		size[r] = _mm256_set1_epi64x(
			(long long)(p->ranges[r].end - p->ranges[r].start - BIAS));
	}
	for (; i + 4 <= nwords; i += 4) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(bytes + (size_t)i * 8));
		__m256i hit = _mm256_cmpgt_epi64(size[0], _mm256_sub_epi64(v, start[0]));

		for (unsigned r = 1; r < nranges; r++)
			hit = _mm256_or_si256(hit, _mm256_cmpgt_epi64(
							   size[r], _mm256_sub_epi64(v, start[r])));
		unsigned mask = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(hit));
		__m256i lanes = _mm256_load_si256((const __m256i *)pack_lanes[mask]);

		_mm256_storeu_si256((__m256i *)(out + n),
				    _mm256_permutevar8x32_epi32(_mm256_or_si256(v, index), lanes));
		n += (unsigned)__builtin_popcount(mask);
		index = _mm256_add_epi64(index, step);
	}
	if (i < nwords)
		n += sieve_plain(p, bytes + (size_t)i * 8, word + i, nwords - i, out + n);
	return n;
}

static __attribute__((target("avx2,popcnt"))) size_t
sieve_avx2(const struct insp_pointers *p, const uint8_t *bytes, unsigned word, unsigned nwords,
	   uint64_t *out)
{
	switch (p->nranges) {
	case 1:
		return sieve_avx2_n(p, bytes, word, nwords, out, 1);
	case 2:
		return sieve_avx2_n(p, bytes, word, nwords, out, 2);
	case 3:
		return sieve_avx2_n(p, bytes, word, nwords, out, 3);
	default:
		return sieve_avx2_n(p, bytes, word, nwords, out, 4);
	}
}

static sieve_fn sieve_choose(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") ? sieve_avx2
										   : sieve_plain;
}

static void scan_with(struct insp_pointers *p, sieve_fn sieve, uint64_t addr, const uint8_t *bytes,
		      size_t size_bytes)
{
	size_t nwords = size_bytes / 8;

	p->sorted = false;
	p->scanned_bytes += nwords * 8;
	if (!p->nranges)
		return;
	while (nwords && !p->failed) {
		unsigned word = (unsigned)(addr % PAGE_BYTES / 8), here = WORDS_PER_PAGE - word;
		size_t n;

		if (here > nwords)
			here = (unsigned)nwords;
		if (!reserve_items(p, p->n + SLACK_ITEMS) || !reserve_pages(p, p->npages + 1))
			return;
		n = sieve(p, bytes, word, here, p->items + p->n);
		p->pages[p->npages] = (struct insp_pointer_page){
			.addr = addr & ~(PAGE_BYTES - 1), .first = p->n, .n = (uint16_t)n};
		p->npages += n != 0;
		p->n += n;
		addr += (uint64_t)here * 8;
		bytes += (size_t)here * 8;
		nwords -= here;
	}
}

void insp_pointers_scan(void *pointers, uint64_t addr, const uint8_t *bytes, size_t size_bytes)
{
	scan_with(pointers, sieve_choose(), addr, bytes, size_bytes);
}

void insp_pointers_scan_plain(void *pointers, uint64_t addr, const uint8_t *bytes,
			      size_t size_bytes)
{
	scan_with(pointers, sieve_plain, addr, bytes, size_bytes);
}

/* By address; of one page scanned in several parts, in the order of scanning. */
static int page_compare(const void *a, const void *b)
{
	const struct insp_pointer_page *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The two rising runs [from, mid) and [mid, to) as one; of equal ones that of the first run first. */
static void merge_runs(const struct insp_pointer_page *in, size_t from, size_t mid, size_t to,
		       struct insp_pointer_page *out)
{
	size_t a = from, b = mid;

	for (size_t i = from; i < to; i++)
		out[i] = b == to || (a < mid && in[a].addr <= in[b].addr) ? in[a++] : in[b++];
}

/* Heaps are walked in order, and then all else: a few runs that rise. false: more than that, or no memory. */
static bool sort_runs(struct insp_pointers *p)
{
	size_t starts[MAX_RUNS + 1] = {0}, n = 1, capacity = 0;
	struct insp_pointer_page *other = NULL;

	for (size_t i = 1; i < p->npages; i++) {
		if (p->pages[i - 1].addr < p->pages[i].addr)
			continue;
		if (n == MAX_RUNS)
			return false;
		starts[n++] = i;
	}
	starts[n] = p->npages;
	if (n > 1 && !reserve(p, (void **)&other, &capacity, p->npages, sizeof(*other)))
		return false;
	while (n > 1) {
		struct insp_pointer_page *sorted = other;
		size_t spare = capacity, out = 0;

		for (size_t i = 0; i < n; i += 2) {
			size_t to = starts[i + 2 < n ? i + 2 : n];

			merge_runs(p->pages, starts[i], i + 1 < n ? starts[i + 1] : to, to, sorted);
			starts[out++] = starts[i];
		}
		starts[out] = p->npages;
		n = out;
		other = p->pages;
		capacity = p->pages_cap;
		p->pages = sorted;
		p->pages_cap = spare;
	}
	if (other)
		munmap(other, capacity * sizeof(*other));
	return true;
}

/* Pages [from, to) are parts of one page: their union, at the end of items. */
static bool merge_parts(struct insp_pointers *p, size_t from, size_t to)
{
	uint64_t words[WORDS_PER_PAGE];
	bool seen[WORDS_PER_PAGE] = {false};
	size_t first = p->n;

	if (!reserve_items(p, p->n + SLACK_ITEMS))
		return false;
	for (size_t i = from; i < to; i++)
		for (size_t k = 0; k < p->pages[i].n; k++) {
			uint64_t item = p->items[p->pages[i].first + k];
			unsigned word = INSP_POINTER_WORD(item);

			if (!seen[word])
				words[word] = item;
			seen[word] = true;
		}
	for (unsigned w = 0; w < WORDS_PER_PAGE; w++)
		if (seen[w])
			p->items[p->n++] = words[w];
	p->pages[from].first = first;
	p->pages[from].n = (uint16_t)(p->n - first);
	return true;
}

int insp_pointers_load_room(struct insp_pointers *pointers, size_t n, size_t npages)
{
	if (!reserve_items(pointers, n + 1) || !reserve_pages(pointers, npages + 1))
		return INSP_E_NOMEM;
	pointers->n = n;
	pointers->npages = npages;
	pointers->sorted = true;
	return 0;
}

int insp_pointers_seal(struct insp_pointers *pointers)
{
	struct insp_pointers *p = pointers;
	size_t out = 0;
	bool rising = true;

	if (p->failed)
		return INSP_E_NOMEM;
	for (size_t i = 1; i < p->npages && rising; i++)
		rising = p->pages[i - 1].addr < p->pages[i].addr;
	if (!rising) {
		if (!sort_runs(p) && !p->failed)
			qsort(p->pages, p->npages, sizeof(*p->pages), page_compare);
		if (p->failed)
			return INSP_E_NOMEM;
		for (size_t i = 0, end; i < p->npages; i = end) {
			for (end = i + 1; end < p->npages && p->pages[end].addr == p->pages[i].addr;)
				end++;
			if (end - i > 1 && !merge_parts(p, i, end))
				return INSP_E_NOMEM;
			p->pages[out++] = p->pages[i];
		}
		p->npages = out;
	}
	p->sorted = true;
	return 0;
}

size_t insp_pointers_page_from(const struct insp_pointers *pointers, uint64_t addr)
{
	size_t lo = 0, hi = pointers->npages;

	addr &= ~(PAGE_BYTES - 1);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pointers->pages[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void iter_enter(struct insp_pointers_iter *it)
{
	const struct insp_pointer_page *page = &it->pointers->pages[it->page];

	it->k = 0;
	it->n = page->n;
	it->base = page->addr;
	it->items = it->pointers->items + page->first;
}

void insp_pointers_from_page(struct insp_pointers_iter *it, const struct insp_pointers *pointers,
			     size_t page, uint64_t start, uint64_t end)
{
	uint32_t lo = 0, hi;

	*it = (struct insp_pointers_iter){.pointers = pointers, .end = end, .page = page};
	if (page >= pointers->npages)
		return;
	iter_enter(it);
	for (hi = it->n; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (it->base + (uint64_t)INSP_POINTER_WORD(it->items[mid]) * 8 < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	it->k = lo;
}

void insp_pointers_from(struct insp_pointers_iter *it, const struct insp_pointers *pointers,
			uint64_t start, uint64_t end)
{
	insp_pointers_from_page(it, pointers, insp_pointers_page_from(pointers, start), start, end);
}

bool insp_pointers_next_page(struct insp_pointers_iter *it)
{
	while (it->page + 1 < it->pointers->npages) {
		it->page++;
		iter_enter(it);
		if (it->n)
			return true;
	}
	return false;
}
