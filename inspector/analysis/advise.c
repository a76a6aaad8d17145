/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * advise: the rules. Each looks at one cause, and speaks up when that cause holds at least a twentieth
 * of RSS and a megabyte (or what the rule says otherwise), so that what is said is worth reading.
 */
#include "analysis/advise.h"

#include <inttypes.h>
#include <stdlib.h>

#include "analysis/books.h"
#include "analysis/census.h"
#include "analysis/occupancy.h"
#include "analysis/pins.h"
#include "analysis/trim.h"
#include "base/fmt.h"
#include "base/vec.h"
#include "heap/allocator.h"

#define MIN_BYTES (UINT64_C(1) << 20)
#define DEFAULT_MMAP_THRESHOLD (UINT64_C(128) << 10)

struct facts {
	const struct insp_snapshot *snap;
	struct insp_pool *pool;
	struct insp_advices *out;
	const struct insp_advise_leaks *leaks;
	const struct insp_advise_names *names;
	struct insp_books books;
	struct insp_occupancy occupancy;
	struct insp_census *census;
	struct insp_pins pins;
	struct insp_trim trim;
};

/* The size of a figure, as text in the pool. */
static const char *bytes(struct facts *f, uint64_t v)
{
	char buf[INSP_FMT_MAX];
	const char *s = insp_pool_strdup(f->pool, insp_fmt_bytes(buf, v));

	return s ? s : "?";
}

static double part(const struct facts *f, uint64_t v)
{
	return f->books.rss ? (double)v / (double)f->books.rss : 0;
}

static bool matters(const struct facts *f, uint64_t v, double share)
{
	return v >= MIN_BYTES && part(f, v) >= share;
}

static void say(struct facts *f, const struct insp_advice *advice)
{
	struct insp_advice *a = insp_vec_push(f->out);

	if (a)
		*a = *advice;
}

static void check_arenas(struct facts *f)
{
	uint64_t idle = 0, resident = 0, n = 0;

	for (size_t i = 0; i < f->snap->arenas.n; i++) {
		const struct insp_occupancy_arena *a = &f->occupancy.arenas[i];

		if (f->snap->arenas.items[i].flags & (INSP_ARENA_MAIN | INSP_ARENA_MMAPPED))
			continue;
		n++;
		resident += a->resident;
		idle += a->resident - a->in_use;
	}
	if (n < 4 || !matters(f, idle, 0.05))
		return;
	say(f, &(struct insp_advice){
		       .code = "too_many_arenas",
		       .severity = INSP_WARNING,
		       .bytes = idle,
		       .verdict = "many arenas, each with free memory of its own",
		       .evidence = insp_pool_printf(f->pool,
						    "%" PRIu64 " arenas beside main hold %s in memory, %s of it not in "
						    "use (%.0f %% of RSS)",
						    n, bytes(f, resident), bytes(f, idle), 100 * part(f, idle)),
		       .attempt = "start it with MALLOC_ARENA_MAX=2 (or GLIBC_TUNABLES=glibc.malloc.arena_max=2): "
				  "threads then share arenas, for a little more contention",
		       .see = "heap arenas",
	       });
}

static void check_trim(struct facts *f)
{
	uint64_t top = f->trim.total.release_top, bins = f->trim.total.release_bins;
	uint64_t threshold = 0;

	for (size_t i = 0; i < f->snap->allocators.n; i++)
		if (f->snap->allocators.items[i].trim_threshold > threshold)
			threshold = f->snap->allocators.items[i].trim_threshold;
	if (matters(f, top, 0.05))
		say(f, &(struct insp_advice){
			       .code = "free_top",
			       .severity = INSP_WARNING,
			       .bytes = top,
			       .verdict = "the free end of the main heap is in memory and not given back",
			       .evidence = insp_pool_printf(f->pool,
							    "top of the main arena: %s could go at once; free() cuts it only "
							    "above the trim threshold, which is %s",
							    bytes(f, top), bytes(f, threshold)),
			       .attempt = "call malloc_trim(0) after peaks, or set M_TRIM_THRESHOLD "
					  "(MALLOC_TRIM_THRESHOLD_) lower, which also keeps it from growing by itself",
			       .see = "heap trim --dry-run",
		       });
	if (matters(f, bins, 0.05))
		say(f, &(struct insp_advice){
			       .code = "free_pages",
			       .severity = INSP_WARNING,
			       .bytes = bins,
			       .verdict = "whole pages inside free chunks are still in memory",
			       .evidence = insp_pool_printf(f->pool, "%s (%.0f %% of RSS) lies in free chunks as whole pages",
							    bytes(f, bins), 100 * part(f, bins)),
			       .attempt = "malloc_trim(0), from time to time or after peaks, gives them back: glibc does "
					  "not do so by itself",
			       .see = "heap trim --dry-run",
		       });
}

