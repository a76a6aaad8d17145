/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/profiles.h"

#include <inttypes.h>

#include "analysis/census.h"
#include "base/fmt.h"
#include "base/log.h"
#include "command/site_profile.h"
#include "render/render.h"
#include "report/sink.h"
#include "serve/run_command.h"

#define THREADCREATE_FRAMES 3 /* clone, what libc starts every thread with, and the program's own */

unsigned insp_profile_needs(enum insp_endpoint endpoint, int hooked)
{
	switch (endpoint) {
	case INSP_AT_HEAP:
	case INSP_AT_ALLOCS:
	case INSP_AT_FLAME_HEAP:
		if (hooked < 0)
			return INSP_NEED_SITES | INSP_NEED_CHUNKS | INSP_NEED_SYMBOLS;
		return hooked ? INSP_NEED_SITES | INSP_NEED_SYMBOLS : INSP_NEED_CHUNKS;
	case INSP_AT_GOROUTINE:
	case INSP_AT_THREADS:
	case INSP_AT_THREADCREATE:
	case INSP_AT_PROFILE:
	case INSP_AT_FLAME_THREADS:
		return INSP_NEED_STACKS | INSP_NEED_SYMBOLS;
	default:
		return 0;
	}
}

/* ---- the heap without a hook */

static uint32_t place(struct insp_profile *p, const char *name)
{
	uint32_t l = insp_profile_add_location(p, 0, 0);

	insp_profile_add_frame(p, name, NULL, 0);
	return l;
}

struct class_tally {
	uint64_t count, bytes;
	uint32_t location; /* + 1 */
};

static const char *class_name(struct insp_pool *pool, unsigned c)
{
	char from[INSP_FMT_MAX], to[INSP_FMT_MAX];
	uint64_t min = insp_size_class_min(c), max = insp_size_class_min(c + 1);

	if (max - min <= 16)
		return insp_pool_printf(pool, "chunks of %" PRIu64 " bytes", min);
	return insp_pool_printf(pool, "chunks of %s to %s", insp_fmt_bytes(from, min),
				insp_fmt_bytes(to, max - 1));
}

static void add_classes(struct insp_profile *p, const struct insp_arena *arena, uint32_t heap,
			const struct class_tally *tallies, uint32_t *classes)
{
	uint32_t where = place(p, arena->name);

	for (unsigned c = 0; c < INSP_SIZE_CLASSES; c++) {
		struct insp_profile_sample *s;

		if (!tallies[c].count)
			continue;
		if (!classes[c])
			classes[c] = place(p, class_name(p->pool, c)) + 1;
		s = insp_profile_add_sample(p);
		s->values[0] = (int64_t)tallies[c].count;
		s->values[1] = (int64_t)tallies[c].bytes;
		s->label = (struct insp_profile_label){
			.key = "bytes", .number = (int64_t)insp_size_class_min(c), .unit = "bytes"};
		insp_profile_push(p, classes[c] - 1);
		insp_profile_push(p, where);
		insp_profile_push(p, heap);
	}
}

static int tally(const struct insp_snapshot *snap, struct class_tally *tallies, struct insp_error *err)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	uint64_t n = 0;

	insp_chunks_each(snap->chunks, it, c) {
		struct class_tally *t;

		if ((++n & 0xfffff) == 0 && insp_interrupted())
			return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		if (!insp_chunk_state_live(c.state) || c.arena >= snap->arenas.n)
			continue;
		t = &tallies[(size_t)c.arena * INSP_SIZE_CLASSES + insp_size_class(c.size)];
		t->count++;
		t->bytes += c.size;
	}
	return 0;
}

int insp_walk_profile(struct insp_context *ctx, struct insp_profile **ret, struct insp_error *err)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	struct class_tally *tallies =
		insp_pool_array(ctx->pool, snap->arenas.n * INSP_SIZE_CLASSES + 1, sizeof(*tallies));
	uint32_t *classes = insp_pool_array(ctx->pool, INSP_SIZE_CLASSES, sizeof(*classes)), heap;
	struct insp_profile *p = insp_profile_create(
		ctx->pool, insp_pool_printf(ctx->pool, "heap of %s (%d)", snap->comm ? snap->comm : "?", snap->pid));
	int rc = tallies && classes && p ? tally(snap, tallies, err)
					 : insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");

	if (rc) {
		insp_profile_destroy(p);
		return rc;
	}
	insp_profile_add_type(p, "inuse_objects", "count");
	insp_profile_add_type(p, "inuse_space", "bytes");
	p->default_type = 1;
	p->period_type = (struct insp_profile_type){"space", "bytes"};
	p->period = 1;
	p->time_ns = snap->taken_at_ns;
	p->comment = snap->capture.incomplete
			     ? snap->capture.incomplete
			     : "every chunk in use, by arena and size: start the program with 'meminspect run' for call stacks";
	heap = place(p, "heap");
	for (size_t i = 0; i < snap->arenas.n; i++)
		add_classes(p, &snap->arenas.items[i], heap, &tallies[i * INSP_SIZE_CLASSES], classes);
	rc = insp_profile_ok(p, err);
	if (rc)
		insp_profile_destroy(p);
	else
		*ret = p;
	return rc;
}

