/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * suspects: the few things that hold most of the memory, in words.
 *
 * Four kinds: what is lost; points of accumulation (the chunk below a root where one thing that
 * holds much becomes many that hold little each: from the top of the tree of dominators down, as
 * long as one child holds most); variables, mappings and threads whose pointers together hold much (a
 * table that is itself a variable); and single types or sites with a large share.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/log.h"
#include "base/vec.h"
#include "command/held.h"
#include "site/sites.h"
#include "symbol/symbols.h"

#define FOLLOW_SHARE 0.8 /* of what a chunk holds: a child with more is gone on to */
#define CHAIN_STEPS  32
#define KINDS_SHOWN  3

struct args {
	double min;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{.name = "min", .type = INSP_OPT_PERCENT, .arg = "PERCENT", .def = "10", .offset = offsetof(struct args, min),
	 .help = "what holds at least this share of the memory in use is a suspect"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "10",
	 .offset = offsetof(struct args, limit), .help = "at most N of each kind; 0: all"},
	INSP_OPTION_END,
};

struct work {
	const struct insp_context *ctx;
	const struct args *args;
	struct insp_report *report;
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	struct insp_dominators *d;
	struct insp_dominator_tree *tree;
	struct insp_typing *typing;
	uint64_t total, least;
	uint64_t found;
};

static void begin(struct work *w, const char *kind, uint64_t bytes)
{
	w->found++;
	insp_object_begin(w->report, NULL, NULL);
	insp_field_str(w->report, "kind", NULL, kind);
	insp_field_u64(w->report, "bytes", NULL, INSP_T_BYTES, bytes);
	insp_field_f64(w->report, "share", NULL, INSP_T_RATIO,
		       w->total ? (double)bytes / (double)w->total : 0);
}

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

	if (!bytes || bytes < w->least)
		return;
	begin(w, "lost", bytes);
	insp_text(w->report, "text",
		  "%s (%s) is lost: %s chunks that nothing points to, and what hangs on them. The "
		  "command `leaks` groups them.",
		  insp_fmt_bytes(a, bytes), insp_fmt_percent(b, (double)bytes, (double)w->total),
		  insp_fmt_count(c, definite->count));
	insp_object_end(w->report);
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
	const char *held_by = root_name(w, w->d->chunk_of[top], &root);
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], n[INSP_FMT_MAX];
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, id, &c);
	begin(w, "holder", w->d->retained[at]);
	insp_field_u64(w->report, "chunk", NULL, INSP_T_ADDR, c.mem);
	insp_field_str(w->report, "type", NULL, type_name(w, id));
	insp_field_str(w->report, "held_by", NULL, held_by);
	insp_field_u64(w->report, "children", NULL, INSP_T_COUNT, nchildren);
	insp_field_bool(w->report, "chain", NULL, chain);
	if (chain)
		insp_text(w->report, "text",
			  "A chain of chunks, each held by the one before, like a list: from the first (%s at "
			  "%#" PRIx64 ") on they hold %s (%s). It is held by %s.",
			  type_name(w, id), c.mem, insp_fmt_bytes(a, w->d->retained[at]),
			  insp_fmt_percent(b, (double)w->d->retained[at], (double)w->total), held_by);
	else if (nchildren)
		insp_text(w->report, "text",
			  "One chunk (%s at %#" PRIx64 ") holds %s (%s) through %s chunks directly; of it %s. It is "
			  "held by %s.%s `path %#" PRIx64 "` shows the way.",
			  type_name(w, id), c.mem, insp_fmt_bytes(a, w->d->retained[at]),
			  insp_fmt_percent(b, (double)w->d->retained[at], (double)w->total),
			  insp_fmt_count(n, nchildren), consists_of(w, at), held_by,
			  root && root->kind == INSP_ROOT_STACK ? " That may be a stale word of the stack." : "",
			  c.mem);
	else
		insp_text(w->report, "text",
			  "One single chunk (%s at %#" PRIx64 ") of %s (%s). It is held by %s.",
			  type_name(w, id), c.mem, insp_fmt_bytes(a, w->d->retained[at]),
			  insp_fmt_percent(b, (double)w->d->retained[at], (double)w->total), held_by);
	insp_object_end(w->report);
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

/* What all pointers of one variable, of one mapping or of one thread hold together. */
struct place {
	const char *name;
	uint64_t start, end; /* of the variable or mapping; a thread: its index, twice */
	enum insp_root_kind kind;
	uint64_t bytes, count;
	uint32_t largest; /* number of the largest chunk that it holds directly */
};

struct places {
	struct place *items;
	size_t n, cap;
};

static void name_place(const struct work *w, const struct insp_root *root, struct place *ret)
{
	const struct insp_snapshot *snap = w->ctx->snapshot;
	struct insp_symbol s;

	ret->kind = (enum insp_root_kind)root->kind;
	if (root->kind == INSP_ROOT_STACK || root->kind == INSP_ROOT_TLS ||
	    root->kind == INSP_ROOT_REGISTER) {
		const struct insp_thread *t = &snap->threads.items[root->owner];

		ret->start = ret->end = root->owner;
		ret->name = insp_pool_printf(w->ctx->pool, "the %s of thread %d (%s)",
					     root->kind == INSP_ROOT_STACK	? "stack"
					     : root->kind == INSP_ROOT_REGISTER ? "registers"
										: "thread-local storage",
					     t->tid, t->name);
		return;
	}
	ret->start = snap->regions.items[root->owner].start;
	ret->end = snap->regions.items[root->owner].end;
	if (w->ctx->symbols && !insp_symbols_at(w->ctx->symbols, root->addr, &s) && s.size_bytes) {
		ret->start = s.start;
		ret->end = s.start + s.size_bytes;
		ret->name = insp_pool_printf(w->ctx->pool, "the global %s in %s", s.name,
					     s.module ? insp_module_basename(s.module) : "?");
	} else {
		/* Between two variables with a name there may be many without. */
		ret->start = root->addr;
		ret->end = root->addr + 8;
		ret->name = insp_name_root(w->ctx, root);
	}
}

