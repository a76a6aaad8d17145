/* SPDX-License-Identifier: GPL-3.0-or-later */
/* info: who a snapshot is of, when and how it was taken, and what it holds. */
#include "command/command.h"

static void report_parts(struct insp_report *r, const struct insp_snapshot *s)
{
	insp_object_begin(r, "holds", "Holds");
	insp_field_u64(r, "mappings", "mappings", INSP_T_COUNT, s->regions.n);
	insp_field_u64(r, "modules", "modules", INSP_T_COUNT, s->modules.n);
	insp_field_u64(r, "threads", "threads", INSP_T_COUNT, s->threads.n);
	insp_field_bool(r, "stacks", "stacks", s->has & INSP_NEED_STACKS);
	insp_field_bool(r, "usage", "memory usage", s->has & INSP_NEED_USAGE);
	insp_field_u64(r, "arenas", "arenas", INSP_T_COUNT, s->arenas.n);
	insp_field_u64(r, "chunks", "chunks", INSP_T_COUNT, s->chunks->n);
	insp_field_u64(r, "pointers", "pointers", INSP_T_COUNT, s->pointers ? s->pointers->n : 0);
	insp_field_u64(r, "findings", "findings", INSP_T_COUNT, s->findings.n + s->findings.dropped);
	insp_object_end(r);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct insp_snapshot *s = ctx->snapshot;
	const struct insp_capture_info *c = &s->capture;

	(void)args;
	(void)err;
	insp_object_begin(report, "process", "Process");
	insp_field_str(report, "comm", "name", s->comm);
	insp_field_i64(report, "pid", "pid", INSP_T_ID, s->pid);
	if (s->ns_pid != s->pid)
		insp_field_i64(report, "ns_pid", "pid in its namespace", INSP_T_ID, s->ns_pid);
	insp_field_str(report, "exe", "program", s->exe);
	insp_field_str(report, "cmdline", "command line", s->cmdline);
	insp_field_str(report, "hostname", "host", s->hostname);
	if (s->started_at_ns)
		insp_field_u64(report, "started_at_ns", "started at", INSP_T_TIME, s->started_at_ns);
	insp_object_end(report);
	insp_object_begin(report, "taken", "Taken");
	insp_field_u64(report, "taken_at_ns", "at", INSP_T_TIME, s->taken_at_ns);
	insp_field_str(report, "mode", "by", c->mode);
	insp_field_bool(report, "consistent", "one instant", c->consistent);
	insp_field_str(report, "incomplete", c->incomplete ? "incomplete" : NULL, c->incomplete);
	insp_field_u64(report, "stopped_ns", "stopped for", INSP_T_DURATION, c->stopped_ns);
	insp_field_u64(report, "bytes_read", "read", INSP_T_BYTES, c->bytes_read);
	insp_object_end(report);
	report_parts(report, s);
	return 0;
}

static const struct insp_column process_fields[] = {
	{"comm", NULL, INSP_T_STR, 0, "name of the process"},
	{"pid", NULL, INSP_T_ID, 0, "its id"},
	{"ns_pid", NULL, INSP_T_ID, 0, "its id in its own namespace, if another"},
	{"exe", NULL, INSP_T_STR, 0, "path of the program"},
	{"cmdline", NULL, INSP_T_STR, 0, "words joined by spaces"},
	{"hostname", NULL, INSP_T_STR, 0, "where it was taken"},
	{"started_at_ns", NULL, INSP_T_TIME, 0, "start of the process"},
};
static const struct insp_table process_doc = INSP_TABLE("process", NULL, process_fields, NULL);

static const struct insp_column taken_fields[] = {
	{"taken_at_ns", NULL, INSP_T_TIME, 0, "when"},
	{"mode", NULL, INSP_T_STR, 0, "how: stop, live, core ..."},
	{"consistent", NULL, INSP_T_BOOL, 0, "one instant"},
	{"incomplete", NULL, INSP_T_STR, 0, "what is missing and why"},
	{"stopped_ns", NULL, INSP_T_DURATION, 0, "for how long the process stood still"},
	{"bytes_read", NULL, INSP_T_BYTES, 0, "read from it"},
};
static const struct insp_table taken_doc = INSP_TABLE("taken", NULL, taken_fields, NULL);

static const struct insp_column holds_fields[] = {
	{"mappings", NULL, INSP_T_COUNT, 0, "in the snapshot"},
	{"modules", NULL, INSP_T_COUNT, 0, "in the snapshot"},
	{"threads", NULL, INSP_T_COUNT, 0, "in the snapshot"},
	{"stacks", NULL, INSP_T_BOOL, 0, "stacks are in it"},
	{"usage", NULL, INSP_T_BOOL, 0, "memory usage by mapping is in it"},
	{"arenas", NULL, INSP_T_COUNT, 0, "in the snapshot"},
	{"chunks", NULL, INSP_T_COUNT, 0, "in the snapshot"},
	{"pointers", NULL, INSP_T_COUNT, 0, "in the snapshot"},
	{"findings", NULL, INSP_T_COUNT, 0, "in the snapshot"},
};
static const struct insp_table holds_doc = INSP_TABLE("holds", NULL, holds_fields, NULL);
static const struct insp_table *const tables[] = {&process_doc, &taken_doc, &holds_doc, NULL};

const struct insp_command insp_cmd_info = {
	.name = "info",
	.group = "files",
	.summary = "who a snapshot is of, when and how it was taken, what it holds",
	.help = "Most useful on a saved file. `one instant` is no when the process ran while it was "
		"read; then figures are approximate.",
	.example = "info",
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_CHUNKS,
	.tables = tables,
	.run = run,
};
