/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * complete: what TAB offers, apart from the line editor that asks.
 */
#ifndef INSP_FRONT_COMPLETE_H
#define INSP_FRONT_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "command/command.h"

struct insp_session;

/*
 * The words that may stand where `word` was begun, with `before` in front of it on the line: all
 * that begin with it, sorted as help lists them. *ret_files: names of files, too. Short of memory
 * it offers less.
 */
void insp_complete(const struct insp_session *session, const char *before, const char *word,
		   struct insp_pool *pool, struct insp_words *ret, bool *ret_files);

#endif
