/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The runs of this very process: what was touched, what was not, and what is the page of zeroes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "target/residency.h"

#define PAGE 4096u

static void residency__joins_neighbours_of_a_kind(void **state)
{
	struct insp_residency r = {.page_size = PAGE};

	(void)state;
	insp_residency_add(&r, 0x10000, 0x10000, 2, INSP_PAGES_RESIDENT);
	insp_residency_add(&r, 0x10000, 0x12000, 1, INSP_PAGES_RESIDENT);
	insp_residency_add(&r, 0x10000, 0x13000, 1, INSP_PAGES_SWAPPED);
	insp_residency_add(&r, 0x10000, 0x15000, 1, INSP_PAGES_SWAPPED);
	insp_residency_add(&r, 0x16000, 0x16000, 1, INSP_PAGES_SWAPPED); /* another mapping */
	assert_int_equal(r.n, 4);
	assert_int_equal(r.items[0].npages, 3);
	assert_int_equal(insp_residency_find(&r, 0), 0);
	assert_int_equal(insp_residency_find(&r, 0x13000), 1);
	assert_int_equal(insp_residency_find(&r, 0x14000), 2);
	assert_int_equal(insp_residency_find(&r, 0x17000), 4);
	insp_residency_deinit(&r);
}

static void residency__sums_to_the_byte(void **state)
{
	struct insp_residency r = {.page_size = PAGE};
	struct insp_resident s;

	(void)state;
	insp_residency_add(&r, 0, 0x10000, 2, INSP_PAGES_RESIDENT);
	insp_residency_add(&r, 0, 0x12000, 1, INSP_PAGES_HUGE);
	insp_residency_add(&r, 0, 0x13000, 1, INSP_PAGES_SWAPPED);
	insp_residency_add(&r, 0, 0x14000, 1, INSP_PAGES_ZERO);
	s = insp_residency_sum(&r, 0x10001, 0x13010);
	assert_int_equal(s.rss, 3 * PAGE - 1);
	assert_int_equal(s.huge, PAGE);
	assert_int_equal(s.swap, 0x10);
	s = insp_residency_sum(&r, 0, UINT64_MAX);
	assert_int_equal(s.rss, 3 * PAGE);
	insp_residency_deinit(&r);
}

static void residency__unsure_pages_follow_smaps(void **state)
{
	struct insp_residency r = {.page_size = PAGE};

	(void)state;
	insp_residency_add(&r, 0, 0x10000, 2, INSP_PAGES_UNSURE);
	insp_residency_add(&r, 0, 0x20000, 1, INSP_PAGES_RESIDENT);
	insp_residency_settle(&r, 0, PAGE);
	assert_int_equal(r.items[0].kind, INSP_PAGES_ZERO);
	r.items[0].kind = INSP_PAGES_UNSURE;
	insp_residency_settle(&r, 0, 3 * PAGE);
	assert_int_equal(r.items[0].kind, INSP_PAGES_RESIDENT);
	insp_residency_deinit(&r);
}

static void residency__is_what_the_process_touched(void **state)
{
	struct insp_residency r = {.page_size = PAGE};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile unsigned char *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)p;
	struct insp_resident s;

	(void)state;
	if (fd < 0)
		skip();
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(madvise((void *)p, 64 * PAGE, MADV_NOHUGEPAGE), 0);
	p[3 * PAGE] = 1;
	p[4 * PAGE] = 1;
	p[40 * PAGE] = 1;
	assert_int_equal(p[10 * PAGE], 0); /* maps the page of zeroes */
	assert_int_equal(insp_pagemap_runs(fd, at, at + 64 * PAGE, 3 * PAGE, &r), 0);
	s = insp_residency_sum(&r, at, at + 64 * PAGE);
	assert_int_equal(s.rss, 3 * PAGE);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.items[0].start, at + 3 * PAGE);
	assert_int_equal(r.items[0].npages, 2);
	assert_int_equal(r.items[1].kind, INSP_PAGES_ZERO);
	assert_int_equal(r.items[2].start, at + 40 * PAGE);
	insp_residency_deinit(&r);
	r = (struct insp_residency){.page_size = PAGE}; /* older kernels: the same */
	assert_int_equal(insp_pagemap_runs_by_reading(fd, at, at + 64 * PAGE, 3 * PAGE, &r), 0);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.items[0].npages, 2);
	assert_int_equal(r.items[1].kind, INSP_PAGES_ZERO);
	assert_int_equal(insp_residency_sum(&r, at, at + 64 * PAGE).rss, 3 * PAGE);
	insp_residency_deinit(&r);
	assert_int_equal(munmap((void *)p, 64 * PAGE), 0);
	assert_int_equal(close(fd), 0);
}

static void residency__passes_over_huge_holes(void **state)
{
	struct insp_residency r = {.page_size = PAGE};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t size = UINT64_C(1) << 42;
	volatile unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	if (fd < 0 || p == MAP_FAILED)
		skip();
	p[size / 2] = 1;
	assert_int_equal(
		insp_pagemap_runs(fd, (uintptr_t)p, (uintptr_t)p + size, PAGE, &r), 0);
	if (!r.unscanned_bytes) {
		assert_int_equal(r.n, 1);
		assert_int_equal(r.items[0].start, (uintptr_t)p + size / 2);
	}
	insp_residency_deinit(&r);
	assert_int_equal(munmap((void *)p, size), 0);
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(residency__joins_neighbours_of_a_kind),
		cmocka_unit_test(residency__sums_to_the_byte),
		cmocka_unit_test(residency__unsure_pages_follow_smaps),
		cmocka_unit_test(residency__is_what_the_process_touched),
		cmocka_unit_test(residency__passes_over_huge_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
