/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ctypes: what debug info says about types: which there are, which static variables and locals
 * have them, and how a place in one is called.
 *
 * A type is a number. One that several units or modules describe (same name, same size) has one
 * number; one that is only declared in a unit is looked up by its name in all others. Types are
 * taken apart when they are asked for; names and variables are read once, all of them, by
 * insp_symbols_ctypes. All lives as long as the symbols do.
 */
#ifndef INSP_SYMBOL_CTYPES_H
#define INSP_SYMBOL_CTYPES_H

#include "model/ctype.h"
#include "symbol/symbols.h"

struct insp_ctypes;

/*
 * Reads the names of types and the static variables of every module, the first time. A view; NULL
 * when no module has debug info. INSP_E_NOMEM, INSP_E_INTERRUPTED.
 */
int insp_symbols_ctypes(struct insp_symbols *symbols, struct insp_ctypes **ret,
			struct insp_error *err) insp_must_check;

/* A view, with its fields. type: any number that was handed out. */
const struct insp_ctype *insp_ctypes_get(struct insp_ctypes *types, uint32_t type);
/* The struct, class or union of that name, with namespaces; INSP_CTYPE_NONE. */
uint32_t insp_ctypes_by_name(struct insp_ctypes *types, const char *name);

/* A variable with an address of its own in writable memory. */
struct insp_variable {
	const char *name;
	uint64_t addr; /* in the target; thread_local: relative to the thread pointer */
	uint64_t size_bytes;
	uint32_t type;
	bool thread_local_;
};

/* Sorted by address, those of threads last. A view. */
const struct insp_variable *insp_ctypes_variables(const struct insp_ctypes *types, size_t *ret_n);
const struct insp_variable *insp_ctypes_variable_at(const struct insp_ctypes *types, uint64_t addr);
/* The first one of that name that has an address. */
const struct insp_variable *insp_ctypes_variable_named(const struct insp_ctypes *types,
						       const char *name);

/* ".buckets[3].next" for a place in an object of the type; "" at its start if that has no better
   name. View in pool. */
const char *insp_ctypes_member(struct insp_ctypes *types, struct insp_pool *pool, uint32_t type,
			       uint64_t offset);

/* A local variable or parameter that has a place at the moment. Strings: views until the symbols go. */
struct insp_local {
	const char *name;
	const char *function; /* the one it belongs to, inlined or not; as in the debug info; may be NULL */
	size_t frame;	      /* number as in lists of frames, where inlined ones do not count */
	uint64_t addr;	      /* where it lies; 0: in a register */
	unsigned reg;	      /* enum insp_reg, if so */
	uint64_t value;	      /* of that register in that frame */
	uint64_t size_bytes;  /* 0 unknown */
	const void *type;     /* for the two functions below; for the call only */
};

/* Calls fn for each local of each frame of the thread, innermost first, until it says false. */
typedef bool (*insp_local_fn)(void *ctx, const struct insp_local *local);
void insp_symbols_locals(struct insp_symbols *symbols, const struct insp_thread *thread,
			 insp_local_fn fn, void *ctx);
uint32_t insp_ctypes_of_local(struct insp_ctypes *types, const struct insp_local *local);
/* As insp_ctypes_member. */
const char *insp_local_member(const struct insp_local *local, struct insp_pool *pool,
			      uint64_t offset);

#endif
