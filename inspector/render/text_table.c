/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text_table: columns that line up, without holding the table.
 *
 * The first ROWS_AHEAD rows are kept, formatted; they decide the widths. Then the header and they
 * are written, and from there on each row goes out at once: a longer cell pushes its row to the
 * right, which is better than waiting for ten million rows.
 *
 * Too wide for the terminal: bars go first, since they repeat a number. Then columns marked
 * INSP_COL_SPARE are left out, from the right, until the line fits with readable text in it; a line
 * under the table names them. Last, columns marked INSP_COL_WRAP give way, the widest first, and
 * their cells are cut with an ellipsis; paths lose their head, because the file's name is at the
 * end.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "base/vec.h"
#include "render/text.h"

#define ROWS_AHEAD   1000
#define GAP_COLUMNS  2
#define WRAP_LEAST   12
#define WRAP_READABLE 24 /* spare columns are left out rather than text cut below that */

struct column {
	bool shown, right, summed, is_float;
	bool left_out; /* spare, and there was no room */
	size_t width;
	double float_total;
	uint64_t total;	     /* of BYTES, COUNT, DURATION; saturating */
	int64_t delta_total; /* of DELTA and DELTA_COUNT */
};

struct cell {
	size_t start, len, columns;
};

struct insp_text_table {
	struct insp_out *out;
	const struct insp_render_options *options;
	const struct insp_table *table;
	unsigned indent;
	struct column *cols;
	size_t last;		/* shown column */
	bool totals, laid_out;
	size_t blanks;		/* owed before the next character of the line: no blanks at its end */
	size_t nrows;		/* kept */
	struct insp_str text;	/* of the cells that are kept */
	INSP_VEC(struct cell) cells;
	bool failed;
};

static bool summable(enum insp_type type)
{
	return insp_type_numeric(type) && type != INSP_T_ADDR && type != INSP_T_ID &&
	       type != INSP_T_FACTOR;
}

struct insp_text_table *insp_text_table_create(struct insp_out *out,
					       const struct insp_render_options *options,
					       const struct insp_table *table, unsigned indent)
{
	struct insp_text_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct insp_text_table){
		.out = out, .options = options, .table = table, .indent = indent};
	t->cols = calloc(table->ncolumns, sizeof(*t->cols));
	if (!t->cols) {
		free(t);
		return NULL;
	}
	for (size_t i = 0; i < table->ncolumns; i++) {
		const struct insp_column *c = &table->columns[i];
		struct column *col = &t->cols[i];

		col->shown = c->title && (!(c->flags & INSP_COL_WIDE) || options->wide);
		col->right = insp_type_numeric(c->type) && !(c->flags & INSP_COL_LEFT);
		col->summed = (c->flags & INSP_COL_TOTAL) && summable(c->type);
		col->width = c->title ? insp_utf8_columns(c->title, strlen(c->title)) : 0;
		t->totals |= col->summed && col->shown;
		if (col->shown)
			t->last = i;
	}
	return t;
}

void insp_text_table_destroy(struct insp_text_table *t)
{
	if (!t)
		return;
	insp_str_deinit(&t->text);
	insp_vec_free(&t->cells);
	free(t->cols);
	free(t);
}

bool insp_text_table_visible(const struct insp_text_table *t)
{
	for (size_t i = 0; i < t->table->ncolumns; i++)
		if (t->cols[i].shown)
			return true;
	return false;
}

static void add_total(struct column *col, enum insp_type type, const struct insp_value *v)
{
	if (v->kind == INSP_V_UNKNOWN || v->kind == INSP_V_STR)
		return;
	if (type == INSP_T_DELTA || type == INSP_T_DELTA_COUNT)
		col->delta_total += (int64_t)insp_value_u64(v);
	else if (type == INSP_T_RATIO)
		col->float_total += insp_value_f64(v);
	else if (__builtin_add_overflow(col->total, insp_value_u64(v), &col->total))
		col->total = UINT64_MAX;
}

