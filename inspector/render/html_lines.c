/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * html_lines: figures over time as SVG. The axis of bytes begins at zero, since a line that only
 * looks steep is worse than none; that of time has its marks at whole hours or days, local time.
 */
#include "render/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fmt.h"
#include "base/vec.h"

#define WIDTH	  960.0
#define HEIGHT	  280.0
#define LEFT	  78.0
#define RIGHT	  14.0
#define TOP	  26.0
#define BOTTOM	  24.0
#define LINES_MAX 8
#define TICKS_X	  10

static const char *const colors[LINES_MAX] = {"#1f6fb4", "#c8502d", "#3a8f45", "#8a5bb0",
					      "#777777", "#b8860b", "#008b8b", "#c71585"};

struct point {
	double seconds, values[LINES_MAX]; /* NaN unknown */
};

struct insp_html_lines {
	const struct insp_table *table;
	const struct insp_render_options *options;
	size_t columns[LINES_MAX], nlines;
	struct insp_str svg, label;
	bool labelled;
	INSP_VEC(struct point) points; /* of the picture at hand */
	bool failed;
};

struct insp_html_lines *insp_html_lines_create(const struct insp_table *table,
					       const struct insp_render_options *options)
{
	struct insp_html_lines *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->table = table;
	l->options = options;
	for (size_t i = 2; i < table->ncolumns && l->nlines < LINES_MAX; i++)
		if (table->columns[i].type == INSP_T_BYTES)
			l->columns[l->nlines++] = i;
	return l;
}

/* The next power of two times 1, 1.25, 1.5 or 1.75: marks at its quarters are round numbers. */
static double round_up(double v)
{
	double unit = 4096;

	while (unit * 2 < v)
		unit *= 2;
	for (int quarter = 4; quarter < 8; quarter++)
		if (v <= unit * quarter / 4)
			return unit * quarter / 4;
	return unit * 2;
}

static double highest(const struct insp_html_lines *l)
{
	double most = 0;

	insp_vec_each (&l->points, p)
		for (size_t i = 0; i < l->nlines; i++)
			most = p->values[i] > most ? p->values[i] : most;
	return most;
}

struct axes {
	double from, to, top; /* seconds, seconds, bytes */
};

static double at_x(const struct axes *a, double seconds)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * (seconds - a->from) /
			      (a->to > a->from ? a->to - a->from : 1);
}

static double at_y(const struct axes *a, double v)
{
	return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * v / a->top;
}

static void draw_bytes_axis(struct insp_html_lines *l, const struct axes *a)
{
	char text[INSP_FMT_MAX];

	for (int i = 0; i <= 4; i++) {
		double v = a->top * i / 4, y = at_y(a, v);

		insp_str_addf(&l->svg,
			      "<line x1='%.0f' x2='%.0f' y1='%.1f' y2='%.1f' stroke='#ddd'/>"
			      "<text x='%.0f' y='%.1f' text-anchor='end'>%s</text>\n",
			      LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4,
			      insp_fmt_bytes(text, (uint64_t)v));
	}
}

static void draw_time_axis(struct insp_html_lines *l, const struct axes *a)
{
	static const double steps[] = {1,      5,	15,	 60,	  300,	   900,
				       3600,   10800,	21600,	 43200,	  86400,   172800,
				       604800, 1209600, 2592000, 7776000, 31536000};
	size_t n = sizeof(steps) / sizeof(steps[0]), s = 0;
	time_t start = (time_t)a->from;
	struct tm tm;
	double first, zone;

	while (s + 1 < n && (a->to - a->from) / steps[s] > TICKS_X)
		s++;
	if (!localtime_r(&start, &tm))
		return;
	zone = (double)tm.tm_gmtoff;
	first = ceil((a->from + zone) / steps[s]) * steps[s] - zone;
	for (int i = 0; i <= TICKS_X && first + i * steps[s] <= a->to; i++) {
		time_t at = (time_t)(first + i * steps[s]);
		char text[32];

		if (!localtime_r(&at, &tm) || !strftime(text, sizeof(text),
							steps[s] >= 86400 ? "%b %d"
							: steps[s] >= 60  ? "%H:%M"
									  : "%H:%M:%S",
							&tm))
			continue;
		insp_str_addf(&l->svg,
			      "<line x1='%.1f' x2='%.1f' y1='%.0f' y2='%.0f' stroke='#ddd'/>"
			      "<text x='%.1f' y='%.0f' text-anchor='middle'>%s</text>\n",
			      at_x(a, (double)at), at_x(a, (double)at), TOP, HEIGHT - BOTTOM,
			      at_x(a, (double)at), HEIGHT - 7, text);
	}
}

