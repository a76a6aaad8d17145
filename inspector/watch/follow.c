/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch/follow.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fmt.h"
#include "snapshot/file.h"
#include "target/core_unpack.h"
#include "target/find.h"
#include "target/proc.h"

int insp_follow_check(const char *spec, struct insp_error *err)
{
	struct stat st;

	if (stat(spec, &st) || !S_ISREG(st.st_mode) ||
	    !(insp_snapshot_is_file(spec) || insp_core_is_one(spec)))
		return 0;
	return insp_fail(err, INSP_E_USAGE,
			 "'%s' is a file, which does not change over time: a process is wanted", spec);
}

void insp_follow_init(struct insp_follow *follow, const char *spec)
{
	*follow = (struct insp_follow){
		.spec = spec,
		.by_name = !*spec || spec[strspn(spec, "0123456789")],
	};
}

void insp_follow_deinit(struct insp_follow *follow)
{
	insp_gauge_close(follow->gauge);
	follow->gauge = NULL;
}

static int parent_of(int pid)
{
	struct insp_proc_stat st;
	char path[32], buf[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (insp_proc_small(AT_FDCWD, path, buf, sizeof(buf)) <= 0 || !insp_proc_stat(buf, &st))
		return 0;
	return st.ppid;
}

/* Is pid below ancestor? A child of a child counts. */
static bool descends(int pid, int ancestor)
{
	for (int depth = 0; pid > 1 && depth < 32; depth++) {
		pid = parent_of(pid);
		if (pid == ancestor)
			return true;
	}
	return false;
}

/* The one that all others come from; 0: there is no such. */
static int common_parent(const struct insp_processes *found)
{
	for (size_t i = 0; i < found->n; i++) {
		size_t below = 0;

		for (size_t k = 0; k < found->n; k++)
			below += k != i && descends(found->pids[k], found->pids[i]);
		if (below == found->n - 1)
			return found->pids[i];
	}
	return 0;
}

static int find_named(struct insp_follow *f, int *ret_pid, struct insp_error *err)
{
	struct insp_processes found;
	int pid = 0;

	insp_processes_named(f->spec, &found);
	if (!found.n)
		return insp_fail(err, INSP_E_GONE, "no process is called '%s'", f->spec);
	if (found.n <= sizeof(found.pids) / sizeof(found.pids[0]))
		pid = common_parent(&found);
	if (!pid)
		return insp_processes_several(f->spec, &found, err);
	f->others = (unsigned)found.n - 1;
	*ret_pid = pid;
	return 0;
}

static int find(struct insp_follow *f, int *ret_pid, struct insp_error *err)
{
	uint64_t number;
	int rc;

	if (f->by_name)
		return find_named(f, ret_pid, err);
	rc = insp_parse_u64(f->spec, &number, err);
	if (rc)
		return rc;
	if (!number || number > INT_MAX)
		return insp_fail(err, INSP_E_GONE, "no process has the number %s", f->spec);
	if (f->pid) /* its number may be somebody else's by now */
		return insp_fail(err, INSP_E_GONE, "process %s has ended", f->spec);
	*ret_pid = (int)number;
	return 0;
}

int insp_follow_read(struct insp_follow *f, struct insp_sample *ret, struct insp_error *err)
{
	struct insp_gauge *gauge;
	int pid, rc;

	if (f->gauge) {
		if (!insp_gauge_read(f->gauge, ret, NULL))
			return 0;
		insp_follow_deinit(f);
	}
	rc = find(f, &pid, err);
	if (!rc)
		rc = insp_gauge_open(pid, &gauge, err);
	if (rc)
		return rc;
	rc = insp_gauge_read(gauge, ret, err);
	if (rc) {
		insp_gauge_close(gauge);
		return rc;
	}
	f->gauge = gauge;
	if (pid != f->pid || insp_gauge_ticks(gauge) != f->ticks)
		f->generation++;
	f->pid = pid;
	f->ticks = insp_gauge_ticks(gauge);
	return 0;
}
