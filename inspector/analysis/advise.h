/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * advise: what the figures of books, pages and pins mean, in plain words, each with its evidence.
 *
 * Pure rules over what the other analyses found: advise.c has one function a rule. To add one: write it
 * and put it into the table there.
 */
#ifndef INSP_ANALYSIS_ADVISE_H
#define INSP_ANALYSIS_ADVISE_H

#include "base/error.h"
#include "snapshot/snapshot.h"

struct insp_advice {
	const char *code;	/* stable: "too_many_arenas" */
	enum insp_severity severity; /* NOTE: worth knowing; WARNING: worth acting on */
	const char *verdict;	/* one line */
	const char *evidence;	/* the figures it rests on */
	const char *attempt;	/* what to try; NULL: nothing */
	const char *see;	/* command that shows more; NULL */
	uint64_t bytes;		/* that it is about */
};

struct insp_advices {
	struct insp_advice *items; /* most bytes first, warnings before notes */
	size_t n, cap;
};

/* What leaks found, if it was asked; zero otherwise. */
struct insp_advise_leaks {
	bool known;
	uint64_t lost_bytes, lost_chunks; /* definitely, and what hangs on them */
};

/* How a site is called; a view that lives until the advice is asked for no more. */
struct insp_advise_names {
	const char *(*site)(void *ctx, uint32_t site);
	void *ctx;
};

/* Fills ret; strings live in pool, items are freed by deinit. At least one. names NULL: sites have
 * none. */
int insp_advise(const struct insp_snapshot *snapshot, const struct insp_advise_leaks *leaks,
		const struct insp_advise_names *names, struct insp_pool *pool,
		struct insp_advices *ret, struct insp_error *err) insp_must_check;
void insp_advices_deinit(struct insp_advices *advices);

#endif
