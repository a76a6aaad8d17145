/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analysis/groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/books.h"
#include "analysis/census.h"
#include "site/sites.h"

struct maker {
	const struct insp_snapshot *snapshot;
	struct insp_pool *pool;
	struct insp_groups *ret;
	struct insp_error *err;
};

static int add_ranked(struct maker *m, uint64_t rank, const char *key, uint64_t count, uint64_t bytes)
{
	struct insp_groups *g = m->ret;

	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 64;
		struct insp_group *items = insp_pool_array(m->pool, cap, sizeof(*items));

		if (!items)
			return insp_fail(m->err, INSP_E_NOMEM, "out of memory for groups");
		if (g->n)
			memcpy(items, g->items, g->n * sizeof(*items));
		g->items = items;
		g->cap = cap;
	}
	if (!key)
		return insp_fail(m->err, INSP_E_NOMEM, "out of memory for groups");
	g->items[g->n++] = (struct insp_group){key, count, bytes, rank};
	return 0;
}

static int add(struct maker *m, const char *key, uint64_t count, uint64_t bytes)
{
	return add_ranked(m, 0, key, count, bytes);
}

static int by_size(struct maker *m)
{
	struct insp_census census;
	int rc = insp_census_take(m->snapshot, m->pool, &census, m->err);

	for (unsigned c = 0; c < INSP_SIZE_CLASSES && !rc; c++) {
		const struct insp_tally *t = &census.sizes[c].live;
		uint64_t from = insp_size_class_min(c), to = insp_size_class_min(c + 1) - 1;

		if (t->count)
			rc = add_ranked(m, from,
					from < 1024 ? insp_pool_printf(m->pool, "%" PRIu64 " B", from)
						    : insp_pool_printf(m->pool, "%" PRIu64 " - %" PRIu64 " B",
								       from, to),
					t->count, t->bytes);
	}
	return rc;
}

static int by_state(struct maker *m)
{
	struct insp_census census;
	int rc = insp_census_take(m->snapshot, m->pool, &census, m->err);

	for (unsigned s = 0; s < INSP_N_CHUNK_STATES && !rc; s++)
		if (census.total[s].count)
			rc = add(m, insp_chunk_state_key((enum insp_chunk_state)s),
				 census.total[s].count, census.total[s].bytes);
	return rc;
}

static int by_arena(struct maker *m)
{
	struct insp_census census;
	int rc = insp_census_take(m->snapshot, m->pool, &census, m->err);

	for (size_t a = 0; a < m->snapshot->arenas.n && !rc; a++) {
		struct insp_tally t = insp_tally_live(census.arenas[a]);

		rc = add(m, m->snapshot->arenas.items[a].name, t.count, t.bytes);
	}
	return rc;
}

static int by_mapping(struct maker *m)
{
	const struct insp_snapshot *s = m->snapshot;
	int rc = 0;

	for (size_t i = 0, u = 0; i < s->regions.n && !rc; i++) {
		const struct insp_region *r = &s->regions.items[i];
		uint64_t bytes = insp_region_bytes(r);

		while (u < s->usage.n && s->usage.items[u].start < r->start)
			u++;
		if (u < s->usage.n && s->usage.items[u].start == r->start)
			bytes = s->usage.items[u].rss;
		rc = add(m, r->name[0] ? r->name : "[anonymous]", 1, bytes);
	}
	return rc;
}

static int by_type(struct maker *m)
{
	const struct insp_type_sums *types = &m->snapshot->types;
	int rc = 0;

	if (!types->items)
		return insp_fail(m->err, INSP_E_NOTFOUND,
				 "the snapshot of %s was saved without types: save --types",
				 m->snapshot->comm);
	for (size_t i = 0; i < types->n && !rc; i++)
		rc = add(m, insp_pool_strdup(m->pool, types->items[i].name), types->items[i].count,
			 types->items[i].bytes);
	return rc;
}

static const char *name_of_thread(struct maker *m, int tid)
{
	const struct insp_threads *threads = &m->snapshot->threads;

	for (size_t i = 0; i < threads->n; i++)
		if ((threads->items[i].tid == tid || threads->items[i].ns_tid == tid) &&
		    threads->items[i].name[0])
			return insp_pool_strdup(m->pool, threads->items[i].name);
	return "threads that ended";
}

static int by_thread(struct maker *m)
{
	const struct insp_snapshot *s = m->snapshot;
	struct insp_books books;
	int rc = insp_books_balance(s, m->pool, &books, m->err);

	if (rc)
		return rc;
	for (size_t i = 0; i < books.stacks.n && !rc; i++)
		rc = add(m, name_of_thread(m, books.stacks.items[i].tid), 1, books.stacks.items[i].rss);
	insp_books_deinit(&books);
	for (size_t i = 0; i < s->bins.n && !rc; i++)
		if (s->bins.items[i].kind == INSP_BIN_TCACHE && s->bins.items[i].tid)
			rc = add(m, name_of_thread(m, s->bins.items[i].tid), 0, s->bins.items[i].bytes);
	return rc;
}

