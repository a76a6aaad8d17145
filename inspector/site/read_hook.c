/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * read_hook: finds the companion hook in a target and copies what it recorded.
 *
 * The layout is <meminspect/hook_format.h>. The header is reached through an ELF note in the first
 * page of the library, so neither symbols nor the file are needed, and a core file will do. The
 * tables are copied by streams, which leave pages alone that the target never touched: most of what
 * the hook reserved. All numbers in them are checked here, once; behind this file they are trusted.
 */
#include "site/sites.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <meminspect/hook_format.h>

#include "base/vec.h"

#define FIRST_PAGE 4096

/* ---- finding the header */

/* Walks the notes in [at, end) of the page; the address of the description that is ours, or 0. */
static size_t find_note(const uint8_t *page, size_t at, size_t end)
{
	while (end - at >= sizeof(Elf64_Nhdr) && at <= end) {
		Elf64_Nhdr note;

		memcpy(&note, page + at, sizeof(note));
		if (note.n_namesz > FIRST_PAGE || note.n_descsz > FIRST_PAGE)
			return 0;
		size_t name = at + sizeof(note), desc = name + ((note.n_namesz + 3) & ~3u);
		size_t next = desc + ((note.n_descsz + 3) & ~3u);

		if (next > end)
			return 0;
		if (note.n_type == INSP_HOOK_NOTE_TYPE && note.n_descsz == sizeof(int32_t) &&
		    note.n_namesz == sizeof(INSP_HOOK_NOTE_NAME) &&
		    !memcmp(page + name, INSP_HOOK_NOTE_NAME, sizeof(INSP_HOOK_NOTE_NAME)))
			return desc;
		at = next;
	}
	return 0;
}

/* The header's address by the ELF file that starts at base, or 0. */
static uint64_t header_of(struct insp_space *space, uint64_t base)
{
	uint8_t page[FIRST_PAGE];
	Elf64_Ehdr ehdr;

	if (insp_space_read(space, base, page, sizeof(page)))
		return 0;
	memcpy(&ehdr, page, sizeof(ehdr));
	if (memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0 || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	for (unsigned i = 0; i < ehdr.e_phnum; i++) {
		uint64_t at = ehdr.e_phoff + i * sizeof(Elf64_Phdr);
		Elf64_Phdr phdr;

		if (at > sizeof(page) - sizeof(phdr))
			break;
		memcpy(&phdr, page + at, sizeof(phdr));
		if (phdr.p_type != PT_NOTE || phdr.p_offset > sizeof(page) ||
		    phdr.p_filesz > sizeof(page) - phdr.p_offset)
			continue;
		size_t desc = find_note(page, phdr.p_offset, phdr.p_offset + phdr.p_filesz);
		int32_t offset;

		if (!desc)
			continue;
		memcpy(&offset, page + desc, sizeof(offset));
		return base + desc + (uint64_t)(int64_t)offset;
	}
	return 0;
}

static uint64_t find_header(struct insp_space *space, const struct insp_regions *regions)
{
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];
		uint64_t header;

		if (insp_region_anonymous(r) || r->offset || !(r->prot & INSP_PROT_READ) ||
		    r->flags & INSP_REGION_DEVICE || insp_region_bytes(r) < FIRST_PAGE)
			continue;
		header = header_of(space, r->start);
		if (header)
			return header;
	}
	return 0;
}

/* ---- copying */

struct copy {
	uint64_t addr;
	uint8_t *to;
};

static void copy_block(void *ctx, uint64_t addr, const uint8_t *bytes, size_t size_bytes)
{
	struct copy *c = ctx;

	memcpy(c->to + (addr - c->addr), bytes, size_bytes);
}

/* Into zeroed memory: what cannot be read stays zero, which is "nothing" in every table. */
static void copy_table(struct insp_space *space, uint64_t addr, void *to, size_t size_bytes)
{
	struct copy c = {addr, to};
	struct insp_stream stream;

	if (!addr || addr + size_bytes < addr || addr % 8)
		return;
	insp_stream_begin(&stream, space, addr, addr + size_bytes, copy_block, &c);
	insp_stream_end(&stream);
}

