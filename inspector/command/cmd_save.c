/* SPDX-License-Identifier: GPL-3.0-or-later */
/* save: the snapshot as a file, for later, elsewhere, and for comparison. */
#include <sys/stat.h>

#include "command/command.h"
#include "command/type_diff.h"
#include "command/typing.h"
#include "snapshot/file.h"

struct args {
	const char *file, *output;
	bool contents, pointers, types;
};

static const struct insp_option options[] = {
	{"FILE", 0, INSP_OPT_FILE, NULL, "where to write it; replaced only when all is written", NULL,
	 NULL, offsetof(struct args, file), .file = INSP_FILE_WRITTEN},
	{"output", 'o', INSP_OPT_FILE, "FILE", "the same, as an option", NULL, NULL,
	 offsetof(struct args, output), .file = INSP_FILE_WRITTEN},
	{"contents", 0, INSP_OPT_FLAG, NULL,
	 "with the bytes of the process's private memory, for x, find and types", NULL, NULL,
	 offsetof(struct args, contents)},
	{"pointers", 0, INSP_OPT_FLAG, NULL,
	 "leave out the pointers between chunks: faster and smaller, but no leaks, refs, dominators", "yes",
	 NULL, offsetof(struct args, pointers)},
	{"types", 0, INSP_OPT_FLAG, NULL,
	 "keep what the bytes of chunks tell of their types, for types, leaks, --where and diff --by type: "
	 "takes as long as the types command", NULL, NULL,
	 offsetof(struct args, types)},
	INSP_OPTION_END,
};

static int file_of(const struct args *a, const char **ret, struct insp_error *err)
{
	if (!a->file == !a->output)
		return insp_fail(err, INSP_E_USAGE, "%s: save FILE, or save -o FILE",
				 a->file ? "two files are named" : "no file is named");
	*ret = a->file ? a->file : a->output;
	return 0;
}

/* ---- the bytes: written in the capture, before the snapshot is complete */

struct kept {
	struct insp_saving *saving; /* NULL: ended */
};

static void abandon(void *what)
{
	struct kept *kept = what;

	if (kept->saving)
		(void)!insp_saving_end(kept->saving, NULL, INSP_E_INTERRUPTED, NULL);
}

static unsigned needs_of(const void *args)
{
	const struct args *a = args;

	return (a->pointers ? INSP_NEED_POINTERS : 0) | (a->types ? INSP_TYPING_NEEDS : 0);
}

static bool wants_memory(const void *args)
{
	return ((const struct args *)args)->contents;
}

static int on_memory(const void *args, const struct insp_snapshot *snapshot, struct insp_target *memory,
		     struct insp_pool *pool, void **ret, struct insp_error *err)
{
	struct kept *kept = insp_pool_alloc(pool, sizeof(*kept));
	const char *file = NULL;
	int rc = file_of(args, &file, err);

	if (rc)
		return rc;
	if (!kept || insp_pool_defer(pool, abandon, kept))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_saving_begin(file, &kept->saving, err);
	if (rc)
		return rc;
	*ret = kept;
	return insp_saving_contents(kept->saving, snapshot, memory, err);
}

static int save(struct insp_context *ctx, const struct args *a, const char *file, struct insp_error *err)
{
	struct insp_snapshot counted = *ctx->snapshot;
	struct kept *kept = ctx->kept;
	struct insp_saving *saving = kept ? kept->saving : NULL;
	int rc = 0;

	if (a->types && !counted.types.items)
		rc = insp_type_sums_make(ctx, ctx->pool, true, &counted.types, err);
	if (rc)
		return rc;
	if (!kept)
		return insp_snapshot_save(&counted, file, err);
	kept->saving = NULL;
	return insp_saving_end(saving, &counted, 0, err);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct stat st = {0};
	const char *file = NULL;
	int rc = file_of(args, &file, err);

	if (!rc)
		rc = save(ctx, args, file, err);
	if (rc)
		return rc;
	(void)stat(file, &st); /* only for the size that is told */
	insp_field_str(report, "file", "saved to", file);
	insp_field_u64(report, "file_bytes", "size", INSP_T_BYTES, (uint64_t)st.st_size);
	insp_field_u64(report, "chunks", "chunks", INSP_T_COUNT, ctx->snapshot->chunks->n);
	insp_field_u64(report, "threads", "threads", INSP_T_COUNT, ctx->snapshot->threads.n);
	return 0;
}

static const struct insp_column top_fields[] = {
	{"file", NULL, INSP_T_STR, 0, "where it was saved"},
	{"file_bytes", NULL, INSP_T_BYTES, 0, "size of the file"},
	{"chunks", NULL, INSP_T_COUNT, 0, "that were saved"},
	{"threads", NULL, INSP_T_COUNT, 0, "that were saved"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&top_doc, NULL};

const struct insp_command insp_cmd_save = {
	.name = "save",
	.group = "files",
	.summary = "write the snapshot to a file that every command reads like a process",
	.help = "The file holds chunks, threads with their stacks, mappings, modules, pointers between "
		"chunks, allocation sites, memory usage and findings. Give it in the place "
		"of a PID: `meminspect heap summary peak.mi`. It reads the same on another machine.\n\n"
		"With --contents it also holds the bytes of all private memory that is writable and "
		"present, compressed: x, find and types work on it. Beware: these may be secrets. They are "
		"copied in the pause, and compressed and written while the process runs; where there is not "
		"as much memory, the pause lasts until they are written, unless --allow-inject permits "
		"another copy.\n\n"
		"With --types it holds of each chunk's bytes no more than whether they are text and which "
		"class they are an object of: enough for the figures of types and for diff --by type.\n\n"
		"It gets its name when all is written: a full disk or a kill leaves the old file, or none.",
	.example = "save peak.mi",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_CHUNKS | INSP_NEED_STACKS | INSP_NEED_USAGE | INSP_NEED_SITES | INSP_NEED_PACKED,
	.needs_of = needs_of,
	.tables = tables,
	.wants_memory = wants_memory,
	.on_memory = on_memory,
	.run = run,
};