static int by_allocating_thread(struct maker *m)
{
	const struct insp_sites *sites = m->snapshot->sites;
	double *count, *bytes;
	int rc = 0;

	if (!sites || !sites->nrecords)
		return 0;
	count = insp_pool_array(m->pool, sites->ntids + 1, sizeof(*count));
	bytes = insp_pool_array(m->pool, sites->ntids + 1, sizeof(*bytes));
	if (!count || !bytes)
		return insp_fail(m->err, INSP_E_NOMEM, "out of memory for groups");
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *r = &sites->records[i];
		double weight = insp_sites_weight(sites, r->size_bytes);
		size_t t = r->thread < sites->ntids ? r->thread : sites->ntids;

		count[t] += weight;
		bytes[t] += weight * (double)r->size_bytes;
	}
	for (size_t t = 0; t <= sites->ntids && !rc; t++)
		if (count[t] > 0)
			rc = add(m, name_of_thread(m, t < sites->ntids ? (int)sites->tids[t] : 0),
				 (uint64_t)(count[t] + 0.5), (uint64_t)(bytes[t] + 0.5));
	return rc;
}

static const struct {
	const char *name;
	unsigned needs;
	int (*make)(struct maker *m);
} ways[] = {
	{"size", INSP_NEED_CHUNKS, by_size},
	{"type", INSP_NEED_CHUNKS, by_type},
	{"arena", INSP_NEED_CHUNKS, by_arena},
	{"thread", INSP_NEED_CHUNKS | INSP_NEED_STACKS | INSP_NEED_USAGE, by_thread},
	{INSP_GROUP_ALLOCATING_THREAD, INSP_NEED_CHUNKS | INSP_NEED_SITES, by_allocating_thread},
	{"state", INSP_NEED_CHUNKS, by_state},
	{"mapping", INSP_NEED_USAGE, by_mapping},
};

unsigned insp_groups_needs(const char *by)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].name, by))
			return ways[i].needs;
	return 0;
}

int insp_group_order(uint64_t rank_a, const char *key_a, uint64_t rank_b, const char *key_b)
{
	return rank_a != rank_b ? (rank_a < rank_b ? -1 : 1) : strcmp(key_a, key_b);
}

static int compare(const void *a, const void *b)
{
	const struct insp_group *x = a, *y = b;

	return insp_group_order(x->rank, x->key, y->rank, y->key);
}

void insp_groups_merge(struct insp_groups *g)
{
	size_t out = 0;

	if (!g->n)
		return;
	qsort(g->items, g->n, sizeof(*g->items), compare);
	for (size_t i = 1; i < g->n; i++) {
		if (compare(&g->items[out], &g->items[i]) != 0) {
			g->items[++out] = g->items[i];
			continue;
		}
		g->items[out].count += g->items[i].count;
		g->items[out].bytes += g->items[i].bytes;
	}
	g->n = out + 1;
}

int insp_groups_make(const struct insp_snapshot *snapshot, const char *by, struct insp_pool *pool,
		     struct insp_groups *ret, struct insp_error *err)
{
	struct maker m = {snapshot, pool, ret, err};

	*ret = (struct insp_groups){0};
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int rc;

		if (strcmp(ways[i].name, by) != 0)
			continue;
		if (ways[i].needs & INSP_NEED_CHUNKS && !(snapshot->has & INSP_NEED_CHUNKS))
			return insp_fail(err, INSP_E_NOTFOUND,
					 "the snapshot of %s was taken without chunks",
					 snapshot->comm);
		rc = ways[i].make(&m);
		if (!rc)
			insp_groups_merge(ret);
		return rc;
	}
	return insp_fail(err, INSP_E_USAGE, "there is no grouping '%s'", by);
}

static uint64_t distance(const struct insp_group_delta *d)
{
	return d->now.bytes > d->base.bytes ? d->now.bytes - d->base.bytes
					    : d->base.bytes - d->now.bytes;
}

static int by_change(const void *a, const void *b)
{
	const struct insp_group_delta *x = a, *y = b;
	uint64_t dx = distance(x), dy = distance(y);

	return dx > dy ? -1 : dx < dy ? 1 : insp_group_order(x->rank, x->key, y->rank, y->key);
}

int insp_groups_diff(const struct insp_groups *base, const struct insp_groups *now,
		     struct insp_pool *pool, struct insp_group_deltas *ret, struct insp_error *err)
{
	struct insp_group_deltas d = {0};

	d.cap = base->n + now->n;
	d.items = insp_pool_array(pool, d.cap + 1, sizeof(*d.items));
	if (!d.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the comparison");
	for (size_t b = 0, n = 0; b < base->n || n < now->n;) {
		struct insp_group_delta *item = &d.items[d.n++];
		int order = b == base->n ? 1
			    : n == now->n ? -1
					  : compare(&base->items[b], &now->items[n]);

		if (order <= 0)
			item->base = base->items[b++];
		if (order >= 0)
			item->now = now->items[n++];
		item->key = order <= 0 ? item->base.key : item->now.key;
		item->rank = order <= 0 ? item->base.rank : item->now.rank;
		d.base.count += item->base.count;
		d.base.bytes += item->base.bytes;
		d.now.count += item->now.count;
		d.now.bytes += item->now.bytes;
	}
	if (d.n)
		qsort(d.items, d.n, sizeof(*d.items), by_change);
	*ret = d;
	return 0;
}
