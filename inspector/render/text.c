/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text: a report for people.
 *
 *     Heap                          heading of an object or list, bold on a terminal
 *       allocator  glibc malloc     fields that follow each other line up
 *       in use     1.21 GiB
 *
 *       Arenas                      table
 *       name    in use      free
 *       main  1.20 GiB  9.11 MiB
 *       warning: two pages were swapped out
 *
 * What has a title moves its contents two columns to the right. Blocks are set apart by one
 * empty line; notes stay with what they belong to.
 */
#include "render/text.h"

#include <stdlib.h>

#include "base/fmt.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "render/text_map.h"

#define TEXT_DEPTH_MAX 32
#define INDENT_COLUMNS 2
#define PARAGRAPH_COLUMNS 100

struct pair {
	size_t title, value; /* offsets in pairs_text, NUL-terminated */
};

struct text {
	struct insp_out *out;
	struct insp_render_options options;
	unsigned depth, indent;
	bool titled[TEXT_DEPTH_MAX];
	bool any;	/* something was written */
	bool apart;	/* an empty line goes before the next block */
	INSP_VEC(struct pair) pairs; /* fields that wait for their neighbours */
	struct insp_str pairs_text;
	struct insp_text_table *table;
	struct insp_text_map *map; /* instead of table, when it is to be drawn */
	const struct insp_table *heading; /* table whose title is not out yet */
	struct insp_str scratch;
	bool failed;
};

static void color(struct text *t, const char *sequence)
{
	if (t->options.color)
		insp_out_str(t->out, sequence);
}

static void indent(struct text *t)
{
	insp_out_pad(t->out, ' ', t->indent);
}

/* The empty line before a block. */
static void set_apart(struct text *t)
{
	if (t->any && t->apart)
		insp_out_addc(t->out, '\n');
	t->any = true;
	t->apart = true;
}

/* One line of a paragraph, broken at spaces where the terminal ends; what follows the first line
   is indented like it. */
static void wrapped(struct text *t, const char *s, size_t n, unsigned hang)
{
	unsigned limit = t->options.width < PARAGRAPH_COLUMNS ? t->options.width : PARAGRAPH_COLUMNS;
	size_t lead = strspn(s, " "), room;

	lead = lead < n ? lead : 0;
	room = limit > t->indent + lead + hang + 20 ? limit - t->indent - lead - hang : 20;
	for (bool first = true; first || n; first = false) {
		size_t take = n, next = n;

		if (t->options.width && insp_utf8_columns(s, n) > room + (first ? lead : 0)) {
			size_t max = room + (first ? lead : 0);

			take = max < n ? max : n;
			while (take > lead && s[take] != ' ')
				take--;
			if (take <= lead)
				for (take = max < n ? max : n; take < n && s[take] != ' ';)
					take++;
			next = take;
			while (next < n && s[next] == ' ')
				next++;
		}
		if (!first)
			insp_out_pad(t->out, ' ', t->indent + lead + hang);
		insp_out_add(t->out, s, take);
		insp_out_addc(t->out, '\n');
		s += next;
		n -= next;
		if (first && !n)
			break;
	}
}

static void flush_fields(struct text *t)
{
	const char *base = insp_str_text(&t->pairs_text);
	size_t width = 0;

	if (!t->pairs.n)
		return;
	insp_vec_each(&t->pairs, p) {
		size_t w = insp_utf8_columns(base + p->title, strlen(base + p->title));

		width = w > width ? w : width;
	}
	set_apart(t);
	insp_vec_each(&t->pairs, q) {
		const char *title = base + q->title;

		indent(t);
		insp_out_str(t->out, title);
		insp_out_pad(t->out, ' ', width - insp_utf8_columns(title, strlen(title)) + 2);
		wrapped(t, base + q->value, strlen(base + q->value), (unsigned)width + 2);
	}
	t->pairs.n = 0;
	insp_str_reset(&t->pairs_text);
}

static void heading(struct text *t, const char *title)
{
	set_apart(t);
	indent(t);
	color(t, INSP_TEXT_BOLD);
	insp_str_reset(&t->scratch);
	insp_text_safe(&t->scratch, &t->options, title, false);
	insp_out_str(t->out, insp_str_text(&t->scratch));
	color(t, INSP_TEXT_PLAIN);
	insp_out_addc(t->out, '\n');
	t->apart = false;
}

static void level_begin(void *state, const char *key, const char *title)
{
	struct text *t = state;

	(void)key;
	flush_fields(t);
	if (title)
		heading(t, title);
	t->titled[t->depth++] = title != NULL;
	if (title)
		t->indent += INDENT_COLUMNS;
}

static void level_end(void *state)
{
	struct text *t = state;

	flush_fields(t);
	if (t->titled[--t->depth])
		t->indent -= INDENT_COLUMNS;
	t->apart = true;
}

static void field(void *state, const char *key, const char *title, enum insp_type type,
		  const struct insp_value *value)
{
	struct text *t = state;
	struct pair *p;

	(void)key;
	if (!title)
		return;
	p = insp_vec_push(&t->pairs);
	if (!p) {
		t->failed = true;
		return;
	}
	p->title = t->pairs_text.len;
	insp_text_safe(&t->pairs_text, &t->options, title, false);
	insp_str_addc(&t->pairs_text, '\0');
	p->value = t->pairs_text.len;
	insp_text_value(&t->pairs_text, &t->options, type, value);
	insp_str_addc(&t->pairs_text, '\0');
}

