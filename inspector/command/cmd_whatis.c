/* SPDX-License-Identifier: GPL-3.0-or-later */
/* whatis: everything that is known about one address. */
#include <inttypes.h>

#include "base/fmt.h"
#include "base/vec.h"
#include "command/heap_common.h"
#include "command/place.h"
#include "command/typing.h"
#include "site/sites.h"
#include "stack/unwind.h"
#include "symbol/symbols.h"

#define TLS_BELOW (UINT64_C(64) << 10) /* variables lie below the thread pointer */
#define TLS_ABOVE UINT64_C(2304)       /* the C library's own of the thread above it */

struct args {
	uint64_t addr;
};

static const struct insp_option options[] = {
	{"ADDR", 0, INSP_OPT_ADDR, NULL, "an address of the target, hexadecimal", NULL, NULL,
	 offsetof(struct args, addr), .required = true},
	INSP_OPTION_END,
};

static const struct insp_column stack_columns[] = {
	{"function", "", INSP_T_STR, INSP_COL_WRAP, "function, demangled; null unknown"},
	{"where", "", INSP_T_STR, INSP_COL_WRAP, "line, or module and offset"},
	{"pc", NULL, INSP_T_ADDR, 0, "return address"},
};
static const struct insp_table stack_table = INSP_TABLE("frames", NULL, stack_columns, NULL);

/* What the chunk may hold, and what the place in it is called. */
static void report_type(struct insp_report *r, struct insp_typing *typing,
			const struct insp_chunk *c, uint64_t addr)
{
	uint32_t type = insp_typing_of(typing, c);
	const char *other = NULL;
	enum insp_fit fit;

	if (insp_typing_source(typing, type) >= INSP_TYPE_TEXT)
		return; /* x shows the bytes */
	insp_field_str(r, "type", "type", insp_typing_name(typing, type));
	insp_field_str(r, "type_source", "known by",
		       insp_type_source_key(insp_typing_source(typing, type)));
	if (insp_typing_debug(typing, c, &fit, &other)) {
		insp_field_str(r, "fit", "fit", insp_fit_title(fit));
		insp_field_str(r, "also", other ? "elsewhere called" : NULL, other);
	}
	if (addr > c->mem)
		insp_field_str(r, "member", "member", insp_typing_member(typing, c, addr - c->mem));
}

static void report_chunk(struct insp_report *r, const struct insp_context *ctx,
			 struct insp_typing *typing, uint64_t addr)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	size_t hint = SIZE_MAX;
	int64_t id = insp_chunks_owner(snap->chunks, addr, &hint);
	struct insp_chunk c;

	if (id < 0)
		id = insp_chunks_at(snap->chunks, addr);
	if (id < 0)
		return;
	insp_chunks_get(snap->chunks, (uint32_t)id, &c);
	insp_object_begin(r, "chunk", "Chunk");
	insp_field_u64(r, "addr", "address", INSP_T_ADDR, c.mem);
	insp_field_u64(r, "head", "head", INSP_T_ADDR, c.addr);
	insp_field_i64(r, "offset", "offset in it", INSP_T_ID, (int64_t)(addr - c.mem));
	insp_field_u64(r, "size", "size", INSP_T_COUNT, c.size);
	insp_field_u64(r, "usable", "usable", INSP_T_COUNT, c.usable);
	insp_field_str(r, "state", "state", insp_chunk_state_key(c.state));
	if (c.arena < snap->arenas.n) {
		const struct insp_arena *a = &snap->arenas.items[c.arena];

		insp_field_str(r, "arena", "arena", a->name);
		if (a->allocator < snap->allocators.n)
			insp_field_str(r, "allocator", "allocator",
				       snap->allocators.items[a->allocator].title);
	}
	if (insp_chunk_state_live(c.state))
		report_type(r, typing, &c, addr);
	insp_object_end(r);
}

