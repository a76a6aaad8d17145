/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bench-victim: the processes that bench.sh measures on.
 *
 *   bench-victim chunks N          N live chunks of 16 to 240 bytes, chained
 *   bench-victim threads N DEPTH   N threads, DEPTH calls deep, waiting
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *chain;
static pthread_barrier_t barrier;
static volatile int forever = 1;

static void make_chunks(uint64_t n)
{
	uint64_t seed = 1;

	while (n--) {
		size_t size;
		void **p;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size = 16 + (seed >> 33) % 225;
		p = malloc(size);
		if (!p)
			exit(1);
		memset(p, (int)(seed >> 40), size);
		*p = chain;
		chain = p;
	}
}

static __attribute__((noinline)) int descend(volatile int depth)
{
	char local[64];

	memset(local, depth, sizeof(local));
	if (depth > 1)
		return descend(depth - 1) + local[depth % 64];
	pthread_barrier_wait(&barrier);
	while (forever)
		pause();
	return 0;
}

static void *thread_main(void *arg)
{
	descend((int)(intptr_t)arg);
	return NULL;
}

static void make_threads(unsigned n, int depth)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	pthread_barrier_init(&barrier, NULL, n + 1);
	for (unsigned i = 0; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, thread_main, (void *)(intptr_t)depth))
			exit(1);
	}
	pthread_barrier_wait(&barrier);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "chunks"))
		make_chunks(strtoull(argv[2], NULL, 10));
	else if (argc == 4 && !strcmp(argv[1], "threads"))
		make_threads((unsigned)strtoul(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10));
	else
		return 2;
	printf("{\"ready\":true,\"pid\":%d}\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
