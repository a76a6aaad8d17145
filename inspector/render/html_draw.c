/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * html_draw: maps of cells and treemaps as SVG, with the row's values as tooltips. (Lines over time
 * are html_lines.c.)
 *
 * A treemap halves its list of items by weight, again and again, along the longer side; items come
 * largest first, so the rectangles stay close to squares.
 */
#include "render/html.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define CELL	    9
#define MAP_COLUMNS 96
#define LABEL_WIDTH 190
#define TREE_WIDTH  960.0
#define TREE_HEIGHT 320.0

struct item {
	char *label; /* escaped */
	double value;
};

struct insp_html_drawing {
	const struct insp_table *table;
	struct insp_render_options options;
	struct insp_str svg, label;
	INSP_VEC(struct item) items; /* of a treemap */
	struct insp_html_lines *lines;
	unsigned row, at;	     /* of a map */
	bool failed;
};

struct insp_html_drawing *insp_html_drawing_create(const struct insp_table *table,
						   const struct insp_render_options *options)
{
	struct insp_html_drawing *d;

	if (table->draw == INSP_DRAW_NONE)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->table = table;
	d->options = *options;
	if (table->draw == INSP_DRAW_LINES) {
		d->lines = insp_html_lines_create(table, &d->options);
		d->failed = !d->lines;
	}
	return d;
}

/* All columns of the row, one a line: what the pointer shows. */
static void tooltip(struct insp_html_drawing *d, const struct insp_value *cells)
{
	insp_str_add(&d->svg, "<title>");
	for (size_t i = 0; i < d->table->ncolumns; i++) {
		const struct insp_column *c = &d->table->columns[i];

		if (!c->title)
			continue;
		insp_html_text(&d->svg, c->title);
		insp_str_add(&d->svg, ": ");
		insp_html_value(&d->svg, &d->options, c->type, &cells[i]);
		insp_str_addc(&d->svg, '\n');
	}
	insp_str_add(&d->svg, "</title>");
}

/* Red (almost empty, and resident) over yellow to green (in use). */
static void fill_color(struct insp_str *s, const struct insp_value *fill)
{
	double f;

	if (fill->kind == INSP_V_UNKNOWN) {
		insp_str_add(s, "#e8e8e8");
		return;
	}
	f = insp_value_f64(fill);
	f = f > 0 ? f < 1 ? f : 1 : 0;
	insp_str_addf(s, "hsl(%d,70%%,%d%%)", (int)(f * 125), f > 0 ? 45 : 55);
}

static void map_row(struct insp_html_drawing *d, const struct insp_value *cells)
{
	struct insp_str label = {0};
	bool same;

	insp_html_value(&label, &d->options, INSP_T_STR, &cells[0]);
	same = d->row && strcmp(insp_str_text(&label), insp_str_text(&d->label)) == 0;
	if (!same || d->at == MAP_COLUMNS) {
		d->at = 0;
		d->row++;
		insp_str_addf(&d->svg, "<text x='0' y='%u'>%s %#" PRIx64 "</text>", d->row * (CELL + 1) - 2,
			      same ? "" : insp_str_text(&label), insp_value_u64(&cells[1]));
	}
	if (!same) {
		insp_str_reset(&d->label);
		insp_str_add(&d->label, insp_str_text(&label));
	}
	insp_str_deinit(&label);
	insp_str_addf(&d->svg, "<rect x='%u' y='%u' width='%d' height='%d' fill='", LABEL_WIDTH + d->at * (CELL + 1),
		      (d->row - 1) * (CELL + 1), CELL, CELL);
	fill_color(&d->svg, &cells[3]);
	insp_str_add(&d->svg, "'>");
	tooltip(d, cells);
	insp_str_add(&d->svg, "</rect>\n");
	d->at++;
}

static void tree_row(struct insp_html_drawing *d, const struct insp_value *cells)
{
	const struct insp_value *label = NULL, *bytes = NULL;
	struct insp_str s = {0};
	struct item *item;

	for (size_t i = 0; i < d->table->ncolumns; i++) {
		const struct insp_column *c = &d->table->columns[i];

		if (!label && c->type == INSP_T_STR && c->title)
			label = &cells[i];
		if (!bytes && c->type == INSP_T_BYTES && c->title)
			bytes = &cells[i];
	}
	if (!label || !bytes || !insp_value_u64(bytes))
		return;
	insp_html_value(&s, &d->options, INSP_T_STR, label);
	insp_str_add(&s, "\n");
	insp_html_value(&s, &d->options, INSP_T_BYTES, bytes);
	item = insp_str_ok(&s) ? insp_vec_push(&d->items) : NULL;
	if (!item) {
		insp_str_deinit(&s);
		d->failed = true;
		return;
	}
	item->label = s.s;
	item->value = (double)insp_value_u64(bytes);
}

