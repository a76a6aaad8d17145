/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * page: the start page of a target: one picture of it, by the commands that show it on the command line.
 */
#ifndef INSP_SERVE_PAGE_H
#define INSP_SERVE_PAGE_H

#include "command/command.h"
#include "serve/answer.h"
#include "serve/served.h"

/* What the picture must have: enum insp_need. */
unsigned insp_page_needs(int hooked);
/* Gives; NULL with err. */
struct insp_answer *insp_page_answer(struct insp_context *ctx, struct insp_served *served,
				     struct insp_error *err);

/* page.js: the same for all. */
extern const char insp_page_script[];

#endif
