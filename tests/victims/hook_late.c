/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook_late [LIBRARY]: not a PIE, and takes malloc's address, so that it has a symbol malloc that is undefined and
 * has a value: a stub of its own, which dlsym gives for malloc. Loads LIBRARY and closes it again. Has an aligned
 * block in a mapping of its own, too, which does not lie at its start.
 */
/* build: -O1 -fno-pie -no-pie -fno-builtin -ldl */
#include <dlfcn.h>
#include <stdint.h>

#include "victim.h"

static void *(*volatile allocate)(size_t);

int main(int argc, char **argv)
{
	void *handle, *aligned = memalign(65536, 300000);

	victim_init();
	allocate = malloc; /* in code: in data, the loader would put the library's address */
	/* Else there is no stub, and nothing is tested. */
	if ((uintptr_t)allocate >> 32 || dlsym(RTLD_DEFAULT, "malloc") != (void *)allocate)
		return 3;
	if (argc > 1) {
		handle = dlopen(argv[1], RTLD_NOW);
		if (!handle || dlclose(handle))
			return 4;
	}
	for (size_t i = 1; i < 1000; i++)
		if (!allocate(i) || !malloc(i))
			return 5;
	victim_ready("\"aligned\":\"%p\"", aligned);
	victim_wait();
}
