/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analysis/heapmap.h"

#include <stdlib.h>

#include "analysis/pageuse.h"

#define CELLS_MAX 1000000u

struct make {
	const struct insp_snapshot *snap;
	struct insp_heap_map *ret;
	size_t *first; /* [nspans]: index of the span's first cell, SIZE_MAX: not shown */
};

static bool shown(const struct insp_snapshot *snap, size_t span, uint32_t arena)
{
	uint32_t a = snap->chunks->spans[span].arena;

	if (a >= snap->arenas.n)
		return false;
	return arena == UINT32_MAX ? !(snap->arenas.items[a].flags & INSP_ARENA_MMAPPED) : a == arena;
}

static uint64_t cells_of(const struct insp_span *s, uint64_t cell)
{
	return (s->end - s->start + cell - 1) / cell;
}

static uint64_t count_cells(const struct insp_snapshot *snap, uint32_t arena, uint64_t cell)
{
	uint64_t n = 0;

	for (size_t i = 0; i < snap->chunks->nspans; i++)
		if (shown(snap, i, arena))
			n += cells_of(&snap->chunks->spans[i], cell);
	return n;
}

/* Cells begin at page borders of the span's start, pages and cells have powers of two: a page lies
   in one cell, a row of pages may lie in several. */
static void on_page(void *ctx, const struct insp_page_use *use)
{
	struct make *m = ctx;
	const struct insp_span *s = &m->snap->chunks->spans[use->span];
	uint64_t page = m->snap->page_size, end = use->addr + use->npages * page, at = use->addr;

	if (m->first[use->span] == SIZE_MAX || use->where != INSP_PAGE_WHERE_RESIDENT)
		return;
	while (at < end) {
		uint64_t index = at > s->start ? (at - s->start) / m->ret->cell : 0;
		uint64_t border = s->start + (index + 1) * m->ret->cell, to = border < end ? border : end;
		uint64_t n = (to - at + page - 1) / page;
		struct insp_map_cell *c = &m->ret->cells[m->first[use->span] + index];

		c->resident += (use->live + use->cached + use->free + use->own) * n;
		c->in_use += (use->live + use->own) * n;
		c->cached += use->cached * n;
		c->free += use->free * n;
		c->keepers += use->nkeepers ? n : 0;
		at += n * page;
	}
}

/* Spans by arena, then by address, as rows are shown. */
static void lay_out(struct make *m, uint32_t arena)
{
	const struct insp_chunks *chunks = m->snap->chunks;
	struct insp_heap_map *map = m->ret;

	for (size_t i = 0; i < chunks->nspans; i++)
		m->first[i] = SIZE_MAX;
	for (uint32_t a = 0; a < m->snap->arenas.n; a++)
		for (size_t i = 0; i < chunks->nspans; i++) {
			const struct insp_span *s = &chunks->spans[i];

			if (s->arena != a || !shown(m->snap, i, arena))
				continue;
			m->first[i] = map->n;
			for (uint64_t at = s->start; at < s->end; at += map->cell)
				map->cells[map->n++] = (struct insp_map_cell){
					.arena = a,
					.span = i,
					.start = at,
					.size = s->end - at < map->cell ? s->end - at : map->cell,
				};
		}
}

int insp_heap_map_make(const struct insp_snapshot *snapshot, uint32_t arena, uint64_t cell,
		       size_t max_cells, struct insp_pool *pool, struct insp_heap_map *ret,
		       struct insp_error *err)
{
	struct make m = {.snap = snapshot, .ret = ret};
	uint64_t n, page = snapshot->page_size;

	*ret = (struct insp_heap_map){.exact = snapshot->residency.known, .cell = page};
	if (cell)
		while (ret->cell < cell && ret->cell < UINT64_C(1) << 40)
			ret->cell *= 2;
	else
		while (count_cells(snapshot, arena, ret->cell) > max_cells && ret->cell < UINT64_C(1) << 40)
			ret->cell *= 2;
	n = count_cells(snapshot, arena, ret->cell);
	if (n > CELLS_MAX)
		return insp_fail(err, INSP_E_USAGE, "that makes more than a million cells: larger ones with --cell");
	ret->cells = insp_pool_array(pool, (size_t)n + 1, sizeof(*ret->cells));
	m.first = insp_pool_array(pool, snapshot->chunks->nspans + 1, sizeof(*m.first));
	if (!ret->cells || !m.first)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the map");
	lay_out(&m, arena);
	return insp_pages_each(snapshot, on_page, &m, err);
}
