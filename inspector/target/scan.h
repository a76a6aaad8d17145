/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * scan: the PAGEMAP_SCAN ioctl of Linux 6.7: runs of pages by their states, and write-protecting
 * them in the same step.
 */
#ifndef INSP_TARGET_SCAN_H
#define INSP_TARGET_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum insp_scan_category { /* PAGE_IS_* of linux/fs.h, which older headers lack */
	INSP_SCAN_WPALLOWED = 1 << 0,
	INSP_SCAN_WRITTEN = 1 << 1,
	INSP_SCAN_FILE = 1 << 2,
	INSP_SCAN_PRESENT = 1 << 3,
	INSP_SCAN_SWAPPED = 1 << 4,
	INSP_SCAN_ZERO = 1 << 5, /* the shared page of zeroes */
};

struct insp_scan_run {
	uint64_t start, end;
	uint64_t categories;
};

#define INSP_SCAN_RUNS 65536

struct insp_scan {
	int pagemap_fd;	  /* borrowed */
	struct insp_scan_run *runs; /* INSP_SCAN_RUNS of them, touched */
};

typedef void (*insp_scan_fn)(void *ctx, const struct insp_scan_run *run);

bool insp_scan_init(struct insp_scan *scan, int pagemap_fd);
void insp_scan_deinit(struct insp_scan *scan);

enum insp_scan_what {
	INSP_SCAN_ALL_PRESENT,
	INSP_SCAN_CHANGED,	   /* present and written */
	INSP_SCAN_CHANGED_OR_GONE, /* that, and all that is not present */
};

/*
 * Hands fn (may be NULL) every run of such pages in [start, end). protect: write-protects them,
 * too, where the mapping is watched. 0 or a negated errno.
 */
int insp_scan_run(struct insp_scan *scan, uint64_t start, uint64_t end, enum insp_scan_what what,
		  bool protect, insp_scan_fn fn, void *ctx);

#endif
