/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap pins: which chunks keep free memory from going back. */
#include <string.h>

#include "analysis/pins.h"
#include "command/heap_common.h"
#include "command/site_profile.h"
#include "command/typing.h"

struct args {
	const char *by;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{.name = "limit",
	 .letter = 'n',
	 .type = INSP_OPT_COUNT,
	 .arg = "N",
	 .def = "10",
	 .offset = offsetof(struct args, limit),
	 .help = "rows of each table"},
	{.name = "by",
	 .type = INSP_OPT_CHOICE,
	 .arg = "KEY",
	 .choices = "size|type|site",
	 .def = "size",
	 .offset = offsetof(struct args, by),
	 .help = "also by type, or by who allocated, where the companion hook recorded it"},
	INSP_OPTION_END,
};

static const struct insp_column group_columns[] = {
	{"size_min", "size from", INSP_T_COUNT, 0, "smallest chunk size of the class, bytes"},
	{"size_max", "to", INSP_T_COUNT, 0, "largest chunk size of the class, bytes"},
	{"state", "state", INSP_T_STR, 0, "of the pinning chunks"},
	{"chunks", "chunks", INSP_T_COUNT, INSP_COL_TOTAL,
	 "chunks that share pages with free bytes"},
	{"bytes", "their bytes", INSP_T_BYTES, INSP_COL_TOTAL, "bytes of these chunks"},
	{"pinned", "pin", INSP_T_BYTES, INSP_COL_TOTAL, "free resident bytes that they keep"},
	{"factor", "per byte", INSP_T_FACTOR, INSP_COL_SPARE, "pinned bytes for each of their own"},
	{"share", "share of all pinned", INSP_T_BAR, 0, "of all pinned bytes"},
	{"example", "for example", INSP_T_ADDR, 0,
	 "chunk of the class that pins most: try whatis, x, path"},
};

static const struct insp_column site_columns[] = {
	{"chunks", "chunks", INSP_T_COUNT, 0,
	 "chunks of the site that share pages with free bytes"},
	{"bytes", "their bytes", INSP_T_BYTES, 0, "bytes of these chunks"},
	{"pinned", "pin", INSP_T_BYTES, 0, "free resident bytes that they keep"},
	{"share", "share", INSP_T_RATIO, 0, "of all pinned bytes"},
	{"example", "for example", INSP_T_ADDR, INSP_COL_SPARE, "chunk of the site that pins most"},
	{"site", "allocated by", INSP_T_STR, INSP_COL_WRAP, "function, and its callers"},
};
static const struct insp_table sites_table =
	INSP_TABLE("sites", "Who allocated chunks on pages with free bytes", site_columns, "nothing is pinned");

static const struct insp_column type_columns[] = {
	{"chunks", "chunks", INSP_T_COUNT, 0,
	 "chunks of the type that share pages with free bytes"},
	{"bytes", "their bytes", INSP_T_BYTES, 0, "bytes of these chunks"},
	{"pinned", "pin", INSP_T_BYTES, 0, "free resident bytes that they keep"},
	{"share", "share", INSP_T_RATIO, 0, "of all pinned bytes"},
	{"example", "for example", INSP_T_ADDR, INSP_COL_SPARE, "chunk of the type that pins most"},
	{"type", "type", INSP_T_STR, INSP_COL_WRAP,
	 "what the chunks seem to hold, as types has it"},
};
static const struct insp_table types_table =
	INSP_TABLE("types", "What is in the chunks on pages with free bytes", type_columns,
		   "nothing is pinned");

static const struct insp_column top_columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"top", "top", INSP_T_BYTES, 0, "bytes of top now"},
	{"last", "last chunk", INSP_T_ADDR, 0,
	 "chunk in use right below top (and what is free there)"},
	{"last_size", "size", INSP_T_BYTES, INSP_COL_SPARE, "its bytes"},
	{"last_gain", "top gains", INSP_T_BYTES, 0,
	 "resident bytes that top would gain if it alone were freed"},
	{"down_to", "down to", INSP_T_ADDR, 0,
	 "the place among the last pieces in use where freeing pays most"},
	{"chunks", "freeing", INSP_T_COUNT, 0, "chunks from there to top"},
	{"bytes", "of", INSP_T_BYTES, INSP_COL_SPARE, "their bytes"},
	{"gain", "gains", INSP_T_BYTES, 0,
	 "resident bytes that top would gain if all of these were freed"},
};

