/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The walker of glibc malloc on real processes: what it says against what they say of themselves
 * (mallinfo2, malloc_info, malloc_usable_size), to the byte.
 *
 * GLIBC_DIR=folder runs the victims with the libc of that folder, HEAP_VICTIM names another
 * build of the victim (one linked for an old libc).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/vec.h"
#include "snapshot/take.h"

struct victim {
	pid_t pid;
	FILE *out;
	char *line;
	size_t line_cap;
	struct insp_snapshot *snap;
	uint64_t count[INSP_N_CHUNK_STATES], bytes[INSP_N_CHUNK_STATES];
};

static const struct insp_allocator *glibc_of(const struct insp_snapshot *s)
{
	const struct insp_allocator *found = NULL;

	insp_vec_each(&s->allocators, a)
		if (strcmp(a->name, "glibc") == 0 && a->walked)
			found = a;
	return found;
}

static uint64_t truth(const struct victim *v, const char *key)
{
	char name[64];
	const char *at;

	(void)snprintf(name, sizeof(name), "\"%s\":", key);
	at = strstr(v->line, name);
	if (!at)
		fail_msg("the victim does not say %s", key);
	return strtoull(at + strlen(name), NULL, 10);
}

static bool next_line(struct victim *v)
{
	return getline(&v->line, &v->line_cap, v->out) > 0;
}

static void victim_exec(const char *build, const char *mode, const char *n)
{
	const char *dir = getenv("GLIBC_DIR"), *victims = getenv("VICTIMS"),
		   *path = getenv("HEAP_VICTIM");
	char file[4096], loader[4096];

	(void)snprintf(file, sizeof(file), "%s/%s", victims ? victims : "build/victims", build);
	if (!path || strcmp(build, "heap") != 0)
		path = file;
	if (dir && strcmp(build, "heap") == 0) {
		(void)snprintf(loader, sizeof(loader), "%s/ld-linux-x86-64.so.2", dir);
		execl(loader, loader, "--library-path", dir, path, mode, n, NULL);
	}
	execl(path, path, mode, n, NULL);
	_exit(127);
}

static void victim_start(struct victim *v, const char *build, const char *mode, const char *n,
			 const char *tunables)
{
	int fds[2];

	memset(v, 0, sizeof(*v));
	assert_int_equal(pipe(fds), 0);
	v->pid = fork();
	assert_true(v->pid >= 0);
	if (v->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
		(void)dup2(fds[1], 1);
		(void)close(fds[0]);
		(void)close(fds[1]);
		if (tunables)
			setenv("GLIBC_TUNABLES", tunables, 1);
		victim_exec(build, mode, n);
	}
	(void)close(fds[1]);
	v->out = fdopen(fds[0], "r");
	assert_non_null(v->out);
	if (!next_line(v) || !strstr(v->line, "\"ready\":true"))
		fail_msg("victim %s %s did not become ready", build, mode);
}

static void victim_stop(struct victim *v)
{
	insp_snapshot_destroy(v->snap);
	(void)kill(v->pid, SIGKILL);
	while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
		;
	(void)fclose(v->out);
	free(v->line);
}

static void take(struct victim *v)
{
	struct insp_take_options options = {.needs = INSP_NEED_CHUNKS,
					    .max_pause_ns = UINT64_C(30000000000)};
	struct insp_target *target;
	struct insp_error err = {0};
	struct insp_chunk_iter it;
	struct insp_chunk c;
	char spec[32];

	insp_snapshot_destroy(v->snap);
	v->snap = NULL;
	(void)snprintf(spec, sizeof(spec), "%d", (int)v->pid);
	if (insp_target_open(spec, &target, &err))
		fail_msg("open: %s", err.msg);
	if (insp_snapshot_take(target, &options, &v->snap, NULL, &err))
		fail_msg("take: %s", err.msg);
	insp_target_close(target);
	memset(v->count, 0, sizeof(v->count));
	memset(v->bytes, 0, sizeof(v->bytes));
	insp_chunks_each(v->snap->chunks, it, c) {
		v->count[c.state]++;
		v->bytes[c.state] += c.size;
	}
}

