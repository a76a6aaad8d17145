/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sink: what stands behind a report and takes its events; a renderer implements one.
 *
 * report.c checks the order of events, collects the cells of a row, and hands on whole rows;
 * so a sink sees only well-formed documents. All that it gets is borrowed for the call, but the
 * table descriptions, which are static.
 */
#ifndef INSP_REPORT_SINK_H
#define INSP_REPORT_SINK_H

#include "base/out.h"
#include "report/report.h"

enum insp_value_kind {
	INSP_V_UNKNOWN,
	INSP_V_STR,
	INSP_V_U64,
	INSP_V_I64,
	INSP_V_F64,
	INSP_V_BOOL,
};

struct insp_value {
	enum insp_value_kind kind;
	union {
		const char *str;
		uint64_t u64;
		int64_t i64;
		double f64;
		bool b;
	};
};

struct insp_profile;

/* No slot may be NULL but profile. state is the renderer's. */
struct insp_sink {
	void (*object_begin)(void *state, const char *key, const char *title);
	void (*object_end)(void *state);
	void (*list_begin)(void *state, const char *key, const char *title);
	void (*list_end)(void *state);
	void (*field)(void *state, const char *key, const char *title, enum insp_type type,
		      const struct insp_value *value);
	void (*table_begin)(void *state, const struct insp_table *table);
	void (*row)(void *state, const struct insp_table *table, const struct insp_value *cells,
		    unsigned depth);
	void (*table_end)(void *state, const struct insp_table *table);
	/* After table_end of the same table. */
	void (*table_cut)(void *state, const struct insp_table *table, uint64_t shown,
			  uint64_t total, const char *how);
	void (*text)(void *state, const char *key, const char *text);
	void (*note)(void *state, enum insp_severity severity, const char *code, const char *text);
	/* Weighted stacks: 0 taken, 1 "I show tables only", negative: failed. */
	int (*profile)(void *state, const struct insp_profile *profile, struct insp_error *err);
	/* The last event. Closes whatever is open; err says why it ended early, NULL: it did not. */
	void (*end)(void *state, const struct insp_error *err);
};

/* Gives; NULL when memory is short. Borrows all. */
struct insp_report *insp_report_create(const struct insp_sink *sink, void *state,
				       struct insp_out *out);
/*
 * Ends the document. command_err is what the command failed with (code INSP_OK: it did not). Returns 0
 * or the first failure of the output, with err filled.
 */
int insp_report_end(struct insp_report *r, const struct insp_error *command_err,
		    struct insp_error *err);
/* Did the command have a profile to give? */
bool insp_report_profiled(const struct insp_report *r);
void insp_report_destroy(struct insp_report *r);

/* Of a value, whatever number it was given as. */
uint64_t insp_value_u64(const struct insp_value *v);
double insp_value_f64(const struct insp_value *v);

/* Is a column of that type a number, that text aligns to the right? */
bool insp_type_numeric(enum insp_type type);
/* The name of a type in the documentation: "bytes", "address". */
const char *insp_type_name(enum insp_type type);

#endif
