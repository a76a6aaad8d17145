/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot file of any bytes. Checksums would keep the fuzzer from what lies behind them, so
 * what follows the first byte is the whole file, or, where that is below 128, one section after the other as
 * it lies in memory, for which a right frame is made here. What is loaded is then looked at by every command
 * of the table, so that a new one cannot be forgotten.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "command/command.h"
#include "render/render.h"
#include "snapshot/contents.h"
#include "snapshot/file.h"
#include "target/space.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a file has or has not. */
#define PARTS (INSP_NEED_CHUNKS | INSP_NEED_STACKS | INSP_NEED_POINTERS | INSP_NEED_USAGE | INSP_NEED_SITES)

struct row {
	char id[8];
	uint64_t offset, stored, raw, sum;
};

/* Sections in data: number, two bytes of length, bytes. */
static size_t frame(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
	struct row rows[16] = {0};
	uint32_t format = INSP_FILE_FORMAT, n = 0;
	size_t at = 24 + sizeof(rows);
	uint64_t sum;

	for (size_t i = 0; i + 3 <= size && n < 16; n++) {
		size_t len = data[i + 1] | (size_t)data[i + 2] << 8, packed;
		const struct insp_section *s = &insp_sections[data[i] % insp_nsections];

		i += 3;
		if (len > size - i)
			len = size - i;
		packed = ZSTD_compress(out + at, room - at, data + i, len, 1);
		if (ZSTD_isError(packed))
			break;
		memcpy(rows[n].id, s->id, 8);
		rows[n].offset = at;
		rows[n].stored = packed;
		rows[n].raw = len;
		rows[n].sum = XXH64(out + at, packed, 0);
		at += packed;
		i += len;
	}
	memcpy(out, "MEMINSP\n", 8);
	memcpy(out + 8, &format, 4);
	memcpy(out + 12, &n, 4);
	sum = XXH64(rows, n * sizeof(*rows), 0);
	memcpy(out + 16, &sum, 8);
	memcpy(out + 24, rows, sizeof(rows));
	return at;
}

/* Taken and dropped. */
static int swallow(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	(void)ctx;
	(void)bytes;
	(void)n;
	(void)err;
	return 0;
}

/* Looks at a snapshot, and at nothing beside it: not the disk, not another process. */
static bool only_looks(const struct insp_command *command)
{
	static const char *const no[] = {"save", "core", "doctor"};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (!strcmp(command->name, no[i]))
			return false;
	return command->flags & INSP_COMMAND_ONESHOT &&
	       !(command->flags & (INSP_COMMAND_NO_TARGET | INSP_COMMAND_DIRECT));
}

/* What stands for required arguments: an address that the input chooses, a text, a name. */
static void arguments(const struct insp_command *command, const struct insp_snapshot *s,
		      struct insp_pool *pool, struct insp_words *words)
{
	uint64_t addr = s->chunks->nspans ? s->chunks->spans[0].start + 16 : 0x1000;

	for (const struct insp_option *o = command->options; o && o->name; o++)
		if (insp_option_positional(o) && o->required)
			(void)!insp_words_add(words,
					      o->type == INSP_OPT_CHOICE
						      ? insp_pool_strndup(pool, o->choices,
									  strcspn(o->choices, "|"))
						      : insp_pool_printf(pool, "%#" PRIx64, addr),
					      pool);
}

static void run(const struct insp_command *command, struct insp_context *ctx, const char *format,
		const char *option)
{
	const struct insp_renderer *renderer = insp_renderer_find(format);
	const struct insp_render_options options = {.width = 80};
	struct insp_words words = {0};
	struct insp_report *report;
	struct insp_error err = {0};
	struct insp_out out;
	unsigned needs;
	void *args, *state;

	arguments(command, ctx->snapshot, ctx->pool, &words);
	if (option)
		(void)!insp_words_add(&words, option, ctx->pool);
	if (insp_command_parse(command, (int)words.n, words.items, ctx->pool, NULL, NULL, &args, &err))
		return;
	needs = command->needs | (command->needs_of ? command->needs_of(args) : 0);
	if (needs & PARTS & ~ctx->snapshot->has) /* a session refuses it */
		return;
	insp_out_init(&out, swallow, NULL);
	state = renderer->open(&out, &options);
	report = state ? insp_report_create(renderer->sink, state, &out) : NULL;
	if (report) {
		(void)!command->run(ctx, args, report, &err);
		(void)!insp_report_end(report, &err, NULL);
	}
	insp_report_destroy(report);
	renderer->close(state);
	insp_out_deinit(&out);
}

/* The memory that the file brought, if any. */
static struct insp_space *memory_of(const struct insp_snapshot *s, struct insp_target **target)
{
	*target = NULL;
	if (!s->contents || insp_contents_open(s, target, NULL))
		return NULL;
	return insp_space_create(*target, &s->regions);
}

/* Every command of the table, and diff by all that there is. */
static void use(const struct insp_snapshot *s, const char *format)
{
	static const char *const by[] = {"--by=size",	 "--by=arena", "--by=state",
					 "--by=mapping", "--by=site"};
	struct insp_context ctx = {.snapshot = s, .base = s};
	struct insp_target *target;

	ctx.space = memory_of(s, &target);
	for (const struct insp_command *const *c = insp_commands(); *c; c++) {
		size_t nways = strcmp((*c)->name, "diff") ? 1 : sizeof(by) / sizeof(by[0]);

		for (size_t i = 0; only_looks(*c) && i < nways; i++) {
			ctx.pool = insp_pool_create();
			if (ctx.pool)
				run(*c, &ctx, format, nways > 1 ? by[i] : NULL);
			insp_pool_destroy(ctx.pool);
		}
	}
	insp_space_destroy(ctx.space);
	insp_target_close(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct insp_snapshot *s;
	struct insp_error err = {0};
	uint8_t *made = NULL;
	size_t room = 2 * size + 65536;

	if (!size)
		return 0;
	if (data[0] < 128) {
		made = malloc(room);
		if (!made)
			return 0;
		size = frame(data + 1, size - 1, made, room);
	} else {
		data++;
		size--;
	}
	if (!insp_snapshot_load_bytes(made ? made : data, size, "input", &s, &err)) {
		use(s, size & 1 ? "json" : "text");
		insp_snapshot_destroy(s);
	}
	free(made);
	return 0;
}
