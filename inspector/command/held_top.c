/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/held_top.h"

#include <stdlib.h>

#include "base/big.h"
#include "base/log.h"
#include "site/sites.h"

#define INTERRUPT_EVERY 0xffff

static const struct insp_column columns[] = {
	{"retained_bytes", "holds", INSP_T_BYTES, 0,
	 "what would be free without these chunks, themselves included; at least"},
	{"retained_share", "share", INSP_T_RATIO, 0, "of all memory in use; shares overlap"},
	{"bytes", "own size", INSP_T_BYTES, 0, "of these chunks alone, heads included"},
	{"count", "chunks", INSP_T_COUNT, 0, "number of them"},
	{"site", NULL, INSP_T_ID, 0, "number of the call stack; null for a type"},
	{"name", "who", INSP_T_STR, INSP_COL_WRAP, "function and callers, else the type"},
};
const struct insp_table insp_held_top_table =
	INSP_TABLE("retained", NULL, columns, "no chunk is in use");

struct group {
	uint64_t retained, bytes, count;
	uint32_t key;
};

struct work {
	struct insp_context *ctx;
	struct insp_dominators *d;
	struct insp_typing *typing; /* NULL: by site */
	struct group *groups;
	uint32_t ngroups;
	uint32_t *group_of; /* by number */
};

static int take_groups(struct work *w, struct insp_error *err)
{
	const struct insp_snapshot *snap = w->ctx->snapshot;
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t steps = 0;

	w->ngroups = w->typing ? insp_typing_count(w->typing) : (uint32_t)snap->sites->n + 1;
	w->groups = calloc((size_t)w->ngroups + 1, sizeof(*w->groups));
	w->group_of = insp_big_alloc((size_t)w->d->n + 1, sizeof(*w->group_of));
	if (!w->groups || !w->group_of)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for groups");
	insp_chunks_each(snap->chunks, it, c) {
		uint32_t number = w->d->number_of[c.id], key;

		if ((++steps & INTERRUPT_EVERY) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (!number)
			continue;
		key = w->typing ? insp_typing_of(w->typing, &c) : snap->sites->chunk_sites[c.id];
		key = key < w->ngroups ? key : 0;
		w->groups[key].bytes += c.size;
		w->groups[key].count++;
		w->group_of[number] = key;
	}
	return 0;
}

static int take_retained(struct work *w, struct insp_error *err)
{
	uint64_t *sums = calloc((size_t)w->ngroups + 1, sizeof(*sums));
	int rc = sums ? insp_dominators_sum_groups(w->d, w->group_of, w->ngroups, sums, err)
		      : insp_fail(err, INSP_E_NOMEM, "out of memory for groups");

	for (uint32_t i = 0; !rc && i < w->ngroups; i++) {
		w->groups[i].key = i;
		w->groups[i].retained = sums[i];
	}
	free(sums);
	return rc;
}

static int by_retained(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return x->retained != y->retained ? (x->retained < y->retained ? 1 : -1)
					  : (x->key > y->key) - (x->key < y->key);
}

static void report_rows(const struct work *w, uint64_t limit, struct insp_report *r)
{
	uint64_t total = w->d->retained[0], shown = 0, n = 0;

	insp_table_begin(r, &insp_held_top_table);
	for (uint32_t i = 0; i < w->ngroups && !insp_report_failed(r); i++) {
		const struct group *g = &w->groups[i];

		if (!g->count)
			continue;
		n++;
		if (limit && shown >= limit)
			continue;
		shown++;
		insp_cell_u64(r, g->retained);
		insp_cell_f64(r, total ? (double)g->retained / (double)total : 0);
		insp_cell_u64(r, g->bytes);
		insp_cell_u64(r, g->count);
		if (w->typing)
			insp_cell_unknown(r);
		else
			insp_cell_u64(r, g->key);
		insp_cell_str(r, w->typing ? insp_typing_name(w->typing, g->key)
					   : insp_name_site(w->ctx, g->key));
		insp_row_end(r);
	}
	insp_table_end(r);
	if (shown < n)
		insp_table_cut(r, shown, n, "--limit 0 shows all");
}

int insp_held_top(struct insp_context *ctx, uint64_t limit, struct insp_report *report,
		  struct insp_error *err)
{
	struct work w = {.ctx = ctx};
	struct insp_graph *graph;
	int rc = insp_held_create(ctx, &graph, NULL, &w.d, err);

	if (!rc && !insp_held_has_sites(ctx->snapshot))
		rc = insp_typing_create(ctx, true, &w.typing, err);
	rc = rc ? rc : take_groups(&w, err);
	rc = rc ? rc : take_retained(&w, err);
	if (!rc) {
		qsort(w.groups, w.ngroups, sizeof(*w.groups), by_retained);
		insp_field_u64(report, "in_use", "memory in use", INSP_T_BYTES, w.d->retained[0]);
		report_rows(&w, limit, report);
		insp_held_caveats(ctx, report);
	}
	if (w.d)
		insp_big_free(w.group_of, (size_t)w.d->n + 1, sizeof(*w.group_of));
	free(w.groups);
	return rc;
}
