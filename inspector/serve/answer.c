/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/answer.h"

#include <stdlib.h>

struct insp_answer *insp_answer_create(unsigned status, const char *type)
{
	struct insp_answer *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	atomic_init(&a->refs, 1);
	a->status = status;
	a->type = type;
	return a;
}

struct insp_answer *insp_answer_error(unsigned status, const char *fmt, ...)
{
	struct insp_answer *a = insp_answer_create(status, INSP_TYPE_TEXT);
	va_list ap;

	if (!a)
		return NULL;
	a->pprof_error = true;
	va_start(ap, fmt);
	insp_str_vaddf(&a->body, fmt, ap);
	va_end(ap);
	insp_str_addc(&a->body, '\n');
	return a;
}

struct insp_answer *insp_answer_ref(struct insp_answer *answer)
{
	atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
	return answer;
}

void insp_answer_unref(struct insp_answer *answer)
{
	if (!answer || atomic_fetch_sub_explicit(&answer->refs, 1, memory_order_acq_rel) != 1)
		return;
	insp_str_deinit(&answer->body);
	free(answer);
}