static void print_findings(const struct insp_snapshot *s)
{
	int n = 0;

	insp_vec_each(&s->findings, f)
		if (n++ < 20)
			print_message("  finding %s at %#" PRIx64 ": %s\n", f->code, f->addr,
				      f->text);
}

static void check_no_findings(const struct victim *v)
{
	insp_vec_each(&v->snap->findings, f)
		if (f->severity != INSP_NOTE) {
			print_findings(v->snap);
			fail_msg("a finding on a heap without fault: %s", f->code);
		}
}

/* Every byte of every arena in a span, every span tiled by its chunks. */
static void check_tiling(const struct victim *v)
{
	uint64_t spans = 0, chunks = 0, arenas = 0;

	for (size_t i = 0; i < v->snap->chunks->nspans; i++)
		spans += v->snap->chunks->spans[i].end - v->snap->chunks->spans[i].start;
	for (int i = 0; i < INSP_N_CHUNK_STATES; i++)
		chunks += v->bytes[i];
	insp_vec_each(&v->snap->arenas, a) {
		assert_int_equal(a->spans_bytes, a->system_bytes);
		arenas += a->spans_bytes;
	}
	assert_int_equal(spans, chunks);
	assert_int_equal(spans, arenas);
}

static uint64_t free_in_bins(const uint64_t *per_state)
{
	uint64_t sum = 0;

	for (int i = INSP_CHUNK_UNSORTED; i <= INSP_CHUNK_TOP; i++)
		sum += per_state[i];
	return sum;
}

/* 2.43 counts 16 bytes too many for each mremap (mremap_chunk). */
static void check_mmapped_bytes(const struct insp_allocator *a, uint64_t ours, uint64_t theirs)
{
	if (a->version && strcmp(a->version, "2.43") == 0) {
		assert_in_range(theirs, ours, ours + 4000);
		assert_int_equal((theirs - ours) % 16, 0);
	} else {
		assert_int_equal(ours, theirs);
	}
}

static void check_mallinfo(const struct victim *v)
{
	uint64_t system = 0, main_top = 0;

	insp_vec_each(&v->snap->arenas, a) {
		if (!(a->flags & INSP_ARENA_MMAPPED))
			system += a->system_bytes;
		if (a->flags & INSP_ARENA_MAIN)
			main_top = a->top_bytes;
	}
	assert_int_equal(system, truth(v, "arena"));
	assert_int_equal(free_in_bins(v->count), truth(v, "ordblks"));
	assert_int_equal(v->count[INSP_CHUNK_FASTBIN], truth(v, "smblks"));
	assert_int_equal(v->bytes[INSP_CHUNK_FASTBIN], truth(v, "fsmblks"));
	assert_int_equal(free_in_bins(v->bytes) + v->bytes[INSP_CHUNK_FASTBIN], truth(v, "fordblks"));
	assert_int_equal(system - free_in_bins(v->bytes) - v->bytes[INSP_CHUNK_FASTBIN],
			 truth(v, "uordblks"));
	assert_int_equal(main_top, truth(v, "keepcost"));
	assert_int_equal(v->count[INSP_CHUNK_MMAPPED], truth(v, "hblks"));
	assert_int_equal(glibc_of(v->snap)->n_mmaps, truth(v, "hblks"));
	assert_int_equal(glibc_of(v->snap)->mmapped_mem, truth(v, "hblkhd"));
	insp_vec_each(&v->snap->arenas, a)
		if (a->flags & INSP_ARENA_MMAPPED)
			check_mmapped_bytes(glibc_of(v->snap), a->spans_bytes, truth(v, "hblkhd"));
}

/* <total type='fast' count='3' size='96'/> behind `at`. */
static void xml_total(const char *at, const char *tag, uint64_t *ret_count, uint64_t *ret_size)
{
	char mark[64];

	(void)snprintf(mark, sizeof(mark), "<%s' count='", tag);
	at = strstr(at, mark);
	assert_non_null(at);
	*ret_count = strtoull(at + strlen(mark), NULL, 10);
	at = strstr(at, "size='");
	assert_non_null(at);
	*ret_size = strtoull(at + 6, NULL, 10);
}

