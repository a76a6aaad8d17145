/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * find: from what a user typed to a process, and why a process may not be inspected.
 *
 * A refusal names the reason and the way out. The kernel says no more than EPERM, so the reason
 * is worked out from /proc: who owns it, may it be dumped, what does Yama say.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/str.h"
#include "target/find.h"
#include "target/live.h"
#include "target/proc.h"

#define CAP_SYS_PTRACE_BIT 19

static ssize_t pid_file(int pid, const char *file, char *buf, size_t size_bytes)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return insp_proc_small(AT_FDCWD, path, buf, size_bytes);
}

/* Names are the target's own choice, and a message is one line. */
static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

const char *insp_live_title(int pid, char *buf, size_t size_bytes)
{
	char comm[32];

	if (pid_file(pid, "comm", comm, sizeof(comm)) <= 0) {
		snprintf(buf, size_bytes, "%d", pid);
		return buf;
	}
	comm[strcspn(comm, "\n")] = '\0';
	printable(comm);
	snprintf(buf, size_bytes, "%d (%s)", pid, comm);
	return buf;
}

static bool is_number(const char *spec)
{
	return *spec && !spec[strspn(spec, "0123456789")];
}

/* Is it called that: the name of its main thread, its program's file name, or argv[0]'s? */
static bool has_name(int pid, const char *name)
{
	char buf[4096], path[64];
	ssize_t n = pid_file(pid, "comm", buf, sizeof(buf));
	const char *base;

	if (n <= 0)
		return false;
	buf[strcspn(buf, "\n")] = '\0';
	if (!strcmp(buf, name))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, buf, sizeof(buf) - 1);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	base = strrchr(buf, '/');
	base = base ? base + 1 : buf;
	n = (ssize_t)strlen(name);
	return !strncmp(base, name, (size_t)n) &&
	       (!base[n] || !strcmp(base + n, " (deleted)"));
}

void insp_processes_named(const char *name, struct insp_processes *ret)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;

	ret->n = 0;
	while (dir && (d = readdir(dir))) {
		struct insp_proc_stat st;
		char buf[1024];
		uint64_t number;
		int pid;

		if (!is_number(d->d_name) || insp_parse_u64(d->d_name, &number, NULL) || number > INT_MAX)
			continue;
		pid = (int)number;
		if (pid == getpid() || !has_name(pid, name))
			continue;
		if (pid_file(pid, "stat", buf, sizeof(buf)) <= 0 || !insp_proc_stat(buf, &st) ||
		    st.state == 'Z' || st.flags & INSP_PROC_KTHREAD)
			continue;
		if (ret->n < sizeof(ret->pids) / sizeof(ret->pids[0]))
			ret->pids[ret->n] = pid;
		ret->n++;
	}
	if (dir)
		(void)closedir(dir);
}

bool insp_live_names(const char *spec)
{
	struct insp_processes m;

	if (is_number(spec))
		return true;
	if (!*spec || strchr(spec, '/'))
		return false;
	insp_processes_named(spec, &m);
	return m.n > 0;
}

static void add_candidate(struct insp_str *list, int pid)
{
	char buf[64];
	ssize_t n = pid_file(pid, "cmdline", buf, sizeof(buf));

	for (ssize_t i = 0; i < n - 1; i++)
		if (!buf[i])
			buf[i] = ' ';
	printable(buf);
	/* Titles are filled up with blanks or zeroes. */
	for (; n > 0 && (!buf[n - 1] || buf[n - 1] == ' '); n--)
		buf[n - 1] = '\0';
	insp_str_addf(list, "%s%d (%s%s)", list->len ? ", " : "", pid, n > 0 ? buf : "?",
		      n == sizeof(buf) - 1 ? "..." : "");
}

int insp_processes_several(const char *name, const struct insp_processes *found,
			   struct insp_error *err)
{
	struct insp_str list = {0};
	int rc;

	for (size_t i = 0;
	     i < found->n && i < sizeof(found->pids) / sizeof(found->pids[0]) && list.len < 380;
	     i++)
		add_candidate(&list, found->pids[i]);
	rc = insp_fail(err, INSP_E_USAGE, "%zu processes are called '%s', name one by its pid: %s",
		       found->n, name, insp_str_text(&list));
	insp_str_deinit(&list);
	return rc;
}

int insp_live_find(const char *spec, int *ret_pid, struct insp_error *err)
{
	struct insp_processes m;
	uint64_t pid;
	int rc;

	if (is_number(spec)) {
		rc = insp_parse_u64(spec, &pid, err);
		if (rc)
			return rc;
		if (!pid || pid > INT32_MAX)
			return insp_fail(err, INSP_E_GONE, "no process has the number %s", spec);
		*ret_pid = (int)pid;
		return 0;
	}
	insp_processes_named(spec, &m);
	if (!m.n)
		return insp_fail(err, INSP_E_GONE, "no process is called '%s'", spec);
	if (m.n == 1) {
		*ret_pid = m.pids[0];
		return 0;
	}
	return insp_processes_several(spec, &m, err);
}

