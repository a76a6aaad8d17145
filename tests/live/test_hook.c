/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The companion hook and its reader, on victims that count for themselves: in full mode every figure
 * is equal to the byte; in sampled mode the mean of many runs is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <meminspect/hook_format.h>

#include "base/fmt.h"
#include "site/sites.h"
#include "snapshot/take.h"

#define NNAMES 32

struct victim {
	pid_t pid;
	FILE *out;
	char *line;
	size_t cap;
};

struct figures {
	char name[32];
	double allocs, alloc_bytes, frees, free_bytes;
	double live, live_bytes; /* by records */
};

struct truth {
	struct figures items[NNAMES];
	size_t n;
};

static const char *path_of(char *buf, size_t cap, const char *variable, const char *below,
			   const char *name)
{
	const char *dir = getenv(variable);

	assert_non_null(dir);
	(void)snprintf(buf, cap, "%s%s/%s", dir, below, name);
	return buf;
}

/* env: "NAME=value" strings ended by NULL, beside LD_PRELOAD. */
static struct victim start(const char *const *argv, const char *const *env)
{
	struct victim v = {0};
	char hook[4096], program[4096];
	int fds[2];

	path_of(hook, sizeof(hook), "BUILD", "", "libmeminspect-hook.so");
	if (argv[0][0] != '/')
		path_of(program, sizeof(program), "VICTIMS", "", argv[0]);
	else
		(void)snprintf(program, sizeof(program), "%s", argv[0]);
	assert_int_equal(access(hook, R_OK), 0);
	assert_int_equal(access(program, X_OK), 0);
	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	v.pid = fork();
	assert_true(v.pid >= 0);
	if (!v.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		close(fds[0]);
		setenv("LD_PRELOAD", hook, 1);
		for (; *env; env++) {
			char *copy = strdup(*env), *equals = strchr(copy, '=');

			*equals = '\0';
			setenv(copy, equals + 1, 1);
		}
		execv(program, (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	v.out = fdopen(fds[0], "r");
	assert_non_null(v.out);
	if (getline(&v.line, &v.cap, v.out) <= 0)
		fail_msg("%s did not become ready", argv[0]);
	return v;
}

/* Who wrote the line: the victim, or a child of it. */
static pid_t speaker(const struct victim *v)
{
	const char *p = strstr(v->line, "\"pid\":");
	int pid = 0;

	assert_non_null(p);
	assert_int_equal(sscanf(p, "\"pid\":%d", &pid), 1);
	return pid;
}

static void end(struct victim *v)
{
	if (strstr(v->line, "\"pid\":"))
		kill(speaker(v), SIGKILL);
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
	fclose(v->out);
	free(v->line);
}

static bool alive(struct victim *v)
{
	struct pollfd p = {fileno(v->out), POLLIN, 0};

	return !kill(speaker(v), SIGUSR1) && poll(&p, 1, 20000) == 1 &&
	       getline(&v->line, &v->cap, v->out) > 0 && strstr(v->line, "alive");
}

/* The members of "sites":{"name":[allocs,bytes,frees,bytes],...} */
static void parse_truth(const char *line, struct truth *ret)
{
	const char *p = strstr(line, "\"sites\":{");

	memset(ret, 0, sizeof(*ret));
	assert_non_null(p);
	p += strlen("\"sites\":{");
	while (*p == '"' && ret->n < NNAMES) {
		struct figures *f = &ret->items[ret->n++];
		int used = 0;

		assert_int_equal(sscanf(p, "\"%31[^\"]\":[%lf,%lf,%lf,%lf]%n", f->name, &f->allocs,
					&f->alloc_bytes, &f->frees, &f->free_bytes, &used),
				 5);
		p += used;
		if (*p == ',')
			p++;
	}
	assert_true(ret->n > 0);
}

static struct insp_snapshot *picture_and(pid_t pid, unsigned needs, struct insp_symbols **ret_symbols,
					 struct insp_target **ret_target, insp_on_memory_fn on_memory,
					 void *on_memory_ctx)
{
	const struct insp_take_options options = {
		.needs = needs,
		.max_pause_ns = 20000000000ull,
		.on_memory = on_memory,
		.on_memory_ctx = on_memory_ctx,
	};
	struct insp_snapshot *snap;
	struct insp_error err = {0};
	static char spec[16];

	(void)snprintf(spec, sizeof(spec), "%d", (int)pid);
	if (insp_target_open(spec, ret_target, &err))
		fail_msg("open: %s", err.msg);
	if (insp_snapshot_take(*ret_target, &options, &snap, NULL, &err))
		fail_msg("take: %s", err.msg);
	if (ret_symbols && insp_symbols_create(*ret_target, &snap->regions, &snap->modules, ret_symbols, &err))
		fail_msg("symbols: %s", err.msg);
	return snap;
}

static struct insp_snapshot *picture(pid_t pid, unsigned needs, struct insp_symbols **ret_symbols,
				     struct insp_target **ret_target)
{
	return picture_and(pid, needs, ret_symbols, ret_target, NULL, NULL);
}

static struct figures *find(struct truth *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->items[i].name, name))
			return &t->items[i];
	return NULL;
}

/* What the hook says about the same functions: a site belongs to the innermost function of its stack
   that has one of the names. */
static void measure(const struct insp_sites *sites, struct insp_symbols *symbols, struct truth *names)
{
	struct figures **by_site = calloc(sites->n, sizeof(*by_site));

	for (uint32_t s = 1; s < sites->n; s++) {
		uint64_t pcs[300], mark;
		size_t n = insp_sites_stack(sites, s, pcs, 300, &mark);

		assert_true(n > 0);
		for (size_t i = 0; i < n && !by_site[s]; i++) {
			struct insp_symbol symbol;

			if (!insp_symbols_at(symbols, pcs[i] - 1, &symbol))
				by_site[s] = find(names, symbol.name);
		}
		if (!by_site[s])
			continue;
		by_site[s]->allocs += sites->items[s].allocs;
		by_site[s]->alloc_bytes += sites->items[s].alloc_bytes;
		by_site[s]->frees += sites->items[s].allocs - sites->items[s].live;
		by_site[s]->free_bytes += sites->items[s].alloc_bytes - sites->items[s].live_bytes;
	}
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *r = &sites->records[i];
		double weight = insp_sites_weight(sites, r->size_bytes);

		assert_false(r->size_unknown);
		assert_true(r->site && r->site < sites->n);
		if (!by_site[r->site])
			continue;
		by_site[r->site]->live += weight;
		by_site[r->site]->live_bytes += weight * (double)r->size_bytes;
	}
	free(by_site);
}

