/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * finding: something odd in the target's heap. Data, not an error: it goes into the snapshot and
 * into every report it bears on.
 */
#ifndef INSP_MODEL_FINDING_H
#define INSP_MODEL_FINDING_H

#include <stddef.h>
#include <stdint.h>

enum insp_severity {
	INSP_NOTE,	/* worth knowing: an arena was locked when the process stopped */
	INSP_WARNING,	/* figures are incomplete: a page was swapped out */
	INSP_CORRUPTION /* bytes break malloc's own rules */
};

struct insp_finding {
	enum insp_severity severity;
	const char *code;  /* stable, snake_case: "bad_size", "list_loop", "arena_locked" */
	uint64_t addr;	   /* 0: none */
	const char *text;  /* one line for people; view into the snapshot's pool */
};

struct insp_findings {
	struct insp_finding *items;
	size_t n, cap;
	size_t dropped;	   /* beyond INSP_FINDINGS_MAX */
};

#define INSP_FINDINGS_MAX 10000

#endif
