/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * profile_sink: what the renderers of profiles have in common: of a report they take the profile and
 * nothing else.
 */
#ifndef INSP_RENDER_PROFILE_SINK_H
#define INSP_RENDER_PROFILE_SINK_H

#include "render/render.h"
#include "report/profile.h"

/* The state of all of them. */
struct insp_profile_state {
	struct insp_out *out;
};

void *insp_profile_state_open(struct insp_out *out, const struct insp_render_options *options);
void insp_profile_state_close(void *state);

/* Slots that do nothing. */
void insp_profile_skip(void *state);
void insp_profile_skip_begin(void *state, const char *key, const char *title);
void insp_profile_skip_field(void *state, const char *key, const char *title, enum insp_type type,
			     const struct insp_value *value);
void insp_profile_skip_table(void *state, const struct insp_table *table);
void insp_profile_skip_row(void *state, const struct insp_table *table, const struct insp_value *cells,
			   unsigned depth);
void insp_profile_skip_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
			   const char *how);
void insp_profile_skip_text(void *state, const char *key, const char *text);
void insp_profile_skip_note(void *state, enum insp_severity severity, const char *code,
			    const char *text);
void insp_profile_skip_end(void *state, const struct insp_error *err);

#define INSP_PROFILE_SINK(fn)                            \
	{                                                \
		.object_begin = insp_profile_skip_begin, \
		.object_end = insp_profile_skip,         \
		.list_begin = insp_profile_skip_begin,   \
		.list_end = insp_profile_skip,           \
		.field = insp_profile_skip_field,        \
		.table_begin = insp_profile_skip_table,  \
		.row = insp_profile_skip_row,            \
		.table_end = insp_profile_skip_table,    \
		.table_cut = insp_profile_skip_cut,      \
		.text = insp_profile_skip_text,          \
		.note = insp_profile_skip_note,          \
		.profile = fn,                           \
		.end = insp_profile_skip_end,            \
	}

#endif
