/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * typing: one look-up of a symbol for each different first word, remembered in a hash table; a heap
 * of ten million objects has a few hundred classes. Debug info is asked next: an object that says
 * what it is also says where its pointers lead.
 */
#include "command/typing.h"

#include <inttypes.h>
#include <string.h>

#include "base/big.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "command/text.h"
#include "symbol/ctypes.h"
#include "target/space.h"

#define LOOK_BYTES	64 /* of a chunk, to tell text */
#define INTERRUPT_EVERY 0xffff
#define NO_VTABLE	(INSP_MAP_NONE - 1)

struct type {
	enum insp_type_source source;
	const char *name;
	uint32_t ctype; /* in debug info; INSP_CTYPE_NONE */
};

struct insp_typing {
	struct insp_pool *pool;
	struct insp_symbols *symbols;
	struct insp_space *space;
	const struct insp_snapshot *snapshot;
	INSP_VEC(struct type) items;
	struct insp_map numbers; /* key of a type -> its number, see key_of */
	uint32_t *type_of; /* [ntype_of] type + 1 of all chunks; NULL without all */
	size_t ntype_of;   /* kept here: the snapshot may be gone before the command's pool */
	struct insp_ctypes *ctypes; /* NULL: no debug info, or not asked for yet */
	struct insp_spread *spread; /* NULL as well */
	struct insp_spread_source source;
	bool asked, failed;
};

static void types_destroy(void *arg)
{
	struct insp_typing *t = arg;

	insp_big_free(t->type_of, t->ntype_of, sizeof(*t->type_of));
	insp_spread_destroy(t->spread);
	insp_vec_free(&t->items);
	insp_map_deinit(&t->numbers);
}

/* One table for all: addresses of vtables have the top bits clear. */
static uint64_t key_of(enum insp_type_source source, uint64_t key)
{
	return key | (uint64_t)source << 62;
}

static uint32_t type_add(struct insp_typing *t, enum insp_type_source source, uint64_t key,
			 const char *name)
{
	struct type *type = insp_vec_push(&t->items);

	if (!type || !name ||
	    insp_map_set(&t->numbers, key_of(source, key), (uint32_t)t->items.n - 1)) {
		t->failed = true;
		return 0;
	}
	*type = (struct type){source, name, INSP_CTYPE_NONE};
	return (uint32_t)t->items.n - 1;
}

static uint32_t type_of_size(struct insp_typing *t, uint64_t size)
{
	uint32_t known = insp_map_get(&t->numbers, key_of(INSP_TYPE_SIZE, size));

	return known != INSP_MAP_NONE
		       ? known
		       : type_add(t, INSP_TYPE_SIZE, size,
				  insp_pool_printf(t->pool, "%" PRIu64 " bytes", size));
}

/* Of several: "struct entry[]". */
static uint32_t type_of_debug_info(struct insp_typing *t, uint32_t ctype, enum insp_fit fit)
{
	unsigned form = fit == INSP_FIT_ARRAY ? 1 : fit == INSP_FIT_INTERIOR ? 2 : 0;
	uint64_t key = (uint64_t)ctype << 2 | form;
	uint32_t known = insp_map_get(&t->numbers, key_of(INSP_TYPE_DEBUG, key));
	const char *name;

	if (known != INSP_MAP_NONE)
		return known;
	name = insp_ctypes_get(t->ctypes, ctype)->name;
	known = type_add(t, INSP_TYPE_DEBUG, key,
			 insp_pool_printf(t->pool, "%s%s%s", form == 2 ? "with " : "", name,
					  form == 1 ? "[]" : ""));
	if (!t->failed)
		t->items.items[known].ctype = ctype;
	return known;
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
	uint64_t key = key_of(INSP_TYPE_VTABLE, word);
	const char *class;
	uint32_t known;

	if (!t->symbols || !word || word % 8 || word >> 47 ||
	    !insp_modules_find(&t->snapshot->modules, word))
		return -1;
	known = insp_map_get(&t->numbers, key);
	if (known == INSP_MAP_NONE) {
		class = vtable_class(t, word);
		known = class ? type_add(t, INSP_TYPE_VTABLE, word, class) : NO_VTABLE;
		if (!class && insp_map_set(&t->numbers, key, NO_VTABLE))
			t->failed = true;
	}
	return known == NO_VTABLE ? -1 : (int64_t)known;
}

/* What its bytes told when they were there: a type, or -1. */
static int64_t type_as_saved(struct insp_typing *t, uint32_t id)
{
	const struct insp_type_sums *saved = &t->snapshot->types;
	uint32_t item = !t->space && saved->type_of && id < saved->ntype_of ? saved->type_of[id] : 0, known;

	if (!item || item > saved->n)
		return -1;
	if (saved->items[item - 1].text)
		return 0;
	known = insp_map_get(&t->numbers, key_of(INSP_TYPE_VTABLE, item));
	return known != INSP_MAP_NONE ? known
				      : type_add(t, INSP_TYPE_VTABLE, item,
						 insp_pool_strdup(t->pool, saved->items[item - 1].name));
}

