/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * answer: the bytes of a response and what stands in its head. Shared by all requests that want the
 * same, so it is counted; whoever has made it hands it out unchanged from then on.
 */
#ifndef INSP_SERVE_ANSWER_H
#define INSP_SERVE_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct insp_answer {
	_Atomic unsigned refs;
	unsigned status;	 /* of HTTP */
	const char *type;	 /* Content-Type; static */
	const char *policy;	 /* Content-Security-Policy; static, NULL: the strictest */
	char file[32];		 /* for Content-Disposition; empty: none */
	char location[72];	 /* of a 301; empty: none */
	bool pprof_error;	 /* marked so that `go tool pprof` prints the text */
	uint32_t retry_after_s;	 /* 0: not said */
	uint64_t taken_at_ns;	 /* CLOCK_REALTIME of the picture; 0: no picture in it */
	struct insp_str body;
};

#define INSP_TYPE_TEXT "text/plain; charset=utf-8"
#define INSP_TYPE_HTML "text/html; charset=utf-8"

/* With one reference. NULL when memory is short. */
struct insp_answer *insp_answer_create(unsigned status, const char *type);
/* One line of text: what went wrong. */
struct insp_answer *insp_answer_error(unsigned status, const char *fmt, ...) insp_printf(2, 3);
struct insp_answer *insp_answer_ref(struct insp_answer *answer);
/* The last one frees. Accepts NULL. */
void insp_answer_unref(struct insp_answer *answer);

#endif
