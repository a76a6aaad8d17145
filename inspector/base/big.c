/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/big.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGE	  ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)

/* Bytes of the mapping; 0 on overflow. */
static size_t mapping_bytes(size_t n, size_t size_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(n, size_bytes, &total) || total > SIZE_MAX / 2)
		return 0;
	return total ? (total + PAGE - 1) & ~(PAGE - 1) : PAGE;
}

void *insp_big_alloc(size_t n, size_t size_bytes)
{
	size_t total = mapping_bytes(n, size_bytes);
	void *p;

	if (!total)
		return NULL;
	p = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (total >= HUGE_PAGE)
		(void)madvise(p, total, MADV_HUGEPAGE); /* only faster */
	return p;
}

void insp_big_free(void *p, size_t n, size_t size_bytes)
{
	if (p)
		munmap(p, mapping_bytes(n, size_bytes));
}

void insp_big_shrink(void *p, size_t old_n, size_t n, size_t size_bytes)
{
	size_t old_total = mapping_bytes(old_n, size_bytes), total = mapping_bytes(n, size_bytes);

	if (p && total < old_total)
		munmap((char *)p + total, old_total - total);
}