/*
 * Text that ends within its first word may be a pointer all of whose bytes are letters by chance. So may real
 * text be an address, but hardly one where something is mapped.
 */
static bool is_text(const struct insp_typing *t, const uint8_t *bytes, size_t n, uint64_t word)
{
	size_t length = insp_text_length(bytes, n < LOOK_BYTES ? n : LOOK_BYTES);

	return length && (length >= sizeof(word) || n < sizeof(word) || !insp_regions_find(&t->snapshot->regions, word));
}

static uint32_t classify(struct insp_typing *t, const struct insp_chunk *c, const uint8_t *bytes,
			 size_t n)
{
	uint64_t word = 0;
	int64_t type = type_as_saved(t, c->id);

	if (bytes && n >= 8) {
		memcpy(&word, bytes, 8);
		type = type_of_vtable(t, word);
	}
	if (type >= 0)
		return (uint32_t)type;
	if (bytes && is_text(t, bytes, n, word))
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

/* ---- debug info */

static const struct insp_ctype *get_ctype(void *ctx, uint32_t type)
{
	return insp_ctypes_get(((struct insp_typing *)ctx)->ctypes, type);
}

/* What debug info says about the class of that vtable. */
static uint32_t ctype_of_class(struct insp_typing *t, int64_t type)
{
	struct type *item = type >= 0 ? &t->items.items[type] : NULL;

	if (!item || item->source != INSP_TYPE_VTABLE)
		return INSP_CTYPE_NONE;
	if (item->ctype == INSP_CTYPE_NONE)
		item->ctype = insp_ctypes_by_name(t->ctypes, item->name);
	return item->ctype;
}

static uint32_t class_of(void *ctx, const struct insp_chunk *c)
{
	struct insp_typing *t = ctx;
	uint64_t word;

	if (t->type_of)
		return ctype_of_class(t, (int64_t)t->type_of[c->id] - 1);
	if (!t->space)
		return ctype_of_class(t, type_as_saved(t, c->id));
	if (insp_space_read(t->space, c->mem, &word, sizeof(word)))
		return INSP_CTYPE_NONE;
	return ctype_of_class(t, type_of_vtable(t, word));
}

static bool on_local(void *ctx, const struct insp_local *local)
{
	struct insp_typing *t = ctx;
	uint32_t type = insp_ctypes_of_local(t->ctypes, local);
	const struct insp_ctype *c = insp_ctypes_get(t->ctypes, type);

	if (local->addr)
		insp_spread_object(t->spread, local->addr, type);
	else if (c->kind == INSP_CTYPE_POINTER && c->nfields)
		insp_spread_pointer(t->spread, local->value, c->fields[0].pointee);
	return !insp_interrupted();
}

/* Objects that say what they are come first: nobody's pointer knows better. */
static void begin_at_classes(struct insp_typing *t)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	bool any = false;

	for (size_t i = 0; i < t->items.n; i++)
		any |= ctype_of_class(t, (int64_t)i) != INSP_CTYPE_NONE;
	if (!any || !t->type_of)
		return;
	insp_chunks_each (t->snapshot->chunks, it, c) {
		uint32_t type = t->type_of[c.id] ? t->items.items[t->type_of[c.id] - 1].ctype
						 : INSP_CTYPE_NONE;

		if (type != INSP_CTYPE_NONE)
			insp_spread_chunk(t->spread, &c, type);
	}
}

static void begin_at_variables(struct insp_typing *t)
{
	const struct insp_threads *threads = &t->snapshot->threads;
	size_t n;
	const struct insp_variable *v = insp_ctypes_variables(t->ctypes, &n);

	for (size_t i = 0; i < n; i++) {
		if (!v[i].thread_local_)
			insp_spread_object(t->spread, v[i].addr, v[i].type);
		for (size_t k = 0; v[i].thread_local_ && k < threads->n; k++)
			if (threads->items[k].fs_base)
				insp_spread_object(t->spread, threads->items[k].fs_base + v[i].addr,
						   v[i].type);
	}
	for (size_t k = 0; k < threads->n && !insp_interrupted(); k++)
		insp_symbols_locals(t->symbols, &threads->items[k], on_local, t);
}

static int spread(struct insp_typing *t, struct insp_error *err)
{
	int rc;

	if (t->asked)
		return 0;
	t->asked = true;
	if (!t->symbols || !t->snapshot->pointers || !t->snapshot->chunks->n)
		return 0;
	rc = insp_symbols_ctypes(t->symbols, &t->ctypes, err);
	if (rc || !t->ctypes)
		return rc;
	t->source = (struct insp_spread_source){get_ctype, class_of, t};
	rc = insp_spread_create(t->snapshot, &t->source, &t->spread, err);
	if (rc)
		return rc;
	begin_at_classes(t);
	begin_at_variables(t);
	rc = insp_spread_run(t->spread, err);
	if (rc) {
		insp_spread_destroy(t->spread);
		t->spread = NULL;
	}
	return rc;
}

