/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dlmopen: two glibcs in one process, each with a heap of its own. "other" is mallinfo2() of the
 * second one, whose main arena cannot use brk.
 */
#include <dlfcn.h>

#include "victim.h"

int main(void)
{
	static void *blocks[5000];
	void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	void *(*other_malloc)(size_t);
	void (*other_free)(void *);
	struct mallinfo2 (*other_mallinfo2)(void);
	struct mallinfo2 m;

	if (!libc)
		return 1;
	other_malloc = (void *(*)(size_t))dlsym(libc, "malloc");
	other_free = (void (*)(void *))dlsym(libc, "free");
	other_mallinfo2 = (struct mallinfo2(*)(void))dlsym(libc, "mallinfo2");
	if (!other_malloc || !other_free || !other_mallinfo2)
		return 1;
	victim_init();
	for (size_t i = 0; i < 5000; i++)
		blocks[i] = other_malloc(20 + i % 300);
	for (size_t i = 0; i < 5000; i += 3)
		other_free(blocks[i]);
	for (size_t i = 0; i < 1000; i++)
		blocks[i] = malloc(20 + i % 700);
	m = other_mallinfo2();
	victim_ready("\"other_arena\":%zu,\"other_fordblks\":%zu", m.arena, m.fordblks);
	victim_wait();
}