/* Who asked for the block, when and in which thread, if the hook recorded it. */
static void report_site(struct insp_report *r, struct insp_context *ctx, uint64_t addr)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	const struct insp_site_record *record;
	size_t hint = SIZE_MAX;
	int64_t id = insp_chunks_owner(snap->chunks, addr, &hint);
	struct insp_frames frames = {0};
	struct insp_chunk c;
	uint64_t pcs[INSP_FRAMES_MAX], mark, seconds, now;
	size_t n;

	if (id < 0 || !snap->sites || snap->sites->state != INSP_SITES_RECORDING)
		return;
	insp_chunks_get(snap->chunks, (uint32_t)id, &c);
	record = insp_sites_record_of(snap->sites, &c);
	if (!record) {
		if (insp_chunk_state_live(c.state))
			insp_note(r, INSP_NOTE, "not_recorded",
				  snap->sites->sampled
					  ? "the hook did not draw this block: who asked for it is not known"
					  : "the hook did not record this block");
		return;
	}
	seconds = insp_site_record_seconds(record);
	now = snap->taken_at_ns > snap->sites->started_ns
		      ? (snap->taken_at_ns - snap->sites->started_ns) / 1000000000
		      : 0;
	if (now < snap->sites->seconds)
		now = snap->sites->seconds;
	insp_object_begin(r, "allocation", "Allocation");
	insp_field_u64(r, "site", "site", INSP_T_ID, record->site);
	insp_field_u64(r, "requested", "asked for", INSP_T_COUNT, record->size_bytes);
	insp_field_u64(r, "age_ns", "age", INSP_T_DURATION,
		       (now > seconds ? now - seconds : 0) * UINT64_C(1000000000));
	if (record->thread < snap->sites->ntids)
		insp_field_i64(r, "allocated_by", "by thread", INSP_T_ID,
			       snap->sites->tids[record->thread]);
	n = insp_sites_stack(snap->sites, record->site, pcs, INSP_FRAMES_MAX, &mark);
	for (size_t i = 0; i < n && ctx->symbols; i++)
		if (insp_symbols_frames(ctx->symbols, ctx->pool, pcs[i], 0, false, 0, &frames))
			break;
	insp_table_begin(r, &stack_table);
	insp_vec_each(&frames, f) {
		insp_cell_str(r, f->function);
		if (f->file)
			insp_cell_strf(r, "%s:%" PRIu32, f->file, f->line);
		else
			insp_cell_strf(r, "%s+%#" PRIx64, f->module ? f->module : "?", f->module_offset);
		insp_cell_u64(r, f->pc);
		insp_row_end(r);
	}
	insp_table_end(r);
	insp_object_end(r);
	insp_vec_free(&frames);
}

static void report_region(struct insp_report *r, const struct insp_snapshot *snap, uint64_t addr)
{
	const struct insp_region *region = insp_regions_find(&snap->regions, addr);
	char perms[5];

	if (!region)
		return;
	insp_object_begin(r, "mapping", "Mapping");
	insp_field_u64(r, "start", "from", INSP_T_ADDR, region->start);
	insp_field_u64(r, "end", "to", INSP_T_ADDR, region->end);
	insp_field_u64(r, "bytes", "size", INSP_T_BYTES, insp_region_bytes(region));
	insp_field_str(r, "perms", "access", insp_region_perms(region, perms));
	insp_field_u64(r, "offset", "offset in it", INSP_T_BYTES, addr - region->start);
	insp_field_str(r, "name", "name", region->name[0] ? region->name : NULL);
	insp_object_end(r);
}

