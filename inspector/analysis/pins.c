/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pins: two passes over the heaps: pages (who shares one with free bytes), then chunks (what lies at
 * the end of each arena, what is left in each heap).
 */
#include "analysis/pins.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/pageuse.h"
#include "base/log.h"
#include "base/vec.h"
#include "site/sites.h"

#define NGROUPS (INSP_SIZE_CLASSES * INSP_N_CHUNK_STATES)
#define TAIL	64 /* groups of live chunks below top that are looked at */
#define ASK_EVERY (1u << 16)

/* A chunk on the page at hand and maybe on the next one with something to pin. */
struct pending {
	struct insp_pin pin;
	bool set;
};

struct pages {
	const struct insp_snapshot *snap;
	struct insp_pins *ret;
	struct insp_pin_group *groups; /* [NGROUPS] */
	struct insp_pin *heap;	       /* the largest so far, smallest on top */
	size_t n, max;
	struct pending pending;
	const struct insp_pin_key *key;
	INSP_VEC(struct insp_pin_owner) owners; /* by key */
	bool failed;
};

static void sift_down(struct insp_pin *heap, size_t n, size_t i)
{
	for (;;) {
		size_t least = i, l = 2 * i + 1, r = l + 1;
		struct insp_pin swap;

		if (l < n && heap[l].pinned < heap[least].pinned)
			least = l;
		if (r < n && heap[r].pinned < heap[least].pinned)
			least = r;
		if (least == i)
			return;
		swap = heap[i];
		heap[i] = heap[least];
		heap[least] = swap;
		i = least;
	}
}

static void keep_largest(struct pages *p, const struct insp_pin *pin)
{
	if (p->n < p->max) {
		p->heap[p->n++] = *pin;
		if (p->n == p->max)
			for (size_t i = p->n / 2; i-- > 0;)
				sift_down(p->heap, p->n, i);
		return;
	}
	if (!p->max || pin->pinned <= p->heap[0].pinned)
		return;
	p->heap[0] = *pin;
	sift_down(p->heap, p->n, 0);
}

uint32_t insp_pin_site(void *snapshot, const struct insp_pin *pin)
{
	const struct insp_sites *sites = ((const struct insp_snapshot *)snapshot)->sites;

	if (!sites || !sites->chunk_sites || pin->id >= sites->nchunks ||
	    sites->chunk_sites[pin->id] >= sites->n)
		return 0;
	return sites->chunk_sites[pin->id];
}

static void add_to_owner(struct pages *p, const struct insp_pin *pin)
{
	struct insp_pin_owner *owner;
	uint32_t key;

	if (!p->key || p->failed)
		return;
	key = p->key->of(p->key->ctx, pin);
	while (key >= p->owners.n) {
		owner = insp_vec_push(&p->owners);
		if (!owner) {
			p->failed = true;
			return;
		}
		owner->key = (uint32_t)p->owners.n - 1;
	}
	owner = &p->owners.items[key];
	owner->chunks++;
	owner->bytes += pin->size;
	owner->pinned += pin->pinned;
	if (pin->pinned > owner->example_pinned) {
		owner->example_pinned = pin->pinned;
		owner->example = pin->addr;
	}
}

/* All pages of this chunk were seen. */
static void close_pin(struct pages *p)
{
	struct insp_pin *pin = &p->pending.pin;
	struct insp_pin_group *g;

	if (!p->pending.set)
		return;
	p->pending.set = false;
	if (!pin->pinned)
		return;
	g = &p->groups[insp_size_class(pin->size) * INSP_N_CHUNK_STATES + pin->state];
	g->chunks++;
	g->bytes += pin->size;
	g->pinned += pin->pinned;
	add_to_owner(p, pin);
	p->ret->pinned += pin->pinned;
	if (pin->pinned > g->example_pinned) {
		g->example_pinned = pin->pinned;
		g->example = pin->addr;
	}
	keep_largest(p, pin);
}

static void add_keeper(struct pages *p, const struct insp_page_keeper *k, uint32_t arena, uint64_t pinned)
{
	if (!p->pending.set || p->pending.pin.id != k->id) {
		close_pin(p);
		p->pending.set = true;
		p->pending.pin = (struct insp_pin){.id = k->id, .addr = k->addr, .size = k->size,
						   .state = k->state, .arena = arena};
	}
	p->pending.pin.pinned += pinned;
}

