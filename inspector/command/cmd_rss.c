/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rss: every resident byte in one line, and what could be given back. */
#include <stdlib.h>
#include <string.h>

#include "analysis/books.h"
#include "base/fmt.h"
#include "command/heap_common.h"

#define SHOWN_ARENAS 8

struct args {
	bool threads, mappings, arenas;
	const char *sort;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{.name = "threads", .letter = 't', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, threads),
	 .help = "list the threads' stacks, largest first"},
	{.name = "mappings", .letter = 'm', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, mappings),
	 .help = "list all mappings but heaps and stacks, not only those that nobody claims"},
	{.name = "arenas", .letter = 'a', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, arenas),
	 .help = "list every arena, not only the largest"},
	{.name = "sort", .type = INSP_OPT_CHOICE, .arg = "KEY", .choices = "rss|age|address", .def = "rss",
	 .offset = offsetof(struct args, sort),
	 .help = "order of mappings: resident bytes, oldest first, or address"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "N", .def = "10",
	 .offset = offsetof(struct args, limit), .help = "rows of mappings and stacks; 0: all"},
	INSP_OPTION_END,
};

static const struct insp_column line_columns[] = {
	{"key", NULL, INSP_T_STR, 0, "stable name of the line"},
	{"line", "", INSP_T_STR, 0, "what the bytes are"},
	{"rss", "resident", INSP_T_BYTES, INSP_COL_TOTAL,
	 "resident bytes; the lines add up to the total"},
	{"share", "share", INSP_T_RATIO, 0, "of all resident bytes"},
	{"bar", "", INSP_T_BAR, 0, "the same, as a bar"},
	{"pss", "PSS", INSP_T_BYTES, INSP_COL_TOTAL,
	 "resident bytes, shared pages divided by their users"},
	{"swap", "swap", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_WIDE, "bytes swapped out"},
	{"huge", "huge pages", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_WIDE,
	 "of the resident bytes, those in transparent huge pages"},
	{"size", "size", INSP_T_BYTES, INSP_COL_WIDE, "bytes of chunks or of address space"},
	{"count", "count", INSP_T_COUNT, INSP_COL_WIDE, "chunks, stacks or mappings"},
	{"release", "could go back", INSP_T_BYTES, INSP_COL_TOTAL,
	 "resident bytes that can be given back without loss"},
	{"how", "how", INSP_T_STR, INSP_COL_WRAP | INSP_COL_SPARE,
	 "by what they could be given back"},
};

static const struct insp_column arena_columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"rss", "resident", INSP_T_BYTES, INSP_COL_TOTAL, "resident bytes of its chunks"},
	{"in_use", "in use", INSP_T_BYTES, INSP_COL_TOTAL,
	 "of these, in chunks that belong to the program"},
	{"tcache", "tcache", INSP_T_BYTES, INSP_COL_TOTAL, "in threads' caches"},
	{"bins", "bins", INSP_T_BYTES, INSP_COL_TOTAL, "in fastbins and bins"},
	{"top", "top", INSP_T_BYTES, INSP_COL_TOTAL, "in top"},
	{"metadata", "own", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_SPARE, "malloc's own"},
	{"absent", "not resident", INSP_T_BYTES, INSP_COL_TOTAL,
	 "bytes of its chunks that are not in memory"},
	{"swap", "swap", INSP_T_BYTES, INSP_COL_TOTAL | INSP_COL_WIDE, "of those, swapped out"},
};

static const struct insp_column mapping_columns[] = {
	{"start", "start", INSP_T_ADDR, 0, "first address"},
	{"end", NULL, INSP_T_ADDR, 0, "behind the last address"},
	{"size", "size", INSP_T_BYTES, 0, "bytes of address space"},
	{"rss", "resident", INSP_T_BYTES, INSP_COL_TOTAL, "resident bytes"},
	{"pss", "PSS", INSP_T_BYTES, INSP_COL_WIDE, "shared pages divided by their users"},
	{"swap", "swap", INSP_T_BYTES, INSP_COL_WIDE, "swapped out"},
	{"huge", "huge pages", INSP_T_BYTES, INSP_COL_WIDE, "in transparent huge pages"},
	{"lazy_free", "given up", INSP_T_BYTES, INSP_COL_WIDE, "MADV_FREE: the kernel may take it any time"},
	{"perms", "", INSP_T_STR, 0, "as in /proc/PID/maps"},
	{"age", "age", INSP_T_ID, 0, "1 is the oldest anonymous mapping, by its place; 0 unknown"},
	{"line", "line", INSP_T_STR, 0, "the line of the books that it is part of"},
	{"name", "what", INSP_T_STR, INSP_COL_WRAP, "its name, or what it may be"},
};

