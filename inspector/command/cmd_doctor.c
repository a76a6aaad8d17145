/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doctor: what would work here, for this user, on this process, and why not. */
#include <inttypes.h>

#include "base/fmt.h"
#include "command/command.h"
#include "snapshot/take.h"
#include "symbol/symbols.h"
#include "target/selftest.h"
#include "target/target.h"
#include "target/twin.h"

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

/* May the process be copied by an injected call? Only asked, not done. */
static void report_copy(struct insp_report *r, struct insp_target *target)
{
	struct insp_error why = {0};
	struct insp_twin *twin = NULL;

	if (!insp_twin_prepare(target, &twin, &why))
		row(r, "inject", INSP_VERDICT_YES, "reading from a copy",
		    "nothing speaks against --allow-inject (--capture precopy, fork)");
	else
		row(r, "inject", INSP_VERDICT_NO, "reading from a copy", why.msg);
	insp_twin_end(twin, NULL);
}

static void report_cgroup(struct insp_report *r, struct insp_target *target, struct insp_pool *pool)
{
	struct insp_usage u = {0};
	char used[INSP_FMT_MAX], max[INSP_FMT_MAX];

	if (!target->ops->usage || target->ops->usage(target, pool, &u, NULL) ||
	    u.cgroup_current == INSP_UNKNOWN)
		return;
	if (u.cgroup_max == INSP_UNKNOWN) {
		row(r, "cgroup", INSP_VERDICT_YES, "memory limit", "its cgroup has none");
		return;
	}
	row(r, "cgroup",
	    u.cgroup_current > u.cgroup_max / 10 * 9 ? INSP_VERDICT_LIMITED : INSP_VERDICT_YES,
	    "memory limit",
	    insp_pool_printf(pool, "%s of %s used in its cgroup: a forked copy has to fit into the rest",
			     insp_fmt_bytes(used, u.cgroup_current), insp_fmt_bytes(max, u.cgroup_max)));
}

static void report_plan(struct insp_report *r, const struct insp_snapshot *s,
			const struct insp_error *refusal, struct insp_pool *pool)
{
	char buf[INSP_FMT_MAX];
	const char *estimate = insp_fmt_duration(buf, s->capture.estimated_stop_ns);

	if (refusal->code)
		row(r, "pause", INSP_VERDICT_LIMITED, "pause of heap commands", refusal->msg);
	else
		row(r, "pause", INSP_VERDICT_YES, "pause of heap commands",
		    insp_pool_printf(pool, "about %s, by --capture %s (%zu threads)", estimate,
				     s->capture.mode, s->threads.n));
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
	if (rc)
		return rc;
	rc = insp_snapshot_plan(target, &take, &snap, &refusal, err);
	if (!rc) {
		insp_table_begin(report, &process_table);
		row(report, "open", INSP_VERDICT_YES, "may be inspected",
		    insp_pool_printf(ctx->pool, "%s, pid %d", snap->comm, snap->pid));
		report_allocators(report, snap, ctx->pool);
		report_plan(report, snap, &refusal, ctx->pool);
		report_copy(report, target);
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
		"heap commands would stop it and by which mode, whether a copy could be made, what "
		"names of functions come from.\n\n"
		"soft-dirty bits are only told because other tools rely on them.",
	.example = "doctor",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_REPL | INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
