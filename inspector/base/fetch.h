/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fetch: asks the processor to bring memory near that will be needed in a moment.
 *
 * Not __builtin_prefetch: gcc takes a function that does nothing else for one without effect, and
 * leaves out calls of it without a word.
 */
#ifndef INSP_BASE_FETCH_H
#define INSP_BASE_FETCH_H

/* p may be any address, also one that is not there. */
static inline void insp_fetch(const void *p)
{
	__asm__ volatile("prefetcht0 %0" : : "m"(*(const char *)p));
}

#endif
