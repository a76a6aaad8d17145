/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names, lines and members out of this very program's debug information, as from a saved snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <link.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/vec.h"
#include "symbol/symbols.h"

struct inner_of_test {
	char pad[3];
	struct {
		int first, second;
	}; /* members of a struct without a name */
};

typedef struct outer_of_test {
	long before;
	struct inner_of_test inner;
	union {
		int number;
		struct {
			char c, d;
		} pair;
	} either;
} outer_typedef;

/* What is known of it is that it exists. */
struct never_defined;
struct never_defined *pointer_to_it;

volatile outer_typedef outer_variable;
static volatile int static_variable = 3;

struct fixture {
	struct insp_pool *pool;
	struct insp_module module;
	struct insp_modules modules;
	struct insp_regions regions;
	struct insp_symbols *symbols;
	char path[4096];
};

static int first_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct insp_module *m = arg;

	(void)size;
	m->bias = info->dlpi_addr;
	m->start = UINT64_MAX;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (info->dlpi_addr + p->p_vaddr < m->start)
			m->start = (info->dlpi_addr + p->p_vaddr) & ~UINT64_C(4095);
		if (info->dlpi_addr + p->p_vaddr + p->p_memsz > m->end)
			m->end = (info->dlpi_addr + p->p_vaddr + p->p_memsz + 4095) & ~UINT64_C(4095);
	}
	return 1;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct insp_error err = {0};
	ssize_t n = readlink("/proc/self/exe", f->path, sizeof(f->path) - 1);

	if (n <= 0)
		return -1;
	dl_iterate_phdr(first_object, &f->module);
	f->module.path = f->path;
	f->module.inode = 1;
	f->module.is_main = true;
	f->modules = (struct insp_modules){.items = &f->module, .n = 1};
	f->pool = insp_pool_create();
	*state = f;
	return insp_symbols_create(NULL, &f->regions, &f->modules, &f->symbols, &err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	insp_symbols_destroy(f->symbols);
	insp_pool_destroy(f->pool);
	free(f);
	return 0;
}

static uint64_t member(struct fixture *f, const char *type, const char *name)
{
	uint64_t offset;

	if (insp_symbols_member(f->symbols, NULL, type, name, &offset))
		return UINT64_MAX;
	return offset;
}

static void symbols__know_members(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(member(f, "outer_of_test", "before"), 0);
	assert_int_equal(member(f, "outer_of_test", "inner"), offsetof(outer_typedef, inner));
	assert_int_equal(member(f, "struct outer_of_test", "inner"), offsetof(outer_typedef, inner));
	assert_int_equal(member(f, "outer_typedef", "either"), offsetof(outer_typedef, either));
	assert_int_equal(member(f, "outer_of_test", "inner.second"),
			 offsetof(outer_typedef, inner.second));
	assert_int_equal(member(f, "outer_of_test", "either.pair.d"),
			 offsetof(outer_typedef, either.pair.d));
	assert_true(member(f, "outer_of_test", "nothing") == UINT64_MAX);
	assert_true(member(f, "outer_of_test", "inner.nothing") == UINT64_MAX);
	assert_true(member(f, "outer_of_test", "before.first") == UINT64_MAX);
	assert_true(member(f, "no_such_type", "before") == UINT64_MAX);
	assert_true(member(f, "never_defined", "before") == UINT64_MAX);
	assert_true(member(f, "outer_of_test", "") == UINT64_MAX);
}

static void symbols__find_static_variables(void **state)
{
	struct fixture *f = *state;
	uint64_t addr;

	assert_int_equal(insp_symbols_find(f->symbols, NULL, "static_variable", &addr), 0);
	assert_true(addr == (uint64_t)(uintptr_t)&static_variable);
	assert_int_equal(insp_symbols_find(f->symbols, insp_module_basename(&f->module),
					   "outer_variable", &addr), 0);
	assert_true(addr == (uint64_t)(uintptr_t)&outer_variable);
	assert_int_equal(insp_symbols_find(f->symbols, NULL, "no_such_symbol", &addr),
			 INSP_E_NOTFOUND);
	assert_int_equal(insp_symbols_find(f->symbols, "libother.so", "static_variable", &addr),
			 INSP_E_NOTFOUND);
}

static __attribute__((noinline)) int outer_function(int k)
{
	return k * 3 + static_variable;
}

static void symbols__name_addresses(void **state)
{
	struct fixture *f = *state;
	struct insp_symbol s;
	uint64_t addr = (uint64_t)(uintptr_t)outer_function;

	assert_int_equal(insp_symbols_at(f->symbols, addr + 1, &s), 0);
	assert_string_equal(s.name, "outer_function");
	assert_true(s.start == addr);
	assert_true(s.size_bytes > 1);
	assert_ptr_equal(s.module, &f->module);
	assert_int_equal(insp_symbols_at(f->symbols, 4096, &s), INSP_E_NOTFOUND);
	assert_int_equal(insp_symbols_at(f->symbols, f->module.end, &s), INSP_E_NOTFOUND);
	assert_string_equal(insp_symbols_quality(f->symbols, &f->module), "dwarf");
}

static void symbols__turn_a_pc_into_lines(void **state)
{
	struct fixture *f = *state;
	struct insp_frames frames = {0};
	uint64_t addr = (uint64_t)(uintptr_t)outer_function;

	assert_int_equal(outer_function(1), 6);
	assert_int_equal(insp_symbols_frames(f->symbols, f->pool, addr, 0x1000, true, 0, &frames), 0);
	assert_int_equal(frames.n, 1);
	assert_string_equal(frames.items[0].function, "outer_function");
	assert_non_null(strstr(frames.items[0].file, "test_symbols.c"));
	assert_true(frames.items[0].line > 100);
	assert_int_equal(frames.items[0].function_offset, 0);
	assert_true(frames.items[0].module_offset == addr - f->module.bias);
	assert_int_equal(frames.items[0].sp, 0x1000);
	assert_true(frames.items[0].flags & INSP_FRAME_ACTIVATION);
	/* As a return address it belongs to whatever stands in front of it. */
	assert_int_equal(insp_symbols_frames(f->symbols, f->pool, addr, 0, false, 0, &frames), 0);
	assert_string_not_equal(frames.items[1].function ? frames.items[1].function : "",
				"outer_function");
	/* Nowhere: a frame all the same. */
	frames.n = 0;
	assert_int_equal(insp_symbols_frames(f->symbols, f->pool, 0, 0, false, 0, &frames), 0);
	assert_int_equal(frames.n, 1);
	assert_null(frames.items[0].function);
	insp_vec_free(&frames);
}

static void symbols__refuse_another_build(void **state)
{
	struct fixture *f = *state;
	struct insp_symbols *symbols;
	struct insp_symbol s;

	/* The file was replaced since: its build-id is not the one that was seen. */
	memset(f->module.build_id, 0x5a, 20);
	f->module.build_id_bytes = 20;
	assert_int_equal(insp_symbols_create(NULL, &f->regions, &f->modules, &symbols, NULL), 0);
	assert_int_equal(insp_symbols_at(symbols, (uint64_t)(uintptr_t)outer_function, &s),
			 INSP_E_NOTFOUND);
	assert_string_equal(insp_symbols_quality(symbols, &f->module), "none");
	insp_symbols_destroy(symbols);
	f->module.build_id_bytes = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols__know_members),
		cmocka_unit_test(symbols__find_static_variables),
		cmocka_unit_test(symbols__name_addresses),
		cmocka_unit_test(symbols__turn_a_pc_into_lines),
		cmocka_unit_test(symbols__refuse_another_build),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
