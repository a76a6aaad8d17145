/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heap top: who asked for the memory, by what the hook recorded, and how much of the heap that explains.
 *
 * Grouped by stack, function or module the figures come from the hook's counters; by size, thread or
 * age from its records of live blocks, each with its weight.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/vec.h"
#include "command/filter.h"
#include "command/heap_common.h"
#include "command/held_top.h"
#include "command/site_join.h"
#include "command/site_profile.h"

struct args {
	const char *by, *sort, *where;
	uint64_t limit;
	bool stacks;
};

static const struct insp_option options[] = {
	{"by", 'b', INSP_OPT_CHOICE, "WHAT",
	 "one row a call stack (site), function, module, power of two of the size, thread, or age; "
	 "retained: by what the chunks of a stack (without the hook: of a type) hold",
	 "site", "site|function|module|size|thread|age|retained", offsetof(struct args, by)},
	{"sort", 's', INSP_OPT_CHOICE, "KEY",
	 "largest first by bytes in use, by the same with all that it calls (function, module), by "
	 "bytes "
	 "allocated since the start, or by blocks in use",
	 "inuse", "inuse|cum|alloc|objects", offsetof(struct args, sort)},
	{"stacks", 0, INSP_OPT_FLAG, NULL, "show the whole stack of each row (--by site)", NULL,
	 NULL, offsetof(struct args, stacks)},
	{"where", 0, INSP_OPT_FILTER, "FILTER",
	 "only live blocks that a filter accepts, like 'age > 1h and size >= 1K': see heap chunks",
	 NULL, NULL, offsetof(struct args, where)},
	{"limit", 'n', INSP_OPT_COUNT, "N", "at most N rows; 0: all", "20", NULL,
	 offsetof(struct args, limit)},
	INSP_OPTION_END,
};

/* The figures of one row: bytes and objects in use, and allocated since the start. */
struct figures {
	double inuse_bytes, inuse_objects, alloc_bytes, alloc_objects;
};

struct row {
	const char *name;
	uint32_t site;	 /* --by site; else 0 */
	uint32_t sample; /* of the profile, --by site */
	uint32_t stack;	 /* --by module: the last stack that was counted in cum, + 1 */
	struct figures flat;
	struct figures cum; /* and what it calls: --by function, module */
};

struct rows {
	struct row *items;
	size_t n, cap;
};

/* What a grouping does not have is null in JSON and not there in text. */
#define COLUMNS(site_title, cum_title, alloc_title, allocs_title, name_title)                            \
	{"site", site_title, INSP_T_ID, 0, "number of the call stack, for heap chunks --site; null unless by site"}, \
	{"inuse_bytes", "in use", INSP_T_BYTES, 0, "live now, as asked for"},                            \
	{"inuse_share", "share", INSP_T_RATIO, 0, "of all that is recorded as in use"},                  \
	{"cum_bytes", cum_title, INSP_T_BYTES, 0,                                                        \
	 "in use by it and what it calls; null unless by function or module"},                           \
	{"inuse_objects", "blocks", INSP_T_COUNT, 0, "live blocks"},                                     \
	{"cum_objects", NULL, INSP_T_COUNT, 0, "live blocks of it and what it calls"},                   \
	{"alloc_bytes", alloc_title, INSP_T_BYTES, 0,                                                    \
	 "since the hook's start; null by size, thread and age"},                                        \
	{"cum_alloc_bytes", NULL, INSP_T_BYTES, 0, "the same with what it calls"},                       \
	{"alloc_objects", allocs_title, INSP_T_COUNT, 0,                                                 \
	 "blocks since the hook's start; null by size, thread and age"},                                 \
	{"cum_alloc_objects", NULL, INSP_T_COUNT, 0, "the same with what it calls"},                     \
	{"name", name_title, INSP_T_STR, INSP_COL_WRAP, "function and callers, module, size, thread or age"}

static const struct insp_column site_columns[] = {COLUMNS("site", NULL, "allocated", "allocs", "who")};
static const struct insp_column cum_columns[] = {COLUMNS(NULL, "cum", "allocated", "allocs", "who")};
static const struct insp_column live_site_columns[] = {COLUMNS("site", NULL, NULL, NULL, "who")};
static const struct insp_column live_cum_columns[] = {COLUMNS(NULL, "cum", NULL, NULL, "who")};
static const struct insp_column record_columns[] = {COLUMNS(NULL, NULL, NULL, NULL, "which")};

