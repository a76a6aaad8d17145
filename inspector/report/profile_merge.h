/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * profile_merge: several profiles of one process added up, stack by stack: what many looks at its threads
 * come to, or, with a factor of -1, what changed between two.
 */
#ifndef INSP_REPORT_PROFILE_MERGE_H
#define INSP_REPORT_PROFILE_MERGE_H

#include "report/profile.h"

struct insp_profile_merger;

/* Owns its strings. NULL when memory is short. destroy accepts NULL. */
struct insp_profile_merger *insp_profile_merger_create(void);
void insp_profile_merger_destroy(struct insp_profile_merger *merger);

/*
 * Adds each sample's values times factor. The first profile gives title, types and mappings; all must be of
 * one run of the program, for code is compared by address, places without code by name. Labels count as
 * part of the stack.
 */
int insp_profile_merger_add(struct insp_profile_merger *merger, const struct insp_profile *profile,
			    int64_t factor, struct insp_error *err) insp_must_check;

/* The sum so far: a view; what it has may be changed. */
struct insp_profile *insp_profile_merger_sum(struct insp_profile_merger *merger);
/* Drops samples whose values are all zero. */
void insp_profile_drop_zeroes(struct insp_profile *profile);

#endif
