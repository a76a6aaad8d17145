/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * log: what the layers below front/ have to say while they work, and Ctrl-C.
 *
 * Nothing below front/ prints. It reports through the one callback that front/ installs, and
 * long loops ask insp_interrupted() every few thousand steps and return INSP_E_INTERRUPTED.
 */
#ifndef INSP_BASE_LOG_H
#define INSP_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum insp_log_level {
	INSP_LOG_DEBUG,	   /* with --debug only */
	INSP_LOG_INFO,	   /* "stopped for 4.1 ms" */
	INSP_LOG_WARN,
	INSP_LOG_PROGRESS, /* text is the phase; part and whole are set, whole 0 if unknown */
};

typedef void (*insp_log_fn)(void *ctx, enum insp_log_level level, const char *text, uint64_t part,
			    uint64_t whole);

void insp_log_set(insp_log_fn fn, void *ctx);
void insp_log(enum insp_log_level level, const char *fmt, ...) insp_printf(2, 3);
/* Cheap enough for every block of work; front/ shows it only after a second. */
void insp_progress(const char *phase, uint64_t part, uint64_t whole);

/* Async-signal-safe. */
void insp_interrupt(void);
void insp_interrupt_clear(void);
bool insp_interrupted(void);

#endif