static void table_begin(void *state, const struct insp_table *table)
{
	struct text *t = state;

	flush_fields(t);
	insp_text_table_destroy(t->table);
	t->table = NULL;
	if (table->draw == INSP_DRAW_MAP)
		t->map = insp_text_map_create(t->out, &t->options, t->indent);
	else
		t->table = insp_text_table_create(t->out, &t->options, table, t->indent);
	t->failed |= !t->table && !t->map;
	t->heading = table;
}

/* A table's heading waits until it is known whether there are rows. */
static void table_heading(struct text *t)
{
	if (!t->heading)
		return;
	if (t->heading->title)
		heading(t, t->heading->title);
	else
		set_apart(t);
	t->heading = NULL;
	t->apart = true;
}

static void row(void *state, const struct insp_table *table, const struct insp_value *cells,
		unsigned depth)
{
	struct text *t = state;

	(void)table;
	if (t->table && !insp_text_table_visible(t->table))
		return;
	table_heading(t);
	if (t->map)
		insp_text_map_cell(t->map, cells);
	if (t->table)
		insp_text_table_row(t->table, cells, depth);
}

static void table_end(void *state, const struct insp_table *table)
{
	struct text *t = state;

	bool any = (t->table && insp_text_table_end(t->table)) || (t->map && insp_text_map_end(t->map));

	if (!any && table->empty) {
		table_heading(t);
		indent(t);
		insp_out_str(t->out, table->empty);
		insp_out_addc(t->out, '\n');
	}
	t->heading = NULL;
	insp_text_table_destroy(t->table);
	insp_text_map_destroy(t->map);
	t->table = NULL;
	t->map = NULL;
}

static void table_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
		      const char *how)
{
	struct text *t = state;
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];

	(void)table;
	flush_fields(t);
	insp_str_reset(&t->scratch);
	insp_str_addf(&t->scratch, "first %s of %s shown", insp_fmt_count(a, shown),
		      insp_fmt_count(b, total));
	if (how)
		insp_str_addf(&t->scratch, "; %s", how);
	indent(t);
	color(t, INSP_TEXT_DIM);
	insp_out_str(t->out, insp_str_text(&t->scratch));
	color(t, INSP_TEXT_PLAIN);
	insp_out_addc(t->out, '\n');
}

static void text(void *state, const char *key, const char *s)
{
	struct text *t = state;
	const char *p;

	(void)key;
	flush_fields(t);
	insp_str_reset(&t->scratch);
	insp_text_safe(&t->scratch, &t->options, s, true);
	set_apart(t);
	p = insp_str_text(&t->scratch);
	while (*p) {
		size_t n = strcspn(p, "\n");

		if (n) {
			indent(t);
			wrapped(t, p, n, 0);
		} else {
			insp_out_addc(t->out, '\n');
		}
		p += n + (p[n] == '\n');
	}
}

static void note(void *state, enum insp_severity severity, const char *code, const char *s)
{
	static const struct {
		const char *word, *color;
	} words[] = {
		[INSP_NOTE] = {"note:", INSP_TEXT_CYAN},
		[INSP_WARNING] = {"warning:", INSP_TEXT_YELLOW},
		[INSP_CORRUPTION] = {"corruption:", INSP_TEXT_RED},
	};
	struct text *t = state;

	(void)code;
	flush_fields(t);
	insp_str_reset(&t->scratch);
	insp_text_safe(&t->scratch, &t->options, s, false);
	indent(t);
	color(t, words[severity].color);
	insp_out_str(t->out, words[severity].word);
	color(t, INSP_TEXT_PLAIN);
	insp_out_addc(t->out, ' ');
	wrapped(t, insp_str_text(&t->scratch), t->scratch.len, 2);
	t->any = true;
	t->apart = true;
}

static void end(void *state, const struct insp_error *err)
{
	struct text *t = state;

	(void)err; /* front/ tells people */
	if (t->table)
		(void)insp_text_table_end(t->table);
	if (t->map)
		(void)insp_text_map_end(t->map);
	flush_fields(t);
	if ((t->failed || !insp_str_ok(&t->pairs_text) || !insp_str_ok(&t->scratch)) &&
	    !t->out->err.code)
		(void)insp_fail(&t->out->err, INSP_E_NOMEM, "out of memory");
}

static void *open_text(struct insp_out *out, const struct insp_render_options *options)
{
	struct text *t = calloc(1, sizeof(*t));

	if (t) {
		t->out = out;
		t->options = *options;
	}
	return t;
}

static void close_text(void *state)
{
	struct text *t = state;

	if (!t)
		return;
	insp_text_table_destroy(t->table);
	insp_text_map_destroy(t->map);
	insp_vec_free(&t->pairs);
	insp_str_deinit(&t->pairs_text);
	insp_str_deinit(&t->scratch);
	free(t);
}

static const struct insp_sink sink = {
	.object_begin = level_begin,
	.object_end = level_end,
	.list_begin = level_begin,
	.list_end = level_end,
	.field = field,
	.table_begin = table_begin,
	.row = row,
	.table_end = table_end,
	.table_cut = table_cut,
	.text = text,
	.note = note,
	.end = end,
};

const struct insp_renderer insp_renderer_text = {
	.name = "text",
	.title = "for people: aligned, with units",
	.suffix = "txt",
	.sink = &sink,
	.open = open_text,
	.close = close_text,
};
