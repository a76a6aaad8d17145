/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The walker of glibc malloc on hostile bytes: a sound heap is made, then the input overwrites
 * words of it: one byte that chooses the version, then records of where and what (see overwrite).
 * Whatever comes of it, spans have to be tiled by their chunks.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/fakeheap.h"
#include "base/vec.h"

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

/* An address that means something, with a small offset. */
static uint64_t address(const struct fakeheap *h, struct input *in)
{
	const uint64_t places[] = {
		h->main_arena, h->main_arena + h->bins, h->main_arena + h->tail, h->arena,
		h->par,	       h->tcache,		FAKEHEAP_BRK,		 FAKEHEAP_HEAP,
		h->top,	       h->arena_top,		FAKEHEAP_MMAP,		 FAKEHEAP_TLS + 0x2f00,
		h->arena + h->bins, h->arena + h->tail,  FAKEHEAP_BRK + 0x1000,	 FAKEHEAP_HEAP + 0x2000,
	};
	uint64_t place = places[take(in, 1) % (sizeof(places) / sizeof(places[0]))];

	return (place + 8 * take(in, 1)) & ~UINT64_C(7);
}

static void overwrite(struct fakeheap *h, struct input *in)
{
	uint64_t where = address(h, in), value;

	switch (take(in, 1) & 7) {
	case 0:
		value = take(in, 8);
		break;
	case 1:
	case 2:
		value = address(h, in);
		break;
	case 3:
		value = where >> 12 ^ address(h, in); /* a mangled link */
		break;
	case 4:
		value = fake_get64(h->fake, where) ^ UINT64_C(1) << (take(in, 1) & 63);
		break;
	case 5:
		fake_page_state(h->fake, where & ~UINT64_C(4095), 1,
				(enum insp_page_state)(take(in, 1) & 3));
		return;
	default:
		value = take(in, 2);
	}
	fake_put64(h->fake, where, value);
}

static void build(struct fakeheap *h)
{
	uint64_t p[120];

	for (int i = 0; i < 120; i++)
		p[i] = i % 5 == 4 ? fakeheap_malloc_arena(h, 24 + (uint64_t)i * 8)
				  : fakeheap_malloc(h, 24 + (uint64_t)i * 8);
	for (int i = 0; i < 100; i += 10) {
		fakeheap_free_bin(h, h->main_arena, p[i],
				  (unsigned)(i < 50 ? 1 : fakeheap_size(h, p[i]) / 16));
		fakeheap_free_tcache(h, p[i + 2]);
		fakeheap_free_tcache(h, p[i + 4]);
		if (h->version != FAKEHEAP_2_43 && i < 10)
			fakeheap_free_fast(h, p[i + 6]);
	}
	(void)fakeheap_mmap(h, FAKEHEAP_MMAP, 0x8000);
	(void)fakeheap_mmap(h, FAKEHEAP_MMAP + 0x10000, 0x8000);
}

static void check(const struct walked *w)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t spans = 0, chunks = 0;

	for (size_t i = 0; i < w->chunks->nspans; i++)
		spans += w->chunks->spans[i].end - w->chunks->spans[i].start;
	insp_chunks_each(w->chunks, it, c) {
		if (c.state >= INSP_N_CHUNK_STATES)
			abort();
		chunks += c.size;
	}
	if (spans != chunks)
		abort();
	insp_vec_each(&w->bins, b)
		if (b->arena >= w->arenas.n)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct fakeheap *h = fakeheap_create((enum fakeheap_version)(take(&in, 1) % FAKEHEAP_N));

	build(h);
	for (int i = 0; i < 64 && in.at < in.end; i++)
		overwrite(h, &in);
	fakeheap_try(h, NULL, NULL);
	if (h->rc == 0)
		check(&h->walked);
	fakeheap_destroy(h);
	return 0;
}
