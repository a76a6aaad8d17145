/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * scopes: from an address to the functions it lies in, inlined ones included, with lines.
 *
 *     address -> compilation unit    .debug_aranges; where compilers leave it out (clang, rustc),
 *                                    a table made once of the ranges of all units
 *             -> function            a table for each unit that was asked for
 *             -> inlined calls       down the tree of that function only
 *             -> file and line       the unit's line table
 *
 * libdw's dwarf_getscopes walks a unit from its start each time; the tables here make the second
 * question in the same unit a binary search.
 *
 * What it hands out:   calls[0]  innermost inlined function, line of the address itself
 *                      calls[1]  what it was inlined into, line of the inlined call
 *                      calls[n-1] the function that has a frame
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/ctypes_priv.h"

#define DEPTH_MAX 64		 /* of blocks inside a function, namespaces around it */
#define CHILDREN_MAX 4000000	 /* of one unit: against loops in broken DWARF */

struct range {
	uint64_t start, end; /* as in the file */
	Dwarf_Die die;
};

struct ranges {
	struct range *items;
	size_t n, cap;
};

/* A unit that was asked for. */
struct unit {
	Dwarf_Die die;
	Dwarf_Die root; /* where the functions are: of a split unit, the part in the .dwo */
	struct ranges functions;
};

struct insp_dwarf {
	Dwarf *dwarf;
	uint64_t bias;
	struct ranges units; /* of all, made when .debug_aranges does not know an address */
	bool units_made;
	INSP_VEC(struct unit *) asked;
	struct insp_types *types;
};

struct insp_dwarf *insp_dwarf_create(Dwarf *dwarf, uint64_t bias)
{
	struct insp_dwarf *dw = calloc(1, sizeof(*dw));

	if (!dw)
		return NULL;
	dw->dwarf = dwarf;
	dw->bias = bias;
	return dw;
}

void insp_dwarf_destroy(struct insp_dwarf *dw)
{
	if (!dw)
		return;
	insp_vec_each(&dw->asked, it) {
		insp_vec_free(&(*it)->functions);
		free(*it);
	}
	insp_vec_free(&dw->asked);
	insp_vec_free(&dw->units);
	insp_types_destroy(dw->types);
	free(dw);
}

struct insp_types *insp_dwarf_types(struct insp_dwarf *dw, uint64_t malloc_addr)
{
	if (!dw->types) {
		dw->types = insp_types_create(dw->dwarf);
		if (dw->types && malloc_addr)
			insp_types_hint(dw->types, malloc_addr - dw->bias);
	}
	return dw->types;
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void ranges_sort(struct ranges *ranges)
{
	if (ranges->n)
		qsort(ranges->items, ranges->n, sizeof(*ranges->items), by_start);
}

static const struct range *ranges_find(const struct ranges *ranges, uint64_t addr)
{
	size_t lo = 0, hi = ranges->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ranges->items[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t i = lo; i-- > 0 && lo - i <= 8;)
		if (addr < ranges->items[i].end)
			return &ranges->items[i];
	return NULL;
}

/* Adds each stretch of code of die. Those at 0 are functions that the linker threw away. */
static void ranges_add(struct ranges *ranges, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		struct range *r;

		if (!start || start >= end)
			continue;
		r = insp_vec_push(ranges);
		if (!r)
			return;
		*r = (struct range){start, end, *die};
	}
}

static void units_make(struct insp_dwarf *dw)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	uint8_t type;

	dw->units_made = true;
	while (dwarf_get_units(dw->dwarf, cu, &cu, NULL, &type, &die, NULL) == 0)
		if (type == DW_UT_compile || type == DW_UT_skeleton)
			ranges_add(&dw->units, &die);
	ranges_sort(&dw->units);
}

static bool find_unit_die(struct insp_dwarf *dw, uint64_t addr, Dwarf_Die *ret)
{
	const struct range *r;

	if (dwarf_addrdie(dw->dwarf, addr, ret))
		return true;
	if (!dw->units_made)
		units_make(dw);
	r = ranges_find(&dw->units, addr);
	if (r)
		*ret = r->die;
	return r;
}

