/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vec: a growing array of anything, with checked growth.
 *
 *     struct { struct point *items; size_t n, cap; } v = {0};
 *     struct point *p = insp_vec_push(&v);      (zeroed; NULL when memory is short)
 *     insp_vec_free(&v);
 *
 * Any struct with the members items, n and cap will do. Pointers into it die at the next push.
 */
#ifndef INSP_BASE_VEC_H
#define INSP_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define INSP_VEC(type)       \
	struct {             \
		type *items; \
		size_t n, cap; \
	}

static inline int insp_vec_grow_(void **items, size_t *cap, size_t need, size_t size_bytes)
{
	size_t want = *cap ? *cap : 8, total;
	void *p;

	while (want < need)
		if (__builtin_mul_overflow(want, 2, &want))
			return -1;
	if (__builtin_mul_overflow(want, size_bytes, &total))
		return -1;
	p = realloc(*items, total);
	if (!p)
		return -1;
	*items = p;
	*cap = want;
	return 0;
}

/* Room for `extra` more items: 0, or -1 when memory is short. */
#define insp_vec_reserve(v, extra)                                                          \
	((v)->cap - (v)->n >= (size_t)(extra)                                               \
		 ? 0                                                                        \
		 : insp_vec_grow_((void **)&(v)->items, &(v)->cap, (v)->n + (size_t)(extra), \
				  sizeof(*(v)->items)))

/* A new zeroed item at the end, or NULL. */
#define insp_vec_push(v)                                                                   \
	(insp_vec_reserve(v, 1) ? NULL                                                     \
				: (__typeof__((v)->items))memset(&(v)->items[(v)->n++], 0, \
								 sizeof(*(v)->items)))

#define insp_vec_free(v)             \
	do {                         \
		free((v)->items);    \
		(v)->items = NULL;   \
		(v)->n = (v)->cap = 0; \
	} while (0)

#define insp_vec_each(v, it) \
	for (__typeof__(*(v)->items) *it = (v)->items; it && it < (v)->items + (v)->n; it++)

#endif
