/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * space: reading a target's memory safely and fast.
 *
 * Two ways to read:
 *   insp_space_read and friends  a few bytes anywhere, through a small cache of pages;
 *   struct insp_stream           a long stretch strictly forward, in blocks of up to 1 MiB that
 *                                are read into one reused buffer (it stays in the CPU's cache).
 * Neither reads a page that the target has not got in memory: that would make its RSS grow. A
 * page that was never touched reads as zeroes; one that is in swap is a fault.
 *
 * Thread-bound: a space belongs to one thread; make a second one for another.
 */
#ifndef INSP_TARGET_SPACE_H
#define INSP_TARGET_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/target.h"

struct insp_space;

/* Borrows target and regions, which must outlive it. Gives; NULL when memory is short. All buffers
   are allocated and touched here, so that reading in the pause faults no pages. */
struct insp_space *insp_space_create(struct insp_target *target, const struct insp_regions *regions);
void insp_space_destroy(struct insp_space *space);
/* Forgets what was cached: the target ran in between. */
void insp_space_invalidate(struct insp_space *space);
/* Bytes taken from the target so far. */
uint64_t insp_space_bytes_read(const struct insp_space *space);

/* All of it or INSP_E_FAULT (no message). On a fault buf may hold part of it. */
int insp_space_read(struct insp_space *space, uint64_t addr, void *buf, size_t size_bytes)
	insp_must_check;
int insp_space_u64(struct insp_space *space, uint64_t addr, uint64_t *ret) insp_must_check;
const struct insp_regions *insp_space_regions(const struct insp_space *space);
struct insp_target *insp_space_target(const struct insp_space *space);

/*
 * A stream over [start, end). insp_stream_at gives a pointer to the bytes at addr, of which at
 * least `need` (<= INSP_STREAM_MAX_NEED) and as many as *ret_avail are there, or NULL on a fault.
 * Addresses may skip ahead; what is skipped is not read when it lies beyond the current block.
 * Going back within the current block is free, further back costs a new block.
 * The pointer is good until the next call. Read-ahead starts small and doubles up to 1 MiB while
 * the reader goes forward without gaps, so that sparse headers do not cost the whole heap.
 *
 * on_block (may be NULL) sees every block of present bytes once, in address order, as it is
 * read; setting it turns skipping off for the bytes in [start, end): all present pages are read.
 * Absent pages are not shown.
 */
#define INSP_STREAM_MAX_NEED 4096

typedef void (*insp_block_fn)(void *ctx, uint64_t addr, const uint8_t *bytes, size_t size_bytes);

/*
 * To look at what on_block was shown on another thread, while the next block is read: streams then go
 * round through nblocks blocks, and before one is written over `returned` is told, which waits until
 * nobody looks at [bytes, bytes + size_bytes) any more. Not while a stream is open.
 */
typedef void (*insp_returned_fn)(void *ctx, const uint8_t *bytes, size_t size_bytes);
int insp_space_lend(struct insp_space *space, unsigned nblocks, insp_returned_fn returned, void *ctx)
	insp_must_check;

struct insp_stream {
	struct insp_space *space;
	uint64_t start, end;
	uint64_t buf_addr;  /* address of buf[0] */
	size_t buf_len;	    /* bytes valid in buf */
	size_t ahead;	    /* bytes to read next time */
	uint64_t shown;	    /* on_block has seen everything below */
	insp_block_fn on_block;
	void *ctx;
	uint8_t *buf;	    /* the space's; before the first block NULL */
};

/* One stream at a time per space. */
void insp_stream_begin(struct insp_stream *stream, struct insp_space *space, uint64_t start,
		       uint64_t end, insp_block_fn on_block, void *ctx);
/* Shows the rest to on_block. */
void insp_stream_end(struct insp_stream *stream);
const uint8_t *insp_stream_at_slow(struct insp_stream *stream, uint64_t addr, size_t need,
				   size_t *ret_avail);

static inline const uint8_t *insp_stream_at(struct insp_stream *stream, uint64_t addr, size_t need,
					    size_t *ret_avail)
{
	uint64_t off = addr - stream->buf_addr;

	if (__builtin_expect(off + need <= stream->buf_len && off < stream->buf_len, 1)) {
		*ret_avail = stream->buf_len - (size_t)off;
		return stream->buf + off;
	}
	return insp_stream_at_slow(stream, addr, need, ret_avail);
}

#endif
