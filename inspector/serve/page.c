/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/page.h"

unsigned insp_page_needs(int hooked)
{
	(void)hooked;
	return INSP_NEED_CHUNKS | INSP_NEED_USAGE | INSP_NEED_STACKS | INSP_NEED_SITES | INSP_NEED_SYMBOLS;
}

struct insp_answer *insp_page_answer(struct insp_context *ctx, struct insp_served *served,
				     struct insp_error *err)
{
	(void)ctx;
	(void)served;
	(void)err;
	return insp_answer_error(200, "meminspect");
}

const char insp_page_script[] = "";
