/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csv: RFC 4180 quoting, a header line before each table, LF at the end of lines so that awk and
 * cut see no stray carriage return.
 *
 * A document is a tree and CSV is not, so:
 *   - tables are what is written; a second table with other columns follows after an empty line;
 *   - inside a list, the scalar fields that an item showed before its table are put in front of
 *     each row ("tid,state,function,..."); an item without a table is a row of its own;
 *   - fields outside of lists are written, as lines of key,value, only when there is no table.
 * Notes are for people and for JSON; they are left out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "render/render.h"

#define CSV_DEPTH_MAX 32

struct pair {
	char *key, *value; /* value is already quoted */
	unsigned depth;	   /* of the object that it belongs to */
};

struct level {
	bool list;	  /* else an object */
	bool item;	  /* an object in a list */
	bool wrote;	  /* item: a table inside has written its fields */
	size_t path_len, base; /* csv.path and csv.base before this level */
};

struct csv {
	struct insp_out *out;
	unsigned depth;
	unsigned items; /* open levels that are items */
	struct level levels[CSV_DEPTH_MAX];
	struct insp_str path;	/* "usage.cgroup." of nested objects */
	size_t base;		/* where it starts for the current item */
	INSP_VEC(struct pair) prefix; /* scalar fields of the open items */
	INSP_VEC(struct pair) fields; /* of the document, in case no table comes */
	struct insp_str header, last_header, prefix_text;
	bool wrote;
	bool failed; /* memory */
};

/* Characters that make quotes necessary; the end of the string stops the scan, too. */
static const bool special[256] = {['\0'] = true, [','] = true, ['"'] = true, ['\r'] = true, ['\n'] = true};

static void quoted(struct insp_out *out, const char *s)
{
	size_t n = 0;

	while (!special[(unsigned char)s[n]])
		n++;
	if (!s[n] && (n == 0 || (s[0] != ' ' && s[n - 1] != ' '))) {
		insp_out_add(out, s, n);
		return;
	}
	insp_out_addc(out, '"');
	for (; *s; s++) {
		if (*s == '"')
			insp_out_addc(out, '"');
		insp_out_addc(out, *s);
	}
	insp_out_addc(out, '"');
}

static void write_value(struct insp_out *out, enum insp_type type, const struct insp_value *v)
{
	char buf[40];

	switch (v->kind) {
	case INSP_V_UNKNOWN:
		break;
	case INSP_V_STR:
		quoted(out, v->str);
		break;
	case INSP_V_U64:
		if (type == INSP_T_ADDR)
			insp_out_hex(out, v->u64);
		else
			insp_out_u64(out, v->u64);
		break;
	case INSP_V_I64:
		insp_out_i64(out, v->i64);
		break;
	case INSP_V_F64:
		if (isfinite(v->f64))
			insp_out_add(out, buf,
				     (size_t)snprintf(buf, sizeof(buf), "%.9g", v->f64));
		break;
	case INSP_V_BOOL:
		insp_out_str(out, v->b ? "true" : "false");
		break;
	}
}

static int into_str(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	(void)err;
	insp_str_addn(ctx, bytes, n);
	return 0;
}

/* Keeps a field for later; vec is prefix or fields. */
static void keep(struct csv *c, struct pair *slot, const char *key, enum insp_type type,
		 const struct insp_value *value)
{
	struct insp_str text = {0}, name = {0};
	struct insp_out out;

	if (!slot) {
		c->failed = true;
		return;
	}
	insp_out_init(&out, into_str, &text);
	write_value(&out, type, value);
	c->failed |= insp_out_flush(&out, NULL) != 0;
	insp_out_deinit(&out);
	insp_str_add(&text, "");
	insp_str_add(&name, insp_str_text(&c->path) + c->base);
	insp_str_add(&name, key);
	c->failed |= !insp_str_ok(&text) || !insp_str_ok(&name);
	*slot = (struct pair){.key = name.s, .value = text.s, .depth = c->depth};
}

static void field(void *state, const char *key, const char *title, enum insp_type type,
		  const struct insp_value *value)
{
	struct csv *c = state;

	(void)title;
	if (c->items)
		keep(c, insp_vec_push(&c->prefix), key, type, value);
	else if (!c->wrote)
		keep(c, insp_vec_push(&c->fields), key, type, value);
}

static void text(void *state, const char *key, const char *s)
{
	struct insp_value v = {.kind = INSP_V_STR, .str = s};

	if (key)
		field(state, key, NULL, INSP_T_STR, &v);
}

/* Writes c->header unless the last table had the same, and the prefix of the rows to come. */
static void header_out(struct csv *c)
{
	bool same = c->last_header.len == c->header.len &&
		    strcmp(insp_str_text(&c->last_header), insp_str_text(&c->header)) == 0;

	insp_str_reset(&c->prefix_text);
	insp_vec_each(&c->prefix, p) {
		insp_str_add(&c->prefix_text, p->value ? p->value : "");
		insp_str_addc(&c->prefix_text, ',');
	}
	for (unsigned i = 0; i < c->depth; i++)
		c->levels[i].wrote = true;
	if (same && c->wrote)
		return;
	if (c->wrote)
		insp_out_addc(c->out, '\n');
	c->wrote = true;
	insp_out_str(c->out, insp_str_text(&c->header));
	insp_out_addc(c->out, '\n');
	insp_str_reset(&c->last_header);
	insp_str_add(&c->last_header, insp_str_text(&c->header));
}

