/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * typing: what a chunk may hold, without any help from the program:
 *
 *     vtable      the class of a C++ object, by the table that its first word points to
 *     debug info  a type of the source, spread from variables along pointers (analysis/spread.h)
 *     text        by its bytes
 *     size        nothing else is known
 *
 * Types by debug info come from the snapshot's pointers. For the others the first bytes of chunks
 * are looked at in the target's memory as it is when asked, which on a live process is a moment
 * after the snapshot; where there are no bytes (a saved snapshot, a process that has ended), what they
 * told when it was saved with --types; with neither that nor debug info, all types are sizes.
 */
#ifndef INSP_COMMAND_TYPING_H
#define INSP_COMMAND_TYPING_H

#include "analysis/spread.h"
#include "command/command.h"

enum insp_type_source {
	INSP_TYPE_VTABLE, /* the first word points into a vtable */
	INSP_TYPE_DEBUG,  /* debug info: something that has this type points at it */
	INSP_TYPE_TEXT,	  /* ASCII or UTF-8 from the first byte on */
	INSP_TYPE_SIZE,	  /* nothing is known but the size */
	INSP_N_TYPE_SOURCES
};

/* What a command needs for types by debug info. */
#define INSP_TYPING_NEEDS                                                               \
	(INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_STACKS | INSP_NEED_SYMBOLS | \
	 INSP_NEED_BYTES)

struct insp_typing;

/*
 * Lives in the context's pool. With all, looks at every live chunk at once, in address order;
 * without it, at each when asked, and debug info is read when the first one is. INSP_E_NOMEM,
 * INSP_E_INTERRUPTED.
 */
int insp_typing_create(const struct insp_context *ctx, bool all, struct insp_typing **ret,
		      struct insp_error *err) insp_must_check;
/* Are there bytes to go by, or what they told? */
bool insp_typing_have_bytes(const struct insp_typing *types);
/* Was there any debug info to go by? */
bool insp_typing_have_debug_info(const struct insp_typing *types);

/* A number below insp_typing_count, for a live chunk. */
uint32_t insp_typing_of(struct insp_typing *types, const struct insp_chunk *chunk);
uint32_t insp_typing_count(const struct insp_typing *types);
/* "Foo", "struct entry", "struct entry[]", "text", "48 bytes" */
const char *insp_typing_name(const struct insp_typing *types, uint32_t type);
enum insp_type_source insp_typing_source(const struct insp_typing *types, uint32_t type);
const char *insp_type_source_key(enum insp_type_source source);

/* Of a chunk whose type is known by debug info: how well it fits, and what another pointer calls
   it (NULL: all agree). False: it is not known by debug info. */
bool insp_typing_debug(struct insp_typing *types, const struct insp_chunk *chunk,
		       enum insp_fit *ret_fit, const char **ret_other);

/* ".next", "[3].key" for a place in a chunk whose type debug info describes; NULL otherwise. */
const char *insp_typing_member(struct insp_typing *types, const struct insp_chunk *chunk,
			       uint64_t offset);

/* The first bytes for people: "some text", or hexadecimal. View in the pool; NULL: no bytes. */
const char *insp_typing_preview(struct insp_typing *types, const struct insp_chunk *chunk);

#endif
