/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spread: four bytes a chunk, and lists of chunks whose pointers are to be followed next:
 *
 *     bits 31..30 strength | 29 followed | 28 sure | 27..25 fit | 24..0 type + 1
 *
 * A layer of many chunks is put in address order first, so that chunks and pointers are read
 * forward. A long list has as many layers as nodes: nothing here costs much per layer.
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

struct insp_spread {
	const struct insp_snapshot *snapshot;
	const struct insp_spread_source *source;
	uint32_t *marks; /* [n] */
	size_t n;
	INSP_VEC(uint32_t) next[N_STRENGTHS]; /* of WEAK and STRONG */
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
	if (!s || !s->marks) {
		free(s);
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

static void mark(struct insp_spread *s, uint32_t id, uint32_t type, enum insp_fit fit,
		 enum strength strength, uint32_t flags)
{
	s->marks[id] = (uint32_t)strength << 30 | flags | (uint32_t)fit << 25 | (type + 1);
	if (strength == WEAK || strength == STRONG) {
		uint32_t *slot = insp_vec_push(&s->next[strength]);

		if (slot)
			*slot = id;
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

static void assign(struct insp_spread *s, uint32_t id, uint64_t value, const struct pending *by)
{
	uint32_t type = by->pointee;
	const struct insp_ctype *t = s->source->get(s->source->ctx, type), *own;
	uint32_t old = s->marks[id], class;
	enum strength strength;
	struct insp_chunk c;
	enum insp_fit fit;
	uint64_t offset;

	/* Most pointers lead to what is known already. */
	if (t->kind == INSP_CTYPE_VOID || (old && TYPE_OF(old) == type && old & (FOLLOWED | SURE)))
		return;
	insp_chunks_get(s->snapshot->chunks, id, &c);
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
		mark(s, id, type, fit, strength, 0);
	} else if (TYPE_OF(old) != type) {
		bool wins = better(old, fit, strength);

		if (strength != FAINT && STRENGTH_OF(old) != FAINT)
			remember_other(s, id, wins ? TYPE_OF(old) : type);
		if (wins)
			mark(s, id, type, fit, strength, 0);
	} else if (better(old, fit, strength)) {
		mark(s, id, type, fit, strength, 0);
	}
}

static void flush(struct insp_spread *s)
{
	uint32_t hits[BATCH];

	insp_chunks_hits(s->snapshot->chunks, &s->finder, s->values, s->npending, hits);
	for (size_t i = 0; i < s->npending; i++)
		if (hits[i] != INSP_HIT_NONE)
			assign(s, INSP_HIT_ID(hits[i]), s->values[i], &s->pending[i]);
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

	insp_pointers_from(&it, s->snapshot->pointers, start, end);
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

static void follow_chunk(struct insp_spread *s, uint32_t id)
{
	uint32_t m = s->marks[id];
	const struct insp_ctype *type = s->source->get(s->source->ctx, TYPE_OF(m));
	bool array = FIT_OF(m) == INSP_FIT_ARRAY;
	struct insp_chunk c;
	uint64_t bytes;

	s->marks[id] |= FOLLOWED;
	s->followed++;
	if (!type->nfields)
		return;
	insp_chunks_get(s->snapshot->chunks, id, &c);
	bytes = array	       ? c.usable / type->size_bytes * type->size_bytes
		: type->open_ended ? c.usable
				   : type->size_bytes;
	follow_object(s, c.mem, c.mem + bytes, type, array, STRENGTH_OF(m));
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* In address order: by a bit for each chunk when they are many. */
static void sort_layer(const struct insp_spread *s, uint32_t *ids, size_t n)
{
	size_t words = s->n / 64 + 1, at = 0;
	uint64_t *bits;

	if (n < 2)
		return;
	bits = n > s->n / 256 ? calloc(words, sizeof(*bits)) : NULL;
	if (!bits) {
		qsort(ids, n, sizeof(*ids), compare_ids);
		return;
	}
	for (size_t i = 0; i < n; i++)
		bits[ids[i] / 64] |= UINT64_C(1) << ids[i] % 64;
	for (size_t w = 0; w < words; w++)
		for (uint64_t left = bits[w]; left; left &= left - 1)
			ids[at++] = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(left));
	while (at < n) /* one that was there twice: seen again, and passed over */
		ids[at++] = ids[0];
	free(bits);
}

static bool interrupted(const struct insp_spread *s)
{
	insp_progress("spreading types along pointers", s->followed, s->n);
	return insp_interrupted();
}

int insp_spread_run(struct insp_spread *s, struct insp_error *err)
{
	flush(s);
	while (!s->failed) {
		enum strength level = s->next[STRONG].n ? STRONG : WEAK;
		uint32_t *ids = s->next[level].items;
		size_t n = s->next[level].n;

		if (!n)
			return 0;
		memset(&s->next[level], 0, sizeof(s->next[level]));
		sort_layer(s, ids, n);
		for (size_t i = 0; i < n; i++) {
			uint32_t m = s->marks[ids[i]];

			/* It may have got a stronger type since, and be in that list as well. */
			if (m & FOLLOWED || STRENGTH_OF(m) != level)
				continue;
			if ((s->followed & INTERRUPT_EVERY) == 0 && interrupted(s)) {
				free(ids);
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
			}
			follow_chunk(s, ids[i]);
		}
		free(ids);
		flush(s);
	}
	return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
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
		mark(s, chunk->id, type, fit, STRONG, SURE);
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
