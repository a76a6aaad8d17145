/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pins: which chunks keep free memory from going back.
 *
 * Three ways to be a pin:
 *   page   a page is resident, partly free, and these chunks are on it: its free bytes are shared out
 *          evenly among them, because all would have to go;
 *   top    chunks right below an arena's top: if they were freed, top would grow over the free
 *          chunks below them, and could be cut;
 *   heap   a heap (a piece of an arena) that few live chunks keep alive.
 */
#ifndef INSP_ANALYSIS_PINS_H
#define INSP_ANALYSIS_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/census.h"
#include "base/error.h"
#include "snapshot/snapshot.h"

/* Page pins of one size class and state. Bytes. */
struct insp_pin_group {
	unsigned size_class;
	enum insp_chunk_state state;
	uint64_t chunks, bytes; /* that pin something; their own bytes */
	uint64_t pinned;	/* free resident bytes that they keep */
	uint64_t example;	/* address of the memory of the one that pins most */
	uint64_t example_pinned;
};

/* Page pins of one call stack, or of one type: whatever the caller tells apart. */
struct insp_pin_owner {
	uint32_t key;
	uint64_t chunks, bytes, pinned;
	uint64_t example, example_pinned; /* as in a group */
};

/* One chunk. */
struct insp_pin {
	uint32_t id;
	uint64_t addr, size, pinned;
	enum insp_chunk_state state;
	uint32_t arena;
};

/* The caller's way to tell owners apart. Keys are small and dense: a row is kept for each up to the
 * largest. */
struct insp_pin_key {
	uint32_t (*of)(void *ctx, const struct insp_pin *pin);
	void *ctx;
};

/* A key: the site that allocated the chunk, 0 where none is known. ctx: the snapshot, with sites.
 */
uint32_t insp_pin_site(void *snapshot, const struct insp_pin *pin);

/* The end of an arena. */
struct insp_pin_top {
	uint32_t arena;
	uint64_t top;	     /* bytes of top, resident or not */
	uint64_t last;	     /* chunk right below top (and below what is free there); 0 none */
	uint64_t last_size;
	uint64_t last_gain;  /* resident bytes that top would gain without it (its own included) */
	/* The best place to look at: freeing that many chunks from the end would gain so much. */
	uint64_t chunks, bytes, gain, down_to;
};

/* A span with live chunks. */
struct insp_pin_heap {
	uint32_t arena;
	uint64_t start, end;
	uint64_t resident, live, chunks;
};

struct insp_pins {
	struct insp_pin_group *groups; /* most pinned first */
	size_t ngroups;
	struct insp_pin_owner *owners; /* most pinned first; those that pin something */
	size_t nowners;
	struct insp_pin *pins;	       /* most pinned first, at most max_pins */
	size_t npins;
	struct insp_pin_top *tops;     /* one an arena that has a top, most to gain first */
	size_t ntops;
	struct insp_pin_heap *heaps;   /* spans of arenas, most resident bytes not in use first */
	size_t nheaps;
	uint64_t pinned;	       /* sum over the groups */
	uint64_t free_pages;	       /* resident bytes of pages that nothing pins: trim can have them */
	bool exact;
};

/* Fills ret; all lives in pool. key NULL: no owners. INSP_E_NOMEM, INSP_E_INTERRUPTED. */
int insp_pins_find(const struct insp_snapshot *snapshot, size_t max_pins,
		   const struct insp_pin_key *key, struct insp_pool *pool, struct insp_pins *ret,
		   struct insp_error *err) insp_must_check;

#endif