static const struct insp_column stack_columns[] = {
	{"tid", "thread", INSP_T_ID, 0, "thread id"},
	{"name", "name", INSP_T_STR, 0, "thread name"},
	{"start", "start", INSP_T_ADDR, INSP_COL_WIDE, "lowest address"},
	{"size", "size", INSP_T_BYTES, INSP_COL_TOTAL, "bytes of address space"},
	{"rss", "resident", INSP_T_BYTES, INSP_COL_TOTAL, "really touched and in memory"},
	{"swap", "swap", INSP_T_BYTES, INSP_COL_WIDE, "swapped out"},
	{"unused", "touched, unused now", INSP_T_BYTES, INSP_COL_TOTAL, "resident, and below the stack pointer"},
};

static const struct insp_table lines_table = {
	.key = "lines",
	.columns = line_columns,
	.ncolumns = sizeof(line_columns) / sizeof(line_columns[0]),
	.empty = "nothing is resident",
	.draw = INSP_DRAW_TREEMAP,
};

static void report_lines(struct insp_report *r, const struct insp_books *b)
{
	insp_table_begin(r, &lines_table);
	for (unsigned k = 0; k < INSP_N_BOOKS; k++) {
		const struct insp_book_line *line = &b->lines[k];
		double share = b->rss ? (double)line->rss / (double)b->rss : 0;

		if (!line->rss && !line->swap && k != INSP_BOOK_UNEXPLAINED)
			continue;
		insp_cell_str(r, insp_book_key((enum insp_book_kind)k));
		insp_cell_str(r, insp_book_title((enum insp_book_kind)k));
		insp_cell_u64(r, line->rss);
		insp_cell_f64(r, share);
		insp_cell_f64(r, share);
		insp_cell_u64(r, line->pss);
		insp_cell_u64(r, line->swap);
		insp_cell_u64(r, line->huge);
		insp_cell_u64(r, line->size);
		insp_cell_u64(r, line->count);
		insp_cell_u64(r, line->release);
		insp_cell_str(r, line->how ? line->how : "");
		insp_row_end(r);
	}
	insp_table_end(r);
}

static uint64_t sum(const uint64_t *states)
{
	uint64_t total = 0;

	for (unsigned s = 0; s < INSP_N_CHUNK_STATES; s++)
		total += states[s];
	return total;
}

/* The arena with the most resident bytes that is not yet `done`; n: none. */
static size_t next_arena(const struct insp_books *b, size_t n, const bool *done)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++)
		if (!done[i] && (best == n || sum(b->arenas[i].rss) > sum(b->arenas[best].rss)))
			best = i;
	return best;
}

static const struct insp_table arenas_table =
	INSP_TABLE("arenas", "Heaps, resident bytes", arena_columns, NULL);

static void report_arenas(struct insp_report *r, const struct insp_snapshot *snap,
			  const struct insp_books *b, bool all, struct insp_pool *pool)
{
	size_t n = snap->arenas.n, limit = all || n < SHOWN_ARENAS ? n : SHOWN_ARENAS, shown = 0;
	bool *done = insp_pool_array(pool, n + 1, sizeof(*done));

	if (!n || !done || !b->exact)
		return;
	insp_table_begin(r, &arenas_table);
	for (; shown < limit; shown++) {
		size_t i = next_arena(b, n, done);
		const struct insp_book_arena *a = &b->arenas[i];
		uint64_t rss = sum(a->rss);

		done[i] = true;
		insp_cell_str(r, snap->arenas.items[i].name);
		insp_cell_u64(r, rss);
		insp_cell_u64(r, a->rss[INSP_CHUNK_INUSE] + a->rss[INSP_CHUNK_MMAPPED]);
		insp_cell_u64(r, a->rss[INSP_CHUNK_TCACHE]);
		insp_cell_u64(r, a->rss[INSP_CHUNK_FASTBIN] + a->rss[INSP_CHUNK_UNSORTED] +
					 a->rss[INSP_CHUNK_SMALLBIN] + a->rss[INSP_CHUNK_LARGEBIN] +
					 a->rss[INSP_CHUNK_UNLINKED]);
		insp_cell_u64(r, a->rss[INSP_CHUNK_TOP]);
		insp_cell_u64(r, a->rss[INSP_CHUNK_METADATA]);
		insp_cell_u64(r, sum(a->size) - rss);
		insp_cell_u64(r, sum(a->swap));
		insp_row_end(r);
	}
	insp_table_end(r);
	if (shown < n)
		insp_table_cut(r, shown, n, "--arenas lists all");
}

