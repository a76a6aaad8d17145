/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gdbplugin/context: the texts of several GDB versions, and texts that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../gdbplugin/context.h"

/* In memory of exactly its size, so that a step over the end is seen. */
static char *exact(const char *text)
{
	char *copy = malloc(strlen(text) + 1);

	assert_non_null(copy);
	return strcpy(copy, text);
}

static struct gdb_context inferiors(const char *text)
{
	struct gdb_context ctx = {.kind = GDB_CORE, .pid = 7};
	char *copy = exact(text);

	gdb_context_inferiors(&ctx, copy);
	free(copy);
	return ctx;
}

static void test_inferiors(void **state)
{
	struct gdb_context c;

	(void)state;
	c = inferiors("  Num  Description       Connection           Executable        \n"
		      "* 1    process 4711      1 (native)           /usr/bin/cat \n");
	assert_int_equal(c.kind, GDB_NATIVE);
	assert_int_equal(c.inferior, 1);
	assert_int_equal(c.pid, 4711);
	assert_string_equal(c.name, "cat");

	c = inferiors("  Num  Description       Connection           Executable        \n"
		      "  1    process 4711      1 (native)           /usr/bin/cat \n"
		      "* 12   process 99        2 (core)             /srv/a-very-long-name-indeed\n");
	assert_int_equal(c.kind, GDB_CORE);
	assert_int_equal(c.inferior, 12);
	assert_int_equal(c.pid, 99);
	assert_int_equal(strlen(c.name), 15);

	c = inferiors("* 1    process 5 1 (remote localhost:1234) target:/usr/bin/cat\n");
	assert_int_equal(c.kind, GDB_REMOTE);
	assert_int_equal(c.pid, 5);
	c = inferiors("* 1    Remote target 1 (extended-remote :1) \n");
	assert_int_equal(c.kind, GDB_REMOTE);
	assert_int_equal(c.pid, 0);
	c = inferiors("* 1    Remote target 1 (remote /dev/ttyS0) \n");
	assert_string_equal(c.name, "");
	/* without the column of connections */
	assert_int_equal(inferiors("* 1    process 5   /usr/bin/cat\n").kind, GDB_NATIVE);
}

static void test_no_inferior(void **state)
{
	static const char *const texts[] = {
		"", "\n\n", "No inferiors.\n", "* 1    <null>   \n", "* 1 <null> /usr/bin/cat\n",
		"  1    process 4711      1 (native)\n", "*", "* ", "*\n*\n", "* process", "process 1 (native)",
		"* (", "* 1 (nat", "* 99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct gdb_context c = inferiors(texts[i]);

		assert_int_equal(c.pid, 0);
		assert_true(c.kind == GDB_NONE || strstr(texts[i], "process"));
	}
	assert_int_equal(inferiors("* 1 process 99999999999 1 (native)\n").pid, 0);
	assert_int_equal(inferiors("* 1 process -1 1 (native)\n").pid, 0);
}

static void files(struct gdb_context *ctx, const char *text)
{
	char *copy = exact(text);

	gdb_context_files(ctx, copy);
	free(copy);
}

static void test_files(void **state)
{
	static struct gdb_context c;
	static char text[9000];

	(void)state;
	files(&c, "Local core dump file:\n\t`/tmp/core.1', file type elf64-x86-64.\n");
	assert_string_equal(c.core, "/tmp/core.1");
	files(&c, "Local core dump file:\n\t'/tmp/it's.core', file type elf64-x86-64.\n");
	assert_string_equal(c.core, "/tmp/it's.core");
	files(&c, "Local exec file:\n\t`/bin/cat', file type elf64-x86-64.\n");
	assert_string_equal(c.core, "");
	files(&c, "Local core dump file:\n\t`/tmp/core.1");
	assert_string_equal(c.core, "");
	files(&c, "Local core dump file:");
	assert_string_equal(c.core, "");
	files(&c, "");
	assert_string_equal(c.core, "");
	memset(text, 'a', sizeof(text));
	memcpy(text, "Local core dump file: `", 23);
	memcpy(text + sizeof(text) - 14, "', file type x", 14);
	text[sizeof(text) - 1] = '\0';
	files(&c, text);
	assert_string_equal(c.core, "");
}