static void empty_copy(const struct truth *from, struct truth *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->n = from->n;
	for (size_t i = 0; i < from->n; i++)
		memcpy(ret->items[i].name, from->items[i].name, sizeof(ret->items[i].name));
}

static void check_equal(const char *what, const char *name, double got, double want)
{
	if (got != want)
		fail_msg("%s: %s is %.0f, the program says %.0f", name, what, got, want);
}

static void compare(const struct truth *truth, const struct truth *seen)
{
	for (size_t i = 0; i < truth->n; i++) {
		const struct figures *t = &truth->items[i], *s = &seen->items[i];

		check_equal("allocations", t->name, s->allocs, t->allocs);
		check_equal("allocated bytes", t->name, s->alloc_bytes, t->alloc_bytes);
		check_equal("frees", t->name, s->frees, t->frees);
		check_equal("freed bytes", t->name, s->free_bytes, t->free_bytes);
		check_equal("live blocks", t->name, s->live, t->allocs - t->frees);
		check_equal("live bytes", t->name, s->live_bytes, t->alloc_bytes - t->free_bytes);
	}
}

static void full_mode_of(const char *program, const char *threads)
{
	const char *const argv[] = {program, threads, "20000", NULL};
	const char *const env[] = {"MEMINSPECT_HOOK=full", NULL};
	struct victim v = start(argv, env);
	struct truth truth, seen;
	struct insp_symbols *symbols;
	struct insp_target *target;
	struct insp_snapshot *snap =
		picture(v.pid, INSP_NEED_CHUNKS | INSP_NEED_SITES, &symbols, &target);

	parse_truth(v.line, &truth);
	empty_copy(&truth, &seen);
	assert_non_null(snap->sites);
	assert_int_equal(snap->sites->state, INSP_SITES_RECORDING);
	assert_false(snap->sites->sampled);
	assert_int_equal(snap->sites->dropped, 0);
	assert_int_equal(snap->sites->damaged, 0);
	assert_int_equal(snap->sites->unmatched, 0);
	measure(snap->sites, symbols, &seen);
	for (size_t i = 0; i < truth.n; i++)
		assert_true(truth.items[i].allocs > 10);
	compare(&truth, &seen);
	/* All of the heap is known but what malloc and the loader allocate for themselves: a few blocks,
	   and two a thread. */
	uint64_t known = 0, used = 0, own = 40 + 2 * (uint64_t)atoi(threads);
	struct insp_chunk_iter it;
	struct insp_chunk c;

	insp_chunks_each(snap->chunks, it, c) {
		if (!insp_chunk_state_live(c.state))
			continue;
		used++;
		known += snap->sites->chunk_sites[c.id] != 0;
	}
	assert_true(known == snap->sites->nrecords);
	/* With many threads the walk may take free blocks in caches for blocks in use. */
	if (known + own < used && atoi(threads) < 16)
		fail_msg("%" PRIu64 " of %" PRIu64 " blocks known", known, used);
	assert_true(alive(&v));
	insp_symbols_destroy(symbols);
	insp_snapshot_destroy(snap);
	insp_target_close(target);
	end(&v);
}

