/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * threads: what each thread does, in the words of an incident: how many stand where, in which
 * system call, and what they wait for.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/str.h"
#include "command/command.h"
#include "command/threads_group.h"
#include "model/syscalls.h"
#include "stack/unwind.h"
#include "target/space.h"

#define TIDS_SHOWN 12

struct args {
	bool all;
	const char *sort, *unwinder;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{"all", 'a', INSP_OPT_FLAG, NULL, "each thread by itself: do not group equal stacks", NULL,
	 NULL, offsetof(struct args, all)},
	{"sort", 's', INSP_OPT_CHOICE, "KEY", "largest groups first, most CPU time first, or by tid",
	 "count", "count|cpu|tid", offsetof(struct args, sort)},
	{"limit", 'n', INSP_OPT_COUNT, "N", "frames of each stack to show; 0: all", "64", NULL,
	 offsetof(struct args, limit)},
	{"unwinder", 'u', INSP_OPT_CHOICE, "NAME", "who unwinds the stacks: a second opinion", NULL,
	 "libdw|libunwind", offsetof(struct args, unwinder)},
	INSP_OPTION_END,
};

static const struct insp_column thread_columns[] = {
	{"tid", NULL, INSP_T_ID, 0, "thread id"},
	{"ns_tid", NULL, INSP_T_ID, 0, "thread id in the target's pid namespace"},
	{"name", NULL, INSP_T_STR, 0, "name, as in /proc/TID/comm"},
	{"state", NULL, INSP_T_STR, 0, "R S D T t Z X, as in /proc/TID/stat, before it was stopped"},
	{"syscall", NULL, INSP_T_STR, 0, "system call it is in; null: none"},
	{"wchan", NULL, INSP_T_STR, 0, "kernel function it sleeps in, where the kernel says"},
	{"cpu_ns", NULL, INSP_T_DURATION, 0, "user and system time so far"},
	{"sp", NULL, INSP_T_ADDR, 0, "stack pointer; null: registers could not be read"},
	{"waits_for", NULL, INSP_T_STR, 0,
	 "mutex, rwlock, condition, semaphore, thread, libc_lock; null: none of these"},
	{"waits_at", NULL, INSP_T_ADDR, 0, "address of what it waits for"},
	{"held_by", NULL, INSP_T_ID, 0, "thread that holds the mutex, or that is waited for"},
};

static const struct insp_column frame_columns[] = {
	{"frame", "", INSP_T_STR, 0, "number, #0 is the innermost"},
	{"function", "", INSP_T_STR, INSP_COL_WRAP, "function, demangled; null unknown"},
	{"where", "", INSP_T_STR, INSP_COL_WRAP, "line, or module and offset, and what is special"},
	{"pc", NULL, INSP_T_ADDR, 0, "program counter; a return address but in the innermost frame"},
	{"sp", NULL, INSP_T_ADDR, 0, "stack pointer in this frame; null unknown"},
	{"function_offset", NULL, INSP_T_COUNT, 0, "bytes from the start of the function to pc"},
	{"module", NULL, INSP_T_STR, 0, "path of the ELF file"},
	{"module_offset", NULL, INSP_T_ADDR, 0, "pc as in the file: what addr2line takes"},
	{"file", NULL, INSP_T_STR, 0, "source file; null unknown"},
	{"line", NULL, INSP_T_ID, 0, "line in it; null unknown"},
	{"inlined", NULL, INSP_T_BOOL, 0, "inlined into the next frame"},
	{"signal", NULL, INSP_T_BOOL, 0, "a signal handler was called here"},
	{"guessed", NULL, INSP_T_BOOL, 0, "not by unwind tables: may be wrong"},
};

static const char *state_word(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "in uninterruptible sleep";
	case 'T':
		return "stopped";
	case 't':
		return "stopped by a tracer";
	case 'Z':
		return "a zombie";
	case 'X':
		return "dead";
	case 'I':
		return "idle";
	default:
		return NULL;
	}
}

static const char *syscall_text(const struct insp_thread *t, struct insp_pool *pool)
{
	const char *name = insp_syscall_name(t->syscall);

	if (t->syscall < 0 || name)
		return name;
	return insp_pool_printf(pool, "system call %" PRId64, t->syscall);
}

/* In a word or two: where the threads of a group are. */
static const char *place_text(const struct insp_thread_group *g, struct insp_pool *pool)
{
	const struct insp_thread *t = g->threads[0];
	const char *syscall = syscall_text(t, pool);

	if (syscall)
		return syscall;
	for (size_t i = 0; i < g->n; i++)
		if (g->threads[i]->state == 'R')
			return "running";
	if (t->wchan)
		return t->wchan;
	return state_word(t->state) ? state_word(t->state) : "state unknown";
}

