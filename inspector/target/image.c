/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * image: ranges of bytes, with one byte of state for each page.
 *
 * COPIED: the bytes are here, and were still those of the target when it stood still. LOST: the
 * page exists, but the bytes are not here (swapped, or could not be read). 0, in a mapping that is
 * wanted: never touched.
 *
 * Bytes and states are sparse, and nothing here walks a whole range: there are targets with
 * mappings of many TiB (sanitizers, JVM, Go), of which few pages exist.
 */
#include "target/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/fmt.h"
#include "base/pool.h"
#include "base/vec.h"
#include "target/live.h"
#include "target/proc.h"

#define PAGE	    4096ull
#define IOVECS	    1024	 /* UIO_MAXIOV */
#define BATCH_BYTES (4u << 20)
#define PIECE_BYTES (1u << 20)	 /* of one iovec: stays in the cache */

#define SPARE_BYTES (256ull << 20)
#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE of Linux 5.14, which older headers lack */

enum { UNTOUCHED, COPIED, LOST, ELSEWHERE };

struct range {
	uint64_t start, end;
	uint8_t *bytes;	 /* mapped, sparse */
	uint8_t *states; /* of each page: mapped, sparse */
};

struct insp_image {
	struct insp_live *live;
	INSP_VEC(struct range) ranges; /* sorted, disjoint */
	struct iovec local[IOVECS], remote[IOVECS];
	size_t niov, batch_bytes;
	uint64_t bytes_read;
};

struct insp_image *insp_image_create(struct insp_live *live)
{
	struct insp_image *image = calloc(1, sizeof(*image));

	if (image)
		image->live = live;
	return image;
}

void insp_image_destroy(struct insp_image *image)
{
	if (!image)
		return;
	insp_vec_each(&image->ranges, r) {
		(void)munmap(r->bytes, r->end - r->start);
		(void)munmap(r->states, (r->end - r->start) / PAGE);
	}
	insp_vec_free(&image->ranges);
	free(image);
}

/* The first range that ends above addr. */
static size_t range_at(const struct insp_image *image, uint64_t addr)
{
	size_t lo = 0, hi = image->ranges.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (image->ranges.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct range *range_of(const struct insp_image *image, uint64_t addr)
{
	size_t i = range_at(image, addr);

	if (i < image->ranges.n && image->ranges.items[i].start <= addr)
		return &image->ranges.items[i];
	return NULL;
}

static uint8_t *reserve(uint64_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int add_range(struct insp_image *image, size_t place, uint64_t start, uint64_t end,
		     struct insp_error *err)
{
	struct range r = {.start = start, .end = end};

	r.states = reserve((end - start) / PAGE);
	r.bytes = reserve(end - start);
	if (!r.states || !r.bytes || !insp_vec_push(&image->ranges)) {
		if (r.states)
			(void)munmap(r.states, (end - start) / PAGE);
		if (r.bytes)
			(void)munmap(r.bytes, end - start);
		return insp_fail(err, INSP_E_NOMEM,
				 "no address space for a copy of the target's memory");
	}
	if (end - start >= 4u << 20) /* fewer faults while the target runs */
		(void)madvise(r.bytes, end - start, MADV_HUGEPAGE);
	memmove(image->ranges.items + place + 1, image->ranges.items + place,
		(image->ranges.n - 1 - place) * sizeof(r));
	image->ranges.items[place] = r;
	return 0;
}

int insp_image_cover(struct insp_image *image, uint64_t start, uint64_t end, struct insp_error *err)
{
	while (start < end) {
		size_t i = range_at(image, start);
		uint64_t to = end;

		if (i < image->ranges.n && image->ranges.items[i].start <= start) {
			start = image->ranges.items[i].end;
			continue;
		}
		if (i < image->ranges.n && image->ranges.items[i].start < to)
			to = image->ranges.items[i].start;
		int rc = add_range(image, i, start, to, err);

		if (rc)
			return rc;
		start = to;
	}
	return 0;
}

static void mark(struct insp_image *image, uint64_t addr, size_t len, uint8_t state)
{
	struct range *r = range_of(image, addr);

	memset(r->states + (addr - r->start) / PAGE, state, len / PAGE);
}

/* One piece by itself, after a batch failed at it: as far as it goes. */
static void copy_one(struct insp_image *image, size_t i)
{
	uint64_t addr = (uintptr_t)image->remote[i].iov_base;
	size_t len = image->local[i].iov_len, n;

	n = insp_live_read(image->live, addr, image->local[i].iov_base, len) & ~(size_t)(PAGE - 1);
	image->bytes_read += n;
	mark(image, addr, n, COPIED);
	if (n < len)
		mark(image, addr + n, len - n, LOST);
}

void insp_image_flush(struct insp_image *image)
{
	size_t i = 0;

	while (i < image->niov) {
		ssize_t n = process_vm_readv(image->live->vm_tid, image->local + i, image->niov - i,
					     image->remote + i, image->niov - i, 0);

		for (; n > 0 && i < image->niov && (size_t)n >= image->local[i].iov_len; i++) {
			n -= (ssize_t)image->local[i].iov_len;
			image->bytes_read += image->local[i].iov_len;
			mark(image, (uintptr_t)image->remote[i].iov_base, image->local[i].iov_len,
			     COPIED);
		}
		if (i < image->niov)
			copy_one(image, i++);
	}
	image->niov = 0;
	image->batch_bytes = 0;
}

void insp_image_copy(struct insp_image *image, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct range *r = range_of(image, start);
		uint64_t to = end;

		if (!r)
			return;
		if (to > r->end)
			to = r->end;
		if (to - start > PIECE_BYTES)
			to = start + PIECE_BYTES;
		image->local[image->niov] = (struct iovec){
			.iov_base = r->bytes + (start - r->start), .iov_len = to - start};
		image->remote[image->niov++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)start, .iov_len = to - start};
		image->batch_bytes += to - start;
		if (image->niov == IOVECS || image->batch_bytes >= BATCH_BYTES)
			insp_image_flush(image);
		start = to;
	}
}

void insp_image_touch(struct insp_image *image, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct range *r = range_of(image, start);
		uint64_t to;

		if (!r)
			return;
		to = end < r->end ? end : r->end;
		(void)madvise(r->bytes + (start - r->start), to - start, POPULATE_WRITE);
		start = to;
	}
}

