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
#include "command/site_profile.h"

struct args {
	const char *by, *sort;
	uint64_t limit;
	bool stacks;
};

static const struct insp_option options[] = {
	{"by", 'b', INSP_OPT_CHOICE, "WHAT",
	 "one row a call stack (site), function, module, power of two of the size, thread, or age", "site",
	 "site|function|module|size|thread|age", offsetof(struct args, by)},
	{"sort", 's', INSP_OPT_CHOICE, "KEY", "largest first by bytes in use or allocated since the start",
	 "inuse", "inuse|alloc|objects", offsetof(struct args, sort)},
	{"stacks", 0, INSP_OPT_FLAG, NULL, "show the whole stack of each row (--by site)", NULL, NULL,
	 offsetof(struct args, stacks)},
	{"limit", 'n', INSP_OPT_COUNT, "N", "at most N rows; 0: all", "20", NULL,
	 offsetof(struct args, limit)},
	INSP_OPTION_END,
};

/* One row. Figures that the grouping does not have are -1. */
struct row {
	const char *name;
	uint32_t site;	 /* --by site; else 0 */
	uint32_t sample; /* of the profile, --by site */
	double inuse_bytes, inuse_objects, alloc_bytes, alloc_objects;
	double cum_bytes; /* in use by it and all that it calls: --by function */
};

struct rows {
	struct row *items;
	size_t n, cap;
};

static const struct insp_column columns[] = {
	{"inuse_bytes", "in use", INSP_T_BYTES, 0, "live now, as asked for"},
	{"inuse_share", "share", INSP_T_RATIO, 0, "of all that is recorded as in use"},
	{"inuse_objects", "objects", INSP_T_COUNT, 0, "live blocks"},
	{"cum_bytes", "cum", INSP_T_BYTES, 0, "in use by it and what it calls; null unless by function"},
	{"alloc_bytes", "allocated", INSP_T_BYTES, 0, "since the hook's start; null where not known"},
	{"alloc_objects", "allocs", INSP_T_COUNT, 0, "since the hook's start; null where not known"},
	{"site", NULL, INSP_T_ID, 0, "number of the call stack; null unless by site"},
	{"name", "who", INSP_T_STR, INSP_COL_WRAP, "function and callers, module, size, thread or age"},
};
static const struct insp_table table = INSP_TABLE("top", NULL, columns, "nothing was recorded");

static const struct insp_column frame_columns[] = {
	{"function", "", INSP_T_STR, INSP_COL_WRAP, "name, or module and offset"},
	{"file", "", INSP_T_STR, INSP_COL_WRAP, "source file; null unknown"},
	{"line", "", INSP_T_ID, INSP_COL_LEFT, "line in it; null unknown"},
};
static const struct insp_table frame_table = INSP_TABLE("frames", NULL, frame_columns, NULL);
static const struct insp_table *const tables[] = {&table, &frame_table, NULL};

static struct row *row_of(struct rows *rows, const char *name)
{
	struct row *r;

	insp_vec_each(rows, it)
		if (strcmp(it->name, name) == 0)
			return it;
	r = insp_vec_push(rows);
	if (r) {
		r->name = name;
		r->cum_bytes = -1;
	}
	return r;
}

static void add_sample(struct row *r, const struct insp_profile_sample *s)
{
	r->inuse_bytes += (double)s->values[INSP_HEAP_INUSE_SPACE];
	r->inuse_objects += (double)s->values[INSP_HEAP_INUSE_OBJECTS];
	r->alloc_bytes += (double)s->values[INSP_HEAP_ALLOC_SPACE];
	r->alloc_objects += (double)s->values[INSP_HEAP_ALLOC_OBJECTS];
}

static int by_site(const struct insp_profile *p, const uint32_t *numbers, struct rows *rows)
{
	for (uint32_t i = 0; i < p->samples.n; i++) {
		struct row *r = insp_vec_push(rows);

		if (!r)
			return -1;
		*r = (struct row){.site = numbers[i], .sample = i, .cum_bytes = -1};
		add_sample(r, &p->samples.items[i]);
	}
	return 0;
}

static int by_function(const struct insp_profile *p, struct rows *rows, struct insp_error *err)
{
	struct insp_profile_functions fs = {0};
	int rc = insp_profile_functions(p, INSP_HEAP_INUSE_SPACE, false, &fs, err);

	for (size_t i = 0; !rc && i < fs.n; i++) {
		struct row *r = insp_vec_push(rows);

		if (!r) {
			rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
			break;
		}
		*r = (struct row){
			.name = fs.items[i].name,
			.inuse_bytes = (double)fs.items[i].flat[INSP_HEAP_INUSE_SPACE],
			.inuse_objects = (double)fs.items[i].flat[INSP_HEAP_INUSE_OBJECTS],
			.alloc_bytes = (double)fs.items[i].flat[INSP_HEAP_ALLOC_SPACE],
			.alloc_objects = (double)fs.items[i].flat[INSP_HEAP_ALLOC_OBJECTS],
			.cum_bytes = (double)fs.items[i].cum[INSP_HEAP_INUSE_SPACE],
		};
	}
	insp_profile_functions_deinit(&fs);
	return rc;
}

