/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * json: one object a command, on one line, so that several commands give JSON Lines.
 *
 * Addresses are strings ("0x7f...": a 64-bit integer would lose bits in many readers), all other
 * integers raw. Bytes that are no UTF-8 become U+FFFD. A table is an array of objects with the
 * column keys as names. Notes are gathered and come last, as "notes": [{severity, code, text}].
 * A document that ended early has "error" and is still well-formed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "render/render.h"

#define JSON_DEPTH_MAX 32

struct json {
	struct insp_out *out;
	unsigned depth;
	bool begun;			 /* the outer brace is out */
	bool comma[JSON_DEPTH_MAX];	 /* something precedes at this level */
	char closer[JSON_DEPTH_MAX];	 /* '}' or ']' */
	struct insp_str notes;		 /* rendered members of "notes" */
	struct insp_str keys;		 /* of the open table: {"a":  ,"b":  one behind the other */
	size_t *key_ends;		 /* where each ends in keys; [key_cap] */
	size_t key_cap;
};

static void write_str(void *ctx, const char *s, size_t n)
{
	insp_out_add(ctx, s, n);
}

static void append_str(void *ctx, const char *s, size_t n)
{
	insp_str_addn(ctx, s, n);
}

/* A quoted JSON string through put: to the output or to the notes. */
static void json_quote(void (*put)(void *ctx, const char *s, size_t n), void *ctx, const char *s)
{
	size_t n = strlen(s), start = 0, i = 0;

	put(ctx, "\"", 1);
	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		char escaped[8];
		uint32_t u;
		size_t len = 1;

		if (c >= 0x20 && c != '"' && c != '\\' && c < 0x7f) {
			i++;
			continue;
		}
		if (c >= 0x80) {
			len = insp_utf8_decode(s + i, n - i, &u);
			if (u != UINT32_MAX) {
				i += len;
				continue;
			}
		}
		put(ctx, s + start, i - start);
		if (c >= 0x80)
			put(ctx, "\xef\xbf\xbd", 3);
		else if (c == '"' || c == '\\')
			put(ctx, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\%c", c));
		else if (c == '\n')
			put(ctx, "\\n", 2);
		else if (c == '\t')
			put(ctx, "\\t", 2);
		else
			put(ctx, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c));
		i += len;
		start = i;
	}
	put(ctx, s + start, n - start);
	put(ctx, "\"", 1);
}

static void json_open(struct json *j, char opener, char closer)
{
	insp_out_addc(j->out, opener);
	j->depth++;
	j->comma[j->depth] = false;
	j->closer[j->depth] = closer;
}

static void json_close(struct json *j)
{
	insp_out_addc(j->out, j->closer[j->depth]);
	j->depth--;
}

static void json_start(struct json *j)
{
	if (j->begun)
		return;
	j->begun = true;
	json_open(j, '{', '}');
}

/* The comma, and the key unless we are in a list. */
static void json_key(struct json *j, const char *key)
{
	json_start(j);
	if (j->comma[j->depth])
		insp_out_add(j->out, ",", 1);
	j->comma[j->depth] = true;
	if (key) {
		insp_out_add(j->out, "\"", 1);
		insp_out_str(j->out, key);
		insp_out_add(j->out, "\":", 2);
	}
}

static void json_f64(struct insp_out *out, double v)
{
	char buf[40];

	if (!isfinite(v))
		insp_out_str(out, "null");
	else
		insp_out_add(out, buf, (size_t)snprintf(buf, sizeof(buf), "%.9g", v));
}

