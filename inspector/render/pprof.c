/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pprof: the profile.proto of github.com/google/pprof, gzipped, as `go tool pprof`, Parca and Pyroscope
 * read it.
 *
 * Protocol buffers need two things here, numbers of variable length and nested messages with their
 * length in front: less code than calling a library would be, and no generated sources. Numbers of
 * mappings, locations and functions go from 1 in the order of the file: some readers insist.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/str.h"
#include "render/profile_sink.h"

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE = 2, PROFILE_MAPPING = 3, PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5, PROFILE_STRING_TABLE = 6, PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10, PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD = 12, PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
	VALUE_TYPE = 1, VALUE_UNIT = 2,
	SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3,
	LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3, LABEL_NUM_UNIT = 4,
	MAPPING_ID = 1, MAPPING_START = 2, MAPPING_LIMIT = 3, MAPPING_OFFSET = 4, MAPPING_FILENAME = 5,
	MAPPING_BUILD_ID = 6, MAPPING_HAS_FUNCTIONS = 7, MAPPING_HAS_FILENAMES = 8,
	MAPPING_HAS_LINE_NUMBERS = 9, MAPPING_HAS_INLINE_FRAMES = 10,
	LOCATION_ID = 1, LOCATION_MAPPING_ID = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4,
	LINE_FUNCTION_ID = 1, LINE_LINE = 2,
	FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3, FUNCTION_FILENAME = 4,
};

/* ---- wire format */

static void put_varint(struct insp_str *s, uint64_t v)
{
	char buf[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		buf[n++] = (char)(v | 0x80);
	buf[n++] = (char)v;
	insp_str_addn(s, buf, n);
}

/* A number; 0 is the default and not written. */
static void put_number(struct insp_str *s, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_varint(s, field << 3);
	put_varint(s, v);
}

static void put_bytes(struct insp_str *s, unsigned field, const char *bytes, size_t n)
{
	put_varint(s, field << 3 | 2);
	put_varint(s, n);
	insp_str_addn(s, bytes, n);
}

static void put_message(struct insp_str *s, unsigned field, const struct insp_str *message)
{
	put_bytes(s, field, message->s, message->len);
}

/* ---- the string table, and the functions by (name, file) */

struct interned {
	const char *text, *file; /* file: of functions; else NULL */
};

struct table {
	struct interned *items;
	size_t n, cap;
	uint32_t *slots; /* index + 1 */
	size_t mask;
};

static uint64_t hash_of(const char *text, const char *file)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	for (; file && *file; file++)
		h = (h ^ (unsigned char)*file) * UINT64_C(0x100000001b3);
	return h ^ h >> 31;
}

static bool same(const struct interned *a, const char *text, const char *file)
{
	return strcmp(a->text, text) == 0 && (a->file ? a->file : "")[0] == (file ? file : "")[0] &&
	       strcmp(a->file ? a->file : "", file ? file : "") == 0;
}

static int table_grow(struct table *t)
{
	size_t mask = t->slots ? t->mask * 2 + 1 : 1023;
	uint32_t *slots = calloc(mask + 1, sizeof(*slots));
	struct interned *items = realloc(t->items, (mask + 1) / 2 * sizeof(*items));

	if (items)
		t->items = items;
	if (!slots || !items) {
		free(slots);
		return -1;
	}
	t->cap = (mask + 1) / 2;
	for (size_t i = 0; i < t->n; i++) {
		size_t k = hash_of(t->items[i].text, t->items[i].file) & mask;

		while (slots[k])
			k = (k + 1) & mask;
		slots[k] = (uint32_t)i + 1;
	}
	free(t->slots);
	t->slots = slots;
	t->mask = mask;
	return 0;
}

/* Its index, or -1 without memory. */
static int64_t intern(struct table *t, const char *text, const char *file)
{
	size_t k;

	if (t->n == t->cap && table_grow(t))
		return -1;
	for (k = hash_of(text, file) & t->mask; t->slots[k]; k = (k + 1) & t->mask)
		if (same(&t->items[t->slots[k] - 1], text, file))
			return t->slots[k] - 1;
	t->items[t->n] = (struct interned){text, file};
	t->slots[k] = (uint32_t)++t->n;
	return (int64_t)t->n - 1;
}