static void hook__full_mode_is_exact_in_one_thread(void **state)
{
	(void)state;
	full_mode_of("hook_truth", "1");
}

static void hook__full_mode_is_exact_in_many_threads(void **state)
{
	(void)state;
	full_mode_of("hook_truth", "8");
}

static void hook__full_mode_is_exact_without_frame_pointers(void **state)
{
	(void)state;
	full_mode_of("hook_truth-nofp", "4");
}

/* The same for more threads than there are banks of counters. */
static void hook__full_mode_is_exact_when_threads_share_counters(void **state)
{
	(void)state;
	full_mode_of("hook_truth", "64");
}

static void hook__samples_are_unbiased(void **state)
{
	const char *const argv[] = {"hook_truth", "2", "15000", NULL};
	const char *const env[] = {"MEMINSPECT_HOOK=sampled", "MEMINSPECT_SAMPLE_BYTES=1k", NULL};
	struct truth truth, sum;
	double bytes = 0, want = 0;
	const int runs = 50;

	(void)state;
	memset(&sum, 0, sizeof(sum));
	for (int run = 0; run < runs; run++) {
		struct victim v = start(argv, env);
		struct insp_symbols *symbols;
		struct insp_target *target;
		struct insp_snapshot *snap = picture(v.pid, INSP_NEED_SITES, &symbols, &target);

		parse_truth(v.line, &truth);
		if (!run)
			empty_copy(&truth, &sum);
		assert_true(snap->sites && snap->sites->sampled);
		assert_int_equal(snap->sites->damaged, 0);
		assert_int_equal(snap->sites->dropped, 0);
		measure(snap->sites, symbols, &sum);
		insp_symbols_destroy(symbols);
		insp_snapshot_destroy(snap);
		insp_target_close(target);
		end(&v);
	}
	for (size_t i = 0; i < truth.n; i++) {
		const struct figures *t = &truth.items[i], *s = &sum.items[i];
		double alloc_bytes = s->alloc_bytes / runs, live = s->live_bytes / runs;
		double live_truth = t->alloc_bytes - t->free_bytes;

		if (t->alloc_bytes <= 0)
			continue;
		bytes += live;
		want += live_truth;
		printf("%-20s allocated %.4f live %.4f of the truth\n", t->name,
		       alloc_bytes / t->alloc_bytes, live / live_truth);
		/* 3 %, or 4.5 standard errors where a site has too few samples for that. */
		double room = fmax(0.03, 4.5 / sqrt(t->alloc_bytes / 1024 * runs));

		assert_true(fabs(alloc_bytes / t->alloc_bytes - 1) < room);
		room = fmax(0.03, 4.5 / sqrt(live_truth / 1024 * runs));
		assert_true(fabs(live / live_truth - 1) < room);
	}
	printf("all live bytes %.4f of the truth\n", bytes / want);
	assert_true(fabs(bytes / want - 1) < 0.03);
}

