/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook-loop THREADS STEPS: a program that does little but allocate, for hook.sh: from stacks of 8 to 24
 * frames out of a thousand paths, sizes of 16 bytes to 4 KiB, most blocks short-lived, some long.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 50000

struct worker {
	pthread_t thread;
	uint64_t random;
	long steps;
	void *slots[SLOTS];
};

static uint32_t next(struct worker *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33);
}

static void touch(struct worker *w)
{
	static const uint16_t sizes[16] = {16, 24, 24, 32, 32, 32, 40, 48, 64, 64, 96, 128, 200, 512, 1024, 4096};
	size_t n = sizes[next(w) & 15] + (next(w) & 7);
	uint32_t fate = next(w) & 255;
	void *p = malloc(n);

	memset(p, 1, n < 64 ? n : 64);
	if (fate > 200) {
		void **slot = &w->slots[next(w) % SLOTS];

		free(*slot);
		*slot = p;
	} else {
		free(p);
	}
}

typedef void (*level_fn)(struct worker *, uint64_t path, int depth);
static const level_fn levels[16];

#define LEVEL(n)                                                                     \
	static __attribute__((noinline)) void level##n(struct worker *w, uint64_t path, int depth) \
	{                                                                            \
		touch(w);                                                            \
		if (depth)                                                           \
			levels[path & 15](w, path >> 4 | path << 60, depth - 1);     \
		__asm__ volatile("" : : "i"(n));                                     \
	}
LEVEL(0) LEVEL(1) LEVEL(2) LEVEL(3) LEVEL(4) LEVEL(5) LEVEL(6) LEVEL(7)
LEVEL(8) LEVEL(9) LEVEL(10) LEVEL(11) LEVEL(12) LEVEL(13) LEVEL(14) LEVEL(15)
static const level_fn levels[16] = {level0, level1, level2,  level3,  level4,  level5,	level6,	 level7,
				    level8, level9, level10, level11, level12, level13, level14, level15};

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->steps > 0) {
		uint64_t path = (next(w) & 3 ? next(w) & 63 : next(w) & 1023) * UINT64_C(0x9e3779b97f4a7c15);
		int depth = 8 + (int)(path >> 60);

		levels[path & 15](w, path, depth);
		w->steps -= depth + 1;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
	struct worker *workers = calloc(n > 0 ? (size_t)n : 1, sizeof(*workers));

	if (n < 1 || !workers)
		return 2;
	for (int i = 0; i < n; i++) {
		workers[i].random = 77 + (uint64_t)i;
		workers[i].steps = argc > 2 ? strtol(argv[2], NULL, 10) : 3000000;
	}
	for (int i = 1; i < n; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 3;
	work(&workers[0]);
	for (int i = 1; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	return 0;
}
