/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * books: the sums.
 *
 *   1. chunks against page states: resident bytes of each state, by arena and by mapping
 *   2. each mapping of smaps: whole, or cut into heaps, stacks and what is left between them
 *   3. what could be given back, line by line
 *
 * Which sum is the right one? smaps counts pages in the page tables while it is read: exact. VmRSS in
 * status comes from counters that are kept per CPU and folded in batches (up to 64 events a thread
 * before Linux 6.2, up to 32 pages a CPU and counter until 6.16, exact since). So the books add up to
 * smaps, and what VmRSS differs by is shown beside them as `drift`.
 *
 * PSS and huge pages of a mapping that is split go to the parts in proportion to their resident
 * bytes; sums stay exact.
 */
#include "analysis/books.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/books_priv.h"
#include "analysis/trim.h"
#include "base/log.h"
#include "base/vec.h"

#define ASK_EVERY (1u << 16)

static const struct {
	const char *key, *title;
} names[INSP_N_BOOKS] = {
	[INSP_BOOK_HEAP_IN_USE] = {"heap_in_use", "heap: in use"},
	[INSP_BOOK_HEAP_MMAPPED] = {"heap_mmapped", "heap: in use, mmapped chunks"},
	[INSP_BOOK_HEAP_TCACHE] = {"heap_tcache", "heap: free, in tcaches"},
	[INSP_BOOK_HEAP_BINS] = {"heap_bins", "heap: free, in bins"},
	[INSP_BOOK_HEAP_TOP] = {"heap_top", "heap: free, top"},
	[INSP_BOOK_HEAP_METADATA] = {"heap_metadata", "heap: malloc's own"},
	[INSP_BOOK_HEAP_UNKNOWN] = {"heap_unknown", "heap: not understood"},
	[INSP_BOOK_THREAD_STACKS] = {"thread_stacks", "stacks of threads"},
	[INSP_BOOK_MAIN_STACK] = {"main_stack", "stack of the main thread"},
	[INSP_BOOK_IDLE_STACKS] = {"idle_stacks", "stacks without a thread"},
	[INSP_BOOK_PROGRAM_CODE] = {"program_code", "program: code, constants"},
	[INSP_BOOK_PROGRAM_DATA] = {"program_data", "program: data"},
	[INSP_BOOK_LIBRARY_CODE] = {"library_code", "libraries: code, constants"},
	[INSP_BOOK_LIBRARY_DATA] = {"library_data", "libraries: data"},
	[INSP_BOOK_FILE_PRIVATE] = {"file_private", "mapped files, private"},
	[INSP_BOOK_FILE_SHARED] = {"file_shared", "mapped files, shared"},
	[INSP_BOOK_SHARED_MEMORY] = {"shared_memory", "shared memory"},
	[INSP_BOOK_JIT] = {"jit", "generated code"},
	[INSP_BOOK_NAMED] = {"named", "anonymous, named by the program"},
	[INSP_BOOK_KERNEL] = {"kernel", "pages of the kernel"},
	[INSP_BOOK_ANON] = {"anonymous", "anonymous, claimed by nobody"},
	[INSP_BOOK_UNEXPLAINED] = {"unexplained", "unexplained"},
};

const char *insp_book_key(enum insp_book_kind kind)
{
	return names[kind].key;
}

const char *insp_book_title(enum insp_book_kind kind)
{
	return names[kind].title;
}

#define N_HEAP_KINDS (INSP_BOOK_HEAP_UNKNOWN + 1)

/* What the chunks in one mapping came to. */
struct heap_part {
	uint64_t rss[N_HEAP_KINDS], swap[N_HEAP_KINDS], size[N_HEAP_KINDS];
};

/* One part of one mapping, before PSS is shared out. */
struct part {
	enum insp_book_kind kind;
	uint64_t size, rss, swap;
	size_t mapping; /* index into books->mappings; SIZE_MAX: none */
};

struct ledger {
	const struct insp_snapshot *snap;
	const struct insp_region_usage *usage; /* [nusage] what the lines add up to */
	size_t nusage;
	struct insp_pool *pool;
	struct insp_books *books;
	struct heap_part **heap; /* [regions.n], NULL where no chunk lies */
	size_t next_stack;
	INSP_VEC(struct part) parts; /* of the mapping at hand */
	bool nomem;
};

