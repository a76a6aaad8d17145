/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * site_join: two who know the heap, side by side: the walk, which sees each block whoever made it, and
 * the hook, which knows who made some. Each part of the difference is a line of its own.
 *
 * Two measures of a block must not be mixed: the bytes that were asked for, which the hook counts, and
 * the bytes that malloc made of them, which the walk sees. Only the second add up to the heap.
 */
#include "command/site_join.h"

#include <inttypes.h>

static const struct insp_column columns[] = {
	{"mode", NULL, INSP_T_STR, 0, "every allocation, or samples: then figures are estimates"},
	{"sample_bytes", NULL, INSP_T_BYTES, 0, "sampled: mean distance of two samples"},
	{"samples", NULL, INSP_T_COUNT, 0, "sampled: live blocks that were drawn"},
	{"inuse_bytes", NULL, INSP_T_BYTES, 0, "in use by the hook, as asked for; sampled: estimated"},
	{"inuse_objects", NULL, INSP_T_COUNT, 0, "blocks in use by the hook; sampled: estimated"},
	{"walked_bytes", NULL, INSP_T_BYTES, 0, "in use by the walk, all that the blocks can hold"},
	{"walked_objects", NULL, INSP_T_COUNT, 0, "blocks in use by the walk"},
	{"attributed_bytes", NULL, INSP_T_BYTES, 0, "of walked_bytes: blocks with a record"},
	{"attributed_objects", NULL, INSP_T_COUNT, 0, "blocks with a record"},
	{"unseen_bytes", NULL, INSP_T_BYTES, 0,
	 "of walked_bytes, full mode: the hook did not see them: from before it, or of libc itself"},
	{"unseen_objects", NULL, INSP_T_COUNT, 0, "such blocks"},
	{"not_drawn_bytes", NULL, INSP_T_BYTES, 0,
	 "of walked_bytes, sampled: not drawn, or from before the hook"},
	{"not_drawn_objects", NULL, INSP_T_COUNT, 0, "such blocks"},
	{"foreign_bytes", NULL, INSP_T_BYTES, 0,
	 "of walked_bytes: in the heap of an allocator that the hook does not serve"},
	{"foreign_objects", NULL, INSP_T_COUNT, 0, "such blocks"},
	{"estimate_share", NULL, INSP_T_RATIO, 0, "sampled: inuse_bytes by walked_bytes without foreign ones"},
};
const struct insp_table insp_site_join_table = INSP_TABLE("recorded", NULL, columns, NULL);

struct part {
	uint64_t bytes, objects;
};

struct join {
	struct part walked, attributed, missing, foreign;
};

static void add(struct part *p, const struct insp_chunk *c)
{
	p->bytes += c->usable;
	p->objects++;
}

static uint32_t allocator_of(const struct insp_snapshot *snap, const struct insp_chunk *c)
{
	return c->arena < snap->arenas.n ? snap->arenas.items[c->arena].allocator : 0;
}

/* The hook serves one allocator: that of the blocks on record. UINT32_MAX: there are none. */
static uint32_t served(const struct insp_snapshot *snap, const struct insp_sites *sites)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;

	if (sites->chunk_sites)
		insp_chunks_each(snap->chunks, it, c)
			if (c.id < sites->nchunks && sites->chunk_sites[c.id])
				return allocator_of(snap, &c);
	return UINT32_MAX;
}

static struct join join(const struct insp_snapshot *snap, const struct insp_sites *sites)
{
	uint32_t allocator = served(snap, sites);
	struct join j = {.walked.bytes = 0};
	struct insp_chunk_iter it;
	struct insp_chunk c;

	insp_chunks_each(snap->chunks, it, c) {
		if (!insp_chunk_state_live(c.state))
			continue;
		add(&j.walked, &c);
		if (sites->chunk_sites && c.id < sites->nchunks && sites->chunk_sites[c.id])
			add(&j.attributed, &c);
		else if (allocator != UINT32_MAX && allocator_of(snap, &c) != allocator)
			add(&j.foreign, &c);
		else
			add(&j.missing, &c);
	}
	return j;
}

