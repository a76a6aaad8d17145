/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <elf.h>

#include "base/pool.h"
#include "fake.h"
#include "symbol/symbols.h"

#define BASE 0x7f0000000000ull
#define PATH "/usr/lib/libthing.so.1"

/* A library of three mappings and 0x800 bytes of bss behind the last page of the file:
       r--p 0x1000  r-xp 0x2000  rw-p 0x1000
   Its head is read from memory, because the fake target has no files. */
struct library {
	struct fake *fake;
	struct insp_pool *pool;
	struct insp_region regions[4];
	size_t n;
	uint8_t *head;
};

static const uint8_t build_id[20] = {0xde, 0xad, 0xbe, 0xef, 5, 6, 7, 8, 9, 10};

static Elf64_Ehdr *ehdr_of(struct library *lib)
{
	return (Elf64_Ehdr *)lib->head;
}

static Elf64_Phdr *segment(struct library *lib, unsigned i)
{
	return (Elf64_Phdr *)(lib->head + sizeof(Elf64_Ehdr)) + i;
}

static void add_region(struct library *lib, uint64_t start, size_t size, uint64_t offset, uint32_t prot,
		       const char *name)
{
	uint8_t *bytes = fake_region(lib->fake, start, size, prot, name);
	struct insp_region *r = &lib->regions[lib->n++];

	*r = *insp_regions_find(fake_regions(lib->fake), start);
	r->offset = offset;
	if (!lib->head)
		lib->head = bytes;
}

static void write_head(struct library *lib)
{
	Elf64_Nhdr note = {.n_namesz = 4, .n_descsz = sizeof(build_id), .n_type = NT_GNU_BUILD_ID};

	*ehdr_of(lib) = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 4,
	};
	*segment(lib, 0) = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 0x900,
					.p_memsz = 0x900, .p_align = 0x1000};
	*segment(lib, 1) = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1000,
					.p_vaddr = 0x1000, .p_filesz = 0x1800, .p_memsz = 0x1800,
					.p_align = 0x1000};
	*segment(lib, 2) = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x3000,
					.p_vaddr = 0x4000, .p_filesz = 0x900, .p_memsz = 0x1100,
					.p_align = 0x1000};
	*segment(lib, 3) = (Elf64_Phdr){.p_type = PT_NOTE, .p_flags = PF_R, .p_offset = 0x400,
					.p_vaddr = 0x400, .p_filesz = sizeof(note) + 4 + 20,
					.p_memsz = sizeof(note) + 4 + 20, .p_align = 4};
	memcpy(lib->head + 0x400, &note, sizeof(note));
	memcpy(lib->head + 0x400 + sizeof(note), "GNU", 4);
	memcpy(lib->head + 0x404 + sizeof(note), build_id, sizeof(build_id));
}

static int setup(void **state)
{
	struct library *lib = calloc(1, sizeof(*lib));

	lib->fake = fake_create();
	lib->pool = insp_pool_create();
	add_region(lib, BASE, 0x1000, 0, INSP_PROT_READ, PATH);
	add_region(lib, BASE + 0x1000, 0x2000, 0x1000, INSP_PROT_READ | INSP_PROT_EXEC, PATH);
	add_region(lib, BASE + 0x4000, 0x1000, 0x3000, INSP_PROT_READ | INSP_PROT_WRITE, PATH);
	write_head(lib);
	*state = lib;
	return 0;
}

static int teardown(void **state)
{
	struct library *lib = *state;

	insp_pool_destroy(lib->pool);
	fake_destroy(lib->fake);
	free(lib);
	return 0;
}

static struct insp_modules collect(struct library *lib)
{
	struct insp_regions regions = {.items = lib->regions, .n = lib->n};
	struct insp_modules modules = {0};
	struct insp_error err = {0};

	/* The fake hands out one inode a name, so the three are one file. */
	for (size_t i = 1; i < lib->n; i++)
		if (!strcmp(lib->regions[i].name, lib->regions[0].name))
			lib->regions[i].inode = lib->regions[0].inode;
	if (insp_modules_collect(fake_target(lib->fake), &regions, lib->pool, &modules, &err))
		fail_msg("%s", err.msg);
	return modules;
}

static void modules__are_found_by_their_heads(void **state)
{
	struct insp_modules modules = collect(*state);
	const struct insp_module *m = modules.items;

	assert_int_equal(modules.n, 1);
	assert_string_equal(m->path, PATH);
	assert_true(m->start == BASE);
	assert_true(m->end == BASE + 0x6000);
	assert_true(m->bias == BASE);
	assert_int_equal(m->machine, EM_X86_64);
	assert_int_equal(m->build_id_bytes, sizeof(build_id));
	assert_memory_equal(m->build_id, build_id, sizeof(build_id));
}

static void modules__of_fixed_address_have_no_bias(void **state)
{
	struct library *lib = *state;
	struct insp_modules modules;

	ehdr_of(lib)->e_type = ET_EXEC;
	for (unsigned i = 0; i < 3; i++)
		segment(lib, i)->p_vaddr += BASE;
	modules = collect(lib);
	assert_int_equal(modules.n, 1);
	assert_int_equal(modules.items[0].bias, 0);
	assert_true(modules.items[0].start == BASE);
	assert_true(modules.items[0].is_main);
}

static void modules__are_not_made_of_data(void **state)
{
	struct library *lib = *state;

	/* An ELF file that somebody reads: one mapping, not to be executed. */
	lib->n = 1;
	assert_int_equal(collect(lib).n, 0);
}

static void modules__need_elf(void **state)
{
	struct library *lib = *state;

	memset(lib->head, 0, 4096);
	assert_int_equal(collect(lib).n, 0);
}

/* No field of a head may lead out of bounds or make a hull that holds what it does not. */
static void modules__survive_hostile_heads(void **state)
{
	static const uint64_t values[] = {0, 1, 7, 0xfff, 0x1000, 0x7fffffff, 0xffffffff,
					  UINT64_C(1) << 40, UINT64_C(1) << 62, INT64_MAX,
					  UINT64_MAX - 4095, UINT64_MAX};
	struct library *lib = *state;

	for (size_t off = 0; off < sizeof(Elf64_Ehdr) + 4 * sizeof(Elf64_Phdr); off += 2)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			struct insp_modules modules;

			write_head(lib);
			memcpy(lib->head + off, &values[v], sizeof(values[v]));
			modules = collect(lib);
			for (size_t i = 0; i < modules.n; i++) {
				assert_true(modules.items[i].start < modules.items[i].end);
				assert_true(modules.items[i].start <= BASE + 0x4000);
			}
		}
	for (size_t off = 0x400; off < 0x430; off++) {
		write_head(lib);
		memset(lib->head + off, 0xff, 4);
		(void)collect(lib);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(modules__are_found_by_their_heads, setup, teardown),
		cmocka_unit_test_setup_teardown(modules__of_fixed_address_have_no_bias, setup, teardown),
		cmocka_unit_test_setup_teardown(modules__are_not_made_of_data, setup, teardown),
		cmocka_unit_test_setup_teardown(modules__need_elf, setup, teardown),
		cmocka_unit_test_setup_teardown(modules__survive_hostile_heads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
