/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/profile_sink.h"

#include <stdlib.h>

void *insp_profile_state_open(struct insp_out *out, const struct insp_render_options *options)
{
	struct insp_profile_state *s = calloc(1, sizeof(*s));

	(void)options;
	if (s)
		s->out = out;
	return s;
}

void insp_profile_state_close(void *state)
{
	free(state);
}

void insp_profile_skip(void *state)
{
	(void)state;
}

void insp_profile_skip_begin(void *state, const char *key, const char *title)
{
	(void)state, (void)key, (void)title;
}

void insp_profile_skip_field(void *state, const char *key, const char *title, enum insp_type type,
			     const struct insp_value *value)
{
	(void)state, (void)key, (void)title, (void)type, (void)value;
}

void insp_profile_skip_table(void *state, const struct insp_table *table)
{
	(void)state, (void)table;
}

void insp_profile_skip_row(void *state, const struct insp_table *table, const struct insp_value *cells,
			   unsigned depth)
{
	(void)state, (void)table, (void)cells, (void)depth;
}

void insp_profile_skip_cut(void *state, const struct insp_table *table, uint64_t shown, uint64_t total,
			   const char *how)
{
	(void)state, (void)table, (void)shown, (void)total, (void)how;
}

void insp_profile_skip_text(void *state, const char *key, const char *text)
{
	(void)state, (void)key, (void)text;
}

void insp_profile_skip_note(void *state, enum insp_severity severity, const char *code, const char *text)
{
	(void)state, (void)severity, (void)code, (void)text;
}

void insp_profile_skip_end(void *state, const struct insp_error *err)
{
	(void)state, (void)err;
}
