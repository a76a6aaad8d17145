/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fde_table: the sorted table of .eh_frame_hdr for modules that were linked without one.
 *
 * Static programs of gcc have none, because they register .eh_frame with their own unwinder. One
 * pass over .eh_frame makes the same pairs: where a function starts and where its FDE (the rules
 * for it) lies, both relative to the section.
 */
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/symbols_priv.h"

#define FDES_MAX 4000000

enum encoding {
	ENC_ABSPTR = 0x00,
	ENC_UDATA4 = 0x03,
	ENC_UDATA8 = 0x04,
	ENC_SDATA4 = 0x0b,
	ENC_SDATA8 = 0x0c,
	ENC_FORM = 0x0f,
	ENC_PCREL = 0x10,
	ENC_BASE = 0x70,
	ENC_NONE = 0xff,
};

struct section {
	Elf_Data *data;
	const unsigned char *ident;
	uint64_t addr; /* in the target */
	uint64_t bias;
};

static bool find_section(Elf *elf, uint64_t bias, struct section *ret)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr shdr;
		const char *name = gelf_getshdr(scn, &shdr) ? elf_strptr(elf, names, shdr.sh_name) : NULL;

		if (!name || strcmp(name, ".eh_frame") || shdr.sh_type == SHT_NOBITS)
			continue;
		*ret = (struct section){
			.data = elf_getdata(scn, NULL),
			.ident = (const unsigned char *)elf_getident(elf, NULL),
			.addr = shdr.sh_addr + bias,
			.bias = bias,
		};
		return ret->data && ret->ident;
	}
	return false;
}

/* How FDEs of the CIE at offset write the start of their function. */
static uint8_t encoding_of(const struct section *s, Dwarf_Off offset)
{
	const uint8_t *data, *end;
	Dwarf_CFI_Entry entry;
	Dwarf_Off next;

	if (dwarf_next_cfi(s->ident, s->data, true, offset, &next, &entry) ||
	    !dwarf_cfi_cie_p(&entry))
		return ENC_NONE;
	if (entry.cie.augmentation[0] != 'z')
		return entry.cie.augmentation[0] ? ENC_NONE : ENC_ABSPTR;
	data = entry.cie.augmentation_data;
	end = data + entry.cie.augmentation_data_size;
	for (const char *c = entry.cie.augmentation + 1; *c && data < end; c++) {
		unsigned form;

		switch (*c) {
		case 'R':
			return *data;
		case 'L':
			data++;
			break;
		case 'P':
			form = *data & ENC_FORM;
			data += 1 + (form == ENC_UDATA4 || form == ENC_SDATA4 ? 4 : 8);
			break;
		case 'S':
		case 'B':
			break;
		default:
			return ENC_NONE;
		}
	}
	return ENC_ABSPTR;
}

/* The start of a function, written at p. */
static bool decode(const struct section *s, uint8_t encoding, const uint8_t *p, const uint8_t *end,
		   uint64_t *ret)
{
	unsigned form = encoding & ENC_FORM;
	bool four = form == ENC_UDATA4 || form == ENC_SDATA4;
	uint64_t value = 0;

	if (encoding == ENC_NONE || end < p || (size_t)(end - p) < (four ? 4u : 8u) ||
	    (!four && form != ENC_ABSPTR && form != ENC_UDATA8 && form != ENC_SDATA8))
		return false;
	memcpy(&value, p, four ? 4 : 8);
	if (form == ENC_SDATA4)
		value = (uint64_t)(int64_t)(int32_t)value;
	switch (encoding & ENC_BASE) {
	case 0:
		*ret = value + s->bias;
		return true;
	case ENC_PCREL:
		*ret = value + s->addr + (uint64_t)(p - (const uint8_t *)s->data->d_buf);
		return true;
	default:
		return false;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct insp_fde *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void insp_fde_table_load(struct insp_fde_table *table, Elf *elf, uint64_t bias)
{
	Dwarf_Off offset = 0, next, cie = UINT64_MAX;
	uint8_t encoding = ENC_NONE;
	struct section s;

	if (table->loaded)
		return;
	table->loaded = true;
	if (!find_section(elf, bias, &s))
		return;
	table->base = s.addr;
	for (unsigned n = 0; n < FDES_MAX; n++, offset = next) {
		Dwarf_CFI_Entry entry;
		struct insp_fde *fde;
		uint64_t start;
		int rc = dwarf_next_cfi(s.ident, s.data, true, offset, &next, &entry);

		if (rc || next <= offset)
			break;
		if (dwarf_cfi_cie_p(&entry))
			continue;
		if (entry.fde.CIE_pointer != cie) {
			cie = entry.fde.CIE_pointer;
			encoding = encoding_of(&s, cie);
		}
		if (!decode(&s, encoding, entry.fde.start, entry.fde.end, &start))
			continue;
		fde = insp_vec_push(table);
		if (!fde)
			break;
		*fde = (struct insp_fde){(int32_t)(start - s.addr), (int32_t)offset};
	}
	if (table->n)
		qsort(table->items, table->n, sizeof(*table->items), by_start);
}
