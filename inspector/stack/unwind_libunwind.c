/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * unwind_libunwind: libunwind over the same copied bytes: a second opinion.
 *
 * libunwind's own ptrace accessors must be called by the thread that traces, while the target
 * stands still; neither is so here. Its generic part takes accessors of ours instead: registers
 * from the thread, memory from bytes.h, and for each pc the place of the sorted table in the
 * module's .eh_frame_hdr, which libunwind then searches by itself through the memory accessor:
 *
 *     0        1          2          3          4             8          12
 *     version  frame enc  count enc  table enc  eh_frame ptr  fde count  (start, fde) (start, fde) ...
 *     1        1b         03         3b         pc + int32    uint32     2 * int32 from byte 0
 *
 * Linkers write these encodings and no others. For a module without such a table, symbol/ makes
 * the pairs from .eh_frame, and the accessor shows them at an address that no target has. One with
 * .debug_frame only is stepped over by frame pointer or by scanning.
 */
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

#include "stack/walk.h"

#define ENC_UDATA4	   0x03
#define ENC_DATAREL_SDATA4 0x3b
#define HEADER_BYTES	   12
#define ENTRY_BYTES	   8
/* Of the kernel, so nothing of a target lies there: where our own tables seem to be. */
#define PAIRS_ADDR	   UINT64_C(0xffff900000000000)

/* Exported by libunwind for remote unwinders, but in no header. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *info,
				       unw_proc_info_t *ret, int need_unwind_info, void *arg);

_Static_assert(sizeof(struct insp_fde) == ENTRY_BYTES, "shown to libunwind as it is");

struct state {
	const struct insp_unwind_env *env;
	unw_addr_space_t as;
	struct insp_walk walk;
	bool no_table; /* for the pc that was asked for last */
	const struct insp_fde *pairs; /* seen at PAIRS_ADDR by libunwind */
	size_t npairs;
};

static bool linker_table(struct insp_symbols *symbols, const struct insp_unwind_table *table,
			 unw_dyn_info_t *ret)
{
	uint8_t head[HEADER_BYTES];
	uint32_t count;

	if (table->size_bytes < HEADER_BYTES ||
	    insp_symbols_read(symbols, table->eh_frame_hdr, head, sizeof(head)))
		return false;
	memcpy(&count, head + 8, sizeof(count));
	if (head[0] != 1 || head[2] != ENC_UDATA4 || head[3] != ENC_DATAREL_SDATA4 || !count ||
	    count > (table->size_bytes - HEADER_BYTES) / ENTRY_BYTES)
		return false;
	ret->u.rti.segbase = table->eh_frame_hdr;
	ret->u.rti.table_data = table->eh_frame_hdr + HEADER_BYTES;
	ret->u.rti.table_len = (unw_word_t)count * ENTRY_BYTES / sizeof(unw_word_t);
	return true;
}

static int search_table(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *ret,
			int need_unwind_info, struct state *state)
{
	struct insp_symbols *symbols = state->env->symbols;
	const struct insp_module *module = insp_modules_find(insp_symbols_modules(symbols), ip);
	struct insp_unwind_table table;
	unw_dyn_info_t info;

	if (!module || insp_symbols_unwind_table(symbols, module, &table))
		return -UNW_ENOINFO;
	memset(&info, 0, sizeof(info));
	info.format = UNW_INFO_FORMAT_REMOTE_TABLE;
	info.start_ip = table.start;
	info.end_ip = table.end;
	if (table.npairs) {
		state->pairs = table.pairs;
		state->npairs = table.npairs;
		info.u.rti.segbase = table.base;
		info.u.rti.table_data = PAIRS_ADDR;
		info.u.rti.table_len = table.npairs;
	} else if (!linker_table(symbols, &table, &info)) {
		return -UNW_ENOINFO;
	}
	return UNW_OBJ(dwarf_search_unwind_table)(as, ip, &info, ret, need_unwind_info, state);
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *ret,
			  int need_unwind_info, void *arg)
{
	struct state *state = arg;
	int rc = search_table(as, ip, ret, need_unwind_info, state);

	state->no_table = rc < 0;
	return rc;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *arg)
{
	(void)as, (void)info, (void)arg;
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *ret, void *arg)
{
	(void)as, (void)ret, (void)arg;
	return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	struct state *state = arg;
	uint64_t pair = (addr - PAIRS_ADDR) / ENTRY_BYTES;

	(void)as;
	if (!write && addr >= PAIRS_ADDR && pair < state->npairs && !(addr % ENTRY_BYTES)) {
		memcpy(value, &state->pairs[pair], sizeof(*value));
		return 0;
	}
	if (write || !insp_stack_read(&state->walk.stack, addr, value, sizeof(*value)))
		return -UNW_EINVAL;
	return 0;
}

