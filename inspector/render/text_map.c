/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text_map: cells as characters, in the 256 colours that all terminals have, and without.
 *
 *     main     0x55d0c3a01000  ████▆▆▂▁····▁▁▁
 *
 * A row holds a power of two of cells, so that the addresses at its left are round.
 */
#include "render/text_map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_COLUMNS 100
#define ADDRESS_COLUMNS 14
#define LABEL_COLUMNS	9
#define LEVELS		9 /* 0: resident and empty, 8: full */

struct insp_text_map {
	struct insp_out *out;
	struct insp_render_options options;
	unsigned indent, columns, at; /* at: cells in the row so far */
	struct insp_str label, scratch;
	const char *color; /* that is on */
	bool any;
};

static const char *const blocks[LEVELS] = {"_", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii[LEVELS] = {"_", "1", "2", "3", "4", "5", "6", "7", "#"};
static const char *const colors[LEVELS] = {
	"\033[38;5;160m", "\033[38;5;196m", "\033[38;5;202m", "\033[38;5;208m", "\033[38;5;214m",
	"\033[38;5;220m", "\033[38;5;148m", "\033[38;5;70m",  "\033[38;5;34m",
};
static const char absent_color[] = "\033[38;5;240m";

struct insp_text_map *insp_text_map_create(struct insp_out *out, const struct insp_render_options *options,
					   unsigned indent)
{
	struct insp_text_map *m = calloc(1, sizeof(*m));
	unsigned width = options->width ? options->width : DEFAULT_COLUMNS, fixed;

	if (!m)
		return NULL;
	m->out = out;
	m->options = *options;
	m->indent = indent;
	fixed = indent + LABEL_COLUMNS + 1 + ADDRESS_COLUMNS + 2;
	for (m->columns = 16; m->columns * 2 + fixed <= width;)
		m->columns *= 2;
	return m;
}

static void color(struct insp_text_map *m, const char *sequence)
{
	if (!m->options.color || m->color == sequence)
		return;
	insp_out_str(m->out, sequence ? sequence : INSP_TEXT_PLAIN);
	m->color = sequence;
}

static void row_end(struct insp_text_map *m)
{
	if (!m->at)
		return;
	color(m, NULL);
	insp_out_addc(m->out, '\n');
	m->at = 0;
}

static void row_begin(struct insp_text_map *m, uint64_t addr, bool labelled)
{
	const char *label = labelled ? insp_str_text(&m->label) : "";
	size_t n = strlen(label);

	insp_out_pad(m->out, ' ', m->indent);
	insp_out_str(m->out, label);
	insp_out_pad(m->out, ' ', n < LABEL_COLUMNS ? LABEL_COLUMNS - n + 1 : 1);
	insp_str_reset(&m->scratch);
	insp_str_addf(&m->scratch, "%#" PRIx64, addr);
	insp_out_str(m->out, insp_str_text(&m->scratch));
	insp_out_pad(m->out, ' ', m->scratch.len < ADDRESS_COLUMNS ? ADDRESS_COLUMNS - m->scratch.len + 2 : 2);
}

/* 0 is kept for nothing in use, and the last for all. */
static unsigned level(double fill)
{
	if (!(fill > 0))
		return 0;
	return fill >= 0.999 ? LEVELS - 1 : 1 + (unsigned)(fill * (LEVELS - 2));
}

static void sign(struct insp_text_map *m, const struct insp_value *fill)
{
	unsigned l;

	if (fill->kind == INSP_V_UNKNOWN) {
		color(m, absent_color);
		insp_out_str(m->out, m->options.utf8 ? "·" : ".");
		return;
	}
	l = level(insp_value_f64(fill));
	color(m, colors[l]);
	insp_out_str(m->out, (m->options.utf8 ? blocks : ascii)[l]);
}

void insp_text_map_cell(struct insp_text_map *m, const struct insp_value *cells)
{
	bool same;

	insp_str_reset(&m->scratch);
	insp_text_value(&m->scratch, &m->options, INSP_T_STR, &cells[0]);
	same = m->any && strcmp(insp_str_text(&m->scratch), insp_str_text(&m->label)) == 0;
	if (!same) {
		row_end(m);
		insp_str_reset(&m->label);
		insp_str_add(&m->label, insp_str_text(&m->scratch));
	}
	if (m->at == m->columns)
		row_end(m);
	if (!m->at)
		row_begin(m, insp_value_u64(&cells[1]), !same);
	m->any = true;
	sign(m, &cells[3]);
	m->at++;
}

bool insp_text_map_end(struct insp_text_map *m)
{
	static const struct {
		double fill;
		const char *meaning;
	} legend[] = {{1, "all in use"},
		      {0.5, "half"},
		      {0.05, "almost free"},
		      {0, "free, resident"}};

	row_end(m);
	if (!m->any)
		return false;
	insp_out_pad(m->out, ' ', m->indent);
	for (size_t i = 0; i < sizeof(legend) / sizeof(legend[0]); i++) {
		struct insp_value v = {.kind = INSP_V_F64, .f64 = legend[i].fill};

		sign(m, &v);
		color(m, NULL);
		insp_out_addc(m->out, ' ');
		insp_out_str(m->out, legend[i].meaning);
		insp_out_str(m->out, "   ");
	}
	sign(m, &(struct insp_value){.kind = INSP_V_UNKNOWN});
	color(m, NULL);
	insp_out_str(m->out, " not in memory\n");
	return true;
}

void insp_text_map_destroy(struct insp_text_map *m)
{
	if (!m)
		return;
	insp_str_deinit(&m->label);
	insp_str_deinit(&m->scratch);
	free(m);
}