int insp_image_fits(const struct insp_live *live, uint64_t size_bytes, struct insp_error *err)
{
	char buf[8192], have[INSP_FMT_MAX], want[INSP_FMT_MAX];
	uint64_t available;

	if (insp_proc_small(AT_FDCWD, "/proc/meminfo", buf, sizeof(buf)) <= 0 ||
	    !insp_proc_field_bytes(buf, "MemAvailable", &available))
		return 0;
	if (size_bytes + size_bytes / 8 + SPARE_BYTES > available)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "a copy of the %s of process %d does not fit into the %s that are "
				 "available",
				 insp_fmt_bytes(want, size_bytes), live->pid,
				 insp_fmt_bytes(have, available));
	return 0;
}

/* Calls from here on see [start, end) cut into the ranges that hold it. */
static struct range *part(const struct insp_image *image, uint64_t *start, uint64_t end,
			  uint64_t *ret_to)
{
	size_t i = range_at(image, *start);
	struct range *r = i < image->ranges.n ? &image->ranges.items[i] : NULL;

	if (!r || r->start >= end)
		return NULL;
	if (*start < r->start)
		*start = r->start;
	*ret_to = end < r->end ? end : r->end;
	return r;
}

/* Without touching states that nobody wrote. */
static void clear_states(uint8_t *from, size_t n)
{
	uint8_t *page = (uint8_t *)(((uintptr_t)from + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	size_t head = (size_t)(page - from);

	if (n < 16 * PAGE) {
		memset(from, UNTOUCHED, n);
		return;
	}
	memset(from, UNTOUCHED, head);
	n -= head;
	(void)madvise(page, n & ~(size_t)(PAGE - 1), MADV_DONTNEED);
	memset(page + (n & ~(size_t)(PAGE - 1)), UNTOUCHED, n % PAGE);
}

void insp_image_not_here(struct insp_image *image, uint64_t start, uint64_t end, bool swapped)
{
	struct range *r;
	uint64_t to;

	for (; start < end && (r = part(image, &start, end, &to)); start = to) {
		uint8_t *states = r->states + (start - r->start) / PAGE;
		size_t n = (size_t)((to - start) / PAGE);

		if (swapped)
			memset(states, LOST, n);
		else
			clear_states(states, n);
	}
}

uint64_t insp_image_bytes_read(const struct insp_image *image)
{
	return image->bytes_read;
}

/* ---- the target */

bool insp_image_wants(const struct insp_region *r)
{
	return r->prot & INSP_PROT_WRITE && !(r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE));
}

struct view {
	struct insp_image *image;
	struct insp_target *live;
	const struct insp_regions *regions;
};

static int view_open(struct insp_target *target, const char *spec, struct insp_error *err)
{
	const struct view *v = target->priv;

	(void)spec;
	(void)err;
	target->pid = v->live->pid;
	target->ns_pid = v->live->ns_pid;
	memcpy(target->comm, v->live->comm, sizeof(target->comm));
	target->page_size = v->live->page_size;
	return 0;
}

static void view_close(struct insp_target *target)
{
	free(target->priv);
}

/* ELSEWHERE: the image knows nothing of that mapping. */
static uint8_t state_at(const struct view *v, uint64_t addr, const struct range **ret)
{
	const struct insp_region *region = insp_regions_find(v->regions, addr);

	*ret = range_of(v->image, addr);
	if (!region || !insp_image_wants(region) || !*ret)
		return ELSEWHERE;
	return (*ret)->states[(addr - (*ret)->start) / PAGE];
}

static size_t view_read(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes)
{
	const struct view *v = target->priv;
	size_t done = 0;

	while (done < size_bytes) {
		uint64_t at = addr + done;
		const struct range *r;
		size_t n = (size_t)(PAGE - at % PAGE);
		uint8_t state = state_at(v, at, &r);

		if (n > size_bytes - done)
			n = size_bytes - done;
		if (state == ELSEWHERE) {
			size_t got = v->live->ops->read(v->live, at, (char *)buf + done, n);

			done += got;
			if (got < n)
				break;
			continue;
		}
		if (state != COPIED)
			break;
		memcpy((char *)buf + done, r->bytes + (at - r->start), n);
		done += n;
	}
	return done;
}

static int view_pages(struct insp_target *target, uint64_t addr, size_t npages, uint8_t *ret)
{
	const struct view *v = target->priv;

	for (; npages; npages--, addr += PAGE, ret++) {
		const struct range *r;
		uint8_t state = state_at(v, addr, &r);

		if (state == ELSEWHERE) {
			if (v->live->ops->pages(v->live, addr, 1, ret))
				return INSP_E_FAULT;
		} else if (state == UNTOUCHED) {
			const struct insp_region *region = insp_regions_find(v->regions, addr);

			*ret = region && region->inode ? INSP_PAGE_FILE : INSP_PAGE_ABSENT;
		} else {
			*ret = state == COPIED ? INSP_PAGE_PRESENT : INSP_PAGE_SWAPPED;
		}
	}
	return 0;
}

static int view_regions(struct insp_target *target, struct insp_pool *pool, struct insp_regions *ret,
			struct insp_error *err)
{
	const struct view *v = target->priv;
	struct insp_regions copy = {.n = v->regions->n, .cap = v->regions->n};

	copy.items = insp_pool_memdup(pool, v->regions->items, copy.n * sizeof(*copy.items));
	for (size_t i = 0; copy.items && i < copy.n; i++) {
		copy.items[i].name = insp_pool_strdup(pool, copy.items[i].name);
		if (!copy.items[i].name)
			copy.items = NULL;
	}
	if (!copy.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*ret = copy;
	return 0;
}

static int view_open_file(struct insp_target *target, enum insp_target_file which,
			  const struct insp_region *region, struct insp_error *err)
{
	const struct view *v = target->priv;

	return v->live->ops->open_file(v->live, which, region, err);
}

static bool view_gone(struct insp_target *target)
{
	const struct view *v = target->priv;

	return v->live->ops->gone(v->live);
}

static const struct insp_target_ops image_ops = {
	.name = "live",
	.title = "copy of a live process",
	.open = view_open,
	.close = view_close,
	.read = view_read,
	.regions = view_regions,
	.pages = view_pages,
	.open_file = view_open_file,
	.gone = view_gone,
};

int insp_image_open(struct insp_image *image, struct insp_target *live,
		    const struct insp_regions *regions, struct insp_target **ret,
		    struct insp_error *err)
{
	struct view *v = malloc(sizeof(*v));

	if (!v)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*v = (struct view){.image = image, .live = live, .regions = regions};
	return insp_target_open_with(&image_ops, live->spec, v, ret, err);
}
