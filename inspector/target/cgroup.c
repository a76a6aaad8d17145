/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cgroup: the two hierarchies and where they are mounted. Inside a container the path in
 * /proc/PID/cgroup may lie outside of what is mounted: then the mount's own root is what counts.
 */
#include "target/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fmt.h"
#include "model/usage.h"
#include "target/proc.h"

/* v1 says "no limit" by LONG_MAX rounded down to a page. */
#define V1_NO_LIMIT (INT64_MAX & ~4095ll)

/* More levels than anybody nests; each costs a file that is read. */
#define DEPTH_MAX 64

static const char *const v1_mounts[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
static const char *const v2_mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

bool insp_cgroup_up(struct insp_cgroup *group)
{
	char *slash = strrchr(group->dir, '/');

	if (!slash || strlen(group->dir) <= group->root_len)
		return false;
	*slash = '\0';
	return true;
}

uint64_t insp_cgroup_number(const struct insp_cgroup *group, const char *file)
{
	char path[PATH_MAX + 64], buf[64];
	uint64_t v;

	snprintf(path, sizeof(path), "%s/%s", group->dir, file);
	if (insp_proc_small(AT_FDCWD, path, buf, sizeof(buf)) <= 0)
		return INSP_UNKNOWN;
	buf[strcspn(buf, "\n")] = '\0';
	return insp_parse_u64(buf, &v, NULL) ? INSP_UNKNOWN : v;
}

uint64_t insp_cgroup_current(const struct insp_cgroup *group)
{
	return insp_cgroup_number(group, group->v2 ? "memory.current" : "memory.usage_in_bytes");
}

static uint64_t limit_of(const struct insp_cgroup *group, const char *v2_file, const char *v1_file)
{
	uint64_t v = insp_cgroup_number(group, group->v2 ? v2_file : v1_file);

	return !group->v2 && v >= (uint64_t)V1_NO_LIMIT ? INSP_UNKNOWN : v;
}

uint64_t insp_cgroup_max(const struct insp_cgroup *group)
{
	return limit_of(group, "memory.max", "memory.limit_in_bytes");
}

uint64_t insp_cgroup_high(const struct insp_cgroup *group)
{
	return limit_of(group, "memory.high", "memory.soft_limit_in_bytes");
}

/* v1 counts memory and swap together. */
uint64_t insp_cgroup_swap(const struct insp_cgroup *group)
{
	uint64_t both, current;

	if (group->v2)
		return insp_cgroup_number(group, "memory.swap.current");
	both = insp_cgroup_number(group, "memory.memsw.usage_in_bytes");
	current = insp_cgroup_current(group);
	return both != INSP_UNKNOWN && current != INSP_UNKNOWN && both >= current ? both - current
										  : both;
}

uint64_t insp_cgroup_limit(const struct insp_cgroup *group)
{
	struct insp_cgroup at = *group;
	uint64_t least = INSP_UNKNOWN;
	int depth = 0;

	do {
		uint64_t max = insp_cgroup_max(&at);

		least = max < least ? max : least;
	} while (++depth < DEPTH_MAX && insp_cgroup_up(&at));
	return least;
}

uint64_t insp_cgroup_inactive_file(const struct insp_cgroup *group)
{
	char path[PATH_MAX + 64], buf[16384], *line = buf;
	const char *key = group->v2 ? "inactive_file " : "total_inactive_file ";
	uint64_t v;

	snprintf(path, sizeof(path), "%s/memory.stat", group->dir);
	if (insp_proc_small(AT_FDCWD, path, buf, sizeof(buf)) <= 0)
		return INSP_UNKNOWN;
	while (line && strncmp(line, key, strlen(key)) != 0) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return INSP_UNKNOWN;
	line += strlen(key);
	line[strcspn(line, "\n")] = '\0';
	return insp_parse_u64(line, &v, NULL) ? INSP_UNKNOWN : v;
}

/* The group at path below mount, or the nearest above it that accounts memory. */
static bool find_in(const char *mount, const char *path, bool v2, struct insp_cgroup *ret)
{
	struct insp_cgroup g = {.v2 = v2, .root_len = strlen(mount)};
	int n = snprintf(g.dir, sizeof(g.dir), "%s%s", mount, strcmp(path, "/") ? path : "");
	int depth = 0;

	if (n < 0 || (size_t)n >= sizeof(g.dir))
		return false;
	do {
		if (insp_cgroup_current(&g) != INSP_UNKNOWN) {
			*ret = g;
			return true;
		}
	} while (++depth < DEPTH_MAX && insp_cgroup_up(&g));
	return false;
}

bool insp_cgroup_find(const char *text, struct insp_cgroup *ret)
{
	char room[PATH_MAX];
	const char *path;
	bool v2;

	path = insp_proc_cgroup(text, &v2, room, sizeof(room) - 128);
	if (!path || path[0] != '/')
		return false;
	if (strstr(path, "/.."))
		path = "/";
	for (int i = 0; i < 2; i++)
		if (find_in(v2 ? v2_mounts[i] : v1_mounts[i], path, v2, ret))
			return true;
	return false;
}

ssize_t insp_cgroup_v2_file(const char *text, const char *file, char *buf, size_t size_bytes)
{
	const char *line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
	char path[PATH_MAX];
	int len;

	if (!line)
		return -ENOENT;
	line += strcspn(line, ":") + 2;
	len = (int)strcspn(line, "\n");
	if (len >= PATH_MAX || strncmp(line, "/..", 3) == 0)
		return -ENOENT;
	for (int i = 0; i < 2; i++) {
		ssize_t n;

		if (snprintf(path, sizeof(path), "%s%.*s/%s", v2_mounts[i], len, line, file) >=
		    PATH_MAX)
			return -ENAMETOOLONG;
		n = insp_proc_small(AT_FDCWD, path, buf, size_bytes);
		if (n > 0)
			return n;
	}
	return -ENOENT;
}
