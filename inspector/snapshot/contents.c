/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/contents.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/log.h"
#include "base/vec.h"
#include "target/dump.h"

#define PAGE	     4096u
#define BLOCK_PAGES  (INSP_DUMP_BLOCK_BYTES / PAGE)
#define ZSTD_LEVEL   1
#define NCACHED	     16u
#define PACKED_MAX   ZSTD_COMPRESSBOUND((size_t)INSP_DUMP_BLOCK_BYTES)

struct insp_contents *insp_contents_create(void)
{
	return calloc(1, sizeof(struct insp_contents));
}

void insp_contents_destroy(struct insp_contents *contents)
{
	if (!contents)
		return;
	insp_source_deinit(&contents->source);
	free(contents->items);
	free(contents);
}

/* ---- writing */

struct writer {
	struct insp_contents *contents;
	struct insp_atomic *file;
	uint64_t *offset;
	ZSTD_CCtx *zstd;
	uint8_t *packed, *buf;
};

static int add_block(void *ctx, uint64_t addr, const uint8_t *bytes, size_t n)
{
	struct writer *w = ctx;
	struct insp_contents_block *b = insp_vec_push(w->contents);
	size_t stored;

	if (!b)
		return INSP_E_NOMEM;
	b->addr = addr;
	b->npages = (uint32_t)(n / PAGE);
	b->offset = b->sum = b->stored = 0;
	if (!bytes) {
		w->contents->missing += n;
		return 0;
	}
	stored = ZSTD_compressCCtx(w->zstd, w->packed, ZSTD_compressBound(n), bytes, n, ZSTD_LEVEL);
	if (ZSTD_isError(stored))
		return INSP_E_NOMEM;
	b->stored = (uint32_t)stored;
	b->offset = *w->offset;
	b->sum = XXH64(w->packed, stored, 0);
	insp_atomic_put(w->file, *w->offset, w->packed, stored);
	*w->offset += stored;
	w->contents->bytes += n;
	return w->file->failed ? INSP_E_IO : 0;
}

int insp_contents_write(struct insp_contents *contents, const struct insp_snapshot *snapshot,
			struct insp_target *memory, struct insp_atomic *file, uint64_t *offset,
			struct insp_error *err)
{
	struct writer w = {
		.contents = contents,
		.file = file,
		.offset = offset,
		.zstd = ZSTD_createCCtx(),
		.packed = malloc(ZSTD_compressBound(INSP_DUMP_BLOCK_BYTES)),
		.buf = malloc(INSP_DUMP_BLOCK_BYTES),
	};
	int rc = w.zstd && w.packed && w.buf ? 0 : INSP_E_NOMEM;

	for (size_t i = 0; i < snapshot->regions.n && !rc; i++) {
		if (insp_dump_wants(&snapshot->regions, i))
			rc = insp_dump_region(memory, &snapshot->regions.items[i], w.buf, add_block, &w);
	}
	ZSTD_freeCCtx(w.zstd);
	free(w.packed);
	free(w.buf);
	if (rc == INSP_E_IO)
		return insp_fail_errno(err, INSP_E_IO, file->failed, "'%s' was not written", file->path);
	if (rc)
		return insp_fail(err, (enum insp_code)rc, "'%s' was not written: %s", file->path,
				 rc == INSP_E_INTERRUPTED ? "interrupted" : "out of memory");
	return 0;
}

/* ---- the index */

static void block(struct insp_codec *c, struct insp_contents_block *b, uint64_t *last)
{
	uint64_t step = (b->addr - *last) / PAGE;

	insp_codec_u64(c, &step);
	insp_codec_u32(c, &b->npages);
	insp_codec_u32(c, &b->stored);
	if (b->stored) {
		insp_codec_u64(c, &b->offset);
		insp_codec_raw(c, &b->sum, sizeof(b->sum));
	}
	if (c->failed)
		return;
	if (!c->writing && (!b->npages || b->npages > BLOCK_PAGES || step > (UINT64_MAX - *last) / PAGE))
		insp_codec_fail(c, INSP_E_CORRUPT);
	b->addr = *last + step * PAGE;
	if (!c->writing && b->addr > UINT64_MAX - b->npages * (uint64_t)PAGE)
		insp_codec_fail(c, INSP_E_CORRUPT);
	*last = b->addr + b->npages * (uint64_t)PAGE;
}

void insp_contents_describe(struct insp_codec *c, struct insp_snapshot *snapshot)
{
	struct insp_contents *k = snapshot->contents;
	size_t n = k ? k->n : 0;
	uint64_t last = 0;

	if (!c->writing)
		k = snapshot->contents = insp_contents_create();
	insp_codec_count(c, &n, 3);
	if (!c->writing && k) {
		k->items = calloc(n + 1, sizeof(*k->items));
		k->n = k->cap = k->items ? n : 0;
	}
	if (!k || (!k->items && n)) {
		insp_codec_fail(c, INSP_E_NOMEM);
		return;
	}
	insp_codec_u64(c, &k->bytes);
	insp_codec_u64(c, &k->missing);
	for (size_t i = 0; i < k->n && !c->failed; i++)
		block(c, &k->items[i], &last);
}

/* ---- reading */

/* Blocks that were unpacked last; slot by number of the block. */
struct view {
	const struct insp_snapshot *snapshot;
	pthread_mutex_t lock;
	size_t numbers[NCACHED]; /* block plus one; 0 empty */
	uint8_t *bytes;		 /* NCACHED blocks, and one as it is in the file */
};

