/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * site_join: how much of the heap the hook's records explain.
 */
#ifndef INSP_COMMAND_SITE_JOIN_H
#define INSP_COMMAND_SITE_JOIN_H

#include "report/report.h"
#include "site/sites.h"
#include "snapshot/snapshot.h"

/* The object "recorded", the table "parts", and notes. Wants the chunks of the heap joined with the sites. */
void insp_report_site_join(struct insp_report *report, const struct insp_snapshot *snapshot,
			   const struct insp_sites *sites);

/* Their keys, for documentation. */
extern const struct insp_table insp_site_join_table, insp_site_parts_table;

#endif
