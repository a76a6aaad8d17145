/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fmt.h"
#include "base/utf8.h"
#include "render/text.h"

#define LABEL_COLUMNS  11
#define VALUE_COLUMNS  11
#define GROWTH_COLUMNS 16
#define BLOCK_ROWS     (INSP_N_FIGURES + 4) /* of one process in full: title, level, walk, a gap */
#define NOTES_SHOWN    5

/* ---- remarks */

void insp_notes_add(struct insp_notes *notes, const char *line)
{
	char *copy = strdup(line);

	if (!copy)
		return;
	free(notes->lines[notes->next]);
	notes->lines[notes->next] = copy;
	notes->next = (notes->next + 1) % INSP_VIEW_NOTES;
	notes->n += notes->n < INSP_VIEW_NOTES;
}

void insp_notes_free(struct insp_notes *notes)
{
	for (size_t i = 0; i < INSP_VIEW_NOTES; i++)
		free(notes->lines[i]);
	*notes = (struct insp_notes){0};
}

static const char *note_at(const struct insp_notes *notes, size_t age)
{
	return notes->lines[(notes->next + INSP_VIEW_NOTES - 1 - age) % INSP_VIEW_NOTES];
}

void insp_view_clock(struct insp_str *ret, uint64_t at_ns)
{
	time_t at = (time_t)(at_ns / 1000000000);
	char text[16];
	struct tm tm;

	if (localtime_r(&at, &tm) && strftime(text, sizeof(text), "%H:%M:%S ", &tm))
		insp_str_add(ret, text);
}

/* ---- values */

static const char *bytes(char *buf, double v)
{
	return isfinite(v) ? insp_fmt_bytes(buf, (uint64_t)v) : "-";
}

static const char *count(char *buf, double v)
{
	return isfinite(v) ? insp_fmt_count(buf, (uint64_t)(v + 0.5)) : "-";
}

static const char *percent(char *buf, double v)
{
	return isfinite(v) ? insp_fmt_percent(buf, v, 100) : "-";
}

static const char *growth(char *buf, size_t size_bytes, double per_minute)
{
	char number[INSP_FMT_MAX];

	if (!isfinite(per_minute))
		return "-";
	snprintf(buf, size_bytes, "%s%s/min", per_minute < 0 ? "-" : "+",
		 insp_fmt_bytes(number, (uint64_t)fabs(per_minute)));
	return buf;
}

static bool is_bytes(enum insp_figure figure)
{
	return figure <= INSP_FIGURE_FREE;
}

static const char *value_of(char *buf, enum insp_figure figure, double v)
{
	if (is_bytes(figure))
		return bytes(buf, v);
	return figure == INSP_FIGURE_USED || figure == INSP_FIGURE_PSI ? percent(buf, v) : count(buf, v);
}

/* ---- the screen */

struct frame {
	struct insp_str *out;
	const struct insp_screen *screen;
	unsigned row;
};

/* One line of the screen: text without colours, cut to its width. */
static void put_line(struct frame *f, const char *color, const char *text)
{
	const struct insp_render_options plain = {.utf8 = f->screen->utf8};
	struct insp_str safe = {0};
	size_t columns = 0, n = 0;
	uint32_t c;

	if (f->row >= f->screen->rows)
		return;
	insp_text_safe(&safe, &plain, text, false);
	while (n < safe.len) {
		size_t k = insp_utf8_decode(safe.s + n, safe.len - n, &c);
		int width = c == UINT32_MAX ? 1 : insp_utf8_width(c);

		if (columns + (size_t)width > f->screen->columns)
			break;
		columns += (size_t)width;
		n += k;
	}
	insp_str_add(f->out, f->row ? "\r\n" : "");
	if (f->screen->color && *color)
		insp_str_add(f->out, color);
	insp_str_addn(f->out, insp_str_text(&safe), n);
	insp_str_add(f->out, f->screen->color && *color ? INSP_TEXT_PLAIN "\033[K" : "\033[K");
	f->row++;
	insp_str_deinit(&safe);
}

static void put_right(struct insp_str *line, const char *text, size_t columns)
{
	size_t n = strlen(text);

	insp_str_pad(line, ' ', n < columns ? columns - n : 0);
	insp_str_add(line, text);
}

