/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * html: what the pieces of the HTML renderer share; pictures are html_draw.c, the page html.c.
 */
#ifndef INSP_RENDER_HTML_H
#define INSP_RENDER_HTML_H

#include "base/str.h"
#include "render/render.h"
#include "render/text.h"

/* Appends text with &, <, > and quotes replaced, and nothing that is no UTF-8. */
void insp_html_text(struct insp_str *str, const char *s);
/* A value as the text renderer shows it, escaped. */
void insp_html_value(struct insp_str *str, const struct insp_render_options *options, enum insp_type type,
		     const struct insp_value *value);

/* A picture that is being made of a table's rows. */
struct insp_html_drawing;

/* NULL: the table is not drawn, or memory is short. destroy accepts NULL. */
struct insp_html_drawing *insp_html_drawing_create(const struct insp_table *table,
						   const struct insp_render_options *options);
void insp_html_drawing_row(struct insp_html_drawing *d, const struct insp_value *cells);
/* Writes the SVG. False: memory was short. */
bool insp_html_drawing_end(struct insp_html_drawing *d, struct insp_out *out);
void insp_html_drawing_destroy(struct insp_html_drawing *d);

/* Lines over time; a picture each time the label changes. */
struct insp_html_lines;

struct insp_html_lines *insp_html_lines_create(const struct insp_table *table,
					       const struct insp_render_options *options);
void insp_html_lines_row(struct insp_html_lines *l, const struct insp_value *cells);
/* Writes the pictures. False: memory was short. */
bool insp_html_lines_end(struct insp_html_lines *l, struct insp_out *out);
void insp_html_lines_destroy(struct insp_html_lines *l);

#endif