/* "; most by make_session < accept_one: 9.10 MiB", where the hook recorded it. */
static const char *most_by(struct facts *f)
{
	const char *s = NULL;

	for (size_t i = 0; !s && i < f->pins.nowners && i < 2; i++)
		if (f->pins.owners[i].key)
			s = insp_pool_printf(f->pool, "; most by %s: %s",
					     f->names->site(f->names->ctx, f->pins.owners[i].key),
					     bytes(f, f->pins.owners[i].pinned));
	return s ? s : "";
}

static void check_pins(struct facts *f)
{
	const struct insp_pin_group *g = f->pins.ngroups ? &f->pins.groups[0] : NULL;

	if (!g || !matters(f, f->pins.pinned, 0.05))
		return;
	say(f,
	    &(struct insp_advice){
		    .code = "fragmentation",
		    .severity = INSP_WARNING,
		    .bytes = f->pins.pinned,
		    .verdict = "free memory is pinned by chunks in use on the same pages",
		    .evidence = insp_pool_printf(
			    f->pool,
			    "%s is free and cannot go back; %" PRIu64 " chunks of %" PRIu64
			    " to %" PRIu64 " bytes pin %s of it (%.0f %%)%s",
			    bytes(f, f->pins.pinned), g->chunks, insp_size_class_min(g->size_class),
			    insp_size_class_min(g->size_class + 1) - 1, bytes(f, g->pinned),
			    100.0 * (double)g->pinned / (double)f->pins.pinned, most_by(f)),
		    .attempt = "allocate what lives long before the short-lived peak, or in a pool "
			       "of its own; find "
			       "who owns these chunks (heap pins --by site with the hook; whatis "
			       "and path)",
		    .see = f->pins.nowners ? "heap pins --by site" : "heap pins --by type",
	    });
}

static void check_threshold(struct facts *f)
{
	uint64_t threshold = 0, large = 0;

	for (size_t i = 0; i < f->snap->allocators.n; i++)
		if (f->snap->allocators.items[i].mmap_threshold > threshold)
			threshold = f->snap->allocators.items[i].mmap_threshold;
	for (unsigned c = insp_size_class(DEFAULT_MMAP_THRESHOLD); c < INSP_SIZE_CLASSES; c++)
		large += f->census->sizes[c].free.bytes;
	if (threshold <= DEFAULT_MMAP_THRESHOLD || !matters(f, large, 0.05))
		return;
	say(f, &(struct insp_advice){
		       .code = "mmap_threshold_grew",
		       .severity = INSP_WARNING,
		       .bytes = large,
		       .verdict = "large blocks are kept in the arenas, because the mmap threshold has grown",
		       .evidence = insp_pool_printf(f->pool,
						    "the threshold is %s now (it starts at 128 KiB and grows to the largest "
						    "mmapped block that was freed); free chunks above 128 KiB: %s",
						    bytes(f, threshold), bytes(f, large)),
		       .attempt = "fix it: mallopt(M_MMAP_THRESHOLD, 131072) or MALLOC_MMAP_THRESHOLD_=131072; large "
				  "blocks then go back when they are freed, at the price of page faults",
		       .see = "heap sizes",
	       });
}