static int view_open(struct insp_target *target, const char *spec, struct insp_error *err)
{
	const struct view *v = target->priv;
	const char *comm = v->snapshot->comm ? v->snapshot->comm : "";

	(void)spec;
	(void)err;
	target->pid = v->snapshot->pid;
	target->ns_pid = v->snapshot->ns_pid;
	target->page_size = v->snapshot->page_size;
	snprintf(target->comm, sizeof(target->comm), "%s", comm);
	return 0;
}

static void view_close(struct insp_target *target)
{
	struct view *v = target->priv;

	pthread_mutex_destroy(&v->lock);
	free(v->bytes);
	free(v);
}

static uint64_t block_end(const struct insp_contents_block *b)
{
	return b->addr + b->npages * (uint64_t)PAGE;
}

/* The first block that ends above addr; n: none. */
static size_t find(const struct insp_contents *k, uint64_t addr)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (block_end(&k->items[middle]) <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The bytes of block i, or NULL when they are damaged. With the lock. */
static const uint8_t *unpack(struct view *v, size_t i)
{
	const struct insp_contents *k = v->snapshot->contents;
	const struct insp_contents_block *b = &k->items[i];
	uint8_t *to = v->bytes + (i % NCACHED) * (size_t)INSP_DUMP_BLOCK_BYTES;
	const uint8_t *packed;
	size_t n;

	if (v->numbers[i % NCACHED] == i + 1)
		return to;
	v->numbers[i % NCACHED] = 0;
	packed = b->stored <= PACKED_MAX ? insp_source_view(&k->source, b->offset,
							    v->bytes + NCACHED * (size_t)INSP_DUMP_BLOCK_BYTES,
							    b->stored)
					 : NULL;
	if (!packed || XXH64(packed, b->stored, 0) != b->sum)
		return NULL;
	n = ZSTD_decompress(to, INSP_DUMP_BLOCK_BYTES, packed, b->stored);
	if (ZSTD_isError(n) || n != b->npages * (size_t)PAGE)
		return NULL;
	v->numbers[i % NCACHED] = i + 1;
	return to;
}

static size_t view_read(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes)
{
	struct view *v = target->priv;
	const struct insp_contents *k = v->snapshot->contents;
	size_t done = 0, i = find(k, addr);

	pthread_mutex_lock(&v->lock);
	for (; done < size_bytes && i < k->n; i++) {
		const struct insp_contents_block *b = &k->items[i];
		const uint8_t *bytes;
		uint64_t at = addr + done;
		size_t n;

		if (b->addr > at || !b->stored || !(bytes = unpack(v, i)))
			break;
		n = (size_t)(block_end(b) - at);
		n = n < size_bytes - done ? n : size_bytes - done;
		memcpy((uint8_t *)buf + done, bytes + (at - b->addr), n);
		done += n;
	}
	pthread_mutex_unlock(&v->lock);
	return done;
}

static int view_pages(struct insp_target *target, uint64_t addr, size_t npages, uint8_t *ret)
{
	const struct view *v = target->priv;
	const struct insp_contents *k = v->snapshot->contents;
	size_t i = find(k, addr);

	for (size_t p = 0; p < npages; p++, addr += PAGE) {
		const struct insp_regions *regions = &v->snapshot->regions;
		const struct insp_region *r = insp_regions_find(regions, addr);

		while (i < k->n && block_end(&k->items[i]) <= addr)
			i++;
		if (i < k->n && k->items[i].addr <= addr)
			ret[p] = k->items[i].stored ? INSP_PAGE_PRESENT : INSP_PAGE_SWAPPED;
		else if (r && !insp_region_anonymous(r))
			ret[p] = INSP_PAGE_FILE;
		else /* what was kept is kept whole */
			ret[p] = r && insp_dump_wants(regions, (size_t)(r - regions->items))
					 ? INSP_PAGE_ABSENT
					 : INSP_PAGE_SWAPPED;
	}
	return 0;
}

static int view_regions(struct insp_target *target, struct insp_pool *pool, struct insp_regions *ret,
			struct insp_error *err)
{
	const struct view *v = target->priv;
	const struct insp_regions *from = &v->snapshot->regions;
	struct insp_region *items = insp_pool_memdup(pool, from->items, from->n * sizeof(*items));

	if (!items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*ret = (struct insp_regions){.items = items, .n = from->n, .cap = from->n};
	return 0;
}

static int view_open_file(struct insp_target *target, enum insp_target_file which,
			  const struct insp_region *region, struct insp_error *err)
{
	const struct view *v = target->priv;
	const char *name = which == INSP_TARGET_EXE ? v->snapshot->exe : region->name;
	struct stat st;
	int fd = -1;

	/* The name comes from the file: to open a device may have effects. */
	if (name && name[0] == '/' && !stat(name, &st) && S_ISREG(st.st_mode))
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 ? fd : insp_fail(err, INSP_E_NOTFOUND, "'%s' cannot be opened", name ? name : "?");
}

static const struct insp_target_ops contents_ops = {
	.name = "file",
	.title = "snapshot file",
	.open = view_open,
	.close = view_close,
	.read = view_read,
	.regions = view_regions,
	.pages = view_pages,
	.open_file = view_open_file,
};

int insp_contents_open(const struct insp_snapshot *snapshot, struct insp_target **ret,
		       struct insp_error *err)
{
	struct view *v = calloc(1, sizeof(*v));

	if (v)
		v->bytes = malloc(NCACHED * (size_t)INSP_DUMP_BLOCK_BYTES + PACKED_MAX);
	if (!v || !v->bytes) {
		free(v);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	v->snapshot = snapshot;
	pthread_mutex_init(&v->lock, NULL);
	return insp_target_open_with(&contents_ops, NULL, v, ret, err);
}