/* A table in segments of doubling length: gives a zeroed array of n entries. */
static void *copy_segments(struct insp_space *space, const uint64_t *segments, size_t n,
			   size_t entry_bytes)
{
	uint8_t *to = calloc(n ? n : 1, entry_bytes);
	size_t first = 0;

	for (unsigned k = 0; to && k < INSP_HOOK_NSEGMENTS && first < n; k++) {
		size_t len = k ? first : INSP_HOOK_SEGMENT;

		if (len > n - first)
			len = n - first;
		copy_table(space, segments[k], to + first * entry_bytes, len * entry_bytes);
		first += len;
	}
	return to;
}

static int out_of_memory(struct insp_error *err)
{
	return insp_fail(err, INSP_E_NOMEM, "out of memory for what the hook recorded");
}

static int read_frames(struct insp_space *space, const struct insp_hook_header *h,
		       struct insp_sites *sites, struct insp_error *err)
{
	struct insp_hook_frame *raw = copy_segments(space, h->frames, h->nframes, sizeof(*raw));

	sites->frames = calloc(h->nframes, sizeof(*sites->frames));
	if (!raw || !sites->frames) {
		free(raw);
		return out_of_memory(err);
	}
	sites->nframes = h->nframes;
	for (uint32_t i = 1; i < h->nframes; i++) {
		if (raw[i].parent >= i || !raw[i].pc) {
			sites->damaged++;
			continue;
		}
		sites->frames[i] = (struct insp_site_frame){raw[i].pc, raw[i].parent};
	}
	free(raw);
	return 0;
}

static int read_sites(struct insp_space *space, const struct insp_hook_header *h,
		      struct insp_sites *sites, struct insp_error *err)
{
	uint32_t *raw = copy_segments(space, h->sites, h->nsites, sizeof(*raw));

	sites->items = calloc(h->nsites, sizeof(*sites->items));
	if (!raw || !sites->items) {
		free(raw);
		return out_of_memory(err);
	}
	sites->n = h->nsites;
	for (uint32_t i = 1; i < h->nsites; i++) {
		if (raw[i] && raw[i] < sites->nframes && sites->frames[raw[i]].pc)
			sites->items[i].frame = raw[i];
		else
			sites->damaged++;
	}
	free(raw);
	return 0;
}

static int read_counters(struct insp_space *space, const struct insp_hook_header *h,
			 struct insp_sites *sites, struct insp_error *err)
{
	size_t npages = (sites->n + INSP_HOOK_PAGE_SITES - 1) / INSP_HOOK_PAGE_SITES;
	double unit = sites->sampled ? INSP_HOOK_COUNT_SCALE : 1;
	uint64_t *pages = calloc(npages, sizeof(*pages));
	struct insp_hook_counters page[INSP_HOOK_PAGE_SITES];

	if (!pages)
		return out_of_memory(err);
	for (unsigned b = 0; b < INSP_HOOK_BANKS; b++) {
		if (!h->banks[b])
			continue;
		memset(pages, 0, npages * sizeof(*pages));
		copy_table(space, h->banks[b], pages, npages * sizeof(*pages));
		for (size_t p = 0; p < npages; p++) {
			if (!pages[p])
				continue;
			memset(page, 0, sizeof(page));
			copy_table(space, pages[p], page, sizeof(page));
			for (size_t i = 0; i < INSP_HOOK_PAGE_SITES; i++) {
				size_t site = p * INSP_HOOK_PAGE_SITES + i;

				if (site >= sites->n)
					break;
				sites->items[site].allocs += (double)page[i].allocs / unit;
				sites->items[site].alloc_bytes += (double)page[i].alloc_bytes;
			}
		}
	}
	free(pages);
	return 0;
}

/* ---- records of sampled mode */

static int by_addr(const void *a, const void *b)
{
	uint64_t x = ((const struct insp_site_record *)a)->addr;
	uint64_t y = ((const struct insp_site_record *)b)->addr;

	return x < y ? -1 : x > y;
}

