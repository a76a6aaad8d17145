/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analysis/census.h"

#include "base/log.h"

#define EXACT_MAX  1024u
#define EXACT_STEP 16u
#define ASK_EVERY  (1u << 16)

unsigned insp_size_class(uint64_t size)
{
	unsigned log2, quarter;

	if (size < EXACT_MAX)
		return (unsigned)(size / EXACT_STEP);
	log2 = 63u - (unsigned)__builtin_clzll(size);
	quarter = (unsigned)(size >> (log2 - 2)) & 3;
	return EXACT_MAX / EXACT_STEP + (log2 - 10) * 4 + quarter;
}

uint64_t insp_size_class_min(unsigned size_class)
{
	unsigned k;

	if (size_class <= EXACT_MAX / EXACT_STEP)
		return (uint64_t)size_class * EXACT_STEP;
	k = size_class - EXACT_MAX / EXACT_STEP;
	if (k / 4 + 10 > 63)
		return UINT64_MAX;
	return (UINT64_C(4) + k % 4) << (k / 4 + 10 - 2);
}

static void tally_add(struct insp_tally *t, uint64_t count, uint64_t bytes)
{
	t->count += count;
	t->bytes += bytes;
}

int insp_census_take(const struct insp_snapshot *snapshot, struct insp_pool *pool,
		     struct insp_census *ret, struct insp_error *err)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint32_t seen = 0;

	*ret = (struct insp_census){0};
	ret->arenas = insp_pool_array(pool, snapshot->arenas.n + 1, sizeof(*ret->arenas));
	if (!ret->arenas)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the arenas' figures");
	insp_chunks_each(snapshot->chunks, it, c) {
		struct insp_size_row *row = &ret->sizes[insp_size_class(c.size)];

		if (++seen % ASK_EVERY == 0) {
			insp_progress("counting chunks", seen, snapshot->chunks->n);
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		}
		if (c.arena < snapshot->arenas.n)
			tally_add(&ret->arenas[c.arena][c.state], 1, c.size);
		if (insp_chunk_state_live(c.state)) {
			tally_add(&row->live, 1, c.size);
		} else if (insp_chunk_state_free(c.state) && c.state != INSP_CHUNK_TOP) {
			tally_add(&row->free, 1, c.size);
			if (c.size > ret->largest_free)
				ret->largest_free = c.size;
		}
	}
	for (size_t a = 0; a < snapshot->arenas.n; a++)
		for (unsigned s = 0; s < INSP_N_CHUNK_STATES; s++)
			tally_add(&ret->total[s], ret->arenas[a][s].count, ret->arenas[a][s].bytes);
	return 0;
}

static struct insp_tally sum(const struct insp_tally *states, bool (*wanted)(enum insp_chunk_state))
{
	struct insp_tally t = {0};

	for (unsigned s = 0; s < INSP_N_CHUNK_STATES; s++)
		if (!wanted || wanted((enum insp_chunk_state)s))
			tally_add(&t, states[s].count, states[s].bytes);
	return t;
}

struct insp_tally insp_tally_live(const struct insp_tally states[INSP_N_CHUNK_STATES])
{
	return sum(states, insp_chunk_state_live);
}

struct insp_tally insp_tally_free(const struct insp_tally states[INSP_N_CHUNK_STATES])
{
	return sum(states, insp_chunk_state_free);
}

struct insp_tally insp_tally_all(const struct insp_tally states[INSP_N_CHUNK_STATES])
{
	return sum(states, NULL);
}
