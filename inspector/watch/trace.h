/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * trace: the last values of one figure, for a sparkline and a slope.
 */
#ifndef INSP_WATCH_TRACE_H
#define INSP_WATCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "model/usage.h"

#define INSP_TRACE_MAX 512

/* A ring. All-zero is a valid start. Unknown values are NaN: a gap in the line. */
struct insp_trace {
	double values[INSP_TRACE_MAX], seconds[INSP_TRACE_MAX];
	size_t n, next;
};

void insp_trace_add(struct insp_trace *trace, double seconds, double value);
void insp_trace_clear(struct insp_trace *trace);
/* By age: 0 is the newest. NaN behind the last. */
double insp_trace_at(const struct insp_trace *trace, size_t age);
/* Of the straight line through the known values of the last `window` seconds; NaN: fewer than two. */
double insp_trace_slope(const struct insp_trace *trace, double window);
/* The last `width` values. */
void insp_trace_line(const struct insp_trace *trace, size_t width, bool utf8, struct insp_str *ret);

/* NaN for INSP_UNKNOWN. */
double insp_known(uint64_t value);

/* One mark a value, from the lowest to the highest of them; a blank for NaN. Appends. */
void insp_spark_line(const double *values, size_t n, bool utf8, struct insp_str *ret);
/* Least squares, y a unit of x; pairs with NaN are left out. NaN: fewer than two, or all at one x. */
double insp_slope(const double *x, const double *y, size_t n);

#endif
