/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/site_diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "command/other.h"
#include "command/site_profile.h"

#define CALLERS 2

static int profile_of(struct insp_context *ctx, struct insp_profile **ret, struct insp_error *err)
{
	const struct insp_sites *sites;
	int rc = insp_sites_wanted(ctx->snapshot, &sites, err);

	return rc ? rc : insp_heap_profile(ctx, sites, ret, NULL, err);
}

static int profile_of_base(struct insp_context *ctx, const struct insp_snapshot *base,
			   struct insp_profile **ret, struct insp_error *err)
{
	struct insp_pool *own;
	struct insp_other other;
	int rc = insp_other_open(&other, base, false, err);

	if (rc)
		return rc;
	own = other.ctx.pool;
	other.ctx.pool = ctx->pool; /* the profile's names outlive it */
	rc = profile_of(&other.ctx, ret, err);
	other.ctx.pool = own;
	insp_other_close(&other);
	if (rc)
		insp_error_prefix(err, "the base");
	return rc;
}

static uint64_t positive(int64_t v)
{
	return v > 0 ? (uint64_t)v : 0;
}

static int groups_of(const struct insp_profile *p, struct insp_pool *pool, struct insp_groups *ret,
		     struct insp_error *err)
{
	struct insp_groups g = {.items = insp_pool_array(pool, p->samples.n + 1, sizeof(*g.items))};

	if (!g.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for groups");
	g.cap = p->samples.n + 1;
	for (size_t i = 0; i < p->samples.n; i++) {
		const struct insp_profile_sample *s = &p->samples.items[i];
		const char *place = insp_pool_strdup(pool, insp_profile_place(p, s, CALLERS));

		if (!place)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for groups");
		if (s->values[INSP_HEAP_INUSE_OBJECTS] > 0 || s->values[INSP_HEAP_INUSE_SPACE] > 0)
			g.items[g.n++] = (struct insp_group){
				.key = place,
				.count = positive(s->values[INSP_HEAP_INUSE_OBJECTS]),
				.bytes = positive(s->values[INSP_HEAP_INUSE_SPACE]),
			};
	}
	insp_groups_merge(&g);
	*ret = g;
	return 0;
}

/* A stack as one string of names; equal ones are the same place in two starts of the program. */
struct named {
	const char *key;
	size_t sample;
};

static const char *key_of(const struct insp_profile *p, const struct insp_profile_sample *s,
			  struct insp_pool *pool)
{
	struct insp_str str = {0};
	const char *key;

	for (uint32_t k = 0; k < s->nlocations; k++) {
		uint32_t at = p->stacks.items[s->first_location + k];
		const struct insp_profile_location *l = &p->locations.items[at];

		for (uint32_t f = 0; f < l->nframes; f++) {
			const struct insp_profile_frame *frame = &p->frames.items[l->first_frame + f];

			insp_str_addf(&str, "%s:%u;", frame->function ? frame->function : "?", frame->line);
		}
		if (!l->nframes)
			insp_str_addf(&str, "%s;", insp_profile_location_name(p, at));
	}
	key = insp_str_ok(&str) ? insp_pool_strdup(pool, insp_str_text(&str)) : NULL;
	insp_str_deinit(&str);
	return key;
}

static int named_compare(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->key, ((const struct named *)b)->key);
}

static struct named *name_all(const struct insp_profile *p, struct insp_pool *pool)
{
	struct named *all = insp_pool_array(pool, p->samples.n + 1, sizeof(*all));

	for (size_t i = 0; all && i < p->samples.n; i++) {
		all[i] = (struct named){key_of(p, &p->samples.items[i], pool), i};
		if (!all[i].key)
			return NULL;
	}
	if (all && p->samples.n)
		qsort(all, p->samples.n, sizeof(*all), named_compare);
	return all;
}

/* The base's stacks with what they had taken away, by names alone. */
static int subtract(struct insp_profile *p, const struct insp_profile *base, struct insp_pool *pool,
		    struct insp_error *err)
{
	uint32_t *known = insp_pool_array(pool, base->locations.n + 1, sizeof(*known));
	size_t nnow = p->samples.n;
	struct named *now = name_all(p, pool);

	if (!known || !now)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	for (uint32_t i = 0; i < base->locations.n; i++) {
		const struct insp_profile_location *l = &base->locations.items[i];

		known[i] = insp_profile_add_location(p, 0, 0);
		for (uint32_t f = 0; f < l->nframes; f++) {
			const struct insp_profile_frame *frame = &base->frames.items[l->first_frame + f];

			insp_profile_add_frame(p, frame->function, frame->file, frame->line);
		}
		if (!l->nframes)
			insp_profile_add_frame(p, insp_profile_location_name(base, i), NULL, 0);
	}
	for (size_t i = 0; i < base->samples.n; i++) {
		const struct insp_profile_sample *from = &base->samples.items[i];
		const struct named key = {key_of(base, from, pool), 0}, *same;
		struct insp_profile_sample *to;

		if (!key.key)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
		same = nnow ? bsearch(&key, now, nnow, sizeof(*now), named_compare) : NULL;
		to = same ? &p->samples.items[same->sample] : insp_profile_add_sample(p);
		for (size_t t = 0; t < p->ntypes; t++)
			to->values[t] -= from->values[t];
		for (uint32_t k = 0; k < from->nlocations && !same; k++)
			insp_profile_push(p, known[base->stacks.items[from->first_location + k]]);
	}
	return insp_profile_ok(p, err);
}

int insp_site_diff(struct insp_context *ctx, const struct insp_snapshot *base, struct insp_groups *ret_then,
		   struct insp_groups *ret_now, struct insp_profile **ret_profile, struct insp_error *err)
{
	struct insp_profile *then, *now;
	int rc = profile_of_base(ctx, base, &then, err);

	if (rc)
		return rc;
	rc = profile_of(ctx, &now, err);
	if (rc) {
		insp_profile_destroy(then);
		return rc;
	}
	rc = groups_of(then, ctx->pool, ret_then, err);
	if (!rc)
		rc = groups_of(now, ctx->pool, ret_now, err);
	if (!rc)
		rc = subtract(now, then, ctx->pool, err);
	insp_profile_destroy(then);
	if (rc) {
		insp_profile_destroy(now);
		return rc;
	}
	now->delta = true;
	*ret_profile = now;
	return 0;
}
