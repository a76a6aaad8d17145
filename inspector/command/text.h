/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text: do bytes of the target begin with text, and how to show foreign bytes without harm. */
#ifndef INSP_COMMAND_TEXT_H
#define INSP_COMMAND_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct insp_str;

/*
 * Bytes of the text that they begin with: ASCII or UTF-8 up to a NUL or to the end of what is
 * seen, at least four characters; 0: it is none. Control characters are no text, except tab and
 * line ends.
 */
size_t insp_text_length(const uint8_t *bytes, size_t n);

/*
 * Adds "some text" in quotes, at most max characters of it; whole says that it ended within what
 * was seen. Line ends and tabs are shown as \n, \t; what could move a terminal's cursor, or turn the
 * direction of writing, as \x.. or \u....
 */
void insp_text_quote(struct insp_str *str, const uint8_t *bytes, size_t n, size_t max, int whole);

#endif