/* Where a hook could stumble: still exact, still the same program. */
static void event(const char *mode, const char *function, const char *outermost)
{
	const char *const argv[] = {"hook_events", mode, NULL};
	const char *const env[] = {"MEMINSPECT_HOOK=full", NULL};
	struct victim v = start(argv, env);
	struct truth truth, seen;
	struct insp_symbols *symbols;
	struct insp_target *target;
	struct insp_snapshot *snap =
		picture(speaker(&v), INSP_NEED_CHUNKS | INSP_NEED_SITES, &symbols, &target);
	unsigned found = 0;

	parse_truth(v.line, &truth);
	empty_copy(&truth, &seen);
	assert_true(snap->sites && snap->sites->state == INSP_SITES_RECORDING);
	assert_int_equal(snap->sites->hook_pid, speaker(&v));
	assert_int_equal(snap->sites->dropped, 0);
	assert_int_equal(snap->sites->nested, 0);
	assert_int_equal(snap->sites->unmatched, 0);
	measure(snap->sites, symbols, &seen);
	compare(&truth, &seen);
	assert_true(find(&truth, function)->allocs > 10);
	/* Stacks of that function reach their end, through whatever lies between. */
	for (uint32_t s = 1; s < snap->sites->n; s++) {
		uint64_t pcs[300], mark;
		size_t n = insp_sites_stack(snap->sites, s, pcs, 300, &mark);
		struct insp_symbol symbol;

		if (insp_symbols_at(symbols, pcs[0] - 1, &symbol) || strcmp(symbol.name, function) != 0)
			continue;
		found++;
		/* glibc's frame below a coroutine has an unwind table that claims a caller. */
		if (outermost && mark && strcmp(mode, "context") != 0)
			fail_msg("%s: the stack ends after %zu frames, mark %d", mode, n, (int)mark);
		bool ends_there = false;

		/* libc's trampoline below a coroutine has no call of its own, and so no name. */
		for (size_t i = n > 1 ? n - 2 : 0; outermost && i < n; i++)
			ends_there |= !insp_symbols_at(symbols, pcs[i] - 1, &symbol) &&
				      !strcmp(symbol.name, outermost);
		if (outermost && !ends_there)
			fail_msg("%s: the outermost frame is %s", mode, symbol.name);
		if (!outermost)
			assert_int_equal(mark, INSP_HOOK_PC_TRUNCATED);
	}
	assert_true(found > 0);
	assert_true(alive(&v));
	insp_symbols_destroy(symbols);
	insp_snapshot_destroy(snap);
	insp_target_close(target);
	end(&v);
}

static void hook__child_of_fork_has_its_own_tables(void **state)
{
	(void)state;
	event("fork", "site_child", "_start");
}

static void hook__walks_through_signal_frames(void **state)
{
	(void)state;
	event("signal", "site_handler", "_start");
	event("signal", "site_alternate", "_start");
}

static void hook__stays_inside_of_coroutine_stacks(void **state)
{
	(void)state;
	event("context", "site_context", "body");
}

static void hook__threads_come_and_go(void **state)
{
	(void)state;
	event("threads", "site_thread", "clone3");
	event("threads", "site_destructor", "clone3");
}

static void hook__libraries_come_and_go(void **state)
{
	(void)state;
	event("load", "site_load", "_start");
}

static void hook__spawned_programs_change_nothing(void **state)
{
	(void)state;
	event("spawn", "site_spawn", "_start");
}

static void hook__records_in_constructors(void **state)
{
	(void)state;
	event("early", "site_early", "_start");
}

static void hook__deep_stacks_say_that_they_were_cut(void **state)
{
	(void)state;
	event("deep", "site_bottom", NULL);
}

static void hook__walks_through_realigned_frames(void **state)
{
	(void)state;
	event("realign", "site_realign", "_start");
}

