/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unwinding of registers and stack bytes that make no sense, with this program's own tables. */
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
#include "stack/unwind.h"
#include "symbol/symbols.h"

#define STACK UINT64_C(0x7ffd00000000)
#define STACK_BYTES 16384

struct fixture {
	struct insp_pool *pool;
	struct insp_module module;
	struct insp_modules modules;
	struct insp_region regions[8];
	struct insp_regions all;
	struct insp_symbols *symbols;
	struct insp_thread thread;
	struct insp_threads threads;
	uint64_t stack[STACK_BYTES / 8];
	char path[4096];
	uint64_t code_start, code_end;
};

static int first_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct fixture *f = arg;

	(void)size;
	f->module.bias = info->dlpi_addr;
	for (unsigned i = 0; i < info->dlpi_phnum && f->all.n < 7; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		struct insp_region *r = &f->regions[f->all.n];

		if (p->p_type != PT_LOAD)
			continue;
		*r = (struct insp_region){
			.start = (info->dlpi_addr + p->p_vaddr) & ~UINT64_C(4095),
			.end = (info->dlpi_addr + p->p_vaddr + p->p_memsz + 4095) & ~UINT64_C(4095),
			.offset = p->p_offset & ~UINT64_C(4095),
			.inode = 1,
			.prot = INSP_PROT_READ | (p->p_flags & PF_X ? INSP_PROT_EXEC : 0) |
				(p->p_flags & PF_W ? INSP_PROT_WRITE : 0),
			.name = f->path,
		};
		if (!f->all.n)
			f->module.start = r->start;
		f->module.end = r->end;
		if (p->p_flags & PF_X) {
			f->code_start = info->dlpi_addr + p->p_vaddr;
			f->code_end = f->code_start + p->p_memsz;
		}
		f->all.n++;
	}
	return 1;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (readlink("/proc/self/exe", f->path, sizeof(f->path) - 1) <= 0)
		return -1;
	f->all.items = f->regions;
	dl_iterate_phdr(first_object, f);
	f->regions[f->all.n++] = (struct insp_region){
		.start = STACK,
		.end = STACK + STACK_BYTES,
		.prot = INSP_PROT_READ | INSP_PROT_WRITE,
		.flags = INSP_REGION_STACK,
		.name = "[stack]",
	};
	f->module.path = f->path;
	f->module.inode = 1;
	f->module.is_main = true;
	f->modules = (struct insp_modules){.items = &f->module, .n = 1};
	f->threads = (struct insp_threads){.items = &f->thread, .n = 1};
	f->thread = (struct insp_thread){
		.tid = 7,
		.ns_tid = 7,
		.have_regs = true,
		.stack_start = STACK,
		.stack_end = STACK + STACK_BYTES,
		.stack_addr = STACK,
		.stack_bytes = (uint8_t *)f->stack,
		.stack_len = STACK_BYTES,
	};
	f->pool = insp_pool_create();
	*state = f;
	return insp_symbols_create(NULL, &f->all, &f->modules, &f->symbols, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	insp_symbols_destroy(f->symbols);
	insp_pool_destroy(f->pool);
	free(f);
	return 0;
}

