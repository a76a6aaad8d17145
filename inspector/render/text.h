/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text: what the pieces of the text renderer share. Values become strings here, and only here;
 * the layout of tables is text_table.c, the document text.c.
 */
#ifndef INSP_RENDER_TEXT_H
#define INSP_RENDER_TEXT_H

#include "base/str.h"
#include "render/render.h"

/* Appends a value as people read it. Strings come out without anything that a terminal obeys. */
void insp_text_value(struct insp_str *str, const struct insp_render_options *options,
		     enum insp_type type, const struct insp_value *value);
/* A string, made safe; newlines stay when `lines`. */
void insp_text_safe(struct insp_str *str, const struct insp_render_options *options, const char *s,
		    bool lines);

struct insp_text_table;

/* Gives; NULL when memory is short. destroy accepts NULL. Rows are indented by indent columns. */
struct insp_text_table *insp_text_table_create(struct insp_out *out,
					       const struct insp_render_options *options,
					       const struct insp_table *table, unsigned indent);
/* False when the table has columns for machines only. */
bool insp_text_table_visible(const struct insp_text_table *t);
void insp_text_table_row(struct insp_text_table *t, const struct insp_value *cells, unsigned depth);
/* Writes what is left and the totals. False: there was no row, and nothing was written. */
bool insp_text_table_end(struct insp_text_table *t);
void insp_text_table_destroy(struct insp_text_table *t);

#define INSP_TEXT_BOLD	"\033[1m"
#define INSP_TEXT_DIM	"\033[2m"
#define INSP_TEXT_RED	"\033[1;31m"
#define INSP_TEXT_YELLOW "\033[33m"
#define INSP_TEXT_CYAN	"\033[36m"
#define INSP_TEXT_PLAIN	"\033[0m"

#endif