static void report_part(struct insp_report *r, const char *bytes_key, const char *objects_key,
			const struct part *p)
{
	insp_field_u64(r, bytes_key, NULL, INSP_T_BYTES, p->bytes);
	insp_field_u64(r, objects_key, NULL, INSP_T_COUNT, p->objects);
}

/* The same for people: a line each. */
static const struct insp_column part_columns[] = {
	{"part", "", INSP_T_STR, 0, "what it is"},
	{"part_bytes", "bytes", INSP_T_BYTES, 0, "one of the figures of `recorded`"},
	{"part_objects", "blocks", INSP_T_COUNT, 0, "one of the figures of `recorded`"},
};
const struct insp_table insp_site_parts_table = INSP_TABLE("parts", NULL, part_columns, NULL);

static void part_row(struct insp_report *r, const char *name, const struct part *p)
{
	insp_cell_str(r, name);
	insp_cell_u64(r, p->bytes);
	insp_cell_u64(r, p->objects);
	insp_row_end(r);
}

static void report_notes(struct insp_report *r, const struct insp_sites *sites, const struct join *j)
{
	if (!sites->sampled && j->missing.objects)
		insp_note(r, INSP_NOTE, "not_recorded",
			  "not seen by the hook: what was allocated before it started, by libc for itself, or "
			  "in a signal handler that interrupted it");
	if (sites->dropped || sites->nested)
		insp_note(r, INSP_WARNING, "dropped",
			  "the hook dropped %" PRIu64 " events because a table was full or memory was short, "
			  "and %" PRIu64 " in signal handlers", sites->dropped, sites->nested);
	if (sites->unmatched)
		insp_note(r, INSP_NOTE, "unmatched",
			  "%" PRIu64 " records fit no chunk in use: caught in the middle of a call, or the "
			  "walk did not come there",
			  sites->unmatched);
	if (sites->damaged)
		insp_note(r, INSP_WARNING, "damaged",
			  "%" PRIu64 " entries of the hook's tables make no sense and were left out",
			  sites->damaged);
}

void insp_report_site_join(struct insp_report *r, const struct insp_snapshot *snap,
			   const struct insp_sites *sites)
{
	struct join j = join(snap, sites);
	uint64_t served_bytes = j.walked.bytes - j.foreign.bytes;
	struct part hook;
	double bytes = 0, objects = 0;

	for (size_t i = 1; i < sites->n; i++) {
		bytes += sites->items[i].live_bytes;
		objects += sites->items[i].live;
	}
	insp_object_begin(r, "recorded", "How much of the heap that is");
	insp_field_str(r, "mode", "hook", sites->sampled ? "sampled: estimates" : "every allocation");
	if (sites->sampled) {
		insp_field_u64(r, "sample_bytes", "one sample in", INSP_T_BYTES, sites->sample_bytes);
		insp_field_u64(r, "samples", "live samples", INSP_T_COUNT, sites->nrecords);
	}
	hook = (struct part){(uint64_t)(bytes + 0.5), (uint64_t)(objects + 0.5)};
	report_part(r, "inuse_bytes", "inuse_objects", &hook);
	report_part(r, "walked_bytes", "walked_objects", &j.walked);
	report_part(r, "attributed_bytes", "attributed_objects", &j.attributed);
	report_part(r, sites->sampled ? "not_drawn_bytes" : "unseen_bytes",
		    sites->sampled ? "not_drawn_objects" : "unseen_objects", &j.missing);
	report_part(r, "foreign_bytes", "foreign_objects", &j.foreign);
	if (sites->sampled && served_bytes)
		insp_field_f64(r, "estimate_share", "estimate by walk", INSP_T_RATIO,
			       bytes / (double)served_bytes);
	insp_object_end(r);
	insp_table_begin(r, &insp_site_parts_table);
	part_row(r, sites->sampled ? "asked for, estimated by the hook" : "asked for, by the hook", &hook);
	part_row(r, "in use, by the walk", &j.walked);
	part_row(r, sites->sampled ? "- drawn" : "- on record", &j.attributed);
	part_row(r, sites->sampled ? "- not drawn, or from before the hook"
				   : "- not seen: before the hook, or of libc itself",
		 &j.missing);
	part_row(r, "- of other allocators", &j.foreign);
	insp_table_end(r);
	report_notes(r, sites, &j);
}
