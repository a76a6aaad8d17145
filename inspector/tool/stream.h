/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stream: rows for machines while they come: CSV with one header, or one JSON object an interval. The
 * renderers are those of every command; here their output leaves after each interval.
 */
#ifndef INSP_TOOL_STREAM_H
#define INSP_TOOL_STREAM_H

#include "base/out.h"
#include "report/report.h"
#include "tool/watched.h"

struct insp_renderer;

struct insp_stream {
	const struct insp_renderer *renderer;
	bool whole; /* one document from the first row to the last */
	struct insp_out out;
	void *state;
	struct insp_report *report;
};

/* To stdout. format is the name of a renderer: csv or json. */
int insp_stream_open(struct insp_stream *stream, const char *format, struct insp_error *err) insp_must_check;
/* The rows of an interval. INSP_E_IO: nobody reads any more. */
int insp_stream_rows(struct insp_stream *stream, const struct insp_watched *watched, size_t n,
		     struct insp_error *err) insp_must_check;
void insp_stream_close(struct insp_stream *stream);

#endif
