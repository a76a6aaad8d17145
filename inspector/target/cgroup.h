/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cgroup: where the files of the control group are that accounts a process's memory, in both
 * hierarchies. Version 2 keeps memory.current and memory.max; version 1 memory.usage_in_bytes and
 * memory.limit_in_bytes, where "no limit" is a huge number.
 */
#ifndef INSP_TARGET_CGROUP_H
#define INSP_TARGET_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Invariant: dir[0..root_len) is where the hierarchy is mounted; dir is that or below it. */
struct insp_cgroup {
	bool v2;
	size_t root_len;
	char dir[PATH_MAX];
};

/*
 * From the text of /proc/PID/cgroup. The group itself, or, where memory is not accounted that deep,
 * the nearest one above that does; in a container, the mount's root. False: none.
 */
bool insp_cgroup_find(const char *text, struct insp_cgroup *ret);
/* To its parent; false, and unchanged, at the root. */
bool insp_cgroup_up(struct insp_cgroup *group);

/* A file with one number; INSP_UNKNOWN for "max", and for what is no number or not there. */
uint64_t insp_cgroup_number(const struct insp_cgroup *group, const char *file);
/* Bytes in use; the hard limit of this group alone, INSP_UNKNOWN without. */
uint64_t insp_cgroup_current(const struct insp_cgroup *group);
uint64_t insp_cgroup_max(const struct insp_cgroup *group);
uint64_t insp_cgroup_high(const struct insp_cgroup *group); /* where reclaim begins */
uint64_t insp_cgroup_swap(const struct insp_cgroup *group);
/* The smallest limit of the group and all above it. */
uint64_t insp_cgroup_limit(const struct insp_cgroup *group);
/* File cache that goes first when memory is short, of the group and those below it. */
uint64_t insp_cgroup_inactive_file(const struct insp_cgroup *group);

/* A small file of the process's group in hierarchy 2, whoever accounts its memory. As
 * insp_proc_small. */
ssize_t insp_cgroup_v2_file(const char *text, const char *file, char *buf, size_t size_bytes);

#endif
