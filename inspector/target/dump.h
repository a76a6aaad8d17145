/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dump: the pages of a mapping that are in memory, in order, in blocks. What a core and a snapshot with
 * contents are made of. Absent pages are never read.
 */
#ifndef INSP_TARGET_DUMP_H
#define INSP_TARGET_DUMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/target.h"

#define INSP_DUMP_BLOCK_BYTES (256u << 10)

/* bytes NULL: these pages exist, but cannot be had (swapped out, not readable). n is a multiple of the
   page size, at most a block. Non-zero ends the dump. */
typedef int (*insp_dump_fn)(void *ctx, uint64_t addr, const uint8_t *bytes, size_t n);

/* buf: INSP_DUMP_BLOCK_BYTES of the caller's. A file's pages that are not in memory are left out. */
int insp_dump_region(struct insp_target *memory, const struct insp_region *region, uint8_t *buf,
		     insp_dump_fn fn, void *ctx) insp_must_check;
/* How much of it is in memory, for estimates. */
uint64_t insp_dump_bytes(struct insp_target *memory, uint64_t start, uint64_t end);

/* Worth keeping whole: private, and written to or anonymous. */
bool insp_dump_wants(const struct insp_regions *regions, size_t i);

#endif
