/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "render/render.h"

static const struct insp_render_options options = {.raw = true};

static int write_stdout(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	(void)ctx;
	while (n) {
		ssize_t k = write(STDOUT_FILENO, bytes, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return insp_fail_errno(err, INSP_E_IO, errno, "write to the output");
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

static int begin(struct insp_stream *s, struct insp_error *err)
{
	s->state = s->renderer->open(&s->out, &options);
	if (s->state)
		s->report = insp_report_create(s->renderer->sink, s->state, &s->out);
	if (!s->report)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	insp_table_begin(s->report, &insp_watched_table);
	return 0;
}

static int end(struct insp_stream *s, struct insp_error *err)
{
	int rc = 0;

	if (s->report) {
		insp_table_end(s->report);
		rc = insp_report_end(s->report, &(struct insp_error){0}, err);
		insp_report_destroy(s->report);
	}
	if (s->state)
		s->renderer->close(s->state);
	s->report = NULL;
	s->state = NULL;
	return rc;
}

int insp_stream_open(struct insp_stream *s, const char *format, struct insp_error *err)
{
	*s = (struct insp_stream){.renderer = insp_renderer_find(format), .whole = strcmp(format, "csv") == 0};
	insp_out_init(&s->out, write_stdout, NULL);
	return s->whole ? begin(s, err) : 0;
}

static void put_cell(struct insp_report *r, const struct insp_value *v)
{
	switch (v->kind) {
	case INSP_V_STR:
		insp_cell_str(r, v->str);
		break;
	case INSP_V_U64:
		insp_cell_u64(r, v->u64);
		break;
	case INSP_V_I64:
		insp_cell_i64(r, v->i64);
		break;
	case INSP_V_F64:
		insp_cell_f64(r, v->f64);
		break;
	default:
		insp_cell_unknown(r);
	}
}

int insp_stream_rows(struct insp_stream *s, const struct insp_watched *watched, size_t n, struct insp_error *err)
{
	struct insp_value cells[INSP_WATCHED_COLUMNS_MAX];
	int rc = s->whole ? 0 : begin(s, err);

	for (size_t i = 0; i < n && !rc; i++) {
		size_t ncells = insp_watched_row(&watched[i], cells);

		for (size_t k = 0; k < ncells; k++)
			put_cell(s->report, &cells[k]);
		insp_row_end(s->report);
	}
	if (!rc && !s->whole)
		rc = end(s, err);
	return rc ? rc : insp_out_flush(&s->out, err);
}

void insp_stream_close(struct insp_stream *s)
{
	(void)!end(s, NULL);
	(void)!insp_out_flush(&s->out, NULL);
	insp_out_deinit(&s->out);
}