static enum gdb_language language(const char *text)
{
	struct gdb_context ctx = {.language = GDB_LANGUAGE_UNKNOWN};
	char *copy = exact(text);

	gdb_context_language(&ctx, copy);
	free(copy);
	return ctx.language;
}

static void test_language(void **state)
{
	(void)state;
	assert_int_equal(language("The current source language is \"auto; currently c\".\n"), GDB_LANGUAGE_C);
	assert_int_equal(language("The current source language is \"auto; currently c++\".\n"), GDB_LANGUAGE_C);
	assert_int_equal(language("The current source language is \"c\".\n"), GDB_LANGUAGE_C);
	assert_int_equal(language("The current source language is \"rust\".\n"
				  "Warning: the current language does not match this frame.\n"),
			 GDB_LANGUAGE_OTHER);
	assert_int_equal(language("The current source language is \"auto; currently go\"."), GDB_LANGUAGE_OTHER);
	assert_int_equal(language("currently "), GDB_LANGUAGE_OTHER);
	assert_int_equal(language("\""), GDB_LANGUAGE_OTHER);
	assert_int_equal(language(""), GDB_LANGUAGE_OTHER);
}

struct seen {
	size_t n;
	struct meminspect_region last;
	char name[64];
};

static void add(void *to, const struct meminspect_region *region)
{
	struct seen *seen = to;

	assert_true(region->start < region->end);
	seen->n++;
	seen->last = *region;
	strncpy(seen->name, region->name ? region->name : "", sizeof(seen->name) - 1);
}

static struct seen mappings(const char *text)
{
	struct seen seen = {0};
	char *copy = exact(text);

	gdb_context_mappings(copy, add, &seen);
	free(copy);
	return seen;
}

static void test_mappings(void **state)
{
	struct seen s;

	(void)state;
	s = mappings("process 4711\nMapped address spaces:\n\n"
		     "          Start Addr           End Addr       Size     Offset  Perms  objfile\n"
		     "      0x555555554000     0x555555556000     0x2000        0x0  r--p   /usr/bin/cat\n"
		     "      0x7ffff7fbd000     0x7ffff7fc1000     0x4000     0x1000  rw-s   /a name (deleted)\n");
	assert_int_equal(s.n, 2);
	assert_int_equal(s.last.start, 0x7ffff7fbd000);
	assert_int_equal(s.last.end, 0x7ffff7fc1000);
	assert_int_equal(s.last.offset, 0x1000);
	assert_int_equal(s.last.prot, MEMINSPECT_READ | MEMINSPECT_WRITE | MEMINSPECT_SHARED);
	assert_string_equal(s.name, "/a name (deleted)");
	/* before GDB 12: no permissions */
	s = mappings("      0x555555554000     0x555555556000     0x2000        0x0 /usr/bin/cat\n"
		     "      0x555555556000     0x555555558000     0x2000        0x0 \n");
	assert_int_equal(s.n, 2);
	assert_int_equal(s.last.prot, MEMINSPECT_READ | MEMINSPECT_WRITE);
	assert_string_equal(s.name, "");
	/* GDB 16 and later: columns as wide as they need to be */
	s = mappings("Start Addr         End Addr           Size               Offset             Perms File \n"
		     "0x0000555555554000 0x0000555555556000 0x2000             0x0                ---p  \n");
	assert_int_equal(s.n, 1);
	assert_int_equal(s.last.prot, 0);
	assert_string_equal(s.name, "");
	assert_int_equal(s.last.start, 0x555555554000);
}

static void test_odd_mappings(void **state)
{
	static const char *const texts[] = {
		"", "\n", "0x1", "0x1 0x2", "0x1 0x2 0x3", "0x2000 0x1000 0x1000 0x0 rw-p /x\n",
		"0x1000 0x1000 0x0 0x0 rw-p\n", "start end size offset perms\n",
		"0x10000000000000000 0x20000000000000000 0x1 0x0 rw-p\n", "0x1000 -1 0x1 0x0\n", " \t \n",
		"unable to open /proc file '/proc/1/maps'\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(mappings(texts[i]).n, 0);
	assert_int_equal(mappings("0x1000 0x2000 0x1000 0x0").n, 1);
	assert_int_equal(mappings("0x1000 0x2000 0x1000 0x0 rw").n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inferiors),
		cmocka_unit_test(test_no_inferior),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_odd_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