static void on_page(void *ctx, const struct insp_page_use *use)
{
	struct pages *p = ctx;

	if (use->arena >= p->snap->arenas.n ||
	    p->snap->arenas.items[use->arena].flags & INSP_ARENA_MMAPPED ||
	    use->where != INSP_PAGE_WHERE_RESIDENT)
		return;
	if (!use->nkeepers) {
		p->ret->free_pages += use->free * use->npages;
		return;
	}
	for (unsigned i = 0; i < use->nkeepers; i++) {
		/* What does not divide goes to the first: sums stay exact. */
		uint64_t pinned = use->free / use->nkeepers + (i == 0 ? use->free % use->nkeepers : 0);

		add_keeper(p, &use->keepers[i], use->arena, pinned * use->npages);
	}
}

/* Live chunks that follow each other, and what is free behind them. */
struct tail {
	uint64_t start, last, last_size;
	uint64_t chunks, bytes, resident; /* of the live ones */
	uint64_t free_resident;		  /* behind them, before the next live one */
};

struct ends {
	const struct insp_snapshot *snap;
	struct insp_pins *ret;
	struct tail ring[TAIL]; /* of the span at hand */
	size_t n;		/* tails so far; the newest is ring[(n - 1) % TAIL] */
	size_t span;
	struct insp_pin_heap *heap;
};

static uint64_t resident(const struct insp_snapshot *snap, uint64_t start, uint64_t end)
{
	return snap->residency.known ? insp_residency_sum(&snap->residency, start, end).rss : end - start;
}

static void add_top(struct ends *e, const struct insp_chunk *c)
{
	struct insp_pin_top *top = &e->ret->tops[e->ret->ntops++];
	uint64_t gain = 0, chunks = 0, bytes = 0;

	*top = (struct insp_pin_top){.arena = c->arena, .top = c->size};
	for (size_t k = 0; k < TAIL && k < e->n; k++) {
		const struct tail *t = &e->ring[(e->n - 1 - k) % TAIL];

		gain += t->free_resident;
		if (k == 0) {
			top->last = t->last;
			top->last_size = t->last_size;
			top->last_gain = t->free_resident + resident(e->snap, t->last, t->last + t->last_size);
		}
		gain += t->resident;
		chunks += t->chunks;
		bytes += t->bytes;
		/* Worth it when more is gained than freed: the farthest place where that holds. */
		if (k == 0 || (int64_t)(gain - bytes) > (int64_t)(top->gain - top->bytes)) {
			top->chunks = chunks;
			top->bytes = bytes;
			top->gain = gain;
			top->down_to = t->start;
		}
	}
}

static void add_live(struct ends *e, const struct insp_chunk *c)
{
	struct tail *t = e->n ? &e->ring[(e->n - 1) % TAIL] : NULL;

	if (!t || t->free_resident || t->last + t->last_size != c->addr) {
		t = &e->ring[e->n++ % TAIL];
		*t = (struct tail){.start = c->addr};
	}
	t->last = c->addr;
	t->last_size = c->size;
	t->chunks++;
	t->bytes += c->size;
	t->resident += c->size;
}

static void on_chunk(struct ends *e, const struct insp_chunk *c, size_t span)
{
	if (e->span != span || !e->heap) {
		e->heap = &e->ret->heaps[e->ret->nheaps++];
		*e->heap = (struct insp_pin_heap){
			.arena = c->arena,
			.start = e->snap->chunks->spans[span].start,
			.end = e->snap->chunks->spans[span].end,
		};
		e->heap->resident = resident(e->snap, e->heap->start, e->heap->end);
		e->span = span;
		e->n = 0;
	}
	if (c->state == INSP_CHUNK_TOP) {
		add_top(e, c);
	} else if (insp_chunk_state_live(c->state) || c->state == INSP_CHUNK_TCACHE) {
		add_live(e, c);
		if (c->state != INSP_CHUNK_TCACHE) {
			e->heap->chunks++;
			e->heap->live += c->size;
		}
	} else if (insp_chunk_state_free(c->state) && e->n) {
		e->ring[(e->n - 1) % TAIL].free_resident += resident(e->snap, c->addr, c->addr + c->size);
	}
}

static int find_ends(const struct insp_snapshot *snap, struct insp_pins *ret, struct insp_error *err)
{
	struct ends e = {.snap = snap, .ret = ret};
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint32_t seen = 0;
	size_t span = 0;

	insp_chunks_each(snap->chunks, it, c) {
		while (snap->chunks->spans[span].end <= c.addr)
			span++;
		if (++seen % ASK_EVERY == 0) {
			insp_progress("looking for pins", seen, snap->chunks->n);
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		}
		if (c.arena < snap->arenas.n && !(snap->arenas.items[c.arena].flags & INSP_ARENA_MMAPPED) &&
		    (c.state != INSP_CHUNK_TOP || ret->ntops < snap->chunks->nspans))
			on_chunk(&e, &c, span);
	}
	return 0;
}