static void table_deinit(struct table *t)
{
	free(t->items);
	free(t->slots);
}

/* ---- the messages */

struct encoder {
	const struct insp_profile *p;
	struct insp_str out, message, inner;
	struct table strings, functions;
	bool failed;
};

static uint64_t string(struct encoder *e, const char *text)
{
	int64_t i = intern(&e->strings, text ? text : "", NULL);

	e->failed |= i < 0;
	return i < 0 ? 0 : (uint64_t)i;
}

static void put_value_type(struct encoder *e, unsigned field, const struct insp_profile_type *type)
{
	insp_str_reset(&e->message);
	put_number(&e->message, VALUE_TYPE, string(e, type->type));
	put_number(&e->message, VALUE_UNIT, string(e, type->unit));
	put_message(&e->out, field, &e->message);
}

static void put_sample(struct encoder *e, const struct insp_profile_sample *s)
{
	insp_str_reset(&e->message);
	insp_str_reset(&e->inner);
	for (uint32_t i = 0; i < s->nlocations; i++)
		put_varint(&e->inner, e->p->stacks.items[s->first_location + i] + 1);
	put_message(&e->message, SAMPLE_LOCATION_ID, &e->inner);
	insp_str_reset(&e->inner);
	for (size_t i = 0; i < e->p->ntypes; i++)
		put_varint(&e->inner, (uint64_t)s->values[i]);
	put_message(&e->message, SAMPLE_VALUE, &e->inner);
	if (s->label.key) {
		insp_str_reset(&e->inner);
		put_number(&e->inner, LABEL_KEY, string(e, s->label.key));
		if (s->label.text) {
			put_number(&e->inner, LABEL_STR, string(e, s->label.text));
		} else {
			put_number(&e->inner, LABEL_NUM, (uint64_t)s->label.number);
			put_number(&e->inner, LABEL_NUM_UNIT, string(e, s->label.unit));
		}
		put_message(&e->message, SAMPLE_LABEL, &e->inner);
	}
	put_message(&e->out, PROFILE_SAMPLE, &e->message);
}

static void put_mapping(struct encoder *e, uint64_t id, const struct insp_profile_mapping *m)
{
	insp_str_reset(&e->message);
	put_number(&e->message, MAPPING_ID, id);
	put_number(&e->message, MAPPING_START, m->start);
	put_number(&e->message, MAPPING_LIMIT, m->end);
	put_number(&e->message, MAPPING_OFFSET, m->offset);
	put_number(&e->message, MAPPING_FILENAME, string(e, m->file));
	put_number(&e->message, MAPPING_BUILD_ID, string(e, m->build_id));
	put_number(&e->message, MAPPING_HAS_FUNCTIONS, m->has_functions);
	put_number(&e->message, MAPPING_HAS_FILENAMES, m->has_functions);
	put_number(&e->message, MAPPING_HAS_LINE_NUMBERS, m->has_functions);
	put_number(&e->message, MAPPING_HAS_INLINE_FRAMES, m->has_functions);
	put_message(&e->out, PROFILE_MAPPING, &e->message);
}

static void put_location(struct encoder *e, uint32_t index)
{
	const struct insp_profile_location *l = &e->p->locations.items[index];

	insp_str_reset(&e->message);
	put_number(&e->message, LOCATION_ID, index + 1);
	put_number(&e->message, LOCATION_MAPPING_ID, l->mapping);
	put_number(&e->message, LOCATION_ADDRESS, l->addr);
	for (uint32_t i = 0; i < l->nframes; i++) {
		const struct insp_profile_frame *f = &e->p->frames.items[l->first_frame + i];
		const char *name = f->function ? f->function : insp_profile_location_name(e->p, index);
		int64_t function = intern(&e->functions, name, f->file);

		e->failed |= function < 0;
		insp_str_reset(&e->inner);
		put_number(&e->inner, LINE_FUNCTION_ID, (uint64_t)function + 1);
		put_number(&e->inner, LINE_LINE, f->line);
		put_message(&e->message, LOCATION_LINE, &e->inner);
	}
	put_message(&e->out, PROFILE_LOCATION, &e->message);
}

