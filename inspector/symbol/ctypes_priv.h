/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ctypes_priv: what the files about types share. Nobody else includes this.
 *
 *     ctypes.c       DIE of a type -> number, name, fields
 *     ctypes_read.c  all units once: names of types, static variables
 *     members.c      place in a type -> ".buckets[3].next"
 *     locals.c       frame -> locals
 */
#ifndef INSP_SYMBOL_CTYPES_PRIV_H
#define INSP_SYMBOL_CTYPES_PRIV_H

#include <elfutils/libdw.h>

#include "base/map.h"
#include "base/vec.h"
#include "symbol/ctypes.h"
#include "symbol/symbols_priv.h"

#define INSP_TYPE_DEPTH_MAX 24 /* of types in types: foreign debug info may go round */

struct insp_type_record {
	struct insp_ctype pub;
	Dwarf_Die die;
	bool expanded;
};

/* A namespace or class of a unit that has others inside: [start, end) of its DIEs. */
struct insp_scope {
	const char *start, *end;
	const char *name;
};

struct insp_unit_scopes {
	struct insp_scope *items; /* outer ones first */
	size_t n, cap;
	bool is_c;
};

struct insp_ctypes {
	struct insp_symbols *symbols;
	struct insp_pool *pool;	  /* records, names, fields */
	INSP_VEC(struct insp_type_record *) records;
	INSP_VEC(Dwarf_Die) definitions;
	INSP_VEC(struct insp_unit_scopes) units;
	INSP_VEC(struct insp_variable) variables;
	size_t nstatic;		  /* variables with an address; behind them those of threads */
	struct insp_map by_die;	  /* address of a DIE -> record */
	struct insp_map by_key;	  /* name and size, or what it is made of -> record */
	struct insp_map by_name;  /* hash of a qualified name -> definitions */
	struct insp_map by_unit;  /* address of a unit -> units */
	unsigned nmodules;	  /* that have debug info */
	uint64_t seen;		  /* DIEs read */
	bool failed;		  /* memory was short */
};

/* ctypes.c */
uint64_t insp_name_hash(uint64_t scope, const char *name); /* scope: hash of what it is in, or 0 */
bool insp_die_is_c(Dwarf_Die *unit);
/* Follows typedef, const and their like; *ret_alias (may be NULL): the first typedef's name. False: void. */
bool insp_die_strip(Dwarf_Die *type, const char **ret_alias);
bool insp_die_type(Dwarf_Die *die, Dwarf_Die *ret); /* its DW_AT_type */
bool insp_die_offset(Dwarf_Die *member, uint64_t *ret);
/* Elements of an array, all dimensions together; 0: not said. */
uint64_t insp_die_array_count(Dwarf_Die *array);
uint64_t insp_die_size(Dwarf_Die *type); /* bytes; 0 unknown */
/* die may be NULL: void. */
uint32_t insp_ctypes_intern(struct insp_ctypes *types, const Dwarf_Die *die, unsigned depth);

/* ctypes_read.c */
int insp_ctypes_read_module(struct insp_ctypes *types, struct insp_symbols_module *module,
			    struct insp_dwarf *dwarf, struct insp_error *err);

/* members.c */
const char *insp_die_member(struct insp_pool *pool, const Dwarf_Die *type, uint64_t offset);

/* scopes.c: the function that holds addr (of the target), and that addr as in the file. */
bool insp_dwarf_function(struct insp_dwarf *dwarf, uint64_t addr, Dwarf_Die *ret, uint64_t *ret_addr);
Dwarf *insp_dwarf_handle(struct insp_dwarf *dwarf, uint64_t *ret_bias);

#endif
