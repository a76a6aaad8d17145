/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spread: four bytes a chunk, and lists of chunks whose pointers are to be followed next:
 *
 *     bits 31..30 strength | 29 followed | 28 sure | 27..25 fit | 24..0 type + 1
 *
 * A layer of many chunks is put in address order first, so that chunks and pointers are read
 * forward. A long list has as many layers as nodes: nothing here costs much per layer, and where a
 * chunk's pointers begin is found by a table of pages instead of a search.
 */
#include "analysis/spread.h"

#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"

#define BATCH		256
#define INTERRUPT_EVERY 0xfff
#define OTHERS_MAX	4000000
#define PAGE		UINT64_C(4096)
#define GAP		(UINT64_C(16) << 20) /* without pointers: the next page begins a new stretch */

enum strength { NOTHING, FAINT, WEAK, STRONG, N_STRENGTHS };

#define TYPE_OF(m)     (((m) & 0x1ffffff) - 1)
#define FIT_OF(m)      ((enum insp_fit)((m) >> 25 & 7))
#define SURE	       (UINT32_C(1) << 28)
#define FOLLOWED       (UINT32_C(1) << 29)
#define STRENGTH_OF(m) ((enum strength)((m) >> 30))

struct pending {
	uint32_t pointee;
	uint8_t strength;
	bool exactly; /* a guess: counts only where it fits exactly */
};

/* A chunk whose pointers are to be followed. */
struct step {
	uint64_t mem;
	uint32_t id;
};

/* Pages of pointers that lie near each other: [start, end), no pointers for long behind it. */
struct stretch {
	uint64_t start, end;
	uint32_t *pages; /* [(end - start) / PAGE] the first index at or behind that page */
};

struct insp_spread {
	const struct insp_snapshot *snapshot;
	INSP_VEC(struct stretch) stretches;
	size_t last_stretch;
	const struct insp_spread_source *source;
	uint32_t *marks; /* [n] */
	size_t n;
	INSP_VEC(struct step) next[N_STRENGTHS]; /* of WEAK and STRONG */
	struct insp_map others;		      /* chunk -> its other type */
	struct insp_finder finder;
	uint64_t values[BATCH];
	struct pending pending[BATCH];
	size_t npending;
	uint64_t followed;
	bool failed;
};

static const struct {
	const char *key, *title;
} fits[INSP_N_FITS] = {
	[INSP_FIT_EXACT] = {"exact", "its size fits exactly"},
	[INSP_FIT_ARRAY] = {"array", "an array of them"},
	[INSP_FIT_LARGER] = {"larger", "begins with it, and is larger"},
	[INSP_FIT_OPAQUE] = {"opaque", "only the name is known"},
	[INSP_FIT_INTERIOR] = {"interior", "has one inside"},
};

const char *insp_fit_key(enum insp_fit fit)
{
	return fit < INSP_N_FITS ? fits[fit].key : "invalid";
}

const char *insp_fit_title(enum insp_fit fit)
{
	return fit < INSP_N_FITS ? fits[fit].title : "invalid";
}

/* ---- where a page's pointers are */

static int make_stretch(struct insp_spread *s, size_t first, size_t end)
{
	const struct insp_pointer_page *pages = s->snapshot->pointers->pages;
	uint64_t start = pages[first].addr, next = 0;
	size_t n = (size_t)((pages[end - 1].addr - start) / PAGE + 1);
	struct stretch *stretch = insp_vec_push(&s->stretches);

	if (!stretch)
		return -1;
	stretch->start = start;
	stretch->end = start + n * PAGE;
	stretch->pages = malloc(n * sizeof(*stretch->pages));
	if (!stretch->pages)
		return -1;
	for (size_t i = first; i < end; i++)
		for (; next <= (pages[i].addr - start) / PAGE; next++)
			stretch->pages[next] = (uint32_t)i;
	return 0;
}

static int index_pages(struct insp_spread *s)
{
	const struct insp_pointers *p = s->snapshot->pointers;
	size_t first = 0;

	for (size_t i = 1; i <= p->npages; i++)
		if (i == p->npages || p->pages[i].addr - p->pages[i - 1].addr > GAP) {
			if (make_stretch(s, first, i))
				return -1;
			first = i;
		}
	return 0;
}

