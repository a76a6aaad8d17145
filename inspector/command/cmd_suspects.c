/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * suspects: the few things that hold most of the memory, in words.
 *
 * Four kinds: what is lost; points of accumulation (the chunk below a root where one thing that
 * holds much becomes many that hold little each: from the top of the tree of dominators down, as
 * long as one child holds most); variables, mappings and threads whose pointers together hold much (a
 * table that is itself a variable); and single types or sites with a large share. With an earlier snapshot to compare with, a fifth: what
 * grew, and for each of the others what it held then.
 *
 * All of them are rows with the same fields, so that they are one table to a machine.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/census.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/vec.h"
#include "command/base.h"
#include "command/heap_common.h"
#include "command/held_places.h"
#include "command/site_diff.h"
#include "site/sites.h"

#define FOLLOW_SHARE 0.8 /* of what a chunk holds: a child with more is gone on to */
#define CHAIN_STEPS  32
#define KINDS_SHOWN  3

struct args {
	double min;
	uint64_t limit;
	const char *base;
};

static const struct insp_option options[] = {
	{.name = "min", .type = INSP_OPT_PERCENT, .arg = "PERCENT", .def = "10", .offset = offsetof(struct args, min),
	 .help = "what holds at least this share of the memory in use is a suspect"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "10",
	 .offset = offsetof(struct args, limit), .help = "at most N of each kind; 0: all"},
	{.name = "base", .type = INSP_OPT_FILE, .arg = "FILE", .offset = offsetof(struct args, base),
	 .help = "an earlier snapshot, written by `save`: says what grew since; at the prompt `base` can choose it"},
	INSP_OPTION_END,
};

struct work {
	struct insp_context *ctx;
	const struct args *args;
	struct insp_report *report;
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	struct insp_dominators *d;
	struct insp_dominator_tree *tree;
	struct insp_typing *typing;
	const struct insp_snapshot *base; /* NULL: none */
	struct insp_graph *base_graph;	  /* NULL: it is of another process, or has no pointers */
	struct insp_dominators *base_d;
	uint64_t total, least;
	uint64_t found;
};

/* Fields that it has not are NULL or UINT64_MAX. */
struct suspect {
	const char *kind, *name, *held_by, *doubt, *text;
	uint64_t bytes, base_bytes, chunk, count;
	bool chain;
};

#define NOTHING UINT64_MAX
#define SUSPECT_INIT {.base_bytes = NOTHING, .chunk = NOTHING, .count = NOTHING}

static void field(struct insp_report *r, const char *key, enum insp_type type, uint64_t value)
{
	if (value == NOTHING)
		insp_field_unknown(r, key, NULL);
	else
		insp_field_u64(r, key, NULL, type, value);
}

static void report_suspect(struct work *w, const struct suspect *s)
{
	struct insp_report *r = w->report;

	w->found++;
	insp_object_begin(r, NULL, NULL);
	insp_field_str(r, "kind", NULL, s->kind);
	insp_field_u64(r, "bytes", NULL, INSP_T_BYTES, s->bytes);
	insp_field_f64(r, "share", NULL, INSP_T_RATIO, w->total ? (double)s->bytes / (double)w->total : 0);
	field(r, "base_bytes", INSP_T_BYTES, s->base_bytes);
	field(r, "chunk", INSP_T_ADDR, s->chunk);
	insp_field_str(r, "name", NULL, s->name);
	field(r, "count", INSP_T_COUNT, s->count);
	insp_field_str(r, "held_by", NULL, s->held_by);
	insp_field_bool(r, "chain", NULL, s->chain);
	insp_field_str(r, "doubt", NULL, s->doubt);
	insp_text(r, "text", "%s", s->text ? s->text : "");
	insp_object_end(r);
}

/* ---- what was there before */

/* " The base had 3.10 MiB there." or nothing, where nothing is known. */
static const char *growth_text(const struct work *w, uint64_t then, uint64_t now)
{
	char a[INSP_FMT_MAX];

	if (then == NOTHING)
		return "";
	if (!then)
		return " It is new since the base.";
	if (now <= then + then / 100)
		return " It has not grown since the base.";
	return insp_pool_printf(w->ctx->pool, " In the base that was %s.", insp_fmt_bytes(a, then));
}