/* ---- the endpoints */

/* Valid, and without a sample. */
static int empty_profile(struct insp_context *ctx, struct insp_profile **ret, struct insp_error *err)
{
	struct insp_profile *p = insp_profile_create(ctx->pool, "contentions");

	if (!p)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	insp_profile_add_type(p, "contentions", "count");
	insp_profile_add_type(p, "delay", "nanoseconds");
	p->default_type = 1;
	p->period_type = (struct insp_profile_type){"contentions", "count"};
	p->period = 1;
	p->time_ns = ctx->snapshot->taken_at_ns;
	p->comment = "nobody records how long threads of a C program wait; goroutine?debug=2 says who waits now";
	*ret = p;
	return 0;
}

static void by_start(struct insp_profile *p)
{
	for (size_t i = 0; i < p->samples.n; i++) {
		struct insp_profile_sample *s = &p->samples.items[i];

		if (s->nlocations <= THREADCREATE_FRAMES)
			continue;
		s->first_location += s->nlocations - THREADCREATE_FRAMES;
		s->nlocations = THREADCREATE_FRAMES;
	}
}

static int heap_profile(struct insp_context *ctx, bool allocs, struct insp_profile **ret,
			struct insp_error *err)
{
	const struct insp_sites *sites = ctx->snapshot->sites;
	int rc;

	if (!sites || sites->state != INSP_SITES_RECORDING)
		return insp_walk_profile(ctx, ret, err);
	rc = insp_heap_profile(ctx, sites, ret, NULL, err);
	if (!rc && allocs)
		(*ret)->default_type = INSP_HEAP_ALLOC_SPACE;
	return rc;
}

static int thread_profile(struct insp_context *ctx, const char *name, struct insp_profile **ret,
			  struct insp_error *err)
{
	int rc = insp_threads_profile(ctx, ret, err);

	if (!rc)
		(*ret)->types[0].type = (*ret)->period_type.type = name;
	return rc;
}

int insp_profile_of(struct insp_context *ctx, enum insp_endpoint endpoint, struct insp_profile **ret,
		    struct insp_error *err)
{
	int rc;

	switch (endpoint) {
	case INSP_AT_HEAP:
	case INSP_AT_ALLOCS:
	case INSP_AT_FLAME_HEAP:
		return heap_profile(ctx, endpoint == INSP_AT_ALLOCS, ret, err);
	case INSP_AT_GOROUTINE:
		return thread_profile(ctx, "goroutine", ret, err);
	case INSP_AT_THREADCREATE:
		rc = thread_profile(ctx, "threadcreate", ret, err);
		if (!rc)
			by_start(*ret);
		return rc;
	case INSP_AT_THREADS:
	case INSP_AT_FLAME_THREADS:
	case INSP_AT_PROFILE:
		return insp_threads_profile(ctx, ret, err);
	default:
		return empty_profile(ctx, ret, err);
	}
}

/* ---- as bytes */

int insp_profile_render(const struct insp_profile *profile, const char *name, struct insp_str *ret,
			struct insp_error *err)
{
	const struct insp_renderer *renderer = insp_renderer_find(name);
	struct insp_render_options options = {.utf8 = true};
	struct insp_out out;
	void *state;
	int rc;

	insp_out_init(&out, insp_write_str, ret);
	state = renderer->open(&out, &options);
	rc = state ? renderer->sink->profile(state, profile, err)
		   : insp_fail(err, INSP_E_NOMEM, "out of memory for the answer");
	renderer->close(state);
	if (!rc)
		rc = insp_out_flush(&out, err);
	insp_out_deinit(&out);
	return rc;
}

/* ---- as text */