static const struct insp_column heap_columns[] = {
	{"arena", "arena", INSP_T_STR, 0, "name of the arena"},
	{"start", "heap", INSP_T_ADDR, 0, "first address of the piece"},
	{"size", "size", INSP_T_BYTES, INSP_COL_SPARE, "bytes of the piece"},
	{"resident", "resident", INSP_T_BYTES, 0, "of it in memory"},
	{"chunks", "chunks in use", INSP_T_COUNT, 0, "that keep it"},
	{"in_use", "in use", INSP_T_BYTES, 0, "their bytes"},
	{"kept", "kept for them", INSP_T_BYTES, 0, "resident bytes that are not in use"},
};

static const struct insp_column pin_columns[] = {
	{"addr", "chunk", INSP_T_ADDR, 0, "start of the chunk"},
	{"size", "size", INSP_T_BYTES, 0, "its bytes"},
	{"state", "state", INSP_T_STR, 0, "of the chunk"},
	{"arena", "arena", INSP_T_STR, 0, "name of its arena"},
	{"pinned", "pins", INSP_T_BYTES, 0, "free resident bytes of its pages, its share of them"},
};

static const char *arena_name(const struct insp_snapshot *snap, uint32_t arena)
{
	return arena < snap->arenas.n ? snap->arenas.items[arena].name : "?";
}

static size_t rows(size_t n, uint64_t limit)
{
	return limit && limit < n ? (size_t)limit : n;
}

static void report_groups(struct insp_report *r, const struct insp_pins *pins, uint64_t limit)
{
	static const struct insp_table table =
		INSP_TABLE("groups", "Chunks on pages with free bytes, by size", group_columns, "nothing is pinned");
	size_t n = rows(pins->ngroups, limit);

	insp_table_begin(r, &table);
	for (size_t i = 0; i < n; i++) {
		const struct insp_pin_group *g = &pins->groups[i];

		insp_cell_u64(r, insp_size_class_min(g->size_class));
		insp_cell_u64(r, insp_size_class_min(g->size_class + 1) - 1);
		insp_cell_str(r, insp_chunk_state_title(g->state));
		insp_cell_u64(r, g->chunks);
		insp_cell_u64(r, g->bytes);
		insp_cell_u64(r, g->pinned);
		insp_cell_f64(r, g->bytes ? (double)g->pinned / (double)g->bytes : 0);
		insp_cell_f64(r, pins->pinned ? (double)g->pinned / (double)pins->pinned : 0);
		insp_cell_u64(r, g->example);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < pins->ngroups)
		insp_table_cut(r, n, pins->ngroups, "--limit 0 shows all");
}

static void report_tops(struct insp_report *r, const struct insp_snapshot *snap,
			const struct insp_pins *pins, uint64_t limit)
{
	static const struct insp_table table =
		INSP_TABLE("tops", "What keeps the tops from falling", top_columns, NULL);
	size_t n = rows(pins->ntops, limit);

	insp_table_begin(r, &table);
	for (size_t i = 0; i < n; i++) {
		const struct insp_pin_top *t = &pins->tops[i];

		insp_cell_str(r, arena_name(snap, t->arena));
		insp_cell_u64(r, t->top);
		if (t->last)
			insp_cell_u64(r, t->last);
		else
			insp_cell_unknown(r);
		insp_cell_u64(r, t->last_size);
		insp_cell_u64(r, t->last_gain);
		if (t->down_to)
			insp_cell_u64(r, t->down_to);
		else
			insp_cell_unknown(r);
		insp_cell_u64(r, t->chunks);
		insp_cell_u64(r, t->bytes);
		insp_cell_u64(r, t->gain);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < pins->ntops)
		insp_table_cut(r, n, pins->ntops, "--limit 0 shows all");
}

