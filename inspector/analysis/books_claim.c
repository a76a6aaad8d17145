/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * books_claim: what a mapping is, told from its name, its neighbours and the registers.
 *
 * Thread stacks. glibc and musl put the thread's descriptor at the high end of the stack's mapping,
 * and fs points at it. The kernel may have merged the stack with a mapping above (then the
 * descriptor tells where it ends) or below (guard pages inside of a mapping, since glibc 2.42: then
 * it starts where the stack below ends).
 *
 *     guard | stack ....... <- sp | static TLS | descriptor | padding | whatever was merged
 *                                              ^ fs           ^ next page border
 */
#include "analysis/books_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define DESCRIPTOR_BYTES UINT64_C(2304) /* struct pthread of glibc, 2.26 to 2.43: 2240 to 2304 */
#define DESCRIPTOR_SLACK UINT64_C(16384)
#define TLS_MAX		 UINT64_C(262144) /* above, fs points into something that is more than TLS */
#define GUARD_MAX	 UINT64_C(1048576)
#define DEFAULT_STACK	 (UINT64_C(8) << 20)

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_shared_memory(const char *name)
{
	static const char *const prefixes[] = {"/memfd:", "/dev/shm/", "/SYSV", "/dev/zero",
					       "/anon_hugepage", "/dev/hugepages/", "/i915"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (starts_with(name, prefixes[i]))
			return true;
	return false;
}

/* The module that region is mapped from, or continues as .bss; NULL: none. */
static const struct insp_module *module_of(const struct insp_snapshot *snapshot, size_t region,
					   bool *ret_bss)
{
	const struct insp_region *r = &snapshot->regions.items[region];
	const struct insp_module *m;

	*ret_bss = false;
	if (insp_region_anonymous(r)) {
		const struct insp_region *before = region ? r - 1 : NULL;

		/* .bss: no file, right behind the module's written data, and no name of its own */
		if (!before || before->end != r->start || insp_region_anonymous(before) ||
		    !(r->prot & INSP_PROT_WRITE) || r->name[0])
			return NULL;
		*ret_bss = true;
		r = before;
	}
	m = insp_modules_find(&snapshot->modules, r->start);
	if (!m || strcmp(m->path, r->name) != 0)
		return NULL;
	/* The kernel puts mmap's memory right behind a module too, and makes one mapping of both. */
	if (*ret_bss && (m->end <= r->end || (r[1].end - r->end) / 2 > m->end - r->end))
		return NULL;
	return m;
}

enum insp_book_kind insp_book_classify(const struct insp_snapshot *snapshot, size_t region,
				       enum insp_book_kind *ret_data)
{
	const struct insp_region *r = &snapshot->regions.items[region];
	bool bss;
	const struct insp_module *m = module_of(snapshot, region, &bss);
	enum insp_book_kind kind;

	if (m && !(r->flags & INSP_REGION_SHARED)) {
		*ret_data = m->is_main ? INSP_BOOK_PROGRAM_DATA : INSP_BOOK_LIBRARY_DATA;
		kind = m->is_main ? INSP_BOOK_PROGRAM_CODE : INSP_BOOK_LIBRARY_CODE;
		return bss ? *ret_data : kind;
	}
	if (r->flags & INSP_REGION_STACK)
		kind = INSP_BOOK_MAIN_STACK;
	else if (r->flags & INSP_REGION_SHARED)
		kind = is_shared_memory(r->name) || insp_region_anonymous(r) ? INSP_BOOK_SHARED_MEMORY
									  : INSP_BOOK_FILE_SHARED;
	else if (!insp_region_anonymous(r) && r->prot & INSP_PROT_EXEC && is_shared_memory(r->name))
		kind = INSP_BOOK_JIT;
	else if (!insp_region_anonymous(r))
		kind = INSP_BOOK_FILE_PRIVATE;
	else if (starts_with(r->name, "[v") || starts_with(r->name, "[uprobes]"))
		kind = INSP_BOOK_KERNEL;
	else if (r->prot & INSP_PROT_EXEC)
		kind = INSP_BOOK_JIT;
	else if (starts_with(r->name, "[anon"))
		kind = INSP_BOOK_NAMED;
	else
		kind = INSP_BOOK_ANON;
	*ret_data = kind;
	return kind;
}

static bool has_allocator(const struct insp_snapshot *snapshot, const char *name)
{
	for (size_t i = 0; i < snapshot->allocators.n; i++)
		if (strcmp(snapshot->allocators.items[i].name, name) == 0)
			return true;
	return false;
}

/* A runtime that makes mappings of its own, told by a module's file name or by its allocator: what a
   mapping of so many bytes may be to it. */
static const char *runtime_hint(const struct insp_snapshot *snapshot, uint64_t bytes)
{
	static const struct {
		const char *part, *hint;
		uint64_t step; /* its mappings are multiples of that; 0: not known */
	} modules[] = {
		{"libjvm.so", "the process runs a JVM: Java heap, metaspace or code cache"},
		{"libnode", "the process runs V8: JavaScript heap or generated code"},
		{"node", "the process runs V8: JavaScript heap or generated code"},
		/* 256 KiB until 3.9, 1 MiB since: ARENA_BITS in Objects/obmalloc.c */
		{"libpython", "the process runs CPython: arenas of its small-object allocator", 256 << 10},
		{"python", "the process runs CPython: arenas of its small-object allocator", 256 << 10},
		{"libruby", "the process runs Ruby: heap pages"},
		{"libcoreclr.so", "the process runs .NET: its managed heap"},
		{"libmono", "the process runs Mono: its managed heap"},
		{"libphp", "the process runs PHP: its request heap"},
		{"beam", "the process runs Erlang: its own heaps"},
	};

	for (size_t i = 0; i < snapshot->allocators.n; i++) {
		const struct insp_allocator *a = &snapshot->allocators.items[i];

		if (!a->walked && strcmp(a->name, "glibc")) /* glibc's is only unused then */
			return a->title;
	}
	for (size_t k = 0; k < sizeof(modules) / sizeof(modules[0]); k++)
		for (size_t i = 0; i < snapshot->modules.n; i++)
			if (starts_with(insp_module_basename(&snapshot->modules.items[i]), modules[k].part) &&
			    (!modules[k].step || bytes % modules[k].step == 0))
				return modules[k].hint;
	return NULL;
}

/* PROT_NONE right below region, small enough for a guard. */
static const struct insp_region *guard_below(const struct insp_snapshot *snapshot, size_t region)
{
	const struct insp_region *r = &snapshot->regions.items[region];
	const struct insp_region *g = region ? r - 1 : NULL;

	return g && g->end == r->start && g->prot == 0 && insp_region_anonymous(g) &&
			       insp_region_bytes(g) <= GUARD_MAX
		       ? g
		       : NULL;
}

/* Does it have the size of a stack: the default one, or that of a running thread? */
static bool stack_sized(uint64_t bytes, uint64_t guard, const struct insp_book_stacks *stacks)
{
	if (bytes + guard == DEFAULT_STACK || bytes == DEFAULT_STACK)
		return true;
	for (size_t i = 0; i < stacks->n; i++)
		if (stacks->items[i].end - stacks->items[i].start == bytes)
			return true;
	return false;
}

const char *insp_book_hint(const struct insp_snapshot *snapshot, struct insp_pool *pool,
			   size_t region, uint64_t start, uint64_t end,
			   const struct insp_book_stacks *stacks, enum insp_book_kind *kind)
{
	const struct insp_region *r = &snapshot->regions.items[region];
	const struct insp_region *guard = start == r->start ? guard_below(snapshot, region) : NULL;
	const char *runtime;

	for (size_t i = 0; i < snapshot->threads.n; i++) {
		const struct insp_thread *t = &snapshot->threads.items[i];

		if (t->have_regs && t->fs_base >= start && t->fs_base < end && end - start <= TLS_MAX)
			return insp_pool_printf(pool, "thread-local variables of thread %d (%s)", t->tid,
						t->name);
	}
	if (*kind == INSP_BOOK_ANON && guard && end == r->end &&
	    stack_sized(end - start, insp_region_bytes(guard), stacks)) {
		*kind = INSP_BOOK_IDLE_STACKS;
		return "size and guard page of a thread's stack, and no thread: kept for the next one";
	}
	if (r->flags & INSP_REGION_BRK)
		return "brk area, outside of what malloc uses";
	if (r->name[0])
		return r->name;
	runtime = runtime_hint(snapshot, end - start);
	if (guard && !runtime)
		return "begins above a guard page: a stack (coroutine, signal handler) or a guarded buffer";
	if (!runtime && *kind == INSP_BOOK_JIT)
		return "writable or generated code: a just-in-time compiler, or a trampoline";
	return runtime;
}

static int by_fs(const void *a, const void *b)
{
	const struct insp_thread *x = *(const struct insp_thread *const *)a;
	const struct insp_thread *y = *(const struct insp_thread *const *)b;

	return (x->fs_base > y->fs_base) - (x->fs_base < y->fs_base);
}

/* The end of the last span of chunks that begins below addr; 0: none. */
static uint64_t span_end_below(const struct insp_chunks *chunks, uint64_t addr)
{
	size_t lo = 0, hi = chunks->nspans;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (chunks->spans[mid].start < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? chunks->spans[lo - 1].end : 0;
}

static bool find_stack(const struct insp_snapshot *snapshot, const struct insp_thread *t,
		       uint64_t previous_end, struct insp_book_stack *ret)
{
	const struct insp_region *r = insp_regions_find(&snapshot->regions, t->fs_base);
	uint64_t page = snapshot->page_size, start, end, spans;

	if (!t->have_regs || !r || t->tid == snapshot->pid || !insp_region_anonymous(r) ||
	    r->flags & (INSP_REGION_SHARED | INSP_REGION_BRK | INSP_REGION_STACK) ||
	    !(r->prot & INSP_PROT_WRITE))
		return false;
	end = (t->fs_base + DESCRIPTOR_BYTES + page - 1) / page * page;
	if (r->end - t->fs_base <= DESCRIPTOR_SLACK)
		end = r->end;
	else if (!has_allocator(snapshot, "glibc") || has_allocator(snapshot, "go"))
		return false; /* fs may point anywhere */
	spans = span_end_below(snapshot->chunks, end);
	if (spans > t->fs_base)
		return false; /* a stack inside of a chunk: the chunk's line has it */
	start = r->start;
	if (previous_end > start)
		start = previous_end;
	if (spans > start)
		start = spans;
	start = (start + page - 1) / page * page;
	if (end > r->end)
		end = r->end;
	if (start >= end)
		return false;
	*ret = (struct insp_book_stack){.tid = t->tid, .name = t->name, .start = start, .end = end};
	return true;
}

int insp_book_find_stacks(const struct insp_snapshot *snapshot, struct insp_book_stacks *ret)
{
	size_t n = snapshot->threads.n;
	const struct insp_thread **sorted = calloc(n + 1, sizeof(*sorted));
	uint64_t previous = 0;

	if (!sorted)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &snapshot->threads.items[i];
	qsort(sorted, n, sizeof(*sorted), by_fs);
	for (size_t i = 0; i < n; i++) {
		struct insp_book_stack stack, *s;
		const struct insp_thread *t = sorted[i];

		if (!find_stack(snapshot, t, previous, &stack))
			continue;
		previous = stack.end;
		if (t->regs[INSP_REG_RSP] >= stack.start && t->regs[INSP_REG_RSP] < stack.end) {
			uint64_t sp = (t->regs[INSP_REG_RSP] - INSP_RED_ZONE_BYTES) /
				      snapshot->page_size * snapshot->page_size;

			if (sp > stack.start)
				stack.below_sp = insp_residency_sum(&snapshot->residency, stack.start,
								    sp).rss;
		}
		s = insp_vec_push(ret);
		if (!s) {
			free(sorted);
			return INSP_E_NOMEM;
		}
		*s = stack;
	}
	free(sorted);
	return 0;
}
