/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * html: a page that needs nothing but itself: no script, no font, no other file.
 *
 * Fields become a two-column list, tables tables (cells right-aligned where text does so), bars
 * bars, and what a table asks to be drawn is drawn (html_draw.c). All text of the target's is
 * escaped. What has no title is for machines and is left out, but for the names of command and
 * target, which make the heading.
 */
#include "render/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/utf8.h"

struct html {
	struct insp_out *out;
	struct insp_render_options options;
	struct insp_str scratch, command, comm;
	struct insp_html_drawing *drawing;
	unsigned depth, level; /* level: of headings */
	bool begun, fields;    /* a list of fields is open */
	bool rows;	       /* of the table at hand */
	bool titled[64];
	bool failed;
};

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
	"body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1180px;padding:0 1em;color:#222}\n"
	"h1{font-size:1.4em}h2{font-size:1.15em;margin:1.4em 0 .4em}h3{font-size:1em;margin:1em 0 .3em}\n"
	"table{border-collapse:collapse;margin:.5em 0 1em}th,td{padding:.15em .7em .15em 0;text-align:left;"
	"vertical-align:top;border-bottom:1px solid #eee}th{color:#666;font-weight:600}\n"
	".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
	".a{font-family:ui-monospace,monospace}\n"
	"dl{display:grid;grid-template-columns:max-content auto;gap:.1em 1.2em;margin:.4em 0}dt{color:#666}dd{margin:0}\n"
	".b{display:block;width:140px;background:#eef}.b i{display:block;height:.9em;background:#47a}\n"
	".note,.warning,.corruption{padding:.4em .8em;border-left:4px solid #47a;background:#f4f7fa;margin:.5em 0}\n"
	".warning{border-color:#d90;background:#fdf6e8}.corruption{border-color:#c22;background:#fbeaea}\n"
	"pre{white-space:pre-wrap}svg text{font:11px ui-monospace,monospace;fill:#333}svg{max-width:100%;height:auto}\n"
	"</style>\n";

