/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * typing: what a chunk may hold, without any help from the program: the class of a C++ object by
 * its vtable, text by its bytes, else its size only.
 *
 * Looks at the first bytes of chunks in the target's memory as it is when asked, which on a live
 * process is a moment after the snapshot. Where there are no bytes (a saved snapshot, a process
 * that has ended), all types are sizes.
 */
#ifndef INSP_COMMAND_TYPING_H
#define INSP_COMMAND_TYPING_H

#include "command/command.h"

enum insp_type_source {
	INSP_TYPE_VTABLE, /* the first word points into a vtable */
	INSP_TYPE_TEXT,	  /* ASCII or UTF-8 from the first byte on */
	INSP_TYPE_SIZE,	  /* nothing is known but the size */
	INSP_N_TYPE_SOURCES
};

struct insp_typing;

/*
 * Lives in the context's pool. With all, looks at every live chunk at once, in address order;
 * without it, at each when asked. INSP_E_NOMEM, INSP_E_INTERRUPTED.
 */
int insp_typing_create(const struct insp_context *ctx, bool all, struct insp_typing **ret,
		      struct insp_error *err) insp_must_check;
bool insp_typing_have_bytes(const struct insp_typing *types);

/* A number below insp_typing_count, for a live chunk. */
uint32_t insp_typing_of(struct insp_typing *types, const struct insp_chunk *chunk);
uint32_t insp_typing_count(const struct insp_typing *types);
const char *insp_typing_name(const struct insp_typing *types, uint32_t type); /* "Foo", "text", "48 bytes" */
enum insp_type_source insp_typing_source(const struct insp_typing *types, uint32_t type);
const char *insp_type_source_key(enum insp_type_source source);

/* The first bytes for people: "some text", or hexadecimal. View in the pool; NULL: no bytes. */
const char *insp_typing_preview(struct insp_typing *types, const struct insp_chunk *chunk);

#endif
