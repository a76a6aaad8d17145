/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * take: the only place that stops a target, and the order in which things happen around it.
 *
 * Whatever can be done while the target runs is done before the stop (regions, modules, where the
 * allocators are, memory for the answers) or after it (free lists, unwinding, names). In the stop:
 * the map again, registers and stacks, then one pass over the heaps.
 *
 * With a copy (snapshot/copy.h) the pass over the heaps moves behind the stop as well: where a stop would be
 * too long, and where somebody wants to look at all of the memory, which takes longer than copying it.
 *
 * Three tasks touch the target: the tracer of target/live.c, which holds it, the caller, which
 * reads its memory, and meanwhile one that reads the kernel's books on it. If this process dies, the
 * kernel lets the target go.
 */
#include "snapshot/take.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"
#include "base/worker.h"
#include "heap/allocator.h"
#include "heap/findings.h"
#include "site/sites.h"
#include "snapshot/copy.h"
#include "snapshot/pack.h"
#include "snapshot/sweep.h"
#include "stack/unwind.h"
#include "target/dump.h"
#include "target/space.h"
#include "target/usage.h"

#define DEFAULT_MAX_PAUSE_NS UINT64_C(1000000000)
#define DEFAULT_STACK_BYTES  (64u << 10)

/*
 * For the estimate, on the slow side: reading and walking pages of 4 KiB ran at 6.6 GB/s, stopping a
 * thread and copying its stack took 12 to 16 us (scripts/bench/pause.sh; the README's Figures say where).
 */
#define ESTIMATE_BYTES_PER_NS 3.0
#define ESTIMATE_THREAD_NS    UINT64_C(15000)
#define ESTIMATE_BASE_NS      UINT64_C(300000)
#define ESTIMATE_KEPT_PER_NS  0.5 /* compressed or written to a file */

/* The kernel's books are read beside the memory, on a thread of their own: smaps takes its time. */
struct counting {
	struct take *take;
	struct insp_pool *pool; /* of the usage's strings: the snapshot's is in use by the walk */
	pthread_t thread;
	bool running;
	int rc;
	struct insp_error err;
};

struct take {
	struct insp_target *target;
	const struct insp_take_options *options;
	struct insp_snapshot *snap;
	struct insp_space *space;
	struct insp_symbols *symbols;
	struct insp_heap_walk *walk;
	struct insp_heap_env env;
	struct insp_heap_result result;
	struct insp_sweep *sweep; /* NULL: no pointers wanted */
	unsigned needs;
	uint64_t kept_bytes; /* that on_memory will look at */
	uint64_t copying_ns; /* estimate of a stop in which they are only copied */
	bool live;  /* memory is read while it runs */
	bool stopped;
	struct insp_copy *copy; /* NULL: memory is read from the target itself */
	struct counting counting;
};

static int ensure_symbols(struct take *t, struct insp_error *err)
{
	if (t->symbols)
		return 0;
	return insp_symbols_create(t->target, &t->snap->regions, &t->snap->modules, &t->symbols,
				   err);
}

static int env_member_offset(void *ctx, const char *module, const char *type, const char *member,
			     uint64_t *ret)
{
	struct take *t = ctx;

	if (ensure_symbols(t, NULL))
		return INSP_E_NOTFOUND;
	return insp_symbols_member(t->symbols, module, type, member, ret);
}

static int env_symbol_addr(void *ctx, const char *module, const char *symbol, uint64_t *ret)
{
	struct take *t = ctx;

	if (ensure_symbols(t, NULL))
		return INSP_E_NOTFOUND;
	return insp_symbols_find(t->symbols, module, symbol, ret);
}

static void fill_identity(struct take *t)
{
	struct insp_snapshot *s = t->snap;
	struct insp_target_info info = {0};
	char host[256] = "";

	s->target_kind = t->target->ops->name;
	s->pid = t->target->pid;
	s->ns_pid = t->target->ns_pid;
	s->comm = insp_pool_strdup(s->pool, t->target->comm);
	s->page_size = t->target->page_size;
	s->taken_at_ns = insp_wallclock_ns();
	if (gethostname(host, sizeof(host) - 1) == 0)
		s->hostname = insp_pool_strdup(s->pool, host);
	if (t->target->ops->info)
		t->target->ops->info(t->target, s->pool, &info);
	s->exe = info.exe;
	s->cmdline = info.cmdline;
	s->started_at_ns = info.started_at_ns;
	s->auxv = info.auxv;
	s->auxv_bytes = info.auxv_bytes;
}

