/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/site_profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <meminspect/hook_format.h>

#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "symbol/symbols.h"

/* Nothing but the program and what the kernel maps: there is no loader to preload a library. */
static bool is_static(const struct insp_snapshot *snapshot)
{
	size_t n = 0;

	for (size_t i = 0; i < snapshot->modules.n; i++)
		n += snapshot->modules.items[i].path && snapshot->modules.items[i].path[0] == '/';
	return n == 1;
}

/* A program that the hook cannot get into is not told to start with it. */
static int fail_unrecorded(const struct insp_snapshot *snapshot, struct insp_error *err)
{
	const struct insp_allocators *all = &snapshot->allocators;
	bool own = all->n && all->items[0].confidence;

	for (size_t i = 0; i < all->n; i++)
		own &= !all->items[i].walked && strcmp(all->items[i].name, "glibc") != 0;
	if (own)
		return insp_fail(
			err, INSP_E_NOTFOUND,
			"nobody recorded who allocates, and the hook cannot: this is %s, not "
			"malloc of glibc; it may have a profiler of its own",
			all->items[0].title);
	if (is_static(snapshot))
		return insp_fail(
			err, INSP_E_NOTFOUND,
			"nobody recorded who allocates, and the hook cannot: the program is "
			"linked statically");
	return insp_fail(err, INSP_E_NOTFOUND,
			 "nobody recorded who allocates: start the program with "
			 "'meminspect run -- PROGRAM'");
}

int insp_sites_wanted(const struct insp_snapshot *snapshot, const struct insp_sites **ret,
		      struct insp_error *err)
{
	const struct insp_sites *sites = snapshot->sites;

	if (!sites)
		return fail_unrecorded(snapshot, err);
	if (sites->state == INSP_SITES_REFUSED)
		return insp_fail(err, INSP_E_UNSUPPORTED, "%s", sites->why);
	if (sites->state == INSP_SITES_ASIDE)
		return insp_fail(err, INSP_E_NOTFOUND, "the hook is loaded and records nothing: %s",
				 sites->why);
	*ret = sites;
	return 0;
}

/* ---- addresses to locations */

struct builder {
	struct insp_context *ctx;
	struct insp_profile *profile;
	struct insp_frames frames; /* scratch */
	struct slot {
		uint64_t addr;
		uint32_t location; /* + 1 */
	} *slots;
	size_t mask, used;
};

static int builder_grow(struct builder *b)
{
	size_t mask = b->slots ? b->mask * 2 + 1 : 4095;
	struct slot *slots = calloc(mask + 1, sizeof(*slots));

	if (!slots)
		return -1;
	for (size_t i = 0; b->slots && i <= b->mask; i++) {
		size_t k = b->slots[i].addr * UINT64_C(0x9e3779b97f4a7c15) >> 20 & mask;

		if (!b->slots[i].location)
			continue;
		while (slots[k].location)
			k = (k + 1) & mask;
		slots[k] = b->slots[i];
	}
	free(b->slots);
	b->slots = slots;
	b->mask = mask;
	return 0;
}

