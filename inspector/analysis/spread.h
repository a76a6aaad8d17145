/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spread: from what is known to point at a type, along the pointers in that type, to the types of
 * chunks.
 *
 *     static struct table *t;  -->  chunk: struct table  --.buckets-->  chunk: struct entry *[]
 *                                                                        --[i]--> struct entry ...
 *
 * Breadth first, so a chunk gets the type that the shortest chain of pointers gives it; another
 * one that a longer chain gives is kept beside it. A type must fit: the memory has room for it.
 * Surer ways come first:
 *
 *     strong  pointers declared so, and objects that say themselves what they are
 *     weak    elements of what may be an array; members of a union that has other pointers
 *     faint   numbers, names without a layout, pointers into the middle: nothing spreads from them
 *
 * void * and code say nothing. Works on the pointers that the snapshot holds: no memory is read.
 */
#ifndef INSP_ANALYSIS_SPREAD_H
#define INSP_ANALYSIS_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/ctype.h"
#include "snapshot/snapshot.h"

enum insp_fit {
	INSP_FIT_EXACT,	   /* just the size that malloc() gives for this type */
	INSP_FIT_ARRAY,	   /* several of them */
	INSP_FIT_LARGER,   /* begins with it: the head of something larger, or a guess */
	INSP_FIT_OPAQUE,   /* only its name is known */
	INSP_FIT_INTERIOR, /* it lies somewhere in the chunk */
	INSP_N_FITS
};
const char *insp_fit_key(enum insp_fit fit);   /* "exact", "array", ... */
const char *insp_fit_title(enum insp_fit fit); /* for people */

/* Where types come from. type numbers are the source's, below 2^24. */
struct insp_spread_source {
	const struct insp_ctype *(*get)(void *ctx, uint32_t type);
	/* What an object with virtual functions says that it is; INSP_CTYPE_NONE. May be NULL. */
	uint32_t (*class_of)(void *ctx, const struct insp_chunk *chunk);
	void *ctx;
};

struct insp_spread;

/* Borrows both. Gives; needs a snapshot with pointers. INSP_E_NOMEM. */
int insp_spread_create(const struct insp_snapshot *snapshot, const struct insp_spread_source *source,
		       struct insp_spread **ret, struct insp_error *err) insp_must_check;
void insp_spread_destroy(struct insp_spread *spread);

/* Before run: an object outside of the heap; a pointer in a register; a chunk that is sure. */
void insp_spread_object(struct insp_spread *spread, uint64_t addr, uint32_t type);
void insp_spread_pointer(struct insp_spread *spread, uint64_t value, uint32_t pointee);
void insp_spread_chunk(struct insp_spread *spread, const struct insp_chunk *chunk, uint32_t type);
/* INSP_E_NOMEM, INSP_E_INTERRUPTED. */
int insp_spread_run(struct insp_spread *spread, struct insp_error *err) insp_must_check;

/* False: nothing is known of the chunk. */
bool insp_spread_of(const struct insp_spread *spread, uint32_t chunk, uint32_t *ret_type,
		    enum insp_fit *ret_fit);
/* The other type that a pointer gives it; INSP_CTYPE_NONE. */
uint32_t insp_spread_other(const struct insp_spread *spread, uint32_t chunk);

#endif