static void report_symbol(struct insp_report *r, const struct insp_context *ctx, uint64_t addr)
{
	const struct insp_region *region = insp_regions_find(&ctx->snapshot->regions, addr);
	const struct insp_module *module = insp_modules_find(&ctx->snapshot->modules, addr);
	const char *variable;
	struct insp_symbol symbol;
	bool named = ctx->symbols && region && !insp_symbols_at(ctx->symbols, addr, &symbol);

	if (!named && (!module || !region || insp_region_anonymous(region)))
		return;
	insp_object_begin(r, "symbol", "Module");
	if (module) {
		insp_field_str(r, "module", "module", module->path);
		insp_field_u64(r, "module_offset", "offset in it", INSP_T_ADDR, addr - module->start);
	}
	if (named) {
		insp_field_str(r, "symbol", "symbol", symbol.name);
		insp_field_u64(r, "symbol_offset", "offset in it", INSP_T_COUNT, addr - symbol.start);
		insp_field_u64(r, "symbol_size", "size", INSP_T_COUNT, symbol.size_bytes);
		variable = region->prot & INSP_PROT_WRITE ? insp_place_global(ctx, addr) : NULL;
		insp_field_str(r, "variable", variable ? "variable" : NULL, variable);
	}
	insp_object_end(r);
}

/* A thread's variables lie around its thread pointer, often at the end of its stack's mapping. */
static void report_thread_local(struct insp_report *r, const struct insp_context *ctx,
				uint64_t addr)
{
	const struct insp_threads *threads = &ctx->snapshot->threads;

	for (size_t i = 0; i < threads->n; i++) {
		const struct insp_thread *t = &threads->items[i];
		const char *name;

		if (!t->fs_base || addr - (t->fs_base - TLS_BELOW) >= TLS_BELOW + TLS_ABOVE)
			continue;
		name = insp_place_thread_local(ctx, t, addr);
		/* Without a name it may as well be the stack of a neighbour. */
		if (!name && (addr < t->fs_base || addr >= t->fs_base + TLS_ABOVE))
			continue;
		insp_object_begin(r, "thread_local", "Thread-local storage");
		insp_field_i64(r, "tid", "thread", INSP_T_ID, t->tid);
		insp_field_str(r, "thread_name", "name", t->name);
		insp_field_i64(r, "from_fs", "from its thread pointer", INSP_T_ID,
			       (int64_t)(addr - t->fs_base));
		insp_field_str(r, "variable", "variable", name);
		insp_object_end(r);
		return;
	}
}

static void report_stack(struct insp_report *r, const struct insp_context *ctx, uint64_t addr)
{
	const struct insp_thread *t = insp_thread_of_stack(ctx->snapshot, addr);
	const struct insp_frame *frame;
	const char *local;
	size_t no = 0, of = 0;

	if (!t)
		return;
	frame = insp_thread_frame_at(t, addr, &no);
	insp_object_begin(r, "stack", "Stack");
	insp_field_i64(r, "tid", "thread", INSP_T_ID, t->tid);
	insp_field_str(r, "thread_name", "name", t->name);
	insp_field_i64(r, "from_sp", "from its stack pointer", INSP_T_ID,
		       (int64_t)(addr - t->regs[INSP_REG_RSP]));
	if (addr + INSP_RED_ZONE_BYTES < t->regs[INSP_REG_RSP])
		insp_field_str(r, "liveness", "liveness", "below the stack pointer: left behind");
	else if (frame) {
		insp_field_u64(r, "frame", "frame", INSP_T_ID, no);
		insp_field_str(r, "function", "function", frame->function);
		local = insp_place_local(ctx, t, addr, &of);
		if (local && of == no)
			insp_field_str(r, "local", "local", local);
	}
	insp_object_end(r);
}

static void report_arena_struct(struct insp_report *r, const struct insp_snapshot *snap,
				uint64_t addr)
{
	for (size_t i = 0; i < snap->arenas.n; i++) {
		const struct insp_arena *a = &snap->arenas.items[i];

		if (a->addr && addr >= a->addr && addr < a->addr + 2200)
			insp_note(r, INSP_NOTE, "malloc_state",
				  "inside struct malloc_state of %s, offset %" PRIu64, a->name,
				  addr - a->addr);
	}
}

