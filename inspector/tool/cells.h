/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cells: figures that may not be known, as cells of a table.
 */
#ifndef INSP_TOOL_CELLS_H
#define INSP_TOOL_CELLS_H

#include <math.h>
#include <stdint.h>

#include "model/usage.h"
#include "report/report.h"

/* INSP_UNKNOWN is unknown. */
static inline void insp_cell_known(struct insp_report *r, uint64_t v)
{
	if (v == INSP_UNKNOWN)
		insp_cell_unknown(r);
	else
		insp_cell_u64(r, v);
}

/* NaN and the infinities are unknown. */
static inline void insp_cell_finite(struct insp_report *r, double v)
{
	if (isfinite(v))
		insp_cell_f64(r, v);
	else
		insp_cell_unknown(r);
}

/* The same, as a whole number with its sign. */
static inline void insp_cell_finite_delta(struct insp_report *r, double v)
{
	if (isfinite(v))
		insp_cell_i64(r, (int64_t)v);
	else
		insp_cell_unknown(r);
}

#endif
