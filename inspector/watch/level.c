/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch/level.h"

#include <string.h>

#include "base/fmt.h"

int insp_threshold_parse(const char *text, struct insp_threshold *ret, struct insp_error *err)
{
	struct insp_threshold t = {0};
	size_t n = strlen(text);
	double percent;
	int rc;

	if (n && text[n - 1] == '%') {
		rc = insp_parse_percent(text, &percent, err);
		if (rc)
			return rc;
		if (!(percent > 0 && percent <= 100))
			return insp_fail(err, INSP_E_USAGE,
					 "'%s': a share of the limit, above 0 and up to 100 %%",
					 text);
		t.share = percent / 100;
	} else {
		rc = insp_parse_size(text, &t.bytes, err);
		if (rc)
			return rc;
		if (!t.bytes)
			return insp_fail(err, INSP_E_USAGE,
					 "'%s': a threshold of nothing is always crossed", text);
	}
	*ret = t;
	return 0;
}

uint64_t insp_threshold_bytes(const struct insp_threshold *threshold, uint64_t limit)
{
	if (threshold->bytes)
		return threshold->bytes;
	return limit == INSP_UNKNOWN ? INSP_UNKNOWN : (uint64_t)(threshold->share * (double)limit);
}

static bool above(const struct insp_leveler *l, const struct insp_threshold *t)
{
	uint64_t bytes = insp_threshold_bytes(t, l->of);

	return l->used != INSP_UNKNOWN && bytes != INSP_UNKNOWN && l->used > bytes;
}

static bool used_for_panic(const struct insp_leveler *l)
{
	return l->used != INSP_UNKNOWN && l->of != INSP_UNKNOWN && l->of &&
	       (double)l->used > INSP_PANIC_USED * (double)l->of;
}

static enum insp_level judge(struct insp_leveler *l)
{
	if (!used_for_panic(l))
		l->nwalks = 0;
	if (l->nwalks >= INSP_PANIC_WALKS)
		l->level = INSP_LEVEL_PANIC;
	else if (above(l, &l->crit))
		l->level = INSP_LEVEL_CRIT;
	else
		l->level = above(l, &l->warn) ? INSP_LEVEL_WARN : INSP_LEVEL_OK;
	return l->level;
}

enum insp_level insp_leveler_sample(struct insp_leveler *l, const struct insp_sample *sample)
{
	l->used = insp_sample_used(sample);
	l->of = sample->limit;
	if (l->limit) { /* somebody's own limit is one of RSS */
		l->used = sample->rss;
		l->of = l->limit;
	}
	return judge(l);
}

enum insp_level insp_leveler_walk(struct insp_leveler *l, const struct insp_walkstat *walk)
{
	bool held = walk->releasable != INSP_UNKNOWN && walk->sys &&
		    (double)walk->releasable < INSP_PANIC_RELEASABLE * (double)walk->sys;

	if (!held || !used_for_panic(l)) {
		l->nwalks = 0;
	} else if (!l->nwalks || walk->in_use < l->last_in_use) {
		l->nwalks = 1;
		l->last_walk_ns = walk->at_ns;
		l->last_in_use = walk->in_use;
	} else if (walk->at_ns >= l->last_walk_ns + INSP_PANIC_APART_NS) {
		l->nwalks += l->nwalks < INSP_PANIC_WALKS;
		l->last_walk_ns = walk->at_ns;
		l->last_in_use = walk->in_use;
	}
	return judge(l);
}

const char *insp_level_key(enum insp_level level)
{
	static const char *const keys[] = {"ok", "warn", "crit", "panic"};

	return keys[level];
}

const char *insp_level_title(enum insp_level level)
{
	static const char *const titles[] = {"OK", "WARNING", "CRITICAL", "PANIC"};

	return titles[level];
}

enum insp_level insp_level_find(const char *key)
{
	int level = 0;

	while (level < INSP_N_LEVELS && strcmp(key, insp_level_key((enum insp_level)level)) != 0)
		level++;
	return (enum insp_level)level;
}