/* The index of a thread in tids, which is made of those that occur. */
static uint32_t thread_index(struct insp_sites *sites, uint32_t tid)
{
	size_t i = 0;

	while (i < sites->ntids && sites->tids[i] != tid)
		i++;
	if (i == sites->ntids && i < INSP_HOOK_THREADS)
		sites->tids[sites->ntids++] = tid;
	return i < INSP_HOOK_THREADS ? (uint32_t)i : 0;
}

static uint32_t pack_seconds(uint32_t seconds)
{
	uint32_t e = 0;

	while (seconds >> e >> INSP_HOOK_MANTISSA)
		e++;
	return seconds >> e | e << INSP_HOOK_MANTISSA;
}

static int read_samples(struct insp_space *space, const struct insp_hook_header *h,
			struct insp_sites *sites, struct insp_error *err)
{
	uint32_t cap = h->samples_cap;
	struct insp_hook_sample *raw = calloc(cap ? cap : 1, sizeof(*raw));

	sites->tids = calloc(INSP_HOOK_THREADS, sizeof(*sites->tids));
	sites->records = calloc(cap ? cap : 1, sizeof(*sites->records));
	if (!raw || !sites->tids || !sites->records) {
		free(raw);
		return out_of_memory(err);
	}
	copy_table(space, h->samples, raw, cap * sizeof(*raw));
	for (uint32_t i = 0; i < cap; i++) {
		const struct insp_hook_sample *s = &raw[i];

		if (s->addr < FIRST_PAGE)
			continue;
		if (s->addr >> 47 || !s->site || s->site >= sites->n || s->size_bytes >> 44) {
			sites->damaged++;
			continue;
		}
		sites->records[sites->nrecords++] = (struct insp_site_record){
			.addr = s->addr,
			.thread = thread_index(sites, s->thread) & 0xffff,
			.size_bytes = s->size_bytes & ((UINT64_C(1) << 44) - 1),
			.time = pack_seconds(s->seconds) & ((1u << INSP_HOOK_TIME_BITS) - 1),
			.site = s->site & 0x3fffffff,
		};
	}
	free(raw);
	qsort(sites->records, sites->nrecords, sizeof(*sites->records), by_addr);
	return 0;
}

/* ---- records of full mode */

struct shadow {
	struct insp_sites *sites;
	uint64_t leaf;	    /* address of the leaf's first word */
	uint64_t base;	    /* address that this word stands for */
	bool failed;
};

static void shadow_word(struct shadow *s, uint64_t word, uint64_t grain)
{
	struct insp_sites *sites = s->sites;
	uint32_t site = (uint32_t)(word & INSP_HOOK_SITE_MASK);
	uint32_t slack = (uint32_t)(word >> INSP_HOOK_SLACK_SHIFT) & 63;
	struct insp_site_record *r;

	if (site == INSP_HOOK_SITE_SLACK) {
		r = sites->nrecords ? &sites->records[sites->nrecords - 1] : NULL;
		if (r && r->size_unknown && r->addr >> INSP_HOOK_GRAIN_SHIFT ==
						    (grain >> INSP_HOOK_GRAIN_SHIFT) - 1) {
			r->size_bytes = word >> INSP_HOOK_SLACK_SHIFT & ((UINT64_C(1) << 42) - 1);
			r->size_unknown = 0;
		}
		return;
	}
	if (!site || site >= sites->n) {
		sites->damaged++;
		return;
	}
	if (sites->nrecords == sites->records_cap) {
		struct {
			struct insp_site_record *items;
			size_t n, cap;
		} v = {sites->records, sites->nrecords, sites->records_cap};

		if (insp_vec_reserve(&v, 1)) {
			s->failed = true;
			return;
		}
		sites->records = v.items;
		sites->records_cap = v.cap;
	}
	sites->records[sites->nrecords++] = (struct insp_site_record){
		.addr = (grain + (word & INSP_HOOK_HALF ? INSP_HOOK_HALF_BYTES : 0)) &
			((UINT64_C(1) << 48) - 1),
		.thread = word >> INSP_HOOK_THREAD_SHIFT,
		.size_bytes = slack,
		.time = (word >> INSP_HOOK_TIME_SHIFT) & ((1u << INSP_HOOK_TIME_BITS) - 1),
		.site = site & 0x3fffffff,
		.from_end = 1,
		.size_unknown = slack == INSP_HOOK_SLACK_MORE,
	};
}

