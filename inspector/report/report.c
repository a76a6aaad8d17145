/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * report: guards the order of a document's events and gathers the cells of a row.
 *
 * Strings of cells are copied into one scratch string, because a command may format two cells
 * into the same buffer; numbers are just stored. What a command does wrong (a cell too many, an
 * object left open) is our own bug and asserted.
 */
#include "report/report.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "report/profile.h"
#include "report/sink.h"

#define REPORT_DEPTH_MAX 24

enum level {
	LEVEL_TOP,
	LEVEL_OBJECT,
	LEVEL_LIST,
};

struct insp_report {
	const struct insp_sink *sink;
	void *state;
	struct insp_out *out;
	struct insp_error err;
	bool profiled; /* a profile was given to the sink */
	unsigned depth;
	unsigned char levels[REPORT_DEPTH_MAX]; /* enum level */

	const struct insp_table *table; /* open, or the last one */
	bool in_table;
	unsigned row_depth;
	struct insp_value *cells;
	size_t ncells, cells_cap;
	struct insp_str scratch; /* strings of the row; their values hold offsets until row_end */
	struct {
		bool set;
		uint64_t shown, total;
		const char *how;
	} cut;
};

struct insp_report *insp_report_create(const struct insp_sink *sink, void *state,
				       struct insp_out *out)
{
	struct insp_report *r = calloc(1, sizeof(*r));

	if (r)
		*r = (struct insp_report){.sink = sink, .state = state, .out = out};
	return r;
}

void insp_report_destroy(struct insp_report *r)
{
	if (!r)
		return;
	free(r->cells);
	insp_str_deinit(&r->scratch);
	free(r);
}

bool insp_report_failed(const struct insp_report *r)
{
	return r->err.code || r->out->err.code || insp_interrupted();
}

static void report_fail(struct insp_report *r, enum insp_code code, const char *text)
{
	if (!r->err.code)
		(void)insp_fail(&r->err, code, "%s", text);
}

int insp_report_end(struct insp_report *r, const struct insp_error *command_err,
		    struct insp_error *err)
{
	/* Objects stay open only when the command gave up in between. */
	assert(r->depth == 0 || command_err->code || insp_report_failed(r));
	if (!r->err.code && !r->out->err.code && insp_interrupted())
		report_fail(r, INSP_E_INTERRUPTED, "interrupted");
	if (!r->out->err.code)
		r->sink->end(r->state, command_err->code ? command_err
					: r->err.code	 ? &r->err
							 : NULL);
	if (r->err.code) {
		if (err)
			*err = r->err;
		(void)insp_out_flush(r->out, NULL);
		return r->err.code;
	}
	return insp_out_flush(r->out, err);
}

static bool report_push(struct insp_report *r, enum level level)
{
	assert(r->depth < REPORT_DEPTH_MAX && !r->in_table);
	if (insp_report_failed(r))
		return false;
	r->levels[r->depth++] = (unsigned char)level;
	return true;
}

static bool report_pop(struct insp_report *r, enum level level)
{
	if (insp_report_failed(r))
		return false;
	assert(r->depth && r->levels[r->depth - 1] == level && !r->in_table);
	r->depth--;
	return true;
}

static bool in_list(const struct insp_report *r)
{
	return r->depth && r->levels[r->depth - 1] == LEVEL_LIST;
}

void insp_object_begin(struct insp_report *r, const char *key, const char *title)
{
	assert((key == NULL) == in_list(r));
	if (report_push(r, LEVEL_OBJECT))
		r->sink->object_begin(r->state, key, title);
}

void insp_object_end(struct insp_report *r)
{
	if (report_pop(r, LEVEL_OBJECT))
		r->sink->object_end(r->state);
}

void insp_list_begin(struct insp_report *r, const char *key, const char *title)
{
	assert(key && !in_list(r));
	if (report_push(r, LEVEL_LIST))
		r->sink->list_begin(r->state, key, title);
}

void insp_list_end(struct insp_report *r)
{
	if (report_pop(r, LEVEL_LIST))
		r->sink->list_end(r->state);
}

static void field(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		  struct insp_value value)
{
	if (insp_report_failed(r))
		return;
	assert(key && !r->in_table && !in_list(r));
	r->sink->field(r->state, key, title, type, &value);
}

void insp_field_str(struct insp_report *r, const char *key, const char *title, const char *value)
{
	field(r, key, title, INSP_T_STR,
	      (struct insp_value){.kind = value ? INSP_V_STR : INSP_V_UNKNOWN, .str = value});
}

void insp_field_u64(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		    uint64_t value)
{
	field(r, key, title, type, (struct insp_value){.kind = INSP_V_U64, .u64 = value});
}

