/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/own_memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/log.h"
#include "base/worker.h"

/* Faster than memory can be touched: the limit is not passed by much between two looks. */
#define BYTES_PER_US 4000
#define MIN_US	     2000
#define MAX_US	     500000

static _Atomic uint64_t limit;
static atomic_bool passed, watched;

/* Resident and not of a file, of statm: size, resident, shared, ... in pages. 0 unknown. */
static uint64_t resident(int fd)
{
	uint64_t pages[3] = {0};
	unsigned at = 0;
	char text[128];
	ssize_t n = pread(fd, text, sizeof(text), 0);

	for (ssize_t i = 0; i < n && at < 3; i++)
		if (text[i] >= '0' && text[i] <= '9')
			pages[at] = pages[at] * 10 + (uint64_t)(text[i] - '0');
		else
			at++;
	return pages[1] < pages[2] ? 0 : (pages[1] - pages[2]) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void *watch(void *arg)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	for (;;) {
		uint64_t at_most = atomic_load(&limit), now = fd >= 0 ? resident(fd) : 0;
		uint64_t us = now < at_most ? (at_most - now) / BYTES_PER_US : MIN_US;

		if (now >= at_most) {
			atomic_store(&passed, true);
			insp_interrupt();
		}
		(void)usleep((useconds_t)(us < MIN_US ? MIN_US : us > MAX_US ? MAX_US : us));
	}
	return arg;
}

void insp_own_memory_limit(uint64_t more_bytes)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	pthread_t thread;

	if (fd < 0)
		return;
	atomic_store(&limit, resident(fd) + more_bytes);
	(void)close(fd);
	if (!atomic_exchange(&watched, true) && !insp_worker_start(&thread, watch, NULL))
		(void)pthread_detach(thread);
}

bool insp_own_memory_passed(uint64_t *limit_bytes)
{
	*limit_bytes = atomic_load(&limit);
	return atomic_load(&passed);
}

void insp_own_memory_clear(void)
{
	atomic_store(&passed, false);
}
