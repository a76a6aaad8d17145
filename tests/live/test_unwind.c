/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unwinding of real threads: each thread of the victim `frames` says in which of its functions
 * and lines it stands; both unwinders must say the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/str.h"
#include "stack/unwind.h"
#include "symbol/symbols.h"
#include "target/target.h"

#define LINE_MAX_BYTES 65536

struct subject {
	pid_t pid;
	FILE *out;
	char truth[LINE_MAX_BYTES];
	struct insp_target *target;
	struct insp_pool *pool;
	struct insp_regions regions;
	struct insp_modules modules;
	struct insp_threads threads;
	struct insp_symbols *symbols;
};

static const char *victim_path(const char *name)
{
	static char path[4096];
	const char *dir = getenv("VICTIMS");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "build/victims", name);
	return path;
}

static void spawn(struct subject *s, const char *path, const char *arg)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execl(path, path, arg, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	s->out = fdopen(fds[0], "r");
	assert_non_null(s->out);
	while (!strstr(s->truth, "\"ready\""))
		if (!fgets(s->truth, sizeof(s->truth), s->out))
			fail_msg("%s did not become ready", path);
}

/* Stops it, copies threads, lets it run on. */
static void capture(struct subject *s)
{
	const struct insp_stop_options options = {.want_registers = true, .stack_bytes = 64 << 10};
	struct insp_error err = {0};
	char spec[16];

	snprintf(spec, sizeof(spec), "%d", (int)s->pid);
	s->pool = insp_pool_create();
	assert_non_null(s->pool);
	if (insp_target_open_with(&insp_target_live, spec, NULL, &s->target, &err) ||
	    s->target->ops->stop(s->target, &options, &err) ||
	    s->target->ops->regions(s->target, s->pool, &s->regions, &err) ||
	    s->target->ops->threads(s->target, s->pool, &s->threads, &err))
		fail_msg("%s", err.msg);
	s->target->ops->resume(s->target, NULL);
	if (insp_modules_collect(s->target, &s->regions, s->pool, &s->modules, &err) ||
	    insp_symbols_create(s->target, &s->regions, &s->modules, &s->symbols, &err))
		fail_msg("%s", err.msg);
}

static void unwind_with(struct subject *s, const char *unwinder)
{
	struct insp_unwind_env env = {
		.target = s->target,
		.symbols = s->symbols,
		.regions = &s->regions,
		.threads = &s->threads,
		.pool = s->pool,
	};
	struct insp_error err = {0};

	if (insp_unwind_all(&env, insp_unwinder_find(unwinder), &err))
		fail_msg("%s", err.msg);
}

static void end(struct subject *s)
{
	insp_symbols_destroy(s->symbols);
	insp_target_close(s->target);
	insp_pool_destroy(s->pool);
	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	fclose(s->out);
	free(s);
}

static struct subject *start(const char *path, const char *arg)
{
	struct subject *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	spawn(s, path, arg);
	capture(s);
	return s;
}

static struct insp_thread *thread_called(struct subject *s, const char *name)
{
	for (size_t i = 0; i < s->threads.n; i++)
		if (!strcmp(s->threads.items[i].name, name))
			return &s->threads.items[i];
	fail_msg("no thread '%s'", name);
	return NULL;
}

static bool in_program(const struct insp_frame *f)
{
	return f->file && strstr(f->file, "frames.c");
}

/* "futex_leaf:63 futex_inlined*:69 ..." of the frames in frames.c, outermost left out. */
static void chain_of(const struct insp_thread *t, bool lines, struct insp_str *ret)
{
	for (size_t i = 0; i < t->frames.n; i++) {
		const struct insp_frame *f = &t->frames.items[i];

		if (!in_program(f) || !f->function || !strcmp(f->function, "thread_main"))
			continue;
		insp_str_addf(ret, "%s%s%s:%u", ret->len ? " " : "", f->function,
			      f->flags & INSP_FRAME_INLINED ? "*" : "", lines ? f->line : 0);
	}
}

/* As expected, where a line of 0 in expected stands for any. */
static bool chains_match(const char *expected, const char *got)
{
	while (*expected && *got) {
		if (*expected == '0' && expected[-1] == ':') {
			expected++;
			got += strspn(got, "0123456789");
		} else if (*expected++ != *got++) {
			return false;
		}
	}
	return *expected == *got;
}

