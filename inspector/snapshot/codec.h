/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * codec: one description of a struct that both writes and reads it.
 *
 *     static void thread(struct insp_codec *c, struct insp_thread *t)
 *     {
 *             insp_codec_i32(c, &t->tid);
 *             insp_codec_str(c, &t->wchan);
 *     }
 *
 * Writing, it appends to a buffer; reading, it fills t from one, and every length is checked
 * against what is left: the bytes come from a file, and a file may hold anything. Sticky: after
 * the first failure nothing more happens, and reading gives zeroes.
 *
 * Integers are LEB128 varints, so small numbers are small; signed ones are zigzag.
 */
#ifndef INSP_SNAPSHOT_CODEC_H
#define INSP_SNAPSHOT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

/* 0, or what the codec fails with. Borrows bytes. */
typedef int (*insp_codec_drain_fn)(void *ctx, const uint8_t *bytes, size_t n);

struct insp_codec {
	bool writing;
	enum insp_code failed;
	/* writing: bytes is ours, freed by deinit; reading: borrowed */
	uint8_t *bytes;
	size_t n, cap, at;
	struct insp_pool *pool; /* reading: strings and arrays live here */
	/* writing: where bytes go when there are enough of them; NULL: all stay in bytes */
	insp_codec_drain_fn drain;
	void *drain_ctx;
};

void insp_codec_write_init(struct insp_codec *c);
/* Writing, in pieces: after the last field insp_codec_flush hands on the rest. */
void insp_codec_write_to(struct insp_codec *c, insp_codec_drain_fn drain, void *ctx);
void insp_codec_flush(struct insp_codec *c);
void insp_codec_read_init(struct insp_codec *c, const uint8_t *bytes, size_t n,
			  struct insp_pool *pool);
void insp_codec_deinit(struct insp_codec *c);

void insp_codec_u64(struct insp_codec *c, uint64_t *v);
void insp_codec_u32(struct insp_codec *c, uint32_t *v);
void insp_codec_u8(struct insp_codec *c, uint8_t *v);
void insp_codec_i64(struct insp_codec *c, int64_t *v);
void insp_codec_i32(struct insp_codec *c, int *v);
void insp_codec_bool(struct insp_codec *c, bool *v);
void insp_codec_size(struct insp_codec *c, size_t *v);
/* NULL stays NULL. */
void insp_codec_str(struct insp_codec *c, const char **s);
/* n raw bytes in place. */
void insp_codec_raw(struct insp_codec *c, void *p, size_t n);
/* A buffer with its length; NULL stays NULL. Reading: in the pool. */
void insp_codec_blob(struct insp_codec *c, uint8_t **p, size_t *n);
/* The number of items of an array, each at least min_bytes long in the file. */
void insp_codec_count(struct insp_codec *c, size_t *n, size_t min_bytes);
void insp_codec_fail(struct insp_codec *c, enum insp_code code);

/*
 * For millions of small numbers. Writing: room for n bytes, to be filled with insp_varint_put from the
 * pointer on and told to insp_codec_wrote; NULL after a failure.
 */
#define INSP_VARINT_MAX 10
uint8_t *insp_codec_room(struct insp_codec *c, size_t n);

static inline void insp_codec_wrote(struct insp_codec *c, const uint8_t *end)
{
	c->n = (size_t)(end - c->bytes);
}

static inline uint8_t *insp_varint_put(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static inline uint64_t insp_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t insp_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

void insp_codec_read_u64(struct insp_codec *c, uint64_t *v);

/* Reading; 0 after a failure. */
static inline uint64_t insp_codec_next(struct insp_codec *c)
{
	uint64_t v;

	if (__builtin_expect(c->at < c->n && c->bytes[c->at] < 0x80 && !c->failed, 1))
		return c->bytes[c->at++];
	insp_codec_read_u64(c, &v);
	return v;
}

/*
 * An array {items, n, cap}: fn(c, item) for each. Reading: items come from the pool, or from
 * malloc with insp_codec_vec_malloc, for vectors that their owner frees.
 */
#define insp_codec_vec_(c, v, fn, alloc)                                               \
	do {                                                                           \
		insp_codec_count((c), &(v)->n, 1);                                     \
		if (!(c)->writing) {                                                   \
			(v)->items = alloc;                                            \
			(v)->cap = (v)->n;                                             \
			if (!(v)->items) {                                             \
				(v)->n = (v)->cap = 0;                                 \
				insp_codec_fail((c), INSP_E_NOMEM);                    \
			}                                                              \
		}                                                                      \
		for (size_t i_ = 0; i_ < (v)->n && !(c)->failed; i_++)                 \
			fn((c), &(v)->items[i_]);                                      \
	} while (0)
#define insp_codec_vec(c, v, fn) \
	insp_codec_vec_(c, v, fn, insp_pool_array((c)->pool, (v)->n + 1, sizeof(*(v)->items)))
#define insp_codec_vec_malloc(c, v, fn) \
	insp_codec_vec_(c, v, fn, calloc((v)->n + 1, sizeof(*(v)->items)))

#endif
