/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "target/precopy.h"
#include "target/proc.h"

#define CAP_SYS_PTRACE_BIT 19 /* include/uapi/linux/capability.h */
#define PRESENT_BIT	   63 /* Documentation/admin-guide/mm/pagemap.rst */
#define SOFT_DIRTY_BIT	   55
#define PAGE		   4096u

insp_printf(3, 4) static void say(struct insp_check *c, enum insp_verdict verdict, const char *fmt,
				  ...)
{
	va_list ap;

	c->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

static void try_permission(struct insp_check *c)
{
	char status[8192];
	uint64_t caps = 0;
	const char *at;

	if (insp_proc_small(AT_FDCWD, "/proc/self/status", status, sizeof(status)) > 0 &&
	    (at = strstr(status, "CapEff:")))
		for (at += 7 + strspn(at + 7, " \t"); *at && strchr("0123456789abcdef", *at); at++)
			caps = caps << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	if (caps >> CAP_SYS_PTRACE_BIT & 1)
		say(c, INSP_VERDICT_YES, "processes of every user (CAP_SYS_PTRACE)");
	else
		say(c, INSP_VERDICT_LIMITED,
		    "own processes only; sudo, or setcap cap_sys_ptrace+ep on the program, allows others");
}

static void try_yama(struct insp_check *c)
{
	char text[16] = "";

	if (insp_proc_small(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)) <= 0) {
		say(c, INSP_VERDICT_YES, "this kernel has no Yama");
		return;
	}
	switch (text[0]) {
	case '0':
		say(c, INSP_VERDICT_YES, "ptrace_scope is 0: no restriction");
		return;
	case '1':
		say(c, INSP_VERDICT_LIMITED, "ptrace_scope is 1: without CAP_SYS_PTRACE only descendants; "
					     "sysctl kernel.yama.ptrace_scope=0 lifts it");
		return;
	case '2':
		say(c, INSP_VERDICT_LIMITED, "ptrace_scope is 2: only with CAP_SYS_PTRACE");
		return;
	default:
		say(c, INSP_VERDICT_NO, "ptrace_scope is 3: nobody may attach until the next boot");
	}
}

static void try_vm_readv(struct insp_check *c)
{
	char from[8] = "abcdefg", to[8] = "";
	struct iovec l = {to, sizeof(to)}, r = {from, sizeof(from)};

	if (process_vm_readv(getpid(), &l, 1, &r, 1, 0) == sizeof(to) && !memcmp(from, to, sizeof(to)))
		say(c, INSP_VERDICT_YES, "process_vm_readv");
	else
		say(c, INSP_VERDICT_LIMITED, "process_vm_readv: %s; /proc/PID/mem is used, at half the speed",
		    strerror(errno));
}

static uint64_t pagemap_of(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * sizeof(entry))) !=
	    sizeof(entry))
		entry = 0;
	(void)close(fd);
	return entry;
}

static void try_pagemap(struct insp_check *c)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	page[0] = 1;
	if (pagemap_of(page) >> PRESENT_BIT & 1)
		say(c, INSP_VERDICT_YES, "pages that were never touched are left alone");
	else
		say(c, INSP_VERDICT_NO, "/proc/PID/pagemap tells nothing: reading may touch pages, and the "
					"target's RSS may grow");
	munmap(page, PAGE);
}

static void try_soft_dirty(struct insp_check *c)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	bool cleared;

	if (page == MAP_FAILED || fd < 0) {
		say(c, INSP_VERDICT_NO, "/proc/PID/clear_refs cannot be written");
	} else {
		page[0] = 1;
		cleared = write(fd, "4", 1) == 1;
		*(volatile char *)page = 2;
		if (cleared && pagemap_of(page) >> SOFT_DIRTY_BIT & 1)
			say(c, INSP_VERDICT_YES, "works (not used: userfaultfd serves better)");
		else
			say(c, INSP_VERDICT_NO, "%s (not needed)",
			    cleared ? "the kernel accepts the request and never marks a page" : "refused");
	}
	if (fd >= 0)
		(void)close(fd);
	if (page != MAP_FAILED)
		munmap(page, PAGE);
}

static void try_precopy(struct insp_check *c)
{
	struct insp_error err = {0};

	if (!insp_precopy_supported(&err))
		say(c, INSP_VERDICT_YES, "--capture precopy: pauses of milliseconds for gigabytes");
	else
		say(c, INSP_VERDICT_NO, "%.200s", err.msg);
}

static void try_priority(struct insp_check *c)
{
	struct sched_param fifo = {.sched_priority = 1}, other = {0};

	if (!sched_setscheduler(0, SCHED_FIFO, &fifo)) {
		(void)sched_setscheduler(0, SCHED_OTHER, &other);
		say(c, INSP_VERDICT_YES, "real-time priority in the pause: short also beside busy threads");
	} else {
		say(c, INSP_VERDICT_LIMITED,
		    "no real-time priority (%s): with many busy threads the pause is longer",
		    strerror(errno));
	}
}

static void try_pidfd(struct insp_check *c)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0) {
		(void)close(fd);
		say(c, INSP_VERDICT_YES, "a pid that is used again is noticed");
	} else {
		say(c, INSP_VERDICT_LIMITED, "pidfd_open: %s; a pid that is used again may fool us",
		    strerror(errno));
	}
}

size_t insp_selftest(struct insp_check *ret)
{
	static const struct {
		const char *key, *what;
		void (*try_it)(struct insp_check *c);
	} checks[] = {
		{"permission", "whom we may inspect", try_permission},
		{"yama", "Yama", try_yama},
		{"read_memory", "fast reads of memory", try_vm_readv},
		{"pagemap", "page states", try_pagemap},
		{"precopy", "copy before the stop", try_precopy},
		{"soft_dirty", "soft-dirty bits", try_soft_dirty},
		{"priority", "priority in the pause", try_priority},
		{"pidfd", "process handles", try_pidfd},
	};
	size_t n = sizeof(checks) / sizeof(checks[0]);

	_Static_assert(sizeof(checks) / sizeof(checks[0]) <= INSP_SELFTEST_MAX, "room for all checks");
	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct insp_check){.key = checks[i].key, .what = checks[i].what};
		say(&ret[i], INSP_VERDICT_NO, "could not be tried");
		checks[i].try_it(&ret[i]);
	}
	return n;
}