static uint64_t count_pointers_bytes(const struct insp_snapshot *s)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->usage.n; i++)
		bytes += s->usage.items[i].rss;
	return bytes;
}

static uint64_t kept_bytes(const struct take *t)
{
	const struct insp_snapshot *s = t->snap;
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->regions.n; i++)
		if (insp_sweep_wants(&s->regions.items[i]))
			bytes += insp_dump_bytes(t->target, s->regions.items[i].start,
						 s->regions.items[i].end);
	return bytes;
}

/* While the target runs: find out, make room, say how long it will take. */
static int prepare(struct take *t, struct insp_error *err)
{
	struct insp_snapshot *s = t->snap;
	uint64_t heap_bytes = 0, nchunks = 0, estimate = ESTIMATE_BASE_NS;
	int rc;

	rc = t->target->ops->regions(t->target, s->pool, &s->regions, err);
	if (rc)
		return rc;
	rc = insp_modules_collect(t->target, &s->regions, s->pool, &s->modules, err);
	if (rc)
		return rc;
	if (t->target->ops->threads) {
		rc = t->target->ops->threads(t->target, s->pool, &s->threads, err);
		if (rc)
			return rc;
	}
	estimate += s->threads.n * ESTIMATE_THREAD_NS;
	t->space = insp_space_create(t->target, &s->regions);
	if (!t->space)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for reading the target");
	t->env = (struct insp_heap_env){
		.target = t->target,
		.space = t->space,
		.regions = &s->regions,
		.modules = &s->modules,
		.pool = s->pool,
		.member_offset = env_member_offset,
		.symbol_addr = env_symbol_addr,
		.symbols_ctx = t,
	};
	t->result = (struct insp_heap_result){&s->allocators, &s->arenas, s->chunks, &s->bins,
					      &s->findings};
	if (t->needs & INSP_NEED_SITES && insp_sites_want_chunks(t->space, &s->regions))
		t->needs |= INSP_NEED_CHUNKS;
	if (t->needs & INSP_NEED_CHUNKS) {
		rc = insp_heap_walk_begin(&t->env, &t->result, &t->walk, err);
		if (rc)
			return rc;
		insp_heap_walk_estimate(t->walk, &heap_bytes, &nchunks);
		insp_chunks_prefault(s->chunks, heap_bytes, nchunks);
	}
	if (t->needs & INSP_NEED_POINTERS) {
		s->pointers = insp_pointers_create();
		if (!s->pointers)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for pointers");
		insp_sweep_add_ranges(s);
		t->sweep = insp_sweep_create(s->pointers, heap_bytes);
		if (!t->sweep)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for pointers");
		rc = insp_sweep_attach(t->sweep, t->space, err);
		if (rc)
			return rc;
		t->env.on_block = insp_sweep_block;
		t->env.on_block_ctx = t->sweep;
		heap_bytes += heap_bytes / 4 + count_pointers_bytes(s);
	}
	t->kept_bytes = t->options->on_memory ? kept_bytes(t) : 0;
	s->capture.estimated_stop_ns =
		estimate + (uint64_t)((double)heap_bytes / ESTIMATE_BYTES_PER_NS);
	t->copying_ns = estimate + (uint64_t)((double)t->kept_bytes / ESTIMATE_BYTES_PER_NS);
	s->capture.estimated_stop_ns += (uint64_t)((double)t->kept_bytes / ESTIMATE_KEPT_PER_NS);
	return 0;
}

static uint64_t max_pause_ns(const struct take *t)
{
	return t->options->max_pause_ns ? t->options->max_pause_ns : DEFAULT_MAX_PAUSE_NS;
}

/* --max-pause is a promise: a stop that would break it is not begun. */
static int over_budget(struct take *t, const struct insp_error *why, struct insp_error *err)
{
	const struct insp_capture_info *c = &t->snap->capture;
	char a[INSP_FMT_MAX], b[INSP_FMT_MAX];
	int rc;

	rc = insp_fail(err, INSP_E_BUDGET,
		       "this would stop the target for about %s, and --max-pause is %s: allow more with "
		       "--max-pause %" PRIu64 "ms%s, or take an approximate picture without a stop with "
		       "--capture live",
		       insp_fmt_duration(a, c->estimated_stop_ns), insp_fmt_duration(b, max_pause_ns(t)),
		       c->estimated_stop_ns / 1000000 * 3 / 2 + 1,
		       t->options->allow_inject ? "" : ", a copy made beside it with --allow-inject");
	if (why && why->code)
		insp_error_prefix(err, "%s; without it", why->msg);
	return rc;
}