static const char *level_color(enum insp_level level)
{
	return level == INSP_LEVEL_OK ? "" : level == INSP_LEVEL_WARN ? INSP_TEXT_YELLOW : INSP_TEXT_RED;
}

static void put_figure(struct frame *f, const struct insp_watched *w, const char *label, enum insp_figure figure)
{
	size_t used = LABEL_COLUMNS + VALUE_COLUMNS + GROWTH_COLUMNS + 2;
	char number[INSP_FMT_MAX], slope[INSP_FMT_MAX + 8];
	struct insp_str line = {0};

	insp_str_add(&line, label);
	insp_str_pad(&line, ' ', LABEL_COLUMNS - strlen(label));
	put_right(&line, value_of(number, figure, insp_trace_at(&w->traces[figure], 0)), VALUE_COLUMNS);
	put_right(&line, is_bytes(figure) ? growth(slope, sizeof(slope), insp_watched_growth(w, figure)) : "",
		  GROWTH_COLUMNS);
	insp_str_add(&line, "  ");
	if (f->screen->columns > used)
		insp_trace_line(&w->traces[figure], f->screen->columns - used, f->screen->utf8, &line);
	put_line(f, "", insp_str_text(&line));
	insp_str_deinit(&line);
}

static void put_title(struct frame *f, const struct insp_watched *w)
{
	char age[INSP_FMT_MAX];
	struct insp_str line = {0};

	insp_str_addf(&line, "%s", w->follow.spec);
	if (w->here) {
		insp_str_addf(&line, "  %s %d, running for %s", insp_gauge_comm(w->follow.gauge), w->follow.pid,
			      insp_fmt_duration(age, w->sample.at_ns - w->sample.started_at_ns));
		if (w->follow.others)
			insp_str_addf(&line, ", parent of %u more", w->follow.others);
		if (w->follow.generation > 1)
			insp_str_addf(&line, ", started anew %u time%s", w->follow.generation - 1,
				      w->follow.generation == 2 ? "" : "s");
	} else {
		insp_str_addf(&line, "  %s", w->absent.msg);
	}
	put_line(f, w->here ? INSP_TEXT_BOLD : INSP_TEXT_DIM, insp_str_text(&line));
	insp_str_deinit(&line);
}

static void add_used(struct insp_str *line, const struct insp_watched *w)
{
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], c[INSP_FMT_MAX];
	double used = insp_known(w->leveler.used), of = insp_known(w->leveler.of);

	insp_str_addf(line, "%s, %s of %s (%s)", bytes(a, used), percent(b, used * 100 / of), bytes(c, of),
		      w->options->limit ? "as given" : insp_limit_kind_title(w->sample.limit_kind));
}

static void put_level(struct frame *f, const struct insp_watched *w)
{
	struct insp_str line = {0};

	insp_str_addf(&line, "%-*s", LABEL_COLUMNS + 1, insp_level_title(w->level));
	add_used(&line, w);
	put_line(f, level_color(w->level), insp_str_text(&line));
	insp_str_deinit(&line);
}

static void add_walk(struct insp_str *line, const struct insp_watched *w)
{
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];
	uint64_t now = insp_now_ns(), next, wall = insp_wallclock_ns();
	bool put_off;

	next = insp_watched_next_walk(w, &put_off);
	if (w->walked)
		insp_str_addf(line, "%s ago, stopped it for %s; ",
			      insp_fmt_duration(a, wall > w->walk.at_ns ? wall - w->walk.at_ns : 0),
			      insp_fmt_duration(b, w->walk.stopped_ns));
	if (w->walk_error.code)
		insp_str_addf(line, "%s; ", w->walk_error.msg);
	if (!next)
		insp_str_add(line, "never");
	else
		insp_str_addf(line, "next in %s%s", insp_fmt_duration(a, next > now ? next - now : 0),
			      put_off ? ", put off by --pause-budget" : "");
	insp_str_addf(line, "; %s of the time so far",
		      insp_fmt_percent(b, (double)w->spent_ns, (double)(now - w->since_ns)));
}