static uint64_t held_then(const struct work *w, const struct insp_chunk *c)
{
	struct insp_chunk then;
	int64_t id;

	if (!w->base_d)
		return NOTHING;
	id = insp_chunks_at(w->base->chunks, c->addr);
	if (id < 0)
		return 0;
	insp_chunks_get(w->base->chunks, (uint32_t)id, &then);
	return then.addr == c->addr ? insp_retained_bytes(w->base_d, then.id) : 0;
}

/* Where pointers in a variable led then; of other places it is not known. */
static uint64_t place_then(const struct work *w, const struct insp_place *p)
{
	uint64_t bytes = 0;
	uint8_t *seen;

	if (!w->base_d || p->start == p->end)
		return NOTHING;
	seen = calloc((size_t)w->base_d->n / 8 + 1, 1);
	for (size_t i = 0; seen && i < w->base_graph->nroots; i++) {
		const struct insp_root *root = &w->base_graph->roots[i];
		uint32_t number = w->base_d->number_of[INSP_EDGE_TARGET(root->edge)];

		if (root->kind != p->kind || root->addr < p->start || root->addr >= p->end || !number ||
		    w->base_d->idom[number] || seen[number / 8] >> (number % 8) & 1)
			continue;
		seen[number / 8] |= (uint8_t)(1u << (number % 8));
		bytes += w->base_d->retained[number];
	}
	if (!seen)
		return NOTHING;
	free(seen);
	return bytes;
}

static int open_base(struct work *w, struct insp_error *err)
{
	struct insp_context then = *w->ctx;
	int rc;

	if (!w->args->base && !w->ctx->base)
		return 0;
	rc = insp_base_find(w->ctx, w->args->base, &w->base, err);
	if (rc || !w->base->pointers || w->base->pid != w->ctx->snapshot->pid)
		return rc;
	then.snapshot = w->base;
	return insp_held_create(&then, &w->base_graph, NULL, &w->base_d, err);
}

static void destroy_profile(void *profile)
{
	insp_profile_destroy(profile);
}

static int group_both(struct work *w, bool sites, struct insp_groups *then, struct insp_groups *now, struct insp_error *err)
{
	struct insp_profile *profile;
	int rc;

	if (sites) {
		rc = insp_site_diff(w->ctx, w->base, then, now, &profile, err);
		if (!rc && insp_pool_defer(w->ctx->pool, destroy_profile, profile)) {
			insp_profile_destroy(profile);
			rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
		}
		return rc;
	}
	rc = insp_groups_make(w->base, "size", w->ctx->pool, then, err);
	return rc ? rc : insp_groups_make(w->ctx->snapshot, "size", w->ctx->pool, now, err);
}

static int64_t change(const struct insp_group_delta *d)
{
	return (int64_t)(d->now.bytes - d->base.bytes);
}

/* The sites, or else the sizes, that make most of the growth. */
static int suspect_growth(struct work *w, struct insp_error *err)
{
	struct insp_groups then = {0}, now = {0};
	struct insp_group_deltas d;
	uint64_t grown = 0, shown = 0;
	bool sites;
	int rc;

	if (!w->base)
		return 0;
	sites = insp_held_has_sites(w->ctx->snapshot) && insp_held_has_sites(w->base);
	rc = group_both(w, sites, &then, &now, err);
	rc = rc ? rc : insp_groups_diff(&then, &now, w->ctx->pool, &d, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < d.n; i++)
		grown += change(&d.items[i]) > 0 ? (uint64_t)change(&d.items[i]) : 0;
	for (size_t i = 0; i < d.n && (!w->args->limit || shown < w->args->limit); i++) {
		const struct insp_group_delta *g = &d.items[i];
		char a[INSP_FMT_MAX], b[INSP_FMT_MAX], m[INSP_FMT_MAX], n[INSP_FMT_MAX];
		struct suspect s = SUSPECT_INIT;

		if (change(g) <= 0 || (double)change(g) < (double)grown * w->args->min / 100 ||
		    (uint64_t)change(g) < w->total / 100)
			continue;
		shown++;
		s.kind = "growth";
		s.name = g->key;
		s.bytes = g->now.bytes;
		s.base_bytes = g->base.bytes;
		s.count = g->now.count;
		s.text = insp_pool_printf(w->ctx->pool,
					  "Since the base %s%s grew by %s (%s of all that grew): %s chunks then, %s now.",
					  sites ? "" : "chunks of ", g->key, insp_fmt_bytes(a, (uint64_t)change(g)),
					  insp_fmt_percent(b, (double)change(g), (double)grown),
					  insp_fmt_count(m, g->base.count), insp_fmt_count(n, g->now.count));
		report_suspect(w, &s);
	}
	return 0;
}

