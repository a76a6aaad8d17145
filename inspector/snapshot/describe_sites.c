/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * describe_sites: the section of a snapshot file that holds what the hook recorded.
 *
 * Reading, every index is checked against what was read before it, as site/read_hook.c does with the
 * hook's own tables: behind here they are trusted.
 */
#include <stdlib.h>
#include <string.h>

#include <meminspect/hook_format.h>

#include "site/sites.h"
#include "snapshot/file.h"

static void head(struct insp_codec *c, struct insp_sites *s)
{
	uint32_t state = (uint32_t)s->state;
	size_t len = strnlen(s->why, sizeof(s->why) - 1);

	insp_codec_u32(c, &state);
	insp_codec_count(c, &len, 1);
	if (state > INSP_SITES_REFUSED || len >= sizeof(s->why)) {
		insp_codec_fail(c, INSP_E_CORRUPT);
		return;
	}
	s->state = (enum insp_sites_state)state;
	insp_codec_raw(c, s->why, len);
	insp_codec_bool(c, &s->sampled);
	insp_codec_u64(c, &s->sample_bytes);
	insp_codec_u64(c, &s->started_ns);
	insp_codec_u32(c, &s->seconds);
	insp_codec_i32(c, &s->hook_pid);
	insp_codec_u64(c, &s->unmatched);
	insp_codec_u64(c, &s->dropped);
	insp_codec_u64(c, &s->nested);
	insp_codec_u64(c, &s->nsamples);
	insp_codec_u64(c, &s->damaged);
}

/* An array of n entries: there already, or made of what is read. */
static bool array(struct insp_codec *c, void *items, size_t *n, size_t min_bytes, size_t entry_bytes)
{
	void **p = items;

	insp_codec_count(c, n, min_bytes);
	if (c->writing || c->failed)
		return !c->failed;
	*p = calloc(*n + 1, entry_bytes);
	if (!*p) {
		*n = 0;
		insp_codec_fail(c, INSP_E_NOMEM);
	}
	return *p != NULL;
}

static void frames(struct insp_codec *c, struct insp_sites *s)
{
	uint64_t last = 0;

	if (!array(c, &s->frames, &s->nframes, 2, sizeof(*s->frames)))
		return;
	for (size_t i = 0; i < s->nframes && !c->failed; i++) {
		struct insp_site_frame *f = &s->frames[i];
		int64_t step = (int64_t)(f->pc - last);

		insp_codec_i64(c, &step);
		insp_codec_u32(c, &f->parent);
		f->pc = last + (uint64_t)step;
		last = f->pc;
		if (f->parent >= i && f->parent)
			insp_codec_fail(c, INSP_E_CORRUPT);
	}
}

static void number(struct insp_codec *c, double *v)
{
	insp_codec_raw(c, v, sizeof(*v));
	/* Not a number, or beyond all counting. */
	if (!(*v >= 0 && *v < 1e19))
		insp_codec_fail(c, INSP_E_CORRUPT);
}

static void items(struct insp_codec *c, struct insp_sites *s)
{
	if (!array(c, &s->items, &s->n, 1 + 4 * sizeof(double), sizeof(*s->items)))
		return;
	for (size_t i = 0; i < s->n && !c->failed; i++) {
		insp_codec_u32(c, &s->items[i].frame);
		number(c, &s->items[i].allocs);
		number(c, &s->items[i].alloc_bytes);
		number(c, &s->items[i].live);
		number(c, &s->items[i].live_bytes);
		if (s->items[i].frame && s->items[i].frame >= s->nframes)
			insp_codec_fail(c, INSP_E_CORRUPT);
	}
}

static void records(struct insp_codec *c, struct insp_sites *s)
{
	uint64_t last = 0;

	if (!array(c, &s->records, &s->nrecords, 6, sizeof(*s->records)))
		return;
	for (size_t i = 0; i < s->nrecords && !c->failed; i++) {
		struct insp_site_record *r = &s->records[i];
		uint64_t step = r->addr - last, size_bytes = r->size_bytes;
		uint32_t site = r->site, time = r->time, thread = r->thread;
		uint8_t flags = (uint8_t)(r->from_end | r->size_unknown << 1);

		insp_codec_u64(c, &step);
		insp_codec_u64(c, &size_bytes);
		insp_codec_u32(c, &site);
		insp_codec_u32(c, &time);
		insp_codec_u32(c, &thread);
		insp_codec_u8(c, &flags);
		if (step >> 48 || (last + step) >> 48 || size_bytes >> 44 || site >= s->n ||
		    time >> INSP_HOOK_TIME_BITS || thread > 0xffff) {
			insp_codec_fail(c, INSP_E_CORRUPT);
			return;
		}
		last += step;
		*r = (struct insp_site_record){
			.addr = last & ((UINT64_C(1) << 48) - 1),
			.thread = thread & 0xffff,
			.size_bytes = size_bytes & ((UINT64_C(1) << 44) - 1),
			.time = time & ((1u << INSP_HOOK_TIME_BITS) - 1),
			.site = site & 0x3fffffff,
			.from_end = flags & 1,
			.size_unknown = flags >> 1 & 1,
		};
	}
}

/* Zeroes, mostly, and the file is compressed. */
static void numbers(struct insp_codec *c, uint32_t *v, size_t n, size_t below)
{
	for (size_t i = 0; i < n && !c->failed; i++) {
		insp_codec_u32(c, &v[i]);
		if (v[i] >= below && v[i])
			insp_codec_fail(c, INSP_E_CORRUPT);
	}
}

bool insp_section_has_sites(const struct insp_snapshot *s)
{
	return s->sites != NULL;
}

void insp_section_sites(struct insp_codec *c, struct insp_snapshot *s)
{
	if (!c->writing)
		s->sites = insp_sites_create();
	if (!s->sites) {
		insp_codec_fail(c, INSP_E_NOMEM);
		return;
	}
	head(c, s->sites);
	frames(c, s->sites);
	items(c, s->sites);
	records(c, s->sites);
	if (array(c, &s->sites->tids, &s->sites->ntids, 1, sizeof(*s->sites->tids)))
		numbers(c, s->sites->tids, s->sites->ntids, SIZE_MAX);
	if (array(c, &s->sites->chunk_sites, &s->sites->nchunks, 1, sizeof(*s->sites->chunk_sites)))
		numbers(c, s->sites->chunk_sites, s->sites->nchunks, s->sites->n);
	if (c->writing || c->failed)
		return;
	if (!s->sites->nchunks) { /* not joined, or nothing to join */
		free(s->sites->chunk_sites);
		s->sites->chunk_sites = NULL;
	} else if (s->sites->nchunks != s->chunks->n) { /* whoever asks has the id of a chunk */
		insp_codec_fail(c, INSP_E_CORRUPT);
	}
}