void insp_html_text(struct insp_str *str, const char *s)
{
	for (size_t n = strlen(s); n;) {
		uint32_t c;
		size_t len = insp_utf8_decode(s, n, &c);

		if (c == '&')
			insp_str_add(str, "&amp;");
		else if (c == '<')
			insp_str_add(str, "&lt;");
		else if (c == '>')
			insp_str_add(str, "&gt;");
		else if (c == '"')
			insp_str_add(str, "&quot;");
		else if (c == '\'')
			insp_str_add(str, "&#39;");
		else if (c == UINT32_MAX || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			insp_str_add(str, "\xef\xbf\xbd");
		else
			insp_str_addn(str, s, len);
		s += len;
		n -= len;
	}
}

void insp_html_value(struct insp_str *str, const struct insp_render_options *options, enum insp_type type,
		     const struct insp_value *value)
{
	struct insp_str plain = {0};

	if (value->kind == INSP_V_STR) {
		insp_html_text(str, value->str);
		return;
	}
	insp_text_value(&plain, options, type, value);
	insp_html_text(str, insp_str_text(&plain));
	if (!insp_str_ok(&plain))
		str->failed = true;
	insp_str_deinit(&plain);
}

static void put(struct html *h, const char *s)
{
	insp_str_reset(&h->scratch);
	insp_html_text(&h->scratch, s);
	insp_out_str(h->out, insp_str_text(&h->scratch));
}

/* The heading waits for the names that the envelope brings. */
static void begin(struct html *h)
{
	const char *command = insp_str_text(&h->command), *comm = insp_str_text(&h->comm);

	if (h->begun)
		return;
	h->begun = true;
	insp_out_str(h->out, head);
	insp_out_str(h->out, "<title>");
	insp_out_str(h->out, command[0] ? command : "meminspect");
	insp_out_str(h->out, comm[0] ? " " : "");
	insp_out_str(h->out, comm);
	insp_out_str(h->out, "</title></head><body>\n<h1>");
	insp_out_str(h->out, command[0] ? command : "meminspect");
	if (comm[0]) {
		insp_out_str(h->out, " &mdash; ");
		insp_out_str(h->out, comm);
	}
	insp_out_str(h->out, "</h1>\n");
}

static void end_fields(struct html *h)
{
	if (h->fields)
		insp_out_str(h->out, "</dl>\n");
	h->fields = false;
}

static void block(struct html *h)
{
	begin(h);
	end_fields(h);
}

static void heading(struct html *h, const char *title)
{
	const char *tag = h->level ? "h3>" : "h2>";

	insp_out_str(h->out, "<");
	insp_out_str(h->out, tag);
	put(h, title);
	insp_out_str(h->out, "</");
	insp_out_str(h->out, tag);
	insp_out_addc(h->out, '\n');
}

static void level_begin(void *state, const char *key, const char *title)
{
	struct html *h = state;

	(void)key;
	end_fields(h);
	if (title) {
		begin(h);
		heading(h, title);
		h->level++;
	}
	if (h->depth < 64)
		h->titled[h->depth] = title != NULL;
	h->depth++;
}

static void level_end(void *state)
{
	struct html *h = state;

	end_fields(h);
	h->depth--;
	if (h->depth < 64 && h->titled[h->depth])
		h->level--;
}

static void field(void *state, const char *key, const char *title, enum insp_type type,
		  const struct insp_value *value)
{
	struct html *h = state;

	if (!title) {
		if (h->begun || value->kind == INSP_V_UNKNOWN)
			return;
		if (!strcmp(key, "command") && value->kind == INSP_V_STR) {
			insp_html_text(&h->command, value->str);
		} else if (!strcmp(key, "comm") && value->kind == INSP_V_STR) {
			insp_html_text(&h->comm, value->str);
		} else if (!strcmp(key, "pid") && !h->comm.len && insp_value_u64(value)) {
			insp_html_value(&h->comm, &h->options, INSP_T_ID, value);
			insp_str_addc(&h->comm, ' ');
		}
		return;
	}
	begin(h);
	if (!h->fields)
		insp_out_str(h->out, "<dl>\n");
	h->fields = true;
	insp_out_str(h->out, "<dt>");
	put(h, title);
	insp_out_str(h->out, "</dt><dd>");
	insp_str_reset(&h->scratch);
	insp_html_value(&h->scratch, &h->options, type, value);
	insp_out_str(h->out, insp_str_text(&h->scratch));
	insp_out_str(h->out, "</dd>\n");
}

static void table_begin(void *state, const struct insp_table *table)
{
	struct html *h = state;

	block(h);
	if (table->title)
		heading(h, table->title);
	insp_html_drawing_destroy(h->drawing);
	h->drawing = insp_html_drawing_create(table, &h->options);
	h->failed |= table->draw != INSP_DRAW_NONE && !h->drawing;
	h->rows = false;
}

static const char *cell_class(const struct insp_column *c)
{
	if (c->type == INSP_T_ADDR)
		return " class=\"n a\"";
	return insp_type_numeric(c->type) && !(c->flags & INSP_COL_LEFT) ? " class=\"n\"" : "";
}

static void table_head(struct html *h, const struct insp_table *table)
{
	insp_out_str(h->out, "<table><tr>");
	for (size_t i = 0; i < table->ncolumns; i++) {
		const struct insp_column *c = &table->columns[i];

		if (!c->title)
			continue;
		insp_out_str(h->out, "<th");
		insp_out_str(h->out, cell_class(c));
		insp_out_str(h->out, c->help ? " title=\"" : "");
		put(h, c->help ? c->help : "");
		insp_out_str(h->out, c->help ? "\">" : ">");
		put(h, c->title);
		insp_out_str(h->out, "</th>");
	}
	insp_out_str(h->out, "</tr>\n");
}

static void table_cell(struct html *h, const struct insp_column *c, const struct insp_value *v, unsigned depth)
{
	double part = v->kind == INSP_V_UNKNOWN ? 0 : c->type == INSP_T_BAR ? insp_value_f64(v) : 0;

	insp_out_str(h->out, "<td");
	insp_out_str(h->out, cell_class(c));
	insp_str_reset(&h->scratch);
	if (c->flags & INSP_COL_TREE)
		insp_str_addf(&h->scratch, " style=\"padding-left:%uem\"", depth);
	insp_str_addc(&h->scratch, '>');
	if (c->type == INSP_T_BAR)
		insp_str_addf(&h->scratch, "<span class=\"b\"><i style=\"width:%.1f%%\"></i></span>",
			      isfinite(part) ? 100 * (part < 0 ? 0 : part > 1 ? 1 : part) : 0);
	else
		insp_html_value(&h->scratch, &h->options, c->type, v);
	insp_str_add(&h->scratch, "</td>");
	insp_out_str(h->out, insp_str_text(&h->scratch));
}

static void row(void *state, const struct insp_table *table, const struct insp_value *cells, unsigned depth)
{
	struct html *h = state;

	if (h->drawing)
		insp_html_drawing_row(h->drawing, cells);
	if (table->draw == INSP_DRAW_MAP || table->draw == INSP_DRAW_LINES)
		return;
	if (!h->rows)
		table_head(h, table);
	h->rows = true;
	insp_out_str(h->out, "<tr>");
	for (size_t i = 0; i < table->ncolumns; i++)
		if (table->columns[i].title)
			table_cell(h, &table->columns[i], &cells[i], depth);
	insp_out_str(h->out, "</tr>\n");
}

static void close_table(struct html *h)
{
	if (h->rows)
		insp_out_str(h->out, "</table>\n");
	if (h->drawing)
		h->failed |= !insp_html_drawing_end(h->drawing, h->out);
	insp_html_drawing_destroy(h->drawing);
	h->drawing = NULL;
	h->rows = false;
}

static void table_end(void *state, const struct insp_table *table)
{
	struct html *h = state;

	if (!h->rows && !h->drawing && table->empty) {
		insp_out_str(h->out, "<p>");
		put(h, table->empty);
		insp_out_str(h->out, "</p>\n");
	}
	close_table(h);
}

static void table_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
		      const char *how)
{
	struct html *h = state;
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];

	(void)table;
	insp_out_str(h->out, "<p>first ");
	insp_out_str(h->out, insp_fmt_count(a, shown));
	insp_out_str(h->out, " of ");
	insp_out_str(h->out, insp_fmt_count(b, total));
	insp_out_str(h->out, how ? " shown; " : " shown");
	put(h, how ? how : "");
	insp_out_str(h->out, "</p>\n");
}

