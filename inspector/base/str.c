/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void insp_str_deinit(struct insp_str *str)
{
	free(str->s);
	*str = (struct insp_str){0};
}

static bool str_room(struct insp_str *str, size_t extra)
{
	size_t need, cap = str->cap ? str->cap : 64;

	if (str->failed)
		return false;
	if (__builtin_add_overflow(str->len + 1, extra, &need)) {
		str->failed = true;
		return false;
	}
	if (need <= str->cap)
		return true;
	while (cap < need)
		cap *= 2;
	char *s = realloc(str->s, cap);

	if (!s) {
		str->failed = true;
		return false;
	}
	str->s = s;
	str->cap = cap;
	return true;
}

void insp_str_addn(struct insp_str *str, const char *text, size_t n)
{
	if (!str_room(str, n))
		return;
	memcpy(str->s + str->len, text, n);
	str->len += n;
	str->s[str->len] = '\0';
}

void insp_str_add(struct insp_str *str, const char *text)
{
	insp_str_addn(str, text, strlen(text));
}

void insp_str_addc(struct insp_str *str, char c)
{
	insp_str_addn(str, &c, 1);
}

void insp_str_pad(struct insp_str *str, char c, size_t n)
{
	if (!str_room(str, n))
		return;
	memset(str->s + str->len, c, n);
	str->len += n;
	str->s[str->len] = '\0';
}

void insp_str_vaddf(struct insp_str *str, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0 || !str_room(str, (size_t)n))
		return;
	vsnprintf(str->s + str->len, (size_t)n + 1, fmt, ap);
	str->len += (size_t)n;
}

void insp_str_replace(struct insp_str *str, char from, char to)
{
	for (size_t i = 0; i < str->len; i++)
		if (str->s[i] == from)
			str->s[i] = to;
}

void insp_str_addf(struct insp_str *str, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	insp_str_vaddf(str, fmt, ap);
	va_end(ap);
}

void insp_str_reset(struct insp_str *str)
{
	str->len = 0;
	str->failed = false;
	if (str->s)
		str->s[0] = '\0';
}

bool insp_str_ok(const struct insp_str *str)
{
	return !str->failed;
}

const char *insp_str_text(const struct insp_str *str)
{
	return str->s ? str->s : "";
}
