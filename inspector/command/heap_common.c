/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/heap_common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "symbol/symbols.h"

#define ELSEWHERE_MIN (UINT64_C(32) << 20) /* what libraries and stacks take is no news */

static const char *sureness(int confidence)
{
	return confidence >= 95 ? "certain" : confidence >= 75 ? "sure" : confidence >= 50 ? "likely" : "a guess";
}

void insp_report_allocators(struct insp_report *report, const struct insp_snapshot *snapshot,
			    struct insp_pool *pool)
{
	insp_list_begin(report, "allocators", NULL);
	for (size_t i = 0; i < snapshot->allocators.n; i++) {
		const struct insp_allocator *a = &snapshot->allocators.items[i];
		char *title = insp_pool_printf(pool, "%s%s%s", a->title,
					       a->module ? " in " : "", a->module ? a->module : "");

		insp_object_begin(report, NULL, NULL);
		insp_field_str(report, "title", "allocator", title ? title : a->title);
		insp_field_str(report, "name", NULL, a->name);
		insp_field_str(report, "version", NULL, a->version);
		insp_field_str(report, "module", NULL, a->module);
		insp_field_i64(report, "confidence", NULL, INSP_T_ID, a->confidence);
		insp_field_str(report, "sureness", "recognised", sureness(a->confidence));
		insp_field_str(report, "evidence", "by", a->evidence);
		insp_field_bool(report, "walked", NULL, a->walked);
		insp_field_bool(report, "complete", NULL, a->chunks_complete);
		insp_field_bool(report, "safe_linking", NULL, a->safe_linking);
		insp_field_u64(report, "mmap_threshold", NULL, INSP_T_BYTES, a->mmap_threshold);
		insp_field_u64(report, "trim_threshold", NULL, INSP_T_BYTES, a->trim_threshold);
		insp_field_u64(report, "tcache_count", NULL, INSP_T_COUNT, a->tcache_count);
		insp_field_u64(report, "n_mmaps", NULL, INSP_T_COUNT, a->n_mmaps);
		insp_field_u64(report, "mmapped_mem", NULL, INSP_T_BYTES, a->mmapped_mem);
		if (!a->walked)
			insp_note(report, INSP_WARNING, "not_walked",
				  "there is no walker for what %s holds: figures leave it out, "
				  "`rss` shows its "
				  "memory",
				  a->title);
		insp_object_end(report);
	}
	insp_list_end(report);
	if (!snapshot->allocators.n)
		insp_note(report, INSP_WARNING, "no_allocator",
			  "no allocator was recognised: the program may bring its own, use none, or "
			  "not have called malloc yet; `maps` and `threads` still work");
}

static const char *severity_name(enum insp_severity s)
{
	return s == INSP_CORRUPTION ? "corruption" : s == INSP_WARNING ? "warning" : "note";
}

static const struct insp_column finding_columns[] = {
	{"severity", "severity", INSP_T_STR, 0, "note, warning or corruption"},
	{"code", "finding", INSP_T_STR, 0, "stable name of the finding"},
	{"addr", "address", INSP_T_ADDR, 0, "where, if it has a place"},
	{"text", "", INSP_T_STR, INSP_COL_WRAP, "what was found"},
};
const struct insp_table insp_findings_doc = INSP_TABLE("findings", NULL, finding_columns, NULL);

static const struct insp_column allocator_fields[] = {
	{"title", NULL, INSP_T_STR, 0, "allocator and version"},
	{"name", NULL, INSP_T_STR, 0, "stable name: glibc, jemalloc ..."},
	{"version", NULL, INSP_T_STR, 0, "as far as known"},
	{"module", NULL, INSP_T_STR, 0, "path of the file that holds it"},
	{"confidence", NULL, INSP_T_ID, 0, "how surely it was recognised, 0 to 100"},
	{"sureness", NULL, INSP_T_STR, 0, "the same in a word"},
	{"evidence", NULL, INSP_T_STR, 0, "what that rests on"},
	{"walked", NULL, INSP_T_BOOL, 0, "its chunks are in the snapshot"},
	{"complete", NULL, INSP_T_BOOL, 0, "every byte of its heaps was accounted for"},
	{"safe_linking", NULL, INSP_T_BOOL, 0, "pointers of its free lists are mangled"},
	{"mmap_threshold", NULL, INSP_T_BYTES, 0, "from this size on chunks are mmapped"},
	{"trim_threshold", NULL, INSP_T_BYTES, 0, "a top larger than this is given back"},
	{"tcache_count", NULL, INSP_T_COUNT, 0, "chunks that a tcache list may hold"},
	{"n_mmaps", NULL, INSP_T_COUNT, 0, "mmapped chunks by the allocator's own count"},
	{"mmapped_mem", NULL, INSP_T_BYTES, 0, "their bytes by the allocator's own count"},
};
const struct insp_table insp_allocators_doc = INSP_TABLE("allocators", NULL, allocator_fields, NULL);

