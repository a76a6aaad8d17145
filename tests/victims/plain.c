/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * plain: some blocks of malloc, whatever malloc that is: built with allocators that have no walker.
 */
/* variant? jemalloc: -ljemalloc */
/* variant? jemalloc-static: -l:libjemalloc.a -lm -lstdc++ */
/* variant? tcmalloc: -ltcmalloc_minimal */
/* variant? mimalloc: -lmimalloc */
/* variant? musl: CC=musl-gcc -static */
/* variant? asan: -fsanitize=address */
/* variant? 32: -m32 */
#include "victim.h"

int main(void)
{
	static void *blocks[1000];

	victim_init();
	for (size_t i = 0; i < 1000; i++) {
		blocks[i] = malloc(17 + i % 500);
		if (!blocks[i])
			return 1;
		memset(blocks[i], 'p', 17 + i % 500);
	}
	victim_ready("\"live\":1000,\"first\":\"%p\"", blocks[0]);
	victim_wait();
}
