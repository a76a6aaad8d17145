/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's books on the target are the same before and after a capture, in every mode: memory
 * that it never touched stays untouched, what is in swap stays there, and a page that another process
 * would have to bring is not waited for.
 */
#include "../unit/forked.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "snapshot/take.h"
#include "target/precopy.h"

#define MANY (64ul << 20)

static char *map(size_t size_bytes, int flags, int fd)
{
	char *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(3);
	return p;
}

/* Pages that a fault would have to ask this very process for. */
static void map_missing(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */);

	reg.range.start = (uintptr_t)map(MANY, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	reg.range.len = MANY;
	if (fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg))
		w->created = 1;
}

static void victim_sparse(int arg)
{
	char name[] = "/tmp/meminspect-sparse.XXXXXX", *p;
	int fd = mkstemp(name);

	(void)arg;
	atomic_fetch_add(&w->beats[0], 1); /* all of the witness is there */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	if (fd < 0 || ftruncate(fd, MANY) || unlink(name))
		_exit(3);
	p = map(MANY, MAP_PRIVATE | MAP_ANONYMOUS, -1); /* every eighth page */
	for (size_t at = 0; at < MANY; at += 8 * 4096)
		p[at] = 1;
	(void)map(MANY, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	(void)map(MANY, MAP_SHARED | MAP_ANONYMOUS, -1);
	(void)map(MANY, MAP_PRIVATE, fd);
	(void)map(MANY, MAP_SHARED, fd);
	p = malloc(MANY); /* a chunk of which only the header is there */
	w->marker_addr = (uint64_t)(uintptr_t)p;
	for (int i = 0; i < 2000; i++)
		if (!memset(malloc(100), i, 100))
			_exit(3);
	p = map(MANY / 4, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(p, 7, MANY / 4);
	(void)madvise(p, MANY / 4, MADV_PAGEOUT);
	map_missing();
	atomic_store(&w->ready, 1);
	for (;;) {
		usleep(1000);
		atomic_fetch_add(&w->beats[0], 1);
	}
}

static const char *const keys[] = {"RssAnon:", "RssFile:", "RssShmem:", "VmPTE:", "VmSwap:", "VmData:"};
enum { ANON, FILES, SHMEM, PTE, SWAP, DATA, N_KEYS };

static void books(pid_t pid, uint64_t kib[N_KEYS])
{
	for (int i = 0; i < N_KEYS; i++)
		kib[i] = status_kib(pid, keys[i]);
}

static void captured(enum insp_capture_mode mode, const char *name)
{
	const struct insp_take_options options = {
		.needs = INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_STACKS | INSP_NEED_USAGE,
		.mode = mode,
		.allow_inject = true,
		.max_pause_ns = 20000000000,
	};
	uint64_t before[N_KEYS], after[N_KEYS];
	struct insp_target *target;
	pid_t pid;

	skip_with_sanitizer("the heap would be the sanitizer's, not glibc's");
	pid = spawn(victim_sparse, 0);
	until(w->ready);
	if (!w->created)
		print_message("no pages that are missing: userfaultfd is not permitted\n");
	books(pid, before);
	if (getenv("MEMINSPECT_SWAP")) /* tests/stress/swap.sh has turned it on */
		assert_true(before[SWAP] >= 1024);
	else if (!before[SWAP])
		print_message("nothing in swap: this machine has none\n");
	target = open_pid(pid);
	for (int i = 0; i < 3; i++) {
		struct insp_error err = {0};
		struct insp_snapshot *snap;
		uint64_t beats;

		if (insp_snapshot_take(target, &options, &snap, NULL, &err))
			fail_msg("%s", err.msg);
		assert_string_equal(snap->capture.mode, name);
		assert_true(snap->chunks->n > 2000);
		insp_snapshot_destroy(snap);
		beats = w->beats[0];
		until(w->beats[0] > beats + 5);
	}
	insp_target_close(target);
	books(pid, after);
	for (int i = 0; i < N_KEYS; i++) {
		/* An injected call puts a frame below the stack, where the victim may not have been yet,
		   and runs in a page of the C library that it may not have used. */
		uint64_t more = mode == INSP_CAPTURE_STOP || mode == INSP_CAPTURE_LIVE ? 0
				: i == ANON					      ? 16
				: i == FILES					      ? 256
										      : 0;

		if (after[i] < before[i] || after[i] > before[i] + more)
			fail_msg("%s %llu kB before, %llu kB after", keys[i], (unsigned long long)before[i],
				 (unsigned long long)after[i]);
	}
	end(pid);
}

static void stop__leaves_the_books_alone(void **state)
{
	(void)state;
	captured(INSP_CAPTURE_STOP, "stop");
}

static void live__leaves_the_books_alone(void **state)
{
	(void)state;
	captured(INSP_CAPTURE_LIVE, "live");
}

static void precopy__leaves_the_books_alone(void **state)
{
	struct insp_error err = {0};

	(void)state;
	if (insp_precopy_supported(&err)) {
		print_message("%s\n", err.msg);
		skip();
	}
	captured(INSP_CAPTURE_PRECOPY, "precopy");
}

static void fork__leaves_the_books_alone(void **state)
{
	(void)state;
	captured(INSP_CAPTURE_FORK, "fork");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop__leaves_the_books_alone),
		cmocka_unit_test(live__leaves_the_books_alone),
		cmocka_unit_test(precopy__leaves_the_books_alone),
		cmocka_unit_test(fork__leaves_the_books_alone),
	};

	return run_forked_tests(tests, argc, argv);
}