#define NOTHING "nothing was recorded"
static const struct insp_table site_table = INSP_TABLE("top", NULL, site_columns, NOTHING);
static const struct insp_table cum_table = INSP_TABLE("top", NULL, cum_columns, NOTHING);
/* With --where: what was allocated and is gone passes no filter. */
static const struct insp_table live_site_table =
	INSP_TABLE("top", NULL, live_site_columns, "no recorded block passes --where");
static const struct insp_table live_cum_table =
	INSP_TABLE("top", NULL, live_cum_columns, "no recorded block passes --where");
static const struct insp_table record_table = INSP_TABLE("top", NULL, record_columns, NOTHING);

/* The groupings. */
static const struct by {
	const char *name;
	const struct insp_table *table;
	bool cum;    /* has cumulative figures */
	bool allocs; /* knows what was allocated since the start */
} bys[] = {
	{"site", &site_table, false, true},	{"function", &cum_table, true, true},
	{"module", &cum_table, true, true},	{"size", &record_table, false, false},
	{"thread", &record_table, false, false}, {"age", &record_table, false, false},
};

static const struct by *by_of(const char *name)
{
	const struct by *by = bys;

	while (strcmp(by->name, name) != 0)
		by++;
	return by;
}

/* The same grouping, of live blocks alone. */
static struct by live_only(const struct by *by)
{
	struct by live = *by;

	live.allocs = false;
	live.table = by->table == &site_table  ? &live_site_table
		     : by->table == &cum_table ? &live_cum_table
					       : by->table;
	return live;
}

static const struct insp_column frame_columns[] = {
	{"function", "", INSP_T_STR, INSP_COL_WRAP, "name, or module and offset"},
	{"file", "", INSP_T_STR, INSP_COL_WRAP, "source file; null unknown"},
	{"line", "", INSP_T_ID, INSP_COL_LEFT, "line in it; null unknown"},
};
static const struct insp_table frame_table = INSP_TABLE("frames", NULL, frame_columns, NULL);
static const struct insp_table *const tables[] = {&site_table, &frame_table, &insp_site_join_table,
						  &insp_site_parts_table, &insp_held_top_table, NULL};

static struct row *row_of(struct rows *rows, const char *name)
{
	struct row *r;

	insp_vec_each(rows, it)
		if (strcmp(it->name, name) == 0)
			return it;
	r = insp_vec_push(rows);
	if (r)
		r->name = name;
	return r;
}

static void add_values(struct figures *f, const int64_t *values)
{
	f->inuse_bytes += (double)values[INSP_HEAP_INUSE_SPACE];
	f->inuse_objects += (double)values[INSP_HEAP_INUSE_OBJECTS];
	f->alloc_bytes += (double)values[INSP_HEAP_ALLOC_SPACE];
	f->alloc_objects += (double)values[INSP_HEAP_ALLOC_OBJECTS];
}

static int by_site(const struct insp_profile *p, const uint32_t *numbers, struct rows *rows,
		   bool live)
{
	for (uint32_t i = 0; i < p->samples.n; i++) {
		struct row *r;

		if (live && !p->samples.items[i].values[INSP_HEAP_INUSE_OBJECTS])
			continue;
		r = insp_vec_push(rows);

		if (!r)
			return -1;
		*r = (struct row){.site = numbers[i], .sample = i};
		add_values(&r->flat, p->samples.items[i].values);
	}
	return 0;
}

static int by_function(const struct insp_profile *p, struct rows *rows, bool live,
		       struct insp_error *err)
{
	struct insp_profile_functions fs = {0};
	int rc = insp_profile_functions(p, INSP_HEAP_INUSE_SPACE, false, &fs, err);

	for (size_t i = 0; !rc && i < fs.n; i++) {
		struct row *r;

		if (live && !fs.items[i].cum[INSP_HEAP_INUSE_OBJECTS])
			continue;
		r = insp_vec_push(rows);
		if (!r) {
			rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
			break;
		}
		*r = (struct row){.name = fs.items[i].name};
		add_values(&r->flat, fs.items[i].flat);
		add_values(&r->cum, fs.items[i].cum);
	}
	insp_profile_functions_deinit(&fs);
	return rc;
}

