/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * task: /proc/PID/task/TID/{stat,wchan,syscall,status}, and the list of tids.
 *
 * The list is read with getdents64 into a buffer of our own: readdir() would allocate, and this
 * runs while the target stands still.
 */
#include "target/task.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/vec.h"
#include "model/thread.h"
#include "target/proc.h"

static ssize_t task_file(int task_fd, int tid, const char *file, char *buf, size_t size_bytes)
{
	char path[48];

	snprintf(path, sizeof(path), "%d/%s", tid, file);
	return insp_proc_small(task_fd, path, buf, size_bytes);
}

bool insp_task_read(int task_fd, int tid, bool nested, struct insp_task *ret)
{
	static const uint64_t ns_per_s = 1000000000;
	struct insp_proc_syscall sc;
	struct insp_proc_stat st;
	uint64_t last;
	char buf[4096];
	unsigned n;

	*ret = (struct insp_task){.tid = tid, .ns_tid = tid, .syscall = -1};
	if (task_file(task_fd, tid, "stat", buf, sizeof(buf)) <= 0 || !insp_proc_stat(buf, &st))
		return false;
	snprintf(ret->name, sizeof(ret->name), "%.15s", st.comm);
	ret->state = st.state;
	ret->cpu_ns = (st.utime + st.stime) * (ns_per_s / (uint64_t)sysconf(_SC_CLK_TCK));
	if (st.state != 'R' && task_file(task_fd, tid, "wchan", buf, sizeof(buf)) > 0 &&
	    strcmp(buf, "0") != 0)
		snprintf(ret->wchan, sizeof(ret->wchan), "%.47s", buf);
	if (task_file(task_fd, tid, "syscall", buf, sizeof(buf)) > 0 && insp_proc_syscall(buf, &sc) &&
	    !sc.running) {
		ret->syscall = sc.number;
		memcpy(ret->args, sc.args, sizeof(ret->args));
		ret->sp = sc.sp;
	}
	if (nested && task_file(task_fd, tid, "status", buf, sizeof(buf)) > 0 &&
	    insp_proc_field_last(buf, "NSpid", &last, &n))
		ret->ns_tid = (int)last;
	return true;
}

char insp_task_state(int task_fd, int tid)
{
	struct insp_proc_stat st;
	char buf[1024];

	if (task_file(task_fd, tid, "stat", buf, sizeof(buf)) <= 0 || !insp_proc_stat(buf, &st))
		return 0;
	return st.state;
}

int insp_task_tracer(int task_fd, int tid)
{
	uint64_t tracer;
	char buf[4096];

	if (task_file(task_fd, tid, "status", buf, sizeof(buf)) <= 0 ||
	    !insp_proc_field(buf, "TracerPid", &tracer))
		return -1;
	return (int)tracer;
}

struct dirent64_head {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static int parse_tid(const char *name)
{
	int tid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		if (__builtin_mul_overflow(tid, 10, &tid) ||
		    __builtin_add_overflow(tid, *name - '0', &tid))
			return 0;
	return *name ? 0 : tid;
}

bool insp_task_list(int task_fd, struct insp_tids *tids)
{
	_Alignas(struct dirent64_head) char buf[32u << 10];
	long n;

	tids->n = 0;
	if (lseek(task_fd, 0, SEEK_SET) < 0)
		return false;
	while ((n = syscall(SYS_getdents64, task_fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64_head *d = (const void *)(buf + at);
			int tid = parse_tid(d->name);

			at += d->reclen;
			if (!tid)
				continue;
			int *slot = insp_vec_push(tids);

			if (!slot)
				return false;
			*slot = tid;
		}
	}
	return tids->n > 0;
}

bool insp_task_thread(const struct insp_task *task, struct insp_pool *pool,
		      struct insp_thread *ret)
{
	*ret = (struct insp_thread){
		.tid = task->tid,
		.ns_tid = task->ns_tid,
		.state = task->state,
		.syscall = task->syscall,
		.cpu_ns = task->cpu_ns,
		.orig_rax = UINT64_MAX,
	};
	memcpy(ret->name, task->name, sizeof(ret->name));
	memcpy(ret->syscall_args, task->args, sizeof(ret->syscall_args));
	if (task->wchan[0]) {
		ret->wchan = insp_pool_strdup(pool, task->wchan);
		if (!ret->wchan)
			return false;
	}
	return true;
}
