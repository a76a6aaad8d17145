/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * index: answers that need no picture: the list of profiles, the command line, the state for the page.
 */
#ifndef INSP_SERVE_INDEX_H
#define INSP_SERVE_INDEX_H

#include "serve/answer.h"
#include "serve/served.h"

/* Each gives; NULL when memory is short. */
struct insp_answer *insp_index_answer(struct insp_served *served);
struct insp_answer *insp_cmdline_answer(struct insp_served *served);
struct insp_answer *insp_state_answer(struct insp_served *served);

#endif
