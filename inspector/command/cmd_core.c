/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core: an ELF core of the process, for those who want to go on with a debugger. */
#include <sys/stat.h>

#include "command/command.h"
#include "snapshot/core_write.h"

struct args {
	const char *file;
};

static const struct insp_option options[] = {
	{"output", 'o', INSP_OPT_FILE, "FILE", "where to write it (default: core.PID)", NULL, NULL,
	 offsetof(struct args, file), .file = INSP_FILE_WRITTEN},
	INSP_OPTION_END,
};

struct kept {
	const char *file;
	struct insp_core_counts counts;
};

static bool always(const void *args)
{
	(void)args;
	return true;
}

static int on_memory(const void *args, const struct insp_snapshot *snapshot, struct insp_target *memory,
		     struct insp_pool *pool, void **ret, struct insp_error *err)
{
	const struct args *a = args;
	struct kept *kept = insp_pool_alloc(pool, sizeof(*kept));
	struct insp_atomic file;
	int rc;

	if (!kept)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	kept->file = a->file ? a->file : insp_pool_printf(pool, "core.%d", snapshot->pid);
	if (!kept->file)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_atomic_begin(&file, kept->file, err);
	if (rc)
		return rc;
	rc = insp_core_write(snapshot, memory, &file, &kept->counts, err);
	rc = insp_atomic_end(&file, rc, err);
	if (!rc)
		*ret = kept;
	return rc;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct kept *kept = ctx->kept;
	struct stat st = {0};

	(void)args;
	(void)err;
	(void)stat(kept->file, &st); /* only for the sizes that are told */
	insp_field_str(report, "file", "written to", kept->file);
	insp_field_u64(report, "file_bytes", "size", INSP_T_BYTES, (uint64_t)st.st_size);
	insp_field_u64(report, "disk_bytes", "on disk", INSP_T_BYTES, (uint64_t)st.st_blocks * 512);
	insp_field_u64(report, "memory_bytes", "memory in it", INSP_T_BYTES, kept->counts.bytes);
	insp_field_u64(report, "missing_bytes", kept->counts.missing ? "missing" : NULL, INSP_T_BYTES,
		       kept->counts.missing);
	insp_field_u64(report, "threads", "threads", INSP_T_COUNT, ctx->snapshot->threads.n);
	if (kept->counts.missing)
		insp_note(report, INSP_WARNING, "missing",
			  "what was swapped out or could not be read is zeroes in the core");
	return 0;
}

static const struct insp_column top_fields[] = {
	{"file", NULL, INSP_T_STR, 0, "the core"},
	{"file_bytes", NULL, INSP_T_BYTES, 0, "size of the file"},
	{"disk_bytes", NULL, INSP_T_BYTES, 0, "that it takes on disk: holes take nothing"},
	{"memory_bytes", NULL, INSP_T_BYTES, 0, "of the process's memory that are in it"},
	{"missing_bytes", NULL, INSP_T_BYTES, 0,
	 "that existed and could not be had, in swap for example; they read as zeroes"},
	{"threads", NULL, INSP_T_COUNT, 0, "that were found"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);
static const struct insp_table *const tables[] = {&top_doc, NULL};

const struct insp_command insp_cmd_core = {
	.name = "core",
	.group = "files",
	.summary = "write a core file of the process, which runs on",
	.help = "The core holds threads with their registers, all private memory that was written to, and "
		"the first page of each mapped file; GDB opens it, and every command here. Pages that "
		"are not in memory are holes: the file looks as large as the mappings and takes what is "
		"resident. Text and data of libraries are not in it: a debugger needs the same files.\n\n"
		"The memory is copied in the pause and written while the process runs; where there is not as "
		"much memory, the pause lasts until it is written, unless --allow-inject permits another "
		"copy.\n\n"
		"It gets its name when all is written: a full disk or a kill leaves the old file, or none.",
	.example = "core -o core.nginx",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.tables = tables,
	.wants_memory = always,
	.on_memory = on_memory,
	.run = run,
};
