/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pageuse: the page at hand fills up while chunks pass by.
 *
 *     chunks |a |b    |c                          |d  |
 *     pages  |........|........|........|........|........
 *             ^ a, b, c: one page ^ c alone: two pages at once ^ c, d: one page
 */
#include "analysis/pageuse.h"

#include "base/log.h"

#define ASK_EVERY (1u << 16)

struct walk {
	const struct insp_snapshot *snap;
	insp_page_use_fn fn;
	void *ctx;
	struct insp_page_use use; /* the page at hand; npages 0: none */
	struct insp_page_keeper keepers[INSP_PAGE_KEEPERS_MAX];
	size_t run;		  /* where we are among the runs of pages */
	uint64_t page;
};

static enum insp_page_where where_of(const struct insp_page_run *run)
{
	if (insp_page_run_resident(run))
		return INSP_PAGE_WHERE_RESIDENT;
	return run->kind == INSP_PAGES_SWAPPED ? INSP_PAGE_WHERE_SWAPPED : INSP_PAGE_WHERE_ABSENT;
}

/* Hands out [addr, addr + npages), cut where residency changes. */
static void emit(struct walk *w)
{
	const struct insp_residency *r = &w->snap->residency;
	struct insp_page_use part = w->use;
	uint64_t end = part.addr + part.npages * w->page;

	if (!r->known) {
		part.where = INSP_PAGE_WHERE_RESIDENT;
		w->fn(w->ctx, &part);
		return;
	}
	while (part.addr < end) {
		uint64_t to = end;

		while (w->run < r->n && insp_page_run_end(r, &r->items[w->run]) <= part.addr)
			w->run++;
		part.where = INSP_PAGE_WHERE_ABSENT;
		if (w->run < r->n) {
			const struct insp_page_run *run = &r->items[w->run];
			uint64_t border = run->start <= part.addr ? insp_page_run_end(r, run) : run->start;

			if (run->start <= part.addr)
				part.where = where_of(run);
			if (border < to)
				to = border;
		}
		part.npages = (to - part.addr) / w->page;
		if (!part.npages) /* a border inside of a page: not of our making */
			part.npages = 1;
		w->fn(w->ctx, &part);
		part.addr += part.npages * w->page;
	}
}

static void flush(struct walk *w)
{
	if (w->use.npages)
		emit(w);
	w->use.npages = 0;
}

static void open_page(struct walk *w, uint64_t addr, uint64_t npages, uint32_t arena, size_t span)
{
	w->use = (struct insp_page_use){
		.addr = addr,
		.npages = npages,
		.arena = arena,
		.span = span,
		.keepers = w->keepers,
	};
}

/* `bytes` of chunk c lie on each page of the one at hand. */
static void put(struct walk *w, const struct insp_chunk *c, uint64_t bytes)
{
	bool keeps = true;

	if (insp_chunk_state_live(c->state)) {
		w->use.live += bytes;
	} else if (c->state == INSP_CHUNK_TCACHE) {
		w->use.cached += bytes;
	} else if (insp_chunk_state_free(c->state)) {
		w->use.free += bytes;
		keeps = false;
	} else {
		w->use.own += bytes;
	}
	if (keeps && w->use.nkeepers < INSP_PAGE_KEEPERS_MAX)
		w->keepers[w->use.nkeepers++] =
			(struct insp_page_keeper){c->id, c->addr, c->size, c->state};
}

static void pass(struct walk *w, const struct insp_chunk *c, size_t span)
{
	uint64_t at = c->addr, end = c->addr + c->size, mask = w->page - 1;

	while (at < end) {
		uint64_t base = at & ~mask, next = base + w->page, to = end < next ? end : next;

		if (at == base && end - at >= w->page) {
			flush(w);
			open_page(w, at, (end - at) / w->page, c->arena, span);
			put(w, c, w->page);
			at += w->use.npages * w->page;
			flush(w);
			continue;
		}
		if (!w->use.npages || w->use.addr != base || w->use.span != span) {
			flush(w);
			open_page(w, base, 1, c->arena, span);
		}
		put(w, c, to - at);
		at = to;
	}
}

int insp_pages_each(const struct insp_snapshot *snapshot, insp_page_use_fn fn, void *ctx,
		    struct insp_error *err)
{
	struct walk w = {.snap = snapshot, .fn = fn, .ctx = ctx, .page = snapshot->page_size};
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint32_t seen = 0;
	size_t span = 0;

	insp_chunks_each(snapshot->chunks, it, c) {
		if (++seen % ASK_EVERY == 0) {
			insp_progress("looking at pages", seen, snapshot->chunks->n);
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		}
		while (snapshot->chunks->spans[span].end <= c.addr)
			span++;
		pass(&w, &c, span);
	}
	flush(&w);
	return 0;
}
