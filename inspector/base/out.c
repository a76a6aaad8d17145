/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/out.h"

#include <stdlib.h>

void insp_out_init(struct insp_out *out, insp_write_fn write, void *ctx)
{
	*out = (struct insp_out){.write = write, .ctx = ctx};
}

void insp_out_deinit(struct insp_out *out)
{
	free(out->buf);
	*out = (struct insp_out){0};
}

/* Hands on what is buffered; a failure is kept in out->err. */
static void out_drain(struct insp_out *out)
{
	if (out->len && !out->err.code)
		(void)out->write(out->ctx, out->buf, out->len, &out->err);
	out->len = 0;
}

int insp_out_flush(struct insp_out *out, struct insp_error *err)
{
	out_drain(out);
	if (out->err.code && err)
		*err = out->err;
	return out->err.code;
}

void insp_out_slow(struct insp_out *out, const char *bytes, size_t n)
{
	if (out->err.code)
		return;
	if (!out->buf) {
		out->buf = malloc(INSP_OUT_BUF_BYTES);
		if (!out->buf) {
			(void)insp_fail(&out->err, INSP_E_NOMEM, "out of memory");
			return;
		}
	}
	while (n) {
		size_t room = INSP_OUT_BUF_BYTES - out->len, part = n < room ? n : room;

		memcpy(out->buf + out->len, bytes, part);
		out->len += part;
		out->total += part;
		bytes += part;
		n -= part;
		if (out->len == INSP_OUT_BUF_BYTES)
			out_drain(out);
	}
}

void insp_out_pad(struct insp_out *out, char c, size_t n)
{
	char block[64];

	memset(block, c, n < sizeof(block) ? n : sizeof(block));
	while (n) {
		size_t part = n < sizeof(block) ? n : sizeof(block);

		insp_out_add(out, block, part);
		n -= part;
	}
}

static const char two_digits[] = "0001020304050607080910111213141516171819"
				 "2021222324252627282930313233343536373839"
				 "4041424344454647484950515253545556575859"
				 "6061626364656667686970717273747576777879"
				 "8081828384858687888990919293949596979899";

void insp_out_u64(struct insp_out *out, uint64_t v)
{
	char buf[20], *p = buf + sizeof(buf);

	while (v >= 100) {
		p -= 2;
		memcpy(p, two_digits + v % 100 * 2, 2);
		v /= 100;
	}
	if (v >= 10) {
		p -= 2;
		memcpy(p, two_digits + v * 2, 2);
	} else {
		*--p = (char)('0' + v);
	}
	insp_out_add(out, p, (size_t)(buf + sizeof(buf) - p));
}

void insp_out_i64(struct insp_out *out, int64_t v)
{
	if (v < 0) {
		insp_out_addc(out, '-');
		insp_out_u64(out, 0 - (uint64_t)v);
	} else {
		insp_out_u64(out, (uint64_t)v);
	}
}

void insp_out_hex(struct insp_out *out, uint64_t v)
{
	char buf[18], *p = buf + sizeof(buf);

	do {
		*--p = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	*--p = 'x';
	*--p = '0';
	insp_out_add(out, p, (size_t)(buf + sizeof(buf) - p));
}
