/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * usage: what the kernel says about the target's memory: /proc/PID/smaps, status, smaps_rollup
 * and its cgroup. All sizes in bytes; UINT64_MAX is "could not be read".
 */
#ifndef INSP_MODEL_USAGE_H
#define INSP_MODEL_USAGE_H

#include <stddef.h>
#include <stdint.h>

#define INSP_UNKNOWN UINT64_MAX

/* One region of smaps. */
struct insp_region_usage {
	uint64_t start, end;
	uint64_t rss, pss, shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t referenced, anonymous, lazy_free, anon_huge, shmem_huge, file_huge, hugetlb_shared,
		hugetlb_private, swap, swap_pss, locked;
};

struct insp_usage {
	struct insp_region_usage *items; /* sorted by start */
	size_t n, cap;
	/* /proc/PID/status */
	uint64_t vm_rss, vm_hwm, vm_size, rss_anon, rss_file, rss_shmem, vm_swap, vm_pte, vm_lck, hugetlb;
	/* the cgroup that the target lives in */
	uint64_t cgroup_current, cgroup_max, cgroup_high, cgroup_swap;
	const char *cgroup_path; /* NULL unknown */
	uint64_t mem_total, mem_available; /* of the machine */
};

#endif