int insp_live_traced(int pid, int tracer, struct insp_error *err)
{
	char status[8192], who[64], by[64];
	uint64_t tgid;

	/* The kernel names the thread that traces; people know processes. */
	if (pid_file(tracer, "status", status, sizeof(status)) > 0 &&
	    insp_proc_field(status, "Tgid", &tgid))
		tracer = (int)tgid;
	return insp_fail(err, INSP_E_PERM,
			 "process %s is being traced by process %s: end that first, a process can "
			 "have one tracer only",
			 insp_live_title(pid, who, sizeof(who)),
			 insp_live_title(tracer, by, sizeof(by)));
}

int insp_live_check(int pid, struct insp_error *err)
{
	char status[8192], stat[1024], who[64];
	struct insp_proc_stat st;
	uint64_t v;

	if (pid_file(pid, "status", status, sizeof(status)) <= 0 ||
	    pid_file(pid, "stat", stat, sizeof(stat)) <= 0 || !insp_proc_stat(stat, &st))
		return insp_fail(err, INSP_E_GONE, "there is no process %d", pid);
	insp_live_title(pid, who, sizeof(who));
	if (insp_proc_field(status, "Tgid", &v) && (int)v != pid)
		return insp_fail(err, INSP_E_USAGE,
				 "%s is a thread of process %d: give that number", who, (int)v);
	if (pid == getpid())
		return insp_fail(err, INSP_E_USAGE, "%s is this very process", who);
	if (st.flags & INSP_PROC_KTHREAD)
		return insp_fail(err, INSP_E_PERM,
				 "%s is a kernel thread: it has no memory of its own", who);
	/* A leader that ended before its threads shows as a zombie, too, but has memory. */
	if ((st.state == 'Z' && st.nthreads <= 1) || st.state == 'X')
		return insp_fail(err, INSP_E_GONE,
				 "process %s is a zombie: it has ended, and waits for process %d to "
				 "collect it",
				 who, st.ppid);
	if (insp_proc_field(status, "TracerPid", &v) && v && (int)v != getpid())
		return insp_live_traced(pid, (int)v, err);
	return 0;
}

static bool may_trace_others(void)
{
	char status[8192];
	uint64_t caps;

	return pid_file(getpid(), "status", status, sizeof(status)) > 0 &&
	       insp_proc_field_hex(status, "CapEff", &caps) && caps >> CAP_SYS_PTRACE_BIT & 1;
}

static int yama_scope(void)
{
	char buf[16];

	if (insp_proc_small(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", buf, sizeof(buf)) <= 0)
		return 0;
	return buf[0] - '0';
}

static const char *user_name(uid_t uid, char *buf, size_t size_bytes)
{
	char room[1024];
	struct passwd pw, *found = NULL;

	if (!getpwuid_r(uid, &pw, room, sizeof(room), &found) && found)
		snprintf(buf, size_bytes, "%s", pw.pw_name);
	else
		snprintf(buf, size_bytes, "%u", uid);
	return buf;
}

int insp_live_refused(int pid, struct insp_error *err)
{
	char status[8192], path[64], who[64], user[64];
	uint64_t uid = 0, tracer;
	struct stat st;
	int scope = yama_scope();
	bool cap = may_trace_others();

	if (pid_file(pid, "status", status, sizeof(status)) <= 0)
		return insp_fail(err, INSP_E_GONE, "process %d has ended", pid);
	insp_live_title(pid, who, sizeof(who));
	/* Our own main thread traces it: we run inside a debugger (inferior.c). */
	if (insp_proc_field(status, "TracerPid", &tracer) && tracer && (int)tracer != getpid())
		return insp_live_traced(pid, (int)tracer, err);
	(void)insp_proc_field(status, "Uid", &uid);
	if (scope == 3)
		return insp_fail(err, INSP_E_PERM,
				 "process %s: this machine forbids ptrace altogether until it is "
				 "rebooted (kernel.yama.ptrace_scope is 3)",
				 who);
	if (cap)
		return insp_fail(err, INSP_E_PERM,
				 "process %s: the kernel refuses although we have CAP_SYS_PTRACE: "
				 "it is in a user namespace that is not below ours, or a security "
				 "module (SELinux, AppArmor) forbids it; try from the host as root",
				 who);
	if (uid != geteuid())
		return insp_fail(err, INSP_E_PERM,
				 "process %s belongs to user %s: run as that user or with sudo%s", who,
				 user_name((uid_t)uid, user, sizeof(user)),
				 geteuid() ? "" : " (this root lacks CAP_SYS_PTRACE: in a container, "
						  "start it with --cap-add SYS_PTRACE)");
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	if (!stat(path, &st) && st.st_uid != uid)
		return insp_fail(err, INSP_E_PERM,
				 "process %s protects itself (not dumpable: set-uid, file "
				 "capabilities or PR_SET_DUMPABLE): run with sudo",
				 who);
	if (scope == 2)
		return insp_fail(err, INSP_E_PERM,
				 "process %s: only root may inspect here "
				 "(kernel.yama.ptrace_scope is 2): run with sudo",
				 who);
	if (scope == 1)
		return insp_fail(err, INSP_E_PERM,
				 "process %s is not a child of ours (kernel.yama.ptrace_scope is "
				 "1): run with sudo, or sysctl kernel.yama.ptrace_scope=0",
				 who);
	return insp_fail(err, INSP_E_PERM,
			 "process %s: the kernel refuses to let us look: run with sudo (in a "
			 "container, start it with --cap-add SYS_PTRACE)",
			 who);
}
