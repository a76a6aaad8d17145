/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * report: what a command has to say, as typed data.
 *
 * A command calls these functions in order and knows nothing about formats; a renderer
 * (render/render.h) gets the same events and writes text, JSON or CSV while they come, so a table
 * of ten million rows never lies in memory. Keys are the JSON names: stable, snake_case, raw
 * units. Titles are for people.
 *
 * The document is a tree. At the top and inside an object there may be, in any order:
 *     field    key = value
 *     object   a group of fields (and more), with a key
 *     list     of objects, with a key
 *     table    rows of the same columns, with a key
 *     text     a paragraph; note: a remark with a severity
 *
 * Sticky: after the first failure (disk full, pipe closed, Ctrl-C) the calls do nothing, and
 * insp_report_end returns the failure. Long loops ask insp_report_failed() to stop early.
 */
#ifndef INSP_REPORT_REPORT_H
#define INSP_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/finding.h"

enum insp_type {
	INSP_T_STR,	 /* text; JSON string */
	INSP_T_ADDR,	 /* uint64: 0x... in text and in JSON a string "0x55..." */
	INSP_T_BYTES,	 /* uint64: 1.21 GiB; JSON integer */
	INSP_T_COUNT,	 /* uint64: 1,234 */
	INSP_T_ID,	 /* int64 without grouping: pid, line number */
	INSP_T_DELTA,	 /* int64 bytes with sign: +1.21 MiB */
	INSP_T_DELTA_COUNT, /* int64 with sign */
	INSP_T_RATIO,	 /* double 0..1, shown as a percentage; JSON number */
	INSP_T_FACTOR,	 /* double, shown as 2.4x */
	INSP_T_DURATION, /* uint64 ns: 4.10 ms; JSON integer, key ends in _ns */
	INSP_T_TIME,	 /* uint64 ns since 1970: local time; JSON integer, key ends in _ns */
	INSP_T_BOOL,
	INSP_T_BAR,	 /* double 0..1: a bar in text, number in JSON */
};

enum insp_column_flags {
	INSP_COL_WRAP = 1 << 0,	 /* may be cut in text when the terminal is narrow */
	INSP_COL_WIDE = 1 << 1,	 /* text shows it with --wide only; JSON and CSV always */
	INSP_COL_LEFT = 1 << 2,	 /* left aligned although it is a number */
	INSP_COL_TOTAL = 1 << 3, /* text adds a line of totals under the table */
	INSP_COL_TREE = 1 << 4,	 /* STR: indented by insp_row_depth */
	INSP_COL_SPARE =
		1 << 5, /* text leaves it out where the line would be too long for the terminal */
	INSP_COL_FOLD = 1 << 6,	 /* with WRAP, the last column: goes on below instead of being cut */
};

/* title NULL: for machines only, text does not show it. Where all that text shows have "", there
   is no header line. */
struct insp_column {
	const char *key, *title;
	enum insp_type type;
	uint32_t flags;
	const char *help; /* one line, for the documentation of the JSON */
};

/* How a renderer that can draw shows a table; to the others it is one like any other. */
enum insp_drawing {
	INSP_DRAW_NONE,
	/* Cells in rows: columns 0 to 3 are the row's label, the address, the size in bytes, and
	   how full it is (0..1; unknown: nothing there). Rows with the same label follow each
	   other. */
	INSP_DRAW_MAP,
	/* The table, and a treemap of its first column with a title by the first one of bytes. */
	INSP_DRAW_TREEMAP,
	/* Lines over time, instead of the table: column 0 is the picture's label (rows of the same
	   one follow each other, in order of time), 1 the time, each one of bytes a line, called by
	   its key. */
	INSP_DRAW_LINES,
};

struct insp_table {
	const char *key, *title; /* title NULL: no heading */
	const struct insp_column *columns;
	size_t ncolumns;
	const char *empty;	 /* what text says when there are no rows; NULL: nothing at all */
	enum insp_drawing draw;
};

#define INSP_TABLE(k, t, cols, e)                                           \
	{                                                                   \
		.key = k, .title = t, .columns = cols,                      \
		.ncolumns = sizeof(cols) / sizeof((cols)[0]), .empty = e    \
	}

struct insp_report;

bool insp_report_failed(const struct insp_report *r);

void insp_object_begin(struct insp_report *r, const char *key, const char *title);
void insp_object_end(struct insp_report *r);
/* In a list, objects have key NULL; title is the heading of the item in text. */
void insp_list_begin(struct insp_report *r, const char *key, const char *title);
void insp_list_end(struct insp_report *r);

/* One field. `unknown` gives null in JSON and "-" in text. str NULL is unknown, too. */
void insp_field_str(struct insp_report *r, const char *key, const char *title, const char *value);
void insp_field_u64(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		    uint64_t value);
void insp_field_i64(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		    int64_t value);
void insp_field_f64(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		    double value);
void insp_field_bool(struct insp_report *r, const char *key, const char *title, bool value);
void insp_field_unknown(struct insp_report *r, const char *key, const char *title);
/* A field that only machines want: JSON and CSV show it, text does not. Any insp_field_* call
   with title NULL does this. */

/* A table: begin; for each row one call a column, in their order, then insp_row_end; end. */
void insp_table_begin(struct insp_report *r, const struct insp_table *table);
void insp_cell_str(struct insp_report *r, const char *value);
void insp_cell_u64(struct insp_report *r, uint64_t value);
void insp_cell_i64(struct insp_report *r, int64_t value);
void insp_cell_f64(struct insp_report *r, double value);
void insp_cell_bool(struct insp_report *r, bool value);
void insp_cell_unknown(struct insp_report *r);
void insp_cell_strf(struct insp_report *r, const char *fmt, ...) insp_printf(2, 3);
void insp_row_depth(struct insp_report *r, unsigned depth); /* before insp_row_end, for TREE columns */
void insp_row_end(struct insp_report *r);
void insp_table_end(struct insp_report *r);
/* "first 20 of 1,234 shown; --limit 0 shows all": text under the table, fields in JSON. */
void insp_table_cut(struct insp_report *r, uint64_t shown, uint64_t total, const char *how);

void insp_text(struct insp_report *r, const char *key, const char *fmt, ...) insp_printf(3, 4);
void insp_note(struct insp_report *r, enum insp_severity severity, const char *code, const char *fmt,
	       ...) insp_printf(4, 5);

#endif