static int by_module(const struct insp_profile *p, struct rows *rows)
{
	for (size_t i = 0; i < p->samples.n; i++) {
		const struct insp_profile_sample *s = &p->samples.items[i];
		uint32_t mapping = p->locations.items[insp_profile_culprit(p, s)].mapping;
		const char *file = mapping ? p->mappings.items[mapping - 1].file : NULL;
		struct row *r = row_of(rows, file ? file : "[no file]");

		if (!r)
			return -1;
		add_sample(r, s);
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

static int by_record(struct insp_context *ctx, const struct insp_sites *sites, const char *by,
		     struct rows *rows)
{
	const char **names = insp_pool_array(ctx->pool, 65536, sizeof(*names)); /* made once each */
	uint64_t now = now_of(ctx->snapshot, sites);

	if (!names)
		return -1;
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *record = &sites->records[i];
		double weight = insp_sites_weight(sites, record->size_bytes);
		uint64_t seconds = insp_site_record_seconds(record);
		const char *name;
		struct row *r;

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
		r->inuse_objects += weight;
		r->inuse_bytes += weight * (double)record->size_bytes;
		r->alloc_bytes = r->alloc_objects = -1;
	}
	return 0;
}

/* ---- output */

static double key_of(const struct row *r, const char *sort)
{
	return strcmp(sort, "alloc") == 0 ? r->alloc_bytes
	       : strcmp(sort, "objects") == 0 ? r->inuse_objects
					      : r->inuse_bytes;
}

static int by_key(const void *a, const void *b, void *ctx)
{
	const struct row *x = a, *y = b;
	double v = key_of(x, ctx), w = key_of(y, ctx);

	if (v != w)
		return v < w ? 1 : -1;
	if (x->cum_bytes != y->cum_bytes)
		return x->cum_bytes < y->cum_bytes ? 1 : -1;
	return (x->site > y->site) - (x->site < y->site);
}

static void cell(struct insp_report *r, double v)
{
	if (v < 0)
		insp_cell_unknown(r);
	else
		insp_cell_u64(r, (uint64_t)(v + 0.5));
}

static void report_rows(struct insp_report *r, const struct insp_profile *p, const struct rows *rows,
			const struct args *a)
{
	size_t n = a->limit && a->limit < rows->n ? (size_t)a->limit : rows->n;
	double total = 0;

	for (size_t i = 0; i < rows->n; i++)
		total += rows->items[i].inuse_bytes;
	insp_table_begin(r, &table);
	for (size_t i = 0; i < n && !insp_report_failed(r); i++) {
		const struct row *row = &rows->items[i];

		cell(r, row->inuse_bytes);
		insp_cell_f64(r, total > 0 ? row->inuse_bytes / total : 0);
		cell(r, row->inuse_objects);
		cell(r, row->cum_bytes);
		cell(r, row->alloc_bytes);
		cell(r, row->alloc_objects);
		if (row->site)
			insp_cell_u64(r, row->site);
		else
			insp_cell_unknown(r);
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
					   insp_fmt_bytes(bytes, (uint64_t)(row->inuse_bytes + 0.5)),
					   insp_fmt_count(count, (uint64_t)(row->inuse_objects + 0.5))));
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

/* What the hook knows, beside what the walk found: each part of the heap in a line of its own. */
static void report_join(struct insp_report *r, const struct insp_snapshot *snap,
			const struct insp_sites *sites)
{
	uint64_t walked = 0, walked_blocks = 0, known = 0, known_blocks = 0;
	double recorded = 0, blocks = 0;
	struct insp_chunk_iter it;
	struct insp_chunk c;

	for (size_t i = 1; i < sites->n; i++) {
		recorded += sites->items[i].live_bytes;
		blocks += sites->items[i].live;
	}
	insp_chunks_each(snap->chunks, it, c) {
		if (!insp_chunk_state_live(c.state))
			continue;
		walked += c.usable;
		walked_blocks++;
		if (sites->chunk_sites && c.id < sites->nchunks && sites->chunk_sites[c.id]) {
			known += c.usable;
			known_blocks++;
		}
	}
	insp_object_begin(r, "recorded", "How much of the heap that is");
	insp_field_str(r, "mode", "hook", sites->sampled ? "sampled: estimates" : "every allocation");
	if (sites->sampled) {
		insp_field_u64(r, "sample_bytes", "one sample in", INSP_T_BYTES, sites->sample_bytes);
		insp_field_u64(r, "samples", "live samples", INSP_T_COUNT, sites->nrecords);
	}
	insp_field_u64(r, "inuse_bytes", sites->sampled ? "in use, estimated" : "in use, recorded",
		       INSP_T_BYTES, recorded > 0 ? (uint64_t)(recorded + 0.5) : 0);
	insp_field_u64(r, "inuse_objects", sites->sampled ? "blocks, estimated" : "blocks, recorded",
		       INSP_T_COUNT, blocks > 0 ? (uint64_t)(blocks + 0.5) : 0);
	insp_field_u64(r, "walked_bytes", "in use by the walk", INSP_T_BYTES, walked);
	insp_field_u64(r, "walked_objects", "blocks by the walk", INSP_T_COUNT, walked_blocks);
	if (sites->sampled && walked) {
		insp_field_f64(r, "estimate_share", "estimate by walk", INSP_T_RATIO,
			       recorded / (double)walked);
	} else if (!sites->sampled) {
		insp_field_u64(r, "unknown_bytes", "not recorded", INSP_T_BYTES, walked - known);
		insp_field_u64(r, "unknown_objects", "blocks not recorded", INSP_T_COUNT,
			       walked_blocks - known_blocks);
	}
	insp_object_end(r);
	if (!sites->sampled && walked_blocks > known_blocks)
		insp_note(r, INSP_NOTE, "not_recorded",
			  "not recorded: what was allocated before the hook started, by libc for itself, "
			  "or while a signal handler interrupted the hook");
	if (sites->dropped || sites->nested)
		insp_note(r, INSP_WARNING, "dropped",
			  "the hook dropped %" PRIu64 " events because a table was full or memory was short, "
			  "and %" PRIu64 " in signal handlers", sites->dropped, sites->nested);
	if (sites->unmatched)
		insp_note(r, INSP_NOTE, "unmatched",
			  "%" PRIu64 " records fit no chunk in use: caught in the middle of a call",
			  sites->unmatched);
	if (sites->damaged)
		insp_note(r, INSP_WARNING, "damaged",
			  "%" PRIu64 " entries of the hook's tables make no sense and were left out",
			  sites->damaged);
}

static int gather(struct insp_context *ctx, const struct insp_sites *sites, const struct args *a,
		  const struct insp_profile *p, const uint32_t *numbers, struct rows *rows,
		  struct insp_error *err)
{
	int rc;

	if (strcmp(a->by, "function") == 0)
		return by_function(p, rows, err);
	if (strcmp(a->by, "site") == 0)
		rc = by_site(p, numbers, rows);
	else if (strcmp(a->by, "module") == 0)
		rc = by_module(p, rows);
	else
		rc = by_record(ctx, sites, a->by, rows);
	return rc ? insp_fail(err, INSP_E_NOMEM, "out of memory") : 0;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_sites *sites;
	struct insp_profile *profile = NULL;
	const uint32_t *numbers;
	struct rows rows = {0};
	int rc = insp_sites_wanted(ctx->snapshot, &sites, err);

	if (!rc)
		rc = insp_heap_profile(ctx, sites, &profile, &numbers, err);
	if (!rc)
		rc = gather(ctx, sites, a, profile, numbers, &rows, err);
	if (!rc) {
		if (rows.n)
			qsort_r(rows.items, rows.n, sizeof(*rows.items), by_key, (void *)a->sort);
		report_rows(report, profile, &rows, a);
		if (a->stacks && strcmp(a->by, "site") == 0) {
			insp_list_begin(report, "stacks", "Stacks");
			for (size_t i = 0; i < rows.n && (!a->limit || i < a->limit); i++)
				report_stack(report, profile, &rows.items[i], ctx->pool);
			insp_list_end(report);
		}
		report_join(report, ctx->snapshot, sites);
		insp_report_profile_only(report, profile);
	}
	insp_vec_free(&rows);
	insp_profile_destroy(profile);
	return rc;
}

const struct insp_command insp_cmd_heap_top = {
	.name = "heap top",
	.group = "heap",
	.summary = "who asked for the memory: by call stack, function, module, size, thread or age",
	.help = "Needs the hook: start the program with 'meminspect run -- PROGRAM'. In use is what lives "
		"now, allocated is all since the start; both count the bytes that were asked for. By site, "
		"the row names the innermost function that is not of the allocator's wrappers and its "
		"callers; --stacks shows all of the stack. By function, cum adds what it calls.\n\n"
		"Below stands how much of the heap the hook knows, beside what the walk found: what was "
		"allocated before it started is not in it. In sampled mode all figures are estimates, "
		"and the line 'estimate by walk' says how near they are in sum.",
	.example = "heap top --by function --limit 10",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_PROFILE,
	.tables = tables,
	.needs = INSP_NEED_SITES | INSP_NEED_CHUNKS | INSP_NEED_SYMBOLS,
	.run = run,
};
