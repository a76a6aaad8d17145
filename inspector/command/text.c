/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/text.h"

#include <stdbool.h>

#include "base/str.h"

#define TEXT_LEAST 4 /* characters */

/*
 * One character at s: its bytes, and in *ret its code point. 0: it is none, or a longer form than
 * needed, half of a pair, beyond the last. Cut off by the end: its full length, *ret is 0xfffd.
 */
static size_t decode(const uint8_t *s, size_t left, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3
		 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;
	uint32_t c = n == 1 ? *s : n ? *s & (0xffu >> (n + 1)) : 0;

	for (size_t i = 1; i < n; i++) {
		if (i >= left) {
			*ret = 0xfffd;
			return n;
		}
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n > 1 && (c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff))
		return 0;
	*ret = c;
	return n;
}

/* Control characters, invisible ones, and those that turn the direction of writing. */
static bool harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c < 0xe1000);
}

size_t insp_text_length(const uint8_t *bytes, size_t n)
{
	size_t at = 0, chars = 0;

	while (at < n && bytes[at]) {
		uint32_t c;
		size_t step = decode(bytes + at, n - at, &c);

		if (!step || c == 0x7f || (c >= 0x80 && c < 0xa0) ||
		    (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
			return 0;
		at += step;
		chars++;
	}
	return chars >= TEXT_LEAST ? (at < n ? at : n) : 0;
}

static void add_char(struct insp_str *str, const uint8_t *s, size_t n, uint32_t c)
{
	if (c == '\n' || c == '\t' || c == '\r')
		insp_str_addf(str, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
	else if (c == '"' || c == '\\')
		insp_str_addf(str, "\\%c", (char)c);
	else if (harmful(c))
		insp_str_addf(str, c < 0x80 ? "\\x%02x" : "\\u%04x", c);
	else
		insp_str_addn(str, (const char *)s, n);
}

void insp_text_quote(struct insp_str *str, const uint8_t *bytes, size_t n, size_t max, int whole)
{
	size_t at = 0, chars = 0;

	insp_str_addc(str, '"');
	while (at < n && chars < max) {
		uint32_t c;
		size_t step = decode(bytes + at, n - at, &c);

		if (step > n - at)
			break; /* cut through the middle */
		if (!step) {
			insp_str_addf(str, "\\x%02x", bytes[at]);
			step = 1;
		} else {
			add_char(str, bytes + at, step, c);
		}
		at += step;
		chars++;
	}
	insp_str_add(str, at < n || !whole ? "...\"" : "\"");
}