static struct insp_value total_of(const struct column *col, enum insp_type type)
{
	if (type == INSP_T_DELTA || type == INSP_T_DELTA_COUNT)
		return (struct insp_value){.kind = INSP_V_I64, .i64 = col->delta_total};
	if (type == INSP_T_RATIO)
		return (struct insp_value){.kind = INSP_V_F64, .f64 = col->float_total};
	return (struct insp_value){.kind = INSP_V_U64, .u64 = col->total};
}

/* Formats one row's shown cells behind those that are kept. */
static void keep_row(struct insp_text_table *t, const struct insp_value *cells, unsigned depth)
{
	for (size_t i = 0; i < t->table->ncolumns; i++) {
		const struct insp_column *c = &t->table->columns[i];
		struct cell *cell = insp_vec_push(&t->cells);

		if (!cell) {
			t->failed = true;
			return;
		}
		cell->start = t->text.len;
		if (!t->cols[i].shown)
			continue;
		if (c->flags & INSP_COL_TREE)
			insp_str_pad(&t->text, ' ', (size_t)depth * 2);
		insp_text_value(&t->text, t->options, c->type, &cells[i]);
		cell->len = t->text.len - cell->start;
		cell->columns = insp_utf8_columns(insp_str_text(&t->text) + cell->start, cell->len);
	}
	t->nrows++;
}

static void forget_rows(struct insp_text_table *t)
{
	insp_str_reset(&t->text);
	t->cells.n = 0;
	t->nrows = 0;
}

/* The part of s that fits into `columns`, from its start or (tail) its end: offset and length. */
static void fit(const char *s, size_t n, size_t columns, bool tail, size_t *ret_start, size_t *ret_len)
{
	size_t skip = tail ? insp_utf8_columns(s, n) : 0, used = 0, i = 0, start = 0;

	skip = skip > columns ? skip - columns : 0;
	while (i < n) {
		uint32_t c;
		size_t len = insp_utf8_decode(s + i, n - i, &c);
		size_t w = c == UINT32_MAX ? 1 : (size_t)insp_utf8_width(c);

		if (skip) {
			skip = skip > w ? skip - w : 0;
			start = i + len;
		} else if (used + w > columns) {
			break;
		} else {
			used += w;
		}
		i += len;
	}
	*ret_start = start;
	*ret_len = i - start;
}

static void pay_blanks(struct insp_text_table *t)
{
	insp_out_pad(t->out, ' ', t->blanks);
	t->blanks = 0;
}

static void end_line(struct insp_text_table *t)
{
	t->blanks = 0;
	insp_out_addc(t->out, '\n');
}

static void write_cut(struct insp_text_table *t, const char *s, size_t n, size_t width)
{
	const char *dots = t->options->utf8 ? "\xe2\x80\xa6" : "..";
	size_t dots_columns = t->options->utf8 ? 1 : 2, start, len;
	bool tail = n && s[0] == '/';

	if (width <= dots_columns)
		return;
	pay_blanks(t);
	fit(s, n, width - dots_columns, tail, &start, &len);
	if (tail)
		insp_out_str(t->out, dots);
	insp_out_add(t->out, s + start, len);
	if (!tail)
		insp_out_str(t->out, dots);
	t->blanks = width - dots_columns - insp_utf8_columns(s + start, len);
}

/* With columns of text at most `text_most` wide. */
static size_t line_columns(const struct insp_text_table *t, size_t text_most)
{
	size_t sum = t->indent;

	for (size_t i = 0; i < t->table->ncolumns; i++) {
		size_t width = t->cols[i].width;

		if (!t->cols[i].shown)
			continue;
		if ((t->table->columns[i].flags & INSP_COL_WRAP) && width > text_most)
			width = text_most;
		sum += width + (i == t->last ? 0 : GAP_COLUMNS);
	}
	return sum;
}

/* The last column, on as many lines as it takes, broken at spaces. */
static void write_folded(struct insp_text_table *t, const char *s, size_t n, size_t width)
{
	size_t lead = line_columns(t, SIZE_MAX) - width;

	pay_blanks(t);
	while (n && !t->failed) {
		size_t start, take = n, next;

		if (insp_utf8_columns(s, n) > width) {
			fit(s, n, width, false, &start, &take);
			for (size_t k = take; k > 0; k--)
				if (s[k] == ' ') {
					take = k;
					break;
				}
		}
		if (!take)
			take = n;
		insp_out_add(t->out, s, take);
		next = take + (take < n && s[take] == ' ');
		s += next;
		n -= next;
		if (n) {
			insp_out_addc(t->out, '\n');
			insp_out_pad(t->out, ' ', lead);
		}
	}
}

