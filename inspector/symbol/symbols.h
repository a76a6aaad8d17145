/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * symbols: names, lines, inlined calls and struct layouts for addresses of the target.
 *
 * Built on libdwfl with one Dwfl a target. Modules come from the snapshot's module list; their
 * files through the target (deleted files, containers), debug info by build-id from
 * /usr/lib/debug, .gnu_debuglink, or debuginfod when the user has DEBUGINFOD_URLS set. Nothing is
 * opened before it is needed, and nothing here ever runs while the target stands still.
 */
#ifndef INSP_SYMBOL_SYMBOLS_H
#define INSP_SYMBOL_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "model/module.h"
#include "model/region.h"
#include "model/thread.h"
#include "target/target.h"

struct insp_symbols;

/*
 * The ELF modules among regions, with build-ids read from their files or memory. Paths and list
 * live in pool. Never fails for a module: what cannot be read is left empty.
 */
int insp_modules_collect(struct insp_target *target, const struct insp_regions *regions,
			 struct insp_pool *pool, struct insp_modules *ret, struct insp_error *err)
	insp_must_check;

/* Borrows everything; target may be NULL (a saved snapshot: files are looked up by path and
   build-id on this machine). Gives. */
int insp_symbols_create(struct insp_target *target, const struct insp_regions *regions,
			const struct insp_modules *modules, struct insp_symbols **ret,
			struct insp_error *err) insp_must_check;
void insp_symbols_destroy(struct insp_symbols *symbols);

/* The list it was made with: a view. */
const struct insp_modules *insp_symbols_modules(const struct insp_symbols *symbols);

struct insp_symbol {
	const char *name;     /* demangled; view until the next call with the same symbols */
	const char *linkage_name; /* as in the symbol table */
	uint64_t start;	      /* address of the symbol */
	uint64_t size_bytes;  /* 0 unknown */
	const struct insp_module *module;
};

/* The symbol that holds addr: INSP_E_NOTFOUND when there is none. No message. */
int insp_symbols_at(struct insp_symbols *symbols, uint64_t addr, struct insp_symbol *ret)
	insp_must_check;

/* The address of a symbol in module (basename, "libc.so.6"; NULL: any), static ones if debug
   info has them. INSP_E_NOTFOUND. */
int insp_symbols_find(struct insp_symbols *symbols, const char *module, const char *name,
		      uint64_t *ret) insp_must_check;

/* Offset in bytes of a member in a struct that module's DWARF describes. INSP_E_NOTFOUND. */
int insp_symbols_member(struct insp_symbols *symbols, const char *module, const char *type,
			const char *member, uint64_t *ret) insp_must_check;

/*
 * One pc to one or more frames: inlined functions first, the function itself last, each with file
 * and line. Appends to frames; strings live in pool. is_activation: pc is exact, not a
 * return address.
 */
int insp_symbols_frames(struct insp_symbols *symbols, struct insp_pool *pool, uint64_t pc,
			uint64_t sp, bool is_activation, uint32_t flags,
			struct insp_frames *frames) insp_must_check;

/*
 * For stack/. The Dwfl inside: a view. It can be attached to thread state only once, so whoever
 * does it passes the slot as argument and finds its own state through it at each call.
 */
struct Dwfl;
struct Dwfl *insp_symbols_dwfl(struct insp_symbols *symbols);
void **insp_symbols_slot(struct insp_symbols *symbols);

/*
 * A module's table of unwind rules, sorted by function: for an unwinder that searches it itself.
 * Either the linker's, in the target, or, where there is none, pairs made from .eh_frame: a view.
 * INSP_E_NOTFOUND when there is neither.
 */
struct insp_fde {
	int32_t start, fde; /* relative to base */
};
struct insp_unwind_table {
	uint64_t eh_frame_hdr, size_bytes; /* address in the target, and size; 0: none */
	uint64_t start, end;		   /* of the module */
	uint64_t base;			   /* address in the target that pairs are relative to */
	const struct insp_fde *pairs;
	size_t npairs;
};
int insp_symbols_unwind_table(struct insp_symbols *symbols, const struct insp_module *module,
			      struct insp_unwind_table *ret) insp_must_check;

/* Bytes of the target that do not change: from the file behind the address where that is
   possible, else from memory. All of it, or INSP_E_FAULT. */
int insp_symbols_read(struct insp_symbols *symbols, uint64_t addr, void *buf, size_t size_bytes)
	insp_must_check;

/* Debug info state of a module, for `maps`, `doctor`: "dwarf", "symtab", "dynsym", "none". */
const char *insp_symbols_quality(struct insp_symbols *symbols, const struct insp_module *module);

/* "operator new(unsigned long)" for "_Znwm", without a symbol version ("memcpy" for
   "memcpy@@GLIBC_2.14"); s itself when there is nothing to do, else a view in pool. */
const char *insp_demangle(struct insp_pool *pool, const char *s);

#endif
