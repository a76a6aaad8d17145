/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * space: the only place that decides which pages of a target are read at all.
 *
 * Reading a page that the target has not got in memory is never free for it: an untouched shared
 * page is allocated, a swapped one is swapped in, one of a userfaultfd hangs the reader. So the
 * page states are asked first, a block's worth at a time, and only present pages are read.
 * Untouched anonymous memory is zero by definition; the bytes of an absent page of a private file
 * mapping are in the file, and are taken from there.
 */
#include "target/space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	    4096u
#define BLOCK_MAX   (1u << 20)
#define BLOCK_PAGES (BLOCK_MAX / PAGE)
#define AHEAD_MIN   (16u << 10)
#define CACHE_LINES 64
#define FILES_MAX   8

enum { EMPTY = 1 }; /* an address that no page has */

struct cache_line {
	uint64_t addr; /* of the page, EMPTY: none */
	uint8_t bytes[PAGE];
};

struct open_file {
	uint64_t start; /* of the region it was opened for */
	int fd;
};

struct insp_space {
	struct insp_target *target;
	const struct insp_regions *regions;
	uint64_t bytes_read;
	uint8_t *blocks; /* nblocks of BLOCK_MAX bytes */
	unsigned nblocks, block; /* the one that streams read into */
	bool block_shown;	 /* to an on_block: it may be looked at still */
	insp_returned_fn returned;
	void *returned_ctx;
	uint8_t states[BLOCK_PAGES];
	struct open_file files[FILES_MAX];
	unsigned nfiles;
	struct cache_line lines[CACHE_LINES];
};

