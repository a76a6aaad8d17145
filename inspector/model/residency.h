/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * residency: which pages were in memory, which in swap.
 *
 * smaps says how many bytes of a mapping are resident, not which; where one mapping holds chunks,
 * stacks and other things side by side (the kernel merges neighbours), the books need to know.
 * Pages of the same kind that follow each other are one run of 16 bytes: a heap that was never
 * trimmed is one run, one with every other page given back 2 MB of runs a GB.
 *
 * Only private anonymous mappings are scanned, and only those that have anything in memory or in
 * swap: for the rest the sums of smaps are all that the books need.
 */
#ifndef INSP_MODEL_RESIDENCY_H
#define INSP_MODEL_RESIDENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum insp_pages_kind {
	INSP_PAGES_RESIDENT, /* counts in RSS */
	INSP_PAGES_HUGE,	   /* the same, mapped as a part of a huge page */
	INSP_PAGES_SWAPPED,
	INSP_PAGES_ZERO,	   /* the kernel's page of zeroes: mapped, and not counted in RSS */
	/* Mapped, shared with nobody knows whom: memory shared after a fork, or the page of zeroes.
	   Kernels before 6.7 do not tell; insp_residency_settle decides by the sum of smaps. */
	INSP_PAGES_UNSURE,
};

struct insp_page_run {
	uint64_t start;	 /* page aligned */
	uint32_t npages; /* of the snapshot's page size */
	uint32_t kind;	 /* enum insp_pages_kind */
};

/* Invariant: runs sorted by start, disjoint; no run crosses the border of a mapping. */
struct insp_residency {
	struct insp_page_run *items;
	size_t n, cap;
	uint32_t page_size;
	bool known;		/* scanned; false: nothing can be said about single pages */
	bool failed;		/* memory was short */
	uint64_t unscanned_bytes; /* of mappings that were too large to scan on this kernel */
};

void insp_residency_deinit(struct insp_residency *r);

/* Appends npages at addr; joins the last run when it ends there, is of the same kind, and lies at
   or above `from` (the start of the mapping that is being scanned). */
void insp_residency_add(struct insp_residency *r, uint64_t from, uint64_t addr, uint64_t npages,
			enum insp_pages_kind kind);
/* The runs from index `first` on are those of one mapping, of which smaps says that rss bytes are
   resident: makes each UNSURE run RESIDENT or ZERO. */
void insp_residency_settle(struct insp_residency *r, size_t first, uint64_t rss);

static inline uint64_t insp_page_run_end(const struct insp_residency *r, const struct insp_page_run *run)
{
	return run->start + (uint64_t)run->npages * r->page_size;
}

static inline bool insp_page_run_resident(const struct insp_page_run *run)
{
	return run->kind == INSP_PAGES_RESIDENT || run->kind == INSP_PAGES_HUGE;
}

/* Index of the first run that ends above addr; r->n: none. */
size_t insp_residency_find(const struct insp_residency *r, uint64_t addr);

struct insp_resident {
	uint64_t rss, huge, swap; /* bytes; huge is part of rss */
};

/* Sums up [start, end), cut to the byte. */
struct insp_resident insp_residency_sum(const struct insp_residency *r, uint64_t start, uint64_t end);

#endif
