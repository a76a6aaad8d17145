/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parsers of /proc on what targets can make it say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "model/usage.h"
#include "target/proc.h"

static struct insp_pool *pool;

static int setup(void **state)
{
	(void)state;
	pool = insp_pool_create();
	return pool ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	insp_pool_destroy(pool);
	return 0;
}

static struct insp_regions maps(const char *text)
{
	struct insp_regions regions = {0};
	struct insp_error err = {0};

	assert_int_equal(insp_proc_maps(text, strlen(text), pool, &regions, &err), 0);
	return regions;
}

static void maps__understands_each_kind_of_line(void **state)
{
	struct insp_regions r = maps(
		"55d0c0a00000-55d0c0a21000 r-xp 00001000 fe:01 1234                       /usr/bin/a b\n"
		"55d0c1a00000-55d0c1a21000 rw-p 00000000 00:00 0                          [heap]\n"
		"7f0000000000-7f0000001000 rw-s 00000000 00:01 77                         /dev/zero (deleted)\n"
		"7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n"
		"7f0000002000-7f0000003000 rw-p 00000000 00:00 0                          [anon:a name]\n"
		"7f0000003000-7f0000004000 r--s 00000000 00:0e 5                          anon_inode:[perf_event]\n"
		"7f0000004000-7f0000005000 rw-s 00000000 00:06 5                          /dev/dri/card0\n"
		"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
		"7ffd00030000-7ffd00034000 r--p 00000000 00:00 0                          [vvar]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]");

	(void)state;
	assert_int_equal(r.n, 10);
	assert_string_equal(r.items[0].name, "/usr/bin/a b");
	assert_int_equal(r.items[0].inode, 1234);
	assert_int_equal(r.items[0].dev_major, 0xfe);
	assert_int_equal(r.items[0].offset, 0x1000);
	assert_int_equal(r.items[0].prot, INSP_PROT_READ | INSP_PROT_EXEC);
	assert_int_equal(r.items[1].flags, INSP_REGION_BRK);
	assert_string_equal(r.items[2].name, "/dev/zero");
	assert_int_equal(r.items[2].flags, INSP_REGION_SHARED | INSP_REGION_DELETED);
	assert_string_equal(r.items[3].name, "");
	assert_int_equal(r.items[3].prot, 0);
	assert_string_equal(r.items[4].name, "[anon:a name]");
	assert_int_equal(r.items[5].flags, INSP_REGION_SHARED | INSP_REGION_DEVICE);
	assert_int_equal(r.items[6].flags, INSP_REGION_SHARED | INSP_REGION_DEVICE);
	assert_int_equal(r.items[7].flags, INSP_REGION_STACK);
	assert_int_equal(r.items[8].flags, INSP_REGION_DEVICE);
	assert_int_equal(r.items[9].end, 0xffffffffff601000);
}

static void maps__takes_names_as_they_come(void **state)
{
	struct insp_regions r = maps(
		"1000-2000 r-xp 0 08:01 9 /tmp/new\\012line (deleted) (deleted)\n"
		"2000-3000 r-xp 0 08:01 9 /tmp/back\\134slash\n"
		"3000-4000 rw-p 0 00:00 0 [not (deleted)\n"
		"4000-5000 r-xp 0 08:01 9  (deleted)\n");

	(void)state;
	assert_string_equal(r.items[0].name, "/tmp/new\nline (deleted)");
	assert_int_equal(r.items[0].flags, INSP_REGION_DELETED);
	assert_string_equal(r.items[1].name, "/tmp/back\\134slash");
	assert_string_equal(r.items[2].name, "[not (deleted)");
	assert_int_equal(r.items[2].flags, 0);
	assert_string_equal(r.items[3].name, "(deleted)");
}

static void maps__shares_the_name_of_one_module(void **state)
{
	struct insp_regions r = maps("1000-2000 r-xp 0 08:01 9 /lib/x\n2000-3000 rw-p 0 08:01 9 /lib/x\n");

	(void)state;
	assert_ptr_equal(r.items[0].name, r.items[1].name);
}

static void maps__drops_what_overlaps(void **state)
{
	struct insp_regions r = maps("1000-3000 rw-p 0 00:00 0 \n2000-4000 rw-p 0 00:00 0 \n5000-6000 rw-p 0 00:00 0 \n");

	(void)state;
	assert_int_equal(r.n, 2);
	assert_int_equal(r.items[1].start, 0x5000);
}

