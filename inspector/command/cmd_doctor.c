/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doctor: what would work here, for this user, on this process, and why not. */
#include <inttypes.h>
#include <unistd.h>

#include "base/fmt.h"
#include "command/command.h"
#include "snapshot/copy.h"
#include "snapshot/take.h"
#include "symbol/symbols.h"
#include "target/selftest.h"
#include "target/target.h"
#include "target/usage.h"

struct args {
	const char *target;
	uint64_t max_pause_ns;
};

static const struct insp_option options[] = {
	{"TARGET", 0, INSP_OPT_TEXT, NULL, "the process to look at: PID or name; none: the machine alone",
	 NULL, NULL, offsetof(struct args, target)},
	{"budget", 0, INSP_OPT_DURATION, "TIME", "the pause that would be allowed", "1s", NULL,
	 offsetof(struct args, max_pause_ns)},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"key", NULL, INSP_T_STR, 0, "stable name of the check"},
	{"verdict", "", INSP_T_STR, 0, "yes, limited or no"},
	{"what", "CHECK", INSP_T_STR, 0, "what was tried"},
	{"text", "", INSP_T_STR, INSP_COL_WRAP, "what it means, and what to do about it"},
};
static const struct insp_column module_columns[] = {
	{"module", "MODULE", INSP_T_STR, INSP_COL_WRAP, "file that is mapped"},
	{"debug_info", "NAMES FROM", INSP_T_STR, 0, "dwarf, symtab, dynsym or none"},
};

static const struct insp_table machine_table = INSP_TABLE("machine", "This machine", columns, NULL);
static const struct insp_table process_table = INSP_TABLE("process", "This process", columns, NULL);
static const struct insp_table modules_table =
	INSP_TABLE("modules", "Names of functions", module_columns, NULL);
static const struct insp_table *const tables[] = {&machine_table, &process_table, &modules_table, NULL};

static void row(struct insp_report *r, const char *key, enum insp_verdict verdict, const char *what,
		const char *text)
{
	static const char *const names[] = {"yes", "limited", "no"};

	insp_cell_str(r, key);
	insp_cell_str(r, names[verdict]);
	insp_cell_str(r, what);
	insp_cell_str(r, text);
	insp_row_end(r);
}

static void report_machine(struct insp_report *r)
{
	struct insp_check checks[INSP_SELFTEST_MAX];
	size_t n = insp_selftest(checks);

	insp_table_begin(r, &machine_table);
	for (size_t i = 0; i < n; i++)
		row(r, checks[i].key, checks[i].verdict, checks[i].what, checks[i].text);
	insp_table_end(r);
}

static void report_allocators(struct insp_report *r, const struct insp_snapshot *s,
			      struct insp_pool *pool)
{
	for (size_t i = 0; i < s->allocators.n; i++) {
		const struct insp_allocator *a = &s->allocators.items[i];

		row(r, "allocator", a->walked ? INSP_VERDICT_YES : INSP_VERDICT_NO, "allocator",
		    insp_pool_printf(pool, "%s: %s", a->title, a->evidence ? a->evidence : ""));
	}
	if (!s->allocators.n)
		row(r, "allocator", INSP_VERDICT_NO, "allocator",
		    "none was recognised: heap commands have nothing to show; maps, rss and threads work");
}

static void report_cgroup(struct insp_report *r, struct insp_target *target, struct insp_pool *pool)
{
	struct insp_usage u = {0};
	char used[INSP_FMT_MAX], max[INSP_FMT_MAX], room[INSP_FMT_MAX];

	if (insp_usage_read_summary(target, pool, &u, NULL))
		return;
	if (u.cgroup_current == INSP_UNKNOWN || u.cgroup_max == INSP_UNKNOWN) {
		row(r, "cgroup", INSP_VERDICT_YES, "memory limit",
		    insp_pool_printf(pool, "%s; on the machine %s are available",
				     u.cgroup_current == INSP_UNKNOWN ? "it is in no memory cgroup"
								      : "its memory cgroup has none",
				     insp_fmt_bytes(room, u.mem_available)));
		return;
	}
	row(r, "cgroup",
	    u.cgroup_current > u.cgroup_max / 10 * 9 ? INSP_VERDICT_LIMITED : INSP_VERDICT_YES,
	    "memory limit",
	    insp_pool_printf(pool, "%s left: %s of %s used in its cgroup; a forked copy has to fit into the rest",
			     insp_fmt_bytes(room, u.cgroup_max > u.cgroup_current
							  ? u.cgroup_max - u.cgroup_current
							  : 0),
			     insp_fmt_bytes(used, u.cgroup_current), insp_fmt_bytes(max, u.cgroup_max)));
}

static void report_stop(struct insp_report *r, const struct insp_snapshot *s,
			const struct insp_error *refusal, struct insp_pool *pool)
{
	char buf[INSP_FMT_MAX];
	const char *estimate = insp_fmt_duration(buf, s->capture.estimated_stop_ns);

	if (refusal->code)
		row(r, "pause", INSP_VERDICT_LIMITED, "pause of heap commands", refusal->msg);
	else
		row(r, "pause", INSP_VERDICT_YES, "pause of heap commands",
		    insp_pool_printf(pool, "about %s, stopped and read (%zu threads)", estimate,
				     s->threads.n));
	row(r, "auto", refusal->code ? INSP_VERDICT_NO : INSP_VERDICT_YES, "--capture auto",
	    refusal->code ? "refuses: over the limit"
			  : insp_pool_printf(pool, "takes stop: about %s", estimate));
}

