/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_lists: free lists, from the notes of the walk, after the target runs again.
 *
 *     tcache    entries[i] -> memory -> memory          single, mangled, by size
 *     fastbin   fastbinsY[i] -> chunk -> chunk          single, mangled, by size
 *     bins      bins[i].fd <-> chunk <-> chunk <-> head double, closed
 *
 * Each chunk that a list reaches changes its state away from what the walk gave it (IN_USE for the
 * first two, UNLINKED for the third), so a chunk that is met twice shows itself, and every walk
 * along a list ends: it can change no more states than there are chunks.
 */
#include "heap/glibc.h"

#include <inttypes.h>
#include <stdlib.h>

#define INDEX_SHIFT 14 /* bytes of heap per entry of a segment's index of notes */
#define FINDINGS_PER_LIST 4

struct lists {
	struct insp_glibc *g;
	const struct insp_heap_env *env;
	struct insp_heap_result *result;
	struct insp_glibc_segment **sorted; /* by start */
	size_t hint;
};

static int segment_compare(const void *a, const void *b)
{
	const struct insp_glibc_segment *x = *(struct insp_glibc_segment *const *)a,
					*y = *(struct insp_glibc_segment *const *)b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int index_segment(struct insp_glibc *g, struct insp_glibc_segment *s)
{
	const struct insp_glibc_free *notes = g->free_notes.items;
	size_t n = (size_t)((s->end - s->start) >> INDEX_SHIFT) + 2, note = s->first_free,
	       end = s->first_free + s->nfree;

	free(s->free_index);
	s->free_index = malloc(n * sizeof(*s->free_index));
	if (!s->free_index)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		while (note < end && (notes[note].addr - s->start) >> INDEX_SHIFT < i)
			note++;
		s->free_index[i] = (uint32_t)(note - s->first_free);
	}
	return 0;
}

static struct insp_glibc_segment *find_segment(struct lists *l, uint64_t addr)
{
	size_t lo = 0, hi = l->g->segments.n;

	if (l->hint < hi && addr >= l->sorted[l->hint]->start && addr < l->sorted[l->hint]->end)
		return l->sorted[l->hint];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->sorted[mid]->end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == l->g->segments.n || l->sorted[lo]->start > addr)
		return NULL;
	l->hint = lo;
	return l->sorted[lo];
}

