/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The public C API, on a target made of a few pages that the host holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <meminspect/meminspect.h>

#include "base/str.h"

#define PAGE 4096u

struct inferior {
	unsigned char bytes[PAGE];
	bool broken;
};

static size_t read_inferior(void *ctx, uint64_t addr, void *buf, size_t size_bytes)
{
	struct inferior *inf = ctx;
	uint64_t off = addr - 0x10000;

	if (addr < 0x10000 || off >= PAGE)
		return 0;
	if (size_bytes > PAGE - off)
		size_bytes = PAGE - off;
	memcpy(buf, inf->bytes + off, size_bytes);
	return size_bytes;
}

static int regions_of(void *ctx, void (*add)(void *to, const struct meminspect_region *region), void *to)
{
	struct inferior *inf = ctx;
	struct meminspect_region r = {.size_bytes = sizeof(r), .start = 0x10000, .end = 0x11000,
				      .prot = MEMINSPECT_READ | MEMINSPECT_WRITE, .name = "[stack]"};
	struct meminspect_region overlapping = r, odd = r;

	if (inf->broken)
		return -1;
	add(to, &r);
	add(to, &overlapping);
	odd.start = 0x20001;
	odd.end = 0x21000;
	add(to, &odd);
	return 0;
}

static int threads_of(void *ctx, void (*add)(void *to, const struct meminspect_thread *thread), void *to)
{
	struct meminspect_thread t = {.size_bytes = sizeof(t), .tid = 7, .name = "worker", .have_regs = 1,
				      .orig_rax = -1};

	(void)ctx;
	t.regs[7] = 0x10800;
	add(to, &t);
	return 0;
}

static int collect(void *ctx, const char *bytes, size_t size)
{
	insp_str_addn(ctx, bytes, size);
	return 0;
}

static int refuse(void *ctx, const char *bytes, size_t size)
{
	(void)ctx;
	(void)bytes;
	(void)size;
	return -1;
}

struct fixture {
	struct inferior inferior;
	struct meminspect_host host;
	struct meminspect *m;
	struct insp_str text;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char error[128] = "";

	f->host = (struct meminspect_host){.size_bytes = sizeof(f->host), .ctx = &f->inferior,
					   .kind = "gdb", .pid = 42, .name = "a-name-longer-than-comm",
					   .read = read_inferior, .regions = regions_of,
					   .threads = threads_of};
	*state = f;
	if (meminspect_open_host(&f->host, &f->m, error, sizeof(error))) {
		print_error("%s\n", error);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	meminspect_close(f->m);
	insp_str_deinit(&f->text);
	free(f);
	return 0;
}

static int run(struct fixture *f, const char *line, const char *format)
{
	struct meminspect_output out = {.size_bytes = sizeof(out), .ctx = &f->text, .write = collect,
					.format = format};

	insp_str_reset(&f->text);
	return meminspect_run(f->m, line, &out);
}

static void api__runs_commands_on_a_host(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "maps", "csv"), MEMINSPECT_OK);
	assert_string_equal(insp_str_text(&f->text),
			    "start,end,bytes,permissions,offset,inode,deleted,kind,name\n"
			    "0x10000,0x11000,4096,rw-p,0x0,0,false,stack,[stack]\n");
	assert_string_equal(meminspect_error(f->m), "");
	assert_int_equal(run(f, "maps --format json", NULL), MEMINSPECT_OK);
	assert_non_null(strstr(insp_str_text(&f->text), "\"kind\":\"gdb\""));
	assert_non_null(strstr(insp_str_text(&f->text), "\"comm\":\"a-name-longer-t\""));
	assert_int_equal(run(f, "  # nothing", NULL), MEMINSPECT_OK);
	assert_int_equal(f->text.len, 0);
}

static void api__failures_are_values(void **state)
{
	struct fixture *f = *state;
	struct meminspect_output out = {.size_bytes = sizeof(out), .write = refuse};

	assert_int_equal(run(f, "mpas", NULL), MEMINSPECT_USAGE);
	assert_non_null(strstr(meminspect_error(f->m), "did you mean 'maps'"));
	assert_int_equal(run(f, "attach 1", NULL), MEMINSPECT_USAGE);
	assert_int_equal(run(f, "maps", "xml"), MEMINSPECT_USAGE);
	assert_int_equal(meminspect_run(f->m, "maps", &out), MEMINSPECT_ERROR);
	out.size_bytes = 4;
	assert_int_equal(meminspect_run(f->m, "maps", &out), MEMINSPECT_USAGE);
	f->inferior.broken = true;
	meminspect_invalidate(f->m);
	assert_int_equal(run(f, "maps", NULL), MEMINSPECT_ERROR);
	assert_non_null(strstr(meminspect_error(f->m), "mappings"));
	f->inferior.broken = false;
	assert_int_equal(run(f, "maps", NULL), MEMINSPECT_OK);
}

static void api__lists_commands(void **state)
{
	struct meminspect_command c;
	size_t n = 0;
	bool maps = false;

	(void)state;
	for (; meminspect_command(n, &c) == 0; n++)
		maps |= strcmp(c.name, "maps") == 0 && c.in_debugger;
	assert_true(n > 10 && maps);
	assert_int_equal(meminspect_command(n + 1000, &c), -1);
}

static void count(void *to, const char *word)
{
	*(int *)to += strcmp(word, "maps") == 0;
}

static void api__completes(void **state)
{
	struct fixture *f = *state;
	int n = 0;

	meminspect_complete(f->m, "", "ma", count, &n);
	meminspect_complete(NULL, "", "ma", count, &n);
	assert_int_equal(n, 2);
}

static void api__says_why_it_does_not_open(void **state)
{
	struct meminspect_host host = {.size_bytes = 4};
	struct meminspect *m = NULL;
	char error[128] = "";

	(void)state;
	assert_int_equal(meminspect_open("no-such-process-here", &m, error, sizeof(error)), MEMINSPECT_USAGE);
	assert_non_null(strstr(error, "no-such-process-here"));
	assert_int_equal(meminspect_open_host(&host, &m, error, sizeof(error)), MEMINSPECT_USAGE);
	assert_null(m);
	meminspect_close(NULL);
	assert_int_equal(meminspect_api(), MEMINSPECT_API);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(api__runs_commands_on_a_host, setup, teardown),
		cmocka_unit_test_setup_teardown(api__failures_are_values, setup, teardown),
		cmocka_unit_test(api__lists_commands),
		cmocka_unit_test_setup_teardown(api__completes, setup, teardown),
		cmocka_unit_test(api__says_why_it_does_not_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