static void check_stacks(struct facts *f)
{
	const struct insp_book_line *line = &f->books.lines[INSP_BOOK_THREAD_STACKS];
	const struct insp_book_line *idle = &f->books.lines[INSP_BOOK_IDLE_STACKS];

	if (matters(f, line->rss + idle->rss, 0.1))
		say(f, &(struct insp_advice){
			       .code = "thread_stacks",
			       .severity = INSP_WARNING,
			       .bytes = line->rss + idle->rss,
			       .verdict = "stacks of threads hold much of the memory",
			       .evidence = insp_pool_printf(f->pool,
							    "%" PRIu64 " threads touched %s of stack, %s of it deeper than now; "
							    "%s in stacks without a thread",
							    line->count, bytes(f, line->rss), bytes(f, line->release),
							    bytes(f, idle->rss)),
			       .attempt = "fewer threads; less recursion and fewer large local arrays; a smaller stack size "
					  "bounds it, and does not shrink what is really used",
			       .see = "rss --threads",
		       });
}

static void check_tcache(struct facts *f)
{
	const struct insp_book_line *line = &f->books.lines[INSP_BOOK_HEAP_TCACHE];

	if (matters(f, line->rss, 0.05))
		say(f, &(struct insp_advice){
			       .code = "tcache",
			       .severity = INSP_NOTE,
			       .bytes = line->rss,
			       .verdict = "much of the free memory lies in threads' caches",
			       .evidence = insp_pool_printf(f->pool, "tcaches hold %" PRIu64 " chunks, %s", line->count,
							    bytes(f, line->rss)),
			       .attempt = "GLIBC_TUNABLES=glibc.malloc.tcache_count=2 keeps fewer of each size; caches "
					  "of threads go when these end",
			       .see = "heap bins",
		       });
}

static void check_huge_pages(struct facts *f)
{
	uint64_t huge = 0, unused = f->occupancy.total.resident - f->occupancy.total.in_use;

	for (unsigned k = 0; k <= INSP_BOOK_HEAP_UNKNOWN; k++)
		huge += f->books.lines[k].huge;
	if (matters(f, huge, 0.2) && matters(f, unused, 0.1))
		say(f, &(struct insp_advice){
			       .code = "huge_pages",
			       .severity = INSP_NOTE,
			       .bytes = unused,
			       .verdict = "transparent huge pages make the heap resident in steps of 2 MiB",
			       .evidence = insp_pool_printf(f->pool, "%s of the heap is in huge pages, and %s of it is not in use",
							    bytes(f, huge), bytes(f, unused)),
			       .attempt = "compare with huge pages off for the process (prctl PR_SET_THP_DISABLE)",
			       .see = "rss --wide",
		       });
}

static void check_others(struct facts *f)
{
	const struct insp_book_line *lines = f->books.lines;
	uint64_t anon = lines[INSP_BOOK_ANON].rss + lines[INSP_BOOK_JIT].rss + lines[INSP_BOOK_NAMED].rss;
	uint64_t shared = lines[INSP_BOOK_SHARED_MEMORY].rss;
	uint64_t files = lines[INSP_BOOK_FILE_SHARED].rss + lines[INSP_BOOK_FILE_PRIVATE].rss;

	if (matters(f, anon, 0.3)) {
		const char *hint = NULL;

		for (size_t i = 0; i < f->books.mappings.n && !hint; i++)
			if (f->books.mappings.items[i].kind == INSP_BOOK_ANON &&
			    f->books.mappings.items[i].rss >= anon / 10)
				hint = f->books.mappings.items[i].hint;
		say(f, &(struct insp_advice){
			       .code = "outside_malloc",
			       .severity = INSP_NOTE,
			       .bytes = anon,
			       .verdict = "most of it is not malloc's: another runtime or mmap of its own",
			       .evidence = insp_pool_printf(f->pool, "%s (%.0f %% of RSS) in anonymous mappings%s%s", bytes(f, anon),
							    100 * part(f, anon), hint ? "; " : "", hint ? hint : ""),
			       .attempt = "use that runtime's own tools and limits for its heap",
			       .see = "rss --mappings",
		       });
	}
	if (matters(f, shared, 0.2))
		say(f, &(struct insp_advice){
			       .code = "shared_memory",
			       .severity = INSP_NOTE,
			       .bytes = shared,
			       .verdict = "shared memory counts in full here, and in each process that uses it",
			       .evidence = insp_pool_printf(f->pool, "%s resident, its share (PSS) is %s", bytes(f, shared),
							    bytes(f, lines[INSP_BOOK_SHARED_MEMORY].pss)),
			       .see = "rss --mappings",
		       });
	if (matters(f, files, 0.3))
		say(f, &(struct insp_advice){
			       .code = "file_mappings",
			       .severity = INSP_NOTE,
			       .bytes = files,
			       .verdict = "mapped files count in RSS, and go when memory is short",
			       .evidence = insp_pool_printf(f->pool, "%s of mapped files is in memory", bytes(f, files)),
			       .see = "rss --mappings",
		       });
}

