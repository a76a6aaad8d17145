/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/pack.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/log.h"
#include "base/worker.h"

#define ZSTD_LEVEL 1 /* bits and states shrink as well as at higher levels, five times faster */
#define ROOM	   ((size_t)256 << 10)
#define MAX_ASIDE  4u

struct insp_packed {
	struct insp_packing all[MAX_ASIDE];
	size_t n;
};

/* What is on its way to the compressor. */
struct packer {
	struct insp_packing *to;
	ZSTD_CCtx *zstd;
};

/* Compresses n bytes, the last ones with end, behind what is there. */
static int compress(struct packer *packer, const uint8_t *bytes, size_t n, ZSTD_EndDirective end)
{
	struct insp_packing *p = packer->to;
	ZSTD_inBuffer in = {bytes, n, 0};
	size_t left;

	p->raw += n;
	do {
		ZSTD_outBuffer out;

		if (p->cap - p->n < ROOM) {
			size_t cap = p->cap ? p->cap * 2 : 4 * ROOM;
			uint8_t *grown = realloc(p->bytes, cap);

			if (!grown)
				return INSP_E_NOMEM;
			p->bytes = grown;
			p->cap = cap;
		}
		out = (ZSTD_outBuffer){p->bytes + p->n, p->cap - p->n, 0};
		left = ZSTD_compressStream2(packer->zstd, &out, &in, end);
		if (ZSTD_isError(left))
			return INSP_E_NOMEM;
		p->n += out.pos;
	} while (end == ZSTD_e_end ? left : in.pos < in.size);
	return insp_interrupted() ? INSP_E_INTERRUPTED : 0;
}

static int compress_more(void *packer, const uint8_t *bytes, size_t n)
{
	return compress(packer, bytes, n, ZSTD_e_continue);
}

bool insp_section_wanted(const struct insp_section *section, const struct insp_snapshot *snapshot)
{
	return !section->wanted || section->wanted(snapshot);
}

void insp_pack(struct insp_packing *p)
{
	struct packer packer = {p, ZSTD_createCCtx()};
	struct insp_codec c;

	insp_codec_write_to(&c, compress_more, &packer);
	if (!packer.zstd ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(packer.zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL))) {
		p->rc = INSP_E_NOMEM;
	} else {
		p->section->describe(&c, (struct insp_snapshot *)p->snapshot); /* writing changes nothing */
		insp_codec_flush(&c);
		p->rc = c.failed ? (int)c.failed : compress(&packer, NULL, 0, ZSTD_e_end);
	}
	insp_codec_deinit(&c);
	ZSTD_freeCCtx(packer.zstd);
	p->packed = true;
}

static void *pack_aside(void *packing)
{
	insp_pack(packing);
	return NULL;
}

struct insp_packed *insp_packed_begin(const struct insp_snapshot *snapshot)
{
	struct insp_packed *packed = calloc(1, sizeof(*packed));

	if (!packed)
		return NULL;
	for (size_t i = 0; i < insp_nsections && packed->n < MAX_ASIDE; i++) {
		struct insp_packing *p = &packed->all[packed->n];

		if (!insp_sections[i].aside || !insp_section_wanted(&insp_sections[i], snapshot))
			continue;
		*p = (struct insp_packing){.section = &insp_sections[i], .snapshot = snapshot};
		p->running = !insp_worker_start(&p->thread, pack_aside, p);
		packed->n++;
	}
	return packed;
}

static void finish(struct insp_packing *p)
{
	if (p->running)
		(void)pthread_join(p->thread, NULL);
	p->running = false;
}

const struct insp_packing *insp_packed_get(struct insp_packed *packed, size_t i)
{
	struct insp_packing *p = &packed->all[i];

	if (i >= packed->n)
		return NULL;
	finish(p);
	if (!p->packed) /* no thread was to be had */
		insp_pack(p);
	return p;
}

void insp_packed_end(struct insp_packed *packed)
{
	if (!packed)
		return;
	for (size_t i = 0; i < packed->n; i++) {
		finish(&packed->all[i]);
		free(packed->all[i].bytes);
	}
	free(packed);
}
