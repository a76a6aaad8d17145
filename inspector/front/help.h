/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * help: everything that is said about commands and options, from the command table.
 */
#ifndef INSP_FRONT_HELP_H
#define INSP_FRONT_HELP_H

#include "base/error.h"
#include "base/pool.h"
#include "base/str.h"
#include "command/command.h"

/* Makes `help` of one command ready to run, as `COMMAND --help` means it. */
int insp_help_run(const struct insp_command *of, struct insp_pool *pool,
		  const struct insp_command **ret, const void **ret_args, struct insp_error *err)
	insp_must_check;

/* What `meminspect` alone prints: fits a terminal of 80 columns and 24 lines. */
void insp_help_usage(struct insp_str *ret);

/* "-n, --limit=ROWS" or "--no-pager". */
void insp_help_option(const struct insp_option *option, struct insp_str *ret);

/* Groups in the order of their first command: the i-th, NULL behind the last. */
const char *insp_help_group(size_t i);

/* gen_gdb.c: the script of GDB's commands. */
void insp_gen_gdb(struct insp_str *s);
/* Adds n bytes of text that people read; commands that it quotes in backticks are written as they
   are typed inside GDB. (GDB has a command `path` of its own, and it is another one.) */
void insp_gdb_text(struct insp_str *s, const char *text, size_t n);

/* Generated files: man, bash, zsh, markdown. INSP_E_USAGE for another word. */
int insp_generate(const char *what, struct insp_str *ret, struct insp_error *err) insp_must_check;

#endif