/* ---- what holds much now */

static const char *type_name(const struct work *w, uint32_t id)
{
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, id, &c);
	return insp_typing_name(w->typing, insp_typing_of(w->typing, &c));
}

static void suspect_lost(struct work *w)
{
	const struct insp_leak_sum *definite = &w->leaks->sums[INSP_REACH_DEFINITE];
	const struct insp_leak_sum *indirect = &w->leaks->sums[INSP_REACH_INDIRECT];
	uint64_t bytes = definite->bytes + indirect->bytes;
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], c[INSP_FMT_MAX];
	struct suspect s = SUSPECT_INIT;

	if (!bytes || bytes < w->least)
		return;
	s.kind = "lost";
	s.bytes = bytes;
	s.count = definite->count;
	s.text = insp_pool_printf(w->ctx->pool,
				  "%s (%s) is lost: %s chunks that nothing points to, and what hangs on them. "
				  "`leaks` groups them.",
				  insp_fmt_bytes(a, bytes), insp_fmt_percent(b, (double)bytes, (double)w->total),
				  insp_fmt_count(c, definite->count));
	report_suspect(w, &s);
}

/*
 * Down from number top as long as one child holds most of what top holds. A list goes on like that
 * nearly for ever: then it is the list from top on that holds it.
 */
static uint32_t accumulation(const struct work *w, uint32_t top, bool *ret_chain)
{
	double most = FOLLOW_SHARE * (double)w->d->retained[top];
	uint32_t at = top;

	*ret_chain = false;
	for (unsigned steps = 0; steps < CHAIN_STEPS; steps++) {
		uint32_t first = w->tree->first[at], child;

		if (first == w->tree->first[at + 1])
			return at;
		child = w->tree->children[first];
		if ((double)w->d->retained[child] < most || w->d->retained[child] < w->least)
			return at;
		at = child;
	}
	*ret_chain = true;
	return top;
}

static const char *root_name(const struct work *w, uint32_t id, const struct insp_root **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < w->graph->nroots && !*ret; i++)
		if (INSP_EDGE_TARGET(w->graph->roots[i].edge) == id)
			*ret = &w->graph->roots[i];
	return *ret ? insp_name_root(w->ctx, *ret) : "several chunks that share it";
}

/* "3.10 MiB through 1,204 x Session": children by type, with all that they hold; at most three. */
static const char *consists_of(const struct work *w, uint32_t at)
{
	uint32_t n = insp_typing_count(w->typing);
	uint64_t *sums = calloc((size_t)n + 1, 2 * sizeof(*sums));
	const char *text = "";

	if (!sums)
		return text;
	for (uint32_t i = w->tree->first[at]; i < w->tree->first[at + 1]; i++) {
		struct insp_chunk c;
		uint32_t type;

		insp_chunks_get(w->ctx->snapshot->chunks, w->d->chunk_of[w->tree->children[i]], &c);
		type = insp_typing_of(w->typing, &c);
		if (type < n) {
			sums[2 * (size_t)type]++;
			sums[2 * (size_t)type + 1] += w->d->retained[w->tree->children[i]];
		}
	}
	for (int k = 0; k < KINDS_SHOWN && text; k++) {
		char a[INSP_FMT_MAX], b[INSP_FMT_MAX];
		uint32_t best = 0;

		for (uint32_t t = 1; t < n; t++)
			if (sums[2 * (size_t)t + 1] > sums[2 * (size_t)best + 1])
				best = t;
		if (!sums[2 * (size_t)best])
			break;
		text = insp_pool_printf(w->ctx->pool, "%s%s%s through %s x %s", text, k ? ", " : "",
					insp_fmt_bytes(b, sums[2 * (size_t)best + 1]),
					insp_fmt_count(a, sums[2 * (size_t)best]),
					insp_typing_name(w->typing, best));
		sums[2 * (size_t)best] = sums[2 * (size_t)best + 1] = 0;
	}
	free(sums);
	return text ? text : "";
}