/*
 * malloc_info adds up the size words of the free chunks without taking the flags off
 * (chunksize_nomask): 1 for P, which a free chunk always has, and maybe 4 for N.
 */
static void check_rest_bytes(const struct insp_arena *a, uint64_t ours, uint64_t theirs,
			     uint64_t nchunks)
{
	assert_in_range(theirs, ours + nchunks,
			ours + (a->flags & INSP_ARENA_MAIN ? 1 : 5) * nchunks);
	assert_int_equal((theirs - ours - nchunks) % 4, 0);
}

/* Arena by arena, in the order of glibc's own list. */
static void check_malloc_info(const struct victim *v)
{
	const char *at = strstr(v->line, "\"malloc_info\"");
	static const char system_mark[] = "<system type='current' size='";
	size_t narenas = 0;

	assert_non_null(at);
	for (uint32_t i = 0; i < v->snap->arenas.n; i++) {
		const struct insp_arena *a = &v->snap->arenas.items[i];
		uint64_t fast = 0, fast_bytes = 0, rest = 1, rest_bytes = a->top_bytes, n, size;

		if (a->flags & INSP_ARENA_MMAPPED)
			continue;
		at = strstr(at, "<heap nr='");
		if (!at)
			fail_msg("malloc_info has %zu arenas, we have more", narenas);
		assert_int_equal(strtoull(at + 10, NULL, 10), narenas++);
		insp_vec_each(&v->snap->bins, b) {
			if (b->arena != i || b->kind == INSP_BIN_TCACHE)
				continue;
			if (b->kind == INSP_BIN_FAST) {
				fast += b->count;
				fast_bytes += b->bytes;
			} else {
				rest += b->count;
				rest_bytes += b->bytes;
			}
		}
		if (strstr(at, "<total type='fast'")) { /* 2.43 has none */
			xml_total(at, "total type='fast", &n, &size);
			assert_int_equal(fast, n);
			assert_int_equal(fast_bytes, size);
		}
		xml_total(at, "total type='rest", &n, &size);
		assert_int_equal(rest, n);
		check_rest_bytes(a, rest_bytes, size, rest - 1);
		at = strstr(at, system_mark);
		assert_non_null(at);
		assert_int_equal(a->system_bytes, strtoull(at + sizeof(system_mark) - 1, NULL, 10));
	}
	at = strstr(at, "<heap nr='");
	if (at)
		fail_msg("malloc_info has more arenas than the %zu that we have", narenas);
}

/* Blocks that the victim holds: found, in use, and as large as it thinks. */
static void check_samples(const struct victim *v)
{
	const char *at = strstr(v->line, "\"sample\":[");
	uint64_t broken = truth(v, "broken_addr");
	size_t n = 0;

	assert_non_null(at);
	for (at += 10; *at == '[' || *at == ','; n++) {
		uint64_t addr, usable;
		struct insp_chunk c;
		int64_t id;

		if (*at == ',')
			at++;
		addr = strtoull(at + 1, (char **)&at, 10);
		usable = strtoull(at + 1, (char **)&at, 10);
		at++;
		id = insp_chunks_at(v->snap->chunks, addr);
		assert_true(id >= 0);
		insp_chunks_get(v->snap->chunks, (uint32_t)id, &c);
		if (broken && addr == broken + 16) {
			assert_int_equal(c.state, INSP_CHUNK_UNKNOWN);
			continue;
		}
		assert_int_equal(c.mem, addr);
		assert_true(insp_chunk_state_live(c.state));
		/* From 2.43 on the last 8 bytes of a mapping are not usable. */
		if (c.state == INSP_CHUNK_MMAPPED && c.usable == usable + 8)
			continue;
		assert_int_equal(c.usable, usable);
	}
	assert_true(n > 0);
}

/* What the victim does not know of: buffers of stdio, stacks' bookkeeping. */
static void check_live(const struct victim *v, uint64_t slack)
{
	uint64_t live = v->count[INSP_CHUNK_INUSE] + v->count[INSP_CHUNK_MMAPPED];

	assert_in_range(live, truth(v, "live"), truth(v, "live") + slack);
}

