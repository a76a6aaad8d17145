/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * books_priv: shared by books.c (the sums) and books_claim.c (what a mapping is).
 */
#ifndef INSP_ANALYSIS_BOOKS_PRIV_H
#define INSP_ANALYSIS_BOOKS_PRIV_H

#include "analysis/books.h"

/* The kind of a mapping that holds one thing only, and for private files the kind of their written
   pages. *ret_data equals the result where the two do not differ. */
enum insp_book_kind insp_book_classify(const struct insp_snapshot *snapshot, size_t region,
				       enum insp_book_kind *ret_data);
/* What an anonymous stretch [start, end) of a region may be; may turn *kind into IDLE_STACKS.
   View, in pool where it was made. NULL: no idea. */
const char *insp_book_hint(const struct insp_snapshot *snapshot, struct insp_pool *pool,
			   size_t region, uint64_t start, uint64_t end,
			   const struct insp_book_stacks *stacks, enum insp_book_kind *kind);
/* Stacks of all threads but the main one, sorted by start, disjoint from each other and from the
   spans of chunks. 0 or INSP_E_NOMEM. */
int insp_book_find_stacks(const struct insp_snapshot *snapshot, struct insp_book_stacks *ret);

#endif
