/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gdbplugin/context: the texts of several GDB versions, and texts that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <stdio.h>
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
	assert_string_equal(c.exe, "/usr/bin/cat");

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
	assert_string_equal(c.exe, "");
	assert_string_equal(inferiors("* 1 process 5 1 (core) /srv/a b \n").exe, "/srv/a b");
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

static const char *sysroot(const char *text)
{
	static struct gdb_context ctx;
	char *copy = exact(text);

	gdb_context_sysroot(&ctx, copy);
	free(copy);
	return ctx.sysroot;
}

static void test_sysroot(void **state)
{
	(void)state;
	assert_string_equal(sysroot("The current system root is \"/srv/root\".\n"), "/srv/root");
	assert_string_equal(sysroot("The current system root is \"target:/srv/\".\n"), "/srv/");
	assert_string_equal(sysroot("The current system root is \"target:\".\n"), "");
	assert_string_equal(sysroot("The current system root is \"\".\nThe search path for loading "
				    "non-absolute "
				    "shared library symbol files is /srv/v1.2:/more.\n"),
			    "/srv/v1.2");
	assert_string_equal(
		sysroot("The current system root is \"/a\".\nThe search path for loading "
			"non-absolute shared library symbol files is /b.\n"),
		"/a");
	assert_string_equal(sysroot("The search path for loading non-absolute shared library "
				    "symbol files is .\n"),
			    "");
	assert_string_equal(sysroot("The current system root is \"/srv"), "");
	assert_string_equal(sysroot("The current system root is \""), "");
	assert_string_equal(sysroot(""), "");
}

struct seen {
	size_t n;
	struct gdb_thread last;
};

static void add(void *to, const struct gdb_thread *thread)
{
	struct seen *seen = to;

	assert_true(thread->number > 0);
	seen->n++;
	seen->last = *thread;
}

static struct seen threads(const char *text)
{
	struct seen seen = {0};
	char *copy = exact(text);

	gdb_context_threads(copy, add, &seen);
	free(copy);
	return seen;
}

static void is_thread(const char *text, int inferior, int number, int tid, const char *name)
{
	struct seen s = threads(text);

	assert_int_equal(s.n, 1);
	assert_int_equal(s.last.inferior, inferior);
	assert_int_equal(s.last.number, number);
	assert_int_equal(s.last.tid, tid);
	assert_string_equal(s.last.name, name);
}

static void test_threads(void **state)
{
	(void)state;
	is_thread("\nThread 3 (Thread 2288.2291 \"worker\"):\n", 0, 3, 2291, "worker");
	is_thread("Thread 2.13 (Thread 2288.2291):", 2, 13, 2291, "");
	is_thread("Thread 1.3 (LWP 2291 \"a b\"):\n", 1, 3, 2291, "a b");
	is_thread("Thread 1 (Thread 0x7f68abc26740 (LWP 30295) \"it's \"quoted\"\"):", 0, 1, 30295,
		  "it's \"quoted\"");
	is_thread("Thread 1 (process 77):\n", 0, 1, 77, "");
	is_thread("Thread 1 (Thread <main>):\n", 0, 1, 0, "");
	is_thread("Thread 1 (LWP 5 \"a name that is longer than it may be\"):\n", 0, 1, 5, "");
	assert_int_equal(
		threads("\nThread 2 (LWP 8):\nSelected thread is running.\n\nThread 1 (LWP 7):\n")
			.n,
		2);
}

static void test_no_threads(void **state)
{
	static const char *const texts[] = {"",
					    "\n",
					    "Thread ",
					    "Thread (",
					    "Thread 1",
					    "Thread x (LWP 1):",
					    "Thread -1 (LWP 1):",
					    "thread 1 (LWP 1):",
					    "Thread 1. (LWP 1):",
					    "No threads.\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(threads(texts[i]).n, 0);
}

static void plain(const char *from, const char *want)
{
	char text[128];

	snprintf(text, sizeof(text), "%s", from);
	assert_int_equal(gdb_context_plain(text), strlen(want));
	assert_string_equal(text, want);
}

static void test_records_of_the_machine_interface(void **state)
{
	(void)state;
	plain("", "");
	plain("--min\n1\n", "--min\n1\n");
	plain("a ~\"b\"\n\\n", "a ~\"b\"\n\\n");
	plain("~\"--bogus\\n\"\n", "--bogus\n");
	plain("~\"a\\nb \"\n~\"\\\"c\\\" \\\\d \\303\\274\\n\"\n", "a\nb \"c\" \\d \303\274\n");
	plain("~\"x\\n\"\nplain\n", "x\nplain\n");
	/* cut short */
	plain("~", "~");
	plain("~\"", "");
	plain("~\"a\\", "a\\");
	plain("~\"a\\30", "a\030");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inferiors),  cmocka_unit_test(test_no_inferior),
		cmocka_unit_test(test_files),	   cmocka_unit_test(test_language),
		cmocka_unit_test(test_sysroot),	   cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_threads), cmocka_unit_test(test_records_of_the_machine_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
