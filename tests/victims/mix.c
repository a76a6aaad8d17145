/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mix: a heap with a bit of everything, the same in every run: small and large chunks in use,
 * tcache, fastbins, unsorted, small and large bins, mmapped chunks, a second arena with a thread in
 * it.
 */
/* variant static: -static */
#include <pthread.h>
#include <sys/prctl.h>

#include "victim.h"

#define N 200

static void *kept[N];
static pthread_barrier_t done;

static void fill(void **slots, size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		slots[i] = malloc(size);
		memset(slots[i], 'A' + (int)(i % 26), size);
	}
}

static void drop(void **slots, size_t n, size_t step)
{
	for (size_t i = 0; i < n; i += step) {
		free(slots[i]);
		slots[i] = NULL;
	}
}

static __attribute__((noinline)) void thread_heap(void)
{
	static void *slots[50];

	fill(slots, 50, 640);
	drop(slots, 50, 2);
	pthread_barrier_wait(&done);
	for (;;)
		pause();
}

static void *thread_main(void *arg)
{
	prctl(PR_SET_NAME, "second");
	thread_heap();
	return arg;
}

int main(void)
{
	static void *small[60], *fast[20], *medium[20], *large[12], *mapped[3];
	pthread_t thread;

	victim_init();
	pthread_barrier_init(&done, NULL, 2);
	fill(kept, N, 72);
	fill(small, 60, 200);
	fill(fast, 20, 40);
	fill(medium, 20, 1500);
	fill(large, 12, 20000);
	fill(mapped, 3, 300000);
	drop(small, 60, 2); /* 7 to the tcache, the rest to the unsorted bin */
	drop(medium, 20, 3);
	drop(large, 12, 4);
	kept[0] = realloc(kept[0], 100000); /* sorts the unsorted bin into small and large */
	drop(medium + 1, 19, 3);
	drop(fast, 20, 1); /* 7 to the tcache, 13 to a fastbin */
	if (pthread_create(&thread, NULL, thread_main, NULL))
		return 1;
	pthread_barrier_wait(&done);
	victim_ready("\"kept\":\"%p\",\"large\":\"%p\",\"mapped\":\"%p\",\"freed\":\"%p\"", kept[1],
		     large[1], mapped[0], (void *)((char *)large[1] - 20016));
	victim_wait();
}
