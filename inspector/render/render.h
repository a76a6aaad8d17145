/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * render: from the events of a report to bytes, while they come.
 *
 * A renderer computes nothing and knows no command: it gets typed events (report/sink.h) and
 * writes them to an insp_out. Two memories are allowed: a text table looks at its first rows to
 * choose widths, and notes of JSON wait for the end of the document.
 *
 * To add one: 1. write render/<name>.c with `const struct insp_renderer insp_renderer_<name>`,
 * filling every slot of its sink; 2. add X(<name>) to renderers.def; 3. extend
 * tests/unit/test_render.c, where one document has one expected output a renderer.
 */
#ifndef INSP_RENDER_RENDER_H
#define INSP_RENDER_RENDER_H

#include <stdbool.h>

#include "report/sink.h"

/* Only text looks at them. */
struct insp_render_options {
	bool color;	/* escape sequences for bold and for severities */
	bool utf8;	/* the terminal shows it; else ASCII stands in */
	bool raw;	/* plain integers instead of 1.21 GiB */
	bool wide;	/* columns marked INSP_COL_WIDE, and nothing is cut */
	unsigned width;	/* columns of the terminal; 0: no limit */
};

struct insp_renderer {
	const char *name;	/* "json": the word behind --format */
	const char *title;	/* one line for help */
	const char *suffix;	/* of files, without the dot */
	bool profile_only;	/* of a report it takes the profile alone: for INSP_COMMAND_PROFILE */
	bool binary;		/* not for a terminal */
	bool envelope;		/* front/ puts command, target and capture in front of the report */
	const struct insp_sink *sink;
	/* Gives the state for the sink; NULL when memory is short. Borrows both. close accepts NULL. */
	void *(*open)(struct insp_out *out, const struct insp_render_options *options);
	void (*close)(void *state);
};

#define X(name) extern const struct insp_renderer insp_renderer_##name;
#include "render/renderers.def"
#undef X

/* By name, NULL when there is none. */
const struct insp_renderer *insp_renderer_find(const char *name);

#endif
