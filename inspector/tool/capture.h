/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * capture: `--on LEVEL 'COMMAND'`: runs a command of ours on the process at the moment it gets that bad.
 *
 * COMMAND is what one would type at the prompt; in each word %t becomes the time, %p the PID, %n
 * the name, %l the level, %% a percent sign. It runs when the level rises to LEVEL or above, at most
 * once a minute for each rule and process, and within a limit of runs and of bytes of the files
 * that its words name: nobody looks when it runs at night.
 */
#ifndef INSP_TOOL_CAPTURE_H
#define INSP_TOOL_CAPTURE_H

#include <stdint.h>

#include "base/pool.h"
#include "base/str.h"
#include "command/command.h"
#include "front/settings.h"
#include "watch/level.h"

#define INSP_CAPTURE_LIMIT_TEXT "5,1G"

struct insp_capture_rule {
	enum insp_level level;
	const char *line;	 /* as it was given */
	struct insp_words words; /* split, not filled in */
	uint64_t last_ns;	 /* CLOCK_MONOTONIC of the last run; 0: none */
	int last_pid;
};

struct insp_captures {
	struct insp_capture_rule *rules;
	size_t nrules;
	uint64_t runs, runs_max;
	uint64_t bytes, bytes_max;  /* of the files so far */
	uint64_t last_bytes;	    /* of the last run's files */
	const struct insp_settings *settings; /* borrowed */
};

/* pairs: LEVEL COMMAND LEVEL COMMAND ...; limit: "N" or "N,BYTES". Checks that the commands parse. */
int insp_captures_init(struct insp_captures *captures, const struct insp_words *pairs, const char *limit,
		       const struct insp_settings *settings, struct insp_pool *pool, struct insp_error *err)
	insp_must_check;

/* Whom a command is run for. */
struct insp_capture_subject {
	int pid;
	const char *name;
	enum insp_level before, now;
};

typedef void (*insp_capture_say_fn)(void *ctx, const char *text);

/* Runs the rules that it is time for. say gets one line for each: what was done, or why not.
   *ret_stopped_ns: how long that stopped the process. */
void insp_captures_run(struct insp_captures *captures, const struct insp_capture_subject *subject,
		       insp_capture_say_fn say, void *ctx, uint64_t *ret_stopped_ns);

#endif