void insp_report_findings(struct insp_report *report, const struct insp_snapshot *snapshot,
			  size_t limit, const char *empty)
{
	struct insp_table table = INSP_TABLE("findings", "Findings", finding_columns, empty);
	const struct insp_findings *f = &snapshot->findings;
	size_t shown = 0;

	insp_table_begin(report, &table);
	for (int severity = INSP_CORRUPTION; severity >= INSP_NOTE; severity--)
		for (size_t i = 0; i < f->n; i++) {
			if ((int)f->items[i].severity != severity || (limit && shown >= limit))
				continue;
			insp_cell_str(report, severity_name(f->items[i].severity));
			insp_cell_str(report, f->items[i].code);
			if (f->items[i].addr)
				insp_cell_u64(report, f->items[i].addr);
			else
				insp_cell_unknown(report);
			insp_cell_str(report, f->items[i].text);
			insp_row_end(report);
			shown++;
		}
	insp_table_end(report);
	if (shown < f->n + f->dropped)
		insp_table_cut(report, shown, f->n + f->dropped, "heap verify lists them");
}

int insp_arena_find(const struct insp_snapshot *snapshot, const char *name, uint32_t *ret,
		    struct insp_error *err)
{
	uint64_t number;
	const char *digits = strncmp(name, "arena ", 6) == 0 ? name + 6 : name;

	for (size_t i = 0; i < snapshot->arenas.n; i++)
		if (!strcmp(snapshot->arenas.items[i].name, name)) {
			*ret = (uint32_t)i;
			return 0;
		}
	if (!insp_parse_u64(digits, &number, NULL) && number < snapshot->arenas.n) {
		*ret = (uint32_t)number;
		return 0;
	}
	return insp_fail(err, INSP_E_USAGE, "there is no arena '%s'; `heap arenas` lists %zu", name,
			 snapshot->arenas.n);
}

const struct insp_thread *insp_thread_of_stack(const struct insp_snapshot *snapshot, uint64_t addr)
{
	const struct insp_thread *best = NULL;

	/* Kernels merge neighbouring stacks into one mapping: the nearest stack pointer below. */
	for (size_t i = 0; i < snapshot->threads.n; i++) {
		const struct insp_thread *t = &snapshot->threads.items[i];

		if (!t->have_regs || addr < t->stack_start || addr >= t->stack_end)
			continue;
		if (!best || (t->regs[INSP_REG_RSP] <= addr &&
			      t->regs[INSP_REG_RSP] > best->regs[INSP_REG_RSP]))
			best = t;
	}
	return best;
}

static const char *describe_chunk(const struct insp_snapshot *snapshot, struct insp_pool *pool,
				  int64_t id, uint64_t addr)
{
	struct insp_chunk c;
	const char *arena;

	insp_chunks_get(snapshot->chunks, (uint32_t)id, &c);
	arena = c.arena < snapshot->arenas.n ? snapshot->arenas.items[c.arena].name : "?";
	if (addr < c.mem)
		return insp_pool_printf(pool, "head of chunk %#" PRIx64 " (%s, %" PRIu64 " B, %s)",
					c.mem, insp_chunk_state_title(c.state), c.size, arena);
	if (addr == c.mem)
		return insp_pool_printf(pool, "chunk, %s, %" PRIu64 " B, %s",
					insp_chunk_state_title(c.state), c.size, arena);
	return insp_pool_printf(pool, "chunk %#" PRIx64 " + %" PRIu64 " (%s, %" PRIu64 " B, %s)",
				c.mem, addr - c.mem, insp_chunk_state_title(c.state), c.size, arena);
}

const char *insp_describe_addr(const struct insp_snapshot *snapshot, struct insp_symbols *symbols,
			       struct insp_pool *pool, uint64_t addr)
{
	const struct insp_region *region = insp_regions_find(&snapshot->regions, addr);
	const struct insp_module *module = insp_modules_find(&snapshot->modules, addr);
	const struct insp_thread *thread;
	struct insp_symbol symbol;
	size_t hint = SIZE_MAX;
	int64_t id = insp_chunks_owner(snapshot->chunks, addr, &hint);

	if (id < 0)
		id = insp_chunks_at(snapshot->chunks, addr);
	if (id >= 0)
		return describe_chunk(snapshot, pool, id, addr);
	if (symbols && region && !insp_symbols_at(symbols, addr, &symbol))
		return insp_pool_printf(pool, "%s + %#" PRIx64 " (%s)", symbol.name,
					addr - symbol.start,
					insp_module_basename(symbol.module));
	if (region && module && !insp_region_anonymous(region))
		return insp_pool_printf(pool, "%s + %#" PRIx64, insp_module_basename(module),
					addr - module->start);
	thread = insp_thread_of_stack(snapshot, addr);
	if (thread)
		return insp_pool_printf(pool, "stack of thread %d (%s)", thread->tid, thread->name);
	if (region)
		return insp_pool_printf(pool, "%s + %#" PRIx64,
					region->name[0] ? region->name : "anonymous mapping",
					addr - region->start);
	return "not mapped";
}

void insp_report_elsewhere(struct insp_report *report, const struct insp_snapshot *snapshot)
{
	uint64_t rss = snapshot->usage.vm_rss, heaps = 0; /* rss 0: of a core, or not read */
	char all[INSP_FMT_MAX], rest[INSP_FMT_MAX];

	for (size_t i = 0; i < snapshot->arenas.n; i++)
		heaps += snapshot->arenas.items[i].spans_bytes;
	if (!rss || rss == INSP_UNKNOWN || rss / 2 < heaps || rss - heaps < ELSEWHERE_MIN)
		return;
	insp_note(report, INSP_NOTE, "elsewhere",
		  "%s of the process is in memory, at least %s of it outside of these heaps: `rss` has "
		  "a line for every byte",
		  insp_fmt_bytes(all, rss), insp_fmt_bytes(rest, rss - heaps));
}
