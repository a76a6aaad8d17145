/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * space: the only place that decides which pages of a target are read at all.
 *
 * Reading a page that the target has not got in memory is never free for it: an untouched shared
 * page is allocated, a swapped one is swapped in, one of a userfaultfd hangs the reader. So the
 * page states are asked first, a block's worth at a time, and only present pages are read.
 * Untouched anonymous memory is zero by definition; the bytes of an absent page of a private file
 * mapping are in the file, and are taken from there.
 *
 * A long stream reads ahead on a second thread: while one block is walked, the next one is copied
 * from the target into the other of two buffers. The target stands still then, so there is a CPU
 * for it, and the pause comes near to the time of the reading alone.
 */
#include "target/space.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
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

/* A part of the target, page aligned. */
struct block {
	uint64_t addr;
	size_t len;	     /* bytes that are there */
	uint64_t bytes_read; /* from the target */
	uint8_t *bytes;	     /* BLOCK_MAX of them */
	uint8_t states[BLOCK_PAGES];
};

/* The thread that reads the next block. Between go and done, `block` is its own. */
struct ahead {
	bool started, pending; /* pending: go was posted, done not yet taken */
	bool quit;
	pthread_t thread;
	sem_t go, done;
	struct block *block;
	size_t npages;
};

struct insp_space {
	struct insp_target *target;
	const struct insp_regions *regions;
	uint64_t bytes_read;
	struct block blocks[2], *block; /* the current one of the two */
	struct ahead ahead;
	struct open_file files[FILES_MAX];
	unsigned nfiles;
	struct cache_line lines[CACHE_LINES];
};

static void ahead_stop(struct insp_space *space);
static void ahead_drop(struct insp_space *space);

struct insp_space *insp_space_create(struct insp_target *target, const struct insp_regions *regions)
{
	struct insp_space *space = malloc(sizeof(*space));
	uint8_t *bytes;