/* Tries the ways to read from a copy, best first; the first that is safe here is taken. */
static int choose_copy(struct take *t, struct insp_error *why, struct insp_error *err)
{
	static const struct {
		enum insp_capture_mode mode;
		const char *name;
	} ways[] = {{INSP_CAPTURE_PRECOPY, "precopy"}, {INSP_CAPTURE_FORK, "fork"}};
	struct insp_capture_info *c = &t->snap->capture;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		uint64_t pause_ns = insp_copy_estimate_ns(t->target, ways[i].mode, t->snap->threads.n);
		struct insp_error own = {0};
		char buf[INSP_FMT_MAX];
		int rc;

		if (t->options->mode != INSP_CAPTURE_AUTO && t->options->mode != ways[i].mode)
			continue;
		if (pause_ns > max_pause_ns(t))
			rc = insp_fail(&own, INSP_E_UNSUPPORTED, "it would stop the target for about %s",
				       insp_fmt_duration(buf, pause_ns));
		else
			rc = insp_copy_begin(t->target, ways[i].mode, &t->copy, &own);
		if (!rc) {
			c->mode = ways[i].name;
			return 0;
		}
		insp_error_prefix(&own, "--capture %s is not possible", ways[i].name);
		if (rc != INSP_E_UNSUPPORTED) {
			if (err)
				*err = own;
			return rc;
		}
		if (!why->code)
			*why = own;
	}
	return 0;
}

/*
 * What on_memory does (compressing, writing to a disk) takes longer than copying: so that is all that is
 * done in the stop, where there is room for it. INSP_E_UNSUPPORTED: there is not.
 */
static int copy_held(struct take *t, struct insp_error *err)
{
	struct insp_capture_info *c = &t->snap->capture;
	struct insp_error why = {0};
	int rc = insp_copy_begin(t->target, INSP_CAPTURE_STOP, &t->copy, &why);

	if (!rc) {
		c->estimated_stop_ns = t->copying_ns;
		return 0;
	}
	if (rc == INSP_E_UNSUPPORTED)
		c->mode_reason = insp_pool_strdup(t->snap->pool, why.msg);
	else if (err)
		*err = why;
	return rc;
}

static int choose_mode(struct take *t, struct insp_error *err)
{
	struct insp_capture_info *c = &t->snap->capture;
	enum insp_capture_mode mode = t->options->mode;
	bool over, memory = t->options->on_memory ||
		      t->needs & (INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_SITES);
	struct insp_error why = {0};
	int rc;

	c->consistent = true;
	c->mode = t->target->ops->stop ? "stop" : t->target->ops->name;
	if (!t->target->ops->stop || t->options->hold)
		return 0;
	if (mode == INSP_CAPTURE_LIVE) {
		c->mode = "live";
		c->consistent = !memory;
		t->live = true;
		return 0;
	}
	if (t->options->on_memory && (mode == INSP_CAPTURE_AUTO || mode == INSP_CAPTURE_STOP) &&
	    t->copying_ns <= max_pause_ns(t)) {
		rc = copy_held(t, err);
		if (rc != INSP_E_UNSUPPORTED)
			return rc;
	}
	over = c->estimated_stop_ns > max_pause_ns(t);
	if ((mode == INSP_CAPTURE_PRECOPY || mode == INSP_CAPTURE_FORK) && !t->options->allow_inject)
		return insp_fail(err, INSP_E_USAGE,
				 "--capture %s runs a system call inside the target: permit it with "
				 "--allow-inject",
				 mode == INSP_CAPTURE_FORK ? "fork" : "precopy");
	if (memory && (mode == INSP_CAPTURE_PRECOPY || mode == INSP_CAPTURE_FORK ||
		       (mode == INSP_CAPTURE_AUTO && over && t->options->allow_inject))) {
		rc = choose_copy(t, &why, err);
		if (rc)
			return rc;
		if (t->copy) {
			if (mode == INSP_CAPTURE_AUTO)
				c->mode_reason = "a stop would be longer than --max-pause";
			return 0;
		}
		c->mode_reason = insp_pool_strdup(t->snap->pool, why.msg);
	}
	return over ? over_budget(t, &why, err) : 0;
}

