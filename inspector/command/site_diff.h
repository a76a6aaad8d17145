/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * site_diff: what changed between two snapshots, by who allocated it. Stacks are compared by the names
 * of their functions: addresses differ from one start of a program to the next.
 */
#ifndef INSP_COMMAND_SITE_DIFF_H
#define INSP_COMMAND_SITE_DIFF_H

#include "analysis/groups.h"
#include "command/command.h"
#include "report/profile.h"

/* Groups by place, in use. *ret_profile (gives): the change, now minus base, stack by stack. */
int insp_site_diff(struct insp_context *ctx, const struct insp_snapshot *base, struct insp_groups *ret_then,
		   struct insp_groups *ret_now, struct insp_profile **ret_profile, struct insp_error *err)
	insp_must_check;

#endif
