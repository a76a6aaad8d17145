/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sites: who asked for memory: call stacks, what each allocated and freed, and the live blocks that
 * were recorded.
 *
 * Comes from the companion hook in the target (site/read_hook.c), if there is one; plain data from
 * then on. A site is one call stack, by number; 0 is "not known". Stacks share frames: a frame is
 * a return address and its caller's frame.
 *
 * Two sources that a reader must not mix up: counters say what each site allocated since the start; records
 * say which blocks live now and whose they are. In sampled mode both are estimates.
 */
#ifndef INSP_SITE_SITES_H
#define INSP_SITE_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/chunks.h"
#include "model/region.h"
#include "target/space.h"

enum insp_sites_state {
	INSP_SITES_RECORDING,
	INSP_SITES_ASIDE,    /* the hook is loaded and does nothing: `why` */
	INSP_SITES_REFUSED,  /* its tables cannot be read: `why` */
};

struct insp_site_frame {
	uint64_t pc;	 /* return address; 0 unreadable; INSP_HOOK_PC_* marks */
	uint32_t parent; /* the caller: a smaller number; 0 none */
};

struct insp_site {
	uint32_t frame;	 /* innermost; 0 unreadable */
	double allocs, alloc_bytes; /* since the start */
	double live, live_bytes;    /* by the records; in full mode behind insp_sites_join */
};

/* A live block. */
struct insp_site_record {
	uint64_t addr : 48;	  /* what malloc returned */
	uint64_t thread : 16;	  /* index into tids */
	uint64_t size_bytes : 44; /* as asked for; before the join in full mode, and when from_end: what the
				     block has beyond that */
	uint64_t time : 20;	  /* see insp_site_record_seconds */
	uint32_t site : 30;
	uint32_t from_end : 1;
	uint32_t size_unknown : 1;
};

struct insp_sites {
	enum insp_sites_state state;
	char why[160];
	bool sampled;		/* counters and weights are estimates */
	uint64_t sample_bytes;
	uint64_t started_ns;	/* CLOCK_REALTIME of the hook's start */
	uint32_t seconds;	/* from then to the last event */
	int hook_pid;		/* in its own namespace */

	struct insp_site_frame *frames; /* [nframes], 0 is none */
	size_t nframes;
	struct insp_site *items;	/* [n], 0 is none */
	size_t n;
	struct insp_site_record *records; /* [nrecords], by address */
	size_t nrecords, records_cap;
	uint32_t *tids;			/* [ntids] kernel's thread ids */
	size_t ntids;

	/* By the join with the chunks. */
	uint32_t *chunk_sites;	/* [nchunks] site of each chunk; NULL: not joined, or nothing recorded */
	size_t nchunks;
	uint64_t unmatched;	/* records whose block is no chunk in use: dropped from records */

	uint64_t dropped;	/* events that the hook could not record */
	uint64_t nested;	/* of allocations in signal handlers that interrupted it */
	uint64_t nsamples;	/* blocks drawn since the start */
	uint64_t damaged;	/* entries of its tables that make no sense, left out */
};

struct insp_sites *insp_sites_create(void);
void insp_sites_destroy(struct insp_sites *sites);

/*
 * Looks for the hook and copies its tables. *ret is NULL when there is none; else gives, also when its
 * tables cannot be used: see state. For the pause: reads what is there once, computes nothing. Nothing in
 * the target is believed: every index is checked.
 */
int insp_sites_read(struct insp_space *space, const struct insp_regions *regions,
		    struct insp_sites **ret, struct insp_error *err) insp_must_check;

/* Is there a hook whose records make sense with the chunks of the heap only? Full mode does not note the
   size of a block, but what its chunk has beyond it. */
bool insp_sites_want_chunks(struct insp_space *space, const struct insp_regions *regions);

/* Finds the chunk of each record: fills chunk_sites and sizes, drops records without one, and adds up
   what is live. */
int insp_sites_join(struct insp_sites *sites, const struct insp_chunks *chunks,
		    struct insp_error *err) insp_must_check;

/* The record of the block at addr (what malloc returned), or NULL: a view. */
const struct insp_site_record *insp_sites_record_at(const struct insp_sites *sites, uint64_t addr);

/* The same for the block in a chunk, behind insp_sites_join. Not always at its start: an aligned block that has
   a mapping of its own lies somewhere in it. */
const struct insp_site_record *insp_sites_record_of(const struct insp_sites *sites,
						    const struct insp_chunk *c);

/* How many blocks a record stands for: 1, or in sampled mode one divided by its chance to be drawn. */
double insp_sites_weight(const struct insp_sites *sites, uint64_t size_bytes);

/* Seconds from the hook's start to the allocation. */
uint32_t insp_site_record_seconds(const struct insp_site_record *record);

/*
 * The stack of a site, innermost first: fills at most max pcs, returns their number. *ret_mark is
 * INSP_HOOK_PC_LOST or _TRUNCATED when it was not followed to its end, else 0.
 */
size_t insp_sites_stack(const struct insp_sites *sites, uint32_t site, uint64_t *ret_pcs, size_t max,
			uint64_t *ret_mark);

#endif
