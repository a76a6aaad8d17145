/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * contents: the bytes of the target in a snapshot file: present pages of private memory that was
 * written to, in blocks that are compressed one by one, and an index of them. Read lazily: opening costs
 * the index.
 */
#ifndef INSP_SNAPSHOT_CONTENTS_H
#define INSP_SNAPSHOT_CONTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/error.h"
#include "base/source.h"
#include "snapshot/codec.h"
#include "snapshot/snapshot.h"
#include "target/target.h"

/* stored 0: pages that existed and could not be had. */
struct insp_contents_block {
	uint64_t addr;
	uint64_t offset; /* in the file */
	uint64_t sum;	 /* XXH64 of the stored bytes */
	uint32_t npages, stored;
};

/* Invariant: blocks sorted by address, disjoint, within the file. */
struct insp_contents {
	struct insp_contents_block *items;
	size_t n, cap;
	uint64_t bytes, missing; /* kept; existed and could not be had */
	struct insp_source source; /* the file; none while it is written */
};

struct insp_contents *insp_contents_create(void);
void insp_contents_destroy(struct insp_contents *contents); /* accepts NULL */

/* Writes the memory of `snapshot` to file from *offset on, which moves behind it; fills the index. */
int insp_contents_write(struct insp_contents *contents, const struct insp_snapshot *snapshot,
			struct insp_target *memory, struct insp_atomic *file, uint64_t *offset,
			struct insp_error *err) insp_must_check;

/* The index as a section. */
void insp_contents_describe(struct insp_codec *c, struct insp_snapshot *snapshot);

/* A target that reads from the snapshot's contents; borrows it. Gives. */
int insp_contents_open(const struct insp_snapshot *snapshot, struct insp_target **ret,
		       struct insp_error *err) insp_must_check;

#endif