static bool unclaimed(const struct insp_book_mapping *m)
{
	return m->kind == INSP_BOOK_ANON || m->kind == INSP_BOOK_JIT || m->kind == INSP_BOOK_NAMED ||
	       m->kind == INSP_BOOK_IDLE_STACKS;
}

/* Sorted as asked: 0 keeps the order of resident bytes. */
static const struct insp_book_mapping **sorted_mappings(const struct insp_books *b, const struct args *a,
							struct insp_pool *pool, size_t *ret_n)
{
	const struct insp_book_mapping **list = insp_pool_array(pool, b->mappings.n + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list && i < b->mappings.n; i++) {
		const struct insp_book_mapping *m = &b->mappings.items[i];

		if ((m->rss || m->swap) && (a->mappings || unclaimed(m)))
			list[n++] = m;
	}
	*ret_n = n;
	return list;
}

static int by_address(const void *x, const void *y)
{
	const struct insp_book_mapping *a = *(const struct insp_book_mapping *const *)x;
	const struct insp_book_mapping *b = *(const struct insp_book_mapping *const *)y;

	return (a->start > b->start) - (a->start < b->start);
}

static int by_age(const void *x, const void *y)
{
	const struct insp_book_mapping *a = *(const struct insp_book_mapping *const *)x;
	const struct insp_book_mapping *b = *(const struct insp_book_mapping *const *)y;

	if (a->age != b->age)
		return a->age - 1 < b->age - 1 ? -1 : 1; /* 0, unknown, comes last */
	return by_address(x, y);
}

static void report_mappings(struct insp_report *r, const struct insp_books *b, const struct args *args,
			    struct insp_pool *pool)
{
	struct insp_table table = INSP_TABLE("mappings", "Mappings that nobody claims", mapping_columns, NULL);
	size_t n, shown = 0;
	const struct insp_book_mapping **list = sorted_mappings(b, args, pool, &n);