static const char *module_of(const struct insp_profile *p, uint32_t location)
{
	uint32_t mapping = p->locations.items[location].mapping;
	const char *file = mapping ? p->mappings.items[mapping - 1].file : NULL;

	return file ? file : "[no file]";
}

static int by_module(const struct insp_profile *p, struct rows *rows, bool live)
{
	for (uint32_t i = 0; i < p->samples.n; i++) {
		const struct insp_profile_sample *s = &p->samples.items[i];
		struct row *r;

		if (live && !s->values[INSP_HEAP_INUSE_OBJECTS])
			continue;
		r = s->nlocations ? row_of(rows, module_of(p, insp_profile_culprit(p, s))) : NULL;

		if (!r)
			return -1;
		add_values(&r->flat, s->values);
		/* Each module of the stack once, however often it comes. */
		for (uint32_t k = 0; k < s->nlocations; k++) {
			r = row_of(rows, module_of(p, p->stacks.items[s->first_location + k]));
			if (!r)
				return -1;
			if (r->stack == i + 1)
				continue;
			r->stack = i + 1;
			add_values(&r->cum, s->values);
		}
	}
	return 0;
}

/* ---- by what is known of each live block */

static const char *size_name(struct insp_pool *pool, uint64_t n)
{
	unsigned k = n > 1 ? 64 - (unsigned)__builtin_clzll(n - 1) : 0;
	char from[INSP_FMT_MAX], to[INSP_FMT_MAX];

	if (k < 5)
		return "up to 16 B";
	return insp_pool_printf(pool, "%s to %s", insp_fmt_bytes(from, (UINT64_C(1) << (k - 1)) + 1),
				insp_fmt_bytes(to, UINT64_C(1) << k));
}

static const char *age_name(uint64_t seconds)
{
	static const struct {
		uint64_t below;
		const char *name;
	} ages[] = {
		{1, "under 1 s"},	   {10, "1 to 10 s"},	      {60, "10 s to 1 min"},
		{600, "1 to 10 min"},	   {3600, "10 min to 1 h"},   {86400, "1 h to 1 day"},
		{604800, "1 day to 1 week"}, {UINT64_MAX, "over 1 week"},
	};
	size_t i = 0;

	while (seconds >= ages[i].below && ages[i].below != UINT64_MAX)
		i++;
	return ages[i].name;
}

static const char *thread_name(struct insp_context *ctx, uint32_t tid)
{
	const struct insp_threads *threads = &ctx->snapshot->threads;

	for (size_t i = 0; i < threads->n; i++)
		if (threads->items[i].ns_tid == (int)tid || threads->items[i].tid == (int)tid)
			return insp_pool_printf(ctx->pool, "%" PRIu32 " (%s)", tid, threads->items[i].name);
	return insp_pool_printf(ctx->pool, "%" PRIu32 " (ended)", tid);
}

/* The time of the last event, in seconds since the hook's start: a core file has no other "now". */
static uint64_t now_of(const struct insp_snapshot *snap, const struct insp_sites *sites)
{
	uint64_t now = snap->taken_at_ns > sites->started_ns
			       ? (snap->taken_at_ns - sites->started_ns) / 1000000000
			       : 0;

	return now > sites->seconds ? now : sites->seconds;
}

/* Is the block a chunk of the walk that passes? */
static bool passes(const struct insp_chunks *chunks, struct insp_filter *filter,
		   const struct insp_site_record *record, size_t *hint)
{
	struct insp_chunk c;
	int64_t id;

	if (!filter)
		return true;
	id = insp_chunks_owner(chunks, record->addr, hint);
	if (id < 0)
		return false;
	insp_chunks_get(chunks, (uint32_t)id, &c);
	return insp_filter_accepts(filter, &c);
}

