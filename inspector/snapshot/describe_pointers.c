/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * describe_pointers: the section of a snapshot file that holds every pointer between chunks and from
 * roots: the largest one by far, so it goes through no call for each number.
 *
 * Page after page, in rising order:
 *
 *     pages since the last one | number of pointers | words | distances
 *
 * words: for each pointer how many words after the one before it lies. distances: how far from where it
 * lies it points, since what is allocated together lies together. Most point to a whole number of words:
 * these are told in words, times two; the others in bytes, times two plus one.
 */
#include "snapshot/file.h"

#define PAGE_BYTES  UINT64_C(4096)
#define PAGE_WORDS  512u
#define WORD_BYTES  2u	/* at most, of a varint below 512 */

static uint64_t folded(uint64_t from, uint64_t to)
{
	int64_t distance = (int64_t)(to - from);

	return distance & 7 ? insp_zigzag(distance) << 1 | 1 : insp_zigzag(distance / 8) << 1;
}

static uint64_t unfolded(uint64_t from, uint64_t v)
{
	uint64_t distance = (uint64_t)insp_unzigzag(v >> 1);

	return from + (v & 1 ? distance : distance * 8);
}

static void page_write(struct insp_codec *c, const struct insp_pointers *p,
		       const struct insp_pointer_page *page, uint64_t last)
{
	const uint64_t *items = p->items + page->first;
	unsigned word = 0;
	uint8_t *to = insp_codec_room(c, 2 * INSP_VARINT_MAX +
						 (size_t)page->n * (WORD_BYTES + INSP_VARINT_MAX));

	if (!to)
		return;
	to = insp_varint_put(to, (page->addr - last) / PAGE_BYTES);
	to = insp_varint_put(to, page->n);
	for (size_t i = 0; i < page->n; i++) {
		to = insp_varint_put(to, INSP_POINTER_WORD(items[i]) - word);
		word = INSP_POINTER_WORD(items[i]);
	}
	for (size_t i = 0; i < page->n; i++)
		to = insp_varint_put(to, folded(page->addr + INSP_POINTER_WORD(items[i]) * UINT64_C(8),
						INSP_POINTER_VALUE(items[i])));
	insp_codec_wrote(c, to);
}

static void page_read(struct insp_codec *c, struct insp_pointers *p, size_t i, uint64_t last, size_t first)
{
	struct insp_pointer_page *page = &p->pages[i];
	uint64_t step = insp_codec_next(c), n = insp_codec_next(c), word = 0;
	uint64_t *items = p->items + first;

	if ((i && !step) || step > (UINT64_MAX - last) / PAGE_BYTES || !n || n > PAGE_WORDS ||
	    n > p->n - first) {
		insp_codec_fail(c, INSP_E_CORRUPT);
		return;
	}
	*page = (struct insp_pointer_page){
		.addr = last + step * PAGE_BYTES, .first = first, .n = (uint16_t)n};
	for (size_t k = 0; k < n; k++) {
		word += insp_codec_next(c);
		if (word >= PAGE_WORDS) {
			insp_codec_fail(c, INSP_E_CORRUPT);
			return;
		}
		items[k] = word << 48;
	}
	for (size_t k = 0; k < n; k++) {
		uint64_t at = page->addr + INSP_POINTER_WORD(items[k]) * UINT64_C(8);

		items[k] |= INSP_POINTER_VALUE(unfolded(at, insp_codec_next(c)));
	}
}

bool insp_section_has_pointers(const struct insp_snapshot *s)
{
	return s->pointers != NULL;
}

void insp_section_pointers(struct insp_codec *c, struct insp_snapshot *s)
{
	struct insp_pointers *p;
	size_t n = 0, npages = 0, first = 0;
	uint64_t last = 0;

	if (!c->writing)
		s->pointers = insp_pointers_create();
	p = s->pointers;
	if (c->writing) {
		npages = p->npages;
		for (size_t i = 0; i < npages; i++)
			n += p->pages[i].n;
	}
	insp_codec_count(c, &npages, 2 + 2);
	insp_codec_count(c, &n, 2);
	if (c->failed)
		return;
	if (!p || (!c->writing && insp_pointers_load_room(p, n, npages))) {
		insp_codec_fail(c, INSP_E_NOMEM);
		return;
	}
	insp_codec_u64(c, &p->scanned_bytes);
	for (size_t i = 0; i < npages && !c->failed; i++) {
		if (c->writing)
			page_write(c, p, &p->pages[i], last);
		else
			page_read(c, p, i, last, first);
		last = p->pages[i].addr;
		first += p->pages[i].n;
	}
}
