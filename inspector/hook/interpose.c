/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * interpose: the functions that the program calls instead of libc's.
 *
 * Each subtracts the size from the thread's countdown and jumps to the real function; that is all
 * that nearly every call costs. When the countdown runs out (in full mode always, in a new
 * thread once) the slow path of record.c takes the call. free looks at one bit.
 *
 * The slow paths are reached by jumps, not calls, so they find the program's frame right above
 * their own; walk.c steps over ours where a compiler did not do that.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hook/hook.h"

/*
 * Takes n from the countdown, unless it is due: then the slow path does that. So it is asked last, once.
 * Unsigned: a request of nearly 2^64 bytes cannot wrap the countdown around. A countdown of 0 is a
 * new thread or full mode, and always due.
 */
static inline bool due(size_t n)
{
	if (hook_unlikely(insp_hook_left <= n))
		return true;
	insp_hook_left -= n;
	return false;
}

hook_export void *malloc(size_t n)
{
	if (hook_unlikely(due(n)))
		return insp_hook_slow_malloc(n);
	return insp_hook_real.malloc(n);
}

hook_export void *calloc(size_t n, size_t size_bytes)
{
	size_t total;

	if (hook_unlikely(__builtin_mul_overflow(n, size_bytes, &total) || due(total)))
		return insp_hook_slow_calloc(n, size_bytes);
	return insp_hook_real.calloc(n, size_bytes);
}

hook_export void free(void *p)
{
	if (hook_unlikely(insp_hook_maybe(p)))
		insp_hook_slow_free(p);
	else
		insp_hook_real.free(p);
}

hook_export void *realloc(void *p, size_t n)
{
	if (hook_unlikely(insp_hook_maybe(p) || due(n)))
		return insp_hook_slow_realloc(p, n);
	return insp_hook_real.realloc(p, n);
}

hook_export void *reallocarray(void *p, size_t n, size_t size_bytes)
{
	size_t total;

	if (hook_unlikely(__builtin_mul_overflow(n, size_bytes, &total))) {
		errno = ENOMEM;
		return NULL;
	}
	if (hook_unlikely(insp_hook_maybe(p) || due(total)))
		return insp_hook_slow_realloc(p, total);
	return insp_hook_real.realloc(p, total);
}

void *memalign(size_t align, size_t n);
hook_export void *memalign(size_t align, size_t n)
{
	if (hook_unlikely(due(n)))
		return insp_hook_slow_aligned(insp_hook_real.memalign, align, n);
	return insp_hook_real.memalign(align, n);
}

hook_export void *aligned_alloc(size_t align, size_t n)
{
	if (hook_unlikely(due(n)))
		return insp_hook_slow_aligned(insp_hook_real.aligned_alloc, align, n);
	return insp_hook_real.aligned_alloc(align, n);
}

hook_export int posix_memalign(void **ret, size_t align, size_t n)
{
	if (hook_unlikely(due(n)))
		return insp_hook_slow_posix_memalign(ret, align, n);
	return insp_hook_real.posix_memalign(ret, align, n);
}

hook_export void *valloc(size_t n)
{
	if (hook_unlikely(due(n)))
		return insp_hook_slow_paged(insp_hook_real.valloc, n);
	return insp_hook_real.valloc(n);
}

void *pvalloc(size_t n);
hook_export void *pvalloc(size_t n)
{
	if (hook_unlikely(due(n)))
		return insp_hook_slow_paged(insp_hook_real.pvalloc, n);
	return insp_hook_real.pvalloc(n);
}

/* C23's, which newer libraries have: a block freed through them is a block freed. */
void free_sized(void *p, size_t n);
hook_export void free_sized(void *p, size_t n)
{
	(void)n;
	free(p);
}

void free_aligned_sized(void *p, size_t align, size_t n);
hook_export void free_aligned_sized(void *p, size_t align, size_t n)
{
	(void)align;
	(void)n;
	free(p);
}

/* Not dlopen: whose caller it looks at. A module that went leaves rules about its code behind. */
int dlclose(void *handle);
hook_export int dlclose(void *handle)
{
	int rc = insp_hook_real.dlclose(handle);

	insp_hook_rules_forget();
	return rc;
}