static void check_alive(struct victim *v)
{
	assert_int_equal(kill(v->pid, SIGUSR1), 0);
	assert_true(next_line(v));
	assert_non_null(strstr(v->line, "\"alive\":true"));
}

static void check_all(struct victim *v, uint64_t slack)
{
	const struct insp_allocator *a = glibc_of(v->snap);

	if (!a)
		fail_msg("no glibc malloc was found");
	check_no_findings(v);
	assert_in_range(a->confidence, 90, 100);
	assert_true(a->chunks_complete);
	check_tiling(v);
	check_mallinfo(v);
	check_malloc_info(v);
	check_samples(v);
	check_live(v, slack);
	assert_int_equal(v->count[INSP_CHUNK_UNKNOWN], 0);
	assert_int_equal(v->count[INSP_CHUNK_UNLINKED], 0);
}

static void run(const char *build, const char *mode, const char *n, const char *tunables,
		uint64_t slack)
{
	struct victim v;

	victim_start(&v, build, mode, n, tunables);
	take(&v);
	check_all(&v, slack);
	check_alive(&v);
	victim_stop(&v);
}

#define INTACT(name, mode, n, slack)                        \
	static void glibc__##name(void **state)             \
	{                                                   \
		(void)state;                                \
		run("heap", mode, n, NULL, slack);          \
	}

INTACT(mixed_sizes, "mix", "20000", 40)
INTACT(fragmented, "fragment", "20000", 40)
INTACT(full_fastbins, "fast", "500", 40)
INTACT(full_tcache, "tcache", NULL, 40)
INTACT(mmapped_chunks, "mmapped", "40", 40)
INTACT(main_arena_in_pieces, "noncontig", "60000", 40)
INTACT(foreign_sbrk, "sbrk", "3000", 40)
INTACT(threads_and_arenas, "threads", "40", 400)
INTACT(many_threads, "threads", "200", 2000)
INTACT(several_heaps_in_an_arena, "heaps", "2", 60)

static void glibc__static_program(void **state)
{
	(void)state;
	if (getenv("GLIBC_DIR"))
		skip();
	run("heap-static", "mix", "20000", NULL, 60);
	run("heap-static", "threads", "20", NULL, 400);
}

static void glibc__two_in_one_process(void **state)
{
	uint64_t system[2] = {0};
	size_t nwalked = 0;
	struct victim v;

	(void)state;
	victim_start(&v, "dlmopen", NULL, NULL, NULL);
	take(&v);
	check_no_findings(&v);
	check_tiling(&v);
	for (size_t i = 0; i < v.snap->allocators.n; i++)
		nwalked += v.snap->allocators.items[i].walked;
	assert_int_equal(nwalked, 2);
	insp_vec_each(&v.snap->arenas, a) {
		assert_in_range(a->allocator, 0, 1);
		system[a->allocator] += a->system_bytes;
	}
	assert_int_equal(system[0], truth(&v, "arena"));
	assert_int_equal(system[1], truth(&v, "other_arena"));
	assert_int_equal(free_in_bins(v.bytes) + v.bytes[INSP_CHUNK_FASTBIN],
			 truth(&v, "fordblks") + truth(&v, "other_fordblks"));
	check_alive(&v);
	victim_stop(&v);
}

static void glibc__tunables(void **state)
{
	static const char *const tunables[] = {
		"glibc.malloc.tcache_count=0", "glibc.malloc.tcache_max=512",
		"glibc.malloc.hugetlb=1",      "glibc.malloc.hugetlb=2",
		"glibc.malloc.arena_max=1",    "glibc.malloc.mxfast=0",
		"glibc.malloc.perturb=7",      "glibc.malloc.tcache_max=100000",
		"glibc.malloc.mmap_threshold=20000",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tunables) / sizeof(tunables[0]); i++) {
		print_message("  %s\n", tunables[i]);
		run("heap", "mix", "10000", tunables[i], 60);
		run("heap", "threads", "10", tunables[i], 200);
		run("heap", "heaps", "2", tunables[i], 60);
	}
}

static const struct insp_finding *find(const struct victim *v, const char *code)
{
	insp_vec_each(&v->snap->findings, f)
		if (strcmp(f->code, code) == 0)
			return f;
	return NULL;
}