static void maps__refuses_what_it_does_not_understand(void **state)
{
	static const char *const bad[] = {
		"x\n",
		"1000-2000\n",
		"1000-2000 rwxq 0 00:00 0\n",
		"2000-1000 rw-p 0 00:00 0\n",
		"1000-1000 rw-p 0 00:00 0\n",
		"10000000000000000000-20000000000000000000 rw-p 0 00:00 0\n",
		"1000-2000 rw-p 0 00:00 \n",
		"\n",
	};
	struct insp_regions r;
	struct insp_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(insp_proc_maps(bad[i], strlen(bad[i]), pool, &r, &err),
				 INSP_E_CORRUPT);
	assert_int_equal(insp_proc_maps("", 0, pool, &r, &err), 0);
	assert_int_equal(r.n, 0);
}

static void stat__finds_the_end_of_a_hostile_name(void **state)
{
	struct insp_proc_stat s;

	(void)state;
	assert_true(insp_proc_stat("77 (a) R 1 (x)) S 12 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 9999 "
				   "1 2 3",
				   &s));
	assert_string_equal(s.comm, "a) R 1 (x)");
	assert_int_equal(s.state, 'S');
	assert_int_equal(s.ppid, 12);
	assert_int_equal(s.flags, 4194560);
	assert_int_equal(s.utime, 150);
	assert_int_equal(s.stime, 50);
	assert_int_equal(s.nthreads, 3);
	assert_int_equal(s.start_ticks, 9999);
	assert_false(insp_proc_stat("77 (a", &s));
	assert_false(insp_proc_stat("77 )a( S 1", &s));
	assert_false(insp_proc_stat("", &s));
	assert_false(insp_proc_stat("77 (a) S 1 2", &s));
}

static void syscall__knows_its_three_forms(void **state)
{
	struct insp_proc_syscall s;

	(void)state;
	assert_true(insp_proc_syscall("running\n", &s));
	assert_true(s.running);
	assert_true(insp_proc_syscall("-1 0x7ffc00 0x401000\n", &s));
	assert_int_equal(s.number, -1);
	assert_int_equal(s.sp, 0x7ffc00);
	assert_true(insp_proc_syscall("202 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffc00 0x401000\n", &s));
	assert_int_equal(s.number, 202);
	assert_int_equal(s.args[5], 6);
	assert_int_equal(s.pc, 0x401000);
	assert_false(insp_proc_syscall("202 0x1 0x2", &s));
	assert_false(insp_proc_syscall("", &s));
}

static void field__wants_the_whole_key_at_the_start_of_a_line(void **state)
{
	static const char text[] = "Name:\tVmRSS: 9\nVmRSSx:\t 7 kB\nVmRSS:\t  12 kB\nNSpid:\t812\t7\n"
				   "CapEff:\t00000000a80425fb\nEmpty:\n";
	uint64_t v;
	unsigned n;

	(void)state;
	assert_true(insp_proc_field_bytes(text, "VmRSS", &v));
	assert_int_equal(v, 12 * 1024);
	assert_true(insp_proc_field_last(text, "NSpid", &v, &n));
	assert_int_equal(v, 7);
	assert_int_equal(n, 2);
	assert_true(insp_proc_field_hex(text, "CapEff", &v));
	assert_int_equal(v, 0xa80425fb);
	assert_false(insp_proc_field(text, "Empty", &v));
	assert_false(insp_proc_field(text, "Missing", &v));
}

static void page_state__tells_absent_from_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(insp_proc_page_state(1ull << 63 | 5, true), INSP_PAGE_PRESENT);
	assert_int_equal(insp_proc_page_state(1ull << 62, false), INSP_PAGE_SWAPPED);
	assert_int_equal(insp_proc_page_state(0, true), INSP_PAGE_FILE);
	assert_int_equal(insp_proc_page_state(0, false), INSP_PAGE_ABSENT);
}