/* libunwind numbers the registers of x86-64 as DWARF does. */
static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value, int write, void *arg)
{
	const struct insp_walk *walk = &((struct state *)arg)->walk;

	(void)as;
	if (write || reg < 0 || reg >= INSP_N_REGS)
		return -UNW_EBADREG;
	*value = walk->known & 1u << reg ? walk->regs[reg] : 0;
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value, int write,
			void *arg)
{
	(void)as, (void)reg, (void)value, (void)write, (void)arg;
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as, (void)cursor, (void)arg;
	return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t addr, char *buf, size_t size_bytes,
			 unw_word_t *ret, void *arg)
{
	(void)as, (void)addr, (void)buf, (void)size_bytes, (void)ret, (void)arg;
	return -UNW_ENOINFO;
}

static int libunwind_open(const struct insp_unwind_env *env, void **ret, struct insp_error *err)
{
	static unw_accessors_t accessors = {
		.find_proc_info = find_proc_info,
		.put_unwind_info = put_unwind_info,
		.get_dyn_info_list_addr = get_dyn_info_list_addr,
		.access_mem = access_mem,
		.access_reg = access_reg,
		.access_fpreg = access_fpreg,
		.resume = resume,
		.get_proc_name = get_proc_name,
	};
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	state->env = env;
	state->as = unw_create_addr_space(&accessors, 0);
	if (!state->as) {
		free(state);
		return insp_fail(err, INSP_E_UNSUPPORTED, "libunwind makes no address space");
	}
	/* Without it every frame is searched for again: 60 times slower. */
	(void)unw_set_caching_policy(state->as, UNW_CACHE_GLOBAL);
	*ret = state;
	return 0;
}

static void libunwind_close(void *arg)
{
	struct state *state = arg;

	if (!state)
		return;
	unw_destroy_addr_space(state->as);
	free(state);
}

static bool walk_leg(void *arg, struct insp_walk *walk)
{
	struct state *state = arg;
	unw_cursor_t cursor;
	int rc;

	if (unw_init_remote(&cursor, state->as, state) < 0)
		return false;
	do {
		struct insp_cursor at;

		if (unw_get_reg(&cursor, UNW_REG_IP, &at.pc) < 0 ||
		    unw_get_reg(&cursor, UNW_REG_SP, &at.sp) < 0)
			return false;
		if (unw_get_reg(&cursor, UNW_X86_64_RBP, &at.bp) < 0)
			at.bp = 0;
		if (!insp_walk_frame(walk, &at))
			return false;
		state->no_table = false;
		rc = unw_step(&cursor);
		/* Then it has followed whatever is in rbp; insp_stack_step looks closer. */
		if (state->no_table)
			return false;
	} while (rc > 0);
	return rc == 0;
}

static int libunwind_unwind(void *arg, const struct insp_thread *thread,
			    struct insp_frames *frames, struct insp_error *err)
{
	struct state *state = arg;

	return insp_walk_run(&state->walk, state->env, thread, walk_leg, state, frames, err);
}

const struct insp_unwinder insp_unwinder_libunwind = {
	.name = "libunwind",
	.title = "libunwind",
	.open = libunwind_open,
	.unwind = libunwind_unwind,
	.close = libunwind_close,
};