/* Functions may lie inside of namespaces, classes and modules, never inside of functions. */
static void functions_add(struct ranges *functions, Dwarf_Die *parent, unsigned depth,
			  unsigned *budget)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(parent, &child))
		return;
	do {
		if (!*budget)
			return;
		--*budget;
		switch (dwarf_tag(&child)) {
		case DW_TAG_subprogram:
			ranges_add(functions, &child);
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_class_type:
		case DW_TAG_structure_type:
			functions_add(functions, &child, depth + 1, budget);
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
}

static struct unit *find_unit(struct insp_dwarf *dw, uint64_t addr)
{
	unsigned budget = CHILDREN_MAX;
	Dwarf_Die die, split = {0};
	struct unit *unit, **slot;
	uint8_t type = 0;

	if (!find_unit_die(dw, addr, &die))
		return NULL;
	insp_vec_each(&dw->asked, it)
		if ((*it)->die.addr == die.addr)
			return *it;
	unit = calloc(1, sizeof(*unit));
	slot = unit ? insp_vec_push(&dw->asked) : NULL;
	if (!slot) {
		free(unit);
		return NULL;
	}
	*slot = unit;
	unit->die = unit->root = die;
	if (dwarf_cu_info(die.cu, NULL, &type, NULL, &split, NULL, NULL, NULL) == 0 &&
	    type == DW_UT_skeleton && split.addr)
		unit->root = split;
	functions_add(&unit->functions, &unit->root, 0, &budget);
	ranges_sort(&unit->functions);
	return unit;
}

/* The inlined calls in function that hold addr, outermost first. Returns their number. */
static size_t inlined_path(Dwarf_Die *function, uint64_t addr, Dwarf_Die path[INSP_CALLS_MAX])
{
	Dwarf_Die at = *function, child;
	size_t n = 0;

	for (unsigned depth = 0; depth < DEPTH_MAX && n < INSP_CALLS_MAX - 1; depth++) {
		unsigned budget = CHILDREN_MAX;
		bool found = false;

		if (dwarf_child(&at, &child))
			return n;
		do {
			int tag = dwarf_tag(&child);

			if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) ||
			    dwarf_haspc(&child, addr) <= 0)
				continue;
			if (tag == DW_TAG_inlined_subroutine)
				path[n++] = child;
			found = true;
			break;
		} while (--budget && dwarf_siblingof(&child, &child) == 0);
		if (!found)
			return n;
		at = child;
	}
	return n;
}

static const char *function_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name ? name : dwarf_diename(die);
}

static uint32_t attr_number(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &value) || value > UINT32_MAX)
		return 0;
	return (uint32_t)value;
}

/* Where the inlined function that die stands for was called. */
static void call_site(const struct unit *unit, Dwarf_Die *die, struct insp_call *call)
{
	Dwarf_Die root = unit->root;
	Dwarf_Files *files;
	size_t n;
	uint32_t file = attr_number(die, DW_AT_call_file);

	call->file = NULL;
	call->line = attr_number(die, DW_AT_call_line);
	if (dwarf_getsrcfiles(&root, &files, &n) == 0 && file < n)
		call->file = dwarf_filesrc(files, file, NULL, NULL);
}

static void own_line(const struct unit *unit, uint64_t addr, struct insp_call *call)
{
	Dwarf_Die die = unit->die;
	Dwarf_Line *line = dwarf_getsrc_die(&die, addr);
	int n;

	if (!line)
		return;
	call->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &n) == 0 && n > 0)
		call->line = (uint32_t)n;
}

size_t insp_dwarf_calls(struct insp_dwarf *dw, uint64_t addr, struct insp_call calls[INSP_CALLS_MAX])
{
	Dwarf_Die path[INSP_CALLS_MAX], function;
	const struct range *r;
	struct unit *unit;
	size_t n;

	addr -= dw->bias;
	unit = find_unit(dw, addr);
	if (!unit)
		return 0;
	memset(calls, 0, sizeof(*calls) * INSP_CALLS_MAX);
	own_line(unit, addr, &calls[0]);
	r = ranges_find(&unit->functions, addr);
	if (!r)
		return calls[0].line ? 1 : 0;
	function = r->die;
	n = inlined_path(&function, addr, path);
	for (size_t i = 0; i < n; i++) {
		Dwarf_Die *die = &path[n - 1 - i];

		calls[i].function = function_name(die);
		call_site(unit, die, &calls[i + 1]);
	}
	calls[n].function = function_name(&function);
	return n + 1;
}

Dwarf *insp_dwarf_handle(struct insp_dwarf *dw, uint64_t *ret_bias)
{
	*ret_bias = dw->bias;
	return dw->dwarf;
}

bool insp_dwarf_function(struct insp_dwarf *dw, uint64_t addr, Dwarf_Die *ret, uint64_t *ret_addr)
{
	struct unit *unit = find_unit(dw, addr - dw->bias);
	const struct range *r = unit ? ranges_find(&unit->functions, addr - dw->bias) : NULL;

	if (!r)
		return false;
	*ret = r->die;
	*ret_addr = addr - dw->bias;
	return true;
}