/* What is known by the bytes or the size, or better, by debug info. */
static uint32_t choose(struct insp_typing *t, uint32_t type, uint32_t id)
{
	enum insp_type_source source = t->items.items[type].source;
	enum insp_ctype_kind kind;
	enum insp_fit fit;
	uint32_t ctype;

	if (source == INSP_TYPE_VTABLE || !t->spread ||
	    !insp_spread_of(t->spread, id, &ctype, &fit))
		return type;
	kind = insp_ctypes_get(t->ctypes, ctype)->kind;
	if (source == INSP_TYPE_TEXT && (kind == INSP_CTYPE_BYTES || fit > INSP_FIT_ARRAY ||
					 (kind == INSP_CTYPE_COMPOUND && fit == INSP_FIT_ARRAY)))
		return type; /* what is only likely */
	return type_of_debug_info(t, ctype, fit);
}

static int choose_all(struct insp_typing *t, struct insp_error *err)
{
	int rc = spread(t, err);

	for (size_t id = 0; !rc && t->spread && id < t->snapshot->chunks->n; id++) {
		if ((id & 0xffff) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (t->type_of[id])
			t->type_of[id] = choose(t, t->type_of[id] - 1, (uint32_t)id) + 1;
	}
	if (!rc && t->failed)
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	return rc;
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
	if (!rc && all)
		rc = choose_all(t, err);
	if (!rc)
		*ret = t;
	return rc;
}

bool insp_typing_have_bytes(const struct insp_typing *types)
{
	return types->space || types->snapshot->types.type_of;
}

bool insp_typing_have_debug_info(const struct insp_typing *types)
{
	return types->ctypes != NULL;
}

uint32_t insp_typing_of(struct insp_typing *types, const struct insp_chunk *chunk)
{
	uint8_t bytes[LOOK_BYTES];
	size_t n = look_bytes(chunk);
	bool have;

	if (types->type_of && types->type_of[chunk->id])
		return types->type_of[chunk->id] - 1;
	(void)spread(types, NULL); /* without it, the rest still holds */
	have = types->space && !insp_space_read(types->space, chunk->mem, bytes, n);
	return choose(types, classify(types, chunk, have ? bytes : NULL, have ? n : 0), chunk->id);
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
	static const char *const keys[INSP_N_TYPE_SOURCES] = {[INSP_TYPE_VTABLE] = "vtable",
							      [INSP_TYPE_DEBUG] = "debug_info",
							      [INSP_TYPE_TEXT] = "text",
							      [INSP_TYPE_SIZE] = "size"};

	return source < INSP_N_TYPE_SOURCES ? keys[source] : "?";
}

bool insp_typing_debug(struct insp_typing *types, const struct insp_chunk *chunk,
		       enum insp_fit *ret_fit, const char **ret_other)
{
	uint32_t type = insp_typing_of(types, chunk), ctype, other;

	if (types->items.items[type].source != INSP_TYPE_DEBUG ||
	    !insp_spread_of(types->spread, chunk->id, &ctype, ret_fit))
		return false;
	other = insp_spread_other(types->spread, chunk->id);
	*ret_other = other == INSP_CTYPE_NONE ? NULL : insp_ctypes_get(types->ctypes, other)->name;
	return true;
}

const char *insp_typing_member(struct insp_typing *types, const struct insp_chunk *chunk,
			       uint64_t offset)
{
	const struct type *type = &types->items.items[insp_typing_of(types, chunk)];
	const char *member;
	enum insp_fit fit;
	uint32_t ctype;
	uint64_t size;

	if (!types->spread ||
	    (type->source != INSP_TYPE_DEBUG && type->source != INSP_TYPE_VTABLE) ||
	    !insp_spread_of(types->spread, chunk->id, &ctype, &fit) || fit >= INSP_FIT_OPAQUE)
		return NULL;
	size = insp_ctypes_get(types->ctypes, ctype)->size_bytes;
	if (fit != INSP_FIT_ARRAY)
		return insp_ctypes_member(types->ctypes, types->pool, ctype, offset);
	member = insp_ctypes_member(types->ctypes, types->pool, ctype, offset % size);
	return insp_pool_printf(types->pool, "[%" PRIu64 "]%s", offset / size, member);
}

const char *insp_typing_preview(struct insp_typing *types, const struct insp_chunk *chunk)
{
	uint8_t bytes[LOOK_BYTES];
	size_t n = look_bytes(chunk), text;
	struct insp_str s = {0};
	const char *copy;

	if (!types->space || insp_space_read(types->space, chunk->mem, bytes, n))
		return NULL;
	text = insp_text_length(bytes, n);
	if (text)
		insp_text_quote(&s, bytes, text, 40, text < n);
	else
		for (size_t i = 0; i < n && i < 16; i++)
			insp_str_addf(&s, "%02x%s", bytes[i], i % 4 == 3 && i + 1 < 16 ? " " : "");
	copy = insp_pool_strdup(types->pool, insp_str_text(&s));
	insp_str_deinit(&s);
	return copy;
}
