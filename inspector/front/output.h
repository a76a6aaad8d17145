/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * output: where a result goes: stdout, a pager in front of it, a file that appears whole or not
 * at all, a descriptor, or somebody's callback.
 */
#ifndef INSP_FRONT_OUTPUT_H
#define INSP_FRONT_OUTPUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/atomic.h"
#include "base/out.h"
#include "base/str.h"
#include "render/render.h"

struct insp_settings;

struct insp_output {
	struct insp_out out;	/* what renderers write to */
	int fd;			/* -1 none */
	char *path;		/* of the file */
	bool whole;		/* fd is of file, which appears whole or not at all */
	struct insp_atomic file;
	bool terminal;		/* fd is one */
	bool closed;		/* the reader went away: nobody needs the rest */
	/* A pager starts when more lines come than the terminal has. */
	bool may_page;
	unsigned lines, rows;
	struct insp_str held;	/* until that is decided */
	const struct insp_render_options *fixed; /* given, not found out; NULL: found out */
	pid_t pager;
	int pager_fd;
};

/* To settings->output, or to stdout. */
int insp_output_open(struct insp_output *o, const struct insp_settings *settings,
		     struct insp_error *err) insp_must_check;
/* To the input of a shell command; close waits for it. */
int insp_output_open_shell(struct insp_output *o, const char *command, struct insp_error *err)
	insp_must_check;
/* To an open descriptor (borrowed). */
void insp_output_open_fd(struct insp_output *o, int fd);
/* To a callback; borrows options, which say how to render. */
void insp_output_open_fn(struct insp_output *o, insp_write_fn write, void *ctx,
			 const struct insp_render_options *options);
/* Waits for the pager. keep: the file takes its name; else it vanishes. A reader that went away
   is no failure. */
int insp_output_close(struct insp_output *o, bool keep, struct insp_error *err);

/* Colours, width and the like for what is open. */
void insp_output_render_options(const struct insp_output *o, const struct insp_settings *settings,
				struct insp_render_options *ret);

/* Of a terminal; false: fd is none. */
bool insp_terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows);
/* Do people at fd want colours? when: auto, always, never. */
bool insp_terminal_color(int fd, const char *when);

#endif