static void write_cell(struct insp_text_table *t, size_t i, const char *s, size_t n, size_t columns)
{
	const struct column *col = &t->cols[i];
	size_t pad = columns < col->width ? col->width - columns : 0;

	if (columns > col->width && (t->table->columns[i].flags & INSP_COL_WRAP) && t->options->width &&
	    !t->options->wide) {
		if (t->table->columns[i].flags & INSP_COL_FOLD && i == t->last)
			write_folded(t, s, n, col->width);
		else
			write_cut(t, s, n, col->width);
		pad = 0;
	} else {
		if (n) {
			t->blanks += col->right ? pad : 0;
			pay_blanks(t);
			insp_out_add(t->out, s, n);
			pad = col->right ? 0 : pad;
		}
		t->blanks += pad;
	}
	if (i != t->last)
		t->blanks += GAP_COLUMNS;
}

static void write_rows(struct insp_text_table *t)
{
	const char *text = insp_str_text(&t->text);

	for (size_t r = 0; r < t->nrows; r++) {
		insp_out_pad(t->out, ' ', t->indent);
		for (size_t i = 0; i < t->table->ncolumns; i++) {
			const struct cell *cell = &t->cells.items[r * t->table->ncolumns + i];

			if (t->cols[i].shown)
				write_cell(t, i, text + cell->start, cell->len, cell->columns);
		}
		end_line(t);
	}
	forget_rows(t);
}

/* Titles that are all empty make no header. */
static bool has_header(const struct insp_text_table *t)
{
	for (size_t i = 0; i < t->table->ncolumns; i++)
		if (t->cols[i].shown && t->table->columns[i].title[0])
			return true;
	return false;
}

/* In capitals, as ps and lsblk have it: so it is told from the rows without a terminal, too. */
static void write_header(struct insp_text_table *t)
{
	struct insp_str upper = {0};

	if (!has_header(t))
		return;
	insp_out_pad(t->out, ' ', t->indent);
	if (t->options->color)
		insp_out_str(t->out, INSP_TEXT_BOLD);
	for (size_t i = 0; i < t->table->ncolumns; i++) {
		const char *title = t->table->columns[i].title;

		if (!t->cols[i].shown)
			continue;
		insp_str_reset(&upper);
		for (; *title; title++)
			insp_str_addc(&upper, (char)(*title >= 'a' && *title <= 'z' ? *title - 32 : *title));
		write_cell(t, i, insp_str_text(&upper), upper.len,
			   insp_utf8_columns(insp_str_text(&upper), upper.len));
	}
	insp_str_deinit(&upper);
	if (t->options->color)
		insp_out_str(t->out, INSP_TEXT_PLAIN);
	end_line(t);
}

static void hide(struct insp_text_table *t, size_t column)
{
	t->cols[column].shown = false;
	for (size_t i = 0; i < t->table->ncolumns; i++)
		if (t->cols[i].shown)
			t->last = i;
}

static void drop_bars(struct insp_text_table *t)
{
	if (line_columns(t, SIZE_MAX) <= t->options->width)
		return;
	for (size_t i = 0; i < t->table->ncolumns; i++)
		if (t->cols[i].shown && t->table->columns[i].type == INSP_T_BAR)
			hide(t, i);
}

static void drop_spare(struct insp_text_table *t)
{
	for (size_t i = t->table->ncolumns; i-- > 0;) {
		if (line_columns(t, WRAP_READABLE) <= t->options->width)
			return;
		if (!t->cols[i].shown || !(t->table->columns[i].flags & INSP_COL_SPARE))
			continue;
		t->cols[i].left_out = true;
		hide(t, i);
	}
}

