/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sweep: all memory that may hold pointers to chunks, through the sieve of model/pointers.h: first
 * what the walk of the heaps streams anyway, then the rest.
 *
 * The sieve works on a thread of its own, one block behind the reader: the target does not stand still for
 * longer because of it. Where there is one CPU, or little memory, it does without the thread.
 */
#ifndef INSP_SNAPSHOT_SWEEP_H
#define INSP_SNAPSHOT_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/pointers.h"
#include "snapshot/snapshot.h"
#include "target/space.h"

struct insp_sweep;

/* Private writable memory: where chunks and roots may lie. */
bool insp_sweep_wants(const struct insp_region *region);
/* Where chunks may lie. Cheap, and repeated in the pause: a heap may have grown until then. */
void insp_sweep_add_ranges(struct insp_snapshot *snapshot);

/* Makes room for the pointers of heap_bytes. Borrows pointers until destroy. NULL: out of memory. */
struct insp_sweep *insp_sweep_create(struct insp_pointers *pointers, uint64_t heap_bytes);
/* Accepts NULL. Before the spaces that it was attached to. */
void insp_sweep_destroy(struct insp_sweep *sweep);
/* From now on blocks come from this space; not while one of its streams is open. */
int insp_sweep_attach(struct insp_sweep *sweep, struct insp_space *space, struct insp_error *err)
	insp_must_check;
/* An insp_block_fn, ctx is the sweep. */
void insp_sweep_block(void *sweep, uint64_t addr, const uint8_t *bytes, size_t size_bytes);
/* Data of modules, stacks, other mappings: what was not shown so far. live: of a process, not of a core. */
void insp_sweep_rest(struct insp_sweep *sweep, struct insp_snapshot *snapshot, struct insp_space *space,
		     bool live);
/* Until all that was shown is in `pointers`. */
void insp_sweep_wait(struct insp_sweep *sweep);

#endif