static const struct insp_frames *unwind(struct fixture *f, const char *unwinder)
{
	const struct insp_unwind_env env = {
		.symbols = f->symbols,
		.regions = &f->all,
		.threads = &f->threads,
		.pool = f->pool,
	};
	struct insp_error err = {0};

	if (insp_unwind_all(&env, insp_unwinder_find(unwinder), &err))
		fail_msg("%s", err.msg);
	return &f->thread.frames;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Numbers, addresses of code, addresses on the stack: what a broken stack is made of. */
static uint64_t any_word(const struct fixture *f, uint64_t *seed)
{
	uint64_t r = next_random(seed);

	switch (r % 5) {
	case 0:
		return r;
	case 1:
		return 0;
	case 2:
		return STACK + (r >> 8) % STACK_BYTES;
	case 3:
		return STACK + (r >> 8) % STACK_BYTES / 16 * 16;
	default:
		return f->code_start + (r >> 8) % (f->code_end - f->code_start);
	}
}

static void check_hostile(struct fixture *f, const char *unwinder)
{
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned round = 0; round < 300; round++) {
		const struct insp_frames *frames;
		size_t n = 0;

		for (unsigned i = 0; i < STACK_BYTES / 8; i++)
			f->stack[i] = any_word(f, &seed);
		for (unsigned i = 0; i < INSP_N_REGS; i++)
			f->thread.regs[i] = any_word(f, &seed);
		if (round % 4)
			f->thread.regs[INSP_REG_RSP] = STACK + next_random(&seed) % STACK_BYTES;
		frames = unwind(f, unwinder);
		for (size_t i = 0; i < frames->n; i++)
			n += !(frames->items[i].flags & INSP_FRAME_INLINED);
		assert_true(n >= 1 && n <= INSP_FRAMES_MAX);
		/* Where it stands is known, whatever else is. */
		assert_true(frames->items[0].pc == f->thread.regs[INSP_REG_RIP]);
	}
}

static void unwind__survives_hostile_stacks(void **state)
{
	check_hostile(*state, "libdw");
	check_hostile(*state, "libunwind");
}

static void unwind__says_why_it_ends(void **state)
{
	struct fixture *f = *state;
	const struct insp_frames *frames;

	/* Code that nobody knows, and a stack without a single address. */
	memset(f->stack, 0, sizeof(f->stack));
	memset(f->thread.regs, 0, sizeof(f->thread.regs));
	f->thread.regs[INSP_REG_RIP] = 0x1000;
	f->thread.regs[INSP_REG_RSP] = STACK + 64;
	frames = unwind(f, NULL);
	assert_int_equal(frames->n, 1);
	assert_non_null(frames->end_reason);
	/* No registers: no frames, and no error. */
	f->thread.have_regs = false;
	frames = unwind(f, NULL);
	f->thread.have_regs = true;
	assert_int_equal(frames->n, 0);
	assert_non_null(frames->end_reason);
	/* Not our machine. */
	f->module.machine = 3;
	frames = unwind(f, NULL);
	f->module.machine = 0;
	assert_int_equal(frames->n, 0);
	assert_non_null(strstr(frames->end_reason, "x86-64"));
}

static void unwind__follows_frame_pointers_of_unknown_code(void **state)
{
	struct fixture *f = *state;
	const struct insp_frames *frames;
	uint64_t jit = UINT64_C(0x100000);
	struct insp_region *r = &f->regions[f->all.n];

	/* An executable mapping without a module, below all others; nobody can read it. */
	memmove(f->regions + 1, f->regions, f->all.n++ * sizeof(*r));
	f->regions[0] = (struct insp_region){
		.start = jit, .end = jit + 0x1000, .prot = INSP_PROT_EXEC | INSP_PROT_READ, .name = ""};
	memset(f->stack, 0, sizeof(f->stack));
	memset(f->thread.regs, 0, sizeof(f->thread.regs));
	f->thread.regs[INSP_REG_RIP] = jit + 0x10;
	f->thread.regs[INSP_REG_RSP] = STACK + 0x100;
	f->thread.regs[INSP_REG_RBP] = STACK + 0x140;
	f->stack[0x140 / 8] = STACK + 0x180;
	f->stack[0x148 / 8] = jit + 0x20;
	f->stack[0x180 / 8] = STACK + 0x1c0;
	f->stack[0x188 / 8] = jit + 0x30;
	frames = unwind(f, NULL);
	assert_true(frames->n >= 3);
	assert_true(frames->items[1].pc == jit + 0x20);
	assert_true(frames->items[2].pc == jit + 0x30);
	assert_int_equal(frames->items[2].flags & INSP_FRAME_GUESSED, 0);
	assert_true(frames->items[2].sp == STACK + 0x190);
	memmove(f->regions, f->regions + 1, --f->all.n * sizeof(*r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unwind__survives_hostile_stacks),
		cmocka_unit_test(unwind__says_why_it_ends),
		cmocka_unit_test(unwind__follows_frame_pointers_of_unknown_code),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
