/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * typing: one look-up of a symbol for each different first word, remembered in a hash table; a heap
 * of ten million objects has a few hundred classes.
 */
#include "command/typing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "symbol/symbols.h"
#include "target/space.h"

#define LOOK_BYTES	64 /* of a chunk, to tell text */
#define TEXT_LEAST	4  /* characters */
#define INTERRUPT_EVERY 0xffff
#define NOT_LOOKED	UINT32_MAX

struct type {
	enum insp_type_source source;
	uint64_t key; /* vtable's address, size */
	const char *name;
};

struct insp_typing {
	struct insp_pool *pool;
	struct insp_symbols *symbols;
	struct insp_space *space;
	const struct insp_snapshot *snapshot;
	INSP_VEC(struct type) items;
	uint32_t *slots; /* index + 1 of items by source and key; vtables that are none: NOT_LOOKED */
	uint64_t *slot_keys;
	size_t nslots, nused;
	uint32_t *type_of; /* [ntype_of] type + 1 of all chunks; NULL without all */
	size_t ntype_of;   /* kept here: the snapshot may be gone before the command's pool */
	bool failed;
};

static void types_destroy(void *arg)
{
	struct insp_typing *t = arg;

	insp_big_free(t->type_of, t->ntype_of, sizeof(*t->type_of));
	insp_vec_free(&t->items);
	free(t->slots);
	free(t->slot_keys);
}

/* Keys of both sources in one table: sizes have the top bit. */
static uint64_t slot_key(enum insp_type_source source, uint64_t key)
{
	return source == INSP_TYPE_SIZE ? key | UINT64_C(1) << 63 : key;
}

static size_t slot_of(const struct insp_typing *t, uint64_t key)
{
	uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(h ^ h >> 31) & (t->nslots - 1);

	while (t->slots[at] && t->slot_keys[at] != key)
		at = (at + 1) & (t->nslots - 1);
	return at;
}

static bool slots_grow(struct insp_typing *t)
{
	struct insp_typing old = *t;
	size_t n = t->nslots ? t->nslots * 2 : 1024;

	t->slots = calloc(n, sizeof(*t->slots));
	t->slot_keys = calloc(n, sizeof(*t->slot_keys));
	if (!t->slots || !t->slot_keys) {
		free(t->slots);
		free(t->slot_keys);
		*t = old;
		return false;
	}
	t->nslots = n;
	for (size_t i = 0; i < old.nslots; i++)
		if (old.slots[i]) {
			size_t at = slot_of(t, old.slot_keys[i]);

			t->slots[at] = old.slots[i];
			t->slot_keys[at] = old.slot_keys[i];
		}
	free(old.slots);
	free(old.slot_keys);
	return true;
}

static uint32_t *slot_get(struct insp_typing *t, uint64_t key)
{
	size_t at;

	if (t->nused * 2 >= t->nslots && !slots_grow(t)) {
		t->failed = true;
		return NULL;
	}
	at = slot_of(t, key);
	if (!t->slots[at])
		t->nused++;
	t->slot_keys[at] = key;
	return &t->slots[at];
}

static uint32_t type_add(struct insp_typing *t, enum insp_type_source source, uint64_t key,
			 const char *name)
{
	struct type *type = insp_vec_push(&t->items);

	if (!type || !name) {
		t->failed = true;
		return 0;
	}
	*type = (struct type){source, key, name};
	return (uint32_t)t->items.n - 1;
}

static uint32_t type_of_size(struct insp_typing *t, uint64_t size)
{
	uint32_t *slot = slot_get(t, slot_key(INSP_TYPE_SIZE, size));

	if (!slot)
		return 0;
	if (!*slot)
		*slot = type_add(t, INSP_TYPE_SIZE, size,
				 insp_pool_printf(t->pool, "%" PRIu64 " bytes", size)) + 1;
	return *slot - 1;
}

/* The class whose vtable word points into; NULL if none. */
static const char *vtable_class(struct insp_typing *t, uint64_t word)
{
	static const char prefix[] = "vtable for ";
	struct insp_symbol symbol;

	if (insp_symbols_at(t->symbols, word, &symbol) ||
	    strncmp(symbol.name, prefix, sizeof(prefix) - 1) != 0 || word < symbol.start + 16)
		return NULL;
	return insp_pool_strdup(t->pool, symbol.name + sizeof(prefix) - 1);
}

/* The type of a first word, or -1. */
static int64_t type_of_vtable(struct insp_typing *t, uint64_t word)
{
	uint32_t *slot;

	if (!t->symbols || !word || word % 8 || word >> 47 ||
	    !insp_modules_find(&t->snapshot->modules, word))
		return -1;
	slot = slot_get(t, slot_key(INSP_TYPE_VTABLE, word));
	if (!slot)
		return -1;
	if (!*slot) {
		const char *class = vtable_class(t, word);

		*slot = class ? type_add(t, INSP_TYPE_VTABLE, word, class) + 1 : NOT_LOOKED;
	}
	return *slot == NOT_LOOKED ? -1 : (int64_t)*slot - 1;
}