static void smaps__keeps_what_is_missing_unknown(void **state)
{
	static const char text[] =
		"55d0c1a00000-55d0c1a21000 rw-p 00000000 00:00 0                          [heap]\n"
		"Size:                132 kB\nRss:                  64 kB\nPss:                  64 kB\n"
		"Private_Dirty:        60 kB\nAnonymous:            64 kB\nVmFlags: rd wr mr mw me ac\n"
		"aaaa00000000-aaaa00001000 r-xp 00000000 00:00 0   Rss: 5 kB\n"
		"Rss:                   4 kB\nTHPeligible:    0\nRss: nonsense\n";
	struct insp_usage usage = {0};

	(void)state;
	assert_int_equal(insp_proc_smaps(text, sizeof(text) - 1, pool, &usage, NULL), 0);
	assert_int_equal(usage.n, 2);
	assert_int_equal(usage.items[0].rss, 64 << 10);
	assert_int_equal(usage.items[0].private_dirty, 60 << 10);
	assert_int_equal(usage.items[0].swap, INSP_UNKNOWN);
	assert_int_equal(usage.items[1].start, 0xaaaa00000000);
	assert_int_equal(usage.items[1].rss, 4 << 10);
}

static void cgroup__prefers_the_hierarchy_that_counts_memory(void **state)
{
	char buf[64];
	bool v2;

	(void)state;
	assert_string_equal(insp_proc_cgroup("0::/a.slice/b\n", &v2, buf, sizeof(buf)), "/a.slice/b");
	assert_true(v2);
	assert_string_equal(insp_proc_cgroup("5:cpu,memory:/x:y\n0::/z\n", &v2, buf, sizeof(buf)), "/x:y");
	assert_false(v2);
	assert_null(insp_proc_cgroup("3:memoryx:/a\n", &v2, buf, sizeof(buf)));
	assert_null(insp_proc_cgroup("", &v2, buf, sizeof(buf)));
	assert_null(insp_proc_cgroup("0::/a-path-that-is-longer-than-the-buffer-that-it-would-have-to-go-into\n",
				     &v2, buf, sizeof(buf)));
}

/* Every prefix, and every single byte changed, of a valid text: nothing may be read out of bounds. */
static void parsers__survive_damage(void **state)
{
	static const char text[] =
		"55d0c1a00000-55d0c1a21000 rw-p 00000000 00:00 0   [heap]\nRss:  64 kB\n"
		"77 (a) S 12 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 9999 1\n"
		"202 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n5:memory:/x\nNSpid:\t1\t2\n";
	const size_t len = sizeof(text) - 1;

	(void)state;
	for (size_t i = 0; i < 2 * len; i++) {
		size_t n = i < len ? i : len;
		char *copy = malloc(n + 1), buf[16];
		struct insp_usage usage = {0};
		struct insp_regions regions;
		struct insp_proc_stat stat;
		struct insp_proc_syscall sc;
		uint64_t v;
		unsigned nv;
		bool v2;

		assert_non_null(copy);
		memcpy(copy, text, n);
		copy[n] = '\0';
		if (i >= len)
			copy[i - len] = (char)(i * 37);
		(void)!insp_proc_maps(copy, n, pool, &regions, NULL);
		(void)!insp_proc_smaps(copy, n, pool, &usage, NULL);
		(void)insp_proc_stat(copy, &stat);
		(void)insp_proc_syscall(copy, &sc);
		(void)insp_proc_field_last(copy, "NSpid", &v, &nv);
		(void)insp_proc_cgroup(copy, &v2, buf, sizeof(buf));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps__understands_each_kind_of_line),
		cmocka_unit_test(maps__takes_names_as_they_come),
		cmocka_unit_test(maps__shares_the_name_of_one_module),
		cmocka_unit_test(maps__drops_what_overlaps),
		cmocka_unit_test(maps__refuses_what_it_does_not_understand),
		cmocka_unit_test(stat__finds_the_end_of_a_hostile_name),
		cmocka_unit_test(syscall__knows_its_three_forms),
		cmocka_unit_test(field__wants_the_whole_key_at_the_start_of_a_line),
		cmocka_unit_test(page_state__tells_absent_from_elsewhere),
		cmocka_unit_test(smaps__keeps_what_is_missing_unknown),
		cmocka_unit_test(cgroup__prefers_the_hierarchy_that_counts_memory),
		cmocka_unit_test(parsers__survive_damage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
