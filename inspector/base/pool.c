/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pool: blocks of growing size, bump pointer inside; large objects get a block of their own. */
#include "base/pool.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_FIRST_BLOCK (16u << 10)
#define POOL_MAX_BLOCK	 (1u << 20)

struct block {
	struct block *next;
	size_t size_bytes, used_bytes; /* of data[] */
	_Alignas(16) unsigned char data[];
};

struct deferred {
	struct deferred *next;
	void (*fn)(void *);
	void *arg;
};

struct insp_pool {
	struct block *head;
	struct deferred *deferred;
	size_t next_block_bytes;
};

struct insp_pool *insp_pool_create(void)
{
	struct insp_pool *pool = calloc(1, sizeof(*pool));

	if (pool)
		pool->next_block_bytes = POOL_FIRST_BLOCK;
	return pool;
}

void insp_pool_destroy(struct insp_pool *pool)
{
	if (!pool)
		return;
	for (struct deferred *d = pool->deferred; d; d = d->next)
		d->fn(d->arg);
	for (struct block *b = pool->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(pool);
}

void *insp_pool_alloc(struct insp_pool *pool, size_t size_bytes)
{
	struct block *b = pool->head;
	size_t need;

	if (__builtin_add_overflow(size_bytes, 15, &need))
		return NULL;
	need &= ~(size_t)15;
	if (!b || b->size_bytes - b->used_bytes < need) {
		size_t block_bytes = need > pool->next_block_bytes ? need : pool->next_block_bytes;

		if (block_bytes > SIZE_MAX - sizeof(*b))
			return NULL;
		b = calloc(1, sizeof(*b) + block_bytes);
		if (!b)
			return NULL;
		b->size_bytes = block_bytes;
		if (pool->next_block_bytes < POOL_MAX_BLOCK)
			pool->next_block_bytes *= 2;
		/* A block that only holds one large object must not hide the room of the last. */
		if (pool->head && need == block_bytes) {
			b->next = pool->head->next;
			pool->head->next = b;
		} else {
			b->next = pool->head;
			pool->head = b;
		}
	}
	void *p = b->data + b->used_bytes;

	b->used_bytes += need;
	return p;
}

void *insp_pool_array(struct insp_pool *pool, size_t n, size_t size_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(n, size_bytes, &total))
		return NULL;
	return insp_pool_alloc(pool, total);
}

void *insp_pool_memdup(struct insp_pool *pool, const void *p, size_t size_bytes)
{
	void *copy = insp_pool_alloc(pool, size_bytes);

	if (copy && size_bytes)
		memcpy(copy, p, size_bytes);
	return copy;
}

char *insp_pool_strndup(struct insp_pool *pool, const char *s, size_t n)
{
	if (!s)
		return NULL;
	n = strnlen(s, n);
	char *copy = insp_pool_alloc(pool, n + 1);

	if (copy)
		memcpy(copy, s, n);
	return copy;
}

char *insp_pool_strdup(struct insp_pool *pool, const char *s)
{
	return s ? insp_pool_strndup(pool, s, strlen(s)) : NULL;
}

char *insp_pool_printf(struct insp_pool *pool, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	char *s = insp_pool_alloc(pool, (size_t)n + 1);

	if (s) {
		va_start(ap, fmt);
		vsnprintf(s, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return s;
}

int insp_pool_defer(struct insp_pool *pool, void (*fn)(void *), void *arg)
{
	struct deferred *d = insp_pool_alloc(pool, sizeof(*d));

	if (!d)
		return INSP_E_NOMEM;
	*d = (struct deferred){.next = pool->deferred, .fn = fn, .arg = arg};
	pool->deferred = d;
	return 0;
}
