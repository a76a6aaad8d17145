/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/own_memory.h"

static insp_log_fn log_fn;
static void *log_ctx;
static atomic_bool interrupted;

void insp_log_set(insp_log_fn fn, void *ctx)
{
	log_fn = fn;
	log_ctx = ctx;
}

void insp_log(enum insp_log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!log_fn)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_fn(log_ctx, level, text, 0, 0);
}

void insp_progress(const char *phase, uint64_t part, uint64_t whole)
{
	if (log_fn)
		log_fn(log_ctx, INSP_LOG_PROGRESS, phase, part, whole);
}

void insp_interrupt(void)
{
	atomic_store_explicit(&interrupted, true, memory_order_relaxed);
}

void insp_interrupt_clear(void)
{
	insp_own_memory_clear();
	atomic_store_explicit(&interrupted, false, memory_order_relaxed);
}

bool insp_interrupted(void)
{
	return atomic_load_explicit(&interrupted, memory_order_relaxed);
}
