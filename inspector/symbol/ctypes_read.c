/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ctypes_read: one pass over all units of a module's debug info, for what cannot be found from
 * anywhere else: the definitions of types by their names, and the static variables, those of
 * functions included. Bodies of types are not looked at here.
 */
#include <dwarf.h>
#include <gelf.h>
#include <string.h>

#include "base/log.h"
#include "symbol/ctypes_priv.h"

#define CHECK_EVERY	0x3fff
#define DEPTH_MAX	64
#define DEFINITIONS_MAX 4000000
#define VARIABLES_MAX	8000000

struct reader {
	struct insp_ctypes *types;
	const struct insp_regions *regions;
	uint64_t bias, tls_end; /* tls_end: bytes from the start of its TLS to the thread pointer; 0 none */
	bool is_c, interrupted;
};

static bool go_on(struct reader *r)
{
	if ((++r->types->seen & CHECK_EVERY) == 0) {
		insp_progress("reading debug information, entries", r->types->seen, 0);
		r->interrupted = insp_interrupted();
	}
	return !r->interrupted && !r->types->failed;
}

/* The operand of the one operation that an expression begins with; false: it begins with another. */
static bool operand(const Dwarf_Block *b, uint8_t op, uint64_t *ret)
{
	if (b->length < 9 || b->data[0] != op)
		return false;
	memcpy(ret, b->data + 1, 8);
	return true;
}

/* *ret_tls: *ret is an offset in the module's TLS. */
static bool static_address(Dwarf_Attribute *location, uint64_t *ret, bool *ret_tls)
{
	Dwarf_Block block;
	Dwarf_Op *ops;
	size_t n;

	*ret_tls = false;
	if (dwarf_formblock(location, &block))
		return false; /* a list: it moves about */
	if (block.length == 9 && operand(&block, DW_OP_addr, ret))
		return true;
	if (block.length == 10 && operand(&block, DW_OP_const8u, ret) &&
	    (block.data[9] == DW_OP_GNU_push_tls_address || block.data[9] == DW_OP_form_tls_address)) {
		*ret_tls = true;
		return true;
	}
	/* By an index into a table of addresses: split and DWARF 5 units. */
	if (block.length && (block.data[0] == DW_OP_addrx || block.data[0] == DW_OP_GNU_addr_index) &&
	    dwarf_getlocation(location, &ops, &n) == 0 && n == 1) {
		Dwarf_Attribute addr;

		return dwarf_getlocation_attr(location, ops, &addr) == 0 && dwarf_formaddr(&addr, ret) == 0;
	}
	return false;
}

static void variable(struct reader *r, Dwarf_Die *die)
{
	struct insp_ctypes *types = r->types;
	const struct insp_region *region;
	struct insp_variable *v;
	Dwarf_Attribute attr;
	Dwarf_Die type;
	uint64_t addr;
	uint32_t at;
	bool tls;

	if (!dwarf_attr(die, DW_AT_location, &attr) || !static_address(&attr, &addr, &tls) ||
	    !insp_die_type(die, &type) || types->variables.n >= VARIABLES_MAX)
		return;
	if (tls ? !r->tls_end : !addr)
		return; /* at 0: thrown away by the linker */
	if (!tls) {
		addr += r->bias;
		region = insp_regions_find(r->regions, addr);
		if (!region || !(region->prot & INSP_PROT_WRITE))
			return;
	}
	/* A type's number has to wait until all names are known: until then it is the DIE's. */
	at = (uint32_t)types->definitions.n;
	Dwarf_Die *slot = insp_vec_push(&types->definitions);
	v = slot ? insp_vec_push(&types->variables) : NULL;
	if (!v) {
		types->failed = true;
		return;
	}
	*slot = type;
	*v = (struct insp_variable){.name = dwarf_diename(die), .addr = tls ? addr - r->tls_end : addr,
				    .type = at, .thread_local_ = tls};
	if (!v->name) {
		Dwarf_Attribute name;

		v->name = dwarf_attr_integrate(die, DW_AT_name, &name) ? dwarf_formstring(&name) : NULL;
		v->name = v->name ? v->name : "?";
	}
}

static void statics_of_function(struct reader *r, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(parent, &child))
		return;
	do {
		int tag = dwarf_tag(&child);

		if (!go_on(r))
			return;
		if (tag == DW_TAG_variable)
			variable(r, &child);
		else if (tag == DW_TAG_lexical_block)
			statics_of_function(r, &child, depth + 1);
	} while (dwarf_siblingof(&child, &child) == 0);
}

static void definition(struct reader *r, Dwarf_Die *die, uint64_t hash)
{
	struct insp_ctypes *types = r->types;
	Dwarf_Die *slot;

	if (dwarf_hasattr(die, DW_AT_declaration) || types->definitions.n >= DEFINITIONS_MAX ||
	    insp_map_get(&types->by_name, hash) != INSP_MAP_NONE)
		return;
	slot = insp_vec_push(&types->definitions);
	if (!slot || insp_map_set(&types->by_name, hash, (uint32_t)types->definitions.n - 1)) {
		types->failed = true;
		return;
	}
	*slot = *die;
}

static void scope(struct reader *r, Dwarf_Die *parent, uint64_t hash, unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(parent, &child))
		return;
	do {
		const char *name;
		uint64_t inner;

		if (!go_on(r))
			return;
		switch (dwarf_tag(&child)) {
		case DW_TAG_variable:
			variable(r, &child);
			break;
		case DW_TAG_subprogram:
			statics_of_function(r, &child, 0);
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
			name = dwarf_diename(&child);
			scope(r, &child, insp_name_hash(hash, name ? name : "(anonymous namespace)"), depth + 1);
			break;
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
			name = dwarf_diename(&child);
			if (!name)
				break;
			inner = insp_name_hash(hash, name);
			definition(r, &child, inner);
			if (!r->is_c)
				scope(r, &child, inner, depth + 1);
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
}

/* The TLS of the program itself ends at the thread pointer (psABI, variant II). */
static uint64_t tls_end_of(struct insp_symbols_module *m)
{
	GElf_Addr bias;
	Elf *elf = m->module->is_main && m->dwfl ? dwfl_module_getelf(m->dwfl, &bias) : NULL;
	GElf_Phdr p;
	size_t n;

	if (!elf || elf_getphdrnum(elf, &n))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_TLS && p.p_align &&
		    p.p_align <= 4096 && p.p_memsz < UINT32_MAX)
			return (p.p_memsz + p.p_align - 1) / p.p_align * p.p_align;
	return 0;
}

int insp_ctypes_read_module(struct insp_ctypes *types, struct insp_symbols_module *module,
			    struct insp_dwarf *dwarf, struct insp_error *err)
{
	struct reader r = {.types = types, .regions = insp_symbols_regions(types->symbols),
			   .tls_end = tls_end_of(module)};
	Dwarf *handle = insp_dwarf_handle(dwarf, &r.bias);
	Dwarf_CU *cu = NULL;
	Dwarf_Die die, split;
	uint8_t type;

	while (!r.interrupted && !types->failed &&
	       dwarf_get_units(handle, cu, &cu, NULL, &type, &die, &split) == 0) {
		Dwarf_Die *root = type == DW_UT_skeleton && split.addr ? &split : &die;

		r.is_c = insp_die_is_c(root);
		scope(&r, root, 0, 0);
	}
	if (r.interrupted)
		return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
	return types->failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for debug information") : 0;
}
