/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * held_places: where pointers to chunks lie, as people speak of it: a variable; else all of a module's
 * data, of a mapping, of a thread's stack, registers or thread-local storage.
 */
#ifndef INSP_COMMAND_HELD_PLACES_H
#define INSP_COMMAND_HELD_PLACES_H

#include "command/held.h"

struct insp_place {
	const char *name;    /* in the context's pool */
	uint32_t kind;	     /* enum insp_root_kind */
	uint32_t owner;	     /* as in struct insp_root */
	uint64_t start, end; /* of the variable; equal: it is none */
};

struct insp_places {
	const struct insp_context *ctx;
	struct insp_place *items;
	size_t n, cap;
	uint32_t *owned; /* by owner: the place that is no variable, plus one, of the kind at hand */
	size_t nowned;
	uint32_t kind;
	size_t last; /* the place of the last word, plus one */
};

/* INSP_E_NOMEM without a message. deinit accepts a half-built one. */
int insp_places_init(struct insp_places *places, const struct insp_context *ctx) insp_must_check;
void insp_places_deinit(struct insp_places *places);

/* The index of the place of a root; roots come in the order of the graph. SIZE_MAX: memory is short. */
size_t insp_places_of(struct insp_places *places, const struct insp_root *root);

#endif
