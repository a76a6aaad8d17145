/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find: where in the heap, in globals and on stacks something lies. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/log.h"
#include "command/heap_common.h"
#include "target/space.h"

#define PATTERN_MAX 256

struct args {
	const char *pattern, *string, *u32, *u64, *hex;
	uint64_t pointer, limit;
	bool shared;
};

static const struct insp_option options[] = {
	{.name = "PATTERN",
	 .type = INSP_OPT_TEXT,
	 .offset = offsetof(struct args, pattern),
	 .help = "text to look for, as it is; for anything else use one of the options"},
	{.name = "string",
	 .type = INSP_OPT_TEXT,
	 .arg = "TEXT",
	 .offset = offsetof(struct args, string),
	 .help = "the same as PATTERN"},
	{.name = "pointer",
	 .type = INSP_OPT_ADDR,
	 .arg = "ADDR",
	 .offset = offsetof(struct args, pointer),
	 .help = "words that hold this address"},
	{.name = "u64",
	 .type = INSP_OPT_TEXT,
	 .arg = "N",
	 .offset = offsetof(struct args, u64),
	 .help = "words of 8 bytes, aligned, that hold this number"},
	{.name = "u32",
	 .type = INSP_OPT_TEXT,
	 .arg = "N",
	 .offset = offsetof(struct args, u32),
	 .help = "words of 4 bytes, aligned, that hold this number"},
	{.name = "hex",
	 .type = INSP_OPT_TEXT,
	 .arg = "BYTES",
	 .offset = offsetof(struct args, hex),
	 .help = "bytes in hexadecimal digits, at any place"},
	{.name = "shared",
	 .type = INSP_OPT_FLAG,
	 .offset = offsetof(struct args, shared),
	 .help = "look into shared and read-only mappings as well"},
	{.name = "limit",
	 .letter = 'n',
	 .type = INSP_OPT_COUNT,
	 .arg = "N",
	 .def = "50",
	 .offset = offsetof(struct args, limit),
	 .help = "at most N places; 0: all"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"addr", "address", INSP_T_ADDR, 0, "where it begins"},
	{"chunk", "chunk", INSP_T_ADDR, 0, "memory of the chunk that it lies in, if any"},
	{"offset", "offset", INSP_T_COUNT, 0, "in that chunk"},
	{"state", NULL, INSP_T_STR, 0, "of that chunk"},
	{"where", "where", INSP_T_STR, INSP_COL_WRAP, "what lies there"},
};
static const struct insp_table table = INSP_TABLE("places", NULL, columns, "not found");
static const struct insp_table *const tables[] = {&table, NULL};

struct search {
	struct insp_context *ctx;
	struct insp_report *report;
	uint8_t pattern[PATTERN_MAX];
	size_t size;
	uint64_t align, limit, shown, total, searched;
	uint64_t passed, whole; /* bytes of address space: of regions that are done, of all */
};

static int parse_hex(struct search *s, const char *text, struct insp_error *err)
{
	int high = -1;

	for (; *text; text++) {
		int digit = *text >= '0' && *text <= '9'   ? *text - '0'
			    : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
			    : *text >= 'A' && *text <= 'F' ? *text - 'A' + 10
							   : -1;

		if (*text == ' ' && high < 0)
			continue;
		if (digit < 0 || s->size >= PATTERN_MAX)
			return insp_fail(err, INSP_E_USAGE,
					 "pairs of hexadecimal digits expected, at most %d, at '%s'",
					 PATTERN_MAX, text);
		if (high < 0) {
			high = digit;
			continue;
		}
		s->pattern[s->size++] = (uint8_t)(high << 4 | digit);
		high = -1;
	}
	if (high >= 0 || !s->size)
		return insp_fail(err, INSP_E_USAGE, "pairs of hexadecimal digits expected");
	return 0;
}

static int parse_text(struct search *s, const char *text, struct insp_error *err)
{
	s->size = strlen(text);
	if (!s->size || s->size > PATTERN_MAX)
		return insp_fail(err, INSP_E_USAGE, "1 to %d characters expected", PATTERN_MAX);
	memcpy(s->pattern, text, s->size);
	return 0;
}

static int parse_word(struct search *s, const struct args *a, struct insp_error *err)
{
	const char *text = a->u64 ? a->u64 : a->u32;
	uint64_t number = a->pointer;
	int rc = number ? 0 : insp_parse_u64(text, &number, err);

	if (rc)
		return rc;
	s->size = s->align = a->u32 ? 4 : 8;
	if (s->size == 4 && number > UINT32_MAX)
		return insp_fail(err, INSP_E_USAGE, "'%s' does not fit into 32 bits", text);
	memcpy(s->pattern, &number, s->size); /* both machines are little endian */
	return 0;
}

