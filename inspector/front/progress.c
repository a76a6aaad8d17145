/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"
#include "base/str.h"
#include "front/output.h"
#include "render/text.h"

#define SILENT_NS	 UINT64_C(1000000000)
#define REDRAW_NS	 UINT64_C(100000000)
#define LINE_EVERY_NS	 UINT64_C(5000000000)

/* The log callback has no other place for its state; threads of ours may call it. */
static struct {
	pthread_mutex_t lock;
	bool quiet, debug, terminal, color;
	bool ended; /* no progress any more */
	bool drawn; /* a progress line stands on the terminal */
	uint64_t started_ns, last_ns;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void wipe(void)
{
	if (state.drawn)
		fputs("\r\033[K", stderr);
	state.drawn = false;
}

static void draw(const char *phase, uint64_t part, uint64_t whole)
{
	char percent[INSP_FMT_MAX], count[INSP_FMT_MAX];
	const char *how = whole ? insp_fmt_percent(percent, (double)part, (double)whole)
				: insp_fmt_count(count, part);

	if (state.terminal)
		fprintf(stderr, "\r\033[K%s: %s", phase, how);
	else
		fprintf(stderr, "meminspect: %s: %s\n", phase, how);
	fflush(stderr);
	state.drawn = state.terminal;
}

static void progress(const char *phase, uint64_t part, uint64_t whole)
{
	uint64_t now = insp_now_ns();

	if (state.quiet || state.ended || now - state.started_ns < SILENT_NS ||
	    now - state.last_ns < (state.terminal ? REDRAW_NS : LINE_EVERY_NS))
		return;
	state.last_ns = now;
	draw(phase, part, whole);
}

/* Texts may hold names that the target chose. */
static void line(const char *color, const char *word, const char *text)
{
	static const struct insp_render_options plain = {.utf8 = true};
	struct insp_str safe = {0};

	insp_text_safe(&safe, &plain, text, true);
	wipe();
	fprintf(stderr, "meminspect: %s%s%s%s\n", state.color && *word ? color : "", word,
		state.color && *word ? INSP_TEXT_PLAIN : "", insp_str_text(&safe));
	insp_str_deinit(&safe);
}

static void on_log(void *ctx, enum insp_log_level level, const char *text, uint64_t part,
		   uint64_t whole)
{
	(void)ctx;
	pthread_mutex_lock(&state.lock);
	switch (level) {
	case INSP_LOG_PROGRESS:
		progress(text, part, whole);
		break;
	case INSP_LOG_DEBUG:
		if (state.debug)
			line(INSP_TEXT_DIM, "debug: ", text);
		break;
	case INSP_LOG_INFO:
		if (!state.quiet)
			line("", "", text);
		break;
	case INSP_LOG_WARN:
		if (!state.quiet)
			line(INSP_TEXT_YELLOW, "warning: ", text);
		break;
	}
	pthread_mutex_unlock(&state.lock);
}

void insp_progress_install(bool quiet, bool debug)
{
	state.quiet = quiet;
	state.debug = debug;
	state.terminal = isatty(STDERR_FILENO);
	state.color = insp_terminal_color(STDERR_FILENO, "auto");
	state.started_ns = insp_now_ns();
	insp_log_set(on_log, NULL);
}

void insp_progress_end(void)
{
	pthread_mutex_lock(&state.lock);
	wipe();
	state.ended = true;
	pthread_mutex_unlock(&state.lock);
}

void insp_progress_restart(void)
{
	pthread_mutex_lock(&state.lock);
	wipe();
	fflush(stderr);
	state.started_ns = insp_now_ns();
	state.last_ns = 0;
	pthread_mutex_unlock(&state.lock);
}

void insp_complain(const struct insp_error *err)
{
	pthread_mutex_lock(&state.lock);
	line("", "", err->msg);
	pthread_mutex_unlock(&state.lock);
}
