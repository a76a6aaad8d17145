/* SPDX-License-Identifier: GPL-3.0-or-later */
/* threads N DEPTH: N named threads, DEPTH calls deep, each with some chunks of its own. */
/* build: -fno-optimize-sibling-calls */
#include <pthread.h>

#include "victim.h"

static pthread_barrier_t there;
static volatile int forever = 1;

static __attribute__((noinline)) int descend(volatile int depth)
{
	char local[48];

	memset(local, depth, sizeof(local));
	if (depth > 1)
		return descend(depth - 1) + local[depth % 48];
	pthread_barrier_wait(&there);
	while (forever)
		pause();
	return 0;
}

static void *thread_main(void *arg)
{
	static __thread void *mine[8];

	for (size_t i = 0; i < 8; i++)
		mine[i] = malloc(100 * (i + 1));
	free(mine[3]);
	descend((int)(size_t)arg);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
	size_t depth = argc > 2 ? strtoul(argv[2], NULL, 10) : 20;
	pthread_attr_t attr;

	victim_init();
	pthread_barrier_init(&there, NULL, n + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	for (unsigned i = 0; i < n; i++) {
		pthread_t thread;
		char name[16];

		if (pthread_create(&thread, &attr, thread_main, (void *)depth))
			return 1;
		snprintf(name, sizeof(name), "deep-%u", i);
		pthread_setname_np(thread, name);
	}
	pthread_barrier_wait(&there);
	victim_ready("\"threads\":%u,\"depth\":%zu", n + 1, depth);
	victim_wait();
}
