/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/recent.h"

static void record(struct insp_recent *r, enum insp_type type, const struct insp_value *v)
{
	if (!r->left || type != INSP_T_ADDR || v->kind != INSP_V_U64 || !v->u64)
		return;
	r->left--;
	r->items[r->next] = v->u64;
	r->next = (r->next + 1) % INSP_RECENT_MAX;
	if (r->n < INSP_RECENT_MAX)
		r->n++;
}

uint64_t insp_recent_get(const struct insp_recent *recent, size_t i)
{
	return recent->items[(recent->next + INSP_RECENT_MAX - 1 - i) % INSP_RECENT_MAX];
}

static void object_begin(void *state, const char *key, const char *title)
{
	struct insp_recent *r = state;

	r->sink->object_begin(r->state, key, title);
}

static void object_end(void *state)
{
	struct insp_recent *r = state;

	r->sink->object_end(r->state);
}

static void list_begin(void *state, const char *key, const char *title)
{
	struct insp_recent *r = state;

	r->sink->list_begin(r->state, key, title);
}

static void list_end(void *state)
{
	struct insp_recent *r = state;

	r->sink->list_end(r->state);
}

static void field(void *state, const char *key, const char *title, enum insp_type type,
		  const struct insp_value *value)
{
	struct insp_recent *r = state;

	record(r, type, value);
	r->sink->field(r->state, key, title, type, value);
}

static void table_begin(void *state, const struct insp_table *table)
{
	struct insp_recent *r = state;

	r->sink->table_begin(r->state, table);
}

static void row(void *state, const struct insp_table *table, const struct insp_value *cells,
		unsigned depth)
{
	struct insp_recent *r = state;

	for (size_t i = 0; r->left && i < table->ncolumns; i++)
		record(r, table->columns[i].type, &cells[i]);
	r->sink->row(r->state, table, cells, depth);
}

static void table_end(void *state, const struct insp_table *table)
{
	struct insp_recent *r = state;

	r->sink->table_end(r->state, table);
}

static void table_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
		      const char *how)
{
	struct insp_recent *r = state;

	r->sink->table_cut(r->state, table, shown, total, how);
}

static void text(void *state, const char *key, const char *s)
{
	struct insp_recent *r = state;

	r->sink->text(r->state, key, s);
}

static void note(void *state, enum insp_severity severity, const char *code, const char *s)
{
	struct insp_recent *r = state;

	r->sink->note(r->state, severity, code, s);
}

static int profile(void *state, const struct insp_profile *p, struct insp_error *err)
{
	struct insp_recent *r = state;

	return r->sink->profile ? r->sink->profile(r->state, p, err) : 1;
}

static void end(void *state, const struct insp_error *err)
{
	struct insp_recent *r = state;

	r->sink->end(r->state, err);
}

static const struct insp_sink recording = {
	.object_begin = object_begin,
	.object_end = object_end,
	.list_begin = list_begin,
	.list_end = list_end,
	.field = field,
	.table_begin = table_begin,
	.row = row,
	.table_end = table_end,
	.table_cut = table_cut,
	.text = text,
	.note = note,
	.profile = profile,
	.end = end,
};

const struct insp_sink *insp_recent_begin(struct insp_recent *recent, const struct insp_sink *sink,
					  void *state)
{
	recent->sink = sink;
	recent->state = state;
	recent->left = INSP_RECENT_OF_COMMAND;
	return &recording;
}