/* A string of a cell: mostly plain and short. */
static void json_string(struct insp_out *out, const char *s)
{
	size_t n = 0;

	while ((unsigned char)s[n] >= 0x20 && (unsigned char)s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	if (s[n]) {
		json_quote(write_str, out, s);
		return;
	}
	insp_out_addc(out, '"');
	insp_out_add(out, s, n);
	insp_out_addc(out, '"');
}

static void json_value(struct json *j, enum insp_type type, const struct insp_value *v)
{
	switch (v->kind) {
	case INSP_V_UNKNOWN:
		insp_out_str(j->out, "null");
		break;
	case INSP_V_STR:
		json_string(j->out, v->str);
		break;
	case INSP_V_U64:
		if (type == INSP_T_ADDR) {
			insp_out_addc(j->out, '"');
			insp_out_hex(j->out, v->u64);
			insp_out_addc(j->out, '"');
		} else {
			insp_out_u64(j->out, v->u64);
		}
		break;
	case INSP_V_I64:
		insp_out_i64(j->out, v->i64);
		break;
	case INSP_V_F64:
		json_f64(j->out, v->f64);
		break;
	case INSP_V_BOOL:
		insp_out_str(j->out, v->b ? "true" : "false");
		break;
	}
}

static void object_begin(void *state, const char *key, const char *title)
{
	struct json *j = state;

	(void)title;
	json_key(j, key);
	json_open(j, '{', '}');
}

static void list_begin(void *state, const char *key, const char *title)
{
	struct json *j = state;

	(void)title;
	json_key(j, key);
	json_open(j, '[', ']');
}

static void level_end(void *state)
{
	json_close(state);
}

static void field(void *state, const char *key, const char *title, enum insp_type type,
		  const struct insp_value *value)
{
	struct json *j = state;

	(void)title;
	json_key(j, key);
	json_value(j, type, value);
}

/* The text in front of each cell is the same for every row: made once. */
static void table_begin(void *state, const struct insp_table *table)
{
	struct json *j = state;

	list_begin(state, table->key, NULL);
	if (table->ncolumns > j->key_cap) {
		size_t *ends = realloc(j->key_ends, table->ncolumns * sizeof(*ends));

		if (!ends) {
			j->keys.failed = true;
			return;
		}
		j->key_ends = ends;
		j->key_cap = table->ncolumns;
	}
	insp_str_reset(&j->keys);
	for (size_t i = 0; i < table->ncolumns; i++) {
		insp_str_addf(&j->keys, "%c\"%s\":", i ? ',' : '{', table->columns[i].key);
		j->key_ends[i] = j->keys.len;
	}
}

static void row(void *state, const struct insp_table *table, const struct insp_value *cells,
		unsigned depth)
{
	struct json *j = state;
	bool tree = false;
	size_t start = 0;

	if (!insp_str_ok(&j->keys))
		return;
	json_key(j, NULL);
	for (size_t i = 0; i < table->ncolumns; i++) {
		insp_out_add(j->out, j->keys.s + start, j->key_ends[i] - start);
		start = j->key_ends[i];
		json_value(j, table->columns[i].type, &cells[i]);
		tree |= (table->columns[i].flags & INSP_COL_TREE) != 0;
	}
	if (tree) {
		insp_out_str(j->out, ",\"depth\":");
		insp_out_u64(j->out, depth);
	}
	insp_out_addc(j->out, '}');
}

static void table_end(void *state, const struct insp_table *table)
{
	(void)table;
	json_close(state);
}

static void json_suffixed(struct json *j, const char *key, const char *suffix, uint64_t value)
{
	json_key(j, NULL);
	insp_out_addc(j->out, '"');
	insp_out_str(j->out, key);
	insp_out_str(j->out, suffix);
	insp_out_str(j->out, "\":");
	insp_out_u64(j->out, value);
}

static void table_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
		      const char *how)
{
	(void)how;
	json_suffixed(state, table->key, "_shown", shown);
	json_suffixed(state, table->key, "_total", total);
}

static void text(void *state, const char *key, const char *s)
{
	struct json *j = state;

	if (!key)
		return;
	json_key(j, key);
	json_quote(write_str, j->out, s);
}

static const char *severity_key(enum insp_severity severity)
{
	return severity == INSP_CORRUPTION ? "corruption" : severity == INSP_WARNING ? "warning" : "note";
}

static void note(void *state, enum insp_severity severity, const char *code, const char *s)
{
	struct json *j = state;

	insp_str_addf(&j->notes, "%s{\"severity\":\"%s\",\"code\":", j->notes.len ? "," : "",
		      severity_key(severity));
	json_quote(append_str, &j->notes, code ? code : "");
	insp_str_add(&j->notes, ",\"text\":");
	json_quote(append_str, &j->notes, s);
	insp_str_addc(&j->notes, '}');
}

static void end(void *state, const struct insp_error *err)
{
	struct json *j = state;

	json_start(j);
	while (j->depth > 1)
		json_close(j);
	json_key(j, "notes");
	insp_out_addc(j->out, '[');
	insp_out_add(j->out, insp_str_text(&j->notes), j->notes.len);
	insp_out_addc(j->out, ']');
	if (err) {
		json_key(j, "error");
		json_quote(write_str, j->out, err->msg);
	}
	json_close(j);
	insp_out_addc(j->out, '\n');
	if ((!insp_str_ok(&j->keys) || !insp_str_ok(&j->notes)) && !j->out->err.code)
		(void)insp_fail(&j->out->err, INSP_E_NOMEM, "out of memory");
}

static void *open_json(struct insp_out *out, const struct insp_render_options *options)
{
	struct json *j = calloc(1, sizeof(*j));

	(void)options;
	if (j)
		j->out = out;
	return j;
}

static void close_json(void *state)
{
	struct json *j = state;

	if (!j)
		return;
	insp_str_deinit(&j->notes);
	insp_str_deinit(&j->keys);
	free(j->key_ends);
	free(j);
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

const struct insp_renderer insp_renderer_json = {
	.name = "json",
	.title = "one JSON object a command, on one line; integers raw, addresses as strings",
	.suffix = "json",
	.envelope = true,
	.sink = &sink,
	.open = open_json,
	.close = close_json,
};