void insp_html_drawing_row(struct insp_html_drawing *d, const struct insp_value *cells)
{
	if (d->lines)
		insp_html_lines_row(d->lines, cells);
	else if (d->table->draw == INSP_DRAW_MAP)
		map_row(d, cells);
	else if (d->table->draw == INSP_DRAW_TREEMAP)
		tree_row(d, cells);
}

static int by_value(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->value < y->value) - (x->value > y->value);
}

static void leaf(struct insp_html_drawing *d, size_t i, double x, double y, double w, double h)
{
	const char *label = d->items.items[i].label;
	size_t name = strcspn(label, "\n");

	insp_str_addf(&d->svg,
		      "<g><title>%s</title><rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' "
		      "fill='hsl(%d,45%%,72%%)' stroke='#fff'/>",
		      label, x, y, w, h, (int)(i * 67 % 360));
	if ((double)name * 6.5 < w && h > 14)
		insp_str_addf(&d->svg, "<text x='%.1f' y='%.1f'>%.*s</text>", x + 4, y + 13, (int)name, label);
	if (h > 28 && w > 60)
		insp_str_addf(&d->svg, "<text x='%.1f' y='%.1f'>%s</text>", x + 4, y + 26,
			      label + name + (label[name] == '\n'));
	insp_str_add(&d->svg, "</g>\n");
}

static void lay(struct insp_html_drawing *d, size_t from, size_t to, double x, double y, double w, double h)
{
	while (to - from > 1) {
		double total = 0, half = 0;
		size_t mid = from;

		for (size_t i = from; i < to; i++)
			total += d->items.items[i].value;
		do
			half += d->items.items[mid++].value;
		while (mid + 1 < to && half + d->items.items[mid].value <= total / 2);
		if (w >= h) {
			lay(d, from, mid, x, y, w * half / total, h);
			x += w * half / total;
			w -= w * half / total;
		} else {
			lay(d, from, mid, x, y, w, h * half / total);
			y += h * half / total;
			h -= h * half / total;
		}
		from = mid;
	}
	if (to > from)
		leaf(d, from, x, y, w, h);
}

bool insp_html_drawing_end(struct insp_html_drawing *d, struct insp_out *out)
{
	struct insp_str head = {0};
	double width = TREE_WIDTH, height = TREE_HEIGHT;

	if (d->lines)
		return insp_html_lines_end(d->lines, out);
	if (d->table->draw == INSP_DRAW_MAP) {
		width = LABEL_WIDTH + MAP_COLUMNS * (CELL + 1);
		height = d->row * (CELL + 1);
	} else if (d->items.n) {
		qsort(d->items.items, d->items.n, sizeof(*d->items.items), by_value);
		lay(d, 0, d->items.n, 0, 0, width, height);
	}
	insp_str_addf(&head,
		      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f'>\n",
		      width, height, width, height);
	if (d->svg.len) {
		insp_out_str(out, insp_str_text(&head));
		insp_out_add(out, d->svg.s, d->svg.len);
		insp_out_str(out, "</svg>\n");
		if (d->table->draw == INSP_DRAW_MAP)
			insp_out_str(out, "<p>green: in use; yellow: half; red: resident and almost free; grey: not in "
					  "memory. The pointer shows the figures of a cell.</p>\n");
	}
	d->failed |= !insp_str_ok(&d->svg) || !insp_str_ok(&head) || !insp_str_ok(&d->label);
	insp_str_deinit(&head);
	return !d->failed;
}

void insp_html_drawing_destroy(struct insp_html_drawing *d)
{
	if (!d)
		return;
	insp_vec_each(&d->items, item)
		free(item->label);
	insp_vec_free(&d->items);
	insp_html_lines_destroy(d->lines);
	insp_str_deinit(&d->svg);
	insp_str_deinit(&d->label);
	free(d);
}