static const char *title_of(const struct insp_thread_group *g, struct insp_pool *pool)
{
	const char *place = place_text(g, pool), *names = insp_thread_group_names(g, pool);

	if (g->n == 1)
		return insp_pool_printf(pool, "thread %d: %s (%s)", g->threads[0]->tid, place, names);
	return insp_pool_printf(pool, "%zu threads: %s (%s)", g->n, place, names);
}

/* "1012, 1013, 1014 and 34 more". */
static const char *tids_text(const struct insp_thread_group *g, struct insp_pool *pool)
{
	struct insp_str s = {0};
	const char *ret;

	for (size_t i = 0; i < g->n && i < TIDS_SHOWN; i++)
		insp_str_addf(&s, "%s%d", i ? ", " : "", g->threads[i]->tid);
	if (g->n > TIDS_SHOWN)
		insp_str_addf(&s, " and %zu more", g->n - TIDS_SHOWN);
	ret = insp_pool_strdup(pool, insp_str_text(&s));
	insp_str_deinit(&s);
	return ret;
}

static const char *state_text(const struct insp_thread_group *g, struct insp_pool *pool)
{
	const struct insp_thread *t = g->threads[0];
	const char *word = state_word(t->state);
	char buf[INSP_FMT_MAX];

	for (size_t i = 1; i < g->n; i++)
		if (g->threads[i]->state != t->state)
			word = "different";
	return insp_pool_printf(pool, "%s%s%s, %s of CPU", word ? word : "unknown",
				t->wchan ? " in " : "", t->wchan ? t->wchan : "",
				insp_fmt_duration(buf, g->cpu_ns));
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* What the first waits for and who holds it; then how many wait for how many others of the kind. */
static const char *waits_text(const struct insp_context *ctx, const struct insp_threads *threads,
			      const struct insp_thread_group *g)
{
	uint64_t *others = insp_pool_array(ctx->pool, g->n, sizeof(*others));
	struct insp_wait first, other;
	size_t n = 0, different = 0;

	insp_wait_of(threads, g->threads[0], ctx->space, &first);
	if (first.kind == INSP_WAIT_NONE)
		return NULL;
	for (size_t i = 1; i < g->n && others; i++) {
		insp_wait_of(threads, g->threads[i], ctx->space, &other);
		if (other.addr != first.addr)
			others[n++] = other.addr;
	}
	if (!n)
		return insp_wait_text(&first, ctx->pool);
	qsort(others, n, sizeof(*others), by_address);
	for (size_t i = 0; i < n; i++)
		different += !i || others[i] != others[i - 1];
	return insp_pool_printf(ctx->pool, "%s; %zu of them for %zu other%s of the kind",
				insp_wait_text(&first, ctx->pool), n, different,
				different == 1 ? "" : "s");
}

static const struct insp_table threads_table = INSP_TABLE("threads", NULL, thread_columns, NULL);

static void report_threads(struct insp_context *ctx, struct insp_report *r,
			   const struct insp_threads *threads, const struct insp_thread_group *g)
{
	insp_table_begin(r, &threads_table);
	for (size_t i = 0; i < g->n; i++) {
		const struct insp_thread *t = g->threads[i];
		const char state[2] = {t->state ? t->state : '?', '\0'};
		struct insp_wait wait;

		insp_wait_of(threads, t, ctx->space, &wait);
		insp_cell_i64(r, t->tid);
		insp_cell_i64(r, t->ns_tid);
		insp_cell_str(r, t->name);
		insp_cell_str(r, state);
		insp_cell_str(r, syscall_text(t, ctx->pool));
		insp_cell_str(r, t->wchan);
		insp_cell_u64(r, t->cpu_ns);
		if (t->have_regs)
			insp_cell_u64(r, t->regs[INSP_REG_RSP]);
		else
			insp_cell_unknown(r);
		insp_cell_str(r, insp_wait_key(wait.kind));
		if (wait.kind == INSP_WAIT_NONE)
			insp_cell_unknown(r);
		else
			insp_cell_u64(r, wait.addr);
		if (wait.owner)
			insp_cell_i64(r, wait.owner->tid);
		else
			insp_cell_unknown(r);
		insp_row_end(r);
	}
	insp_table_end(r);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void where_cell(struct insp_report *r, const struct insp_frame *f)
{
	const char *mark = f->flags & INSP_FRAME_SIGNAL    ? "  (signal handler called)"
			   : f->flags & INSP_FRAME_INLINED ? "  (inlined)"
			   : f->flags & INSP_FRAME_GUESSED ? "  (guessed)"
							   : "";

	if (f->file && f->line)
		insp_cell_strf(r, "%s:%" PRIu32 "%s", last_part(f->file), f->line, mark);
	else if (f->module)
		insp_cell_strf(r, "%s+%#" PRIx64 "%s", last_part(f->module), f->module_offset, mark);
	else
		insp_cell_strf(r, "0x%" PRIx64 "%s", f->pc, mark);
}

static void cell_known(struct insp_report *r, bool known, uint64_t value)
{
	if (known)
		insp_cell_u64(r, value);
	else
		insp_cell_unknown(r);
}

static const struct insp_table frames_table = INSP_TABLE("frames", NULL, frame_columns, NULL);

static void report_frames(struct insp_report *r, const struct insp_frames *frames, uint64_t limit)
{
	size_t n = limit && limit < frames->n ? (size_t)limit : frames->n;

	insp_table_begin(r, &frames_table);
	for (size_t i = 0; i < n; i++) {
		const struct insp_frame *f = &frames->items[i];
		bool own = f->function && !(f->flags & INSP_FRAME_INLINED);

		insp_cell_strf(r, "#%zu", i);
		insp_cell_str(r, f->function);
		where_cell(r, f);
		insp_cell_u64(r, f->pc);
		cell_known(r, f->sp, f->sp);
		cell_known(r, own, f->function_offset);
		insp_cell_str(r, f->module);
		cell_known(r, f->module, f->module_offset);
		insp_cell_str(r, f->file);
		cell_known(r, f->line, f->line);
		insp_cell_bool(r, f->flags & INSP_FRAME_INLINED);
		insp_cell_bool(r, f->flags & INSP_FRAME_SIGNAL);
		insp_cell_bool(r, f->flags & INSP_FRAME_GUESSED);
		insp_row_end(r);
	}
	insp_table_end(r);
	if (n < frames->n)
		insp_table_cut(r, n, frames->n, "--limit 0 shows all");
}

static void report_group(struct insp_context *ctx, struct insp_report *r, const struct args *a,
			 const struct insp_threads *threads, const struct insp_thread_group *g)
{
	const struct insp_frames *frames = &g->threads[0]->frames;
	const char *waits = waits_text(ctx, threads, g);

	insp_object_begin(r, NULL, title_of(g, ctx->pool));
	insp_field_u64(r, "count", NULL, INSP_T_COUNT, g->n);
	insp_field_u64(r, "cpu_total_ns", NULL, INSP_T_DURATION, g->cpu_ns);
	insp_field_str(r, "place", NULL, place_text(g, ctx->pool));
	insp_field_bool(r, "truncated", NULL, frames->truncated);
	if (g->n > 1)
		insp_field_str(r, "tids_text", "tids", tids_text(g, ctx->pool));
	/* A core does not say. */
	if (state_word(g->threads[0]->state) || g->cpu_ns)
		insp_field_str(r, "state_text", "state", state_text(g, ctx->pool));
	else
		insp_field_str(r, "state_text", NULL, NULL);
	insp_field_str(r, "waits_text", waits ? "waits for" : NULL, waits);
	insp_field_str(r, "end_reason", frames->end_reason ? "stack ends" : NULL, frames->end_reason);
	report_threads(ctx, r, threads, g);
	report_frames(r, frames, a->limit);
	insp_object_end(r);
}

static int by_count(const void *a, const void *b)
{
	const struct insp_thread_group *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->threads[0]->tid < y->threads[0]->tid ? -1 : 1;
}

static int by_cpu(const void *a, const void *b)
{
	const struct insp_thread_group *x = a, *y = b;

	return x->cpu_ns > y->cpu_ns ? -1 : x->cpu_ns < y->cpu_ns ? 1 : by_count(a, b);
}

static int by_tid(const void *a, const void *b)
{
	const struct insp_thread_group *x = a, *y = b;

	return x->threads[0]->tid < y->threads[0]->tid ? -1 : 1;
}

/* Threads that hold mutexes and wait for one another, round and round: says so. */
static void report_deadlocks(struct insp_context *ctx, struct insp_report *r,
			     const struct insp_threads *threads)
{
	for (size_t i = 0; i < threads->n; i++) {
		const struct insp_thread *start = &threads->items[i], *at = start;
		struct insp_str s = {0};
		size_t steps = 0;

		insp_str_addf(&s, "thread %d (%s)", start->tid, start->name);
		while (at && steps++ <= threads->n) {
			struct insp_wait wait;

			insp_wait_of(threads, at, ctx->space, &wait);
			at = wait.kind == INSP_WAIT_MUTEX ? wait.owner : NULL;
			/* Each cycle is told once, from its lowest thread. */
			if (at && at->tid < start->tid)
				break;
			if (!at)
				break;
			insp_str_addf(&s, " waits for a mutex of thread %d (%s)", at->tid, at->name);
			if (at == start) {
				insp_note(r, INSP_WARNING, "deadlock", "deadlock: %s",
					  insp_str_text(&s));
				break;
			}
			insp_str_add(&s, ", which");
		}
		insp_str_deinit(&s);
	}
}

/* The threads with frames by another unwinder than the snapshot's. */
static int unwind_again(struct insp_context *ctx, const char *name, struct insp_threads *ret,
			struct insp_error *err)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	struct insp_unwind_env env = {
		.target = ctx->space ? insp_space_target(ctx->space) : NULL,
		.symbols = ctx->symbols,
		.regions = &snap->regions,
		.threads = ret,
		.pool = ctx->pool,
	};
	const struct insp_unwinder *unwinder = insp_unwinder_find(name);

	if (!unwinder || !ctx->symbols)
		return insp_fail(err, INSP_E_UNSUPPORTED, "cannot unwind with '%s' here", name);
	*ret = snap->threads;
	if (!ret->n)
		return 0;
	ret->items = insp_pool_memdup(ctx->pool, ret->items, ret->n * sizeof(*ret->items));
	if (!ret->items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	return insp_unwind_all(&env, unwinder, err);
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	struct insp_threads threads = ctx->snapshot->threads;
	struct insp_thread_groups groups;
	int rc = 0;

	if (a->unwinder && strcmp(a->unwinder, insp_unwinder_find(NULL)->name))
		rc = unwind_again(ctx, a->unwinder, &threads, err);
	if (!rc)
		rc = insp_threads_group(&threads, a->all, ctx->pool, &groups, err);
	if (rc)
		return rc;
	if (groups.n)
		qsort(groups.items, groups.n, sizeof(*groups.items),
		      !strcmp(a->sort, "cpu")	? by_cpu
		      : !strcmp(a->sort, "tid") ? by_tid
						: by_count);
	insp_field_u64(report, "nthreads", NULL, INSP_T_COUNT, threads.n);
	report_deadlocks(ctx, report, &threads);
	insp_list_begin(report, "groups", NULL);
	for (size_t i = 0; i < groups.n && !insp_report_failed(report); i++)
		report_group(ctx, report, a, &threads, &groups.items[i]);
	insp_list_end(report);
	return 0;
}

static const struct insp_column top_fields[] = {
	{"nthreads", NULL, INSP_T_COUNT, 0, "threads of the process"},
};
static const struct insp_table top_doc = INSP_TABLE("", NULL, top_fields, NULL);

static const struct insp_column groups_fields[] = {
	{"count", NULL, INSP_T_COUNT, 0, "threads with this stack"},
	{"cpu_total_ns", NULL, INSP_T_DURATION, 0, "time on the CPU of all of them"},
	{"place", NULL, INSP_T_STR, 0, "where they stand, in one line"},
	{"truncated", NULL, INSP_T_BOOL, 0, "the stack was deeper than was unwound"},
	{"tids_text", NULL, INSP_T_STR, 0, "their ids, for people; the table threads has them one by one"},
	{"state_text", NULL, INSP_T_STR, 0, "their states, for people"},
	{"waits_text", NULL, INSP_T_STR, 0, "lock, descriptor or time that they wait for, for people"},
	{"end_reason", NULL, INSP_T_STR, 0, "why unwinding stopped before the bottom"},
};
static const struct insp_table groups_doc = INSP_TABLE("groups", NULL, groups_fields, NULL);
static const struct insp_table *const tables[] = {
	&top_doc, &groups_doc, &threads_table, &frames_table, NULL,
};

const struct insp_command insp_cmd_threads = {
	.name = "threads",
	.group = "threads",
	.summary = "what each thread does: state, system call, stack, and what it waits for",
	.help = "Stacks were copied while the process stood still and unwound afterwards. Threads that "
		"stand in the same place (the same return addresses, innermost the same function) are "
		"shown once, the largest group first.\n"
		"\n"
		"A frame shows its function and the line, or where there is no debug information, the "
		"module and the offset in it, which addr2line takes. (inlined): the function has no "
		"frame of its own. (guessed): found by looking for return addresses on the stack, "
		"because no unwind table covers the code; it may be wrong.\n"
		"\n"
		"For a thread in futex() the functions that led there say what it waits for. Who holds "
		"a mutex is read from it at the time of the command, so it may have changed since. "
		"Threads that wait for one another's mutexes in a circle are reported as a deadlock.",
	.example = "threads --sort cpu",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY,
	.needs = INSP_NEED_STACKS | INSP_NEED_SYMBOLS | INSP_NEED_BYTES,
	.tables = tables,
	.run = run,
};
