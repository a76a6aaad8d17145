/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * scope: who defines malloc first among the loaded objects, in the order in which the loader looks.
 *
 * dlsym cannot be asked: in a program that is not linked as PIE and takes malloc's address, it gives a stub in
 * the program that stands for the function of whoever comes first, and so hides who that is. The
 * symbol is undefined there, and is passed over here. What dlopen loaded stands behind all that the
 * program began with, libc included.
 */
#include <elf.h>
#include <link.h>
#include <string.h>

#include "hook/hook.h"

struct symbols {
	const ElfW(Sym) *all;
	const char *names;
	const uint32_t *gnu, *sysv;
};

/* The loader made most of these addresses absolute, and left those of the kernel's vdso as they are. */
static uintptr_t absolute(const struct link_map *map, uintptr_t addr)
{
	return addr < map->l_addr ? map->l_addr + addr : addr;
}

static struct symbols symbols_of(const struct link_map *map)
{
	struct symbols s = {.all = NULL};

	for (const ElfW(Dyn) *d = map->l_ld; d && d->d_tag != DT_NULL; d++) {
		uintptr_t at = absolute(map, d->d_un.d_ptr);

		switch (d->d_tag) {
		case DT_SYMTAB:
			s.all = (const ElfW(Sym) *)at;
			break;
		case DT_STRTAB:
			s.names = (const char *)at;
			break;
		case DT_GNU_HASH:
			s.gnu = (const uint32_t *)at;
			break;
		case DT_HASH:
			s.sysv = (const uint32_t *)at;
			break;
		default:
			break;
		}
	}
	return s;
}

static bool defines(const struct symbols *s, uint32_t i, const char *name)
{
	const ElfW(Sym) *symbol = &s->all[i];

	return symbol->st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol->st_info) != STB_LOCAL &&
	       !strcmp(s->names + symbol->st_name, name);
}

/* By DT_HASH: the number of symbols is its second word. */
static bool defined_by_sysv(const struct symbols *s, const char *name)
{
	for (uint32_t i = 1; i < s->sysv[1]; i++)
		if (defines(s, i, name))
			return true;
	return false;
}

/* By DT_GNU_HASH: four words, a filter of 64-bit words, buckets, and a chain whose ends have bit 0 set. */
static bool defined_by_gnu(const struct symbols *s, const char *name)
{
	uint32_t nbuckets = s->gnu[0], first = s->gnu[1], filter_words = s->gnu[2], hash = 5381;
	const uint32_t *buckets = s->gnu + 4 + (size_t)filter_words * 2, *chain = buckets + nbuckets;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	uint32_t i = nbuckets ? buckets[hash % nbuckets] : 0;

	for (; i >= first && i; i++) {
		if ((chain[i - first] | 1) == (hash | 1) && defines(s, i, name))
			return true;
		if (chain[i - first] & 1)
			break;
	}
	return false;
}

const struct link_map *insp_hook_first_to_define(const struct link_map *any, const char *name)
{
	while (any->l_prev)
		any = any->l_prev;
	for (; any; any = any->l_next) {
		struct symbols s = symbols_of(any);

		if (!s.all || !s.names)
			continue;
		if (s.gnu ? defined_by_gnu(&s, name) : s.sysv && defined_by_sysv(&s, name))
			return any;
	}
	return NULL;
}