static void shadow_block(void *ctx, uint64_t addr, const uint8_t *bytes, size_t size_bytes)
{
	struct shadow *s = ctx;
	uint64_t grain = s->base + (addr - s->leaf) / 8 * (1u << INSP_HOOK_GRAIN_SHIFT);

	for (size_t i = 0; i + 8 <= size_bytes; i += 8, grain += 1u << INSP_HOOK_GRAIN_SHIFT) {
		uint64_t word;

		memcpy(&word, bytes + i, 8);
		if (word && !s->failed)
			shadow_word(s, word, grain);
	}
}

/* Where the leaf for addr lies, or 0. The middle table of the last call is kept. */
struct directory {
	uint64_t root[INSP_HOOK_ROOTS];
	uint64_t middle[INSP_HOOK_MIDDLES];
	uint64_t have; /* index in root of what is in middle; INSP_HOOK_ROOTS: nothing */
};

static uint64_t leaf_of(struct insp_space *space, struct directory *d, uint64_t addr)
{
	uint64_t i = addr >> INSP_HOOK_ROOT_SHIFT;

	if (i >= INSP_HOOK_ROOTS || !d->root[i])
		return 0;
	if (d->have != i) {
		memset(d->middle, 0, sizeof(d->middle));
		copy_table(space, d->root[i], d->middle, sizeof(d->middle));
		d->have = i;
	}
	uint64_t leaf = d->middle[(addr >> INSP_HOOK_LEAF_SHIFT) % INSP_HOOK_MIDDLES];

	return leaf % 8 || leaf >> 47 ? 0 : leaf;
}

/*
 * Goes by the mappings, not by the tables: no block lies outside of them, and so a hostile table
 * cannot make us read more than a quarter of the address space that there is.
 */
static void read_leaves(struct insp_space *space, struct shadow *s, struct directory *d,
			const struct insp_region *r)
{
	const uint64_t leaf_bytes = UINT64_C(1) << INSP_HOOK_LEAF_SHIFT;

	for (uint64_t at = r->start; at < r->end && !s->failed;) {
		uint64_t to = (at | (leaf_bytes - 1)) + 1, leaf = leaf_of(space, d, at);
		struct insp_stream stream;

		if (to > r->end)
			to = r->end;
		if (leaf) {
			s->leaf = leaf;
			s->base = at & ~(leaf_bytes - 1);
			insp_stream_begin(&stream, space,
					  leaf + (at - s->base) / (1u << INSP_HOOK_GRAIN_SHIFT) * 8,
					  leaf + (to - s->base) / (1u << INSP_HOOK_GRAIN_SHIFT) * 8,
					  shadow_block, s);
			insp_stream_end(&stream);
		}
		at = to;
	}
}

static int read_shadow(struct insp_space *space, const struct insp_hook_header *h,
		       struct insp_sites *sites, const struct insp_regions *regions,
		       struct insp_error *err)
{
	struct shadow s = {.sites = sites};
	struct directory *d = calloc(1, sizeof(*d));

	sites->tids = calloc(INSP_HOOK_THREADS, sizeof(*sites->tids));
	if (!d || !sites->tids) {
		free(d);
		return out_of_memory(err);
	}
	sites->ntids = INSP_HOOK_THREADS;
	copy_table(space, h->threads, sites->tids, INSP_HOOK_THREADS * sizeof(*sites->tids));
	copy_table(space, h->shadow, d->root, sizeof(d->root));
	d->have = INSP_HOOK_ROOTS;
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];

		if (insp_region_anonymous(r) && r->prot & INSP_PROT_WRITE)
			read_leaves(space, &s, d, r);
	}
	free(d);
	return s.failed ? out_of_memory(err) : 0;
}

