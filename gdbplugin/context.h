/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * context: what GDB says about the current inferior, parsed from the output of its commands.
 * The texts are for people and differ between versions: what is not understood is left out.
 */
#ifndef MEMINSPECT_GDB_CONTEXT_H
#define MEMINSPECT_GDB_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <meminspect/meminspect.h>

enum gdb_kind {
	GDB_NONE,   /* no process, no core */
	GDB_NATIVE, /* GDB traces it itself */
	GDB_CORE,
	GDB_REMOTE, /* gdbserver, another machine: memory comes through GDB */
};

enum gdb_language {
	GDB_LANGUAGE_UNKNOWN, /* not asked yet */
	GDB_LANGUAGE_C,	      /* C and what has its casts */
	GDB_LANGUAGE_OTHER,
};

struct gdb_context {
	enum gdb_kind kind;
	int inferior; /* its number in GDB */
	int pid;      /* 0 unknown */
	enum gdb_language language;
	char core[4096];
	char name[16];
};

/* `info inferiors`: the line of the current one, marked by '*'. */
void gdb_context_inferiors(struct gdb_context *ctx, char *text);
/* `show language`. */
void gdb_context_language(struct gdb_context *ctx, const char *text);
/* `info files`: the path of the core. */
void gdb_context_files(struct gdb_context *ctx, char *text);

/* `info proc mappings`. Calls add for each; the region and its name are valid during the call. */
void gdb_context_mappings(char *text, void (*add)(void *to, const struct meminspect_region *region),
			  void *to);

#endif