static bool same_place(const struct place *p, const struct insp_root *root)
{
	bool of_thread = root->kind == INSP_ROOT_STACK || root->kind == INSP_ROOT_TLS ||
			 root->kind == INSP_ROOT_REGISTER;

	if ((enum insp_root_kind)root->kind != p->kind)
		return false;
	return of_thread ? root->owner == p->start : root->addr >= p->start && root->addr < p->end;
}

static int place_compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : x->start < y->start ? -1 : 1;
}

/* Roots come sorted by kind and address, so those of one place follow each other. */
static bool collect_places(const struct work *w, struct places *places, uint8_t *seen)
{
	for (size_t i = 0; i < w->graph->nroots; i++) {
		const struct insp_root *root = &w->graph->roots[i];
		uint32_t number = w->d->number_of[INSP_EDGE_TARGET(root->edge)];
		struct place *p = places->n ? &places->items[places->n - 1] : NULL;

		if (!number || w->d->idom[number] || seen[number / 8] >> (number % 8) & 1)
			continue;
		seen[number / 8] |= (uint8_t)(1u << (number % 8));
		if (!p || !same_place(p, root)) {
			p = insp_vec_push(places);
			if (!p)
				return false;
			name_place(w, root, p);
			p->largest = number;
		}
		p->bytes += w->d->retained[number];
		p->count++;
		if (w->d->retained[number] > w->d->retained[p->largest])
			p->largest = number;
	}
	return true;
}

static void report_place(struct work *w, const struct place *p)
{
	uint32_t id = w->d->chunk_of[p->largest];
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX], n[INSP_FMT_MAX], l[INSP_FMT_MAX];
	struct insp_chunk c;

	insp_chunks_get(w->ctx->snapshot->chunks, id, &c);
	begin(w, "place", p->bytes);
	insp_field_str(w->report, "held_by", NULL, p->name);
	insp_field_u64(w->report, "children", NULL, INSP_T_COUNT, p->count);
	insp_field_u64(w->report, "chunk", NULL, INSP_T_ADDR, c.mem);
	insp_text(w->report, "text",
		  "All pointers in %s together hold %s (%s), through %s chunks. The one that holds most, %s, is "
		  "%s at %#" PRIx64 ".%s",
		  p->name, insp_fmt_bytes(a, p->bytes),
		  insp_fmt_percent(b, (double)p->bytes, (double)w->total), insp_fmt_count(n, p->count),
		  insp_fmt_bytes(l, w->d->retained[p->largest]), type_name(w, id), c.mem,
		  p->kind == INSP_ROOT_STACK ? " Some of that may rest on stale words of the stack." : "");
	insp_object_end(w->report);
}

/* A table in a variable: thousands of pointers, none of which holds much. */
static int suspect_places(struct work *w, struct insp_error *err)
{
	uint8_t *seen = calloc((size_t)w->d->n / 8 + 1, 1);
	struct places places = {0};
	bool ok = seen && collect_places(w, &places, seen);
	uint64_t shown = 0;

	if (ok && places.n)
		qsort(places.items, places.n, sizeof(*places.items), place_compare);
	for (size_t i = 0; ok && i < places.n && places.items[i].bytes >= w->least; i++) {
		const struct place *p = &places.items[i];

		/* One chunk that holds nearly all of it was said above. */
		if (p->count < 2 || !p->bytes ||
		    (double)w->d->retained[p->largest] > FOLLOW_SHARE * (double)p->bytes)
			continue;
		if (w->args->limit && shown++ >= w->args->limit)
			break;
		report_place(w, p);
	}
	free(seen);
	insp_vec_free(&places);
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
		begin(w, sites ? "site" : "type", bytes[best]);
		insp_field_u64(w->report, "count", NULL, INSP_T_COUNT, counts[best]);
		const char *name = sites ? insp_name_site(w->ctx, (uint32_t)best)
					 : insp_typing_name(w->typing, (uint32_t)best);

		bool typed = !sites && insp_typing_source(w->typing, (uint32_t)best) == INSP_TYPE_VTABLE;

		insp_field_str(w->report, "name", NULL, name);
		insp_text(w->report, "text", "%s chunks %s %s are %s (%s) of the memory in use.",
			  insp_fmt_count(k, counts[best]), sites ? "allocated by" : typed ? "of type" : "of", name,
			  insp_fmt_bytes(a, bytes[best]),
			  insp_fmt_percent(b, (double)bytes[best], (double)w->total));
		insp_object_end(w->report);
		bytes[best] = 0;
	}
	free(bytes);
	free(counts);
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

	rc = insp_held_create(ctx, &w.graph, &w.leaks, &w.d, err);
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
	suspect_holders(&w);
	rc = suspect_places(&w, err);
	rc = rc ? rc : suspect_groups(&w, err);
	insp_list_end(report);
	if (!rc && !w.found)
		insp_text(report, "none", "nothing holds %.4g %% of the %s in use or more: see `types`, "
			  "`dominators --min 1`, and `rss` for memory that is not in use",
			  w.args->min, insp_fmt_bytes(buf, w.total));
	insp_held_caveats(ctx, report);
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
		"References are guessed from values that look like addresses, so a holder may be a "
		"coincidence when it is a stale word of a stack; the text says so.",
	.example = "suspects --min 5",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_HELD_NEEDS,
	.run = run,
};
