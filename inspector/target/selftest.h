/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * selftest: what this machine, this kernel and this user allow, found out by trying it on
 * ourselves. A version number proves nothing: features are compiled out, and soft-dirty even
 * accepts the request and then never sets a bit.
 */
#ifndef INSP_TARGET_SELFTEST_H
#define INSP_TARGET_SELFTEST_H

#include <stddef.h>

enum insp_verdict {
	INSP_VERDICT_YES,
	INSP_VERDICT_LIMITED, /* works, with less than one could wish */
	INSP_VERDICT_NO,
};

struct insp_check {
	const char *key;   /* stable, snake_case */
	const char *what;  /* for people */
	enum insp_verdict verdict;
	char text[256];	   /* why, and what it means; one line */
};

#define INSP_SELFTEST_MAX 16

/* Fills at most INSP_SELFTEST_MAX checks, returns how many. Takes some milliseconds. */
size_t insp_selftest(struct insp_check *ret);

#endif
