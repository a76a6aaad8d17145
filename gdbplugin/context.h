/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * context: what GDB says about the current inferior, parsed from the output of its commands.
 * The texts are for people and differ between versions: what is not understood is left out.
 */
#ifndef MEMINSPECT_GDB_CONTEXT_H
#define MEMINSPECT_GDB_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

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
	char exe[4096];	    /* of the program, as GDB knows it; without a "target:" before it */
	char sysroot[4096]; /* on this machine; "": where files say that they are */
	char name[16];
};

struct gdb_thread {
	int inferior; /* 0: there is only one */
	int number;   /* in GDB, in its inferior */
	int tid;      /* 0 unknown */
	char name[16];
};

/*
 * What `pipe` wrote, as plain text, in place: under its machine interface GDB 18 pipes the stream
 * records ~"text\n" that it would print. Returns the new length.
 */
size_t gdb_context_plain(char *text);
/* `info inferiors`: the line of the current one, marked by '*'. */
void gdb_context_inferiors(struct gdb_context *ctx, char *text);
/* `show language`. */
void gdb_context_language(struct gdb_context *ctx, const char *text);
/* `info files`: the path of the core. */
void gdb_context_files(struct gdb_context *ctx, char *text);

/* `show sysroot` and `show solib-search-path`. */
void gdb_context_sysroot(struct gdb_context *ctx, const char *text);

/* The headings of `thread apply all`. Calls add for each; the thread is valid during the call. */
void gdb_context_threads(char *text, void (*add)(void *to, const struct gdb_thread *thread),
			 void *to);

#endif
