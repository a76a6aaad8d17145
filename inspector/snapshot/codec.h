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

struct insp_codec {
	bool writing;
	enum insp_code failed;
	/* writing: bytes is ours, freed by deinit; reading: borrowed */
	uint8_t *bytes;
	size_t n, cap, at;
	struct insp_pool *pool; /* reading: strings and arrays live here */
};

void insp_codec_write_init(struct insp_codec *c);
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