static size_t page_from(struct insp_spread *s, uint64_t addr)
{
	const struct stretch *at = &s->stretches.items[s->last_stretch];
	size_t lo = 0, hi = s->stretches.n;

	if (hi && addr >= at->start && addr < at->end)
		return at->pages[(addr - at->start) / PAGE];
	while (lo < hi) { /* the first that ends behind addr */
		size_t mid = lo + (hi - lo) / 2;

		if (s->stretches.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->stretches.n)
		return s->snapshot->pointers->npages;
	s->last_stretch = lo;
	at = &s->stretches.items[lo];
	return at->pages[addr < at->start ? 0 : (addr - at->start) / PAGE];
}

int insp_spread_create(const struct insp_snapshot *snapshot, const struct insp_spread_source *source,
		       struct insp_spread **ret, struct insp_error *err)
{
	struct insp_spread *s;

	if (!snapshot->pointers || !snapshot->pointers->sorted)
		return insp_fail(err, INSP_E_UNSUPPORTED, "the snapshot was taken without pointers");
	s = calloc(1, sizeof(*s));
	if (s) {
		s->snapshot = snapshot;
		s->source = source;
		s->n = snapshot->chunks->n;
		s->marks = insp_big_alloc(s->n + 1, sizeof(*s->marks));
	}
	if (!s || !s->marks || snapshot->pointers->npages >= UINT32_MAX || index_pages(s)) {
		insp_spread_destroy(s);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	}
	*ret = s;
	return 0;
}

void insp_spread_destroy(struct insp_spread *s)
{
	if (!s)
		return;
	insp_big_free(s->marks, s->n + 1, sizeof(*s->marks));
	insp_vec_each (&s->stretches, at)
		free(at->pages);
	insp_vec_free(&s->stretches);
	for (unsigned i = 0; i < N_STRENGTHS; i++)
		insp_vec_free(&s->next[i]);
	insp_map_deinit(&s->others);
	free(s);
}

/* ---- does it fit? */

/* What malloc() makes usable for a request. */
static uint64_t usable_for(const struct insp_chunk *c, uint64_t request)
{
	uint64_t head = c->size - c->usable, grain = c->state == INSP_CHUNK_MMAPPED ? 4096 : 16;
	uint64_t size = (request + head + grain - 1) / grain * grain;

	return (size < 32 ? 32 : size) - head;
}

static bool fits_as(const struct insp_ctype *type, const struct insp_chunk *c, uint64_t offset,
		    enum insp_fit *ret)
{
	uint64_t size = type->size_bytes, least;
	bool plain = type->kind == INSP_CTYPE_POINTER || type->kind == INSP_CTYPE_SCALAR ||
		     type->kind == INSP_CTYPE_BYTES; /* seldom allocated alone */

	if (type->kind == INSP_CTYPE_OPAQUE || !size) {
		*ret = offset ? INSP_FIT_INTERIOR : INSP_FIT_OPAQUE;
		return type->kind == INSP_CTYPE_OPAQUE;
	}
	if (offset >= c->usable || size > c->usable - offset)
		return false;
	least = usable_for(c, size);
	/* A rest too small to be a chunk is given along; of what is tiny, several are likelier. */
	if (!offset && !(plain && c->usable / size > 1) &&
	    (least == c->usable || (least + 16 == c->usable && size > 16) || type->open_ended))
		*ret = INSP_FIT_EXACT;
	else if (offset % size == 0 && c->usable / size > 1 &&
		 usable_for(c, c->usable / size * size) == c->usable)
		*ret = INSP_FIT_ARRAY;
	else
		*ret = offset ? INSP_FIT_INTERIOR : INSP_FIT_LARGER;
	return true;
}

static enum strength strength_of(const struct insp_ctype *type, enum insp_fit fit, uint64_t offset,
				 enum strength by_pointer)
{
	if (type->kind == INSP_CTYPE_BYTES || type->kind == INSP_CTYPE_SCALAR || fit >= INSP_FIT_OPAQUE)
		return FAINT;
	if (by_pointer == STRONG && (offset || (fit == INSP_FIT_ARRAY && type->kind != INSP_CTYPE_POINTER)))
		return WEAK;
	return by_pointer;
}

/* ---- marks */

static void remember_other(struct insp_spread *s, uint32_t id, uint32_t type)
{
	if (s->others.n < OTHERS_MAX && insp_map_get(&s->others, id) == INSP_MAP_NONE &&
	    insp_map_set(&s->others, id, type))
		s->failed = true;
}

static void mark(struct insp_spread *s, const struct insp_chunk *c, uint32_t type,
		 enum insp_fit fit, enum strength strength, uint32_t flags)
{
	s->marks[c->id] = (uint32_t)strength << 30 | flags | (uint32_t)fit << 25 | (type + 1);
	if (strength == WEAK || strength == STRONG) {
		struct step *slot = insp_vec_push(&s->next[strength]);

		if (slot)
			*slot = (struct step){c->mem, c->id};
		else
			s->failed = true;
	}
}

/*
 * Is a new name better than what the chunk has? Before its pointers were followed, the stronger one
 * is, and of equal ones (they are equally far) the one that fits better. Afterwards only the type
 * that fits exactly: what began as a base class or a common head turns out to be the whole.
 */
static bool better(uint32_t old, enum insp_fit fit, enum strength strength)
{
	if (old & SURE)
		return false;
	if (fit == INSP_FIT_EXACT && FIT_OF(old) == INSP_FIT_LARGER && strength >= STRENGTH_OF(old))
		return true;
	if (old & FOLLOWED)
		return false;
	return strength > STRENGTH_OF(old) || (strength == STRENGTH_OF(old) && fit < FIT_OF(old));
}

static void assign(struct insp_spread *s, uint32_t hit, uint64_t value, const struct pending *by)
{
	uint32_t type = by->pointee, id = INSP_HIT_ID(hit);
	const struct insp_ctype *t = s->source->get(s->source->ctx, type), *own;
	uint32_t old = s->marks[id], class;
	enum strength strength;
	struct insp_chunk c;
	enum insp_fit fit;
	uint64_t offset;

	/* Most pointers lead to what is known already. */
	if (t->kind == INSP_CTYPE_VOID || (old && TYPE_OF(old) == type && old & (FOLLOWED | SURE)))
		return;
	if (hit & INSP_HIT_INTERIOR)
		insp_chunks_get(s->snapshot->chunks, id, &c);
	else
		insp_chunks_get_mem(s->snapshot->chunks, id, value, &c);
	offset = value - c.mem;
	if (t->polymorphic && !offset && s->source->class_of && !(old & SURE)) {
		class = s->source->class_of(s->source->ctx, &c);
		own = class != INSP_CTYPE_NONE ? s->source->get(s->source->ctx, class) : NULL;
		if (own && fits_as(own, &c, 0, &fit)) {
			t = own;
			type = class;
		}
	}
	if (!fits_as(t, &c, offset, &fit) ||
	    (by->exactly && fit != INSP_FIT_EXACT && t->kind == INSP_CTYPE_COMPOUND))
		return;
	strength = strength_of(t, fit, offset, (enum strength)by->strength);
	if (!old) {
		mark(s, &c, type, fit, strength, 0);
	} else if (TYPE_OF(old) != type) {
		bool wins = better(old, fit, strength);

		if (strength != FAINT && STRENGTH_OF(old) != FAINT)
			remember_other(s, id, wins ? TYPE_OF(old) : type);
		if (wins)
			mark(s, &c, type, fit, strength, 0);
	} else if (better(old, fit, strength)) {
		mark(s, &c, type, fit, strength, 0);
	}
}

static void flush(struct insp_spread *s)
{
	uint32_t hits[BATCH];

	insp_chunks_hits(s->snapshot->chunks, &s->finder, s->values, s->npending, hits);
	for (size_t i = 0; i < s->npending; i++)
		if (hits[i] != INSP_HIT_NONE)
			assign(s, hits[i], s->values[i], &s->pending[i]);
	s->npending = 0;
}

static void follow(struct insp_spread *s, uint64_t value, uint32_t pointee, enum strength strength,
		   bool exactly)
{
	s->values[s->npending] = value;
	s->pending[s->npending++] = (struct pending){pointee, (uint8_t)strength, exactly};
	if (s->npending == BATCH)
		flush(s);
}

/* ---- following */

static bool field_at(const struct insp_ctype_field *f, uint64_t offset)
{
	uint64_t from = offset - f->offset;

	return from == 0 || (f->stride && from % f->stride == 0 &&
			     (f->count == INSP_CTYPE_TO_END || from / f->stride < f->count));
}

/* The pointers of objects of a type that fill [start, end); more than one: repeated. */
static void follow_object(struct insp_spread *s, uint64_t start, uint64_t end,
			  const struct insp_ctype *type, bool repeated, enum strength strength)
{
	struct insp_pointers_iter it;
	uint64_t addr, value;

	insp_pointers_from_page(&it, s->snapshot->pointers, page_from(s, start), start, end);
	while (insp_pointers_next(&it, &addr, &value)) {
		uint64_t offset = addr - start;

		if (repeated)
			offset %= type->size_bytes;
		for (size_t i = 0; i < type->nfields && type->fields[i].offset <= offset; i++)
			if (field_at(&type->fields[i], offset))
				follow(s, value, type->fields[i].pointee,
				       type->fields[i].weak ? WEAK : strength,
				       /* That there is a second one is a guess. */
				       type->kind != INSP_CTYPE_POINTER && offset != addr - start);
	}
}

static void follow_chunk(struct insp_spread *s, const struct step *step)
{
	uint32_t m = s->marks[step->id];
	const struct insp_ctype *type = s->source->get(s->source->ctx, TYPE_OF(m));
	bool array = FIT_OF(m) == INSP_FIT_ARRAY;
	uint64_t bytes = type->size_bytes;
	struct insp_chunk c;

	s->marks[step->id] |= FOLLOWED;
	s->followed++;
	if (!type->nfields)
		return;
	if (array || type->open_ended) {
		insp_chunks_get_mem(s->snapshot->chunks, step->id, step->mem, &c);
		bytes = array ? c.usable / bytes * bytes : c.usable;
	}
	follow_object(s, step->mem, step->mem + bytes, type, array, STRENGTH_OF(m));
}

static int compare_steps(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* In address order: by a bit for each chunk when they are many. Returns how many are left. */
static size_t sort_layer(const struct insp_spread *s, struct step *steps, size_t n)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	size_t at = 0;
	uint64_t *bits;

	if (n < 2)
		return n;
	bits = n > s->n / 64 ? calloc(s->n / 64 + 1, sizeof(*bits)) : NULL;
	if (!bits) {
		qsort(steps, n, sizeof(*steps), compare_steps);
		return n;
	}
	for (size_t i = 0; i < n; i++)
		bits[steps[i].id / 64] |= UINT64_C(1) << steps[i].id % 64;
	insp_chunks_each (s->snapshot->chunks, it, c)
		if (bits[c.id / 64] >> c.id % 64 & 1)
			steps[at++] = (struct step){c.mem, c.id};
	free(bits);
	return at;
}

static bool interrupted(const struct insp_spread *s)
{
	insp_progress("spreading types along pointers", s->followed, s->n);
	return insp_interrupted();
}

/* False: interrupted. */
static bool follow_layer(struct insp_spread *s, struct step *steps, size_t n, enum strength level)
{
	n = sort_layer(s, steps, n);
	for (size_t i = 0; i < n; i++) {
		uint32_t m = s->marks[steps[i].id];

		/* It may have got a stronger type since, and be in that list as well. */
		if (m & FOLLOWED || STRENGTH_OF(m) != level)
			continue;
		if ((s->followed & INTERRUPT_EVERY) == 0 && interrupted(s))
			return false;
		follow_chunk(s, &steps[i]);
	}
	flush(s);
	return true;
}

int insp_spread_run(struct insp_spread *s, struct insp_error *err)
{
	bool done = true;

	flush(s);
	while (!s->failed && done) {
		enum strength level = s->next[STRONG].n ? STRONG : WEAK;
		struct step *steps = s->next[level].items, one;
		size_t n = s->next[level].n;

		if (!n)
			return 0;
		if (n == 1) { /* along a list: the memory is used again */
			one = steps[0];
			s->next[level].n = 0;
			done = follow_layer(s, &one, 1, level);
			continue;
		}
		memset(&s->next[level], 0, sizeof(s->next[level]));
		done = follow_layer(s, steps, n, level);
		free(steps);
	}
	return s->failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks")
			 : insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
}

/* ---- where it begins */

void insp_spread_pointer(struct insp_spread *s, uint64_t value, uint32_t pointee)
{
	follow(s, value, pointee, STRONG, false);
}

void insp_spread_object(struct insp_spread *s, uint64_t addr, uint32_t type)
{
	const struct insp_ctype *t = s->source->get(s->source->ctx, type);

	if (t->nfields && addr + t->size_bytes > addr)
		follow_object(s, addr, addr + t->size_bytes, t, false, STRONG);
}

void insp_spread_chunk(struct insp_spread *s, const struct insp_chunk *chunk, uint32_t type)
{
	const struct insp_ctype *t = s->source->get(s->source->ctx, type);
	enum insp_fit fit;

	if (chunk->id < s->n && !s->marks[chunk->id] && fits_as(t, chunk, 0, &fit) &&
	    fit <= INSP_FIT_LARGER)
		mark(s, chunk, type, fit, STRONG, SURE);
}

/* ---- results */

bool insp_spread_of(const struct insp_spread *s, uint32_t chunk, uint32_t *ret_type,
		    enum insp_fit *ret_fit)
{
	if (chunk >= s->n || !s->marks[chunk])
		return false;
	*ret_type = TYPE_OF(s->marks[chunk]);
	*ret_fit = FIT_OF(s->marks[chunk]);
	return true;
}

uint32_t insp_spread_other(const struct insp_spread *s, uint32_t chunk)
{
	return insp_map_get(&s->others, chunk);
}
