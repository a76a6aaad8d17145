/* SPDX-License-Identifier: GPL-3.0-or-later */
/* members: what a place inside an object is called in the source: ".buckets[3].next". */
#include <dwarf.h>
#include <inttypes.h>

#include "base/str.h"
#include "symbol/ctypes_priv.h"

/* The member that holds offset, innermost base classes included; of a union the first one. */
static bool member_at(Dwarf_Die *type, uint64_t offset, Dwarf_Die *ret, Dwarf_Die *ret_type,
		      uint64_t *ret_start)
{
	Dwarf_Die child;

	if (dwarf_child(type, &child))
		return false;
	do {
		uint64_t start, size;
		int tag = dwarf_tag(&child);

		if ((tag != DW_TAG_member && tag != DW_TAG_inheritance) ||
		    dwarf_hasattr(&child, DW_AT_external) || dwarf_hasattr(&child, DW_AT_data_bit_offset) ||
		    !insp_die_offset(&child, &start) || !insp_die_type(&child, ret_type))
			continue;
		size = insp_die_size(ret_type);
		/* Without a size: an array at the end that takes what is left. */
		if (offset < start || (size && offset - start >= size))
			continue;
		*ret = child;
		*ret_start = start;
		return true;
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

const char *insp_die_member(struct insp_pool *pool, const Dwarf_Die *type, uint64_t offset)
{
	Dwarf_Die at = *type, element, member;
	struct insp_str s = {0};
	const char *name;

	for (unsigned i = 0; i < INSP_TYPE_DEPTH_MAX && insp_die_strip(&at, NULL); i++) {
		uint64_t start, size;
		int tag = dwarf_tag(&at);

		if (tag == DW_TAG_array_type && insp_die_type(&at, &element) &&
		    (size = insp_die_size(&element)) != 0) {
			insp_str_addf(&s, "[%" PRIu64 "]", offset / size);
			offset %= size;
			at = element;
			continue;
		}
		if ((tag != DW_TAG_structure_type && tag != DW_TAG_class_type && tag != DW_TAG_union_type) ||
		    !member_at(&at, offset, &member, &element, &start))
			break;
		name = dwarf_tag(&member) == DW_TAG_member ? dwarf_diename(&member) : NULL;
		if (name)
			insp_str_addf(&s, ".%s", name);
		offset -= start;
		at = element;
	}
	if (offset)
		insp_str_addf(&s, "+%" PRIu64, offset);
	name = insp_pool_strdup(pool, insp_str_text(&s));
	insp_str_deinit(&s);
	return name ? name : "";
}

const char *insp_ctypes_member(struct insp_ctypes *types, struct insp_pool *pool, uint32_t type,
			       uint64_t offset)
{
	const struct insp_type_record *r = type < types->records.n ? types->records.items[type] : NULL;

	if (!r || !r->die.addr)
		return offset ? insp_pool_printf(pool, "+%" PRIu64, offset) : "";
	return insp_die_member(pool, &r->die, offset);
}