/* Puts the sums of the blocks that pass in the place of the counters. */
static int keep_passing(const struct insp_context *ctx, const struct insp_sites *sites,
			struct insp_filter *filter, struct insp_profile *p, const uint32_t *numbers,
			struct insp_error *err)
{
	struct figures *sums = insp_pool_array(ctx->pool, sites->n + 1, sizeof(*sums));
	size_t hint = 0;

	if (!sums)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *r = &sites->records[i];
		double weight = insp_sites_weight(sites, r->size_bytes);

		if (r->site >= sites->n || !passes(ctx->snapshot->chunks, filter, r, &hint))
			continue;
		sums[r->site].inuse_objects += weight;
		sums[r->site].inuse_bytes += weight * (double)r->size_bytes;
	}
	for (size_t i = 0; i < p->samples.n; i++) {
		int64_t *values = p->samples.items[i].values;
		const struct figures *f = &sums[numbers[i]];

		values[INSP_HEAP_ALLOC_OBJECTS] = values[INSP_HEAP_ALLOC_SPACE] = 0;
		values[INSP_HEAP_INUSE_OBJECTS] = (int64_t)(f->inuse_objects + 0.5);
		values[INSP_HEAP_INUSE_SPACE] = (int64_t)(f->inuse_bytes + 0.5);
	}
	return 0;
}

static int by_record(struct insp_context *ctx, const struct insp_sites *sites, const char *by,
		     struct insp_filter *filter, struct rows *rows)
{
	const char **names = insp_pool_array(ctx->pool, 65536, sizeof(*names)); /* made once each */
	uint64_t now = now_of(ctx->snapshot, sites);
	size_t hint = 0;

	if (!names)
		return -1;
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *record = &sites->records[i];
		double weight = insp_sites_weight(sites, record->size_bytes);
		uint64_t seconds = insp_site_record_seconds(record);
		const char *name;
		struct row *r;

		if (!passes(ctx->snapshot->chunks, filter, record, &hint))
			continue;
		if (strcmp(by, "age") == 0) {
			name = age_name(now > seconds ? now - seconds : 0);
		} else if (strcmp(by, "thread") == 0) {
			if (!names[record->thread])
				names[record->thread] =
					thread_name(ctx, record->thread < sites->ntids
								 ? sites->tids[record->thread]
								 : 0);
			name = names[record->thread];
		} else {
			unsigned k = record->size_bytes > 1
					     ? 64 - (unsigned)__builtin_clzll(record->size_bytes - 1)
					     : 0;

			if (!names[k])
				names[k] = size_name(ctx->pool, record->size_bytes);
			name = names[k];
		}
		r = name ? row_of(rows, name) : NULL;
		if (!r)
			return -1;
		r->flat.inuse_objects += weight;
		r->flat.inuse_bytes += weight * (double)record->size_bytes;
	}
	return 0;
}

/* ---- output */

static double key_of(const struct row *r, const char *sort)
{
	return strcmp(sort, "alloc") == 0     ? r->flat.alloc_bytes
	       : strcmp(sort, "objects") == 0 ? r->flat.inuse_objects
	       : strcmp(sort, "cum") == 0     ? r->cum.inuse_bytes
					      : r->flat.inuse_bytes;
}

static int by_key(const void *a, const void *b, void *ctx)
{
	const struct row *x = a, *y = b;
	double v = key_of(x, ctx), w = key_of(y, ctx);

	if (v != w)
		return v < w ? 1 : -1;
	if (x->cum.inuse_bytes != y->cum.inuse_bytes)
		return x->cum.inuse_bytes < y->cum.inuse_bytes ? 1 : -1;
	if (x->flat.alloc_bytes != y->flat.alloc_bytes)
		return x->flat.alloc_bytes < y->flat.alloc_bytes ? 1 : -1;
	return (x->site > y->site) - (x->site < y->site);
}

static void cell(struct insp_report *r, bool known, double v)
{
	if (known)
		insp_cell_u64(r, v > 0 ? (uint64_t)(v + 0.5) : 0);
	else
		insp_cell_unknown(r);
}

