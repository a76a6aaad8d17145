/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * filter: which chunks, in the words of the user. The same expression in every command that lists
 * chunks:
 *
 *     size >= 1K and state = in_use and not arena = main
 *     (type ~ Session or site ~ parse_) and age > 1h
 *
 *     field   size usable addr        numbers: = != < <= > >=
 *             age                     durations, with the hook's records
 *             state arena reach type site function
 *                                     text: = != (whole), ~ !~ (part); case does not matter
 *             reached-by              = !=: chunks that pointers lead to from a global variable, or
 *                                     from the chunk or word at an address
 *     and or not ( )                  && || ! as well; two terms side by side mean `and`
 */
#ifndef INSP_COMMAND_FILTER_H
#define INSP_COMMAND_FILTER_H

#include "analysis/leaks.h"
#include "command/command.h"
#include "command/typing.h"

struct insp_filter;

/* enum insp_need that the text asks for, beside the chunks; text may be NULL. */
unsigned insp_filter_needs(const char *text);

/* Is it written as filters are? What it names may still not be there. INSP_E_USAGE says where it is wrong. */
int insp_filter_check(const char *text, struct insp_pool *pool, struct insp_error *err) insp_must_check;

/*
 * Lives in the context's pool. types and leaks may be NULL: then an expression that names `type` or
 * `reach` is refused. INSP_E_USAGE says where the text is wrong.
 */
int insp_filter_create(const struct insp_context *ctx, const char *text, struct insp_typing *types,
		       const struct insp_leaks *leaks, struct insp_filter **ret,
		       struct insp_error *err) insp_must_check;
bool insp_filter_accepts(struct insp_filter *filter, const struct insp_chunk *chunk);

#endif
