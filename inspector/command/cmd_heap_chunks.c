/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heap chunks: the chunks themselves. Without --sort they stream in address order; with it, ids
 * and keys of those that match are sorted first (12 bytes each).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "command/filter.h"
#include "command/heap_common.h"
#include "command/site_profile.h"

struct args {
	const char *arena, *sort, *where;
	uint64_t min, max, limit, from, to, site;
	uint32_t states;
};

static const struct insp_option options[] = {
	{"arena", 'a', INSP_OPT_ARENA, "ARENA", "only chunks of this arena", NULL, NULL,
	 offsetof(struct args, arena)},
	{"min", 0, INSP_OPT_SIZE, "SIZE", "only chunks of at least this size", NULL, NULL,
	 offsetof(struct args, min)},
	{"max", 0, INSP_OPT_SIZE, "SIZE", "only chunks of at most this size", NULL, NULL,
	 offsetof(struct args, max)},
	{"state", 's', INSP_OPT_STATES, "STATES",
	 "only these states: used, free, all, or in_use,mmapped,tcache,fastbin,unsorted,smallbin,"
	 "largebin,unlinked,top,metadata,unknown",
	 "all", NULL, offsetof(struct args, states)},
	{"from", 0, INSP_OPT_ADDR, "ADDR", "only chunks from this address on", NULL, NULL,
	 offsetof(struct args, from)},
	{"to", 0, INSP_OPT_ADDR, "ADDR", "only chunks below this address", NULL, NULL,
	 offsetof(struct args, to)},
	{"site", 0, INSP_OPT_COUNT, "N",
	 "only chunks that this call stack asked for, by the number that heap top and whatis say", NULL, NULL,
	 offsetof(struct args, site)},
	{"where", 0, INSP_OPT_FILTER, "FILTER",
	 "only chunks that a filter accepts, like 'size >= 1K and type ~ Session'", NULL, NULL,
	 offsetof(struct args, where)},
	{"sort", 0, INSP_OPT_CHOICE, "KEY", "order; size: largest first", "addr", "addr|size|state",
	 offsetof(struct args, sort)},
	{"limit", 'n', INSP_OPT_COUNT, "N", "at most N rows; 0: all", "0", NULL,
	 offsetof(struct args, limit)},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"addr", "address", INSP_T_ADDR, 0, "what malloc returned; the head lies 16 bytes below"},
	{"size", "size", INSP_T_COUNT, 0, "of the chunk, head included, bytes"},
	{"usable", "usable", INSP_T_COUNT, 0, "malloc_usable_size(), bytes"},
	{"state", "state", INSP_T_STR, 0, "see heap summary"},
	{"arena", "arena", INSP_T_STR, 0, "name of its arena"},
};

static const struct insp_table table = INSP_TABLE("chunks", NULL, columns, "no chunk matches");

struct filter {
	const struct args *args;
	uint32_t arena;
	const struct insp_sites *sites; /* --site; else NULL */
	struct insp_filter *where;
};

static bool of_site(const struct insp_sites *sites, uint64_t site, uint32_t id)
{
	return sites->chunk_sites && id < sites->nchunks && sites->chunk_sites[id] == site;
}

static bool matches(const struct filter *f, const struct insp_chunk *c)
{
	const struct args *a = f->args;

	return a->states >> c->state & 1 && c->size >= a->min && (!a->max || c->size <= a->max) &&
	       (!a->arena || c->arena == f->arena) && c->mem >= a->from && (!a->to || c->mem < a->to) &&
	       (!f->sites || of_site(f->sites, a->site, c->id)) &&
	       (!f->where || insp_filter_accepts(f->where, c));
}

static void report_row(struct insp_report *r, const struct insp_snapshot *snap,
		       const struct insp_chunk *c)
{
	insp_cell_u64(r, c->mem);
	insp_cell_u64(r, c->size);
	insp_cell_u64(r, c->usable);
	insp_cell_str(r, insp_chunk_state_key(c->state));
	insp_cell_str(r, c->arena < snap->arenas.n ? snap->arenas.items[c->arena].name : NULL);
	insp_row_end(r);
}