/* Has it a value at i? */
static bool known(const struct insp_html_lines *l, size_t i, size_t line)
{
	return i < l->points.n && isfinite(l->points.items[i].values[line]);
}

/* Broken where a value is not known; a lone value is a dot. */
static void draw_line(struct insp_html_lines *l, const struct axes *a, size_t line)
{
	struct insp_str dots = {0};
	bool drawing = false;

	insp_str_addf(
		&l->svg,
		"<path fill='none' stroke='%s' stroke-width='1.8' stroke-linejoin='round' d='",
		colors[line]);
	for (size_t i = 0; i < l->points.n; i++) {
		double x = at_x(a, l->points.items[i].seconds),
		       y = at_y(a, l->points.items[i].values[line]);

		if (known(l, i, line))
			insp_str_addf(&l->svg, "%c%.1f %.1f", drawing ? 'L' : 'M', x, y);
		if (known(l, i, line) && !drawing && !known(l, i + 1, line))
			insp_str_addf(&dots, "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'/>\n", x,
				      y, colors[line]);
		drawing = known(l, i, line);
	}
	insp_str_add(&l->svg, "'/>\n");
	insp_str_add(&l->svg, insp_str_text(&dots));
	l->failed |= !insp_str_ok(&dots);
	insp_str_deinit(&dots);
}

/* The names of the lines, and the last value of each. */
static void draw_legend(struct insp_html_lines *l)
{
	double x = LEFT;
	char text[INSP_FMT_MAX];

	for (size_t i = 0; i < l->nlines; i++) {
		struct insp_str name = {0};
		double last = NAN;

		insp_vec_each (&l->points, p)
			last = isfinite(p->values[i]) ? p->values[i] : last;
		if (!isfinite(last))
			continue;
		insp_html_text(&name, l->table->columns[l->columns[i]].key);
		insp_str_replace(&name, '_', ' ');
		insp_str_addf(&name, " %s", insp_fmt_bytes(text, (uint64_t)last));
		insp_str_addf(&l->svg,
			      "<rect x='%.0f' y='8' width='10' height='10' fill='%s'/>"
			      "<text x='%.0f' y='17'>%s</text>\n",
			      x, colors[i], x + 14, insp_str_text(&name));
		x += 32 + 6.7 * (double)name.len;
		l->failed |= !insp_str_ok(&name);
		insp_str_deinit(&name);
	}
}

static void finish_picture(struct insp_html_lines *l)
{
	struct axes a;

	if (!l->points.n)
		return;
	a.from = l->points.items[0].seconds;
	a.to = l->points.items[l->points.n - 1].seconds;
	a.top = round_up(highest(l));
	insp_str_addf(&l->svg,
		      "<h3>%s</h3>\n<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f "
		      "%.0f' width='%.0f' "
		      "height='%.0f'>\n",
		      insp_str_text(&l->label), WIDTH, HEIGHT, WIDTH, HEIGHT);
	draw_bytes_axis(l, &a);
	draw_time_axis(l, &a);
	for (size_t i = 0; i < l->nlines; i++)
		draw_line(l, &a, i);
	draw_legend(l);
	insp_str_add(&l->svg, "</svg>\n");
	l->points.n = 0;
}

void insp_html_lines_row(struct insp_html_lines *l, const struct insp_value *cells)
{
	struct insp_str label = {0};
	struct point *p;

	insp_html_value(&label, l->options, INSP_T_STR, &cells[0]);
	if (l->labelled && strcmp(insp_str_text(&label), insp_str_text(&l->label)) != 0)
		finish_picture(l);
	insp_str_deinit(&l->label);
	l->label = label;
	l->labelled = true;
	p = insp_vec_push(&l->points);
	if (!p) {
		l->failed = true;
		return;
	}
	p->seconds = (double)insp_value_u64(&cells[1]) / 1e9;
	for (size_t i = 0; i < l->nlines; i++) {
		const struct insp_value *v = &cells[l->columns[i]];

		p->values[i] = v->kind == INSP_V_UNKNOWN ? (double)NAN : (double)insp_value_u64(v);
	}
}

bool insp_html_lines_end(struct insp_html_lines *l, struct insp_out *out)
{
	finish_picture(l);
	insp_out_add(out, insp_str_text(&l->svg), l->svg.len);
	return !l->failed && insp_str_ok(&l->svg) && insp_str_ok(&l->label);
}

void insp_html_lines_destroy(struct insp_html_lines *l)
{
	if (!l)
		return;
	insp_vec_free(&l->points);
	insp_str_deinit(&l->svg);
	insp_str_deinit(&l->label);
	free(l);
}
