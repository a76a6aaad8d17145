/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * usage: /proc/PID/smaps and status, /proc/meminfo, and the files of the memory cgroup.
 *
 * Knows both hierarchies: v2 keeps memory.current and memory.max, v1 memory.usage_in_bytes and
 * memory.limit_in_bytes, where "no limit" is a huge number. Inside a container the path in
 * /proc/PID/cgroup may lie outside of what is mounted: then the mount's own root is what counts.
 */
#include "target/usage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "target/live.h"
#include "target/proc.h"

/* v1 says "no limit" by LONG_MAX rounded down to a page. */
#define V1_NO_LIMIT (INT64_MAX & ~4095ll)

static void read_status(struct insp_live *live, struct insp_usage *usage)
{
	const struct {
		const char *key;
		uint64_t *to;
	} fields[] = {
		{"VmRSS", &usage->vm_rss},     {"VmHWM", &usage->vm_hwm},
		{"VmSize", &usage->vm_size},   {"RssAnon", &usage->rss_anon},
		{"RssFile", &usage->rss_file}, {"RssShmem", &usage->rss_shmem},
		{"VmSwap", &usage->vm_swap},   {"VmPTE", &usage->vm_pte},
		{"VmLck", &usage->vm_lck},     {"HugetlbPages", &usage->hugetlb},
	};
	char buf[8192];
	bool have = insp_proc_small(live->vm_fd, "status", buf, sizeof(buf)) > 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!have || !insp_proc_field_bytes(buf, fields[i].key, fields[i].to))
			*fields[i].to = INSP_UNKNOWN;
}

static void read_machine(struct insp_usage *usage)
{
	char buf[8192];
	bool have = insp_proc_small(AT_FDCWD, "/proc/meminfo", buf, sizeof(buf)) > 0;

	if (!have || !insp_proc_field_bytes(buf, "MemTotal", &usage->mem_total))
		usage->mem_total = INSP_UNKNOWN;
	if (!have || !insp_proc_field_bytes(buf, "MemAvailable", &usage->mem_available))
		usage->mem_available = INSP_UNKNOWN;
}

/* A file with one number, or "max". */
static uint64_t cgroup_number(const char *dir, const char *file)
{
	char path[PATH_MAX + 64], buf[64];
	uint64_t v = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (insp_proc_small(AT_FDCWD, path, buf, sizeof(buf)) <= 0 || buf[0] < '0' || buf[0] > '9')
		return INSP_UNKNOWN;
	for (const char *p = buf; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return INSP_UNKNOWN;
	return v;
}

static bool cgroup_in(const char *mount, const char *path, bool v2, struct insp_usage *usage)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s%s", mount, strcmp(path, "/") ? path : "");
	usage->cgroup_current = cgroup_number(dir, v2 ? "memory.current" : "memory.usage_in_bytes");
	usage->cgroup_max = cgroup_number(dir, v2 ? "memory.max" : "memory.limit_in_bytes");
	usage->cgroup_high = cgroup_number(dir, v2 ? "memory.high" : "memory.soft_limit_in_bytes");
	usage->cgroup_swap = cgroup_number(dir, v2 ? "memory.swap.current" : "memory.memsw.usage_in_bytes");
	if (v2)
		return usage->cgroup_current != INSP_UNKNOWN;
	if (usage->cgroup_max != INSP_UNKNOWN && usage->cgroup_max >= (uint64_t)V1_NO_LIMIT)
		usage->cgroup_max = INSP_UNKNOWN;
	if (usage->cgroup_high != INSP_UNKNOWN && usage->cgroup_high >= (uint64_t)V1_NO_LIMIT)
		usage->cgroup_high = INSP_UNKNOWN;
	/* memsw counts both */
	if (usage->cgroup_swap != INSP_UNKNOWN && usage->cgroup_swap >= usage->cgroup_current)
		usage->cgroup_swap -= usage->cgroup_current;
	return usage->cgroup_current != INSP_UNKNOWN;
}

static void read_cgroup(struct insp_live *live, struct insp_pool *pool, struct insp_usage *usage)
{
	static const char *const v1_mounts[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
	static const char *const v2_mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char text[8192], room[PATH_MAX];
	const char *path;
	bool v2;

	usage->cgroup_current = usage->cgroup_max = usage->cgroup_high = INSP_UNKNOWN;
	usage->cgroup_swap = INSP_UNKNOWN;
	usage->cgroup_path = NULL;
	if (insp_proc_small(live->proc_fd, "cgroup", text, sizeof(text)) <= 0)
		return;
	path = insp_proc_cgroup(text, &v2, room, sizeof(room) - 128);
	if (!path || path[0] != '/' || strstr(path, "/../"))
		return;
	usage->cgroup_path = insp_pool_strdup(pool, path);
	for (int i = 0; i < 2; i++)
		if (cgroup_in(v2 ? v2_mounts[i] : v1_mounts[i], path, v2, usage))
			return;
	(void)cgroup_in(v2 ? v2_mounts[0] : v1_mounts[0], "/", v2, usage);
}

bool insp_usage_frozen(struct insp_live *live)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char text[8192], events[256], path[PATH_MAX];
	const char *line;
	int len;

	if (insp_proc_small(live->proc_fd, "cgroup", text, sizeof(text)) <= 0)
		return false;
	line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
	if (!line)
		return false;
	line += strcspn(line, ":") + 2;
	len = (int)strcspn(line, "\n");
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%.*s/cgroup.events", mounts[i], len, line);
		if (insp_proc_small(AT_FDCWD, path, events, sizeof(events)) > 0)
			return strstr(events, "frozen 1") != NULL;
	}
	return false;
}

int insp_usage_read_summary(struct insp_target *target, struct insp_pool *pool,
			    struct insp_usage *usage, struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	struct insp_usage u = {0};

	if (target->ops->usage != insp_usage_read)
		return insp_fail(err, INSP_E_UNSUPPORTED, "a %s has no /proc", target->ops->title);
	if (insp_live_gone(live))
		return insp_fail(err, INSP_E_GONE, "process %d has ended", live->pid);
	read_status(live, &u);
	read_machine(&u);
	read_cgroup(live, pool, &u);
	*usage = u;
	return 0;
}

int insp_usage_read(struct insp_target *target, struct insp_pool *pool, struct insp_usage *usage,
		    struct insp_error *err)
{
	struct insp_usage u;
	char *text;
	size_t len;
	int rc = insp_usage_read_summary(target, pool, &u, err);

	if (rc)
		return rc;
	rc = insp_proc_slurp(insp_live_of(target)->vm_fd, "smaps", &text, &len);
	if (!rc) {
		rc = insp_proc_smaps(text, len, pool, &u, err);
		free(text);
		if (rc)
			return rc;
	}
	*usage = u;
	return 0;
}