static void check_chain(struct subject *s, const char *place)
{
	const struct insp_thread *t = thread_called(s, place);
	struct insp_str got = {0}, key = {0};
	char expected[1024];
	const char *at;

	insp_str_addf(&key, "\"%s\":\"", place);
	at = strstr(s->truth, insp_str_text(&key));
	assert_non_null(at);
	at += key.len;
	snprintf(expected, sizeof(expected), "%.*s", (int)strcspn(at, "\""), at);
	chain_of(t, true, &got);
	if (!chains_match(expected, insp_str_text(&got)))
		fail_msg("%s: expected %s\n    got %s (%s)", place, expected, insp_str_text(&got),
			 t->frames.end_reason ? t->frames.end_reason : "complete");
	insp_str_deinit(&got);
	insp_str_deinit(&key);
}

static void check_complete(struct subject *s, const char *place)
{
	const struct insp_frames *f = &thread_called(s, place)->frames;

	if (f->end_reason || f->truncated)
		fail_msg("%s: %s", place, f->end_reason);
	assert_true(f->n > 2);
}

static size_t count_flag(const struct insp_thread *t, uint32_t flag)
{
	size_t n = 0;

	for (size_t i = 0; i < t->frames.n; i++)
		n += !!(t->frames.items[i].flags & flag);
	return n;
}

static const char *const whole[] = {"futex", "signal", "altstack", "null", "qsort",
				    "vdso",  "plt",    "jit",	   "jit_rbp"};

static void check_chains(struct subject *s)
{
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		check_chain(s, whole[i]);
		check_complete(s, whole[i]);
	}
}

static void check_frames(struct subject *s, bool libc_is_dynamic)
{
	const struct insp_thread *t;

	check_chains(s);
	/* Only what was found without tables is marked. */
	assert_int_equal(count_flag(thread_called(s, "futex"), INSP_FRAME_GUESSED), 0);
	assert_int_equal(count_flag(thread_called(s, "signal"), INSP_FRAME_GUESSED), 0);
	assert_int_equal(count_flag(thread_called(s, "jit_rbp"), INSP_FRAME_GUESSED), 0);
	t = thread_called(s, "jit");
	assert_int_equal(count_flag(t, INSP_FRAME_GUESSED), t->frames.n - 1);
	assert_null(t->frames.items[0].module);
	assert_int_equal(count_flag(thread_called(s, "signal"), INSP_FRAME_SIGNAL), 1);
	assert_int_equal(count_flag(thread_called(s, "altstack"), INSP_FRAME_SIGNAL), 1);
	t = thread_called(s, "null");
	assert_int_equal(count_flag(t, INSP_FRAME_SIGNAL), 1);
	/* Where it stands, and what the signal interrupted: these are no return addresses. */
	assert_true(count_flag(t, INSP_FRAME_ACTIVATION) >= 2);
	if (!libc_is_dynamic)
		return;
	t = thread_called(s, "futex");
	for (size_t i = 0; i < t->frames.n; i++)
		if (t->frames.items[i].function &&
		    !strcmp(t->frames.items[i].function, "pthread_cond_wait"))
			return;
	fail_msg("no pthread_cond_wait in the stack of 'futex'");
}

static void check_limits(struct subject *s)
{
	const struct insp_thread *t = thread_called(s, "deep");
	size_t n = 0;

	for (size_t i = 0; i < t->frames.n; i++)
		n += !(t->frames.items[i].flags & INSP_FRAME_INLINED);
	assert_int_equal(n, INSP_FRAMES_MAX);
	assert_true(t->frames.truncated);
	assert_non_null(t->frames.end_reason);
	check_chain(s, "wide");
	t = thread_called(s, "wide");
	assert_true(t->frames.truncated);
	assert_string_equal(t->frames.end_reason, "the copied part of the stack ended");
}

static void check_victim(const char *name, const char *unwinder, bool libc_is_dynamic)
{
	struct subject *s = start(victim_path(name), NULL);

	unwind_with(s, unwinder);
	check_frames(s, libc_is_dynamic);
	check_limits(s);
	end(s);
}

static void unwind__libdw_finds_every_frame(void **state)
{
	(void)state;
	check_victim("frames", "libdw", true);
}

static void unwind__libunwind_finds_every_frame(void **state)
{
	(void)state;
	check_victim("frames", "libunwind", true);
}

static void unwind__reads_static_programs(void **state)
{
	(void)state;
	check_victim("frames-static", "libdw", false);
	check_victim("frames-static", "libunwind", false);
}

static void unwind__reads_musl_programs(void **state)
{
	struct subject *s;

	(void)state;
	if (access(victim_path("frames-musl"), X_OK)) {
		printf("skip: the victim needs musl-gcc\n");
		skip();
	}
	/* musl has no unwind tables for its system calls: some frames are guesses, and right. */
	s = start(victim_path("frames-musl"), NULL);
	unwind_with(s, "libdw");
	check_chains(s);
	unwind_with(s, "libunwind");
	check_chains(s);
	end(s);
}

