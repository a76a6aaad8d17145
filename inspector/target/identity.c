/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identity: the program, command line and start time of a live process. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "target/live.h"
#include "target/proc.h"

#define CMDLINE_MAX 4096

static const char *read_exe(struct insp_live *live, struct insp_pool *pool)
{
	static const char gone[] = " (deleted)";
	char path[4096];
	ssize_t n = readlinkat(live->vm_fd, "exe", path, sizeof(path));

	if (n <= 0 || n == sizeof(path))
		return NULL;
	if ((size_t)n > sizeof(gone) && !memcmp(path + n - (sizeof(gone) - 1), gone, sizeof(gone) - 1))
		n -= (ssize_t)sizeof(gone) - 1;
	return insp_pool_strndup(pool, path, (size_t)n);
}

/* The words are separated by NULs, and the target may have written anything over them. */
static const char *read_cmdline(struct insp_live *live, struct insp_pool *pool)
{
	char buf[CMDLINE_MAX];
	ssize_t n = insp_proc_small(live->vm_fd, "cmdline", buf, sizeof(buf));

	while (n > 0 && !buf[n - 1])
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = ' ';
	return n > 0 ? insp_pool_strndup(pool, buf, (size_t)n) : NULL;
}

static uint64_t read_started(struct insp_live *live)
{
	struct insp_proc_stat st;
	char buf[1024];

	if (insp_proc_small(live->proc_fd, "stat", buf, sizeof(buf)) <= 0 ||
	    !insp_proc_stat(buf, &st))
		return 0;
	return insp_proc_time_of_ticks(st.start_ticks);
}

static void read_auxv(struct insp_live *live, struct insp_pool *pool, struct insp_target_info *ret)
{
	char buf[4096];
	ssize_t n = insp_proc_small(live->vm_fd, "auxv", buf, sizeof(buf));

	if (n <= 0)
		return;
	ret->auxv = insp_pool_memdup(pool, buf, (size_t)n);
	ret->auxv_bytes = ret->auxv ? (size_t)n : 0;
}

void insp_live_info(struct insp_target *target, struct insp_pool *pool,
		    struct insp_target_info *ret)
{
	struct insp_live *live = insp_live_of(target);

	ret->exe = read_exe(live, pool);
	ret->cmdline = read_cmdline(live, pool);
	ret->started_at_ns = read_started(live);
	read_auxv(live, pool, ret);
}