static int group_order(const void *a, const void *b)
{
	const struct insp_pin_group *x = a, *y = b;

	return x->pinned != y->pinned ? (x->pinned < y->pinned) - (x->pinned > y->pinned)
				      : (x->size_class > y->size_class) - (x->size_class < y->size_class);
}

static int owner_order(const void *a, const void *b)
{
	const struct insp_pin_owner *x = a, *y = b;

	return x->pinned != y->pinned ? (x->pinned < y->pinned) - (x->pinned > y->pinned)
				      : (x->key > y->key) - (x->key < y->key);
}

/* Those that pin, in order, into the pool. */
static int close_owners(struct pages *p, struct insp_pool *pool)
{
	struct insp_pins *ret = p->ret;

	if (p->failed)
		return INSP_E_NOMEM;
	if (!p->owners.n)
		return 0;
	ret->owners = insp_pool_array(pool, p->owners.n, sizeof(*ret->owners));
	if (!ret->owners)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < p->owners.n; i++)
		if (p->owners.items[i].pinned)
			ret->owners[ret->nowners++] = p->owners.items[i];
	qsort(ret->owners, ret->nowners, sizeof(*ret->owners), owner_order);
	return 0;
}

static int pin_order(const void *a, const void *b)
{
	const struct insp_pin *x = a, *y = b;

	return x->pinned != y->pinned ? (x->pinned < y->pinned) - (x->pinned > y->pinned)
				      : (x->addr > y->addr) - (x->addr < y->addr);
}

static int top_order(const void *a, const void *b)
{
	const struct insp_pin_top *x = a, *y = b;

	return x->gain != y->gain ? (x->gain < y->gain) - (x->gain > y->gain)
				  : (x->arena > y->arena) - (x->arena < y->arena);
}

static int heap_order(const void *a, const void *b)
{
	const struct insp_pin_heap *x = a, *y = b;
	int64_t dx = (int64_t)(x->resident - x->live), dy = (int64_t)(y->resident - y->live);

	return dx != dy ? (dx < dy) - (dx > dy) : (x->start > y->start) - (x->start < y->start);
}

static void close_groups(struct pages *p)
{
	struct insp_pins *ret = p->ret;

	for (unsigned i = 0; i < NGROUPS; i++)
		if (p->groups[i].chunks) {
			p->groups[ret->ngroups] = p->groups[i];
			p->groups[ret->ngroups].size_class = i / INSP_N_CHUNK_STATES;
			p->groups[ret->ngroups++].state =
				(enum insp_chunk_state)(i % INSP_N_CHUNK_STATES);
		}
	ret->groups = p->groups;
	qsort(ret->groups, ret->ngroups, sizeof(*ret->groups), group_order);
}

int insp_pins_find(const struct insp_snapshot *snapshot, size_t max_pins,
		   const struct insp_pin_key *key, struct insp_pool *pool, struct insp_pins *ret,
		   struct insp_error *err)
{
	struct pages p = {.snap = snapshot, .ret = ret, .max = max_pins, .key = key};
	int rc;

	*ret = (struct insp_pins){.exact = snapshot->residency.known};
	p.groups = insp_pool_array(pool, NGROUPS, sizeof(*p.groups));
	p.heap = insp_pool_array(pool, max_pins + 1, sizeof(*p.heap));
	ret->tops = insp_pool_array(pool, snapshot->chunks->nspans + 1, sizeof(*ret->tops));
	ret->heaps = insp_pool_array(pool, snapshot->chunks->nspans + 1, sizeof(*ret->heaps));
	if (!p.groups || !p.heap || !ret->tops || !ret->heaps)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for pins");
	rc = insp_pages_each(snapshot, on_page, &p, err);
	if (!rc) {
		close_pin(&p);
		rc = close_owners(&p, pool) ? insp_fail(err, INSP_E_NOMEM, "out of memory for pins")
					    : 0;
	}
	insp_vec_free(&p.owners);
	rc = rc ? rc : find_ends(snapshot, ret, err);
	if (rc)
		return rc;
	close_groups(&p);
	ret->pins = p.heap;
	ret->npins = p.n;
	qsort(ret->pins, ret->npins, sizeof(*ret->pins), pin_order);
	qsort(ret->tops, ret->ntops, sizeof(*ret->tops), top_order);
	qsort(ret->heaps, ret->nheaps, sizeof(*ret->heaps), heap_order);
	return 0;
}