static void report_holder(struct work *w, uint32_t top)
{
	bool chain;
	uint32_t at = accumulation(w, top, &chain), id = w->d->chunk_of[at];
	uint32_t nchildren = w->tree->first[at + 1] - w->tree->first[at];
	const struct insp_root *root;
	const char *type = type_name(w, id), *what;
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], n[INSP_FMT_MAX];
	struct suspect s = SUSPECT_INIT;
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, id, &c);
	s.kind = "holder";
	s.bytes = w->d->retained[at];
	s.base_bytes = held_then(w, &c);
	s.chunk = c.mem;
	s.name = type;
	s.held_by = root_name(w, w->d->chunk_of[top], &root);
	s.doubt = root ? insp_held_doubt(root, !(root->edge & INSP_EDGE_INTERIOR)) : NULL;
	s.count = nchildren;
	s.chain = chain;
	insp_fmt_bytes(a, s.bytes);
	insp_fmt_percent(b, (double)s.bytes, (double)w->total);
	if (chain)
		what = insp_pool_printf(w->ctx->pool,
					"A chain of chunks, each held by the one before, like a list: from the first "
					"(%s at %#" PRIx64 ") on they hold %s (%s).", type, c.mem, a, b);
	else if (nchildren)
		what = insp_pool_printf(w->ctx->pool,
					"One chunk (%s at %#" PRIx64 ") holds %s (%s) through %s chunks directly; of it %s.",
					type, c.mem, a, b, insp_fmt_count(n, nchildren), consists_of(w, at));
	else
		what = insp_pool_printf(w->ctx->pool, "One single chunk (%s at %#" PRIx64 ") of %s (%s).", type,
					c.mem, a, b);
	s.text = insp_pool_printf(w->ctx->pool, "%s%s It is held by %s.%s%s%s `path %#" PRIx64 "` shows the way.",
				  what ? what : "", growth_text(w, s.base_bytes, s.bytes), s.held_by,
				  s.doubt ? " But that " : "", s.doubt ? s.doubt : "", s.doubt ? "." : "", c.mem);
	report_suspect(w, &s);
}

static void suspect_holders(struct work *w)
{
	uint64_t shown = 0;

	for (uint32_t i = w->tree->first[0]; i < w->tree->first[1]; i++) {
		uint32_t top = w->tree->children[i];

		if (w->d->retained[top] < w->least || !w->d->retained[top] ||
		    (w->args->limit && shown >= w->args->limit))
			return;
		if (top > w->d->nreachable)
			continue; /* said above */
		report_holder(w, top);
		shown++;
	}
}

/* What all pointers of one place hold together. */
struct holding {
	uint64_t bytes, count;
	uint32_t place;	  /* index into places */
	uint32_t largest; /* number of the largest chunk that it holds directly */
};

struct holdings {
	struct holding *items; /* by place, until they are sorted */
	size_t n, cap;
};

static int holding_compare(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : x->place < y->place ? -1 : 1;
}

static bool collect_holdings(const struct work *w, struct insp_places *places, struct holdings *holdings,
			     uint8_t *seen)
{
	for (size_t i = 0; i < w->graph->nroots; i++) {
		const struct insp_root *root = &w->graph->roots[i];
		uint32_t number = w->d->number_of[INSP_EDGE_TARGET(root->edge)];
		struct holding *h;
		size_t at;

		if (!number || w->d->idom[number] || seen[number / 8] >> (number % 8) & 1)
			continue;
		seen[number / 8] |= (uint8_t)(1u << (number % 8));
		at = insp_places_of(places, root);
		if (at == SIZE_MAX)
			return false;
		if (at == holdings->n) {
			h = insp_vec_push(holdings);
			if (!h)
				return false;
			h->place = (uint32_t)at;
		}
		h = &holdings->items[at];
		h->bytes += w->d->retained[number];
		h->count++;
		if (w->d->retained[number] > w->d->retained[h->largest] || !h->largest)
			h->largest = number;
	}
	return true;
}

