/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * residency: which pages are in memory, asked from the kernel in bulk.
 *
 * Linux 6.7 and later answer by ranges (ioctl PAGEMAP_SCAN): that passes over holes without a look,
 * so a mapping of terabytes costs nothing, and it tells the page of zeroes apart. Before that,
 * pagemap is read, 8 bytes a page, where the page of zeroes looks like memory shared after a fork:
 * mapped, no file, not exclusive. smaps counts the one and not the other, and so decides.
 *
 * Layouts: Documentation/admin-guide/mm/pagemap.rst. The ioctl is declared here because the
 * headers of the oldest distribution that the project builds on do not have it.
 */
#include "target/residency.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL    _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT  (UINT64_C(1) << 3)
#define SCAN_SWAPPED  (UINT64_C(1) << 4)
#define SCAN_PFNZERO  (UINT64_C(1) << 5)
#define SCAN_HUGE     (UINT64_C(1) << 6)
#define SCAN_REGIONS  1024

#define ENTRY_PRESENT	(UINT64_C(1) << 63)
#define ENTRY_SWAPPED	(UINT64_C(1) << 62)
#define ENTRY_FILE	(UINT64_C(1) << 61)
#define ENTRY_GUARD	(UINT64_C(1) << 58)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56)
#define ENTRIES		8192

/* Reading costs about a millisecond a GB, and a sanitizer's shadow has terabytes. */
#define READ_MAX_BYTES (UINT64_C(64) << 30)

static enum insp_pages_kind scan_kind(uint64_t categories)
{
	if (categories & SCAN_PFNZERO)
		return INSP_PAGES_ZERO;
	if (!(categories & SCAN_PRESENT))
		return INSP_PAGES_SWAPPED;
	return categories & SCAN_HUGE ? INSP_PAGES_HUGE : INSP_PAGES_RESIDENT;
}

static int scan(int fd, uint64_t start, uint64_t end, struct insp_residency *ret)
{
	struct scan_region regions[SCAN_REGIONS];
	uint64_t at = start;

	while (at < end) {
		struct scan_arg arg = {
			.size = sizeof(arg),
			.start = at,
			.end = end,
			.vec = (uint64_t)(uintptr_t)regions,
			.vec_len = SCAN_REGIONS,
			.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
			.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_PFNZERO | SCAN_HUGE,
		};
		long n = ioctl(fd, SCAN_IOCTL, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || n > SCAN_REGIONS)
			return INSP_E_UNSUPPORTED;
		for (long i = 0; i < n; i++)
			insp_residency_add(ret, start, regions[i].start,
					   (regions[i].end - regions[i].start) / ret->page_size,
					   scan_kind(regions[i].categories));
		if (arg.walk_end <= at)
			break;
		at = arg.walk_end;
	}
	return 0;
}

static int read_entries(int fd, uint64_t start, uint64_t end, struct insp_residency *ret)
{
	uint64_t entries[ENTRIES];

	for (uint64_t at = start; at < end;) {
		uint64_t want = (end - at) / ret->page_size;
		ssize_t got;

		if (want > ENTRIES)
			want = ENTRIES;
		got = pread(fd, entries, (size_t)want * sizeof(entries[0]),
			    (off_t)(at / ret->page_size * sizeof(entries[0])));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < (ssize_t)sizeof(entries[0]))
			return INSP_E_UNSUPPORTED;
		for (size_t i = 0; i < (size_t)got / sizeof(entries[0]); i++, at += ret->page_size) {
			uint64_t e = entries[i];

			if (e & ENTRY_PRESENT)
				insp_residency_add(ret, start, at, 1,
						   e & (ENTRY_FILE | ENTRY_EXCLUSIVE)
							   ? INSP_PAGES_RESIDENT
							   : INSP_PAGES_UNSURE);
			else if (e & ENTRY_SWAPPED && !(e & ENTRY_GUARD))
				insp_residency_add(ret, start, at, 1, INSP_PAGES_SWAPPED);
		}
	}
	return 0;
}

int insp_pagemap_runs_by_reading(int pagemap_fd, uint64_t start, uint64_t end, uint64_t rss,
				 struct insp_residency *ret)
{
	size_t first = ret->n;
	int rc;

	if (end - start > READ_MAX_BYTES) {
		ret->unscanned_bytes += end - start;
		return 0;
	}
	rc = read_entries(pagemap_fd, start, end, ret);
	if (rc)
		ret->n = first;
	else
		insp_residency_settle(ret, first, rss);
	return rc;
}

int insp_pagemap_runs(int pagemap_fd, uint64_t start, uint64_t end, uint64_t rss,
		      struct insp_residency *ret)
{
	size_t first = ret->n;

	if (scan(pagemap_fd, start, end, ret) == 0)
		return 0;
	ret->n = first;
	return insp_pagemap_runs_by_reading(pagemap_fd, start, end, rss, ret);
}