/* What is next to it tells a stray pointer from one that ran off the end of something. */
static int fail_unmapped(const struct insp_snapshot *snap, uint64_t addr, struct insp_error *err)
{
	const struct insp_region *below = NULL, *above = NULL;
	char gap[INSP_FMT_MAX];

	for (size_t i = 0; i < snap->regions.n && !above; i++) {
		const struct insp_region *r = &snap->regions.items[i];

		if (r->start > addr)
			above = r;
		else
			below = r;
	}
	if (below && (!above || addr - below->end < above->start - addr))
		return insp_fail(err, INSP_E_NOTFOUND,
				 "%#" PRIx64 " is not mapped; %s ends %s before it", addr,
				 below->name[0] ? below->name : "an anonymous mapping",
				 insp_fmt_bytes(gap, addr - below->end));
	if (above)
		return insp_fail(err, INSP_E_NOTFOUND,
				 "%#" PRIx64 " is not mapped; %s begins %s behind it", addr,
				 above->name[0] ? above->name : "an anonymous mapping",
				 insp_fmt_bytes(gap, above->start - addr));
	return insp_fail(err, INSP_E_NOTFOUND, "%#" PRIx64 " is not mapped", addr);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	uint64_t addr = ((const struct args *)args)->addr;
	struct insp_typing *typing;
	int rc;

	if (!insp_regions_find(&ctx->snapshot->regions, addr) &&
	    insp_chunks_at(ctx->snapshot->chunks, addr) < 0)
		return fail_unmapped(ctx->snapshot, addr, err);
	rc = insp_typing_create(ctx, false, &typing, err);
	if (rc)
		return rc;
	insp_field_u64(report, "addr", NULL, INSP_T_ADDR, addr);
	insp_field_str(report, "what", NULL,
		       insp_describe_addr(ctx->snapshot, ctx->symbols, ctx->pool, addr));
	insp_text(report, NULL, "%#" PRIx64 ": %s", addr,
		  insp_describe_addr(ctx->snapshot, ctx->symbols, ctx->pool, addr));
	report_chunk(report, ctx, typing, addr);
	report_site(report, ctx, addr);
	report_symbol(report, ctx, addr);
	report_stack(report, ctx, addr);
	report_thread_local(report, ctx, addr);
	report_arena_struct(report, ctx->snapshot, addr);
	report_region(report, ctx->snapshot, addr);
	return 0;
}