/* Which pages, where the sums of smaps are not enough: in what may hold chunks and stacks. */
static int collect_residency(struct take *t, struct insp_error *err)
{
	struct insp_snapshot *s = t->snap;

	s->residency.page_size = s->page_size;
	s->residency.known = true;
	for (size_t i = 0, k = 0; i < s->usage.n; i++) {
		const struct insp_region_usage *u = &s->usage.items[i];

		while (k < s->regions.n && s->regions.items[k].start < u->start)
			k++;
		if (k == s->regions.n)
			break;
		if (s->regions.items[k].start != u->start || !insp_sweep_wants(&s->regions.items[k]) ||
		    !insp_region_anonymous(&s->regions.items[k]) || u->rss == INSP_UNKNOWN ||
		    !(u->rss || (u->swap && u->swap != INSP_UNKNOWN)))
			continue;
		if (t->target->ops->residency(t->target, u->start, u->end, u->rss, &s->residency)) {
			s->residency.known = false;
			return 0;
		}
	}
	return s->residency.failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for page states") : 0;
}

static void *count(void *arg)
{
	struct counting *c = arg;
	struct take *t = c->take;

	c->rc = t->target->ops->usage(t->target, c->pool, &t->snap->usage, &c->err);
	if (!c->rc && t->target->ops->residency)
		c->rc = collect_residency(t, &c->err);
	return NULL;
}

static void destroy_pool(void *pool)
{
	insp_pool_destroy(pool);
}

