/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x: bytes of the target, with what each word points at. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command/heap_common.h"
#include "target/space.h"

struct args {
	uint64_t addr, count;
};

static const struct insp_option options[] = {
	{"ADDR", 0, INSP_OPT_ADDR, NULL, "first address, hexadecimal", NULL, NULL,
	 offsetof(struct args, addr), .required = true},
	{"count", 'c', INSP_OPT_SIZE, "BYTES", "how many bytes", "128", NULL,
	 offsetof(struct args, count)},
	INSP_OPTION_END,
};

#define ROW	  16
#define MAX_BYTES (UINT64_C(64) << 20)

static const struct insp_column columns[] = {
	{"addr", "address", INSP_T_ADDR, 0, "of the first byte of the row"},
	{"hex", "bytes", INSP_T_STR, 0, "hexadecimal, in memory order"},
	{"ascii", "", INSP_T_STR, 0, "printable characters, . for the rest"},
	{"note", "", INSP_T_STR, INSP_COL_WRAP, "start of a chunk, what the words point at"},
};

static void add(char *buf, size_t size, const char *text)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, "%s%s", n ? "; " : "", text);
}

/* A chunk that starts in this row, and where its words point to. */
static void annotate(const struct insp_context *ctx, uint64_t addr, const uint8_t *bytes, size_t n,
		     char *buf, size_t size)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	size_t hint = SIZE_MAX;

	buf[0] = '\0';
	for (uint64_t a = addr; a < addr + n; a += 8) {
		int64_t id = insp_chunks_owner(snap->chunks, a, &hint);
		struct insp_chunk c;
		char text[96];

		if (id < 0)
			continue;
		insp_chunks_get(snap->chunks, (uint32_t)id, &c);
		if (c.mem != a)
			continue;
		snprintf(text, sizeof(text), "chunk of %" PRIu64 " B, %s", c.size,
			 insp_chunk_state_title(c.state));
		add(buf, size, text);
	}
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t word;
		const char *what;
		char text[192];

		memcpy(&word, bytes + i, 8);
		if (word < 4096 || !insp_regions_find(&snap->regions, word))
			continue;
		what = insp_describe_addr(snap, ctx->symbols, ctx->pool, word);
		snprintf(text, sizeof(text), "%s-> %s", n > 8 && i ? "2nd " : "", what ? what : "?");
		add(buf, size, text);
	}
}

static void report_row(struct insp_context *ctx, struct insp_report *r, uint64_t addr,
		       const uint8_t *bytes, size_t n)
{
	char hex[ROW * 3 + 2], ascii[ROW + 1], note[512];
	size_t h = 0;

	for (size_t i = 0; i < n; i++) {
		h += (size_t)snprintf(hex + h, sizeof(hex) - h, i == 8 ? "  %02x" : i ? " %02x" : "%02x",
				      bytes[i]);
		ascii[i] = isprint(bytes[i]) && bytes[i] < 128 ? (char)bytes[i] : '.';
	}
	ascii[n] = '\0';
	annotate(ctx, addr, bytes, n, note, sizeof(note));
	insp_cell_u64(r, addr);
	insp_cell_str(r, hex);
	insp_cell_str(r, ascii);
	insp_cell_str(r, note);
	insp_row_end(r);
}

static const struct insp_table table = INSP_TABLE("bytes", NULL, columns, NULL);

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	uint8_t bytes[ROW];
	uint64_t at = a->addr, end = a->addr + a->count;

	if (a->count > MAX_BYTES || end < at)
		return insp_fail(err, INSP_E_USAGE, "--count goes up to 64M");
	if (!ctx->space)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "the bytes are not here: the target ended, or this is a snapshot "
				 "that was saved without --contents");
	if (insp_space_read(ctx->space, at, bytes, 1))
		return insp_fail(err, INSP_E_FAULT, "%#" PRIx64 " cannot be read: %s", at,
				 insp_describe_addr(ctx->snapshot, NULL, ctx->pool, at));
	insp_table_begin(report, &table);
	while (at < end) {
		size_t n = end - at < ROW ? (size_t)(end - at) : ROW;

		while (n && insp_space_read(ctx->space, at, bytes, n))
			n--;
		if (!n)
			break;
		report_row(ctx, report, at, bytes, n);
		at += n;
	}
	insp_table_end(report);
	if (at < end)
		insp_note(report, INSP_WARNING, "unreadable", "%#" PRIx64 " and what follows cannot be read",
			  at);
	return 0;
}

static const struct insp_table *const tables[] = {&table, NULL};

const struct insp_command insp_cmd_x = {
	.name = "x",
	.group = "memory",
	.summary = "dump bytes of the target and say what its words point at",
	.help = "Shows memory in rows of 16 bytes. Where a word of a row is an address of something "
		"known, the row says of what. Chunks and symbols are those of the snapshot; the bytes "
		"are read now, from the process as it runs, unless it is held or a core.",
	.example = "x 0x7ffff7dd0000 --count 256",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_CHUNKS | INSP_NEED_SYMBOLS | INSP_NEED_BYTES,
	.tables = tables,
	.run = run,
};
