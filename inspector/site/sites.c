/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sites: what can be asked about recorded stacks and blocks, and their join with the chunks that the
 * walk found. Knows nothing of where they came from.
 */
#include "site/sites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <meminspect/hook_format.h>

struct insp_sites *insp_sites_create(void)
{
	return calloc(1, sizeof(struct insp_sites));
}

void insp_sites_destroy(struct insp_sites *sites)
{
	if (!sites)
		return;
	free(sites->frames);
	free(sites->items);
	free(sites->records);
	free(sites->tids);
	free(sites->chunk_sites);
	free(sites);
}

double insp_sites_weight(const struct insp_sites *sites, uint64_t size_bytes)
{
	double p;

	if (!sites->sampled || !sites->sample_bytes)
		return 1;
	p = -expm1(-(double)size_bytes / (double)sites->sample_bytes);
	return p > 0 ? 1 / p : 1;
}

uint32_t insp_site_record_seconds(const struct insp_site_record *record)
{
	uint32_t mantissa = record->time & ((1u << INSP_HOOK_MANTISSA) - 1);
	uint32_t exponent = (uint32_t)record->time >> INSP_HOOK_MANTISSA;

	return exponent > 17 ? UINT32_MAX : mantissa << exponent;
}

size_t insp_sites_stack(const struct insp_sites *sites, uint32_t site, uint64_t *ret_pcs, size_t max,
			uint64_t *ret_mark)
{
	size_t n = 0;

	*ret_mark = 0;
	if (site >= sites->n)
		return 0;
	/* A parent is a smaller number, so this ends. */
	for (uint32_t f = sites->items[site].frame; f; f = sites->frames[f].parent) {
		uint64_t pc = sites->frames[f].pc;

		if (pc == INSP_HOOK_PC_LOST || pc == INSP_HOOK_PC_TRUNCATED) {
			*ret_mark = pc;
			break;
		}
		if (n == max) {
			*ret_mark = INSP_HOOK_PC_TRUNCATED;
			break;
		}
		ret_pcs[n++] = pc;
	}
	return n;
}

/* The first record at addr or behind. */
static size_t first_from(const struct insp_sites *sites, uint64_t addr)
{
	size_t low = 0, high = sites->nrecords;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sites->records[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct insp_site_record *insp_sites_record_at(const struct insp_sites *sites, uint64_t addr)
{
	size_t i = first_from(sites, addr);

	return i < sites->nrecords && sites->records[i].addr == addr ? &sites->records[i] : NULL;
}

const struct insp_site_record *insp_sites_record_of(const struct insp_sites *sites,
						    const struct insp_chunk *c)
{
	size_t i = first_from(sites, c->mem);

	return i < sites->nrecords && sites->records[i].addr - c->mem < c->usable ? &sites->records[i] : NULL;
}

static void add_up(struct insp_sites *sites)
{
	for (size_t i = 0; i < sites->n; i++)
		sites->items[i].live = sites->items[i].live_bytes = 0;
	for (size_t i = 0; i < sites->nrecords; i++) {
		const struct insp_site_record *r = &sites->records[i];
		double weight = insp_sites_weight(sites, r->size_bytes);

		sites->items[r->site].live += weight;
		if (!r->from_end && !r->size_unknown)
			sites->items[r->site].live_bytes += weight * (double)r->size_bytes;
	}
}

int insp_sites_join(struct insp_sites *sites, const struct insp_chunks *chunks, struct insp_error *err)
{
	size_t hint = 0, kept = 0;

	if (!sites->nrecords || !chunks->n) {
		add_up(sites);
		return 0;
	}
	free(sites->chunk_sites);
	sites->chunk_sites = calloc(chunks->n, sizeof(*sites->chunk_sites));
	if (!sites->chunk_sites)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the sites of the chunks");
	sites->nchunks = chunks->n;
	for (size_t i = 0; i < sites->nrecords; i++) {
		struct insp_site_record r = sites->records[i];
		int64_t id = insp_chunks_owner(chunks, r.addr, &hint);
		struct insp_chunk c;

		if (id < 0 || !insp_chunk_state_live(insp_chunks_state(chunks, (uint32_t)id)) ||
		    sites->chunk_sites[id]) {
			sites->unmatched++;
			continue;
		}
		if (r.from_end) {
			/* An aligned block in a mapping of its own starts inside of its chunk. */
			insp_chunks_get(chunks, (uint32_t)id, &c);
			uint64_t room = c.mem + c.usable - r.addr;

			r.size_unknown |= r.size_bytes > room;
			r.size_bytes = r.size_unknown ? 0 : room - r.size_bytes;
			r.from_end = 0;
		}
		sites->chunk_sites[id] = r.site;
		sites->records[kept++] = r;
	}
	sites->nrecords = kept;
	add_up(sites);
	return 0;
}
