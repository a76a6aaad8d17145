/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch/trace.h"

#include <math.h>

double insp_known(uint64_t value)
{
	return value == INSP_UNKNOWN ? (double)NAN : (double)value;
}

void insp_trace_add(struct insp_trace *trace, double seconds, double value)
{
	trace->values[trace->next] = value;
	trace->seconds[trace->next] = seconds;
	trace->next = (trace->next + 1) % INSP_TRACE_MAX;
	trace->n += trace->n < INSP_TRACE_MAX;
}

void insp_trace_clear(struct insp_trace *trace)
{
	trace->n = trace->next = 0;
}

static size_t slot(const struct insp_trace *trace, size_t age)
{
	return (trace->next + 2 * INSP_TRACE_MAX - 1 - age) % INSP_TRACE_MAX;
}

double insp_trace_at(const struct insp_trace *trace, size_t age)
{
	return age < trace->n ? trace->values[slot(trace, age)] : (double)NAN;
}

double insp_trace_slope(const struct insp_trace *trace, double window)
{
	double x[INSP_TRACE_MAX], y[INSP_TRACE_MAX];
	size_t n = 0;

	for (; n < trace->n; n++) {
		x[n] = trace->seconds[slot(trace, n)];
		y[n] = trace->values[slot(trace, n)];
		if (x[0] - x[n] > window)
			break;
	}
	return insp_slope(x, y, n);
}

void insp_trace_line(const struct insp_trace *trace, size_t width, bool utf8, struct insp_str *ret)
{
	double v[INSP_TRACE_MAX];
	size_t n = width < trace->n ? width : trace->n;

	for (size_t i = 0; i < n; i++)
		v[i] = insp_trace_at(trace, n - 1 - i);
	insp_spark_line(v, n, utf8, ret);
}

void insp_spark_line(const double *values, size_t n, bool utf8, struct insp_str *ret)
{
	static const char *const marks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
					    "\u2585", "\u2586", "\u2587", "\u2588"};
	static const char *const plain[] = {"_", ".", ",", "-", "~", "=", "*", "#"};
	double low = INFINITY, high = -INFINITY;

	for (size_t i = 0; i < n; i++) {
		low = values[i] < low ? values[i] : low;
		high = values[i] > high ? values[i] : high;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned step = high > low ? (unsigned)((values[i] - low) * 7 / (high - low)) : 0;

		if (!isfinite(values[i]))
			insp_str_addc(ret, ' ');
		else
			insp_str_add(ret, (utf8 ? marks : plain)[step > 7 ? 7 : step]);
	}
}

double insp_slope(const double *x, const double *y, size_t n)
{
	double mx = 0, my = 0, num = 0, den = 0;
	size_t known = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]) || !isfinite(y[i]))
			continue;
		known++;
		mx += (x[i] - mx) / (double)known;
		my += (y[i] - my) / (double)known;
	}
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]) || !isfinite(y[i]))
			continue;
		num += (x[i] - mx) * (y[i] - my);
		den += (x[i] - mx) * (x[i] - mx);
	}
	return known > 1 && den > 0 ? num / den : (double)NAN;
}