static void report_place(struct work *w, const struct insp_place *p, const struct holding *h)
{
	uint32_t id = w->d->chunk_of[h->largest];
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], n[INSP_FMT_MAX], l[INSP_FMT_MAX];
	struct suspect s = SUSPECT_INIT;
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, id, &c);
	s.kind = "place";
	s.bytes = h->bytes;
	s.base_bytes = place_then(w, p);
	s.chunk = c.mem;
	s.name = type_name(w, id);
	s.count = h->count;
	s.held_by = p->name;
	s.doubt = p->kind == INSP_ROOT_STACK ? "may in part rest on words left over from calls that returned"
		  : p->kind == INSP_ROOT_MEMORY || p->kind == INSP_ROOT_UNKNOWN ? "starts in memory that nobody claims"
										: NULL;
	s.text = insp_pool_printf(w->ctx->pool,
				  "All pointers in %s together hold %s (%s), through %s chunks.%s The one that holds "
				  "most, %s, is %s at %#" PRIx64 ".%s%s%s",
				  p->name, insp_fmt_bytes(a, h->bytes),
				  insp_fmt_percent(b, (double)h->bytes, (double)w->total),
				  insp_fmt_count(n, h->count), growth_text(w, s.base_bytes, s.bytes),
				  insp_fmt_bytes(l, w->d->retained[h->largest]), s.name, c.mem,
				  s.doubt ? " That " : "", s.doubt ? s.doubt : "", s.doubt ? "." : "");
	report_suspect(w, &s);
}

/* A table in a variable: thousands of pointers, none of which holds much. */
static int suspect_places(struct work *w, struct insp_error *err)
{
	uint8_t *seen = calloc((size_t)w->d->n / 8 + 1, 1);
	struct holdings holdings = {0};
	struct insp_places places;
	bool ok = !insp_places_init(&places, w->ctx) && seen && collect_holdings(w, &places, &holdings, seen);
	uint64_t shown = 0;

	if (ok && holdings.n)
		qsort(holdings.items, holdings.n, sizeof(*holdings.items), holding_compare);
	for (size_t i = 0; ok && i < holdings.n && holdings.items[i].bytes >= w->least; i++) {
		const struct holding *h = &holdings.items[i];

		/* One chunk that holds nearly all of it was said above. */
		if (h->count < 2 || !h->bytes ||
		    (double)w->d->retained[h->largest] > FOLLOW_SHARE * (double)h->bytes)
			continue;
		if (w->args->limit && shown++ >= w->args->limit)
			break;
		report_place(w, &places.items[h->place], h);
	}
	free(seen);
	insp_vec_free(&holdings);
	insp_places_deinit(&places);
	return ok ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");
}

/* Shares by site where they are known, else by type. */
static int suspect_groups(struct work *w, struct insp_error *err)
{
	const struct insp_snapshot *snap = w->ctx->snapshot;
	bool sites = insp_held_has_sites(snap);
	size_t n = sites ? snap->sites->n + 1 : (size_t)insp_typing_count(w->typing) + 1;
	uint64_t *bytes = calloc(n, sizeof(*bytes)), *counts = calloc(n, sizeof(*counts)), shown = 0;
	struct insp_chunk_iter it;
	struct insp_chunk c;

	if (!bytes || !counts) {
		free(bytes);
		free(counts);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	insp_chunks_each(snap->chunks, it, c) {
		size_t key;

		if (!insp_chunk_state_live(c.state))
			continue;
		key = sites ? snap->sites->chunk_sites[c.id] : insp_typing_of(w->typing, &c);
		if (key < n) {
			bytes[key] += c.size;
			counts[key]++;
		}
	}
	for (;;) {
		char a[INSP_FMT_MAX], b[INSP_FMT_MAX], k[INSP_FMT_MAX];
		size_t best = 0;

		for (size_t i = 1; i < n; i++)
			if (bytes[i] > bytes[best])
				best = i;
		if (!bytes[best] || bytes[best] < w->least || (w->args->limit && shown++ >= w->args->limit))
			break;
		if (counts[best] == 1) { /* the holders said it */
			bytes[best] = 0;
			continue;
		}
		struct suspect s = SUSPECT_INIT;
		bool typed = !sites && insp_typing_source(w->typing, (uint32_t)best) <= INSP_TYPE_DEBUG;

		s.kind = sites ? "site" : "type";
		s.bytes = bytes[best];
		s.count = counts[best];
		s.name = sites ? insp_name_site(w->ctx, (uint32_t)best)
			       : insp_typing_name(w->typing, (uint32_t)best);
		s.text = insp_pool_printf(w->ctx->pool, "%s chunks %s %s are %s (%s) of the memory in use.",
					  insp_fmt_count(k, counts[best]),
					  sites ? "allocated by" : typed ? "of type" : "of", s.name,
					  insp_fmt_bytes(a, bytes[best]),
					  insp_fmt_percent(b, (double)bytes[best], (double)w->total));
		report_suspect(w, &s);
		bytes[best] = 0;
	}
	free(bytes);
	free(counts);
	return 0;
}

/* What the shares leave out, and how much of what they count is only guessed to be held. */
static int report_left_out(struct work *w, struct insp_error *err)
{
	const struct insp_leak_sum *possible = &w->leaks->sums[INSP_REACH_POSSIBLE];
	struct insp_report *r = w->report;
	struct insp_census census;
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], c[INSP_FMT_MAX];
	uint64_t free_bytes, unknown;
	int rc = insp_census_take(w->ctx->snapshot, w->ctx->pool, &census, err);

	if (rc)
		return rc;
	free_bytes = insp_tally_free(census.total).bytes;
	unknown = census.total[INSP_CHUNK_UNKNOWN].bytes;
	insp_object_begin(r, "left_out", NULL);
	insp_field_u64(r, "free_bytes", NULL, INSP_T_BYTES, free_bytes);
	insp_field_u64(r, "unknown_bytes", NULL, INSP_T_BYTES, unknown);
	insp_field_u64(r, "by_middle_bytes", NULL, INSP_T_BYTES, possible->bytes);
	insp_text(r, "text", "Left out: %s free in the heaps, and what is no heap: `rss` has a line for every byte.%s%s%s",
		  insp_fmt_bytes(a, free_bytes),
		  unknown ? insp_pool_printf(w->ctx->pool, " %s of the heaps could not be read or explained.",
					     insp_fmt_bytes(b, unknown)) : "",
		  possible->bytes ? insp_pool_printf(w->ctx->pool,
						     " %s counts as held although only pointers into the middle of "
						     "chunks lead there.", insp_fmt_bytes(c, possible->bytes)) : "",
		  w->base && !w->base_d ? " The base is of another process, or was saved without pointers: what "
					  "holders held then is not known." : "");
	insp_object_end(r);
	return 0;
}

