/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * utf8: strings of unknown origin, made safe to show. Process names and paths are bytes that the
 * target chose: they may be no UTF-8 at all, or hold escape sequences for our terminal.
 */
#ifndef INSP_BASE_UTF8_H
#define INSP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one character of s (n > 0 bytes). Returns the bytes it takes, at least 1; what is not
   valid UTF-8 gives *ret = UINT32_MAX and takes one byte. */
size_t insp_utf8_decode(const char *s, size_t n, uint32_t *ret);

/* Columns that a character takes on a terminal: 0, 1 or 2. */
int insp_utf8_width(uint32_t c);

/* Columns of a whole string. */
size_t insp_utf8_columns(const char *s, size_t n);

/* Would it move the cursor, hide text or turn its direction? Such are never sent to a terminal. */
bool insp_utf8_unsafe(uint32_t c);

#endif
