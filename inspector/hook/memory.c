/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memory: pages and time for the hook, from the kernel and without a trace in errno.
 *
 * Private and anonymous: part of every core file, and a forked child gets its own. Not reserved
 * (the tables are larger than what is used of them) and never huge pages, which would make
 * one touched entry cost 2 MiB.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hook/hook.h"

static void *map(size_t size_bytes, int flags)
{
	int saved = errno;
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	if (p == MAP_FAILED)
		p = NULL;
	else
		(void)madvise(p, size_bytes, MADV_NOHUGEPAGE); /* a kernel without THP says no */
	errno = saved;
	return p;
}

void *insp_hook_map(size_t size_bytes)
{
	return map(size_bytes, 0);
}

void *insp_hook_map_filled(size_t size_bytes)
{
	return map(size_bytes, MAP_POPULATE);
}

void insp_hook_unmap(void *p, size_t size_bytes)
{
	int saved = errno;

	if (p)
		(void)munmap(p, size_bytes);
	errno = saved;
}

/*
 * rt_sigprocmask copies the new set from user memory before it finds that the first argument is
 * nonsense: EFAULT or EINVAL tells, nothing is changed, and every sandbox lets it through.
 */
bool insp_hook_readable(uintptr_t addr)
{
	int saved = errno;
	long rc = syscall(SYS_rt_sigprocmask, ~0L, addr & ~(uintptr_t)7, NULL, _NSIG / 8);
	bool ok = rc == 0 || errno != EFAULT;

	errno = saved;
	return ok;
}

uint32_t insp_hook_seconds(void)
{
	static int64_t first;
	int64_t start = __atomic_load_n(&first, __ATOMIC_RELAXED);
	struct timespec now = {0}, real = {0};

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (hook_unlikely(!start)) {
		(void)clock_gettime(CLOCK_REALTIME, &real);
		insp_hook_header.started_ns =
			(uint64_t)real.tv_sec * 1000000000 + (uint64_t)real.tv_nsec;
		start = now.tv_sec;
		__atomic_store_n(&first, start, __ATOMIC_RELAXED);
	}
	uint32_t seconds = (uint32_t)(now.tv_sec - start);

	if (hook_unlikely(insp_hook_header.seconds != seconds))
		insp_hook_header.seconds = seconds;
	return seconds;
}
