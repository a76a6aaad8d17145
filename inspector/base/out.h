/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * out: buffered output through a callback. Sticky: after the first failure (disk full, pipe
 * closed) everything is dropped, and insp_out_flush returns the failure.
 *
 * Integers are written without printf: ten million rows of CSV shall be bound by the disk.
 */
#ifndef INSP_BASE_OUT_H
#define INSP_BASE_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

/* Takes all n bytes: 0, or a negative enum insp_code with err filled. */
typedef int (*insp_write_fn)(void *ctx, const char *bytes, size_t n, struct insp_error *err);

#define INSP_OUT_BUF_BYTES (128u << 10)

/* Invariant: len <= INSP_OUT_BUF_BYTES; buf is NULL before the first byte. */
struct insp_out {
	insp_write_fn write;
	void *ctx;
	char *buf;
	size_t len;
	uint64_t total; /* bytes added so far */
	struct insp_error err; /* the first failure */
};

void insp_out_init(struct insp_out *out, insp_write_fn write, void *ctx);
void insp_out_deinit(struct insp_out *out);
/* 0 or the first failure so far, copied to err. */
int insp_out_flush(struct insp_out *out, struct insp_error *err);

void insp_out_slow(struct insp_out *out, const char *bytes, size_t n);

static inline void insp_out_add(struct insp_out *out, const char *bytes, size_t n)
{
	if (__builtin_expect(!out->buf || n > INSP_OUT_BUF_BYTES - out->len, 0)) {
		insp_out_slow(out, bytes, n);
		return;
	}
	memcpy(out->buf + out->len, bytes, n);
	out->len += n;
	out->total += n;
}

static inline void insp_out_addc(struct insp_out *out, char c)
{
	insp_out_add(out, &c, 1);
}

static inline void insp_out_str(struct insp_out *out, const char *s)
{
	insp_out_add(out, s, strlen(s));
}

void insp_out_pad(struct insp_out *out, char c, size_t n);
void insp_out_u64(struct insp_out *out, uint64_t v);
void insp_out_i64(struct insp_out *out, int64_t v);
void insp_out_hex(struct insp_out *out, uint64_t v); /* 0x55d0c3a012a0 */

#endif