static void put_walk(struct frame *f, const struct insp_watched *w)
{
	struct insp_str line = {0};

	insp_str_addf(&line, "%-*s", LABEL_COLUMNS + 1, "walk");
	add_walk(&line, w);
	put_line(f, INSP_TEXT_DIM, insp_str_text(&line));
	insp_str_deinit(&line);
}

static void put_block(struct frame *f, const struct insp_watched *w)
{
	static const char *const labels[INSP_N_FIGURES] = {
		"RSS", "PSS", "in use", "free", "threads", "faults/s", "from disk", "of limit", "PSI some",
	};

	put_title(f, w);
	if (!w->here)
		return;
	for (int i = 0; i < INSP_N_FIGURES; i++)
		put_figure(f, w, labels[i], (enum insp_figure)i);
	put_level(f, w);
	put_walk(f, w);
	put_line(f, "", "");
}

/* Where there is no room for more. */
static void put_compact(struct frame *f, const struct insp_watched *w)
{
	struct insp_str line = {0};

	insp_view_line(&line, w);
	if (line.len)
		line.s[--line.len] = '\0'; /* its newline */
	put_line(f, level_color(w->level), insp_str_text(&line));
	insp_str_deinit(&line);
}

void insp_view_screen(struct insp_str *ret, const struct insp_watched *watched, size_t n,
		      const struct insp_watch_options *options, const struct insp_notes *notes,
		      const struct insp_screen *screen)
{
	struct frame f = {.out = ret, .screen = screen};
	size_t shown = notes->n < NOTES_SHOWN ? notes->n : NOTES_SHOWN;
	unsigned need = 1;
	struct insp_str line = {0};
	char interval[INSP_FMT_MAX], every[INSP_FMT_MAX];

	insp_str_add(ret, "\033[H");
	insp_view_clock(&line, insp_wallclock_ns());
	insp_str_addf(&line, "meminspect watch, every %s", insp_fmt_duration(interval, options->interval_ns));
	if (options->walk_every_ns)
		insp_str_addf(&line, ", walk every %s", insp_fmt_duration(every, options->walk_every_ns));
	insp_str_add(&line, "; q quits");
	put_line(&f, INSP_TEXT_DIM, insp_str_text(&line));
	insp_str_deinit(&line);
	for (size_t i = 0; i < n; i++)
		need += watched[i].here ? BLOCK_ROWS : 1;
	for (size_t i = 0; i < n; i++)
		if (need <= screen->rows)
			put_block(&f, &watched[i]);
		else
			put_compact(&f, &watched[i]);
	for (size_t i = shown; i > 0; i--)
		put_line(&f, "", note_at(notes, i - 1));
	insp_str_add(ret, "\033[J");
}

/* ---- a line */

void insp_view_line(struct insp_str *ret, const struct insp_watched *w)
{
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX + 8], c[INSP_FMT_MAX];

	insp_view_clock(ret, w->here ? w->sample.at_ns : insp_wallclock_ns());
	if (!w->here) {
		insp_str_addf(ret, "%s: %s\n", w->follow.spec, w->absent.msg);
		return;
	}
	insp_str_addf(ret, "%s %d  rss %s (%s)  pss %s", insp_gauge_comm(w->follow.gauge), w->follow.pid,
		      bytes(a, insp_known(w->sample.rss)),
		      growth(b, sizeof(b), insp_watched_growth(w, INSP_FIGURE_RSS)), bytes(c, insp_known(w->sample.pss)));
	insp_str_addf(ret, "  in use %s  free %s", bytes(a, w->walked ? insp_known(w->walk.in_use) : NAN),
		      bytes(c, w->walked ? insp_known(w->walk.free) : NAN));
	insp_str_addf(ret, "  threads %s", count(a, insp_known(w->sample.threads)));
	insp_str_addf(ret, "  faults %s/s, from disk %s/s", count(a, insp_trace_at(&w->traces[INSP_FIGURE_MINOR], 0)),
		      count(b, insp_trace_at(&w->traces[INSP_FIGURE_MAJOR], 0)));
	insp_str_add(ret, "  used ");
	add_used(ret, w);
	insp_str_addf(ret, "  psi %s  %s\n", percent(a, insp_trace_at(&w->traces[INSP_FIGURE_PSI], 0)),
		      insp_level_key(w->level));
}