static void header_keys(struct csv *c)
{
	insp_str_reset(&c->header);
	insp_vec_each(&c->prefix, p)
		insp_str_addf(&c->header, "%s%s", c->header.len ? "," : "", p->key ? p->key : "");
}

static void table_begin(void *state, const struct insp_table *table)
{
	struct csv *c = state;

	header_keys(c);
	for (size_t i = 0; i < table->ncolumns; i++)
		insp_str_addf(&c->header, "%s%s", c->header.len ? "," : "", table->columns[i].key);
	header_out(c);
}

static void row(void *state, const struct insp_table *table, const struct insp_value *cells,
		unsigned depth)
{
	struct csv *c = state;

	(void)depth;
	if (c->prefix_text.len)
		insp_out_add(c->out, c->prefix_text.s, c->prefix_text.len);
	for (size_t i = 0; i < table->ncolumns; i++) {
		if (i)
			insp_out_add(c->out, ",", 1);
		write_value(c->out, table->columns[i].type, &cells[i]);
	}
	insp_out_add(c->out, "\n", 1);
}

static void table_end(void *state, const struct insp_table *table)
{
	(void)state;
	(void)table;
}

static void table_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
		      const char *how)
{
	(void)state;
	(void)table;
	(void)shown;
	(void)total;
	(void)how;
}

static void push(struct csv *c, bool list, const char *key)
{
	struct level *l = &c->levels[c->depth];

	*l = (struct level){.list = list, .path_len = c->path.len, .base = c->base};
	l->item = !list && c->depth && c->levels[c->depth - 1].list;
	c->items += l->item;
	if (l->item)
		c->base = c->path.len;
	else if (!list && key)
		insp_str_addf(&c->path, "%s.", key);
	c->depth++;
}

static void object_begin(void *state, const char *key, const char *title)
{
	(void)title;
	push(state, false, key);
}

static void list_begin(void *state, const char *key, const char *title)
{
	(void)title;
	push(state, true, key);
}

static void pair_free(struct pair *p)
{
	free(p->key);
	free(p->value);
}

static void level_end(void *state)
{
	struct csv *c = state;
	struct level *l = &c->levels[c->depth - 1];

	if (l->item && !l->wrote && c->prefix.n) {
		header_keys(c);
		header_out(c);
		/* The last field has no comma behind it. */
		insp_out_add(c->out, insp_str_text(&c->prefix_text), c->prefix_text.len - 1);
		insp_out_addc(c->out, '\n');
	}
	if (l->item) {
		c->items--;
		while (c->prefix.n && c->prefix.items[c->prefix.n - 1].depth >= c->depth)
			pair_free(&c->prefix.items[--c->prefix.n]);
	}
	if (c->path.s) {
		c->path.len = l->path_len;
		c->path.s[c->path.len] = '\0';
	}
	c->base = l->base;
	c->depth--;
}

static void note(void *state, enum insp_severity severity, const char *code, const char *s)
{
	(void)state;
	(void)severity;
	(void)code;
	(void)s;
}

static void end(void *state, const struct insp_error *err)
{
	struct csv *c = state;

	if (c->failed || !insp_str_ok(&c->header) || !insp_str_ok(&c->prefix_text)) {
		if (!c->out->err.code)
			(void)insp_fail(&c->out->err, INSP_E_NOMEM, "out of memory");
		return;
	}
	if (err || c->wrote || !c->fields.n)
		return;
	insp_out_str(c->out, "key,value\n");
	insp_vec_each(&c->fields, p) {
		insp_out_str(c->out, p->key);
		insp_out_addc(c->out, ',');
		insp_out_str(c->out, p->value ? p->value : "");
		insp_out_addc(c->out, '\n');
	}
}

static void *open_csv(struct insp_out *out, const struct insp_render_options *options)
{
	struct csv *c = calloc(1, sizeof(*c));

	(void)options;
	if (c)
		c->out = out;
	return c;
}

static void close_csv(void *state)
{
	struct csv *c = state;

	if (!c)
		return;
	insp_vec_each(&c->prefix, p)
		pair_free(p);
	insp_vec_each(&c->fields, f)
		pair_free(f);
	insp_vec_free(&c->prefix);
	insp_vec_free(&c->fields);
	insp_str_deinit(&c->path);
	insp_str_deinit(&c->header);
	insp_str_deinit(&c->last_header);
	insp_str_deinit(&c->prefix_text);
	free(c);
}

static const struct insp_sink sink = {
	.object_begin = object_begin,
	.object_end = level_end,
	.list_begin = list_begin,
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

const struct insp_renderer insp_renderer_csv = {
	.name = "csv",
	.title = "tables with a header line, RFC 4180 quoting",
	.suffix = "csv",
	.sink = &sink,
	.open = open_csv,
	.close = close_csv,
};