/* ---- the whole */

static bool check_header(const struct insp_hook_header *h, struct insp_sites *sites)
{
	sites->state = INSP_SITES_REFUSED;
	if (memcmp(h->magic, INSP_HOOK_MAGIC, sizeof(h->magic)) != 0) {
		(void)snprintf(sites->why, sizeof(sites->why), "the header of the hook is damaged");
		return false;
	}
	if (h->version != INSP_HOOK_VERSION) {
		(void)snprintf(sites->why, sizeof(sites->why),
			       "the hook writes version %" PRIu32 " of its format, and this "
			       "meminspect reads version %d",
			       h->version, INSP_HOOK_VERSION);
		return false;
	}
	if (h->header_bytes < sizeof(*h) || h->nframes > INSP_HOOK_SEGMENT << (INSP_HOOK_NSEGMENTS - 1) ||
	    h->nsites > INSP_HOOK_MAX_SITES || h->samples_cap > 1u << 24) {
		(void)snprintf(sites->why, sizeof(sites->why), "the header of the hook makes no sense");
		return false;
	}
	return true;
}

static void fill_header(const struct insp_hook_header *h, struct insp_sites *sites)
{
	sites->sampled = h->mode == INSP_HOOK_SAMPLED;
	sites->sample_bytes = h->sample_bytes;
	sites->started_ns = h->started_ns;
	sites->seconds = h->seconds;
	sites->hook_pid = (int)h->pid;
	sites->dropped = h->dropped_frames + h->dropped_sites + h->dropped_records +
			 h->dropped_threads + h->dropped_locked;
	sites->nested = h->nested;
	sites->nsamples = h->nsamples;
}

static int read_tables(struct insp_space *space, const struct insp_regions *regions,
		       const struct insp_hook_header *h, struct insp_sites *sites,
		       struct insp_error *err)
{
	int rc = read_frames(space, h, sites, err);

	if (!rc)
		rc = read_sites(space, h, sites, err);
	if (!rc)
		rc = read_counters(space, h, sites, err);
	if (!rc && h->mode == INSP_HOOK_FULL)
		rc = read_shadow(space, h, sites, regions, err);
	else if (!rc)
		rc = read_samples(space, h, sites, err);
	return rc;
}

bool insp_sites_want_chunks(struct insp_space *space, const struct insp_regions *regions)
{
	uint64_t addr = find_header(space, regions);
	struct insp_hook_header header;

	return addr && !insp_space_read(space, addr, &header, sizeof(header)) &&
	       header.state == INSP_HOOK_RUNNING && header.mode == INSP_HOOK_FULL;
}

int insp_sites_read(struct insp_space *space, const struct insp_regions *regions,
		    struct insp_sites **ret, struct insp_error *err)
{
	uint64_t addr = find_header(space, regions);
	struct insp_hook_header header = {0};
	struct insp_sites *sites;
	int rc = 0;

	if (!addr) {
		*ret = NULL;
		return 0;
	}
	sites = insp_sites_create();
	if (!sites)
		return out_of_memory(err);
	if (insp_space_read(space, addr, &header, sizeof(header))) {
		sites->state = INSP_SITES_REFUSED;
		(void)snprintf(sites->why, sizeof(sites->why), "the header of the hook cannot be read");
		*ret = sites;
		return 0;
	}
	if (check_header(&header, sites)) {
		fill_header(&header, sites);
		if (header.state == INSP_HOOK_RUNNING) {
			sites->state = INSP_SITES_RECORDING;
			rc = read_tables(space, regions, &header, sites, err);
		} else {
			header.reason[sizeof(header.reason) - 1] = '\0';
			sites->state = INSP_SITES_ASIDE;
			(void)snprintf(sites->why, sizeof(sites->why), "%s",
				       header.state == INSP_HOOK_ASIDE ? header.reason
								       : "nothing was allocated yet");
		}
	}
	if (rc) {
		insp_sites_destroy(sites);
		return rc;
	}
	*ret = sites;
	return 0;
}