static void put_stack(const struct insp_profile *p, const struct insp_profile_sample *s, struct insp_str *ret)
{
	insp_str_add(ret, " @");
	for (uint32_t k = 0; k < s->nlocations; k++) {
		uint32_t at = p->stacks.items[s->first_location + k];
		uint64_t addr = p->locations.items[at].addr;

		/* Readers take them for return addresses. A place without code needs some number. */
		insp_str_addf(ret, " %#" PRIx64, addr ? addr + 1 : at + 1);
	}
	insp_str_addc(ret, '\n');
	for (uint32_t k = 0; k < s->nlocations; k++) {
		uint32_t at = p->stacks.items[s->first_location + k];
		const struct insp_profile_location *l = &p->locations.items[at];

		for (uint32_t f = 0; f < (l->nframes ? l->nframes : 1); f++) {
			const struct insp_profile_frame *frame =
				l->nframes ? &p->frames.items[l->first_frame + f] : NULL;

			insp_str_addf(ret, "#\t%#" PRIx64 "\t%s", l->addr ? l->addr + 1 : at + 1,
				      frame && frame->function ? frame->function
							       : insp_profile_location_name(p, at));
			if (frame && frame->file)
				insp_str_addf(ret, "\t%s:%" PRIu32, frame->file, frame->line);
			insp_str_addc(ret, '\n');
		}
	}
	insp_str_addc(ret, '\n');
}

static void put_heap(const struct insp_profile *p, struct insp_str *ret)
{
	/* Where nothing is known of what came and went, readers see it by equal numbers. */
	size_t inuse = p->ntypes == 4 ? INSP_HEAP_INUSE_OBJECTS : 0;
	int64_t sum[4] = {0};

	for (size_t i = 0; i < p->samples.n; i++)
		for (size_t t = 0; t < 4; t++)
			sum[t] += p->samples.items[i].values[t < 2 ? inuse + t : t - 2];
	insp_str_addf(ret, "heap profile: %" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @ heapprofile\n",
		      sum[0], sum[1], sum[2], sum[3]);
	for (size_t i = 0; i < p->samples.n; i++) {
		const int64_t *v = p->samples.items[i].values;

		insp_str_addf(ret, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "]", v[inuse], v[inuse + 1],
			      v[0], v[1]);
		put_stack(p, &p->samples.items[i], ret);
	}
}

static void put_counts(const struct insp_profile *p, const char *name, struct insp_str *ret)
{
	int64_t total = 0;

	for (size_t i = 0; i < p->samples.n; i++)
		total += p->samples.items[i].values[0];
	insp_str_addf(ret, "%s profile: total %" PRId64 "\n", name, total);
	for (size_t i = 0; i < p->samples.n; i++) {
		const struct insp_profile_sample *s = &p->samples.items[i];

		insp_str_addf(ret, "%" PRId64, s->values[0]);
		put_stack(p, s, ret);
	}
}

void insp_profile_text(const struct insp_profile *p, enum insp_endpoint endpoint,
		       const struct insp_regions *regions, struct insp_str *ret)
{
	switch (endpoint) {
	case INSP_AT_HEAP:
	case INSP_AT_ALLOCS:
		put_heap(p, ret);
		break;
	case INSP_AT_MUTEX:
	case INSP_AT_BLOCK:
		insp_str_addf(ret, "--- %s:\ncycles/second=1000000000\n%s",
			      endpoint == INSP_AT_MUTEX ? "mutex" : "contention",
			      endpoint == INSP_AT_MUTEX ? "sampling period=1\n" : "");
		break;
	default:
		put_counts(p, insp_endpoint_name(endpoint), ret);
	}
	if (p->comment)
		insp_str_addf(ret, "# %s\n", p->comment);
	/* Readers of heaps stop at the second line, readers of counts at the first. */
	insp_str_add(ret, "\n--- Memory map: ---\nMAPPED_LIBRARIES:\n");
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];

		if (r->name[0] == '/')
			insp_str_addf(ret, "%08" PRIx64 "-%08" PRIx64 " %c%c%cp %08" PRIx64 " 00:00 %" PRIu64 " %s\n",
				      r->start, r->end, r->prot & INSP_PROT_READ ? 'r' : '-',
				      r->prot & INSP_PROT_WRITE ? 'w' : '-',
				      r->prot & INSP_PROT_EXEC ? 'x' : '-', r->offset, r->inode, r->name);
	}
}
