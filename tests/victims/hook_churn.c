/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hook_churn [THREADS]: allocates and frees without end, from ever new stacks. */
/* build: -fno-optimize-sibling-calls */
#include <pthread.h>
#include <stdint.h>

#include "victim.h"

#define SLOTS 4096

static __attribute__((noinline)) void *descend(uint32_t path, size_t n);

static __attribute__((noinline)) void *left(uint32_t path, size_t n)
{
	void *p = descend(path >> 1, n);

	__asm__ volatile("" : : "i"(1));
	return p;
}

static __attribute__((noinline)) void *right(uint32_t path, size_t n)
{
	void *p = descend(path >> 1, n);

	__asm__ volatile("" : : "i"(2));
	return p;
}

static void *descend(uint32_t path, size_t n)
{
	void *p;

	if (path <= 1)
		p = malloc(n);
	else
		p = path & 1 ? left(path, n) : right(path, n);
	__asm__ volatile("" : : "i"(3));
	return p;
}

static void *churn(void *arg)
{
	static __thread void *slots[SLOTS];
	uint64_t x = (uint64_t)(uintptr_t)arg + 88172645463325252u;

	for (;;) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		void **slot = &slots[(x >> 40) % SLOTS];

		if (x >> 63) {
			free(*slot);
			*slot = descend((uint32_t)(x >> 20 & 0xfff) | 0x1000, (x >> 33) % 500 + 1);
		} else {
			void *p = realloc(*slot, (x >> 33) % 900 + 1);

			if (p)
				*slot = p;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;

	victim_init();
	for (int i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, churn, (void *)(uintptr_t)i))
			return 3;
	}
	victim_ready(NULL);
	victim_wait();
}