static void report_rows(struct insp_report *r, const struct insp_profile *p, const struct rows *rows,
			const struct args *a, const struct by *by)
{
	size_t n = a->limit && a->limit < rows->n ? (size_t)a->limit : rows->n;
	double total = 0;

	for (size_t i = 0; i < rows->n; i++)
		total += rows->items[i].flat.inuse_bytes;
	insp_table_begin(r, by->table);
	for (size_t i = 0; i < n && !insp_report_failed(r); i++) {
		const struct row *row = &rows->items[i];

		cell(r, row->site, row->site);
		cell(r, true, row->flat.inuse_bytes);
		insp_cell_f64(r, total > 0 ? row->flat.inuse_bytes / total : 0);
		cell(r, by->cum, row->cum.inuse_bytes);
		cell(r, true, row->flat.inuse_objects);
		cell(r, by->cum, row->cum.inuse_objects);
		cell(r, by->allocs, row->flat.alloc_bytes);
		cell(r, by->cum, row->cum.alloc_bytes);
		cell(r, by->allocs, row->flat.alloc_objects);
		cell(r, by->cum, row->cum.alloc_objects);
		insp_cell_str(r, row->site ? insp_profile_place(p, &p->samples.items[row->sample], 2)
					   : row->name);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < rows->n)
		insp_table_cut(r, n, rows->n, "--limit 0 shows all");
}

static void report_stack(struct insp_report *r, const struct insp_profile *p, const struct row *row,
			 struct insp_pool *pool)
{
	const struct insp_profile_sample *s = &p->samples.items[row->sample];
	char bytes[INSP_FMT_MAX], count[INSP_FMT_MAX];

	insp_object_begin(r, NULL,
			  insp_pool_printf(pool, "site %" PRIu32 ": %s in %s blocks", row->site,
					   insp_fmt_bytes(bytes, (uint64_t)(row->flat.inuse_bytes + 0.5)),
					   insp_fmt_count(count, (uint64_t)(row->flat.inuse_objects + 0.5))));
	insp_field_u64(r, "site", NULL, INSP_T_ID, row->site);
	insp_table_begin(r, &frame_table);
	for (uint32_t i = 0; i < s->nlocations; i++) {
		uint32_t l = p->stacks.items[s->first_location + i];
		const struct insp_profile_location *loc = &p->locations.items[l];

		for (uint32_t k = 0; k < (loc->nframes ? loc->nframes : 1); k++) {
			const struct insp_profile_frame *f =
				loc->nframes ? &p->frames.items[loc->first_frame + k] : NULL;

			insp_cell_str(r, f && f->function ? f->function
							  : insp_profile_location_name(p, l));
			insp_cell_str(r, f ? f->file : NULL);
			if (f && f->line)
				insp_cell_u64(r, f->line);
			else
				insp_cell_unknown(r);
			insp_row_end(r);
		}
	}
	insp_table_end(r);
	insp_object_end(r);
}

static int gather(struct insp_context *ctx, const struct insp_sites *sites, const struct args *a,
		  const struct insp_profile *p, const uint32_t *numbers, struct insp_filter *filter,
		  struct rows *rows, struct insp_error *err)
{
	int rc;

	if (strcmp(a->by, "function") == 0)
		return by_function(p, rows, filter != NULL, err);
	if (strcmp(a->by, "site") == 0)
		rc = by_site(p, numbers, rows, filter != NULL);
	else if (strcmp(a->by, "module") == 0)
		rc = by_module(p, rows, filter != NULL);
	else
		rc = by_record(ctx, sites, a->by, filter, rows);
	return rc ? insp_fail(err, INSP_E_NOMEM, "out of memory") : 0;
}

static int filter_of(struct insp_context *ctx, const struct args *a, struct insp_filter **ret,
		     struct insp_error *err)
{
	struct insp_typing *typing = NULL;
	int rc = 0;

	*ret = NULL;
	if (!a->where)
		return 0;
	if (insp_filter_needs(a->where) & INSP_NEED_BYTES)
		rc = insp_typing_create(ctx, true, &typing, err);
	return rc ? rc : insp_filter_create(ctx, a->where, typing, NULL, ret, err);
}

static int run_recorded(struct insp_context *ctx, const struct args *a, struct insp_report *report,
			struct insp_error *err)
{
	const struct insp_sites *sites;
	struct insp_profile *profile = NULL;
	const uint32_t *numbers;
	struct rows rows = {0};
	struct insp_filter *filter = NULL;
	const struct by *by = by_of(a->by);
	const struct by live = live_only(by);
	int rc = insp_sites_wanted(ctx->snapshot, &sites, err);

