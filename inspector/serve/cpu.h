/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cpu: where the CPU time goes, from looks at all threads some milliseconds apart.
 *
 * The kernel says how much each thread has used; a look says where it stood, and whether it ran. What a
 * thread has used since is laid to the place where it is next seen running. So the sum is the kernel's,
 * and only its distribution is an estimate; what was used by threads that were never seen running has
 * a line of its own.
 */
#ifndef INSP_SERVE_CPU_H
#define INSP_SERVE_CPU_H

#include "report/profile.h"
#include "snapshot/snapshot.h"

struct insp_cpu_book;

struct insp_cpu_book *insp_cpu_book_create(void); /* NULL when memory is short */
void insp_cpu_book_destroy(struct insp_cpu_book *book); /* accepts NULL */

/* profile: of the snapshot's threads, one sample each in their order. Becomes what they used since. */
int insp_cpu_book_look(struct insp_cpu_book *book, const struct insp_snapshot *snapshot,
		       struct insp_profile *profile, struct insp_error *err) insp_must_check;
/* What is left, as a profile (gives) in pool to add to the sum; its comment says how many looks there were. */
int insp_cpu_book_rest(const struct insp_cpu_book *book, struct insp_pool *pool, struct insp_profile **ret,
		       struct insp_error *err) insp_must_check;

#endif
