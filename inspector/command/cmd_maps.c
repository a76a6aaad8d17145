/* SPDX-License-Identifier: GPL-3.0-or-later */
/* maps: the address space, one line a mapping, with what malloc made of it. */
#include <string.h>

#include "command/command.h"

struct args {
	bool anonymous, writable;
	const char *match;
};

static const struct insp_option options[] = {
	{.name = "anonymous", .letter = 'a', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, anonymous),
	 .help = "only mappings without a file behind them"},
	{.name = "writable", .letter = 'w', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, writable),
	 .help = "only mappings that can be written"},
	{.name = "match", .letter = 'm', .type = INSP_OPT_TEXT, .arg = "TEXT",
	 .offset = offsetof(struct args, match), .help = "only mappings whose name contains TEXT"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"start", "start", INSP_T_ADDR, 0, "first address"},
	{"end", "end", INSP_T_ADDR, 0, "first address behind it"},
	{"bytes", "size", INSP_T_BYTES, INSP_COL_TOTAL, "end minus start; address space, not memory in use"},
	{"permissions", "perm", INSP_T_STR, 0, "r, w, x, and p for private or s for shared"},
	{"offset", "offset", INSP_T_ADDR, INSP_COL_WIDE, "where in the file it starts, bytes"},
	{"inode", "inode", INSP_T_ID, INSP_COL_WIDE, "of the file; 0 for anonymous memory"},
	{"deleted", "deleted", INSP_T_BOOL, INSP_COL_WIDE, "the file was unlinked or replaced on disk"},
	{"kind", "kind", INSP_T_STR, 0, "file, anonymous, heap, stack, shared, device, kernel"},
	{"name", "name", INSP_T_STR, INSP_COL_WRAP, "path of the file, or the kernel's name in brackets"},
};

static const struct insp_table table = INSP_TABLE("maps", NULL, columns, "no mapping fits");
static const struct insp_table *const tables[] = {&table, NULL};

static const char *kind_of(const struct insp_region *r)
{
	if (r->flags & INSP_REGION_DEVICE)
		return "device";
	if (r->flags & INSP_REGION_BRK)
		return "heap";
	if (r->flags & INSP_REGION_STACK)
		return "stack";
	if (r->flags & INSP_REGION_SHARED)
		return "shared";
	if (!insp_region_anonymous(r))
		return "file";
	return strncmp(r->name, "[v", 2) == 0 ? "kernel" : "anonymous";
}

static bool wanted(const struct args *args, const struct insp_region *r)
{
	if (args->anonymous && !insp_region_anonymous(r))
		return false;
	if (args->writable && !(r->prot & INSP_PROT_WRITE))
		return false;
	return !args->match || strstr(r->name, args->match);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct insp_regions *regions = &ctx->snapshot->regions;
	char perms[5];

	(void)err;
	insp_table_begin(report, &table);
	for (size_t i = 0; i < regions->n && !insp_report_failed(report); i++) {
		const struct insp_region *r = &regions->items[i];
		bool deleted = r->flags & INSP_REGION_DELETED;

		if (!wanted(args, r))
			continue;
		insp_cell_u64(report, r->start);
		insp_cell_u64(report, r->end);
		insp_cell_u64(report, insp_region_bytes(r));
		insp_cell_str(report, insp_region_perms(r, perms));
		insp_cell_u64(report, r->offset);
		if (r->inode == UINT64_MAX) /* a core knows the name only */
			insp_cell_unknown(report);
		else
			insp_cell_u64(report, r->inode);
		insp_cell_bool(report, deleted);
		insp_cell_str(report, kind_of(r));
		insp_cell_str(report, r->name);
		insp_row_end(report);
	}
	insp_table_end(report);
	return 0;
}

const struct insp_command insp_cmd_maps = {
	.name = "maps",
	.group = "memory",
	.summary = "list the mappings of the address space",
	.help = "One line a mapping, as in /proc/PID/maps, in address order. SIZE is address space: a "
		"mapping may be large and hold hardly any memory.",
	.example = "maps --writable --match libc",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.tables = tables,
	.run = run,
};
