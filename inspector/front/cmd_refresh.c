/* SPDX-License-Identifier: GPL-3.0-or-later */
/* refresh: a new snapshot in the place of the old one, and what that changed. */
#include "front/session.h"

#include "base/log.h"

static const struct insp_column columns[] = {
	{"what", "what", INSP_T_STR, 0, "which figure"},
	{"before", "before", INSP_T_BYTES, 0, "in the old snapshot, bytes"},
	{"now", "now", INSP_T_BYTES, 0, "in the new snapshot, bytes"},
	{"change", "change", INSP_T_DELTA, 0, "now minus before, bytes"},
};
static const struct insp_column count_columns[] = {
	{"what", "what", INSP_T_STR, 0, "which figure"},
	{"before", "before", INSP_T_COUNT, 0, "in the old snapshot"},
	{"now", "now", INSP_T_COUNT, 0, "in the new snapshot"},
	{"change", "change", INSP_T_DELTA_COUNT, 0, "now minus before"},
};

static const struct insp_table bytes_table = INSP_TABLE("bytes", NULL, columns, NULL);
static const struct insp_table counts_table = INSP_TABLE("counts", NULL, count_columns, NULL);
static const struct insp_table *const tables[] = {&bytes_table, &counts_table, NULL};

struct figures {
	uint64_t taken_at_ns, mapped, system, nmaps, nthreads, nchunks;
};

static struct figures figures_of(const struct insp_snapshot *s)
{
	struct figures f = {0};

	if (!s)
		return f;
	f.taken_at_ns = s->taken_at_ns;
	for (size_t i = 0; i < s->regions.n; i++)
		f.mapped += insp_region_bytes(&s->regions.items[i]);
	for (size_t i = 0; i < s->arenas.n; i++)
		f.system += s->arenas.items[i].spans_bytes;
	f.nmaps = s->regions.n;
	f.nthreads = s->threads.n;
	f.nchunks = s->chunks->n;
	return f;
}

static void row(struct insp_report *r, const char *what, uint64_t before, uint64_t now)
{
	insp_cell_str(r, what);
	insp_cell_u64(r, before);
	insp_cell_u64(r, now);
	insp_cell_i64(r, (int64_t)(now - before));
	insp_row_end(r);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	struct insp_session *session = ctx->session;
	struct figures before = figures_of(session->snapshot), now;
	int rc;

	(void)args;
	rc = insp_session_refresh(session, &session->settings, err);
	if (rc)
		return rc;
	now = figures_of(session->snapshot);
	insp_field_u64(report, "taken_at_ns", "taken at", INSP_T_TIME, now.taken_at_ns);
	if (!before.taken_at_ns)
		return 0;
	insp_field_u64(report, "elapsed_ns", "since the last", INSP_T_DURATION,
		       now.taken_at_ns > before.taken_at_ns ? now.taken_at_ns - before.taken_at_ns : 0);
	insp_table_begin(report, &bytes_table);
	row(report, "address space", before.mapped, now.mapped);
	if (session->snapshot->has & INSP_NEED_CHUNKS)
		row(report, "heaps", before.system, now.system);
	insp_table_end(report);
	insp_table_begin(report, &counts_table);
	row(report, "mappings", before.nmaps, now.nmaps);
	row(report, "threads", before.nthreads, now.nthreads);
	if (session->snapshot->has & INSP_NEED_CHUNKS)
		row(report, "chunks", before.nchunks, now.nchunks);
	insp_table_end(report);
	return 0;
}

const struct insp_command insp_cmd_refresh = {
	.name = "refresh",
	.group = "session",
	.summary = "take a new snapshot in the place of the old one",
	.help = "Stops the process again for a moment (inside GDB it stands already: for after "
		"`set var`). Tells how much time lies between the two "
		"snapshots and how the address space, the heaps and the numbers of mappings, "
		"threads and "
		"chunks changed. If no new one can be taken, the old one stays.",
	.example = "refresh",
	.flags = INSP_COMMAND_REPL | INSP_COMMAND_GDB | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