static void text(void *state, const char *key, const char *s)
{
	struct html *h = state;

	(void)key;
	block(h);
	insp_out_str(h->out, "<pre>");
	put(h, s);
	insp_out_str(h->out, "</pre>\n");
}

static void note(void *state, enum insp_severity severity, const char *code, const char *s)
{
	static const char *const classes[] = {
		[INSP_NOTE] = "note", [INSP_WARNING] = "warning", [INSP_CORRUPTION] = "corruption"};
	struct html *h = state;

	(void)code;
	block(h);
	insp_out_str(h->out, "<p class=\"");
	insp_out_str(h->out, classes[severity]);
	insp_out_str(h->out, "\">");
	put(h, s);
	insp_out_str(h->out, "</p>\n");
}

static void end(void *state, const struct insp_error *err)
{
	struct html *h = state;

	block(h);
	close_table(h);
	if (err)
		note(h, INSP_CORRUPTION, "error", err->msg);
	insp_out_str(h->out, "</body></html>\n");
	if ((h->failed || !insp_str_ok(&h->scratch)) && !h->out->err.code)
		(void)insp_fail(&h->out->err, INSP_E_NOMEM, "out of memory");
}

static void *open_html(struct insp_out *out, const struct insp_render_options *options)
{
	struct html *h = calloc(1, sizeof(*h));

	if (h) {
		h->out = out;
		h->options = *options;
		h->options.utf8 = true;
		h->options.color = false;
	}
	return h;
}

static void close_html(void *state)
{
	struct html *h = state;

	if (!h)
		return;
	insp_html_drawing_destroy(h->drawing);
	insp_str_deinit(&h->scratch);
	insp_str_deinit(&h->command);
	insp_str_deinit(&h->comm);
	free(h);
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

const struct insp_renderer insp_renderer_html = {
	.name = "html",
	.title = "a page that stands alone, with pictures",
	.suffix = "html",
	.envelope = true,
	.sink = &sink,
	.open = open_html,
	.close = close_html,
};
