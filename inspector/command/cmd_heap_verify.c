/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heap verify: everything odd that the walk met, and what it checked. */
#include <string.h>

#include "analysis/census.h"
#include "command/heap_common.h"

struct args {
	const char *fail_on;
};

static const struct insp_option options[] = {
	{"fail-on", 0, INSP_OPT_CHOICE, "SEVERITY", "exit with 3 when there is a finding as bad as this",
	 NULL, "note|warning|corruption", offsetof(struct args, fail_on)},
	INSP_OPTION_END,
};

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	const struct args *a = args;
	struct insp_census census;
	size_t count[3] = {0};
	int worst = -1, limit;
	int rc = insp_census_take(snap, ctx->pool, &census, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < snap->findings.n; i++) {
		int s = (int)snap->findings.items[i].severity;

		count[s]++;
		worst = s > worst ? s : worst;
	}
	insp_report_allocators(report, snap, ctx->pool);
	insp_object_begin(report, "verify", NULL);
	insp_field_u64(report, "chunks", "chunks checked", INSP_T_COUNT, snap->chunks->n);
	insp_field_u64(report, "arenas", "arenas", INSP_T_COUNT, snap->arenas.n);
	insp_field_u64(report, "lists", "free lists followed", INSP_T_COUNT, snap->bins.n);
	insp_field_u64(report, "unknown_bytes", "bytes not understood", INSP_T_BYTES,
		       census.total[INSP_CHUNK_UNKNOWN].bytes);
	insp_field_u64(report, "corruptions", "corruptions", INSP_T_COUNT, count[INSP_CORRUPTION]);
	insp_field_u64(report, "warnings", "warnings", INSP_T_COUNT, count[INSP_WARNING]);
	insp_field_u64(report, "notes", "notes", INSP_T_COUNT, count[INSP_NOTE]);
	insp_object_end(report);
	insp_report_findings(report, snap, 0, snap->arenas.n ? "nothing odd was found" : NULL);
	if (!a->fail_on)
		return 0;
	limit = !strcmp(a->fail_on, "note") ? INSP_NOTE
		: !strcmp(a->fail_on, "warning") ? INSP_WARNING
						 : INSP_CORRUPTION;
	if (worst >= limit)
		return insp_fail(err, INSP_E_THRESHOLD, "the heap has findings of severity %s or worse",
				 a->fail_on);
	return 0;
}

static const struct insp_column verify_fields[] = {
	{"chunks", NULL, INSP_T_COUNT, 0, "chunks that were checked"},
	{"arenas", NULL, INSP_T_COUNT, 0, "arenas"},
	{"lists", NULL, INSP_T_COUNT, 0, "free lists that were followed"},
	{"unknown_bytes", NULL, INSP_T_BYTES, 0, "in chunks that could not be explained"},
	{"corruptions", NULL, INSP_T_COUNT, 0, "findings of that severity"},
	{"warnings", NULL, INSP_T_COUNT, 0, "findings of that severity"},
	{"notes", NULL, INSP_T_COUNT, 0, "findings of that severity"},
};
static const struct insp_table verify_doc = INSP_TABLE("verify", NULL, verify_fields, NULL);
static const struct insp_table *const tables[] = {
	&insp_allocators_doc, &verify_doc, &insp_findings_doc, NULL,
};

const struct insp_command insp_cmd_heap_verify = {
	.name = "heap verify",
	.group = "heap",
	.summary = "check every chunk and free list against malloc's own rules",
	.help = "Checks what malloc relies on: sizes and alignment of every chunk, that chunks "
		"tile "
		"their heaps, that each arena's bytes equal what it got from the system, that free "
		"lists close, hold only free chunks of the right size and point back at "
		"themselves.\n\n"
		"A corruption is a broken rule: most often a write beyond the end of the chunk in "
		"front "
		"of the address. A warning says that figures are incomplete (a page in swap, say). "
		"A "
		"note is worth knowing: a thread was inside malloc when the process stopped.",
	.example = "heap verify --fail-on corruption",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_CHUNKS,
	.needs = INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
