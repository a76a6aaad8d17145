/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dwarf_types: where a member lies in a struct, according to a module's DWARF.
 *
 * Nobody says which unit describes a struct, so units are read in order until it turns up; the
 * names seen on the way are kept, and the next question goes on where the last one ended. The
 * whole of libc's debug information is read at most once. That still takes a fifth of a second, so
 * the unit of a function that works on such structs, if the caller knows one, is read first.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/symbols_priv.h"

#define DEPTH_MAX 16

struct named {
	const char *name; /* view into the file */
	Dwarf_Die die;
};

struct insp_types {
	Dwarf *dwarf;
	Dwarf_CU *cu;	/* the last unit that was read */
	bool all_read;
	struct named *table; /* open addressing, ncap a power of two */
	size_t n, ncap;
};

struct insp_types *insp_types_create(Dwarf *dwarf)
{
	struct insp_types *types = calloc(1, sizeof(*types));

	if (types)
		types->dwarf = dwarf;
	return types;
}

void insp_types_destroy(struct insp_types *types)
{
	if (!types)
		return;
	free(types->table);
	free(types);
}

static size_t hash(const char *s, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

static struct named *slot_of(const struct insp_types *types, const char *name)
{
	size_t i = hash(name, strlen(name));

	for (;; i++) {
		struct named *slot = &types->table[i & (types->ncap - 1)];

		if (!slot->name || !strcmp(slot->name, name))
			return slot;
	}
}

static bool grow(struct insp_types *types)
{
	struct insp_types bigger = {.ncap = types->ncap ? types->ncap * 2 : 1024};

	bigger.table = calloc(bigger.ncap, sizeof(*bigger.table));
	if (!bigger.table)
		return false;
	for (size_t i = 0; i < types->ncap; i++)
		if (types->table[i].name)
			*slot_of(&bigger, types->table[i].name) = types->table[i];
	free(types->table);
	types->table = bigger.table;
	types->ncap = bigger.ncap;
	return true;
}

static void remember(struct insp_types *types, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);
	struct named *slot;

	if (!name || dwarf_hasattr(die, DW_AT_declaration))
		return;
	if (types->n * 2 >= types->ncap && !grow(types))
		return;
	slot = slot_of(types, name);
	/* The first one wins, they are the same in every unit; but a struct beats a typedef. */
	if (slot->name && (dwarf_tag(&slot->die) != DW_TAG_typedef ||
			   dwarf_tag(die) == DW_TAG_typedef))
		return;
	types->n += !slot->name;
	*slot = (struct named){name, *die};
}

/* Types at the top of the unit and in namespaces, these by their last name. */
static void read_names(struct insp_types *types, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(parent, &child))
		return;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_typedef:
			remember(types, &child);
			break;
		case DW_TAG_namespace:
			read_names(types, &child, depth + 1);
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
}

static bool read_next_unit(struct insp_types *types)
{
	Dwarf_Die die;

	if (types->all_read ||
	    dwarf_get_units(types->dwarf, types->cu, &types->cu, NULL, NULL, &die, NULL) != 0) {
		types->all_read = true;
		return false;
	}
	read_names(types, &die, 0);
	return true;
}

/* Through typedef, const and volatile to what has members. */
static bool strip(Dwarf_Die *die)
{
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		Dwarf_Attribute attr;

		switch (dwarf_tag(die)) {
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
			return true;
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_atomic_type:
			if (!dwarf_attr_integrate(die, DW_AT_type, &attr) ||
			    !dwarf_formref_die(&attr, die))
				return false;
			break;
		default:
			return false;
		}
	}
	return false;
}

/* Has it members to show? A typedef may lead to a mere declaration. */
static bool complete(const Dwarf_Die *die)
{
	Dwarf_Die at = *die, child;

	return strip(&at) && dwarf_child(&at, &child) == 0;
}

static bool find_type(struct insp_types *types, const char *name, Dwarf_Die *ret)
{
	do {
		if (types->ncap) {
			const struct named *slot = slot_of(types, name);

			if (slot->name && complete(&slot->die)) {
				*ret = slot->die;
				return true;
			}
		}
	} while (read_next_unit(types));
	return false;
}

static bool member_offset(Dwarf_Die *member, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	*ret = 0;
	if (!dwarf_attr(member, DW_AT_data_member_location, &attr))
		return true; /* of a union */
	if (dwarf_formudata(&attr, &value))
		return false; /* an expression: a virtual base, not for us */
	*ret = value;
	return true;
}

/* The member called name[0..n) of the struct at type, also inside of members without a name. */
static bool find_member(Dwarf_Die *type, const char *name, size_t n, unsigned depth,
			Dwarf_Die *ret_type, uint64_t *ret)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || !strip(type) || dwarf_child(type, &child))
		return false;
	do {
		const char *own;
		Dwarf_Attribute attr;
		uint64_t offset, inner;

		if (dwarf_tag(&child) != DW_TAG_member || !member_offset(&child, &offset) ||
		    !dwarf_attr(&child, DW_AT_type, &attr) || !dwarf_formref_die(&attr, ret_type))
			continue;
		own = dwarf_diename(&child);
		if (own && !strncmp(own, name, n) && !own[n]) {
			*ret = offset;
			return true;
		}
		if (!own) {
			Dwarf_Die unnamed = *ret_type;

			if (find_member(&unnamed, name, n, depth + 1, ret_type, &inner)) {
				*ret = offset + inner;
				return true;
			}
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

void insp_types_hint(struct insp_types *types, uint64_t addr)
{
	Dwarf_Die unit;

	if (dwarf_addrdie(types->dwarf, addr, &unit))
		read_names(types, &unit, 0);
}

int insp_types_member(struct insp_types *types, const char *type, const char *member,
		      uint64_t *ret)
{
	uint64_t sum = 0, offset;
	Dwarf_Die at, inner;

	if (!strncmp(type, "struct ", 7))
		type += 7;
	if (!find_type(types, type, &at))
		return INSP_E_NOTFOUND;
	for (;;) {
		size_t n = strcspn(member, ".");

		if (!find_member(&at, member, n, 0, &inner, &offset))
			return INSP_E_NOTFOUND;
		sum += offset;
		if (!member[n])
			break;
		member += n + 1;
		at = inner;
	}
	*ret = sum;
	return 0;
}