static int parse_pattern(struct search *s, const struct args *a, struct insp_error *err)
{
	unsigned given = !!a->pattern + !!a->string + !!a->pointer + !!a->u32 + !!a->u64 + !!a->hex;

	if (given != 1)
		return insp_fail(err, INSP_E_USAGE,
				 "one thing to look for expected: PATTERN, --string, --pointer, "
				 "--u64, --u32 or --hex");
	s->align = 1;
	if (a->hex)
		return parse_hex(s, a->hex, err);
	if (a->pattern || a->string)
		return parse_text(s, a->pattern ? a->pattern : a->string, err);
	return parse_word(s, a, err);
}

static void found(struct search *s, uint64_t addr)
{
	const struct insp_snapshot *snap = s->ctx->snapshot;
	struct insp_report *r = s->report;
	int64_t id = insp_chunks_at(snap->chunks, addr);
	struct insp_chunk c;

	s->total++;
	if (s->limit && s->shown >= s->limit)
		return;
	s->shown++;
	insp_cell_u64(r, addr);
	if (id >= 0) {
		insp_chunks_get(snap->chunks, (uint32_t)id, &c);
		insp_cell_u64(r, c.mem);
		if (addr >= c.mem)
			insp_cell_u64(r, addr - c.mem);
		else
			insp_cell_unknown(r);
		insp_cell_str(r, insp_chunk_state_key(c.state));
	} else {
		insp_cell_unknown(r);
		insp_cell_unknown(r);
		insp_cell_unknown(r);
	}
	insp_cell_str(r, insp_describe_addr(snap, s->ctx->symbols, s->ctx->pool, addr));
	insp_row_end(r);
}

/* All places in bytes that begin below `end`; what begins later is seen with the next block. */
static void search_bytes(struct search *s, uint64_t addr, const uint8_t *bytes, size_t n, size_t end)
{
	const uint8_t *at = bytes;

	while ((at = memmem(at, n - (size_t)(at - bytes), s->pattern, s->size)) != NULL) {
		size_t off = (size_t)(at - bytes);

		if (off >= end)
			return;
		if ((addr + off) % s->align == 0)
			found(s, addr + off);
		at++;
	}
}

static int search_region(struct search *s, const struct insp_region *region, struct insp_error *err)
{
	struct insp_stream stream;
	uint64_t addr = region->start;
	int rc = 0;

	insp_stream_begin(&stream, s->ctx->space, region->start, region->end, NULL, NULL);
	while (region->end - addr >= s->size && !rc) {
		size_t avail = 0, end;
		const uint8_t *bytes = insp_stream_at(&stream, addr, s->size, &avail);

		if (insp_interrupted())
			rc = insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (insp_report_failed(s->report))
			break;
		if (!bytes) { /* a page that cannot be read */
			addr = (addr + 4096) & ~UINT64_C(4095);
			if (addr >= region->end)
				break;
			continue;
		}
		if (avail > region->end - addr)
			avail = (size_t)(region->end - addr);
		end = avail - s->size + 1;
		search_bytes(s, addr, bytes, avail, end);
		s->searched += end;
		addr += end;
		insp_progress("searching", s->passed + (addr - region->start), s->whole);
	}
	insp_stream_end(&stream);
	return rc;
}

static bool is_searched(const struct insp_region *r, const struct args *a)
{
	bool private_data = r->prot & INSP_PROT_WRITE && !(r->flags & INSP_REGION_SHARED);

	return r->prot & INSP_PROT_READ && !(r->flags & INSP_REGION_DEVICE) &&
	       (private_data || a->shared);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct search s = {.ctx = ctx, .report = report, .limit = a->limit};
	const struct insp_regions *regions;
	int rc = parse_pattern(&s, a, err);

	if (rc)
		return rc;
	if (!ctx->space)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "the bytes are not here: the target ended, or this is a snapshot "
				 "that was saved without --contents");
	regions = insp_space_regions(ctx->space);
	insp_table_begin(report, &table);
	for (size_t i = 0; i < regions->n; i++)
		if (is_searched(&regions->items[i], a))
			s.whole += regions->items[i].end - regions->items[i].start;
	for (size_t i = 0; i < regions->n && !rc; i++) {
		const struct insp_region *r = &regions->items[i];

		if (!is_searched(r, a))
			continue;
		rc = search_region(&s, r, err);
		s.passed += r->end - r->start;
	}
	insp_table_end(report);
	if (s.shown < s.total)
		insp_table_cut(report, s.shown, s.total, "--limit 0 shows all");
	insp_field_u64(report, "searched_bytes", NULL, INSP_T_BYTES, s.searched);
	return rc;
}

const struct insp_command insp_cmd_find = {
	.name = "find",
	.group = "memory",
	.summary = "where text, a number, a pointer or bytes lie in memory",
	.help = "Searches all private writable memory that is present: heaps, data of modules, "
		"stacks, "
		"anonymous mappings. Each place is named: chunk and offset, thread's stack, "
		"symbol.\n\n"
		"The memory is read as it is now; the chunks are those of the snapshot.",
	.example = "find --string GET --limit 20",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.tables = tables,
	.needs = INSP_NEED_CHUNKS | INSP_NEED_SYMBOLS | INSP_NEED_BYTES | INSP_NEED_STACKS,
	.run = run,
};