static void unwind__repeats_itself(void **state)
{
	struct subject *s = start(victim_path("frames"), NULL);

	(void)state;
	unwind_with(s, "libdw");
	unwind_with(s, "libunwind");
	unwind_with(s, "libdw");
	check_frames(s, true);
	end(s);
}

/* Not only in the functions of the victim: every frame. */
static void unwind__has_two_equal_opinions(void **state)
{
	struct subject *s = start(victim_path("locks"), NULL);
	struct insp_thread *first;

	(void)state;
	unwind_with(s, "libdw");
	first = insp_pool_memdup(s->pool, s->threads.items, s->threads.n * sizeof(*first));
	assert_non_null(first);
	unwind_with(s, "libunwind");
	for (size_t i = 0; i < s->threads.n; i++) {
		const struct insp_frames *a = &first[i].frames, *b = &s->threads.items[i].frames;

		assert_true(a->n > 3);
		assert_int_equal(a->n, b->n);
		for (size_t k = 0; k < a->n; k++) {
			assert_true(a->items[k].pc == b->items[k].pc);
			assert_true(a->items[k].sp == b->items[k].sp);
			assert_int_equal(a->items[k].flags, b->items[k].flags);
		}
	}
	end(s);
}

static void unwind__demangles_cxx(void **state)
{
	static const char *const expected[] = {
		"shop::basket<long>::wait_for(long const&, int)",
		"shop::buy(shop::basket<long>&, unsigned char)",
		"main",
	};
	struct subject *s = start(victim_path("frames_cxx"), NULL);
	const struct insp_frames *f;
	size_t at = 0;

	(void)state;
	unwind_with(s, NULL);
	f = &s->threads.items[0].frames;
	for (size_t i = 0; i < f->n && at < 3; i++)
		if (f->items[i].function && !strcmp(f->items[i].function, expected[at]))
			at++;
	assert_int_equal(at, 3);
	end(s);
}

/* A program that was replaced on disk while it runs: an upgrade, in the middle of an incident. */
static void unwind__reads_deleted_programs(void **state)
{
	char path[] = "/tmp/meminspect-deleted-XXXXXX", command[8192];
	int fd = mkstemp(path);
	struct subject *s;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command), "cp '%s' %s && chmod +x %s", victim_path("frames"), path,
		 path);
	assert_int_equal(system(command), 0);
	s = calloc(1, sizeof(*s));
	assert_non_null(s);
	spawn(s, path, NULL);
	assert_int_equal(unlink(path), 0);
	capture(s);
	unwind_with(s, NULL);
	check_frames(s, true);
	for (size_t i = 0; i < s->modules.n; i++)
		if (s->modules.items[i].is_main)
			assert_true(s->modules.items[i].deleted);
	end(s);
}

static const struct insp_module *main_of(const struct subject *s)
{
	for (size_t i = 0; i < s->modules.n; i++)
		if (s->modules.items[i].is_main)
			return &s->modules.items[i];
	fail_msg("no module is the program");
	return NULL;
}

static void modules__know_the_program(void **state)
{
	const char *loader = "/lib64/ld-linux-x86-64.so.2";
	struct subject *s = start(victim_path("frames"), NULL);
	unsigned vdso = 0;

	(void)state;
	assert_string_equal(insp_module_basename(main_of(s)), "frames");
	for (size_t i = 0; i < s->modules.n; i++) {
		const struct insp_module *m = &s->modules.items[i];

		assert_true(m->start < m->end);
		assert_int_equal(m->machine, 62);
		assert_true(m->build_id_bytes > 0);
		vdso += !strcmp(m->path, "[vdso]");
		if (i)
			assert_true(s->modules.items[i - 1].start < m->start);
	}
	assert_int_equal(vdso, 1);
	end(s);
	s = start(victim_path("frames-static"), NULL);
	assert_string_equal(insp_module_basename(main_of(s)), "frames-static");
	assert_int_equal(main_of(s)->bias, 0);
	end(s);
	/* /proc/PID/exe is the loader then. */
	s = start(loader, victim_path("frames"));
	assert_string_equal(insp_module_basename(main_of(s)), "frames");
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unwind__libdw_finds_every_frame),
		cmocka_unit_test(unwind__libunwind_finds_every_frame),
		cmocka_unit_test(unwind__reads_static_programs),
		cmocka_unit_test(unwind__reads_musl_programs),
		cmocka_unit_test(unwind__repeats_itself),
		cmocka_unit_test(unwind__has_two_equal_opinions),
		cmocka_unit_test(unwind__demangles_cxx),
		cmocka_unit_test(unwind__reads_deleted_programs),
		cmocka_unit_test(modules__know_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