static enum insp_book_kind kind_of_state(enum insp_chunk_state s)
{
	switch (s) {
	case INSP_CHUNK_INUSE:
		return INSP_BOOK_HEAP_IN_USE;
	case INSP_CHUNK_MMAPPED:
		return INSP_BOOK_HEAP_MMAPPED;
	case INSP_CHUNK_TCACHE:
		return INSP_BOOK_HEAP_TCACHE;
	case INSP_CHUNK_TOP:
		return INSP_BOOK_HEAP_TOP;
	case INSP_CHUNK_METADATA:
		return INSP_BOOK_HEAP_METADATA;
	case INSP_CHUNK_UNKNOWN:
	case INSP_N_CHUNK_STATES:
		return INSP_BOOK_HEAP_UNKNOWN;
	default:
		return INSP_BOOK_HEAP_BINS;
	}
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t known(uint64_t v)
{
	return v == INSP_UNKNOWN ? 0 : v;
}

/* The share of `whole` that falls on the bytes [before, before + part) of total. */
static uint64_t share(uint64_t whole, uint64_t before, uint64_t part, uint64_t total)
{
	if (!total)
		return 0;
	return (uint64_t)((unsigned __int128)whole * (before + part) / total -
			  (unsigned __int128)whole * before / total);
}

static struct heap_part *heap_of(struct ledger *l, size_t region)
{
	if (!l->heap[region]) {
		l->heap[region] = insp_pool_alloc(l->pool, sizeof(**l->heap));
		if (!l->heap[region])
			l->nomem = true;
	}
	return l->heap[region];
}

/* Where the walk over chunks stands among regions and runs, which are sorted as the chunks are. */
struct cursor {
	size_t region, run;
};

/* The piece [start, end) of a chunk lies in one region: adds what is resident of it. */
static void add_piece(struct ledger *l, struct cursor *at, const struct insp_chunk *c, uint64_t start,
		      uint64_t end)
{
	const struct insp_residency *res = &l->snap->residency;
	struct insp_book_arena *a = &l->books->arenas[c->arena];
	enum insp_book_kind kind = kind_of_state(c->state);
	struct heap_part *h = heap_of(l, at->region);

	if (!h)
		return;
	h->size[kind] += end - start;
	while (at->run < res->n && insp_page_run_end(res, &res->items[at->run]) <= start)
		at->run++;
	for (size_t i = at->run; i < res->n && res->items[i].start < end; i++) {
		const struct insp_page_run *run = &res->items[i];
		uint64_t from = run->start > start ? run->start : start;
		uint64_t bytes = min64(insp_page_run_end(res, run), end) - from;

		if (insp_page_run_resident(run)) {
			h->rss[kind] += bytes;
			a->rss[c->state] += bytes;
		} else if (run->kind == INSP_PAGES_SWAPPED) {
			h->swap[kind] += bytes;
			a->swap[c->state] += bytes;
		}
	}
}

static void add_chunk(struct ledger *l, struct cursor *at, const struct insp_chunk *c)
{
	const struct insp_regions *regions = &l->snap->regions;
	struct insp_book_arena *a = &l->books->arenas[c->arena];
	uint64_t end = c->addr + c->size;

	a->size[c->state] += c->size;
	a->count[c->state]++;
	l->books->lines[kind_of_state(c->state)].count++;
	while (at->region < regions->n && regions->items[at->region].end <= c->addr)
		at->region++;
	for (size_t saved = at->region; at->region < regions->n; at->region++) {
		const struct insp_region *r = &regions->items[at->region];

		if (r->start >= end) {
			at->region = saved;
			return;
		}
		add_piece(l, at, c, r->start > c->addr ? r->start : c->addr, min64(end, r->end));
		if (r->end >= end)
			return;
		saved = at->region;
	}
}

static int add_chunks(struct ledger *l, struct insp_error *err)
{
	const struct insp_snapshot *snap = l->snap;
	struct cursor at = {0};
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint32_t seen = 0;

	insp_chunks_each(snap->chunks, it, c) {
		if (++seen % ASK_EVERY == 0) {
			insp_progress("balancing the books", seen, snap->chunks->n);
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		}
		if (c.arena < snap->arenas.n)
			add_chunk(l, &at, &c);
	}
	return l->nomem ? insp_fail(err, INSP_E_NOMEM, "out of memory for the books") : 0;
}

static void part_add(struct ledger *l, enum insp_book_kind kind, uint64_t size, uint64_t rss,
		     uint64_t swap, size_t mapping)
{
	struct part *p;

	if (!size && !rss && !swap)
		return;
	p = insp_vec_push(&l->parts);
	if (!p) {
		l->nomem = true;
		return;
	}
	*p = (struct part){.kind = kind, .size = size, .rss = rss, .swap = swap,
			   .mapping = mapping};
}

/* A mapping, or what is left of one, in the list of mappings; its index. */
static size_t mapping_add(struct ledger *l, enum insp_book_kind kind, size_t region, uint64_t start,
			  uint64_t end, const char *hint)
{
	const struct insp_region *r = &l->snap->regions.items[region];
	struct insp_book_mapping *m = insp_vec_push(&l->books->mappings);
	char perms[5];

	if (!m) {
		l->nomem = true;
		return SIZE_MAX;
	}
	*m = (struct insp_book_mapping){.kind = kind, .start = start, .end = end, .name = r->name,
					.hint = hint,
					.perms = insp_pool_strdup(l->pool,
								  insp_region_perms(r, perms))};
	return l->books->mappings.n - 1;
}

/* Between the claims of one region: nobody's. */
static void add_gap(struct ledger *l, size_t region, uint64_t start, uint64_t end)
{
	struct insp_resident sum = insp_residency_sum(&l->snap->residency, start, end);
	enum insp_book_kind data, kind = insp_book_classify(l->snap, region, &data);
	const char *hint = NULL;

	if (start >= end)
		return;
	if (kind == INSP_BOOK_ANON || kind == INSP_BOOK_JIT || kind == INSP_BOOK_NAMED)
		hint = insp_book_hint(l->snap, l->pool, region, start, end, &l->books->stacks, &kind);
	/* A part without anything in memory matters only where sizes have to do. */
	if (sum.rss || sum.swap || !l->snap->residency.known)
		part_add(l, kind, end - start, sum.rss, sum.swap,
			 mapping_add(l, kind, region, start, end, hint));
}

/* First span that ends above addr. */
static size_t span_at(const struct insp_chunks *chunks, uint64_t addr)
{
	size_t lo = 0, hi = chunks->nspans;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (chunks->spans[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void add_stack(struct ledger *l, struct insp_book_stack *s)
{
	struct insp_resident sum = insp_residency_sum(&l->snap->residency, s->start, s->end);

	s->rss = sum.rss;
	s->swap = sum.swap;
	l->books->lines[INSP_BOOK_THREAD_STACKS].count++;
	l->books->lines[INSP_BOOK_THREAD_STACKS].release += s->below_sp;
	part_add(l, INSP_BOOK_THREAD_STACKS, s->end - s->start, s->rss, s->swap, SIZE_MAX);
}

/* An anonymous region: heaps, stacks, and the gaps between them, in address order. */
static void split_region(struct ledger *l, size_t region)
{
	const struct insp_region *r = &l->snap->regions.items[region];
	const struct insp_chunks *chunks = l->snap->chunks;
	struct insp_book_stacks *stacks = &l->books->stacks;
	const struct heap_part *h = l->heap[region];
	uint64_t at = r->start;

	for (unsigned k = 0; h && k < N_HEAP_KINDS; k++)
		part_add(l, (enum insp_book_kind)k, h->size[k], h->rss[k], h->swap[k], SIZE_MAX);
	while (l->next_stack < stacks->n && stacks->items[l->next_stack].end <= at)
		l->next_stack++;
	for (size_t s = span_at(chunks, at); at < r->end;) {
		uint64_t span = s < chunks->nspans ? chunks->spans[s].start : UINT64_MAX;
		uint64_t stack = l->next_stack < stacks->n ? stacks->items[l->next_stack].start
							   : UINT64_MAX;
		uint64_t next = min64(span, stack);

		if (next >= r->end)
			break;
		add_gap(l, region, at, next);
		if (span <= stack) {
			at = chunks->spans[s++].end;
		} else {
			at = stacks->items[l->next_stack].end;
			add_stack(l, &stacks->items[l->next_stack++]);
		}
	}
	add_gap(l, region, at, r->end);
}

static void whole_region(struct ledger *l, size_t region, const struct insp_region_usage *u)
{
	const struct insp_region *r = &l->snap->regions.items[region];
	enum insp_book_kind data, kind = insp_book_classify(l->snap, region, &data);
	uint64_t written = kind == data ? 0 : min64(known(u->anonymous), u->rss), size = u->end - u->start;
	size_t m = mapping_add(l, r->prot & INSP_PROT_WRITE ? data : kind, region, u->start, u->end, NULL);

	if (kind == data || !written) {
		part_add(l, r->prot & INSP_PROT_WRITE ? data : kind, size, u->rss, known(u->swap), m);
		return;
	}
	part_add(l, data, size, written, known(u->swap), m);
	part_add(l, kind, 0, u->rss - written, 0, m);
}

/* A region of smaps that maps does not have, or the other way round: only without a stop. */
static void unknown_region(struct ledger *l, const struct insp_region_usage *u)
{
	part_add(l, INSP_BOOK_UNEXPLAINED, u->end - u->start, u->rss, known(u->swap), SIZE_MAX);
}

/* Page states were not to be had: the parts' sizes stand in for their resident bytes. */
static void estimate_parts(struct ledger *l, const struct insp_region_usage *u)
{
	uint64_t total = 0, before = 0;

	insp_vec_each(&l->parts, p)
		total += p->size;
	insp_vec_each(&l->parts, q) {
		q->rss = share(u->rss, before, q->size, total);
		q->swap = share(known(u->swap), before, q->size, total);
		before += q->size;
	}
}

/* The parts' resident bytes, made equal to smaps: what is missing is unexplained; too much (only
   without a stop) is taken off in proportion. */
static void settle_parts(struct ledger *l, const struct insp_region_usage *u)
{
	uint64_t total = 0, before = 0;

	insp_vec_each(&l->parts, p)
		total += p->rss;
	if (total < u->rss)
		part_add(l, INSP_BOOK_UNEXPLAINED, 0, u->rss - total, 0, SIZE_MAX);
	if (total <= u->rss)
		return;
	l->books->exact = false;
	insp_vec_each(&l->parts, q) {
		uint64_t rss = q->rss;

		q->rss = share(u->rss, before, rss, total);
		before += rss;
	}
}

static void post_parts(struct ledger *l, const struct insp_region_usage *u)
{
	uint64_t huge = known(u->anon_huge) + known(u->shmem_huge) + known(u->file_huge), before = 0;
	uint64_t lazy = known(u->lazy_free);

	insp_vec_each(&l->parts, p) {
		struct insp_book_line *line = &l->books->lines[p->kind];
		uint64_t pss = share(known(u->pss), before, p->rss, u->rss);
		uint64_t big = share(huge, before, p->rss, u->rss);
		uint64_t free_soon = share(lazy, before, p->rss, u->rss);

		line->size += p->size;
		line->rss += p->rss;
		line->swap += p->swap;
		line->pss += pss;
		line->huge += big;
		if (p->kind >= N_HEAP_KINDS && p->kind != INSP_BOOK_THREAD_STACKS)
			line->count++;
		if (p->mapping < l->books->mappings.n) {
			struct insp_book_mapping *m = &l->books->mappings.items[p->mapping];

			m->rss += p->rss;
			m->pss += pss;
			m->swap += p->swap;
			m->huge += big;
			m->lazy_free += free_soon;
			line->release += free_soon;
		}
		before += p->rss;
	}
}

static bool was_scanned(const struct insp_region *r)
{
	return r->prot & INSP_PROT_READ && r->prot & INSP_PROT_WRITE && insp_region_anonymous(r) &&
	       !(r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE));
}

static void post_region(struct ledger *l, size_t *region, const struct insp_region_usage *u)
{
	const struct insp_regions *regions = &l->snap->regions;
	struct insp_books *b = l->books;

	l->parts.n = 0;
	b->rss += u->rss;
	b->pss += known(u->pss);
	b->swap += known(u->swap);
	b->size += u->end - u->start;
	b->huge += known(u->anon_huge) + known(u->shmem_huge) + known(u->file_huge);
	b->hugetlb += known(u->hugetlb_shared) + known(u->hugetlb_private);
	b->lazy_free += known(u->lazy_free);
	while (*region < regions->n && regions->items[*region].start < u->start)
		(*region)++;
	if (*region == regions->n || regions->items[*region].start != u->start) {
		unknown_region(l, u);
	} else if (!was_scanned(&regions->items[*region])) {
		whole_region(l, *region, u);
	} else {
		split_region(l, *region);
		if (!l->snap->residency.known)
			estimate_parts(l, u);
	}
	settle_parts(l, u);
	post_parts(l, u);
}

static int by_rss(const void *a, const void *b)
{
	const struct insp_book_mapping *x = a, *y = b;

	return x->rss != y->rss ? (x->rss < y->rss) - (x->rss > y->rss) : (x->start > y->start) - (x->start < y->start);
}

static int stack_by_rss(const void *a, const void *b)
{
	const struct insp_book_stack *x = a, *y = b;

	return x->rss != y->rss ? (x->rss < y->rss) - (x->rss > y->rss) : (x->start > y->start) - (x->start < y->start);
}

/* Top-down: the kernel puts a new mapping below the older ones, so the highest is the oldest. Still
   in address order here. */
static void number_ages(struct insp_book_mappings *mappings)
{
	uint32_t age = 0;

	for (size_t i = mappings->n; i-- > 0;) {
		struct insp_book_mapping *m = &mappings->items[i];

		if (m->kind == INSP_BOOK_ANON || m->kind == INSP_BOOK_JIT || m->kind == INSP_BOOK_NAMED ||
		    m->kind == INSP_BOOK_IDLE_STACKS)
			m->age = ++age;
	}
}

static void advise_heap(struct ledger *l, const struct insp_trim *trim)
{
	struct insp_book_line *lines = l->books->lines;

	lines[INSP_BOOK_HEAP_BINS].release = trim->total.release_bins;
	lines[INSP_BOOK_HEAP_TOP].release = trim->total.release_top;
	if (trim->total.release_bins)
		lines[INSP_BOOK_HEAP_BINS].how = "malloc_trim(0); `heap pins` says what keeps the rest";
	else if (lines[INSP_BOOK_HEAP_BINS].rss)
		lines[INSP_BOOK_HEAP_BINS].how = "pieces of pages between chunks in use: `heap pins`";
	if (trim->total.release_top)
		lines[INSP_BOOK_HEAP_TOP].how = "malloc_trim(0), or a lower M_TRIM_THRESHOLD";
	else if (lines[INSP_BOOK_HEAP_TOP].rss)
		lines[INSP_BOOK_HEAP_TOP].how = "only free() of a chunk next to top cuts it; fewer arenas "
						"(MALLOC_ARENA_MAX) have fewer tops";
	if (lines[INSP_BOOK_HEAP_TCACHE].rss)
		lines[INSP_BOOK_HEAP_TCACHE].how =
			"goes when the thread ends; GLIBC_TUNABLES glibc.malloc.tcache_count limits it";
	if (lines[INSP_BOOK_HEAP_IN_USE].rss)
		lines[INSP_BOOK_HEAP_IN_USE].how = "the program must free it: `leaks`, `heap sizes`";
	if (lines[INSP_BOOK_HEAP_MMAPPED].rss)
		lines[INSP_BOOK_HEAP_MMAPPED].how = "goes back at once when the program frees it";
}

static void advise_rest(struct ledger *l)
{
	static const struct {
		enum insp_book_kind kind;
		const char *how;
	} table[] = {
		{INSP_BOOK_THREAD_STACKS, "fewer threads; what was touched deeper than now goes when they end"},
		{INSP_BOOK_IDLE_STACKS, "malloc has no part in it; glibc keeps up to 40 MB of stacks"},
		{INSP_BOOK_PROGRAM_CODE, "clean: the kernel takes it back when memory is short"},
		{INSP_BOOK_LIBRARY_CODE, "clean: the kernel takes it back when memory is short"},
		{INSP_BOOK_FILE_PRIVATE, "clean pages go when memory is short; munmap what is not needed"},
		{INSP_BOOK_FILE_SHARED, "page cache: goes when memory is short, after write-back"},
		{INSP_BOOK_SHARED_MEMORY, "stays until all unmap it and its name or descriptor is gone"},
		{INSP_BOOK_ANON, "`rss --mappings` lists them, with what they may be"},
		{INSP_BOOK_JIT, "the runtime's own limit on its code cache"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (l->books->lines[table[i].kind].rss)
			l->books->lines[table[i].kind].how = table[i].how;
}

static void compare_counter(struct ledger *l)
{
	const struct insp_usage *u = &l->snap->usage;

	l->books->drift = !u->n || u->vm_rss == INSP_UNKNOWN ? INT64_MIN
						    : (int64_t)(u->vm_rss - l->books->rss);
}

static int balance(struct ledger *l, struct insp_error *err)
{
	const struct insp_snapshot *snap = l->snap;
	struct insp_books *b = l->books;
	struct insp_trim trim;
	size_t region = 0;
	int rc;

	b->arenas = insp_pool_array(l->pool, snap->arenas.n + 1, sizeof(*b->arenas));
	l->heap = insp_pool_array(l->pool, snap->regions.n + 1, sizeof(struct heap_part *));
	if (!b->arenas || !l->heap)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the books");
	rc = insp_book_find_stacks(snap, &b->stacks);
	if (rc)
		return insp_fail(err, rc, "out of memory for the books");
	rc = add_chunks(l, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < l->nusage; i++)
		if (l->usage[i].rss != INSP_UNKNOWN)
			post_region(l, &region, &l->usage[i]);
	if (l->nomem)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the books");
	compare_counter(l);
	number_ages(&b->mappings);
	if (b->mappings.n)
		qsort(b->mappings.items, b->mappings.n, sizeof(*b->mappings.items), by_rss);
	if (b->stacks.n)
		qsort(b->stacks.items, b->stacks.n, sizeof(*b->stacks.items), stack_by_rss);
	rc = insp_trim_plan(snap, 0, l->pool, &trim, err);
	if (rc)
		return rc;
	advise_heap(l, &trim);
	advise_rest(l);
	return 0;
}

/* No smaps: as if what can only be in memory or in swap were in memory, and files were not. */
static int assume_usage(struct ledger *l, struct insp_error *err)
{
	const struct insp_regions *regions = &l->snap->regions;
	struct insp_region_usage *usage = insp_pool_array(l->pool, regions->n + 1, sizeof(*usage));

	if (!usage)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the books");
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];

		usage[i].start = r->start;
		usage[i].end = r->end;
		if (r->prot & INSP_PROT_WRITE && !(r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE)))
			usage[i].rss = usage[i].pss = usage[i].anonymous = insp_region_bytes(r);
	}
	l->usage = usage;
	l->nusage = regions->n;
	return 0;
}

/* Why there is no smaps. */
static const char *who_is_silent(const char *target_kind)
{
	if (!strcmp(target_kind, "core"))
		return "a core";
	if (!strcmp(target_kind, "live") || !strcmp(target_kind, "inferior"))
		return "smaps could not be read, and so the kernel";
	return "a remote target";
}

int insp_books_balance(const struct insp_snapshot *snapshot, struct insp_pool *pool,
		       struct insp_books *ret, struct insp_error *err)
{
	struct ledger l = {.snap = snapshot, .pool = pool, .books = ret};
	int rc = 0;

	*ret = (struct insp_books){.exact = snapshot->residency.known, .drift = INT64_MIN};
	l.usage = snapshot->usage.items;
	l.nusage = snapshot->usage.n;
	if (!l.nusage)
		rc = assume_usage(&l, err);
	if (rc)
		return rc;
	if (!snapshot->usage.n)
		ret->missing = insp_pool_printf(pool,
						"%s does not say which pages were in memory: the sizes of private "
						"writable mappings stand in for resident bytes, and files are left out",
						who_is_silent(snapshot->target_kind));
	else if (!snapshot->residency.known)
		ret->missing = "pagemap could not be read: where a mapping holds several things, its "
			       "resident bytes are shared out by size";
	else if (snapshot->residency.unscanned_bytes)
		ret->missing = "a mapping of more than 64 GiB could not be scanned on this kernel";
	rc = balance(&l, err);
	insp_vec_free(&l.parts);
	if (rc)
		insp_books_deinit(ret);
	return rc;
}

void insp_books_deinit(struct insp_books *books)
{
	insp_vec_free(&books->mappings);
	insp_vec_free(&books->stacks);
}

uint64_t insp_books_heap_rss(const struct insp_books *books)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < N_HEAP_KINDS; k++)
		sum += books->lines[k].rss;
	return sum;
}
