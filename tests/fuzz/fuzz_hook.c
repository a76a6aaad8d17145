/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reader of the companion hook's tables on hostile bytes: sound tables are made, then the input
 * overwrites words of them: a byte that chooses the mode, then records of where and what. Whatever
 * comes of it, every index has to be inside of its table, every stack has to end, and the join with
 * chunks has to keep to them.
 */
#include <stdlib.h>

#include "../unit/fakehook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && in->at < in->end; i++)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

/* An address that means something in the tables, with a small offset. */
static uint64_t address(struct input *in)
{
	static const uint64_t places[] = {
		FAKEHOOK_TABLES,	    FAKEHOOK_TABLES + 0x20000,	FAKEHOOK_TABLES + 0x30000,
		FAKEHOOK_TABLES + 0x40000,  FAKEHOOK_TABLES + 0x50000,	FAKEHOOK_TABLES + 0x60000,
		FAKEHOOK_TABLES + 0x100000, FAKEHOOK_LEAF,		FAKEHOOK_LEAF + 0x400,
		FAKEHOOK_TABLES + 0x680000, FAKEHOOK_LIBRARY,		FAKEHOOK_HEAP,
	};
	uint64_t place = places[take(in, 1) % (sizeof(places) / sizeof(places[0]))];

	return place + 8 * take(in, 1);
}

static void overwrite(struct fakehook *h, struct input *in)
{
	uint64_t where = address(in), value;

	switch (take(in, 1) & 7) {
	case 0: {
		/* The header, but for magic and version: the rest would not be looked at. */
		size_t room = sizeof(h->header) - offsetof(struct insp_hook_header, header_bytes);
		size_t at = offsetof(struct insp_hook_header, header_bytes) + take(in, 2) % room;

		((uint8_t *)&h->header)[at] = (uint8_t)take(in, 1);
		return;
	}
	case 1:
	case 2:
		value = address(in);
		break;
	case 3:
		fake_page_state(h->fake, where & ~UINT64_C(4095), 1,
				(enum insp_page_state)(take(in, 1) & 3));
		return;
	case 4:
		value = fake_get64(h->fake, where) ^ UINT64_C(1) << (take(in, 1) & 63);
		break;
	case 5:
		value = take(in, 8);
		break;
	default:
		value = take(in, 3);
	}
	fake_put64(h->fake, where, value);
}

static void check(const struct insp_sites *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		uint64_t pcs[64], mark;

		if (insp_sites_stack(s, i, pcs, 64, &mark) > 64)
			abort();
	}
	for (size_t i = 0; i < s->nrecords; i++) {
		const struct insp_site_record *r = &s->records[i];

		if (!r->site || r->site >= s->n || (s->ntids && r->thread >= s->ntids))
			abort();
		(void)insp_site_record_seconds(r);
		if (!(insp_sites_weight(s, r->size_bytes) > 0))
			abort();
	}
}

static void join(struct insp_sites *s)
{
	const struct insp_geometry glibc = {.shift = 4, .lead = 16, .tail = 8};
	struct insp_chunks *chunks = insp_chunks_create();

	if (!chunks)
		return;
	insp_chunks_span_begin(chunks, FAKEHOOK_HEAP, FAKEHOOK_HEAP + 0x10000, 0, glibc);
	insp_chunks_add(chunks, FAKEHOOK_HEAP, INSP_CHUNK_INUSE);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK - 16, INSP_CHUNK_INUSE);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK - 16 + 320, INSP_CHUNK_TCACHE);
	insp_chunks_add(chunks, FAKEHOOK_BLOCK - 16 + 640, INSP_CHUNK_TOP);
	insp_chunks_span_end(chunks);
	if (!insp_chunks_seal(chunks, NULL) && !insp_sites_join(s, chunks, NULL))
		for (size_t i = 0; i < s->nchunks && s->chunk_sites; i++)
			if (s->chunk_sites[i] >= s->n)
				abort();
	insp_chunks_destroy(chunks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct fakehook h = fakehook_build(take(&in, 1) & 1 ? INSP_HOOK_FULL : INSP_HOOK_SAMPLED);
	struct insp_sites *sites;

	for (int i = 0; i < 64 && in.at < in.end; i++)
		overwrite(&h, &in);
	sites = fakehook_read(&h);
	if (sites && sites->state == INSP_SITES_RECORDING) {
		check(sites);
		join(sites);
		check(sites);
	}
	insp_sites_destroy(sites);
	fake_destroy(h.fake);
	return 0;
}
