/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * str: a growing string. Sticky: after a failed growth it does nothing more, and
 * insp_str_ok() tells; so a builder checks once, at the end.
 */
#ifndef INSP_BASE_STR_H
#define INSP_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Invariant: s is NULL (nothing yet) or NUL-terminated, len < cap. All-zero is a valid start. */
struct insp_str {
	char *s;
	size_t len, cap;
	bool failed;
};

void insp_str_deinit(struct insp_str *str);
void insp_str_add(struct insp_str *str, const char *text);
void insp_str_addn(struct insp_str *str, const char *text, size_t n);
void insp_str_addc(struct insp_str *str, char c);
void insp_str_pad(struct insp_str *str, char c, size_t n);
/* Each `from` so far becomes `to`. */
void insp_str_replace(struct insp_str *str, char from, char to);
void insp_str_addf(struct insp_str *str, const char *fmt, ...) insp_printf(2, 3);
void insp_str_vaddf(struct insp_str *str, const char *fmt, va_list ap);
/* Keeps the memory, forgets the text and the failure. */
void insp_str_reset(struct insp_str *str);
bool insp_str_ok(const struct insp_str *str);
/* View until the next add; "" when empty. */
const char *insp_str_text(const struct insp_str *str);

#endif