static void report_heaps(struct insp_report *r, const struct insp_snapshot *snap,
			 const struct insp_pins *pins, uint64_t limit)
{
	static const struct insp_table table =
		INSP_TABLE("heaps", "Heaps, and what is left in them", heap_columns, NULL);
	size_t n = rows(pins->nheaps, limit);

	insp_table_begin(r, &table);
	for (size_t i = 0; i < n; i++) {
		const struct insp_pin_heap *h = &pins->heaps[i];

		insp_cell_str(r, arena_name(snap, h->arena));
		insp_cell_u64(r, h->start);
		insp_cell_u64(r, h->end - h->start);
		insp_cell_u64(r, h->resident);
		insp_cell_u64(r, h->chunks);
		insp_cell_u64(r, h->live);
		insp_cell_u64(r, h->resident > h->live ? h->resident - h->live : 0);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < pins->nheaps)
		insp_table_cut(r, n, pins->nheaps, "--limit 0 shows all");
}

static void report_pins(struct insp_report *r, const struct insp_snapshot *snap,
			const struct insp_pins *pins)
{
	static const struct insp_table table =
		INSP_TABLE("pins", "Single chunks that pin most", pin_columns, NULL);

	insp_table_begin(r, &table);
	for (size_t i = 0; i < pins->npins; i++) {
		const struct insp_pin *p = &pins->pins[i];

		insp_cell_u64(r, p->addr);
		insp_cell_u64(r, p->size);
		insp_cell_str(r, insp_chunk_state_title(p->state));
		insp_cell_str(r, arena_name(snap, p->arena));
		insp_cell_u64(r, p->pinned);
		insp_row_end(r);
	}
	insp_table_end(r);
}

/* Who is asked for each pinning chunk: its type, or the site that allocated it. */
struct owners {
	const struct insp_snapshot *snap;
	struct insp_typing *typing;   /* by type */
	struct insp_profile *profile; /* by site */
	const uint32_t *numbers;
};

static uint32_t type_of(void *ctx, const struct insp_pin *pin)
{
	struct owners *o = ctx;
	struct insp_chunk c;

	insp_chunks_get(o->snap->chunks, pin->id, &c);
	return insp_typing_of(o->typing, &c);
}

static int owners_open(struct owners *o, struct insp_context *ctx, const char *by,
		       struct insp_error *err)
{
	const struct insp_sites *sites;
	int rc;

	*o = (struct owners){.snap = ctx->snapshot};
	if (strcmp(by, "type") == 0)
		return insp_typing_create(ctx, true, &o->typing, err);
	rc = insp_sites_wanted(ctx->snapshot, &sites, err);
	return rc ? rc : insp_heap_profile(ctx, sites, &o->profile, &o->numbers, err);
}

static void report_owners(struct insp_report *r, const struct owners *o,
			  const struct insp_pins *pins, uint64_t limit)
{
	size_t n = rows(pins->nowners, limit);

	insp_table_begin(r, o->typing ? &types_table : &sites_table);
	for (size_t i = 0; i < n; i++) {
		const struct insp_pin_owner *s = &pins->owners[i];

		insp_cell_u64(r, s->chunks);
		insp_cell_u64(r, s->bytes);
		insp_cell_u64(r, s->pinned);
		insp_cell_f64(r, pins->pinned ? (double)s->pinned / (double)pins->pinned : 0);
		insp_cell_u64(r, s->example);
		insp_cell_str(r, o->typing ? insp_typing_name(o->typing, s->key)
					   : insp_site_place(o->profile, o->numbers, s->key, 2));
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < pins->nowners)
		insp_table_cut(r, n, pins->nowners, "--limit 0 shows all");
}

