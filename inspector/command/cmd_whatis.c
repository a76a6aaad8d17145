/* SPDX-License-Identifier: GPL-3.0-or-later */
/* whatis: everything that is known about one address. */
#include <inttypes.h>

#include "command/heap_common.h"
#include "symbol/symbols.h"

struct args {
	uint64_t addr;
};

static const struct insp_option options[] = {
	{"ADDR", 0, INSP_OPT_ADDR, NULL, "an address of the target, hexadecimal", NULL, NULL,
	 offsetof(struct args, addr), .required = true},
	INSP_OPTION_END,
};

static void report_chunk(struct insp_report *r, const struct insp_snapshot *snap, uint64_t addr)
{
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
	insp_object_end(r);
}

static void report_region(struct insp_report *r, const struct insp_snapshot *snap, uint64_t addr)
{
	const struct insp_region *region = insp_regions_find(&snap->regions, addr);
	char perms[5];

	if (!region) {
		insp_note(r, INSP_WARNING, "not_mapped", "%#" PRIx64 " is not mapped", addr);
		return;
	}
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
	}
	insp_object_end(r);
}

/* The frame whose stack holds addr: the innermost whose stack pointer lies at or below it. */
static const struct insp_frame *frame_at(const struct insp_thread *t, uint64_t addr, size_t *ret_no)
{
	const struct insp_frame *found = NULL;
	size_t no = 0;

	for (size_t i = 0; i < t->frames.n; i++) {
		const struct insp_frame *f = &t->frames.items[i];

		if (f->flags & INSP_FRAME_INLINED)
			continue;
		if (f->sp && f->sp <= addr) {
			found = f;
			*ret_no = no;
		}
		no++;
	}
	return found;
}

static void report_stack(struct insp_report *r, const struct insp_snapshot *snap, uint64_t addr)
{
	const struct insp_thread *t = insp_thread_of_stack(snap, addr);
	const struct insp_frame *frame;
	size_t no = 0;

	if (!t)
		return;
	frame = frame_at(t, addr, &no);
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

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	uint64_t addr = ((const struct args *)args)->addr;

	(void)err;
	insp_field_u64(report, "addr", NULL, INSP_T_ADDR, addr);
	insp_field_str(report, "what", NULL,
		       insp_describe_addr(ctx->snapshot, ctx->symbols, ctx->pool, addr));
	insp_text(report, NULL, "%#" PRIx64 ": %s", addr,
		  insp_describe_addr(ctx->snapshot, ctx->symbols, ctx->pool, addr));
	report_chunk(report, ctx->snapshot, addr);
	report_symbol(report, ctx, addr);
	report_stack(report, ctx->snapshot, addr);
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
};
static const struct insp_table symbol_doc = INSP_TABLE("symbol", NULL, symbol_fields, NULL);

static const struct insp_column stack_fields[] = {
	{"tid", NULL, INSP_T_ID, 0, "thread whose stack it is"},
	{"thread_name", NULL, INSP_T_STR, 0, "its name"},
	{"from_sp", NULL, INSP_T_ID, 0, "bytes above the stack pointer; negative: below"},
	{"liveness", NULL, INSP_T_STR, 0, "says when it lies below the stack pointer"},
	{"frame", NULL, INSP_T_ID, 0, "number of the frame, 0 is the innermost"},
	{"function", NULL, INSP_T_STR, 0, "of that frame"},
};
static const struct insp_table stack_doc = INSP_TABLE("stack", NULL, stack_fields, NULL);
static const struct insp_table *const tables[] = {
	&top_doc, &chunk_doc, &mapping_doc, &symbol_doc, &stack_doc, NULL,
};

const struct insp_command insp_cmd_whatis = {
	.name = "whatis",
	.group = "memory",
	.summary = "what lies at an address: chunk, symbol, stack, mapping",
	.help = "Looks the address up in everything that is known: the chunk that holds it with its "
		"state and arena, the module and symbol, the thread and frame whose stack it is on, "
		"malloc's own structures, and the mapping.",
	.example = "whatis 0x7ffff7dd0000",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_CHUNKS | INSP_NEED_STACKS | INSP_NEED_SYMBOLS,
	.tables = tables,
	.run = run,
};
