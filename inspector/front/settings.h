/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * settings: the options that every command takes. One table feeds the command line, `set` at the
 * prompt, help, completion and the man page.
 */
#ifndef INSP_FRONT_SETTINGS_H
#define INSP_FRONT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "command/command.h"

/* Strings live in the pool they were parsed into; the defaults are literals. */
struct insp_settings {
	const char *format;	 /* name of a renderer */
	const char *output;	 /* file; NULL: stdout */
	uint64_t max_pause_ns;	 /* 0: the default of snapshot/take.h */
	const char *capture;	 /* auto, stop, ... */
	bool allow_inject;
	const char *exe, *sysroot; /* where a core's files are; NULL: where it says */
	const char *color;	 /* auto, always, never */
	bool pager, raw, wide, quiet, debug;
	bool help, version;
	const char *unwinder;	 /* NULL: the default */
	uint64_t limit;		 /* rows, for commands with --limit; UINT64_MAX: what the command says */
};

/* Ended by INSP_OPTION_END; offsets into struct insp_settings. */
extern const struct insp_option insp_global_options[];
/* The ones that `set` changes. */
extern const struct insp_option insp_set_options[];

/* The defaults of the table. pool holds what is parsed. */
int insp_settings_init(struct insp_settings *settings, struct insp_pool *pool, struct insp_error *err);

/* A setting as `set` shows it, in buf. */
const char *insp_setting_text(const struct insp_option *option, const struct insp_settings *settings,
			      char *buf, size_t size_bytes);

#endif