void insp_field_i64(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		    int64_t value)
{
	field(r, key, title, type, (struct insp_value){.kind = INSP_V_I64, .i64 = value});
}

void insp_field_f64(struct insp_report *r, const char *key, const char *title, enum insp_type type,
		    double value)
{
	field(r, key, title, type, (struct insp_value){.kind = INSP_V_F64, .f64 = value});
}

void insp_field_bool(struct insp_report *r, const char *key, const char *title, bool value)
{
	field(r, key, title, INSP_T_BOOL, (struct insp_value){.kind = INSP_V_BOOL, .b = value});
}

void insp_field_unknown(struct insp_report *r, const char *key, const char *title)
{
	field(r, key, title, INSP_T_STR, (struct insp_value){.kind = INSP_V_UNKNOWN});
}

void insp_table_begin(struct insp_report *r, const struct insp_table *table)
{
	if (insp_report_failed(r))
		return;
	assert(!r->in_table && !in_list(r) && table->key);
	if (table->ncolumns > r->cells_cap) {
		struct insp_value *cells = realloc(r->cells, table->ncolumns * sizeof(*cells));

		if (!cells) {
			report_fail(r, INSP_E_NOMEM, "out of memory");
			return;
		}
		r->cells = cells;
		r->cells_cap = table->ncolumns;
	}
	r->table = table;
	r->in_table = true;
	r->ncells = 0;
	r->row_depth = 0;
	r->cut.set = false;
	insp_str_reset(&r->scratch);
	r->sink->table_begin(r->state, table);
}

/* The next cell of the row, or NULL after a failure. */
static struct insp_value *cell(struct insp_report *r, enum insp_value_kind kind)
{
	struct insp_value *v;

	if (r->err.code)
		return NULL;
	if (__builtin_expect(!r->in_table || r->ncells >= r->table->ncolumns, 0)) {
		/* table_begin did nothing after an interrupt: not a bug of the command's. */
		assert(insp_report_failed(r) && "cell outside of a row");
		return NULL;
	}
	v = &r->cells[r->ncells++];
	v->kind = kind;
	return v;
}

void insp_cell_str(struct insp_report *r, const char *value)
{
	struct insp_value *v = cell(r, value ? INSP_V_STR : INSP_V_UNKNOWN);

	if (!v || !value)
		return;
	v->u64 = r->scratch.len;
	insp_str_addn(&r->scratch, value, strlen(value) + 1);
}

void insp_cell_strf(struct insp_report *r, const char *fmt, ...)
{
	struct insp_value *v = cell(r, INSP_V_STR);
	va_list ap;

	if (!v)
		return;
	v->u64 = r->scratch.len;
	va_start(ap, fmt);
	insp_str_vaddf(&r->scratch, fmt, ap);
	va_end(ap);
	insp_str_addc(&r->scratch, '\0');
}

void insp_cell_u64(struct insp_report *r, uint64_t value)
{
	struct insp_value *v = cell(r, INSP_V_U64);

	if (v)
		v->u64 = value;
}

void insp_cell_i64(struct insp_report *r, int64_t value)
{
	struct insp_value *v = cell(r, INSP_V_I64);

	if (v)
		v->i64 = value;
}

void insp_cell_f64(struct insp_report *r, double value)
{
	struct insp_value *v = cell(r, INSP_V_F64);

	if (v)
		v->f64 = value;
}

void insp_cell_bool(struct insp_report *r, bool value)
{
	struct insp_value *v = cell(r, INSP_V_BOOL);

	if (v)
		v->b = value;
}

void insp_cell_unknown(struct insp_report *r)
{
	(void)cell(r, INSP_V_UNKNOWN);
}

void insp_row_depth(struct insp_report *r, unsigned depth)
{
	r->row_depth = depth;
}

void insp_row_end(struct insp_report *r)
{
	if (insp_report_failed(r)) {
		r->ncells = 0;
		return;
	}
	assert(r->in_table && r->ncells == r->table->ncolumns);
	if (!insp_str_ok(&r->scratch)) {
		report_fail(r, INSP_E_NOMEM, "out of memory");
		return;
	}
	for (size_t i = 0; i < r->ncells; i++)
		if (r->cells[i].kind == INSP_V_STR)
			r->cells[i].str = r->scratch.s + r->cells[i].u64;
	r->sink->row(r->state, r->table, r->cells, r->row_depth);
	r->ncells = 0;
	r->row_depth = 0;
	insp_str_reset(&r->scratch);
}

