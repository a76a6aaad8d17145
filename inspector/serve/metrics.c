/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/metrics.h"

void insp_metrics_write(struct insp_served *served, size_t nserved, struct insp_served *only,
			struct insp_str *ret)
{
	(void)served, (void)nserved, (void)only, (void)ret;
}

void insp_metrics_write_self(const struct insp_http_counts *counts, struct insp_str *ret)
{
	(void)counts, (void)ret;
}