/* Full tables: counted, and the program does not notice. */
static void hook__full_tables_drop_and_count(void **state)
{
	const char *const argv[] = {"hook_truth", "4", "20000", NULL};
	static const char *const envs[][3] = {
		{"MEMINSPECT_HOOK=full", "MEMINSPECT_MAX_SITES=8", NULL},
		{"MEMINSPECT_HOOK=full", "MEMINSPECT_MAX_FRAMES=16", NULL},
		{"MEMINSPECT_SAMPLE_BYTES=64", "MEMINSPECT_MAX_SAMPLES=256", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(envs) / sizeof(envs[0]); i++) {
		struct victim v = start(argv, envs[i]);
		struct insp_target *target;
		struct insp_snapshot *snap = picture(v.pid, INSP_NEED_SITES, NULL, &target);

		assert_true(snap->sites && snap->sites->state == INSP_SITES_RECORDING);
		assert_true(snap->sites->dropped > 0);
		assert_int_equal(snap->sites->damaged, 0);
		insp_snapshot_destroy(snap);
		insp_target_close(target);
		assert_true(alive(&v));
		end(&v);
	}
}

static void hook__is_not_in_static_programs(void **state)
{
	const char *const argv[] = {"hook_events-static", "early", NULL};
	struct victim v = start(argv, (const char *const[]){NULL});
	struct insp_target *target;
	struct insp_snapshot *snap = picture(v.pid, INSP_NEED_SITES, NULL, &target);

	(void)state;
	assert_null(snap->sites);
	assert_true(alive(&v));
	insp_snapshot_destroy(snap);
	insp_target_close(target);
	end(&v);
}

/* What hook_churn says of itself, at the same moment. */
struct held {
	uint64_t addr, blocks;
};

static int read_held(void *ctx, const struct insp_snapshot *snapshot, struct insp_target *target,
		     struct insp_error *err)
{
	struct held *h = ctx;
	uint64_t counts[16];

	(void)snapshot;
	(void)err;
	assert_int_equal(target->ops->read(target, h->addr, counts, sizeof(counts)), sizeof(counts));
	h->blocks = 0;
	for (size_t i = 0; i < 16; i++)
		h->blocks += counts[i];
	return 0;
}

/* What must be true at any moment of a process with a few threads, each of which may be between two
   steps of one event. */
static void check_moment(const struct insp_snapshot *snap, uint64_t held, size_t nthreads)
{
	const struct insp_sites *sites = snap->sites;

	assert_true(sites && sites->state == INSP_SITES_RECORDING);
	assert_int_equal(sites->damaged, 0);
	assert_true(sites->unmatched <= nthreads);
	for (size_t i = 1; i < sites->n; i++) {
		uint64_t pcs[300], mark;

		assert_true(insp_sites_stack(sites, (uint32_t)i, pcs, 300, &mark) >= 3);
		assert_true(sites->items[i].live <= sites->items[i].allocs + (double)nthreads * 64);
	}
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *r = &sites->records[i];
		bool known = false;

		assert_false(r->size_unknown || r->from_end);
		assert_true(r->site && r->site < sites->n);
		assert_true(insp_site_record_seconds(r) <= sites->seconds + 1);
		assert_true(!i || r->addr > r[-1].addr);
		for (size_t t = 0; t < snap->threads.n && !known; t++)
			known = (uint32_t)snap->threads.items[t].ns_tid == sites->tids[r->thread] ||
				(uint32_t)snap->threads.items[t].tid == sites->tids[r->thread];
		assert_true(known);
	}
	/* Beside its blocks there are a few of libc and the loader. */
	if ((!sites->sampled && sites->nrecords + sites->unmatched + nthreads < held) ||
	    sites->nrecords > held + 20 + nthreads)
		fail_msg("%zu blocks on record, the program holds %" PRIu64, sites->nrecords, held);
}

/* Stops at many moments under churn: no record, frame or counter is ever torn. */
static void hook__tables_are_whole_at_any_moment(void **state)
{
	const char *const argv[] = {"hook_churn", "3", NULL};
	/* The last one draws nearly every block: more than the small filter of free holds. */
	static const char *const envs[][3] = {{"MEMINSPECT_HOOK=full", NULL},
					      {"MEMINSPECT_SAMPLE_BYTES=256", NULL},
					      {"MEMINSPECT_SAMPLE_BYTES=1", "MEMINSPECT_MAX_SAMPLES=64k", NULL}};
	const char *times = getenv("HOOK_STOPS");
	int stops = times ? atoi(times) : 60;

	(void)state;
	for (size_t e = 0; e < 3; e++) {
		struct victim v = start(argv, envs[e]);
		size_t most = 0;
		const char *at = strstr(v.line, "\"held\":\"0x");
		struct held held = {0};
		double allocs = 0;

		assert_non_null(at);
		assert_int_equal(sscanf(at, "\"held\":\"%" SCNx64, &held.addr), 1);
		for (int i = 0; i < stops; i++) {
			struct insp_target *target;
			struct insp_snapshot *snap =
				picture_and(v.pid, INSP_NEED_CHUNKS | INSP_NEED_SITES, NULL, &target,
					    read_held, &held);
			double now = 0;

			check_moment(snap, held.blocks, 4);
			for (size_t k = 1; k < snap->sites->n; k++)
				now += snap->sites->items[k].allocs;
			assert_true(now >= allocs); /* and it works on */
			allocs = now;
			most = snap->sites->nrecords > most ? snap->sites->nrecords : most;
			insp_snapshot_destroy(snap);
			insp_target_close(target);
			usleep((useconds_t)(rand() % 3000));
		}
		assert_true(e != 2 || most > 8000);
		end(&v);
	}
}