void insp_table_end(struct insp_report *r)
{
	if (insp_report_failed(r))
		return;
	assert(r->in_table && r->ncells == 0);
	r->in_table = false;
	r->sink->table_end(r->state, r->table);
	if (r->cut.set)
		r->sink->table_cut(r->state, r->table, r->cut.shown, r->cut.total, r->cut.how);
	r->cut.set = false;
}

void insp_table_cut(struct insp_report *r, uint64_t shown, uint64_t total, const char *how)
{
	if (insp_report_failed(r))
		return;
	assert(r->table);
	if (!r->in_table) {
		r->sink->table_cut(r->state, r->table, shown, total, how);
		return;
	}
	r->cut.set = true;
	r->cut.shown = shown;
	r->cut.total = total;
	r->cut.how = how;
}

void insp_text(struct insp_report *r, const char *key, const char *fmt, ...)
{
	struct insp_str s = {0};
	va_list ap;

	if (insp_report_failed(r))
		return;
	assert(!r->in_table && !in_list(r));
	va_start(ap, fmt);
	insp_str_vaddf(&s, fmt, ap);
	va_end(ap);
	if (insp_str_ok(&s))
		r->sink->text(r->state, key, insp_str_text(&s));
	else
		report_fail(r, INSP_E_NOMEM, "out of memory");
	insp_str_deinit(&s);
}

void insp_note(struct insp_report *r, enum insp_severity severity, const char *code, const char *fmt,
	       ...)
{
	struct insp_str s = {0};
	va_list ap;

	if (insp_report_failed(r))
		return;
	assert(!r->in_table);
	va_start(ap, fmt);
	insp_str_vaddf(&s, fmt, ap);
	va_end(ap);
	if (insp_str_ok(&s))
		r->sink->note(r->state, severity, code, insp_str_text(&s));
	else
		report_fail(r, INSP_E_NOMEM, "out of memory");
	insp_str_deinit(&s);
}

uint64_t insp_value_u64(const struct insp_value *v)
{
	switch (v->kind) {
	case INSP_V_U64:
		return v->u64;
	case INSP_V_I64:
		return (uint64_t)v->i64;
	case INSP_V_F64:
		return v->f64 >= 0x1p64 ? UINT64_MAX : v->f64 > 0 ? (uint64_t)v->f64 : 0;
	case INSP_V_BOOL:
		return v->b;
	default:
		return 0;
	}
}

double insp_value_f64(const struct insp_value *v)
{
	switch (v->kind) {
	case INSP_V_F64:
		return v->f64;
	case INSP_V_I64:
		return (double)v->i64;
	default:
		return (double)insp_value_u64(v);
	}
}

bool insp_type_numeric(enum insp_type type)
{
	return type != INSP_T_STR && type != INSP_T_BOOL && type != INSP_T_BAR &&
	       type != INSP_T_TIME;
}

const char *insp_type_name(enum insp_type type)
{
	static const char *const names[] = {
		[INSP_T_STR] = "string",	[INSP_T_ADDR] = "address",
		[INSP_T_BYTES] = "bytes",	[INSP_T_COUNT] = "count",
		[INSP_T_ID] = "integer",	[INSP_T_DELTA] = "signed bytes",
		[INSP_T_DELTA_COUNT] = "signed count", [INSP_T_RATIO] = "ratio 0..1",
		[INSP_T_FACTOR] = "factor",	[INSP_T_DURATION] = "nanoseconds",
		[INSP_T_TIME] = "nanoseconds since 1970", [INSP_T_BOOL] = "boolean",
		[INSP_T_BAR] = "ratio 0..1",
	};

	return names[type];
}

/* 1: what stands behind it shows tables only. */
static int send_profile(struct insp_report *r, const struct insp_profile *profile, struct insp_error *err)
{
	if (insp_report_failed(r))
		return 0;
	r->profiled = true;
	return r->sink->profile ? r->sink->profile(r->state, profile, err) : 1;
}

void insp_report_profile(struct insp_report *r, const struct insp_profile *profile, size_t limit)
{
	struct insp_error err = {0};
	int rc = send_profile(r, profile, &err);

	if (rc > 0)
		rc = insp_report_profile_tables(r, profile, limit, &err);
	if (rc < 0)
		report_fail(r, err.code, err.msg);
}

bool insp_report_profiled(const struct insp_report *r)
{
	return r->profiled;
}

bool insp_report_wants_profile(const struct insp_report *r)
{
	return r->sink->profile != NULL;
}

void insp_report_profile_only(struct insp_report *r, const struct insp_profile *profile)
{
	struct insp_error err = {0};

	if (send_profile(r, profile, &err) < 0)
		report_fail(r, err.code, err.msg);
}