/* The ways that read from a copy, and which of all ways auto takes when it may. Only asked, not done. */
static void report_copies(struct insp_report *r, struct insp_target *target, const struct insp_snapshot *s,
			  uint64_t max_pause_ns, struct insp_pool *pool)
{
	const bool over = s->capture.estimated_stop_ns > max_pause_ns;
	static const struct {
		const char *name;
		enum insp_capture_mode mode;
		const char *besides;
	} ways[] = {{"precopy", INSP_CAPTURE_PRECOPY, ", and for what it writes meanwhile"},
		    {"fork", INSP_CAPTURE_FORK, ""}};
	const char *texts[2], *what = "--capture auto --allow-inject";
	enum insp_verdict verdicts[2];
	char buf[INSP_FMT_MAX];
	int best = -1;

	for (int i = 1; i >= 0; i--) {
		uint64_t pause_ns = insp_copy_estimate_ns(target, ways[i].mode, s->threads.n);
		struct insp_error why = {0};

		verdicts[i] = insp_copy_check(target, ways[i].mode, &why) ? INSP_VERDICT_NO
			      : pause_ns > max_pause_ns			   ? INSP_VERDICT_LIMITED
									   : INSP_VERDICT_YES;
		if (verdicts[i] == INSP_VERDICT_YES)
			best = i;
		texts[i] = verdicts[i] == INSP_VERDICT_NO
				   ? insp_pool_strdup(pool, why.msg)
				   : insp_pool_printf(pool, "about %s%s", insp_fmt_duration(buf, pause_ns),
						      ways[i].besides);
	}
	if (!over)
		row(r, "auto_inject", INSP_VERDICT_YES, what,
		    insp_pool_printf(pool, "takes stop, too: about %s",
				     insp_fmt_duration(buf, s->capture.estimated_stop_ns)));
	else if (best >= 0)
		row(r, "auto_inject", INSP_VERDICT_YES, what,
		    insp_pool_printf(pool, "takes %s: %s", ways[best].name, texts[best]));
	else
		row(r, "auto_inject", INSP_VERDICT_NO, what, "refuses: no copy is possible within the limit");
	for (size_t i = 0; i < 2; i++)
		row(r, ways[i].name, verdicts[i], i ? "--capture fork" : "--capture precopy", texts[i]);
}

static void report_modules(struct insp_report *r, struct insp_target *target,
			   const struct insp_snapshot *s)
{
	struct insp_symbols *symbols;

	if (insp_symbols_create(target, &s->regions, &s->modules, &symbols, NULL))
		return;
	insp_table_begin(r, &modules_table);
	for (size_t i = 0; i < s->modules.n; i++) {
		insp_cell_str(r, s->modules.items[i].path);
		insp_cell_str(r, insp_symbols_quality(symbols, &s->modules.items[i]));
		insp_row_end(r);
	}
	insp_table_end(r);
	insp_symbols_destroy(symbols);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_take_options take = {.needs = INSP_NEED_CHUNKS | INSP_NEED_STACKS,
					 .max_pause_ns = a->max_pause_ns};
	struct insp_error refusal = {0};
	struct insp_target *target;
	struct insp_snapshot *snap;
	int rc;

	report_machine(report);
	if (!a->target)
		return 0;
	rc = insp_target_open(a->target, &target, err);
	if (rc == INSP_E_USAGE && access(a->target, F_OK) == 0)
		return insp_fail(err, INSP_E_USAGE,
				 "'%s' is a file: doctor looks at a running process, the other "
				 "commands read it",
				 a->target);
	if (rc)
		return rc;
	rc = insp_snapshot_plan(target, &take, &snap, &refusal, err);
	if (!rc) {
		insp_table_begin(report, &process_table);
		row(report, "open", INSP_VERDICT_YES, "may be inspected",
		    snap->ns_pid == snap->pid
			    ? insp_pool_printf(ctx->pool, "%s, pid %d", snap->comm, snap->pid)
			    : insp_pool_printf(ctx->pool, "%s, pid %d, in its own namespace %d", snap->comm,
					       snap->pid, snap->ns_pid));
		report_allocators(report, snap, ctx->pool);
		report_stop(report, snap, &refusal, ctx->pool);
		report_copies(report, target, snap, a->max_pause_ns, ctx->pool);
		report_cgroup(report, target, ctx->pool);
		insp_table_end(report);
		report_modules(report, target, snap);
		insp_snapshot_destroy(snap);
	}
	insp_target_close(target);
	return rc;
}

const struct insp_command insp_cmd_doctor = {
	.name = "doctor",
	.group = "session",
	.summary = "what would work here and on this process, and why not",
	.help = "Tries on itself what the kernel and the permissions of this user allow, and looks at a "
		"process without stopping it: may it be inspected, which allocator it has, how long "
		"heap commands would stop it, which mode --capture auto takes with and without "
		"--allow-inject, whether a copy could be made, what names of functions come from.\n\n"
		"soft-dirty bits are only told because other tools rely on them.",
	.example = "doctor",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_REPL | INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
