/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * symtab: the symbols of one module, sorted by address.
 *
 * libdwfl can look up an address by itself, but walks the whole table each time; a stack of 20
 * frames in a program with 100,000 symbols would take longer than everything else. So its
 * table (.dynsym, .symtab of the file or of the debug file, .gnu_debugdata) is copied once into
 * an index of 24 bytes a symbol.
 *
 * Several names often share an address: read, __read, __libc_read. The rank picks the one that is
 * written in people's programs: exported before local, few leading underscores before many.
 */
#include "symbol/symbols_priv.h"

#include <stdlib.h>
#include <string.h>

/* How far back to look for a symbol that is still open at an address: nested labels are rare. */
#define LOOK_BACK 64

enum {
	RANK_LOCAL = 1 << 8,
	RANK_SIZELESS = 1 << 9,
	RANK_OLD_VERSION = 1 << 7,
};

static uint32_t rank_of(const GElf_Sym *sym, const char *name)
{
	const char *at = strchr(name, '@');
	uint32_t rank = 0;

	while (name[rank] == '_' && rank < 15)
		rank++;
	if (rank && name[rank] == 'Z')
		rank = 0;
	if (!strncmp(name, "__GI_", 5)) /* how glibc calls itself inside */
		rank += 8;
	rank = rank << 1 | (GELF_ST_BIND(sym->st_info) == STB_WEAK);
	if (at && at[1] != '@')
		rank |= RANK_OLD_VERSION;
	if (GELF_ST_BIND(sym->st_info) == STB_LOCAL)
		rank |= RANK_LOCAL;
	if (!sym->st_size)
		rank |= RANK_SIZELESS;
	return rank;
}

static bool wanted(const GElf_Sym *sym, GElf_Word shndx, const char *name)
{
	if (!name || !name[0] || shndx == SHN_UNDEF || shndx == SHN_ABS)
		return false;
	switch (GELF_ST_TYPE(sym->st_info)) {
	case STT_FUNC:
	case STT_OBJECT:
	case STT_NOTYPE:
	case STT_GNU_IFUNC:
		return true;
	default: /* a TLS symbol's value is no address */
		return false;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct insp_sym *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

void insp_symtab_load(struct insp_symtab *symtab, Dwfl_Module *dwfl)
{
	int n;

	if (symtab->loaded)
		return;
	symtab->loaded = true;
	n = dwfl_module_getsymtab(dwfl);
	if (n <= 0 || insp_vec_reserve(symtab, n))
		return;
	for (int i = 1; i < n; i++) {
		GElf_Sym sym;
		GElf_Addr addr;
		GElf_Word shndx;
		const char *name = dwfl_module_getsym_info(dwfl, i, &sym, &addr, &shndx, NULL, NULL);

		if (wanted(&sym, shndx, name))
			symtab->items[symtab->n++] = (struct insp_sym){
				.start = addr,
				.size_bytes = sym.st_size > UINT32_MAX ? UINT32_MAX
								       : (uint32_t)sym.st_size,
				.rank = rank_of(&sym, name),
				.name = name,
			};
	}
	qsort(symtab->items, symtab->n, sizeof(*symtab->items), by_start);
}

const struct insp_sym *insp_symtab_at(const struct insp_symtab *symtab, uint64_t addr)
{
	const struct insp_sym *best = NULL, *open_ended = NULL;
	size_t lo = 0, hi = symtab->n;
	bool closed = false;

	while (lo < hi) { /* the first that starts behind addr */
		size_t mid = lo + (hi - lo) / 2;

		if (symtab->items[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t i = lo; i-- > 0 && lo - i <= LOOK_BACK;) {
		const struct insp_sym *s = &symtab->items[i];

		if (best && s->start != best->start)
			break;
		if (addr - s->start < s->size_bytes)
			best = s;
		else if (s->size_bytes)
			closed = true; /* labels in front of it have ended, too */
		else if (!closed && (!open_ended || s->start == open_ended->start))
			open_ended = s;
	}
	return best ? best : open_ended;
}

const struct insp_sym *insp_symtab_find(const struct insp_symtab *symtab, const char *name)
{
	const struct insp_sym *best = NULL;
	size_t n = strlen(name);

	for (size_t i = 0; i < symtab->n; i++) {
		const struct insp_sym *s = &symtab->items[i];

		if (strncmp(s->name, name, n) || (s->name[n] != '\0' && s->name[n] != '@'))
			continue;
		if (!best || s->rank < best->rank)
			best = s;
	}
	return best;
}