/* Starts to read usage and page states; counting_end waits for it, before the target is let go. */
static int counting_begin(struct take *t, struct insp_error *err)
{
	struct counting *c = &t->counting;

	c->take = t;
	c->pool = insp_pool_create();
	if (!c->pool || insp_pool_defer(t->snap->pool, destroy_pool, c->pool)) {
		insp_pool_destroy(c->pool);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	c->running = insp_worker_start(&c->thread, count, c) == 0;
	if (!c->running)
		(void)count(c);
	return 0;
}

static int counting_end(struct take *t, struct insp_error *err)
{
	struct counting *c = &t->counting;

	if (c->running)
		(void)pthread_join(c->thread, NULL);
	c->running = false;
	if (c->rc && err)
		*err = c->err;
	return c->rc;
}

/* First in the stop: what only the target itself can tell. No symbols, no files but /proc. */
static int collect_held(struct take *t, struct insp_error *err)
{
	struct insp_snapshot *s = t->snap;
	int rc;

	if (t->target->ops->stop) { /* it ran since prepare: mappings may have come and gone */
		rc = t->target->ops->regions(t->target, s->pool, &s->regions, err);
		if (rc)
			return rc;
		insp_space_invalidate(t->space);
		if (s->pointers)
			insp_sweep_add_ranges(s);
	}
	if (t->target->ops->threads) {
		rc = t->target->ops->threads(t->target, s->pool, &s->threads, err);
		if (rc)
			return rc;
	}
	if (t->options->on_memory && t->stopped && t->target->ops->all_registers) {
		rc = t->target->ops->all_registers(t->target, s->pool, &s->threads, err);
		if (rc)
			return rc;
	}
	t->env.threads = &s->threads;
	if (t->needs & INSP_NEED_USAGE && t->target->ops->usage)
		return counting_begin(t, err);
	return 0;
}

/* One pass over the memory: of the target while it is held, or of a copy after that. */
static int collect_memory(struct take *t, struct insp_error *err)
{
	struct insp_snapshot *s = t->snap;
	int rc;

	if (t->walk) {
		rc = insp_heap_walk_collect(t->walk, &t->env, &t->result, err);
		if (rc)
			return rc;
	}
	if (t->needs & INSP_NEED_SITES) {
		rc = insp_sites_read(t->space, &s->regions, &s->sites, err);
		if (rc)
			return rc;
	}
	if (t->sweep)
		insp_sweep_rest(t->sweep, s, t->space, t->target->ops->stop != NULL);
	if (insp_interrupted()) /* a slow target has not been read to the end */
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	if (t->options->on_memory)
		return t->options->on_memory(t->options->on_memory_ctx, s, t->env.target, err);
	return 0;
}

/* From now on memory is that of the copy. */
static int use_copy(struct take *t, struct insp_error *err)
{
	uint64_t read = insp_space_bytes_read(t->space);
	struct insp_target *copy = insp_copy_target(t->copy);
	struct insp_space *space = copy ? insp_space_create(copy, &t->snap->regions) : NULL;

	if (!space)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for reading the copy");
	t->snap->capture.bytes_read += read;
	if (t->sweep)
		insp_sweep_wait(t->sweep);
	insp_space_destroy(t->space);
	t->space = t->env.space = space;
	t->env.target = copy;
	return t->sweep ? insp_sweep_attach(t->sweep, space, err) : 0;
}

static void fill_capture(struct take *t, const struct insp_stop_report *report)
{
	struct insp_capture_info *c = &t->snap->capture;
	char buf[INSP_FMT_MAX];

	c->bytes_read += insp_space_bytes_read(t->space);
	if (!t->stopped)
		return;
	c->stopped_ns += report->stopped_ns;
	c->to_stop_ns = report->to_stop_ns;
	c->threads_unstopped = report->nunstoppable;
	c->restarts_mended = report->restarts_mended;
	if (report->cut_short) {
		c->consistent = false;
		c->incomplete = insp_pool_printf(
			t->snap->pool,
			"the pause reached --max-pause and was cut after %s; what was read later "
			"comes from the running process",
			insp_fmt_duration(buf, report->stopped_ns));
	}
}

/* What is not in memory was not walked: every figure of the heap misses it, not just the findings. */
static void note_unreadable(struct insp_snapshot *s)
{
	const char *code = insp_heap_findings[INSP_HEAP_UNREADABLE].code;
	size_t n = 0;

	for (size_t i = 0; i < s->findings.n; i++)
		n += strcmp(s->findings.items[i].code, code) == 0;
	if (n && !s->capture.incomplete)
		s->capture.incomplete = insp_pool_printf(
			s->pool,
			"%zu part%s of the heap could not be read (in swap, or gone) and no chunk there is known: "
			"`heap verify` lists %s",
			n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
}

/* The target runs again, or never ran. */
static int finish(struct take *t, struct insp_error *err)
{
	struct insp_snapshot *s = t->snap;
	int rc;

	if (t->walk) {
		rc = insp_heap_walk_finish(t->walk, &t->env, &t->result, err);
		if (rc)
			return rc;
	}
	rc = insp_chunks_seal(s->chunks, err);
	if (rc)
		return rc;
	note_unreadable(s);
	if (s->sites) {
		rc = insp_sites_join(s->sites, s->chunks, err);
		if (rc)
			return rc;
	}
	if (t->sweep) {
		insp_sweep_wait(t->sweep);
		rc = insp_pointers_seal(s->pointers);
		if (rc)
			return insp_fail(err, rc, "out of memory for the pointers of the heap");
	}
	if (t->needs & INSP_NEED_PACKED)
		s->packed = insp_packed_begin(s);
	if (t->needs & INSP_NEED_STACKS) {
		struct insp_unwind_env env = {
			.target = t->target,
			.regions = &s->regions,
			.threads = &s->threads,
			.pool = s->pool,
		};
		const struct insp_unwinder *unwinder = insp_unwinder_find(t->options->unwinder);

		if (!unwinder)
			return insp_fail(err, INSP_E_USAGE, "there is no unwinder '%s'",
					 t->options->unwinder);
		rc = ensure_symbols(t, err);
		if (rc)
			return rc;
		env.symbols = t->symbols;
		rc = insp_unwind_all(&env, unwinder, err);
		if (rc)
			return rc;
	}
	s->has = t->needs & (INSP_NEED_STACKS | INSP_NEED_CHUNKS | INSP_NEED_POINTERS |
			     INSP_NEED_USAGE | INSP_NEED_SITES);
	return 0;
}

static int stop(struct take *t, struct insp_error *err)
{
	const struct insp_take_options *o = t->options;
	struct insp_stop_options stop = {
		.max_pause_ns = o->hold ? 0 : max_pause_ns(t),
		.want_registers = true,
		.stack_bytes = !(t->needs & INSP_NEED_STACKS) ? 0
			       : o->stack_bytes		      ? o->stack_bytes
							      : DEFAULT_STACK_BYTES,
	};
	int rc = t->target->ops->stop(t->target, &stop, err);

	t->stopped = !rc;
	return rc;
}

/* In the stop: the instant is kept in the copy. Where that fails, the stop itself has to do. */
static int keep_instant(struct take *t, struct insp_error *err)
{
	struct insp_capture_info *c = &t->snap->capture;
	struct insp_error why = {0};
	int rc = insp_copy_held(t->copy, &why);

	if (!rc)
		return 0;
	insp_error_prefix(&why, "--capture %s is not possible", c->mode);
	insp_copy_end(t->copy, &c->stopped_ns);
	t->copy = NULL;
	if (rc != INSP_E_UNSUPPORTED) {
		if (err)
			*err = why;
		return rc;
	}
	if (c->estimated_stop_ns > max_pause_ns(t))
		return over_budget(t, &why, err);
	c->mode = "stop";
	c->mode_reason = insp_pool_strdup(t->snap->pool, why.msg);
	return 0;
}

static int hold_and_collect(struct take *t, struct insp_error *err)
{
	bool hold = t->options->hold;
	unsigned held = INSP_NEED_STACKS | INSP_NEED_USAGE;
	struct insp_stop_report report = {0};
	int rc = 0, counted;

	if (!t->live)
		held |= INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_SITES;
	if (t->target->ops->stop && (t->needs & held || hold || t->options->on_memory))
		rc = stop(t, err);
	if (rc)
		return rc;
	t->snap->taken_at_ns = insp_wallclock_ns();
	rc = collect_held(t, err);
	if (!rc && t->copy)
		rc = keep_instant(t, err);
	if (!rc && !t->copy && !t->live)
		rc = collect_memory(t, err);
	counted = counting_end(t, rc ? NULL : err);
	rc = rc ? rc : counted;
	if (t->stopped && (rc || !hold))
		t->target->ops->resume(t->target, &report);
	if (t->copy)
		insp_copy_released(t->copy);
	if (!rc && t->copy)
		rc = use_copy(t, err);
	if (!rc && (t->copy || t->live))
		rc = collect_memory(t, err);
	if (!rc)
		fill_capture(t, &report);
	return rc;
}

static void take_deinit(struct take *t)
{
	insp_heap_walk_end(t->walk);
	insp_sweep_destroy(t->sweep);
	insp_space_destroy(t->space);
	insp_copy_end(t->copy, &t->snap->capture.stopped_ns);
}

int insp_snapshot_take(struct insp_target *target, const struct insp_take_options *options,
		       struct insp_snapshot **ret, struct insp_symbols **ret_symbols,
		       struct insp_error *err)
{
	struct take t = {.target = target, .options = options, .needs = options->needs};
	uint64_t begin = insp_now_ns();
	int rc;

	if (t.needs & INSP_NEED_POINTERS)
		t.needs |= INSP_NEED_CHUNKS;
	t.snap = insp_snapshot_create();
	if (!t.snap)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	fill_identity(&t);
	/* How large the process is costs next to nothing; what of it is where, INSP_NEED_USAGE. */
	if (t.needs & INSP_NEED_CHUNKS && !(t.needs & INSP_NEED_USAGE) &&
	    insp_usage_read_summary(target, t.snap->pool, &t.snap->usage, NULL))
		t.snap->usage = (struct insp_usage){0}; /* a core, or inside GDB */
	rc = prepare(&t, err);
	if (!rc)
		rc = choose_mode(&t, err);
	if (!rc)
		rc = hold_and_collect(&t, err);
	if (!rc && insp_interrupted())
		rc = insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	if (!rc)
		rc = finish(&t, err);
	take_deinit(&t);
	if (rc) {
		if (t.stopped)
			target->ops->resume(target, NULL);
		insp_symbols_destroy(t.symbols);
		insp_snapshot_destroy(t.snap);
		return rc;
	}
	t.snap->capture.total_ns = insp_now_ns() - begin;
	if (ret_symbols)
		*ret_symbols = t.symbols;
	else
		insp_symbols_destroy(t.symbols);
	*ret = t.snap;
	return 0;
}

int insp_snapshot_plan(struct insp_target *target, const struct insp_take_options *options,
		       struct insp_snapshot **ret, struct insp_error *ret_refusal,
		       struct insp_error *err)
{
	struct insp_take_options stop = *options;
	struct take t = {.target = target, .options = &stop, .needs = options->needs};
	int rc;

	stop.mode = INSP_CAPTURE_STOP; /* to try a copy would touch the target */
	t.snap = insp_snapshot_create();
	if (!t.snap)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	fill_identity(&t);
	rc = prepare(&t, err);
	if (!rc) {
		rc = choose_mode(&t, ret_refusal);
		rc = rc == INSP_E_BUDGET ? 0 : rc;
	}
	if (!rc)
		rc = insp_chunks_seal(t.snap->chunks, err);
	take_deinit(&t);
	insp_symbols_destroy(t.symbols);
	if (rc) {
		insp_snapshot_destroy(t.snap);
		return rc;
	}
	*ret = t.snap;
	return 0;
}
