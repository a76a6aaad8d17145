/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text_map: a table of cells (INSP_DRAW_MAP) as rows of characters.
 */
#ifndef INSP_RENDER_TEXT_MAP_H
#define INSP_RENDER_TEXT_MAP_H

#include "render/text.h"

struct insp_text_map;

/* Gives; NULL when memory is short. destroy accepts NULL. */
struct insp_text_map *insp_text_map_create(struct insp_out *out, const struct insp_render_options *options,
					   unsigned indent);
void insp_text_map_cell(struct insp_text_map *m, const struct insp_value *cells);
/* Ends the last row and explains the signs. False: there was no cell. */
bool insp_text_map_end(struct insp_text_map *m);
void insp_text_map_destroy(struct insp_text_map *m);

#endif
