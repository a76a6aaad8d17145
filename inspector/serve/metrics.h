/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metrics: what is known, in Prometheus' text format 0.0.4. Costs no stop: figures of the heap are those of
 * the last walk.
 */
#ifndef INSP_SERVE_METRICS_H
#define INSP_SERVE_METRICS_H

#include "base/str.h"
#include "serve/http.h"
#include "serve/served.h"

#define INSP_TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* Of all, or of one (only not NULL). */
void insp_metrics_write(struct insp_served *served, size_t nserved, struct insp_served *only,
			struct insp_str *ret);
/* Of meminspect itself. */
void insp_metrics_write_self(const struct insp_http_counts *counts, struct insp_str *ret);

#endif