	if (!space)
		return NULL;
	memset(space, 0, sizeof(*space)); /* and so touched */
	space->target = target;
	space->regions = regions;
	bytes = mmap(NULL, 2 * BLOCK_MAX, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (bytes == MAP_FAILED) {
		free(space);
		return NULL;
	}
	space->blocks[0].bytes = bytes;
	space->blocks[1].bytes = bytes + BLOCK_MAX;
	space->block = &space->blocks[0];
	insp_space_invalidate(space);
	return space;
}

void insp_space_destroy(struct insp_space *space)
{
	if (!space)
		return;
	ahead_stop(space);
	for (unsigned i = 0; i < space->nfiles; i++)
		if (space->files[i].fd >= 0)
			(void)close(space->files[i].fd);
	munmap(space->blocks[0].bytes, 2 * BLOCK_MAX);
	free(space);
}

void insp_space_invalidate(struct insp_space *space)
{
	ahead_drop(space);
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

/* States of n <= BLOCK_PAGES pages. */
static void page_states(struct insp_space *space, uint64_t addr, size_t n, uint8_t *states)
{
	struct insp_target *t = space->target;

	if (!t->ops->pages || t->ops->pages(t, addr, n, states))
		memset(states, INSP_PAGE_PRESENT, n);
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
 * Fills buf with up to n pages from addr on, all in one region, of these states: bytes that are
 * valid from the start on. Stops in front of the first page that cannot be had; without a region
 * (on the second thread) that is also one that only its file has.
 */
static size_t fill_pages(struct insp_space *space, const struct insp_region *region, uint64_t addr,
			 uint8_t *buf, size_t n, const uint8_t *states, uint64_t *bytes_read)
{
	struct insp_target *t = space->target;
	size_t i = 0;

	while (i < n) {
		size_t run = 1, got;
		uint8_t state = states[i];

		while (i + run < n && states[i + run] == state)
			run++;
		switch (state) {
		case INSP_PAGE_PRESENT:
			got = t->ops->read(t, addr + i * PAGE, buf + i * PAGE, run * PAGE);
			*bytes_read += got;
			if (got < run * PAGE)
				return i * PAGE + got;
			break;
		case INSP_PAGE_ABSENT:
			memset(buf + i * PAGE, 0, run * PAGE);
			break;
		case INSP_PAGE_FILE:
			for (size_t k = i; k < i + run; k++)
				if (!region ||
				    !read_file_page(space, region, addr + k * PAGE, buf + k * PAGE))
					return k * PAGE;
			break;
		default:
			return i * PAGE;
		}
		i += run;
	}
	return n * PAGE;
}

static void fill_block(struct insp_space *space, const struct insp_region *region,
		       struct block *block, size_t npages)
{
	block->bytes_read = 0;
	page_states(space, block->addr, npages, block->states);
	block->len = fill_pages(space, region, block->addr, block->bytes, npages, block->states,
				&block->bytes_read);
}

/* ---- the second thread */

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

static void *ahead_main(void *arg)
{
	struct insp_space *space = arg;
	struct ahead *a = &space->ahead;

	for (;;) {
		wait_for(&a->go);
		if (a->quit)
			return NULL;
		fill_block(space, NULL, a->block, a->npages);
		(void)sem_post(&a->done);
	}
}

/* Signals are for the threads of whoever we run inside. */
static bool ahead_started(struct insp_space *space)
{
	struct ahead *a = &space->ahead;
	sigset_t all, old;

	if (a->started)
		return true;
	if (!space->target->ops->concurrent || sem_init(&a->go, 0, 0) || sem_init(&a->done, 0, 0))
		return false;
	sigfillset(&all);
	if (pthread_sigmask(SIG_BLOCK, &all, &old))
		return false;
	a->started = !pthread_create(&a->thread, NULL, ahead_main, space);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return a->started;
}

/* Waits for the block that is being read, if any. */
static void ahead_drop(struct insp_space *space)
{
	struct ahead *a = &space->ahead;

	if (!a->pending)
		return;
	wait_for(&a->done);
	a->pending = false;
	space->bytes_read += a->block->bytes_read;
}

static void ahead_stop(struct insp_space *space)
{
	struct ahead *a = &space->ahead;

	if (!a->started)
		return;
	ahead_drop(space);
	a->quit = true;
	(void)sem_post(&a->go);
	(void)pthread_join(a->thread, NULL);
	(void)sem_destroy(&a->go);
	(void)sem_destroy(&a->done);
}

/* The block that was read ahead becomes the current one, if it holds addr. */
static bool ahead_take(struct insp_space *space, uint64_t addr)
{
	struct block *block = space->ahead.block;

	if (!space->ahead.pending)
		return false;
	ahead_drop(space);
	if (addr < block->addr || addr - block->addr >= block->len)
		return false;
	space->block = block;
	return true;
}

/* Reads on from the page before `from`: a chunk's head may lie across the border of two blocks. */
static void ahead_start(struct insp_space *space, uint64_t from, uint64_t end)
{
	struct ahead *a = &space->ahead;

	if (from >= end || a->pending || !ahead_started(space))
		return;
	from -= PAGE;
	a->block = space->block == &space->blocks[0] ? &space->blocks[1] : &space->blocks[0];
	a->block->addr = from;
	a->npages = (size_t)((end - from < BLOCK_MAX ? end - from : BLOCK_MAX) / PAGE);
	a->pending = true;
	(void)sem_post(&a->go);
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
	uint8_t state;

	if (line->addr == addr)
		return line->bytes;
	line->addr = EMPTY;
	region = readable_region(space, addr);
	if (!region)
		return NULL;
	page_states(space, addr, 1, &state);
	if (fill_pages(space, region, addr, line->bytes, 1, &state, &space->bytes_read) != PAGE)
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

int insp_space_u8(struct insp_space *space, uint64_t addr, uint8_t *ret)
{
	return insp_space_read(space, addr, ret, sizeof(*ret));
}

int insp_space_u16(struct insp_space *space, uint64_t addr, uint16_t *ret)
{
	return insp_space_read(space, addr, ret, sizeof(*ret));
}

int insp_space_u32(struct insp_space *space, uint64_t addr, uint32_t *ret)
{
	return insp_space_read(space, addr, ret, sizeof(*ret));
}

int insp_space_u64(struct insp_space *space, uint64_t addr, uint64_t *ret)
{
	return insp_space_read(space, addr, ret, sizeof(*ret));
}

int insp_space_cstr(struct insp_space *space, uint64_t addr, char *buf, size_t size_bytes)
{
	for (size_t i = 0; i + 1 < size_bytes; i++) {
		uint8_t c;

		if (insp_space_u8(space, addr + i, &c))
			return INSP_E_FAULT;
		buf[i] = (char)c;
		if (!c)
			return 0;
	}
	if (size_bytes)
		buf[size_bytes - 1] = '\0';
	return 0;
}

void insp_stream_begin(struct insp_stream *stream, struct insp_space *space, uint64_t start,
		       uint64_t end, insp_block_fn on_block, void *ctx)
{
	ahead_drop(space);
	*stream = (struct insp_stream){
		.space = space,
		.start = start,
		.end = end,
		.buf_addr = start & ~(uint64_t)(PAGE - 1),
		.ahead = on_block ? BLOCK_MAX : AHEAD_MIN,
		.shown = start,
		.on_block = on_block,
		.ctx = ctx,
		.buf = space->block->bytes,
	};
}

/* Shows what on_block has not seen of the block: present pages, clipped to the stream's range. */
static void show_block(struct insp_stream *stream)
{
	const uint8_t *states = stream->space->block->states;
	uint64_t block_end = stream->buf_addr + stream->buf_len;

	if (!stream->on_block)
		return;
	for (size_t i = 0; i * PAGE < stream->buf_len;) {
		size_t run = 1;
		uint64_t from = stream->buf_addr + i * PAGE, to;

		while ((i + run) * PAGE < stream->buf_len &&
		       (states[i + run] == INSP_PAGE_ABSENT) ==
			       (states[i] == INSP_PAGE_ABSENT))
			run++;
		to = from + run * PAGE;
		if (to > block_end)
			to = block_end;
		if (to > stream->end)
			to = stream->end;
		if (from < stream->shown)
			from = stream->shown;
		if (from < to && states[i] != INSP_PAGE_ABSENT)
			stream->on_block(stream->ctx, from,
					 stream->buf + (from - stream->buf_addr),
					 (size_t)(to - from));
		i += run;
	}
	if (block_end > stream->shown)
		stream->shown = block_end;
}

/* Loads a block that holds the page of addr; buf_len 0 when that is a fault. */
static void load_block(struct insp_stream *stream, uint64_t addr)
{
	struct insp_space *space = stream->space;
	uint64_t from = addr & ~(uint64_t)(PAGE - 1), end, to;
	const struct insp_region *region = readable_region(space, addr);

	stream->buf_addr = from;
	stream->buf_len = 0;
	if (!region)
		return;
	end = (stream->end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (end <= from)
		end = from + PAGE;
	if (end > region->end)
		end = region->end;
	if (!ahead_take(space, from)) {
		to = end - from < stream->ahead ? end : from + stream->ahead;
		space->block->addr = from;
		fill_block(space, region, space->block, (size_t)((to - from) / PAGE));
		space->bytes_read += space->block->bytes_read;
	}
	stream->buf = space->block->bytes;
	stream->buf_addr = space->block->addr;
	stream->buf_len = space->block->len;
	if (stream->ahead == BLOCK_MAX && stream->buf_len && stream->buf_len % PAGE == 0)
		ahead_start(space, stream->buf_addr + stream->buf_len, end);
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
		/* A fault: step over the page, or over the hole to the next region. */
		const struct insp_region *region =
			insp_regions_find(stream->space->regions, before);

		stream->shown = (before & ~(uint64_t)(PAGE - 1)) + PAGE;
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