static uint8_t *map_blocks(unsigned n)
{
	void *p = mmap(NULL, n * (size_t)BLOCK_MAX, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct insp_space *insp_space_create(struct insp_target *target, const struct insp_regions *regions)
{
	struct insp_space *space = malloc(sizeof(*space));

	if (!space)
		return NULL;
	memset(space, 0, sizeof(*space)); /* and so touched */
	space->target = target;
	space->regions = regions;
	space->nblocks = 1;
	space->blocks = map_blocks(1);
	if (!space->blocks) {
		free(space);
		return NULL;
	}
	insp_space_invalidate(space);
	return space;
}

void insp_space_destroy(struct insp_space *space)
{
	if (!space)
		return;
	for (unsigned i = 0; i < space->nfiles; i++)
		if (space->files[i].fd >= 0)
			(void)close(space->files[i].fd);
	munmap(space->blocks, space->nblocks * (size_t)BLOCK_MAX);
	free(space);
}

int insp_space_lend(struct insp_space *space, unsigned nblocks, insp_returned_fn returned, void *ctx)
{
	uint8_t *blocks = map_blocks(nblocks);

	if (!blocks)
		return INSP_E_NOMEM;
	munmap(space->blocks, space->nblocks * (size_t)BLOCK_MAX);
	space->blocks = blocks;
	space->nblocks = nblocks;
	space->block = 0;
	space->block_shown = false;
	space->returned = returned;
	space->returned_ctx = ctx;
	return 0;
}

/* Where the next block goes: not where somebody may still look. */
static uint8_t *next_block(struct insp_space *space)
{
	if (space->block_shown) {
		space->block = (space->block + 1) % space->nblocks;
		space->block_shown = false;
		if (space->returned)
			space->returned(space->returned_ctx,
					space->blocks + space->block * (size_t)BLOCK_MAX, BLOCK_MAX);
	}
	return space->blocks + space->block * (size_t)BLOCK_MAX;
}

void insp_space_invalidate(struct insp_space *space)
{
	for (size_t i = 0; i < CACHE_LINES; i++)
		space->lines[i].addr = EMPTY;
	for (unsigned i = 0; i < space->nfiles; i++)
		if (space->files[i].fd >= 0)
			(void)close(space->files[i].fd);
	space->nfiles = 0;
}

uint64_t insp_space_bytes_read(const struct insp_space *space)
{
	return space->bytes_read;
}

const struct insp_regions *insp_space_regions(const struct insp_space *space)
{
	return space->regions;
}

struct insp_target *insp_space_target(const struct insp_space *space)
{
	return space->target;
}

/* States of n <= BLOCK_PAGES pages into space->states. */
static void page_states(struct insp_space *space, uint64_t addr, size_t n)
{
	struct insp_target *t = space->target;

	if (!t->ops->pages || t->ops->pages(t, addr, n, space->states))
		memset(space->states, INSP_PAGE_PRESENT, n);
}

static size_t read_present(struct insp_space *space, uint64_t addr, uint8_t *buf, size_t size_bytes)
{
	size_t got = space->target->ops->read(space->target, addr, buf, size_bytes);

	space->bytes_read += got;
	return got;
}

static int region_fd(struct insp_space *space, const struct insp_region *region)
{
	struct insp_target *t = space->target;
	unsigned i;

	for (i = 0; i < space->nfiles; i++)
		if (space->files[i].start == region->start)
			return space->files[i].fd;
	if (!t->ops->open_file)
		return -1;
	if (i == FILES_MAX) {
		i = (unsigned)(region->start / PAGE) % FILES_MAX;
		if (space->files[i].fd >= 0)
			(void)close(space->files[i].fd);
	} else {
		space->nfiles++;
	}
	space->files[i].start = region->start;
	space->files[i].fd = t->ops->open_file(t, INSP_TARGET_REGION_FILE, region, NULL);
	return space->files[i].fd;
}

/* A page of a private file mapping that is not in memory: its bytes are the file's. */
static size_t read_file_page(struct insp_space *space, const struct insp_region *region,
			     uint64_t addr, uint8_t *buf)
{
	int fd = region_fd(space, region);
	ssize_t got;

	if (fd < 0)
		return 0;
	got = pread(fd, buf, PAGE, (off_t)(region->offset + (addr - region->start)));
	if (got <= 0)
		return 0;
	memset(buf + got, 0, PAGE - (size_t)got); /* the kernel zeroes the rest of the last page */
	return PAGE;
}

/*
 * Fills buf with up to n pages from addr on, all in one region, states known: bytes that are
 * valid from the start on. Stops in front of the first page that cannot be had.
 */
static size_t fill_pages(struct insp_space *space, const struct insp_region *region, uint64_t addr,
			 uint8_t *buf, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t run = 1, got;
		uint8_t state = space->states[i];

		while (i + run < n && space->states[i + run] == state)
			run++;
		switch (state) {
		case INSP_PAGE_PRESENT:
			got = read_present(space, addr + i * PAGE, buf + i * PAGE, run * PAGE);
			if (got < run * PAGE)
				return i * PAGE + got;
			break;
		case INSP_PAGE_ABSENT:
			memset(buf + i * PAGE, 0, run * PAGE);
			break;
		case INSP_PAGE_FILE:
			for (size_t k = i; k < i + run; k++)
				if (!read_file_page(space, region, addr + k * PAGE, buf + k * PAGE))
					return k * PAGE;
			break;
		default:
			return i * PAGE;
		}
		i += run;
	}
	return n * PAGE;
}

static const struct insp_region *readable_region(struct insp_space *space, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(space->regions, addr);

	if (!r || !(r->prot & INSP_PROT_READ) || r->flags & INSP_REGION_DEVICE)
		return NULL;
	return r;
}

static const uint8_t *cached_page(struct insp_space *space, uint64_t addr)
{
	struct cache_line *line = &space->lines[addr / PAGE % CACHE_LINES];
	const struct insp_region *region;

	if (line->addr == addr)
		return line->bytes;
	line->addr = EMPTY;
	region = readable_region(space, addr);
	if (!region)
		return NULL;
	page_states(space, addr, 1);
	if (fill_pages(space, region, addr, line->bytes, 1) != PAGE)
		return NULL;
	line->addr = addr;
	return line->bytes;
}

int insp_space_read(struct insp_space *space, uint64_t addr, void *buf, size_t size_bytes)
{
	uint8_t *out = buf;

	if (size_bytes && addr + size_bytes - 1 < addr)
		return INSP_E_FAULT;
	while (size_bytes) {
		size_t off = (size_t)(addr % PAGE), n = PAGE - off;
		const uint8_t *page = cached_page(space, addr - off);

		if (!page)
			return INSP_E_FAULT;
		if (n > size_bytes)
			n = size_bytes;
		memcpy(out, page + off, n);
		out += n;
		addr += n;
		size_bytes -= n;
	}
	return 0;
}

int insp_space_u64(struct insp_space *space, uint64_t addr, uint64_t *ret)
{
	return insp_space_read(space, addr, ret, sizeof(*ret));
}

void insp_stream_begin(struct insp_stream *stream, struct insp_space *space, uint64_t start,
		       uint64_t end, insp_block_fn on_block, void *ctx)
{
	*stream = (struct insp_stream){
		.space = space,
		.start = start,
		.end = end,
		.buf_addr = start & ~(uint64_t)(PAGE - 1),
		.ahead = on_block ? BLOCK_MAX : AHEAD_MIN,
		.shown = start,
		.on_block = on_block,
		.ctx = ctx,
	};
}

/* Shows what on_block has not seen of the block: present pages, clipped to the stream's range. */
static void show_block(struct insp_stream *stream)
{
	struct insp_space *space = stream->space;
	uint64_t block_end = stream->buf_addr + stream->buf_len;

	if (!stream->on_block)
		return;
	for (size_t i = 0; i * PAGE < stream->buf_len;) {
		size_t run = 1;
		uint64_t from = stream->buf_addr + i * PAGE, to;

		while ((i + run) * PAGE < stream->buf_len &&
		       (space->states[i + run] == INSP_PAGE_ABSENT) ==
			       (space->states[i] == INSP_PAGE_ABSENT))
			run++;
		to = from + run * PAGE;
		if (to > block_end)
			to = block_end;
		if (to > stream->end)
			to = stream->end;
		if (from < stream->shown)
			from = stream->shown;
		if (from < to && space->states[i] != INSP_PAGE_ABSENT) {
			stream->on_block(stream->ctx, from,
					 stream->buf + (from - stream->buf_addr),
					 (size_t)(to - from));
			space->block_shown = true;
		}
		i += run;
	}
	if (block_end > stream->shown)
		stream->shown = block_end;
}

/* Loads the block that starts at the page of addr; buf_len 0 when its first page is a fault. */
static void load_block(struct insp_stream *stream, uint64_t addr)
{
	struct insp_space *space = stream->space;
	uint64_t from = addr & ~(uint64_t)(PAGE - 1), to;
	const struct insp_region *region = readable_region(space, addr);

	stream->buf_addr = from;
	stream->buf_len = 0;
	if (!region)
		return;
	to = from + stream->ahead;
	if (to > ((stream->end + PAGE - 1) & ~(uint64_t)(PAGE - 1)))
		to = (stream->end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (to <= from)
		to = from + PAGE;
	if (to > region->end)
		to = region->end;
	size_t n = (size_t)((to - from) / PAGE);

	stream->buf = next_block(space);
	page_states(space, from, n);
	stream->buf_len = fill_pages(space, region, from, stream->buf, n);
	show_block(stream);
}

/* Everything between what was shown and addr, in full blocks: only with on_block. */
static void show_between(struct insp_stream *stream, uint64_t addr)
{
	while (stream->shown < addr && stream->shown < stream->end) {
		uint64_t before = stream->shown;

		load_block(stream, before);
		if (stream->shown > before)
			continue;
		/* A fault: step over the pages that are like it, or over the hole to the next region. */
		const struct insp_region *region =
			insp_regions_find(stream->space->regions, before);
		uint64_t page = before & ~(uint64_t)(PAGE - 1);
		size_t run = 1;

		if (region && readable_region(stream->space, before))
			while (run < BLOCK_PAGES && page + (run + 1) * PAGE <= region->end &&
			       page + run * PAGE < stream->end && run < stream->ahead / PAGE &&
			       stream->space->states[0] == INSP_PAGE_SWAPPED &&
			       stream->space->states[run] == INSP_PAGE_SWAPPED)
				run++;
		stream->shown = page + run * PAGE;
		if (region && !readable_region(stream->space, before))
			stream->shown = region->end;
	}
}

const uint8_t *insp_stream_at_slow(struct insp_stream *stream, uint64_t addr, size_t need,
				   size_t *ret_avail)
{
	uint64_t block_end = stream->buf_addr + stream->buf_len, off;

	if (need > INSP_STREAM_MAX_NEED || addr < stream->start || addr + need < addr)
		return NULL;
	if (stream->on_block) {
		show_between(stream, addr & ~(uint64_t)(PAGE - 1));
	} else if (addr >= block_end + stream->ahead || addr < stream->buf_addr) {
		stream->ahead = AHEAD_MIN;
	} else if (stream->buf_len && stream->ahead < BLOCK_MAX) {
		stream->ahead *= 2;
	}
	off = addr - stream->buf_addr;
	if (off >= stream->buf_len || stream->buf_len - off < need)
		load_block(stream, addr);
	off = addr - stream->buf_addr;
	if (off >= stream->buf_len || stream->buf_len - off < need)
		return NULL;
	*ret_avail = stream->buf_len - (size_t)off;
	return stream->buf + off;
}

void insp_stream_end(struct insp_stream *stream)
{
	if (stream->on_block)
		show_between(stream, stream->end);
}
