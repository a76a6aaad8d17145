/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pool: memory that is freed all at once.
 *
 * Three lifetimes exist: session, snapshot, command; each has one pool, and what a function
 * "returns as a view" lives in the pool that was passed to it. Single objects are never freed.
 * (Called pool because an arena, here, is an arena of malloc.)
 */
#ifndef INSP_BASE_POOL_H
#define INSP_BASE_POOL_H

#include <stdarg.h>
#include <stddef.h>

#include "base/error.h"

struct insp_pool;

/* NULL when memory is short. destroy accepts NULL. */
struct insp_pool *insp_pool_create(void);
void insp_pool_destroy(struct insp_pool *pool);

/* Zeroed, aligned to 16. NULL when memory is short. */
void *insp_pool_alloc(struct insp_pool *pool, size_t size_bytes) insp_must_check;
void *insp_pool_array(struct insp_pool *pool, size_t n, size_t size_bytes) insp_must_check;

/* Copies; NULL when memory is short or when s is NULL. */
char *insp_pool_strdup(struct insp_pool *pool, const char *s) insp_must_check;
char *insp_pool_strndup(struct insp_pool *pool, const char *s, size_t n) insp_must_check;
void *insp_pool_memdup(struct insp_pool *pool, const void *p, size_t size_bytes) insp_must_check;
char *insp_pool_printf(struct insp_pool *pool, const char *fmt, ...) insp_printf(2, 3)
	insp_must_check;

/* Ties an outside resource to the pool: fn(arg) runs in destroy, last registered first. */
int insp_pool_defer(struct insp_pool *pool, void (*fn)(void *), void *arg) insp_must_check;

#endif