	if (!rc && a->stacks && by->table != &site_table)
		rc = insp_fail(err, INSP_E_USAGE, "--stacks goes with --by site: a row is one stack there");
	if (!rc && !strcmp(a->sort, "cum") && !by->cum)
		rc = insp_fail(err, INSP_E_USAGE, "--sort cum goes with --by function or module");
	if (!rc && a->where)
		by = &live;
	if (!rc && !strcmp(a->sort, "alloc") && !by->allocs)
		rc = insp_fail(err, INSP_E_USAGE, "%s knows live blocks only: not --sort alloc",
			       a->where ? "--where"
					: insp_pool_printf(ctx->pool, "--by %s", by->name));
	if (!rc)
		rc = filter_of(ctx, a, &filter, err);
	if (!rc)
		rc = insp_heap_profile(ctx, sites, &profile, &numbers, err);
	if (!rc && filter)
		rc = keep_passing(ctx, sites, filter, profile, numbers, err);
	if (!rc)
		rc = gather(ctx, sites, a, profile, numbers, filter, &rows, err);
	if (!rc) {
		if (rows.n)
			qsort_r(rows.items, rows.n, sizeof(*rows.items), by_key, (void *)a->sort);
		report_rows(report, profile, &rows, a, by);
		if (a->stacks) {
			insp_list_begin(report, "stacks", "Stacks");
			for (size_t i = 0; i < rows.n && (!a->limit || i < a->limit); i++)
				report_stack(report, profile, &rows.items[i], ctx->pool);
			insp_list_end(report);
		}
		insp_report_site_join(report, ctx->snapshot, sites);
		insp_report_elsewhere(report, ctx->snapshot);
		if (!filter) /* what passes has no history, which the profile's types promise */
			insp_report_profile_only(report, profile);
	}
	insp_vec_free(&rows);
	insp_profile_destroy(profile);
	return rc;
}

static bool by_what_is_held(const void *args)
{
	return strcmp(((const struct args *)args)->by, "retained") == 0;
}

static unsigned needs_of(const void *args)
{
	return by_what_is_held(args) ? INSP_HELD_NEEDS
				     : insp_filter_needs(((const struct args *)args)->where);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;

	if (by_what_is_held(a) && a->where)
		return insp_fail(
			err, INSP_E_USAGE,
			"--where does not go with --by retained: `dominators` and `leaks --where`");
	if (by_what_is_held(a))
		return insp_held_top(ctx, a->limit, report, err);
	return run_recorded(ctx, a, report, err);
}

const struct insp_command insp_cmd_heap_top = {
	.name = "heap top",
	.group = "heap",
	.summary = "who asked for the memory: by call stack, function, module, size, thread or age",
	.help = "Needs the hook: start the program with 'meminspect run -- PROGRAM'. In use is "
		"what lives "
		"now, allocated is all since the start; both count the bytes that were asked for. "
		"By site, "
		"the row names the innermost function that is not of the allocator's wrappers and "
		"its "
		"callers; --stacks shows all of the stack, and heap chunks --site N its blocks. By "
		"function and "
		"module, cum adds what it calls.\n\n"
		"Below stands how much of the heap that explains, beside what the walk found: what "
		"is on "
		"record, and what is not and why. In sampled mode all figures are estimates, and "
		"the line 'estimate by walk' says how near they are in sum. --where counts only "
		"live blocks "
		"that a filter accepts; what was allocated and is gone is not counted then.\n\n"
		"--by retained needs no hook: what would be free were all chunks of a call stack "
		"(else "
		"of a type) gone, by the tree of `dominators`. A chunk that hangs on another of "
		"the same "
		"row counts once; rows overlap where chunks of one hold those of another. What "
		"only "
		"several chunks hold together is in no row, so it is the least that they hold.",
	.example = "heap top --by function --limit 10",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_PROFILE,
	.tables = tables,
	.needs = INSP_NEED_SITES | INSP_NEED_CHUNKS | INSP_NEED_SYMBOLS,
	.needs_of = needs_of,
	.run = run,
};