static void check_limits(struct facts *f)
{
	const struct insp_usage *u = &f->snap->usage;

	if (u->n && u->cgroup_max != INSP_UNKNOWN && u->cgroup_current != INSP_UNKNOWN && u->cgroup_max &&
	    (double)u->cgroup_current >= 0.9 * (double)u->cgroup_max)
		say(f, &(struct insp_advice){
			       .code = "near_limit",
			       .severity = INSP_WARNING,
			       .bytes = u->cgroup_current,
			       .verdict = "the control group is close to its limit: the kernel may kill soon",
			       .evidence = insp_pool_printf(f->pool, "%s of %s used (%s)", bytes(f, u->cgroup_current),
							    bytes(f, u->cgroup_max), u->cgroup_path ? u->cgroup_path : "?"),
			       .see = "rss",
		       });
	if (f->books.swap >= MIN_BYTES && f->books.swap >= f->books.rss / 10)
		say(f, &(struct insp_advice){
			       .code = "swapped",
			       .severity = INSP_NOTE,
			       .bytes = f->books.swap,
			       .verdict = "part of the process is in swap: RSS alone understates it",
			       .evidence = insp_pool_printf(f->pool, "%s in swap beside %s in memory", bytes(f, f->books.swap),
							    bytes(f, f->books.rss)),
			       .see = "rss --wide",
		       });
}

static void check_findings(struct facts *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->snap->findings.n; i++)
		n += f->snap->findings.items[i].severity == INSP_CORRUPTION;
	if (n)
		say(f, &(struct insp_advice){
			       .code = "corruption",
			       .severity = INSP_WARNING,
			       .verdict = "the heap breaks malloc's own rules: something wrote where it should not",
			       .evidence = insp_pool_printf(f->pool, "%zu findings, the first: %s", n,
							    f->snap->findings.items[0].text),
			       .attempt = "look at these before anything else: figures may be off, and a crash is likely",
			       .see = "heap verify",
		       });
}

static void check_leaks(struct facts *f)
{
	uint64_t live = f->books.lines[INSP_BOOK_HEAP_IN_USE].rss + f->books.lines[INSP_BOOK_HEAP_MMAPPED].rss;

	if (f->leaks->known && matters(f, f->leaks->lost_bytes, 0.02))
		say(f, &(struct insp_advice){
			       .code = "leak",
			       .severity = INSP_WARNING,
			       .bytes = f->leaks->lost_bytes,
			       .verdict = "nothing points at these chunks any more: a leak",
			       .evidence = insp_pool_printf(f->pool, "%" PRIu64 " chunks, %s, are definitely lost, with what hangs on them",
							    f->leaks->lost_chunks, bytes(f, f->leaks->lost_bytes)),
			       .attempt = "see what they have in common, and who allocates it",
			       .see = "leaks",
		       });
	if (matters(f, live, 0.6))
		say(f, &(struct insp_advice){
			       .code = "in_use",
			       .severity = INSP_NOTE,
			       .bytes = live,
			       .verdict = "most of it is in use: trimming cannot help, the program holds it",
			       .evidence = insp_pool_printf(f->pool, "%s (%.0f %% of RSS) in chunks in use", bytes(f, live),
							    100 * part(f, live)),
			       .attempt = f->leaks->known
						  ? "if it grows, compare two snapshots: save now, diff later"
						  : "look for lost chunks (advise --leaks), and if it grows, compare two "
						    "snapshots: save now, diff later",
			       .see = f->leaks->known ? "diff" : "leaks",
		       });
}

