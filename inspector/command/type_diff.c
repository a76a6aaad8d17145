/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/type_diff.h"

#include "base/log.h"
#include "command/other.h"
#include "command/typing.h"

/* Only what the bytes told: the rest is told anew by who reads the file. */
static int note_chunks(struct insp_context *ctx, struct insp_pool *pool, struct insp_typing *typing,
		       struct insp_type_sums *sums, struct insp_error *err)
{
	const size_t n = insp_typing_count(typing);
	uint32_t *item_of = insp_pool_array(pool, n + 1, sizeof(*item_of)), item = 0;
	struct insp_chunk_iter it;
	struct insp_chunk c;

	sums->ntype_of = ctx->snapshot->chunks->n;
	sums->type_of = insp_pool_array(pool, sums->ntype_of + 1, sizeof(*sums->type_of));
	if (!item_of || !sums->type_of)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	for (uint32_t type = 0; type < n; type++) {
		enum insp_type_source source = insp_typing_source(typing, type);

		if (!sums->items[type].count)
			continue;
		item++;
		sums->items[type].text = source == INSP_TYPE_TEXT;
		if (source == INSP_TYPE_TEXT || source == INSP_TYPE_VTABLE)
			item_of[type] = item;
	}
	insp_chunks_each(ctx->snapshot->chunks, it, c) {
		if ((c.id & 0xffff) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (insp_chunk_state_live(c.state))
			sums->type_of[c.id] = item_of[insp_typing_of(typing, &c)];
	}
	return 0;
}

int insp_type_sums_make(struct insp_context *ctx, struct insp_pool *pool, bool with_chunks,
			struct insp_type_sums *ret, struct insp_error *err)
{
	struct insp_type_sums sums = {0};
	struct insp_typing *typing;
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t seen = 0;
	size_t out = 0;
	int rc = insp_typing_create(ctx, true, &typing, err);

	if (rc)
		return rc;
	sums.n = sums.cap = insp_typing_count(typing);
	sums.items = insp_pool_array(pool, sums.n + 1, sizeof(*sums.items));
	if (!sums.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
	insp_chunks_each(ctx->snapshot->chunks, it, c) {
		uint32_t type;

		if ((++seen & 0xffff) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (!insp_chunk_state_live(c.state))
			continue;
		type = insp_typing_of(typing, &c);
		if (type >= sums.n)
			continue;
		sums.items[type].count++;
		sums.items[type].bytes += c.size;
	}
	if (with_chunks)
		rc = note_chunks(ctx, pool, typing, &sums, err);
	if (rc)
		return rc;
	for (uint32_t type = 0; type < sums.n; type++) {
		struct insp_type_sum *sum = &sums.items[out];

		if (!sums.items[type].count)
			continue;
		*sum = sums.items[type];
		sum->name = insp_pool_strdup(pool, insp_typing_name(typing, type));
		if (!sum->name)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for the types of chunks");
		out++;
	}
	sums.n = out;
	*ret = sums;
	return 0;
}

/* Sums as groups; of the same name, one. */
static int groups_of(const struct insp_type_sums *sums, struct insp_pool *pool, struct insp_groups *ret,
		     struct insp_error *err)
{
	struct insp_groups g = {.items = insp_pool_array(pool, sums->n + 1, sizeof(*g.items)),
				.cap = sums->n + 1};

	if (!g.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for groups");
	for (; g.n < sums->n; g.n++)
		g.items[g.n] = (struct insp_group){.key = sums->items[g.n].name,
						   .count = sums->items[g.n].count,
						   .bytes = sums->items[g.n].bytes};
	insp_groups_merge(&g);
	*ret = g;
	return 0;
}

static int make(struct insp_context *ctx, bool rich, struct insp_pool *pool, struct insp_groups *ret,
		struct insp_error *err)
{
	struct insp_context own = *ctx;
	struct insp_snapshot bare = *ctx->snapshot;
	struct insp_type_sums sums = bare.types;
	int rc = 0;

	if (!rich) {
		own.space = NULL;
		bare.types = (struct insp_type_sums){0};
		own.snapshot = &bare;
	}
	/* What was saved is of the instant; bytes that are read now are of a moment later. */
	if (!rich || !sums.items)
		rc = insp_type_sums_make(&own, pool, false, &sums, err);
	return rc ? rc : groups_of(&sums, pool, ret, err);
}

int insp_type_diff(struct insp_context *ctx, const struct insp_snapshot *base, struct insp_groups *ret_then,
		   struct insp_groups *ret_now, const char **ret_note, struct insp_error *err)
{
	bool base_rich = base->types.items || base->contents, now_rich = ctx->snapshot->types.items || ctx->space;
	bool rich = base_rich && now_rich;
	struct insp_other other;
	int rc;

	*ret_note = NULL;
	if (!rich && !base->pointers)
		return insp_fail(err, INSP_E_NOTFOUND,
				 "the base was saved without pointers, and with nothing else to tell types "
				 "by: save --types");
	if (!rich)
		*ret_note = insp_pool_printf(
			ctx->pool,
			"%s has no bytes and was saved without --types: here types are told by debug info "
			"and size alone, on both sides",
			base_rich ? "the later snapshot" : "the base");
	rc = insp_other_open(&other, base, rich, err);
	if (rc)
		return rc;
	rc = make(&other.ctx, rich, ctx->pool, ret_then, err);
	insp_other_close(&other);
	if (rc)
		insp_error_prefix(err, "the base");
	else
		rc = make(ctx, rich, ctx->pool, ret_now, err);
	return rc;
}
