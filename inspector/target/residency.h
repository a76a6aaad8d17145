/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * residency: /proc/PID/pagemap turned into runs of pages (model/residency.h).
 */
#ifndef INSP_TARGET_RESIDENCY_H
#define INSP_TARGET_RESIDENCY_H

#include <stdint.h>

#include "model/residency.h"

/*
 * Appends the runs of the mapping [start, end), of which smaps says that rss bytes are resident.
 * pagemap_fd: /proc/PID/pagemap, open for reading. 0 or INSP_E_UNSUPPORTED: nothing was added (a mapping
 * that is too large to be scanned by reading is added to ret->unscanned_bytes instead).
 */
int insp_pagemap_runs(int pagemap_fd, uint64_t start, uint64_t end, uint64_t rss,
		      struct insp_residency *ret);

/* The same by reading, as on kernels before 6.7. */
int insp_pagemap_runs_by_reading(int pagemap_fd, uint64_t start, uint64_t end, uint64_t rss,
				 struct insp_residency *ret);

#endif