static void start_broken(struct victim *v, const char *mode)
{
	char *ready;

	victim_start(v, "heap", mode, NULL, NULL);
	ready = strdup(v->line);
	assert_non_null(ready);
	assert_true(next_line(v)); /* now it is broken */
	assert_non_null(strstr(v->line, "\"broken\":true"));
	free(v->line);
	v->line = ready;
	v->line_cap = strlen(ready) + 1;
	take(v);
}

static void glibc__bad_size_is_found_and_passed(void **state)
{
	struct victim v;

	(void)state;
	start_broken(&v, "badsize");
	check_tiling(&v);
	check_samples(&v);
	assert_non_null(find(&v, "bad_size"));
	assert_int_equal(find(&v, "bad_size")->addr, truth(&v, "broken_addr"));
	assert_int_equal(v.count[INSP_CHUNK_UNKNOWN], 1);
	assert_false(glibc_of(v.snap)->chunks_complete);
	victim_stop(&v);
}

static void glibc__bad_top_is_found(void **state)
{
	struct victim v;

	(void)state;
	start_broken(&v, "badtop");
	check_tiling(&v);
	check_mallinfo(&v);
	assert_non_null(find(&v, "bad_top"));
	assert_int_equal(find(&v, "bad_top")->addr, truth(&v, "broken_addr"));
	victim_stop(&v);
}

/* An arena with such a top is one still: to call that malloc unused would send people elsewhere. */
static void glibc__arena_with_a_wild_top_is_walked(void **state)
{
	struct victim v;

	(void)state;
	start_broken(&v, "wildtop");
	check_tiling(&v);
	check_mallinfo(&v);
	assert_non_null(find(&v, "bad_top"));
	assert_true(glibc_of(v.snap)->walked);
	victim_stop(&v);
}

static void glibc__loop_ends_and_the_rest_is_reached_from_behind(void **state)
{
	struct victim v;

	(void)state;
	start_broken(&v, "loop");
	check_tiling(&v);
	check_mallinfo(&v);
	assert_non_null(find(&v, "list_loop"));
	assert_int_equal(find(&v, "list_loop")->addr, truth(&v, "broken_addr"));
	victim_stop(&v);
}

/* Threads stand anywhere inside of malloc: nothing may be lost, and oddities have a reason. */
static void glibc__stop_inside_malloc(void **state)
{
	unsigned locked = 0;
	struct victim v;

	(void)state;
	victim_start(&v, "heap", "spin", "4", NULL);
	for (int i = 0; i < 30; i++) {
		bool any = false;

		take(&v);
		insp_vec_each(&v.snap->arenas, a)
			any |= (a->flags & INSP_ARENA_LOCKED) != 0;
		locked += any;
		assert_int_equal(v.count[INSP_CHUNK_UNKNOWN], 0);
		if (!any)
			assert_null(find(&v, "free_not_listed"));
		assert_true(v.count[INSP_CHUNK_INUSE] >= truth(&v, "live"));
	}
	print_message("  locked in %u of 30\n", locked);
	check_alive(&v);
	victim_stop(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc__mixed_sizes),
		cmocka_unit_test(glibc__fragmented),
		cmocka_unit_test(glibc__full_fastbins),
		cmocka_unit_test(glibc__full_tcache),
		cmocka_unit_test(glibc__mmapped_chunks),
		cmocka_unit_test(glibc__main_arena_in_pieces),
		cmocka_unit_test(glibc__foreign_sbrk),
		cmocka_unit_test(glibc__threads_and_arenas),
		cmocka_unit_test(glibc__many_threads),
		cmocka_unit_test(glibc__several_heaps_in_an_arena),
		cmocka_unit_test(glibc__static_program),
		cmocka_unit_test(glibc__two_in_one_process),
		cmocka_unit_test(glibc__tunables),
		cmocka_unit_test(glibc__bad_size_is_found_and_passed),
		cmocka_unit_test(glibc__bad_top_is_found),
		cmocka_unit_test(glibc__arena_with_a_wild_top_is_walked),
		cmocka_unit_test(glibc__loop_ends_and_the_rest_is_reached_from_behind),
		cmocka_unit_test(glibc__stop_inside_malloc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
