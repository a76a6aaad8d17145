/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hook_own: brings its own malloc along, a bump allocator: a hook has nothing to do in it. */
/* build: -fno-builtin -rdynamic */
#include <stdint.h>

#include "victim.h"

static char room[1 << 22] __attribute__((aligned(16)));
static size_t used;

void *malloc(size_t n)
{
	size_t at = __atomic_fetch_add(&used, (n + 31) & ~(size_t)15, __ATOMIC_RELAXED);

	if (n > sizeof(room) || at + n + 16 > sizeof(room))
		return NULL;
	memcpy(room + at, &n, sizeof(n));
	return room + at + 16;
}

void free(void *p)
{
	(void)p;
}

void *calloc(size_t n, size_t size)
{
	void *p = size && n > sizeof(room) / size ? NULL : malloc(n * size);

	if (p)
		memset(p, 0, n * size);
	return p;
}

void *realloc(void *p, size_t n)
{
	void *q = malloc(n);
	size_t was = 0;

	if (p)
		memcpy(&was, (char *)p - 16, sizeof(was));
	if (q && p)
		memcpy(q, p, was < n ? was : n);
	return q;
}

int main(void)
{
	victim_init();
	for (size_t i = 1; i < 100; i++) {
		void *p = malloc(i);

		if ((uintptr_t)p - (uintptr_t)room >= sizeof(room))
			return 3;
		free(p);
	}
	victim_ready(NULL);
	victim_wait();
}
