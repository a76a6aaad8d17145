/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * symbols_priv: what the files of symbol/ share. Nobody else includes this.
 *
 *     symbols.c      the Dwfl, files of modules, everything public
 *     symtab.c       symbol tables, sorted
 *     fde_table.c    unwind rules, sorted, for modules without such a table
 *     scopes.c       DWARF: pc -> compilation unit -> function -> inlined calls -> lines
 *     dwarf_types.c  DWARF: struct -> member -> offset
 *     ctypes.c, ...  DWARF: types and variables, see ctypes_priv.h
 *     modules.c      mappings -> modules
 *     demangle.c     mangled names -> names
 *     remote.c       how long debuginfod servers are waited for
 */
#ifndef INSP_SYMBOL_SYMBOLS_PRIV_H
#define INSP_SYMBOL_SYMBOLS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <elfutils/libdwfl.h>

#include "base/vec.h"
#include "symbol/symbols.h"

struct insp_space;

/* One symbol; name is a view into the ELF file. */
struct insp_sym {
	uint64_t start;	   /* address in the target */
	uint32_t size_bytes; /* clamped */
	uint32_t rank;	   /* smaller is the better name among those of one address */
	const char *name;
};

/* Invariant: sorted by start, then rank. */
struct insp_symtab {
	struct insp_sym *items;
	size_t n, cap;
	bool loaded;
};

/* DWARF of one module, opened when the first line or type is asked for. */
struct insp_dwarf;

struct insp_dwarf *insp_dwarf_create(Dwarf *dwarf, uint64_t bias);
void insp_dwarf_destroy(struct insp_dwarf *dwarf);

/* Invariant: sorted by start. */
struct insp_fde_table {
	struct insp_fde *items;
	size_t n, cap;
	uint64_t base;
	bool loaded;
};

struct insp_symbols_module {
	struct insp_symbols *owner;
	const struct insp_module *module;
	const struct insp_region *region; /* the first mapping of its file; NULL none */
	Dwfl_Module *dwfl;
	uint8_t *image;		/* the file rebuilt from memory, or NULL */
	struct insp_symtab symtab;
	struct insp_fde_table fdes;
	struct insp_dwarf *dwarf;
	bool dwarf_tried;
};

/* symbols.c */
struct insp_ctypes;
struct insp_symbols_module *insp_symbols_items(struct insp_symbols *symbols, size_t *ret_n);
struct insp_symbols_module *insp_symbols_module_at(struct insp_symbols *symbols, uint64_t addr);
const struct insp_regions *insp_symbols_regions(const struct insp_symbols *symbols);
struct insp_ctypes **insp_symbols_ctypes_slot(struct insp_symbols *symbols);
struct insp_dwarf *insp_module_dwarf(struct insp_symbols_module *module); /* NULL: no debug info */
/* ctypes.c; accepts NULL */
void insp_ctypes_destroy(struct insp_ctypes *types);

/* symtab.c */
void insp_symtab_load(struct insp_symtab *symtab, Dwfl_Module *dwfl);
const struct insp_sym *insp_symtab_at(const struct insp_symtab *symtab, uint64_t addr);
const struct insp_sym *insp_symtab_find(const struct insp_symtab *symtab, const char *name);

/* fde_table.c */
void insp_fde_table_load(struct insp_fde_table *table, Elf *elf, uint64_t bias);

/* scopes.c */
struct insp_call {
	const char *function; /* linkage name, or the plain one; NULL unknown */
	const char *file;     /* NULL unknown */
	uint32_t line;
};
#define INSP_CALLS_MAX 64
/* The functions that addr (of the target) lies in: inlined ones first, the real one last. All
   views. Returns their number; 0: no debug info there. */
size_t insp_dwarf_calls(struct insp_dwarf *dwarf, uint64_t addr,
			struct insp_call calls[INSP_CALLS_MAX]);

/* dwarf_types.c */
struct insp_types;
struct insp_types *insp_types_create(Dwarf *dwarf);
void insp_types_destroy(struct insp_types *types);
/* The unit that holds addr (as in the file) probably describes what will be asked for. */
void insp_types_hint(struct insp_types *types, uint64_t addr);
int insp_types_member(struct insp_types *types, const char *type, const char *member,
		      uint64_t *ret);
/* malloc_addr: address of that function in the target, 0 if the module has none. */
struct insp_types *insp_dwarf_types(struct insp_dwarf *dwarf, uint64_t malloc_addr);

/* modules.c: has the ELF file the module's build-id? True when the module has none. */
bool insp_file_matches(int fd, const struct insp_module *module);

/* image.c: an ELF file put together from what of it lies in memory; malloc'ed. */
uint8_t *insp_image_read(struct insp_target *target, struct insp_space *space,
			 const struct insp_module *module, size_t *ret_bytes);

/* remote.c: around each call that may ask a debuginfod server, in one thread. found: it gave a file. */
struct insp_remote {
	char *urls; /* of the environment; NULL or empty: nobody is asked */
	char first; /* of urls, while that reads as empty; 0: it does not */
	uint64_t begin_ns;
};
void insp_remote_begin(struct insp_remote *remote, Dwfl *dwfl);
void insp_remote_end(struct insp_remote *remote, bool found);

/* demangle.c: malloc'ed; without version; NULL when memory is short. */
char *insp_demangle_dup(const char *s);

#endif
