/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analysis/occupancy.h"

#include "analysis/pageuse.h"

struct take {
	const struct insp_snapshot *snap;
	struct insp_occupancy *ret;
};

static bool counts(const struct insp_snapshot *snap, uint32_t arena)
{
	return arena < snap->arenas.n && !(snap->arenas.items[arena].flags & INSP_ARENA_MMAPPED);
}

static unsigned fill_class(uint64_t live, uint64_t all)
{
	if (!live)
		return 0;
	return live >= all ? INSP_FILL_CLASSES - 1 : 1 + (unsigned)(live * 10 / all);
}

static void on_page(void *ctx, const struct insp_page_use *use)
{
	struct take *t = ctx;
	uint64_t all = use->live + use->cached + use->free + use->own;
	struct insp_occupancy_arena *a;
	struct insp_fill *fill;

	if (!counts(t->snap, use->arena) || use->where != INSP_PAGE_WHERE_RESIDENT)
		return;
	a = &t->ret->arenas[use->arena];
	a->resident += all * use->npages;
	a->in_use += use->live * use->npages;
	a->resident_free += (use->free + use->cached) * use->npages;
	fill = &a->fill[fill_class(use->live, all)];
	fill->pages += use->npages;
	fill->unused += (all - use->live) * use->npages;
}

static void add_chunks(struct take *t)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;

	insp_chunks_each(t->snap->chunks, it, c) {
		struct insp_occupancy_arena *a;

		if (!counts(t->snap, c.arena))
			continue;
		a = &t->ret->arenas[c.arena];
		a->system += c.size;
		if (!insp_chunk_state_free(c.state))
			continue;
		a->free += c.size;
		if (c.state != INSP_CHUNK_TOP && c.size > a->largest_free)
			a->largest_free = c.size;
	}
}

static void add(struct insp_occupancy_arena *to, const struct insp_occupancy_arena *a)
{
	to->system += a->system;
	to->free += a->free;
	to->resident += a->resident;
	to->in_use += a->in_use;
	to->resident_free += a->resident_free;
	if (a->largest_free > to->largest_free)
		to->largest_free = a->largest_free;
	for (unsigned i = 0; i < INSP_FILL_CLASSES; i++) {
		to->fill[i].pages += a->fill[i].pages;
		to->fill[i].unused += a->fill[i].unused;
	}
}

int insp_occupancy_take(const struct insp_snapshot *snapshot, struct insp_pool *pool,
			struct insp_occupancy *ret, struct insp_error *err)
{
	struct take t = {snapshot, ret};
	int rc;

	*ret = (struct insp_occupancy){.exact = snapshot->residency.known};
	ret->arenas = insp_pool_array(pool, snapshot->arenas.n + 1, sizeof(*ret->arenas));
	if (!ret->arenas)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the arenas' figures");
	rc = insp_pages_each(snapshot, on_page, &t, err);
	if (rc)
		return rc;
	add_chunks(&t);
	for (size_t i = 0; i < snapshot->arenas.n; i++)
		add(&ret->total, &ret->arenas[i]);
	return 0;
}

double insp_occupancy_fragmentation(const struct insp_occupancy_arena *a)
{
	return a->resident ? (double)(a->resident - a->in_use) / (double)a->resident : 0;
}

const char *insp_fill_title(unsigned fill_class_index)
{
	static const char *const titles[INSP_FILL_CLASSES] = {
		"empty",       "under 10 %",  "10 to 20 %", "20 to 30 %", "30 to 40 %", "40 to 50 %",
		"50 to 60 %",  "60 to 70 %",  "70 to 80 %", "80 to 90 %", "90 to 100 %", "full",
	};

	return titles[fill_class_index];
}