static int stream_rows(struct insp_report *r, const struct insp_snapshot *snap,
		       const struct filter *f, struct insp_error *err)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t shown = 0, total = 0, seen = 0;

	insp_chunks_each(snap->chunks, it, c) {
		if ((++seen & 0xffff) == 0) {
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
			if (insp_report_failed(r))
				return 0; /* the report knows why */
		}
		if (!matches(f, &c))
			continue;
		total++;
		if (f->args->limit && shown >= f->args->limit)
			continue;
		report_row(r, snap, &c);
		shown++;
	}
	insp_table_end(r);
	if (shown < total)
		insp_table_cut(r, shown, total, "--limit 0 shows all");
	return 0;
}

struct keyed {
	uint64_t key;
	uint32_t id;
} __attribute__((packed));

static int by_key_then_id(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key ? 1 : (x->id > y->id) - (x->id < y->id);
}

static int sort_rows(struct insp_report *r, const struct insp_snapshot *snap,
		     const struct filter *f, struct insp_error *err)
{
	bool by_size = !strcmp(f->args->sort, "size");
	struct insp_chunk_iter it;
	struct insp_chunk c;
	struct keyed *rows = malloc((snap->chunks->n + 1) * sizeof(*rows));
	uint64_t n = 0, limit;

	if (!rows)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for sorting the chunks");
	insp_chunks_each(snap->chunks, it, c)
		if (matches(f, &c))
			rows[n++] = (struct keyed){by_size ? ~c.size : c.state, c.id};
	qsort(rows, n, sizeof(*rows), by_key_then_id);
	limit = f->args->limit && f->args->limit < n ? f->args->limit : n;
	for (uint64_t i = 0; i < limit && !insp_interrupted() && !insp_report_failed(r); i++) {
		insp_chunks_get(snap->chunks, rows[i].id, &c);
		report_row(r, snap, &c);
	}
	free(rows);
	if (insp_interrupted())
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	insp_table_end(r);
	if (limit < n)
		insp_table_cut(r, limit, n, "--limit 0 shows all");
	return 0;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct filter f = {.args = args};
	int rc;

	if (f.args->arena) {
		rc = insp_arena_find(ctx->snapshot, f.args->arena, &f.arena, err);
		if (rc)
			return rc;
	}
	if (f.args->site) {
		rc = insp_sites_wanted(ctx->snapshot, &f.sites, err);
		if (rc)
			return rc;
		if (f.args->site >= f.sites->n)
			return insp_fail(err, INSP_E_NOTFOUND,
					 "there is no site %" PRIu64 ": 'heap top' lists them", f.args->site);
	}
	if (f.args->where) {
		struct insp_typing *typing;

		rc = insp_typing_create(ctx, false, &typing, err);
		rc = rc ? rc : insp_filter_create(ctx, f.args->where, typing, NULL, &f.where, err);
		if (rc)
			return rc;
	}
	insp_table_begin(report, &table);
	if (!strcmp(f.args->sort, "addr"))
		return stream_rows(report, ctx->snapshot, &f, err);
	return sort_rows(report, ctx->snapshot, &f, err);
}

static unsigned needs_of(const void *args)
{
	const struct args *a = args;

	if (a->site && !a->where)
		return INSP_NEED_SITES;
	return insp_filter_needs(a->where);
}

static const struct insp_table *const tables[] = {&table, NULL};

const struct insp_command insp_cmd_heap_chunks = {
	.name = "heap chunks",
	.group = "heap",
	.summary = "the chunks themselves, filtered and sorted",
	.help = "Addresses are those that malloc returned and the program knows. In address order "
		"(the default) rows stream, so that millions can be piped into other tools; "
		"another "
		"--sort first looks at all.\n\n"
		"--where takes a filter, here and in leaks, types, refs and heap top. Fields with numbers (= "
		"!= < <= > >=): "
		"size, usable, addr, and with the hook age (1h, 90s). Fields with text (= != for "
		"the whole, ~ !~ for "
		"a part, case does not matter): state (also used, free), arena, type, in leaks "
		"reach, and with the "
		"hook site (its stack) and function (the innermost one). reached-by = ADDR or = a "
		"global variable: "
		"chunks that pointers lead to from there. They are joined by and, or, not and "
		"parentheses; and "
		"binds closer than or. Values with spaces go in quotes.\n\n"
		"  'size >= 1K and state = in_use and not arena = main'\n\n"
		"  'type ~ Session and (site ~ parse_ or age > 1h)'\n\n"
		"  'reached-by = session_table and type = text'",
	.example = "heap chunks --state used --min 1M --sort size --limit 20",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_CHUNKS,
	.needs_of = needs_of,
	.tables = tables,
	.run = run,
};
