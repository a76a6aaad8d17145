/* SPDX-License-Identifier: GPL-3.0-or-later */
/* save: the snapshot as a file, for later, elsewhere, and for comparison. */
#include <sys/stat.h>

#include "command/command.h"
#include "snapshot/file.h"

struct args {
	const char *file;
};

static const struct insp_option options[] = {
	{"FILE", 0, INSP_OPT_FILE, NULL, "where to write it; replaced only when all is written", NULL,
	 NULL, offsetof(struct args, file), .required = true},
	INSP_OPTION_END,
};

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct stat st = {0};
	int rc = insp_snapshot_save(ctx->snapshot, a->file, err);

	if (rc)
		return rc;
	(void)stat(a->file, &st); /* only for the size that is told */
	insp_field_str(report, "file", "saved to", a->file);
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
		"chunks, memory usage and findings; not the bytes of the process. Give it in the place "
		"of a PID: `meminspect heap summary peak.mi`. It reads the same on another machine.\n\n"
		"It is written beside its name and renamed at the end: a full disk or a kill leaves the "
		"old file, or none.",
	.example = "save peak.mi",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_CHUNKS | INSP_NEED_STACKS | INSP_NEED_POINTERS | INSP_NEED_USAGE |
		 INSP_NEED_SITES,
	.tables = tables,
	.run = run,
};