static void put_function(struct encoder *e, uint64_t id, const struct interned *f)
{
	insp_str_reset(&e->message);
	put_number(&e->message, FUNCTION_ID, id);
	put_number(&e->message, FUNCTION_NAME, string(e, f->text));
	put_number(&e->message, FUNCTION_SYSTEM_NAME, string(e, f->text));
	put_number(&e->message, FUNCTION_FILENAME, string(e, f->file));
	put_message(&e->out, PROFILE_FUNCTION, &e->message);
}

static void encode(struct encoder *e)
{
	const struct insp_profile *p = e->p;

	(void)string(e, ""); /* number 0 */
	for (size_t i = 0; i < p->ntypes; i++)
		put_value_type(e, PROFILE_SAMPLE_TYPE, &p->types[i]);
	for (size_t i = 0; i < p->samples.n; i++)
		put_sample(e, &p->samples.items[i]);
	for (size_t i = 0; i < p->mappings.n; i++)
		put_mapping(e, i + 1, &p->mappings.items[i]);
	for (uint32_t i = 0; i < p->locations.n; i++)
		put_location(e, i);
	for (size_t i = 0; i < e->functions.n; i++)
		put_function(e, i + 1, &e->functions.items[i]);
	put_number(&e->out, PROFILE_TIME_NANOS, p->time_ns);
	put_number(&e->out, PROFILE_DURATION_NANOS, p->duration_ns);
	if (p->period_type.type)
		put_value_type(e, PROFILE_PERIOD_TYPE, &p->period_type);
	put_number(&e->out, PROFILE_PERIOD, (uint64_t)p->period);
	if (p->comment)
		put_number(&e->out, PROFILE_COMMENT, string(e, p->comment));
	if (p->ntypes)
		put_number(&e->out, PROFILE_DEFAULT_SAMPLE_TYPE,
			   string(e, p->types[p->default_type].type));
	for (size_t i = 0; i < e->strings.n; i++)
		put_bytes(&e->out, PROFILE_STRING_TABLE, e->strings.items[i].text,
			  strlen(e->strings.items[i].text));
	e->failed |= !insp_str_ok(&e->out) || !insp_str_ok(&e->message) || !insp_str_ok(&e->inner);
}

/* ---- gzip */

static int deflate_to(struct insp_out *out, const char *bytes, size_t n, struct insp_error *err)
{
	z_stream z = {0};
	unsigned char buf[16384];
	int rc;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	z.next_in = (Bytef *)(uintptr_t)bytes;
	do {
		uInt piece = n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)n;

		if (!z.avail_in) {
			z.avail_in = piece;
			n -= piece;
		}
		z.next_out = buf;
		z.avail_out = sizeof(buf);
		rc = deflate(&z, n ? Z_NO_FLUSH : Z_FINISH);
		insp_out_add(out, (const char *)buf, sizeof(buf) - z.avail_out);
	} while (rc == Z_OK);
	(void)deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : insp_fail(err, INSP_E_IO, "compression ended with code %d", rc);
}

static int profile(void *state, const struct insp_profile *p, struct insp_error *err)
{
	struct encoder e = {.p = p};
	int rc;

	encode(&e);
	rc = e.failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for the profile")
		      : deflate_to(((struct insp_profile_state *)state)->out, e.out.s, e.out.len, err);
	insp_str_deinit(&e.out);
	insp_str_deinit(&e.message);
	insp_str_deinit(&e.inner);
	table_deinit(&e.strings);
	table_deinit(&e.functions);
	return rc;
}

static const struct insp_sink sink = INSP_PROFILE_SINK(profile);

const struct insp_renderer insp_renderer_pprof = {
	.name = "pprof",
	.title = "profile.proto for `go tool pprof`, gzipped (profiles only)",
	.suffix = "pb.gz",
	.profile_only = true,
	.binary = true,
	.sink = &sink,
	.open = insp_profile_state_open,
	.close = insp_profile_state_close,
};