static const char *build_id_text(const struct insp_module *m, struct insp_pool *pool)
{
	char *text = m->build_id_bytes ? insp_pool_alloc(pool, 2 * m->build_id_bytes + 1u) : NULL;

	for (uint32_t i = 0; text && i < m->build_id_bytes; i++) {
		text[2 * i] = "0123456789abcdef"[m->build_id[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[m->build_id[i] & 15];
	}
	return text;
}

/* The mapping of code at addr, as a number for a location: 0 none. */
static uint32_t mapping_of(struct builder *b, uint64_t addr)
{
	const struct insp_snapshot *snap = b->ctx->snapshot;
	const struct insp_region *r = insp_regions_find(&snap->regions, addr);
	const struct insp_module *m = insp_modules_find(&snap->modules, addr);
	struct insp_profile_mapping *mapping;

	if (!r || insp_region_anonymous(r))
		return 0;
	for (size_t i = 0; i < b->profile->mappings.n; i++)
		if (b->profile->mappings.items[i].start == r->start)
			return (uint32_t)i + 1;
	mapping = insp_vec_push(&b->profile->mappings);
	if (!mapping)
		return 0;
	*mapping = (struct insp_profile_mapping){
		.start = r->start,
		.end = r->end,
		.offset = r->offset,
		.file = r->name,
		.build_id = m ? build_id_text(m, b->profile->pool) : NULL,
	};
	return (uint32_t)b->profile->mappings.n;
}

/* Readers take the first mapping for the program. */
static void add_program(struct builder *b)
{
	const struct insp_snapshot *snap = b->ctx->snapshot;

	for (size_t i = 0; i < snap->regions.n; i++) {
		const struct insp_region *r = &snap->regions.items[i];
		const struct insp_module *m = insp_modules_find(&snap->modules, r->start);

		if (m && m->is_main && r->prot & INSP_PROT_EXEC) {
			(void)mapping_of(b, r->start);
			return;
		}
	}
}

/* The location of code at addr, with names, made when it is new. */
static uint32_t location_of(struct builder *b, uint64_t addr, bool symbolise)
{
	size_t k;
	uint32_t l;

	if ((!b->slots || b->used * 2 > b->mask) && builder_grow(b)) {
		b->profile->failed = true;
		return 0;
	}
	for (k = addr * UINT64_C(0x9e3779b97f4a7c15) >> 20 & b->mask; b->slots[k].location;
	     k = (k + 1) & b->mask)
		if (b->slots[k].addr == addr)
			return b->slots[k].location - 1;
	uint32_t mapping = mapping_of(b, addr);

	l = insp_profile_add_location(b->profile, addr, mapping);
	b->slots[k] = (struct slot){addr, l + 1};
	b->used++;
	if (!symbolise || !b->ctx->symbols)
		return l;
	b->frames.n = 0;
	if (insp_symbols_frames(b->ctx->symbols, b->profile->pool, addr, 0, true, 0, &b->frames))
		return l;
	for (size_t i = 0; i < b->frames.n; i++) {
		const struct insp_frame *f = &b->frames.items[i];

		if (!f->function && b->frames.n == 1)
			break;
		insp_profile_add_frame(b->profile, f->function, f->file, f->line);
		if (mapping && f->function)
			b->profile->mappings.items[mapping - 1].has_functions = true;
	}
	return l;
}

/* A name without code. */
static uint32_t named_location(struct builder *b, const char *name)
{
	for (uint32_t l = 0; l < b->profile->locations.n; l++) {
		const struct insp_profile_location *loc = &b->profile->locations.items[l];

		if (!loc->addr && loc->nframes &&
		    !strcmp(b->profile->frames.items[loc->first_frame].function, name))
			return l;
	}
	uint32_t l = insp_profile_add_location(b->profile, 0, 0);

	insp_profile_add_frame(b->profile, name, NULL, 0);
	return l;
}

static void builder_deinit(struct builder *b)
{
	insp_vec_free(&b->frames);
	free(b->slots);
}

static int builder_end(struct builder *b, struct insp_profile **ret, struct insp_error *err)
{
	int rc = insp_profile_ok(b->profile, err);

	builder_deinit(b);
	if (rc)
		insp_profile_destroy(b->profile);
	else
		*ret = b->profile;
	return rc;
}

/* ---- the heap */

#define DEPTH_MAX 1024

static int64_t rounded(double v)
{
	return v <= 0 ? 0 : v >= 9e18 ? INT64_MAX : (int64_t)(v + 0.5);
}

static void push_stack(struct builder *b, const struct insp_sites *sites, uint32_t site)
{
	uint64_t pcs[DEPTH_MAX], mark;
	size_t n = insp_sites_stack(sites, site, pcs, DEPTH_MAX, &mark);

	/* A return address stands behind its call. */
	for (size_t i = 0; i < n; i++)
		insp_profile_push(b->profile, location_of(b, pcs[i] - 1, true));
	if (mark)
		insp_profile_push(b->profile,
				  named_location(b, mark == INSP_HOOK_PC_LOST
							    ? "[caller unknown: no unwind table]"
							    : "[deeper frames left out]"));
}

static const char *title_of(struct insp_context *ctx, const char *what)
{
	const char *title = insp_pool_printf(ctx->pool, "%s of %s (%d)", what,
					     ctx->snapshot->comm ? ctx->snapshot->comm : "?",
					     ctx->snapshot->pid);

	return title ? title : what;
}

int insp_heap_profile(struct insp_context *ctx, const struct insp_sites *sites,
		      struct insp_profile **ret, const uint32_t **ret_sites, struct insp_error *err)
{
	struct insp_profile *p = insp_profile_create(ctx->pool, title_of(ctx, "heap"));
	struct builder b = {.ctx = ctx, .profile = p};
	uint32_t *numbers = insp_pool_array(ctx->pool, sites->n + 1, sizeof(*numbers));

	if (!p || !numbers) {
		insp_profile_destroy(p);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	}
	insp_profile_add_type(p, "alloc_objects", "count");
	insp_profile_add_type(p, "alloc_space", "bytes");
	insp_profile_add_type(p, "inuse_objects", "count");
	insp_profile_add_type(p, "inuse_space", "bytes");
	add_program(&b);
	p->default_type = INSP_HEAP_INUSE_SPACE;
	p->period_type = (struct insp_profile_type){"space", "bytes"};
	p->period = sites->sampled ? (int64_t)sites->sample_bytes : 1;
	p->time_ns = ctx->snapshot->taken_at_ns;
	p->comment = sites->sampled ? "sampled: values are estimates" : "every allocation was recorded";
	for (uint32_t s = 1; s < sites->n && !p->failed; s++) {
		const struct insp_site *site = &sites->items[s];
		struct insp_profile_sample *sample;

		if (!site->frame || site->allocs <= 0)
			continue;
		if (s % 1024 == 0) {
			insp_progress("names of allocation sites", s, sites->n);
			if (insp_interrupted()) {
				builder_deinit(&b);
				insp_profile_destroy(p);
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
			}
		}
		sample = insp_profile_add_sample(p);
		sample->values[INSP_HEAP_ALLOC_OBJECTS] = rounded(site->allocs);
		sample->values[INSP_HEAP_ALLOC_SPACE] = rounded(site->alloc_bytes);
		sample->values[INSP_HEAP_INUSE_OBJECTS] = rounded(site->live);
		sample->values[INSP_HEAP_INUSE_SPACE] = rounded(site->live_bytes);
		push_stack(&b, sites, s);
		numbers[p->samples.n - 1] = s;
	}
	if (ret_sites)
		*ret_sites = numbers;
	return builder_end(&b, ret, err);
}

/* ---- threads */

static void push_frames(struct builder *b, const struct insp_frames *frames)
{
	for (size_t i = 0; i < frames->n; i++) {
		const struct insp_frame *f = &frames->items[i];
		uint64_t addr = f->flags & INSP_FRAME_ACTIVATION ? f->pc : f->pc - 1;

		if (f->flags & INSP_FRAME_INLINED)
			continue; /* the location of the frame that it is in brings it along */
		insp_profile_push(b->profile, location_of(b, addr, true));
	}
	if (!frames->n)
		insp_profile_push(b->profile, named_location(b, "[no stack]"));
}

int insp_threads_profile(struct insp_context *ctx, struct insp_profile **ret, struct insp_error *err)
{
	const struct insp_threads *threads = &ctx->snapshot->threads;
	struct insp_profile *p = insp_profile_create(ctx->pool, title_of(ctx, "threads"));
	struct builder b = {.ctx = ctx, .profile = p};

	if (!p)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	add_program(&b);
	insp_profile_add_type(p, "threads", "count");
	p->period_type = (struct insp_profile_type){"threads", "count"};
	p->period = 1;
	p->time_ns = ctx->snapshot->taken_at_ns;
	for (size_t i = 0; i < threads->n && !p->failed; i++) {
		const struct insp_thread *t = &threads->items[i];
		struct insp_profile_sample *sample = insp_profile_add_sample(p);

		sample->values[0] = 1;
		sample->label = (struct insp_profile_label){.key = "thread", .text = t->name};
		push_frames(&b, &t->frames);
	}
	return builder_end(&b, ret, err);
}

/* ---- who */

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool is_wrapper(const struct insp_profile *p, uint32_t location)
{
	const struct insp_profile_location *l = &p->locations.items[location];
	const char *file = l->mapping ? p->mappings.items[l->mapping - 1].file : NULL, *slash;
	const char *name = NULL;

	/* Inlined frames in front of it do not change whose function it is. */
	if (l->nframes)
		name = p->frames.items[l->first_frame + l->nframes - 1].function;
	if (name && (starts(name, "operator new") || starts(name, "std::") ||
		     starts(name, "__gnu_cxx::") || starts(name, "void std::")))
		return true;
	slash = file ? strrchr(file, '/') : NULL;
	return slash && (starts(slash, "/libc.so.6") || starts(slash, "/libstdc++.so.6"));
}

static uint32_t culprit_index(const struct insp_profile *p, const struct insp_profile_sample *s)
{
	for (uint32_t i = 0; i < s->nlocations; i++)
		if (!is_wrapper(p, p->stacks.items[s->first_location + i]))
			return i;
	return 0;
}

uint32_t insp_profile_culprit(const struct insp_profile *p, const struct insp_profile_sample *s)
{
	return s->nlocations ? p->stacks.items[s->first_location + culprit_index(p, s)] : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *insp_profile_place(const struct insp_profile *p, const struct insp_profile_sample *s,
			       unsigned ncallers)
{
	struct insp_str str = {0};
	unsigned n = 0;
	const char *text;

	for (uint32_t i = s->nlocations ? culprit_index(p, s) : 0; i < s->nlocations; i++) {
		uint32_t l = p->stacks.items[s->first_location + i];
		const struct insp_profile_location *loc = &p->locations.items[l];

		for (uint32_t f = 0; f < (loc->nframes ? loc->nframes : 1) && n <= ncallers; f++, n++) {
			const struct insp_profile_frame *frame =
				loc->nframes ? &p->frames.items[loc->first_frame + f] : NULL;

			insp_str_add(&str, n ? " < " : "");
			insp_str_add(&str, frame && frame->function ? frame->function
								   : insp_profile_location_name(p, l));
			if (!n && frame && frame->file && frame->line)
				insp_str_addf(&str, " (%s:%" PRIu32 ")", base_name(frame->file),
					      frame->line);
		}
	}
	text = insp_pool_strdup(p->pool, insp_str_text(&str));
	insp_str_deinit(&str);
	return text ? text : "?";
}

const char *insp_site_place(const struct insp_profile *profile, const uint32_t *sites,
			    uint32_t site, unsigned ncallers)
{
	for (size_t i = 0; site && i < profile->samples.n; i++)
		if (sites[i] == site)
			return insp_profile_place(profile, &profile->samples.items[i], ncallers);
	return "not recorded";
}