static const struct insp_column top_fields[] = {
	{"addr", NULL, INSP_T_ADDR, 0, "the address that was asked for"},
	{"what", NULL, INSP_T_STR, 0, "what lies there, in one line"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);

static const struct insp_column chunk_fields[] = {
	{"addr", NULL, INSP_T_ADDR, 0, "what malloc returned"},
	{"head", NULL, INSP_T_ADDR, 0, "start of the chunk, its header"},
	{"offset", NULL, INSP_T_ID, 0, "from addr to the address, bytes"},
	{"size", NULL, INSP_T_COUNT, 0, "of the chunk, bytes, header included"},
	{"usable", NULL, INSP_T_COUNT, 0, "malloc_usable_size(), bytes"},
	{"state", NULL, INSP_T_STR, 0, "see heap summary"},
	{"arena", NULL, INSP_T_STR, 0, "its name"},
	{"allocator", NULL, INSP_T_STR, 0, "its name"},
	{"type", NULL, INSP_T_STR, 0,
	 "class or type, see types; of chunks in use whose type is known"},
	{"type_source", NULL, INSP_T_STR, 0, "how that is known: vtable or debug_info"},
	{"fit", NULL, INSP_T_STR, 0, "by debug info: how the size fits, in words"},
	{"also", NULL, INSP_T_STR, 0,
	 "what a pointer that is further away calls it; null: all agree"},
	{"member", NULL, INSP_T_STR, 0, "what the place in it is called"},
};
static const struct insp_table chunk_doc = INSP_TABLE("chunk", NULL, chunk_fields, NULL);

static const struct insp_column mapping_fields[] = {
	{"start", NULL, INSP_T_ADDR, 0, "first address"},
	{"end", NULL, INSP_T_ADDR, 0, "first address behind it"},
	{"bytes", NULL, INSP_T_BYTES, 0, "end minus start"},
	{"perms", NULL, INSP_T_STR, 0, "as in /proc/PID/maps"},
	{"offset", NULL, INSP_T_BYTES, 0, "from start to the address"},
	{"name", NULL, INSP_T_STR, 0, "file or name of the kernel"},
};
static const struct insp_table mapping_doc = INSP_TABLE("mapping", NULL, mapping_fields, NULL);

static const struct insp_column symbol_fields[] = {
	{"module", NULL, INSP_T_STR, 0, "path of the ELF file"},
	{"module_offset", NULL, INSP_T_ADDR, 0, "from its first mapping to the address"},
	{"symbol", NULL, INSP_T_STR, 0, "demangled"},
	{"symbol_offset", NULL, INSP_T_COUNT, 0, "from the symbol to the address, bytes"},
	{"symbol_size", NULL, INSP_T_COUNT, 0, "bytes; 0 unknown"},
	{"variable", NULL, INSP_T_STR, 0, "by debug info: variable and member"},
};
static const struct insp_table symbol_doc = INSP_TABLE("symbol", NULL, symbol_fields, NULL);

static const struct insp_column stack_fields[] = {
	{"tid", NULL, INSP_T_ID, 0, "thread whose stack it is"},
	{"thread_name", NULL, INSP_T_STR, 0, "its name"},
	{"from_sp", NULL, INSP_T_ID, 0, "bytes above the stack pointer; negative: below"},
	{"liveness", NULL, INSP_T_STR, 0, "says when it lies below the stack pointer"},
	{"frame", NULL, INSP_T_ID, 0, "number of the frame, 0 is the innermost"},
	{"function", NULL, INSP_T_STR, 0, "of that frame"},
	{"local", NULL, INSP_T_STR, 0, "by debug info: local variable and member"},
};
static const struct insp_table stack_doc = INSP_TABLE("stack", NULL, stack_fields, NULL);

static const struct insp_column thread_local_fields[] = {
	{"tid", NULL, INSP_T_ID, 0, "thread whose it is"},
	{"thread_name", NULL, INSP_T_STR, 0, "its name"},
	{"from_fs", NULL, INSP_T_ID, 0, "bytes above the thread pointer; negative: below"},
	{"variable", NULL, INSP_T_STR, 0, "by debug info: variable and member; null unknown"},
};
static const struct insp_table thread_local_doc =
	INSP_TABLE("thread_local", NULL, thread_local_fields, NULL);

static const struct insp_column allocation_fields[] = {
	{"site", NULL, INSP_T_ID, 0, "number of its call stack, as in heap top"},
	{"requested", NULL, INSP_T_COUNT, 0, "bytes that were asked for"},
	{"age_ns", NULL, INSP_T_DURATION, 0, "since it was allocated, to the second"},
	{"allocated_by", NULL, INSP_T_ID, 0, "thread id, in the target's pid namespace"},
};
static const struct insp_table allocation_doc = INSP_TABLE("allocation", NULL, allocation_fields, NULL);
static const struct insp_table *const tables[] = {
	&top_doc,    &chunk_doc, &allocation_doc,   &stack_table, &mapping_doc,
	&symbol_doc, &stack_doc, &thread_local_doc, NULL,
};

const struct insp_command insp_cmd_whatis = {
	.name = "whatis",
	.group = "memory",
	.summary = "what lies at an address: chunk, symbol, stack, mapping",
	.help = "Looks the address up in everything that is known: the chunk that holds it with "
		"its "
		"state and arena, what it may hold (see types) and how sure that is, who asked for "
		"it and when "
		"(with the hook), the module, symbol and variable, the thread, frame and local "
		"whose stack it "
		"is on, thread-local storage, malloc's own structures, and the mapping.\n\n"
		"An address that is not mapped is an error, which names the nearest mapping.",
	.example = "whatis 0x7ffff7dd0000",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_TYPING_NEEDS | INSP_NEED_SITES,
	.tables = tables,
	.run = run,
};