	if (!n)
		return;
	if (args->mappings)
		table.title = "Mappings, heaps and stacks left out";
	if (strcmp(args->sort, "rss"))
		qsort(list, n, sizeof(*list), strcmp(args->sort, "age") ? by_address : by_age);
	insp_table_begin(r, &table);
	for (; shown < n && (!args->limit || shown < args->limit); shown++) {
		const struct insp_book_mapping *m = list[shown];

		insp_cell_u64(r, m->start);
		insp_cell_u64(r, m->end);
		insp_cell_u64(r, m->end - m->start);
		insp_cell_u64(r, m->rss);
		insp_cell_u64(r, m->pss);
		insp_cell_u64(r, m->swap);
		insp_cell_u64(r, m->huge);
		insp_cell_u64(r, m->lazy_free);
		insp_cell_str(r, m->perms);
		insp_cell_i64(r, m->age);
		insp_cell_str(r, insp_book_key(m->kind));
		insp_cell_str(r, m->hint ? m->hint : m->name);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (shown < n)
		insp_table_cut(r, shown, n, "--limit 0 shows all");
}

static const struct insp_table stacks_table =
	INSP_TABLE("stacks", "Stacks of threads", stack_columns, "no thread but the main one");

static void report_stacks(struct insp_report *r, const struct insp_books *b, uint64_t limit)
{
	size_t shown = 0;

	insp_table_begin(r, &stacks_table);
	for (; shown < b->stacks.n && (!limit || shown < limit); shown++) {
		const struct insp_book_stack *s = &b->stacks.items[shown];

		insp_cell_i64(r, s->tid);
		insp_cell_str(r, s->name);
		insp_cell_u64(r, s->start);
		insp_cell_u64(r, s->end - s->start);
		insp_cell_u64(r, s->rss);
		insp_cell_u64(r, s->swap);
		insp_cell_u64(r, s->below_sp);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (shown < b->stacks.n)
		insp_table_cut(r, shown, b->stacks.n, "--limit 0 shows all");
}

static void optional_bytes(struct insp_report *r, const char *key, const char *title, uint64_t value)
{
	if (value == INSP_UNKNOWN)
		insp_field_unknown(r, key, NULL);
	else
		insp_field_u64(r, key, value ? title : NULL, INSP_T_BYTES, value);
}

/* Of a target that keeps no books, like a core. */
static const struct insp_usage no_usage = {
	.vm_rss = INSP_UNKNOWN,
	.vm_hwm = INSP_UNKNOWN,
	.vm_size = INSP_UNKNOWN,
	.vm_pte = INSP_UNKNOWN,
	.cgroup_current = INSP_UNKNOWN,
	.cgroup_max = INSP_UNKNOWN,
	.mem_total = INSP_UNKNOWN,
	.mem_available = INSP_UNKNOWN,
};

static const struct insp_usage *usage_of(const struct insp_snapshot *snap)
{
	return snap->usage.n ? &snap->usage : &no_usage;
}

/* What the sum is, and what is counted elsewhere. */
static void report_totals(struct insp_report *r, const struct insp_snapshot *snap,
			  const struct insp_books *b)
{
	const struct insp_usage *u = usage_of(snap);

	insp_object_begin(r, "totals", NULL);
	insp_field_u64(r, "rss", "resident", INSP_T_BYTES, b->rss);
	insp_field_u64(r, "pss", "PSS", INSP_T_BYTES, b->pss);
	insp_field_u64(r, "swap", b->swap ? "swap" : NULL, INSP_T_BYTES, b->swap);
	insp_field_u64(r, "heap_rss", "of it heap", INSP_T_BYTES, insp_books_heap_rss(b));
	optional_bytes(r, "vm_rss", NULL, u->vm_rss);
	if (b->drift == INT64_MIN)
		insp_field_unknown(r, "drift", NULL);
	else
		insp_field_i64(r, "drift", b->drift ? "VmRSS differs by" : NULL, INSP_T_DELTA, b->drift);
	optional_bytes(r, "vm_hwm", "peak", u->vm_hwm);
	insp_field_u64(r, "huge", b->huge ? "in huge pages" : NULL, INSP_T_BYTES, b->huge);
	insp_field_u64(r, "lazy_free", b->lazy_free ? "given up (MADV_FREE)" : NULL, INSP_T_BYTES, b->lazy_free);
	insp_field_bool(r, "exact", NULL, b->exact);
	insp_object_end(r);
}

static void report_beside(struct insp_report *r, const struct insp_snapshot *snap,
			  const struct insp_books *b)
{
	const struct insp_usage *u = usage_of(snap);

	insp_object_begin(r, "beside", "Not part of RSS");
	optional_bytes(r, "page_tables", "page tables", u->vm_pte);
	insp_field_u64(r, "hugetlb", b->hugetlb ? "hugetlb pages" : NULL, INSP_T_BYTES, b->hugetlb);
	optional_bytes(r, "vm_size", "address space", u->vm_size);
	insp_field_str(r, "cgroup", u->cgroup_path ? "cgroup" : NULL, u->cgroup_path);
	optional_bytes(r, "cgroup_current", "cgroup's usage", u->cgroup_current);
	optional_bytes(r, "cgroup_max", "cgroup's limit", u->cgroup_max);
	optional_bytes(r, "mem_total", NULL, u->mem_total);
	optional_bytes(r, "mem_available", NULL, u->mem_available);
	insp_object_end(r);
}

static void report_notes(struct insp_report *r, const struct insp_books *b)
{
	char buf[INSP_FMT_MAX];

	if (b->missing)
		insp_note(r, INSP_WARNING, "estimated", "%s", b->missing);
	if (b->drift != INT64_MIN && b->drift)
		insp_note(r, INSP_NOTE, "counter_drift",
			  "VmRSS of /proc/PID/status is %s %s than the pages that smaps counts: the kernel "
			  "keeps that counter per CPU and folds it in batches",
			  insp_fmt_bytes(buf, (uint64_t)(b->drift < 0 ? -b->drift : b->drift)),
			  b->drift < 0 ? "less" : "more");
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_books books;
	int rc = insp_books_balance(ctx->snapshot, ctx->pool, &books, err);

	if (rc)
		return rc;
	report_totals(report, ctx->snapshot, &books);
	report_lines(report, &books);
	report_arenas(report, ctx->snapshot, &books, a->arenas, ctx->pool);
	report_mappings(report, &books, a, ctx->pool);
	if (a->threads)
		report_stacks(report, &books, a->limit);
	report_beside(report, ctx->snapshot, &books);
	report_notes(report, &books);
	insp_books_deinit(&books);
	return 0;
}

static const struct insp_column totals_fields[] = {
	{"rss", NULL, INSP_T_BYTES, 0, "resident memory: the sum of the lines"},
	{"pss", NULL, INSP_T_BYTES, 0, "the same, shared pages divided among their users"},
	{"swap", NULL, INSP_T_BYTES, 0, "swapped out"},
	{"heap_rss", NULL, INSP_T_BYTES, 0, "of rss: heaps of malloc"},
	{"vm_rss", NULL, INSP_T_BYTES, 0, "VmRSS of /proc/PID/status"},
	{"drift", NULL, INSP_T_DELTA, 0, "vm_rss minus rss: the kernel counts lazily, and time passed"},
	{"vm_hwm", NULL, INSP_T_BYTES, 0, "largest RSS so far"},
	{"huge", NULL, INSP_T_BYTES, 0, "in huge pages"},
	{"lazy_free", NULL, INSP_T_BYTES, 0, "given up with MADV_FREE, still counted"},
	{"exact", NULL, INSP_T_BOOL, 0, "pages were looked at one by one; false: sums of smaps only"},
};
static const struct insp_table totals_doc = INSP_TABLE("totals", NULL, totals_fields, NULL);

static const struct insp_column beside_fields[] = {
	{"page_tables", NULL, INSP_T_BYTES, 0, "of the kernel, for this process"},
	{"hugetlb", NULL, INSP_T_BYTES, 0, "hugetlbfs pages: not part of RSS"},
	{"vm_size", NULL, INSP_T_BYTES, 0, "address space"},
	{"cgroup", NULL, INSP_T_STR, 0, "path of the control group"},
	{"cgroup_current", NULL, INSP_T_BYTES, 0, "its usage"},
	{"cgroup_max", NULL, INSP_T_BYTES, 0, "its limit"},
	{"mem_total", NULL, INSP_T_BYTES, 0, "memory of the machine"},
	{"mem_available", NULL, INSP_T_BYTES, 0, "of it, free or given back without swapping"},
};
static const struct insp_table beside_doc = INSP_TABLE("beside", NULL, beside_fields, NULL);
static const struct insp_table mappings_doc = INSP_TABLE("mappings", NULL, mapping_columns, NULL);
static const struct insp_table *const tables[] = {
	&totals_doc, &beside_doc, &lines_table, &arenas_table, &mappings_doc, &stacks_table, NULL,
};

const struct insp_command insp_cmd_rss = {
	.name = "rss",
	.group = "memory",
	.summary = "where every resident byte is, and what could be given back",
	.help = "Puts each resident byte of the process in exactly one line; the lines add up to the Rss of "
		"/proc/PID/smaps at the same instant. Heaps are split by what malloc did with the chunks: "
		"a page that holds chunks of several states is divided by their bytes. `unexplained` is "
		"what no rule could place, and should be 0.\n\n"
		"Could go back counts resident bytes that nobody needs: what malloc_trim(0) would "
		"return, stack pages deeper than the stack is now, memory given up with MADV_FREE.\n\n"
		"Mappings that nobody claims are listed with the nearest hint: a name, a guard page, generated "
		"code, a runtime that is in the process. Age 1 is the oldest: the kernel places new mappings "
		"below the older ones.\n\n"
		"VmRSS of /proc/PID/status may differ by a few pages on older kernels, which batch that "
		"counter per CPU; the difference is shown.",
	.example = "rss --threads",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_USAGE | INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