static const struct insp_glibc_free *find_free(struct lists *l, uint64_t addr)
{
	struct insp_glibc_segment *s = find_segment(l, addr);
	const struct insp_glibc_free *notes = l->g->free_notes.items;
	size_t lo, hi, i;

	if (!s)
		return NULL;
	i = (size_t)((addr - s->start) >> INDEX_SHIFT);
	lo = s->first_free + s->free_index[i];
	hi = s->first_free + s->free_index[i + 1];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (notes[mid].addr == addr)
			return &notes[mid];
		if (notes[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static const struct insp_glibc_link *find_link(struct lists *l, uint64_t addr)
{
	struct insp_glibc_segment *s = find_segment(l, addr);
	const struct insp_glibc_link *notes = l->g->link_notes.items;
	size_t lo, hi;

	if (!s)
		return NULL;
	lo = s->first_link;
	hi = lo + s->nlinks;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (notes[mid].addr == addr)
			return &notes[mid];
		if (notes[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static const char *arena_name(const struct lists *l, uint32_t arena)
{
	return l->result->arenas->items[arena].name;
}

/* The arena (into result->arenas) whose chunks hold addr, or that of the first arena. */
static uint32_t arena_at(struct lists *l, uint64_t addr)
{
	const struct insp_glibc_segment *s = find_segment(l, addr);

	return l->g->arenas.items[s ? s->arena : 0].index;
}

/* A single list. Both kinds differ in what a link points to: memory or chunk. */
struct single {
	struct insp_bin bin;
	enum insp_chunk_state state;
	uint64_t first;	   /* link, as it stands in the head */
	uint64_t to_chunk; /* from what a link points to down to the chunk */
	uint64_t expect;   /* chunks, UINT64_MAX unknown */
	uint64_t max;	   /* chunks at most: nothing else ends a plain list */
	const char *name;
};

static void broken(struct lists *l, struct single *s, enum insp_heap_finding which, uint64_t addr,
		   const char *what)
{
	s->bin.broken = true;
	insp_heap_finding(l->result, l->env->pool, which, addr, "%s %u of %s: %s", s->name,
			  s->bin.index, arena_name(l, s->bin.arena), what);
}

static void follow_single(struct lists *l, struct single *s)
{
	struct insp_chunks *chunks = l->result->chunks;
	uint64_t link = s->first;

	while (link) {
		uint64_t addr = link - s->to_chunk;
		const struct insp_glibc_link *note = find_link(l, addr);
		struct insp_chunk c;
		int64_t id = note ? (int64_t)note->id : insp_chunks_at(chunks, addr);

		if (id < 0) {
			broken(l, s, INSP_HEAP_LIST_FOREIGN, addr, "leads to no chunk");
			return;
		}
		insp_chunks_get(chunks, (uint32_t)id, &c);
		if (c.addr != addr) {
			broken(l, s, INSP_HEAP_LIST_FOREIGN, addr, "leads into a chunk, not to one");
			return;
		}
		if (c.state == INSP_CHUNK_TCACHE || c.state == INSP_CHUNK_FASTBIN) {
			broken(l, s, INSP_HEAP_LIST_LOOP, addr,
			       "leads to a chunk that was on a list already");
			return;
		}
		if (c.state != INSP_CHUNK_INUSE) {
			broken(l, s, INSP_HEAP_LIST_FOREIGN, addr,
			       "leads to a chunk that cannot be on it");
			return;
		}
		if (c.size < s->bin.min_size || c.size > s->bin.max_size)
			broken(l, s, INSP_HEAP_LIST_WRONG_BIN, addr, "holds a chunk of another size");
		insp_chunks_set_state(chunks, (uint32_t)id, s->state);
		s->bin.count++;
		s->bin.bytes += c.size;
		if (s->bin.count >= s->max)
			return;
		if (!note)
			return; /* its first word led nowhere: the end of the list */
		link = note->next;
	}
}

static void push_bin(struct lists *l, const struct insp_bin *bin)
{
	struct insp_bin *out;

	if (!bin->count && !bin->broken)
		return;
	out = insp_vec_push(l->result->bins);
	if (out)
		*out = *bin;
}

static void tcache_struct(struct lists *l, const struct insp_glibc_tcache *t)
{
	struct insp_chunks *chunks = l->result->chunks;
	int64_t id = insp_chunks_at(chunks, t->addr - GLIBC_HEADER);
	struct insp_chunk c;

	if (id < 0)
		return;
	insp_chunks_get(chunks, (uint32_t)id, &c);
	if (c.mem == t->addr && c.state == INSP_CHUNK_INUSE)
		insp_chunks_set_state(chunks, (uint32_t)id, INSP_CHUNK_METADATA);
}

static void tcache_lists(struct lists *l, const struct insp_glibc_tcache *t)
{
	const struct insp_glibc_tcache_layout *layout = &l->g->tcache_layout;
	uint32_t arena = arena_at(l, t->addr);

	for (unsigned i = 0; i < layout->nbins; i++) {
		struct single s = {
			.bin = {.kind = INSP_BIN_TCACHE,
				.arena = arena,
				.tid = t->tid,
				.index = i,
				.head = t->addr + layout->entries + 8 * i},
			.state = INSP_CHUNK_TCACHE,
			.first = t->entries[i],
			.to_chunk = GLIBC_HEADER,
			.expect = t->counts_known[i] ? t->counts[i] : UINT64_MAX,
			.max = 65536,
			.name = "tcache bin",
		};

		if (!s.first)
			continue;
		/* Without mangling the last link is not noted, the count is what ends the list. */
		if (t->counts_known[i] && !l->g->safe_linking)
			s.max = t->counts[i];
		insp_glibc_tcache_sizes(l->g, i, &s.bin.min_size, &s.bin.max_size);
		if (s.max)
			follow_single(l, &s);
		if (s.expect != UINT64_MAX && s.bin.count != s.expect && !s.bin.broken)
			insp_heap_finding(l->result, l->env->pool, INSP_HEAP_TCACHE_COUNT,
					  s.bin.head,
					  "tcache bin %u of thread %d: %" PRIu64
					  " chunks, it counts %" PRIu64,
					  i, t->tid, s.bin.count, s.expect);
		push_bin(l, &s.bin);
	}
}

static void fastbin_lists(struct lists *l, const struct insp_glibc_arena *a)
{
	if (l->g->state.fastbins == GLIBC_NONE)
		return;
	for (unsigned i = 0; i < GLIBC_NFASTBINS; i++) {
		struct single s = {
			.bin = {.kind = INSP_BIN_FAST,
				.arena = a->index,
				.index = i,
				.min_size = GLIBC_MIN_SIZE + 16 * (uint64_t)i,
				.max_size = GLIBC_MIN_SIZE + 16 * (uint64_t)i,
				.head = a->addr + l->g->state.fastbins + 8 * i},
			.state = INSP_CHUNK_FASTBIN,
			.first = a->fastbins[i],
			.expect = UINT64_MAX,
			.max = UINT64_MAX,
			.name = "fastbin",
		};

		if (s.first)
			follow_single(l, &s);
		push_bin(l, &s.bin);
	}
}

static enum insp_chunk_state bin_state(unsigned bin)
{
	return bin == 1			 ? INSP_CHUNK_UNSORTED
	       : bin < GLIBC_NSMALLBINS ? INSP_CHUNK_SMALLBIN
					 : INSP_CHUNK_LARGEBIN;
}

static void double_broken(struct lists *l, struct insp_bin *bin, enum insp_heap_finding which,
			  uint64_t addr, const char *what)
{
	bin->broken = true;
	insp_heap_finding(l->result, l->env->pool, which, addr, "bin %u of %s: %s", bin->index,
			  arena_name(l, bin->arena), what);
}

/* One step along a bin: the note of the chunk at addr, or NULL with a finding. */
static const struct insp_glibc_free *bin_entry(struct lists *l, struct insp_bin *bin, uint64_t addr)
{
	struct insp_chunks *chunks = l->result->chunks;
	const struct insp_glibc_free *note = find_free(l, addr);

	if (!note) {
		int64_t id = insp_chunks_at(chunks, addr);
		struct insp_chunk c;

		if (id >= 0) {
			insp_chunks_get(chunks, (uint32_t)id, &c);
			if (c.addr == addr) {
				double_broken(l, bin, INSP_HEAP_LIST_IN_USE, addr,
					      "holds a chunk that looks in use");
				return NULL;
			}
		}
		double_broken(l, bin, INSP_HEAP_LIST_FOREIGN, addr, "leads to no free chunk");
		return NULL;
	}
	if (insp_chunks_state(chunks, note->id) != INSP_CHUNK_UNLINKED) {
		double_broken(l, bin, INSP_HEAP_LIST_LOOP, addr,
			      "leads to a chunk that was on a list already");
		return NULL;
	}
	return note;
}

/* A note has room for 64 GiB; the store of the chunks knows better. */
static uint64_t free_size(const struct lists *l, const struct insp_glibc_free *note)
{
	struct insp_chunk c;

	if (note->granules != UINT32_MAX)
		return (uint64_t)note->granules << 4;
	insp_chunks_get(l->result->chunks, note->id, &c);
	return c.size;
}

static void bin_take(struct lists *l, struct insp_bin *bin, const struct insp_glibc_free *note)
{
	uint64_t size = free_size(l, note);

	if (bin->index > 1 && insp_glibc_bin_index(size) != bin->index)
		double_broken(l, bin, INSP_HEAP_LIST_WRONG_BIN, note->addr,
			      "holds a chunk of another size");
	insp_chunks_set_state(l->result->chunks, note->id, bin_state(bin->index));
	bin->count++;
	bin->bytes += size;
}

static void follow_bin_back(struct lists *l, struct insp_bin *bin, uint64_t addr)
{
	while (addr != bin->head) {
		const struct insp_glibc_free *note = find_free(l, addr);

		if (!note ||
		    insp_chunks_state(l->result->chunks, note->id) != INSP_CHUNK_UNLINKED)
			return;
		bin_take(l, bin, note);
		addr = note->bk;
	}
}

static void follow_bin(struct lists *l, const struct insp_glibc_arena *a, unsigned index)
{
	uint64_t head = a->addr + l->g->state.bins + 16 * (uint64_t)(index - 1) - GLIBC_HEADER;
	uint64_t addr = a->bins[2 * (index - 1)], last = a->bins[2 * (index - 1) + 1], prev = head;
	unsigned bad_backs = 0;
	struct insp_bin bin = {
		.kind = index == 1		   ? INSP_BIN_UNSORTED
			: index < GLIBC_NSMALLBINS ? INSP_BIN_SMALL
						   : INSP_BIN_LARGE,
		.arena = a->index,
		.index = index,
		.head = head,
	};

	if (addr == head && last == head)
		return;
	if (index == 1) {
		bin.min_size = GLIBC_MIN_SIZE;
		bin.max_size = UINT64_MAX / 2;
	} else {
		insp_glibc_bin_sizes(index, &bin.min_size, &bin.max_size);
	}
	while (addr != head) {
		const struct insp_glibc_free *note = bin_entry(l, &bin, addr);

		if (!note)
			break;
		if (note->bk != prev && bad_backs++ < FINDINGS_PER_LIST)
			double_broken(l, &bin, INSP_HEAP_LIST_BAD_BACK, addr,
				      "bk does not lead back");
		bin_take(l, &bin, note);
		prev = addr;
		addr = note->fd;
	}
	if (addr == head && last != prev)
		double_broken(l, &bin, INSP_HEAP_LIST_BAD_BACK, head,
			      "the head's bk is not the last chunk");
	if (addr != head) /* what lies behind the break is reached from the other end */
		follow_bin_back(l, &bin, last);
	push_bin(l, &bin);
}

/* Free chunks that no list reached, per arena. */
static void count_unlisted(struct lists *l)
{
	const struct insp_glibc_free *notes = l->g->free_notes.items;

	insp_vec_each(&l->g->arenas, a) {
		uint64_t count = 0, bytes = 0, first = 0;

		insp_vec_each(&l->g->segments, s) {
			if (&l->g->arenas.items[s->arena] != a)
				continue;
			for (size_t i = s->first_free; i < s->first_free + s->nfree; i++)
				if (insp_chunks_state(l->result->chunks, notes[i].id) ==
				    INSP_CHUNK_UNLINKED) {
					first = first ? first : notes[i].addr;
					count++;
					bytes += free_size(l, &notes[i]);
				}
		}
		if (count)
			insp_heap_finding(l->result, l->env->pool, INSP_HEAP_FREE_NOT_LISTED,
					  first,
					  "%" PRIu64 " free chunks of %s (%" PRIu64
					  " bytes) are on no list%s",
					  count, arena_name(l, a->index), bytes,
					  a->mutex ? ": a thread stood inside malloc" : "");
	}
}

/* The arena's top chunk: where it says, or what the walk took for it at the end of a piece. */
static bool top_chunk(const struct lists *l, const struct insp_glibc_arena *a, struct insp_chunk *ret)
{
	const struct insp_chunks *chunks = l->result->chunks;
	int64_t id = insp_chunks_at(chunks, a->top);

	if (id >= 0) {
		insp_chunks_get(chunks, (uint32_t)id, ret);
		if (ret->addr == a->top && ret->state == INSP_CHUNK_TOP)
			return true;
	}
	insp_vec_each(&l->g->segments, s) {
		if (&l->g->arenas.items[s->arena] != a)
			continue;
		id = insp_chunks_at(chunks, s->end - 1);
		if (id >= 0) {
			insp_chunks_get(chunks, (uint32_t)id, ret);
			if (ret->state == INSP_CHUNK_TOP)
				return true;
		}
	}
	return false;
}

static void fill_arenas(struct lists *l)
{
	struct insp_glibc *g = l->g;

	insp_vec_each(&g->arenas, a) {
		struct insp_arena *out = &l->result->arenas->items[a->index];
		struct insp_chunk c;

		out->spans_bytes = insp_glibc_walked_bytes(g, (uint32_t)(a - g->arenas.items));
		if (top_chunk(l, a, &c)) {
			out->top_addr = c.addr;
			out->top_bytes = c.size;
		}
		if (out->spans_bytes != a->system_mem)
			insp_heap_finding(l->result, l->env->pool, INSP_HEAP_ARENA_TOTAL, a->addr,
					  "%s: %" PRIu64 " bytes found, its system_mem is %" PRIu64,
					  out->name, out->spans_bytes, a->system_mem);
	}
	if (g->mmapped_arena != UINT32_MAX)
		l->result->arenas->items[g->mmapped_arena].spans_bytes =
			insp_glibc_mmapped_bytes(g);
}

static bool complete(const struct lists *l)
{
	const struct insp_glibc *g = l->g;

	if (g->stats.unknown_bytes || !g->arenas_complete || g->free_notes.failed ||
	    g->link_notes.failed)
		return false;
	insp_vec_each(&g->arenas, a)
		if (l->result->arenas->items[a->index].spans_bytes != a->system_mem)
			return false;
	return insp_glibc_mmapped_agrees(g);
}

static void fill_allocator(struct lists *l, struct insp_allocator *out)
{
	const struct insp_glibc_par *p = &l->g->par;

	out->mmap_threshold = p->mmap_threshold;
	out->trim_threshold = p->trim_threshold;
	out->top_pad = p->top_pad;
	out->arena_max = p->arena_max;
	out->thp_page_size = p->thp_page_size;
	out->tcache_count = p->tcache_count;
	out->n_mmaps = p->n_mmaps;
	out->mmapped_mem = p->mmapped_mem;
	out->safe_linking = l->g->safe_linking;
	out->chunks_complete = complete(l);
}

int insp_glibc_finish(struct insp_glibc *g, const struct insp_heap_env *env, uint32_t allocator,
		      struct insp_heap_result *result, struct insp_error *err)
{
	struct lists l = {.g = g, .env = env, .result = result};

	l.sorted = calloc(g->segments.n + 1, sizeof(*l.sorted));
	if (!l.sorted)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the free lists");
	for (size_t i = 0; i < g->segments.n; i++) {
		l.sorted[i] = &g->segments.items[i];
		if (index_segment(g, &g->segments.items[i])) {
			free(l.sorted);
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the free lists");
		}
	}
	qsort(l.sorted, g->segments.n, sizeof(*l.sorted), segment_compare);
	if (!g->arenas_complete)
		insp_heap_finding(result, env->pool, INSP_HEAP_ARENA_LIST, g->main_arena,
				  "the list of arenas breaks off after %zu", g->arenas.n);
	insp_vec_each(&g->tcaches, t)
		tcache_struct(&l, t);
	insp_vec_each(&g->tcaches, t)
		tcache_lists(&l, t);
	insp_vec_each(&g->arenas, a) {
		fastbin_lists(&l, a);
		for (unsigned i = 1; i <= GLIBC_NBINS; i++)
			follow_bin(&l, a, i);
	}
	count_unlisted(&l);
	fill_arenas(&l);
	fill_allocator(&l, &result->allocators->items[allocator]);
	free(l.sorted);
	return 0;
}