static unsigned needs_of(const void *args)
{
	const struct args *a = args;

	if (strcmp(a->by, "type") == 0)
		return INSP_NEED_BYTES | INSP_NEED_SYMBOLS;
	return strcmp(a->by, "site") == 0 ? INSP_NEED_SITES | INSP_NEED_SYMBOLS : 0;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	size_t max = a->limit && a->limit < 10000 ? (size_t)a->limit : 10000;
	struct owners owners = {0};
	const struct insp_pin_key by_type = {type_of, &owners};
	const struct insp_pin_key by_site = {insp_pin_site, (void *)(uintptr_t)ctx->snapshot};
	const struct insp_pin_key *key = strcmp(a->by, "type") == 0 ? &by_type : &by_site;
	bool by_size = strcmp(a->by, "size") == 0;
	struct insp_pins pins;
	int rc = by_size ? 0 : owners_open(&owners, ctx, a->by, err);

	rc = rc ? rc
		: insp_pins_find(ctx->snapshot, max, by_size ? NULL : key, ctx->pool, &pins, err);
	if (rc) {
		insp_profile_destroy(owners.profile);
		return rc;
	}
	insp_object_begin(report, "totals", NULL);
	insp_field_u64(report, "pinned", "free, and pinned", INSP_T_BYTES, pins.pinned);
	insp_field_u64(report, "free_pages", "on pages of their own", INSP_T_BYTES, pins.free_pages);
	insp_field_bool(report, "exact", NULL, pins.exact);
	insp_object_end(report);
	report_groups(report, &pins, a->limit);
	if (!by_size)
		report_owners(report, &owners, &pins, a->limit);
	report_tops(report, ctx->snapshot, &pins, a->limit);
	report_heaps(report, ctx->snapshot, &pins, a->limit);
	report_pins(report, ctx->snapshot, &pins);
	insp_profile_destroy(owners.profile);
	return 0;
}

static const struct insp_column totals_fields[] = {
	{"pinned", NULL, INSP_T_BYTES, 0, "free bytes on resident pages that hold a chunk in use"},
	{"free_pages", NULL, INSP_T_BYTES, 0, "free bytes on pages of their own"},
	{"exact", NULL, INSP_T_BOOL, 0, "pages were looked at one by one; false: estimated"},
};
static const struct insp_table totals_doc = INSP_TABLE("totals", NULL, totals_fields, NULL);
static const struct insp_table groups_doc = INSP_TABLE("groups", NULL, group_columns, NULL);
static const struct insp_table tops_doc = INSP_TABLE("tops", NULL, top_columns, NULL);
static const struct insp_table heaps_doc = INSP_TABLE("heaps", NULL, heap_columns, NULL);
static const struct insp_table pins_doc = INSP_TABLE("pins", NULL, pin_columns, NULL);
static const struct insp_table *const tables[] = {
	&totals_doc, &groups_doc, &types_table, &sites_table,
	&tops_doc,   &heaps_doc,  &pins_doc,	NULL,
};

const struct insp_command insp_cmd_heap_pins = {
	.name = "heap pins",
	.group = "heap",
	.summary = "which chunks keep pages, tops and heaps from going back",
	.help = "Memory goes back to the system in whole pages. A page that holds a chunk in use "
		"stays, and the "
		"free bytes on it stay with it: they are pinned. Where several chunks are on one "
		"page, "
		"its free bytes are shared out evenly among them. Chunks in tcaches pin, too.\n\n"
		"--by type shows them also by what seems to be in them, --by site by who allocated "
		"them, where "
		"the companion hook is in the process.\n\n"
		"Tops: without malloc_trim, only the end of an arena is given back. The first "
		"columns name the "
		"last chunk below top; down to and freeing say how many of the last pieces in use "
		"it would "
		"take to gain most (the last 64 pieces are looked at).\n\n"
		"Heaps: pieces of arenas, with how little is in use in them. A heap of an arena "
		"other than "
		"main goes back as a whole when its last chunk is freed.",
	.example = "heap pins --by type --limit 5",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_USAGE | INSP_NEED_CHUNKS,
	.needs_of = needs_of,
	.tables = tables,
	.run = run,
};
