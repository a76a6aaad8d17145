/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * graph: who points at whom.
 *
 * The nodes are the chunks of the snapshot, by their ids; only live ones have edges. Edges come
 * from every word of a live chunk's memory that hits the memory of a live chunk; roots are such
 * words elsewhere: data of modules, stacks above the red zone, thread-local storage, registers,
 * other anonymous memory. Free chunks, tcache and malloc's own data are neither.
 *
 * Compressed rows, four bytes an edge and four a chunk:
 *
 *     first  [id] --------+--> [id + 1]
 *     edges  ... | target id, and bit 31 if the word points into its middle | ...
 *
 * Edges of a chunk are in the order of the words in its memory. Which word that was is not kept:
 * insp_graph_edges_of finds it again from the snapshot's pointers.
 */
#ifndef INSP_ANALYSIS_GRAPH_H
#define INSP_ANALYSIS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/chunks.h"
#include "model/region.h"
#include "snapshot/snapshot.h"

#define INSP_EDGE_INTERIOR   INSP_HIT_INTERIOR
#define INSP_EDGE_TARGET(e)  INSP_HIT_ID(e)

/* From the surest reference to the least sure one. */
enum insp_root_kind {
	INSP_ROOT_DATA,	    /* writable data of a module: global and static variables */
	INSP_ROOT_TLS,	    /* a thread's block of thread-local variables */
	INSP_ROOT_REGISTER, /* of a thread */
	INSP_ROOT_STACK,    /* of a thread, above its red zone; may be a stale slot */
	INSP_ROOT_MEMORY,   /* writable memory that no allocator and no module claims */
	INSP_ROOT_UNKNOWN,  /* a part of a heap that the walk could not explain */
	INSP_N_ROOT_KINDS
};

struct insp_root {
	uint64_t addr;	/* of the word; a register's number (enum insp_reg) */
	uint32_t edge;	/* target, and INSP_EDGE_INTERIOR */
	uint32_t kind;	/* enum insp_root_kind */
	uint32_t owner; /* index of the thread (TLS, STACK, REGISTER), else of the region */
};

/* Why a region was or was not searched for roots. */
enum insp_region_use {
	INSP_USE_DATA,	      /* roots: data of a module */
	INSP_USE_STACK,	      /* roots: a thread's stack, above the stack pointer */
	INSP_USE_TLS,	      /* roots: holds a thread's TLS */
	INSP_USE_MEMORY,      /* roots: nobody claims it */
	INSP_USE_HEAP,	      /* none: its chunks are sources instead */
	INSP_USE_READ_ONLY,   /* none: cannot be written, so holds no pointer to a chunk */
	INSP_USE_SHARED,      /* none: shared memory was not read */
	INSP_USE_DEVICE,      /* none: not memory */
	INSP_N_REGION_USES
};

struct insp_region_roots {
	enum insp_region_use use;
	uint32_t thread; /* index, for STACK and TLS; UINT32_MAX none */
	uint64_t nroots; /* words in it that hit a live chunk */
};

/* Invariant: first[0] == 0, first rises, first[nchunks] == nedges; targets < nchunks. */
struct insp_graph {
	const struct insp_snapshot *snapshot; /* borrowed: must outlive the graph */
	size_t nchunks;
	uint32_t *first;		/* [nchunks + 1] */
	uint32_t *edges;		/* [nedges] */
	size_t nedges;
	size_t edges_cap;		/* own memory behind edges, elements */
	struct insp_root *roots;	/* by kind, within it by address */
	size_t nroots;
	struct insp_region_roots *regions; /* [snapshot->regions.n] */
	uint64_t nwords;		/* words looked at */
};

/*
 * Gives. Needs a snapshot with pointers; INSP_E_UNSUPPORTED without, INSP_E_NOMEM,
 * INSP_E_INTERRUPTED. nthreads 0: as many as help.
 */
int insp_graph_create(const struct insp_snapshot *snapshot, unsigned nthreads,
		      struct insp_graph **ret, struct insp_error *err) insp_must_check;
void insp_graph_destroy(struct insp_graph *graph);

const char *insp_root_kind_key(enum insp_root_kind kind);   /* "data", "tls", ... */
const char *insp_region_use_key(enum insp_region_use use);  /* "data", "heap", "read_only", ... */
const char *insp_region_use_text(enum insp_region_use use); /* the reason, for people */

/* One pointer in the memory of a chunk. */
struct insp_edge {
	uint64_t addr;	 /* of the word */
	uint64_t offset; /* of the word in the source's memory, bytes */
	uint64_t value;	 /* the pointer */
	uint32_t target;
	bool interior;
};

/* Calls fn for each edge of chunk id, until it says false. */
typedef bool (*insp_edge_fn)(void *ctx, const struct insp_edge *edge);
void insp_graph_edges_of(const struct insp_graph *graph, uint32_t id, insp_edge_fn fn, void *ctx);

static inline bool insp_graph_live(const struct insp_graph *graph, uint32_t id)
{
	return insp_chunk_state_live(insp_chunks_state(graph->snapshot->chunks, id));
}

#endif
