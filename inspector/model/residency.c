/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/residency.h"

#include "base/vec.h"

void insp_residency_deinit(struct insp_residency *r)
{
	insp_vec_free(r);
}

void insp_residency_add(struct insp_residency *r, uint64_t from, uint64_t addr, uint64_t npages,
			enum insp_pages_kind kind)
{
	struct insp_page_run *last = r->n ? &r->items[r->n - 1] : NULL;

	if (last && last->kind == (uint32_t)kind && last->start >= from &&
	    insp_page_run_end(r, last) == addr && npages <= UINT32_MAX - last->npages) {
		last->npages += (uint32_t)npages;
		return;
	}
	while (npages) {
		uint32_t now = npages < UINT32_MAX ? (uint32_t)npages : UINT32_MAX;
		struct insp_page_run *run = insp_vec_push(r);

		if (!run) {
			r->failed = true;
			return;
		}
		*run = (struct insp_page_run){addr, now, kind};
		addr += (uint64_t)now * r->page_size;
		npages -= now;
	}
}

void insp_residency_settle(struct insp_residency *r, size_t first, uint64_t rss)
{
	uint64_t sure = 0;

	for (size_t i = first; i < r->n; i++)
		if (insp_page_run_resident(&r->items[i]))
			sure += (uint64_t)r->items[i].npages * r->page_size;
	/* Nearly always it is all or nothing; where it is not, the first runs win, and the sum holds
	   as well as whole runs allow. */
	for (size_t i = first; i < r->n; i++) {
		struct insp_page_run *run = &r->items[i];
		uint64_t bytes = (uint64_t)run->npages * r->page_size;

		if (run->kind != INSP_PAGES_UNSURE)
			continue;
		run->kind = INSP_PAGES_ZERO;
		if (sure + bytes <= rss) {
			run->kind = INSP_PAGES_RESIDENT;
			sure += bytes;
		}
	}
}

size_t insp_residency_find(const struct insp_residency *r, uint64_t addr)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (insp_page_run_end(r, &r->items[mid]) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct insp_resident insp_residency_sum(const struct insp_residency *r, uint64_t start, uint64_t end)
{
	struct insp_resident sum = {0};

	for (size_t i = insp_residency_find(r, start); i < r->n; i++) {
		const struct insp_page_run *run = &r->items[i];
		uint64_t from = run->start > start ? run->start : start;
		uint64_t to = insp_page_run_end(r, run);

		if (run->start >= end)
			break;
		if (to > end)
			to = end;
		if (from >= to)
			continue;
		if (insp_page_run_resident(run))
			sum.rss += to - from;
		if (run->kind == INSP_PAGES_HUGE)
			sum.huge += to - from;
		if (run->kind == INSP_PAGES_SWAPPED)
			sum.swap += to - from;
	}
	return sum;
}