static void tree_destroy(void *tree)
{
	insp_dominator_tree_destroy(tree);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct work w = {.ctx = ctx, .args = args, .report = report};
	char buf[INSP_FMT_MAX];
	int rc;

	rc = open_base(&w, err);
	rc = rc ? rc : insp_held_create(ctx, &w.graph, &w.leaks, &w.d, err);
	rc = rc ? rc : insp_typing_create(ctx, true, &w.typing, err);
	if (rc)
		return rc;
	w.total = w.d->retained[0];
	w.least = (uint64_t)((double)w.total * w.args->min / 100);
	rc = insp_dominator_tree_create(w.d, w.least, &w.tree, err);
	if (rc)
		return rc;
	if (insp_pool_defer(ctx->pool, tree_destroy, w.tree)) {
		tree_destroy(w.tree);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	insp_field_u64(report, "in_use", "memory in use", INSP_T_BYTES, w.total);
	insp_list_begin(report, "suspects", NULL);
	suspect_lost(&w);
	rc = suspect_growth(&w, err);
	suspect_holders(&w);
	rc = rc ? rc : suspect_places(&w, err);
	rc = rc ? rc : suspect_groups(&w, err);
	insp_list_end(report);
	if (!rc && !w.found)
		insp_text(report, "none", "nothing holds %.4g %% of the %s in use or more: see `types`, "
			  "`dominators --min 1`, and `rss` for memory that is not in use",
			  w.args->min, insp_fmt_bytes(buf, w.total));
	rc = rc ? rc : report_left_out(&w, err);
	insp_held_caveats(ctx, report);
	insp_report_elsewhere(report, ctx->snapshot);
	return rc;
}

const struct insp_command insp_cmd_suspects = {
	.name = "suspects",
	.group = "memory",
	.summary = "the few things that hold most of the memory, in words",
	.help = "What is lost; chunks that hold much through many others (a table, a list, a cache "
		"that "
		"grows); types or allocation sites with a large share. Shares are of the memory in "
		"use, heads of chunks included; free memory, stacks and what no allocator claims "
		"are "
		"left out: `rss` shows those.\n\n"
		"With --base, or a base chosen at the prompt, it also says what grew: by allocation site where "
		"both have the hook's records, else by size; and of each holder what it held then, if the base "
		"is of the same process, with pointers.\n\n"
		"References are guessed from values that look like addresses, so a holder may be a "
		"coincidence; where it rests on a word of a stack, a pointer into the middle of a chunk or "
		"memory that nobody claims, the text says so (key: doubt).",
	.example = "suspects --min 5",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_HELD_NEEDS,
	.run = run,
};