/* The reason why it records nothing, in the words of its header. */
static void aside(const char *const *argv, const char *const *env, const char *why)
{
	struct victim v = start(argv, env);
	struct insp_target *target;
	struct insp_snapshot *snap = picture(v.pid, INSP_NEED_SITES, NULL, &target);

	assert_non_null(snap->sites);
	assert_int_equal(snap->sites->state, INSP_SITES_ASIDE);
	if (!strstr(snap->sites->why, why))
		fail_msg("aside because '%s', not '%s'", snap->sites->why, why);
	assert_int_equal(snap->sites->nrecords, 0);
	insp_snapshot_destroy(snap);
	insp_target_close(target);
	assert_true(alive(&v));
	end(&v);
}

static void hook__stands_aside_when_told_so_or_misled(void **state)
{
	const char *const argv[] = {"hook_truth", "1", "100", NULL};

	(void)state;
	aside(argv, (const char *const[]){"MEMINSPECT_HOOK=off", NULL}, "off");
	aside(argv, (const char *const[]){"MEMINSPECT_HOOK=fool", NULL}, "not sampled");
	aside(argv, (const char *const[]){"MEMINSPECT_SAMPLE_BYTES=many", NULL}, "SAMPLE_BYTES");
}

static void hook__stands_aside_for_another_malloc(void **state)
{
	const char *const argv[] = {"hook_events-jemalloc", "threads", NULL};
	char program[4096];

	(void)state;
	path_of(program, sizeof(program), "VICTIMS", "", argv[0]);
	if (access(program, X_OK)) {
		printf("skip: hook_events-jemalloc is not built here\n");
		skip();
	}
	aside(argv, (const char *const[]){"MEMINSPECT_HOOK=full", NULL}, "libjemalloc");
}

static void hook__is_not_there_without_it(void **state)
{
	const char *const argv[] = {"hook_truth", "1", "100", NULL};
	struct victim v = start(argv, (const char *const[]){"LD_PRELOAD=", NULL});
	struct insp_target *target;
	struct insp_snapshot *snap = picture(v.pid, INSP_NEED_SITES, NULL, &target);

	(void)state;
	assert_null(snap->sites);
	insp_snapshot_destroy(snap);
	insp_target_close(target);
	end(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hook__full_mode_is_exact_in_one_thread),
		cmocka_unit_test(hook__full_mode_is_exact_in_many_threads),
		cmocka_unit_test(hook__full_mode_is_exact_without_frame_pointers),
		cmocka_unit_test(hook__full_mode_is_exact_when_threads_share_counters),
		cmocka_unit_test(hook__samples_are_unbiased),
		cmocka_unit_test(hook__child_of_fork_has_its_own_tables),
		cmocka_unit_test(hook__walks_through_signal_frames),
		cmocka_unit_test(hook__stays_inside_of_coroutine_stacks),
		cmocka_unit_test(hook__threads_come_and_go),
		cmocka_unit_test(hook__libraries_come_and_go),
		cmocka_unit_test(hook__spawned_programs_change_nothing),
		cmocka_unit_test(hook__records_in_constructors),
		cmocka_unit_test(hook__deep_stacks_say_that_they_were_cut),
		cmocka_unit_test(hook__walks_through_realigned_frames),
		cmocka_unit_test(hook__full_tables_drop_and_count),
		cmocka_unit_test(hook__is_not_in_static_programs),
		cmocka_unit_test(hook__tables_are_whole_at_any_moment),
		cmocka_unit_test(hook__stands_aside_for_another_malloc),
		cmocka_unit_test(hook__stands_aside_when_told_so_or_misled),
		cmocka_unit_test(hook__is_not_there_without_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
