/* SPDX-License-Identifier: GPL-3.0-or-later */
/* usage: /proc/PID/smaps and status, /proc/meminfo, and the files of the memory cgroup. */
#include "target/usage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "target/cgroup.h"
#include "target/live.h"
#include "target/proc.h"

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

/* cgroup_path is the process's own, even where the one above it accounts the memory. */
static void read_cgroup(struct insp_live *live, struct insp_pool *pool, struct insp_usage *usage)
{
	struct insp_cgroup group;
	char text[8192], room[PATH_MAX];
	const char *path;
	bool v2;

	usage->cgroup_current = usage->cgroup_max = usage->cgroup_high = INSP_UNKNOWN;
	usage->cgroup_swap = INSP_UNKNOWN;
	usage->cgroup_path = NULL;
	if (insp_proc_small(live->proc_fd, "cgroup", text, sizeof(text)) <= 0)
		return;
	path = insp_proc_cgroup(text, &v2, room, sizeof(room));
	if (!path || path[0] != '/')
		return;
	usage->cgroup_path = insp_pool_strdup(pool, path);
	if (!insp_cgroup_find(text, &group))
		return;
	usage->cgroup_current = insp_cgroup_current(&group);
	usage->cgroup_max = insp_cgroup_max(&group);
	usage->cgroup_high = insp_cgroup_high(&group);
	usage->cgroup_swap = insp_cgroup_swap(&group);
}

uint64_t insp_usage_room(void)
{
	struct insp_live self = {.proc_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	struct insp_pool *pool = insp_pool_create();
	struct insp_usage u = {.mem_available = INSP_UNKNOWN};
	uint64_t room;

	read_machine(&u);
	room = u.mem_available;
	if (pool && self.proc_fd >= 0) {
		read_cgroup(&self, pool, &u);
		if (u.cgroup_max != INSP_UNKNOWN && u.cgroup_current != INSP_UNKNOWN) {
			uint64_t left = u.cgroup_max > u.cgroup_current ? u.cgroup_max - u.cgroup_current : 0;

			room = left < room ? left : room;
		}
	}
	if (self.proc_fd >= 0)
		(void)close(self.proc_fd);
	insp_pool_destroy(pool);
	return room;
}

bool insp_usage_frozen(struct insp_live *live)
{
	char text[8192], events[256];

	return insp_proc_small(live->proc_fd, "cgroup", text, sizeof(text)) > 0 &&
	       insp_cgroup_v2_file(text, "cgroup.events", events, sizeof(events)) > 0 &&
	       strstr(events, "frozen 1");
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
