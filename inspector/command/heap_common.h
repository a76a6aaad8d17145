/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heap_common: what several heap commands say in the same words.
 */
#ifndef INSP_COMMAND_HEAP_COMMON_H
#define INSP_COMMAND_HEAP_COMMON_H

#include "command/command.h"

/* The list "allocators": what was recognised, how surely, and what was not walked. */
void insp_report_allocators(struct insp_report *report, const struct insp_snapshot *snapshot,
			    struct insp_pool *pool);

/* The table "findings", worst first, at most limit rows (0: all). */
void insp_report_findings(struct insp_report *report, const struct insp_snapshot *snapshot,
			  size_t limit, const char *empty);

/* A note when most of the process's memory is outside of what was walked: for who looks for it here. */
void insp_report_elsewhere(struct insp_report *report, const struct insp_snapshot *snapshot);

/* What the two report, for the tables of a command. */
extern const struct insp_table insp_allocators_doc, insp_findings_doc;

/* The arena of a name ("main", "arena 3", "3", "mmapped"); INSP_E_USAGE names what there is. */
int insp_arena_find(const struct insp_snapshot *snapshot, const char *name, uint32_t *ret,
		    struct insp_error *err) insp_must_check;

/* "in use, 48 bytes at 0x..., arena main" for a chunk; "stack of thread 12 (worker)" and so on for
   other addresses, with symbols (may be NULL). View in pool, never NULL unless memory is short. */
const char *insp_describe_addr(const struct insp_snapshot *snapshot, struct insp_symbols *symbols,
			       struct insp_pool *pool, uint64_t addr);

/* The thread whose stack mapping holds addr, or NULL. */
const struct insp_thread *insp_thread_of_stack(const struct insp_snapshot *snapshot, uint64_t addr);

#endif