static void name_left_out(struct insp_text_table *t)
{
	const char *lead = "left out for want of room: ";

	for (size_t i = 0; i < t->table->ncolumns; i++) {
		if (!t->cols[i].left_out)
			continue;
		if (lead[0] == 'l')
			insp_out_pad(t->out, ' ', t->indent);
		insp_out_str(t->out, lead);
		insp_out_str(t->out, t->table->columns[i].title);
		lead = ", ";
	}
	if (lead[0] == ',')
		insp_out_str(t->out, "; --wide shows all\n");
}

/* Takes columns from the widest WRAP column until the line fits or nothing can give any more. */
static void shrink(struct insp_text_table *t)
{
	while (line_columns(t, SIZE_MAX) > t->options->width) {
		struct column *widest = NULL;

		for (size_t i = 0; i < t->table->ncolumns; i++)
			if (t->cols[i].shown && (t->table->columns[i].flags & INSP_COL_WRAP) &&
			    t->cols[i].width > WRAP_LEAST &&
			    (!widest || t->cols[i].width > widest->width))
				widest = &t->cols[i];
		if (!widest)
			return;
		widest->width--;
	}
}

static void lay_out(struct insp_text_table *t)
{
	struct insp_str total = {0};

	for (size_t k = 0; k < t->cells.n; k++) {
		struct column *col = &t->cols[k % t->table->ncolumns];

		if (t->cells.items[k].columns > col->width)
			col->width = t->cells.items[k].columns;
	}
	/* The totals so far; for most tables they are all. */
	for (size_t i = 0; t->totals && i < t->table->ncolumns; i++) {
		struct insp_value v = total_of(&t->cols[i], t->table->columns[i].type);

		if (!t->cols[i].summed || !t->cols[i].shown)
			continue;
		insp_str_reset(&total);
		insp_text_value(&total, t->options, t->table->columns[i].type, &v);
		if (total.len > t->cols[i].width)
			t->cols[i].width = total.len;
	}
	insp_str_deinit(&total);
	if (t->options->width && !t->options->wide) {
		drop_bars(t);
		drop_spare(t);
		shrink(t);
	}
	t->laid_out = true;
	write_header(t);
}

void insp_text_table_row(struct insp_text_table *t, const struct insp_value *cells, unsigned depth)
{
	if (t->failed)
		return;
	for (size_t i = 0; t->totals && i < t->table->ncolumns; i++)
		if (t->cols[i].summed)
			add_total(&t->cols[i], t->table->columns[i].type, &cells[i]);
	keep_row(t, cells, depth);
	if (!t->laid_out && t->nrows < ROWS_AHEAD)
		return;
	if (!t->laid_out)
		lay_out(t);
	write_rows(t);
}

/* May "total" stand in a column of that type, be it not the first? */
static bool names_row(enum insp_type type)
{
	return type == INSP_T_STR || type == INSP_T_ADDR || type == INSP_T_ID;
}

static void write_totals(struct insp_text_table *t)
{
	struct insp_str s = {0};
	bool named = false, first = true;

	insp_out_pad(t->out, ' ', t->indent);
	if (t->options->color)
		insp_out_str(t->out, INSP_TEXT_BOLD);
	for (size_t i = 0; i < t->table->ncolumns; i++) {
		const struct column *col = &t->cols[i];

		if (!col->shown)
			continue;
		insp_str_reset(&s);
		if (col->summed) {
			struct insp_value v = total_of(col, t->table->columns[i].type);

			insp_text_value(&s, t->options, t->table->columns[i].type, &v);
		} else if (!named && col->width >= 5 && (first || names_row(t->table->columns[i].type))) {
			insp_str_add(&s, "total");
			named = true;
		}
		write_cell(t, i, insp_str_text(&s), s.len, s.len);
		first = false;
	}
	if (t->options->color)
		insp_out_str(t->out, INSP_TEXT_PLAIN);
	end_line(t);
	insp_str_deinit(&s);
}

bool insp_text_table_end(struct insp_text_table *t)
{
	if (t->failed || !insp_str_ok(&t->text)) {
		if (!t->out->err.code)
			(void)insp_fail(&t->out->err, INSP_E_NOMEM, "out of memory");
		return true;
	}
	if (!t->laid_out && !t->nrows)
		return false;
	if (!t->laid_out)
		lay_out(t);
	write_rows(t);
	if (t->totals)
		write_totals(t);
	name_left_out(t);
	return true;
}
