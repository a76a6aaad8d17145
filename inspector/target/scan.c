/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan: see Documentation/admin-guide/mm/pagemap.rst, "Pagemap Scan IOCTL". */
#include "target/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN	   _IOWR('f', 16, struct pm_scan_arg)
/* PM_SCAN_WP_MATCHING. Without PM_SCAN_CHECK_WPASYNC: mappings that are not watched are skipped. An
   error in the middle would leave pages protected that nobody was told of. */
#define SCAN_WP_MATCHING   1
#define STEP_BYTES	   (256ull << 20) /* protecting holds the target's mmap lock that long */
#define STEPS_MAX	   1024

bool insp_scan_init(struct insp_scan *scan, int pagemap_fd)
{
	scan->pagemap_fd = pagemap_fd;
	scan->runs = malloc(INSP_SCAN_RUNS * sizeof(*scan->runs));
	if (scan->runs)
		memset(scan->runs, 1, INSP_SCAN_RUNS * sizeof(*scan->runs));
	return scan->runs != NULL;
}

void insp_scan_deinit(struct insp_scan *scan)
{
	free(scan->runs);
	scan->runs = NULL;
}

int insp_scan_run(struct insp_scan *scan, uint64_t start, uint64_t end, enum insp_scan_what what,
		  bool protect, insp_scan_fn fn, void *ctx)
{
	static const struct {
		uint64_t all, any, inverted;
	} masks[] = {
		[INSP_SCAN_ALL_PRESENT] = {.all = INSP_SCAN_PRESENT},
		[INSP_SCAN_CHANGED] = {.all = INSP_SCAN_PRESENT | INSP_SCAN_WRITTEN},
		[INSP_SCAN_CHANGED_OR_GONE] = {.any = INSP_SCAN_PRESENT | INSP_SCAN_WRITTEN,
					       .inverted = INSP_SCAN_PRESENT},
	};
	/* There are mappings of many TiB with few pages in them. */
	uint64_t each = ((end - start) / STEPS_MAX & ~4095ull) + STEP_BYTES;

	while (start < end) {
		uint64_t to = protect && end - start > each ? start + each : end;
		struct pm_scan_arg arg = {
			.size = sizeof(arg),
			.flags = protect ? SCAN_WP_MATCHING : 0,
			.start = start,
			.end = to,
			.vec = (uintptr_t)scan->runs,
			.vec_len = INSP_SCAN_RUNS,
			.category_mask = masks[what].all,
			.category_anyof_mask = masks[what].any,
			.category_inverted = masks[what].inverted,
			.return_mask = INSP_SCAN_WRITTEN | INSP_SCAN_PRESENT | INSP_SCAN_SWAPPED |
				       INSP_SCAN_ZERO,
		};
		int n = ioctl(scan->pagemap_fd, PAGEMAP_SCAN, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; fn && i < n; i++)
			fn(ctx, &scan->runs[i]);
		if (arg.walk_end <= start)
			return -EIO;
		start = arg.walk_end;
	}
	return 0;
}
