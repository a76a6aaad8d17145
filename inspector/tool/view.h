/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * view: what `watch` shows: a screen that is drawn anew, or a line an interval.
 */
#ifndef INSP_TOOL_VIEW_H
#define INSP_TOOL_VIEW_H

#include <stdbool.h>

#include "base/str.h"
#include "tool/watched.h"

#define INSP_VIEW_NOTES 64

/* The last remarks, oldest first; a ring. */
struct insp_notes {
	char *lines[INSP_VIEW_NOTES];
	size_t n, next;
};

void insp_notes_add(struct insp_notes *notes, const char *line);
void insp_notes_free(struct insp_notes *notes);

struct insp_screen {
	unsigned columns, rows;
	bool utf8, color;
};

/* The whole screen, cursor movements included. */
void insp_view_screen(struct insp_str *ret, const struct insp_watched *watched, size_t n,
		      const struct insp_watch_options *options, const struct insp_notes *notes,
		      const struct insp_screen *screen);
/* One line with its newline. */
void insp_view_line(struct insp_str *ret, const struct insp_watched *watched);
/* "12:31:05 " */
void insp_view_clock(struct insp_str *ret, uint64_t at_ns);

#endif