/* Is there a heap that nothing can be said about, because no walker knows it? */
static void check_unwalked(struct facts *f)
{
	const struct insp_allocators *all = &f->snap->allocators;

	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].walked || strcmp(all->items[i].name, "glibc") == 0)
			return;
	if (!all->n || !all->items[0].confidence)
		return;
	say(f, &(struct insp_advice){
		       .code = "heap_not_walked",
		       .severity = INSP_NOTE,
		       .bytes = f->books.rss,
		       .verdict = insp_pool_printf(
			       f->pool,
			       "the heap is of %s, which is not walked: only the process as a "
			       "whole was judged",
			       all->items[0].title),
		       .evidence = all->items[0].evidence,
		       .attempt = insp_allocator_tools(all->items[0].name),
		       .see = "rss",
	       });
}

static int order(const void *a, const void *b)
{
	const struct insp_advice *x = a, *y = b;

	if (x->severity != y->severity)
		return x->severity > y->severity ? -1 : 1;
	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void conclude(struct facts *f)
{
	static void (*const rules[])(struct facts *) = {
		check_arenas, check_trim,     check_pins,	check_threshold,
		check_stacks, check_tcache,   check_huge_pages, check_others,
		check_limits, check_findings, check_leaks,	check_unwalked,
	};
	bool act = false;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		rules[i](f);
	insp_vec_each(f->out, a)
		act |= a->severity >= INSP_WARNING;
	if (!act && f->snap->chunks->n)
		say(f, &(struct insp_advice){
			       .code = "nothing_wrong",
			       .severity = INSP_NOTE,
			       .verdict = "nothing stands out as waste",
			       .evidence = insp_pool_printf(f->pool,
							    "%s resident; of the heap's %s, %s is in use; malloc_trim would return %s",
							    bytes(f, f->books.rss), bytes(f, f->occupancy.total.resident),
							    bytes(f, f->occupancy.total.in_use),
							    bytes(f, insp_trim_release(&f->trim.total))),
			       .see = "rss",
		       });
	if (!f->out->n)
		say(f,
		    &(struct insp_advice){
			    .code = "no_heap",
			    .severity = INSP_NOTE,
			    .bytes = f->books.rss,
			    .verdict =
				    "there is no heap to judge, and nothing stands out in the rest",
			    .evidence =
				    insp_pool_printf(f->pool, "%s resident, no chunk of a malloc",
						     bytes(f, f->books.rss)),
			    .see = "rss",
		    });
	qsort(f->out->items, f->out->n, sizeof(*f->out->items), order);
}

int insp_advise(const struct insp_snapshot *snapshot, const struct insp_advise_leaks *leaks,
		const struct insp_advise_names *names, struct insp_pool *pool,
		struct insp_advices *ret, struct insp_error *err)
{
	struct facts f = {
		.snap = snapshot, .pool = pool, .out = ret, .leaks = leaks, .names = names};
	const struct insp_pin_key key = {insp_pin_site, (void *)(uintptr_t)snapshot};
	int rc;

	*ret = (struct insp_advices){0};
	f.census = insp_pool_alloc(pool, sizeof(*f.census));
	if (!f.census)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_books_balance(snapshot, pool, &f.books, err);
	if (rc)
		return rc;
	rc = insp_occupancy_take(snapshot, pool, &f.occupancy, err);
	if (!rc)
		rc = insp_census_take(snapshot, pool, f.census, err);
	if (!rc)
		rc = insp_pins_find(snapshot, 1, names ? &key : NULL, pool, &f.pins, err);
	if (!rc)
		rc = insp_trim_plan(snapshot, 0, pool, &f.trim, err);
	if (!rc)
		conclude(&f);
	if (!rc && !ret->n)
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	insp_books_deinit(&f.books);
	if (rc)
		insp_advices_deinit(ret);
	return rc;
}

void insp_advices_deinit(struct insp_advices *advices)
{
	insp_vec_free(advices);
}
