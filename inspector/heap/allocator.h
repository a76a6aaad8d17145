/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * allocator: one walker for each malloc.
 *
 * A walk has three steps, because the target stands still only in the second:
 *
 *   probe    it runs. Find the allocator from the bytes, choose a layout, say how sure. May be
 *            slow, may open files. What is read here may be torn, so it is only a proposal.
 *   collect  it stands still. Read heads and lists' heads, stream the heaps, add every chunk to
 *            the store, note raw links. No files, no symbols, as little allocation as possible.
 *   finish   it runs again. Resolve free lists from the noted links, set the final states,
 *            fill arenas, bins and findings.
 * On a core or a saved image the three simply follow each other.
 *
 * To add an allocator: 1. write heap/<name>.c with `const struct insp_heap_ops insp_heap_<name>`;
 * 2. add a row to heap/allocators.def; 3. add a victim in tests/victims that prints its own truth.
 * All allocators whose probe succeeds are walked: Go, glibc and jemalloc in one process is normal.
 * One that can only be recognised leaves collect and finish NULL.
 */
#ifndef INSP_HEAP_ALLOCATOR_H
#define INSP_HEAP_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "model/chunks.h"
#include "model/finding.h"
#include "model/heap.h"
#include "model/module.h"
#include "model/region.h"
#include "model/thread.h"
#include "target/space.h"

/* What a walker may look at. All borrowed; threads is NULL during probe on a live target. */
struct insp_heap_env {
	struct insp_target *target;
	struct insp_space *space;
	const struct insp_regions *regions;
	const struct insp_modules *modules;
	const struct insp_threads *threads;
	struct insp_pool *pool;	      /* lives as long as the snapshot */
	insp_block_fn on_block;	      /* set: stream all present bytes of the heaps through it */
	void *on_block_ctx;
	/* Asks debug info for a member's offset in a struct of module's DWARF; NULL when there is
	   none to ask. 0 and *ret (bytes), or INSP_E_NOTFOUND. */
	int (*member_offset)(void *ctx, const char *module, const char *type, const char *member,
			     uint64_t *ret);
	/* Address of a symbol, static ones included when debug info is there. Or INSP_E_NOTFOUND. */
	int (*symbol_addr)(void *ctx, const char *module, const char *symbol, uint64_t *ret);
	void *symbols_ctx;
};

/* Where a walker puts what it finds. Vectors are the snapshot's own. */
struct insp_heap_result {
	struct insp_allocators *allocators;
	struct insp_arenas *arenas;
	struct insp_chunks *chunks;
	struct insp_bins *bins;
	struct insp_findings *findings;
};

struct insp_heap_ops {
	const char *name;  /* stable key: "glibc" */
	const char *title; /* "glibc malloc" */

	/* Number of instances found (dlmopen can make several), 0: not in this process; each has its
	   walk state in ret[]. At most max. Negative: error. */
	int (*probe)(const struct insp_heap_env *env, void **ret, int max, struct insp_error *err);
	/* One instance; index is its number in result->allocators, already pushed by probe's
	   caller through `describe`. */
	void (*describe)(void *walk, struct insp_allocator *ret);
	/* Bytes that collect will read and chunks that it will find, roughly; from live data. */
	void (*estimate)(void *walk, uint64_t *ret_bytes, uint64_t *ret_chunks);
	int (*collect)(void *walk, const struct insp_heap_env *env, uint32_t allocator,
		       struct insp_heap_result *result, struct insp_error *err);
	/* Also updates result->allocators->items[allocator] (confidence, chunks_complete, ...). */
	int (*finish)(void *walk, const struct insp_heap_env *env, uint32_t allocator,
		      struct insp_heap_result *result, struct insp_error *err);
	void (*close)(void *walk); /* accepts NULL */
};

#define X(name) extern const struct insp_heap_ops insp_heap_##name;
#include "heap/allocators.def"
#undef X

/*
 * All walkers of the table, run together. begin probes; collect and finish follow. Adds the
 * allocators that were found to result->allocators. Gives ret.
 */
struct insp_heap_walk;
int insp_heap_walk_begin(const struct insp_heap_env *env, struct insp_heap_result *result,
			 struct insp_heap_walk **ret, struct insp_error *err) insp_must_check;
void insp_heap_walk_estimate(struct insp_heap_walk *walk, uint64_t *ret_bytes,
			     uint64_t *ret_chunks);
int insp_heap_walk_collect(struct insp_heap_walk *walk, const struct insp_heap_env *env,
			   struct insp_heap_result *result, struct insp_error *err) insp_must_check;
int insp_heap_walk_finish(struct insp_heap_walk *walk, const struct insp_heap_env *env,
			  struct insp_heap_result *result, struct insp_error *err) insp_must_check;
void insp_heap_walk_end(struct insp_heap_walk *walk);

/* For people: whom to ask about the heap of an allocator that is not walked, by its key. Static. */
const char *insp_allocator_tools(const char *name);

/* Adds a finding whose text is formatted into pool; drops it beyond INSP_FINDINGS_MAX. */
void insp_finding_add(struct insp_findings *findings, struct insp_pool *pool,
		      enum insp_severity severity, const char *code, uint64_t addr, const char *fmt,
		      ...) insp_printf(6, 7);

#endif
