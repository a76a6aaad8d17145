/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hook_churn [THREADS]: allocates and frees without end, from ever new stacks, and counts what it holds. */
/* build: -fno-optimize-sibling-calls */
#include <pthread.h>
#include <stdint.h>

#include "victim.h"

#define SLOTS 4096
#define MAX_THREADS 16

static volatile uint64_t held[MAX_THREADS];

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
	volatile uint64_t *mine = &held[(uintptr_t)arg];
	uint64_t x = (uint64_t)(uintptr_t)arg + 88172645463325252u;

	for (;;) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		void **slot = &slots[(x >> 40) % SLOTS];

		if (x >> 63) {
			*mine -= *slot != NULL;
			free(*slot);
			*slot = descend((uint32_t)(x >> 20 & 0xfff) | 0x1000, (x >> 33) % 500 + 1);
			*mine += *slot != NULL;
		} else {
			void *p = realloc(*slot, (x >> 33) % 900 + 1);

			if (p) {
				*mine += *slot == NULL;
				*slot = p;
			}
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;

	victim_init();
	for (int i = 0; i < n && i < MAX_THREADS; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, churn, (void *)(uintptr_t)i))
			return 3;
	}
	victim_ready("\"held\":\"%p\",\"nheld\":%d", (const void *)held, MAX_THREADS);
	victim_wait();
}
