/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * big: arrays of millions of elements, straight from the kernel.
 *
 * Zeroed, costs only what is touched, given back at once when freed, and in huge pages where
 * there are any: random access to 100 MB is two to three times faster with them.
 */
#ifndef INSP_BASE_BIG_H
#define INSP_BASE_BIG_H

#include <stddef.h>

#include "base/error.h"

/* n elements of size_bytes each, zeroed. NULL when memory is short. */
void *insp_big_alloc(size_t n, size_t size_bytes) insp_must_check;
/* With the same n and size_bytes. Accepts NULL. */
void insp_big_free(void *p, size_t n, size_t size_bytes);
/* Gives back what lies behind the first n of old_n elements. The array stays where it is. */
void insp_big_shrink(void *p, size_t old_n, size_t n, size_t size_bytes);

#endif
