/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/codec.h"

#include <stdlib.h>
#include <string.h>

void insp_codec_write_init(struct insp_codec *c)
{
	*c = (struct insp_codec){.writing = true};
}

#define DRAIN_BYTES ((size_t)256 << 10)

void insp_codec_write_to(struct insp_codec *c, insp_codec_drain_fn drain, void *ctx)
{
	*c = (struct insp_codec){.writing = true, .drain = drain, .drain_ctx = ctx};
}

void insp_codec_read_init(struct insp_codec *c, const uint8_t *bytes, size_t n,
			  struct insp_pool *pool)
{
	*c = (struct insp_codec){.bytes = (uint8_t *)bytes, .n = n, .pool = pool};
}

void insp_codec_deinit(struct insp_codec *c)
{
	if (c->writing)
		free(c->bytes);
	c->bytes = NULL;
}

void insp_codec_fail(struct insp_codec *c, enum insp_code code)
{
	if (!c->failed)
		c->failed = code;
}

static void hand_on(struct insp_codec *c, const uint8_t *bytes, size_t n)
{
	int rc = c->failed || !n ? 0 : c->drain(c->drain_ctx, bytes, n);

	if (rc)
		insp_codec_fail(c, (enum insp_code)rc);
}

void insp_codec_flush(struct insp_codec *c)
{
	hand_on(c, c->bytes, c->n);
	c->n = 0;
}

static bool grow(struct insp_codec *c, size_t n)
{
	size_t cap = c->cap ? c->cap : c->drain ? DRAIN_BYTES : 4096, need;
	uint8_t *p;

	if (__builtin_add_overflow(c->n, n, &need)) {
		insp_codec_fail(c, INSP_E_NOMEM);
		return false;
	}
	while (cap < need)
		cap *= 2;
	p = realloc(c->bytes, cap);
	if (!p) {
		insp_codec_fail(c, INSP_E_NOMEM);
		return false;
	}
	c->bytes = p;
	c->cap = cap;
	return true;
}

uint8_t *insp_codec_room(struct insp_codec *c, size_t n)
{
	if (c->cap - c->n < n && c->drain)
		insp_codec_flush(c);
	if (c->failed || (c->cap - c->n < n && !grow(c, n)))
		return NULL;
	return c->bytes + c->n;
}

static void put(struct insp_codec *c, const void *p, size_t n)
{
	uint8_t *to;

	if (!n)
		return;
	if (c->drain && n >= DRAIN_BYTES) { /* not through the buffer */
		insp_codec_flush(c);
		hand_on(c, p, n);
		return;
	}
	to = insp_codec_room(c, n);
	if (!to)
		return;
	memcpy(to, p, n);
	c->n += n;
}

void insp_codec_raw(struct insp_codec *c, void *p, size_t n)
{
	if (c->writing) {
		put(c, p, n);
		return;
	}
	if (!c->failed && n > c->n - c->at)
		insp_codec_fail(c, INSP_E_CORRUPT);
	if (c->failed) {
		memset(p, 0, n);
		return;
	}
	if (n)
		memcpy(p, c->bytes + c->at, n);
	c->at += n;
}

void insp_codec_read_u64(struct insp_codec *c, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; !c->failed; shift += 7) {
		uint8_t byte;

		if (c->at == c->n || shift > 63) {
			insp_codec_fail(c, INSP_E_CORRUPT);
			*v = 0;
			return;
		}
		byte = c->bytes[c->at++];
		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return;
	}
}

void insp_codec_u64(struct insp_codec *c, uint64_t *v)
{
	uint8_t *p;

	if (!c->writing) {
		insp_codec_read_u64(c, v);
		return;
	}
	p = insp_codec_room(c, INSP_VARINT_MAX);
	if (p)
		insp_codec_wrote(c, insp_varint_put(p, *v));
}

void insp_codec_u32(struct insp_codec *c, uint32_t *v)
{
	uint64_t wide = c->writing ? *v : 0;

	insp_codec_u64(c, &wide);
	if (wide > UINT32_MAX) {
		insp_codec_fail(c, INSP_E_CORRUPT);
		wide = 0;
	}
	*v = (uint32_t)wide;
}

void insp_codec_u8(struct insp_codec *c, uint8_t *v)
{
	insp_codec_raw(c, v, 1);
}

void insp_codec_i64(struct insp_codec *c, int64_t *v)
{
	uint64_t zigzag = c->writing ? insp_zigzag(*v) : 0;

	insp_codec_u64(c, &zigzag);
	*v = insp_unzigzag(zigzag);
}

void insp_codec_i32(struct insp_codec *c, int *v)
{
	int64_t wide = c->writing ? *v : 0;

	insp_codec_i64(c, &wide);
	if (wide != (int)wide) {
		insp_codec_fail(c, INSP_E_CORRUPT);
		wide = 0;
	}
	*v = (int)wide;
}

void insp_codec_bool(struct insp_codec *c, bool *v)
{
	uint8_t byte = c->writing ? *v : 0;

	insp_codec_u8(c, &byte);
	*v = byte != 0;
}

void insp_codec_size(struct insp_codec *c, size_t *v)
{
	uint64_t wide = c->writing ? *v : 0;

	insp_codec_u64(c, &wide);
	*v = (size_t)wide;
}

void insp_codec_count(struct insp_codec *c, size_t *n, size_t min_bytes)
{
	insp_codec_size(c, n);
	if (!c->writing && *n > (c->n - c->at) / min_bytes) {
		insp_codec_fail(c, INSP_E_CORRUPT);
		*n = 0;
	}
}

void insp_codec_str(struct insp_codec *c, const char **s)
{
	size_t n = c->writing && *s ? strlen(*s) + 1 : 0; /* 0: NULL, else the length plus one */
	char *copy;

	insp_codec_size(c, &n);
	if (!c->writing && n && n - 1 > c->n - c->at)
		insp_codec_fail(c, INSP_E_CORRUPT);
	if (c->writing) {
		if (n)
			insp_codec_raw(c, (void *)*s, n - 1);
		return;
	}
	*s = NULL;
	if (!n || c->failed)
		return;
	copy = insp_pool_alloc(c->pool, n);
	if (!copy) {
		insp_codec_fail(c, INSP_E_NOMEM);
		return;
	}
	insp_codec_raw(c, copy, n - 1);
	*s = copy;
}

void insp_codec_blob(struct insp_codec *c, uint8_t **p, size_t *n)
{
	bool there = c->writing ? *p != NULL : false;

	insp_codec_bool(c, &there);
	if (!there) {
		if (!c->writing) {
			*p = NULL;
			*n = 0;
		}
		return;
	}
	insp_codec_count(c, n, 1);
	if (!c->writing) {
		*p = insp_pool_alloc(c->pool, *n + 1);
		if (!*p) {
			insp_codec_fail(c, INSP_E_NOMEM);
			*n = 0;
			return;
		}
	}
	insp_codec_raw(c, *p, *n);
}