/* Bytes of one character at s, 0 if it is no text. */
static size_t text_char(const uint8_t *s, size_t left)
{
	size_t n;

	if ((*s >= 0x20 && *s < 0x7f) || *s == '\t' || *s == '\n' || *s == '\r')
		return 1;
	n = *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < n; i++)
		if (i < left && (s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Length of the text that the bytes begin with, as far as it can be seen; 0 if it is none. */
static size_t text_length(const uint8_t *s, size_t n)
{
	size_t at = 0, chars = 0;

	while (at < n && s[at]) {
		size_t c = text_char(s + at, n - at);

		if (!c)
			return 0;
		at += c;
		chars++;
	}
	return chars >= TEXT_LEAST ? (at < n ? at : n) : 0;
}

static uint32_t classify(struct insp_typing *t, const struct insp_chunk *c, const uint8_t *bytes,
			 size_t n)
{
	uint64_t word;
	int64_t type = -1;

	if (bytes && n >= 8) {
		memcpy(&word, bytes, 8);
		type = type_of_vtable(t, word);
	}
	if (type >= 0)
		return (uint32_t)type;
	if (bytes && text_length(bytes, n < LOOK_BYTES ? n : LOOK_BYTES))
		return 0; /* the first type is text */
	return type_of_size(t, c->size);
}

static size_t look_bytes(const struct insp_chunk *c)
{
	return c->usable < LOOK_BYTES ? (size_t)c->usable : LOOK_BYTES;
}

static int look_at_all(struct insp_typing *t, struct insp_error *err)
{
	const struct insp_chunks *chunks = t->snapshot->chunks;
	uint64_t seen = 0;

	t->ntype_of = chunks->n + 1;
	t->type_of = insp_big_alloc(t->ntype_of, sizeof(*t->type_of));
	if (!t->type_of)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	for (size_t i = 0; i < chunks->nspans; i++) {
		const struct insp_span *s = &chunks->spans[i];
		struct insp_stream stream;
		struct insp_chunk_iter it;
		struct insp_chunk c;

		if (t->space)
			insp_stream_begin(&stream, t->space, s->start, s->end, NULL, NULL);
		insp_chunk_iter_from(&it, chunks, s->start);
		while (insp_chunk_iter_next(&it, &c) && c.addr < s->end) {
			const uint8_t *bytes = NULL;
			size_t avail = 0, need = look_bytes(&c);

			if ((++seen & INTERRUPT_EVERY) == 0) {
				insp_progress("looking at the contents of chunks", seen, chunks->n);
				if (insp_interrupted())
					return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
			}
			if (!insp_chunk_state_live(c.state))
				continue;
			if (c.mem + need > s->end)
				need = c.mem < s->end ? (size_t)(s->end - c.mem) : 0;
			if (t->space && need)
				bytes = insp_stream_at(&stream, c.mem, need, &avail);
			t->type_of[c.id] = classify(t, &c, bytes, bytes ? need : 0) + 1;
		}
		if (t->space)
			insp_stream_end(&stream);
	}
	return t->failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks") : 0;
}

int insp_typing_create(const struct insp_context *ctx, bool all, struct insp_typing **ret,
		      struct insp_error *err)
{
	struct insp_typing *t = insp_pool_alloc(ctx->pool, sizeof(*t));
	int rc;

	if (!t)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	*t = (struct insp_typing){.pool = ctx->pool, .symbols = ctx->symbols, .space = ctx->space,
				 .snapshot = ctx->snapshot};
	(void)type_add(t, INSP_TYPE_TEXT, 0, "text");
	if (insp_pool_defer(ctx->pool, types_destroy, t)) {
		types_destroy(t);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	}
	if (t->failed)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	rc = all ? look_at_all(t, err) : 0;
	if (!rc)
		*ret = t;
	return rc;
}

bool insp_typing_have_bytes(const struct insp_typing *types)
{
	return types->space != NULL;
}

uint32_t insp_typing_of(struct insp_typing *types, const struct insp_chunk *chunk)
{
	uint8_t bytes[LOOK_BYTES];
	size_t n = look_bytes(chunk);

	if (types->type_of && types->type_of[chunk->id])
		return types->type_of[chunk->id] - 1;
	if (!types->space || insp_space_read(types->space, chunk->mem, bytes, n))
		return classify(types, chunk, NULL, 0);
	return classify(types, chunk, bytes, n);
}

uint32_t insp_typing_count(const struct insp_typing *types)
{
	return (uint32_t)types->items.n;
}

const char *insp_typing_name(const struct insp_typing *types, uint32_t type)
{
	return type < types->items.n ? types->items.items[type].name : "?";
}

enum insp_type_source insp_typing_source(const struct insp_typing *types, uint32_t type)
{
	return type < types->items.n ? types->items.items[type].source : INSP_TYPE_SIZE;
}

const char *insp_type_source_key(enum insp_type_source source)
{
	static const char *const keys[INSP_N_TYPE_SOURCES] = {
		[INSP_TYPE_VTABLE] = "vtable", [INSP_TYPE_TEXT] = "text", [INSP_TYPE_SIZE] = "size"};

	return source < INSP_N_TYPE_SOURCES ? keys[source] : "?";
}

const char *insp_typing_preview(struct insp_typing *types, const struct insp_chunk *chunk)
{
	uint8_t bytes[LOOK_BYTES];
	size_t n = look_bytes(chunk), text;
	struct insp_str s = {0};
	const char *copy;

	if (!types->space || insp_space_read(types->space, chunk->mem, bytes, n))
		return NULL;
	text = text_length(bytes, n);
	if (text) {
		insp_str_addc(&s, '"');
		for (size_t i = 0; i < text && i < 40; i++)
			insp_str_addc(&s, bytes[i] < 0x20 ? ' ' : (char)bytes[i]);
		insp_str_add(&s, text > 40 || text == n ? "...\"" : "\"");
	} else {
		for (size_t i = 0; i < n && i < 16; i++)
			insp_str_addf(&s, "%02x%s", bytes[i], i % 4 == 3 && i + 1 < 16 ? " " : "");
	}
	copy = insp_pool_strdup(types->pool, insp_str_text(&s));
	insp_str_deinit(&s);
	return copy;
}
