/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * grow [NAME]: grows and shrinks on command, so that a test decides when. Each line on stdin is a
 * command, each is answered by a truth line:
 *
 *     grow N SIZE   allocates N blocks of SIZE bytes and writes to them
 *     lose N SIZE   the same, and forgets them
 *     free          frees all that grow allocated
 *     trim          malloc_trim(0)
 *     end           exits
 */
#include <sys/prctl.h>

#include "victim.h"

#define MAX 4000000

static void **blocks;
static size_t nblocks;

static void allocate(size_t n, size_t size, int keep)
{
	for (size_t i = 0; i < n; i++) {
		void *p = malloc(size);

		if (!p)
			_exit(4);
		memset(p, 'g', size);
		if (keep && nblocks < MAX)
			blocks[nblocks++] = p;
	}
}

static void obey(char *line)
{
	size_t n = 0, size = 0;

	if (sscanf(line, "grow %zu %zu", &n, &size) == 2) {
		allocate(n, size, 1);
	} else if (sscanf(line, "lose %zu %zu", &n, &size) == 2) {
		allocate(n, size, 0);
	} else if (!strncmp(line, "free", 4)) {
		while (nblocks)
			free(blocks[--nblocks]);
	} else if (!strncmp(line, "trim", 4)) {
		malloc_trim(0);
	} else {
		_exit(!strncmp(line, "end", 3) ? 0 : 2);
	}
}

int main(int argc, char **argv)
{
	static char line[256];

	if (argc > 1)
		prctl(PR_SET_NAME, argv[1]);
	blocks = calloc(MAX, sizeof(*blocks));
	setvbuf(stdin, line, _IOLBF, sizeof(line) / 2);
	victim_ready(NULL);
	for (char command[128]; fgets(command, sizeof(command), stdin);) {
		obey(command);
		victim_ready(NULL);
	}
	return 0;
}
