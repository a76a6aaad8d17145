/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/held.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "command/heap_common.h"
#include "command/place.h"
#include "site/sites.h"
#include "symbol/symbols.h"

#define SITE_FRAMES 3

static void graph_destroy(void *graph)
{
	insp_graph_destroy(graph);
}

static void leaks_destroy(void *leaks)
{
	insp_leaks_destroy(leaks);
}

static void dominators_destroy(void *dominators)
{
	insp_dominators_destroy(dominators);
}

static int keep(const struct insp_context *ctx, void (*destroy)(void *), void *what,
		struct insp_error *err)
{
	if (!insp_pool_defer(ctx->pool, destroy, what))
		return 0;
	destroy(what);
	return insp_fail(err, INSP_E_NOMEM, "out of memory");
}

int insp_held_create(const struct insp_context *ctx, struct insp_graph **ret,
		     struct insp_leaks **ret_leaks, struct insp_dominators **ret_dominators,
		     struct insp_error *err)
{
	struct insp_graph *graph = NULL;
	struct insp_leaks *leaks = NULL;
	struct insp_dominators *dominators = NULL;
	int rc;

	rc = insp_graph_create(ctx->snapshot, 0, &graph, err);
	rc = rc ? rc : keep(ctx, graph_destroy, graph, err);
	if (rc)
		return rc;
	*ret = graph;
	if (!ret_leaks && !ret_dominators)
		return 0;
	if (ret_dominators)
		rc = insp_dominators_create(graph, &leaks, &dominators, err);
	else
		rc = insp_leaks_create(graph, &leaks, err);
	if (!rc && ret_dominators)
		rc = keep(ctx, dominators_destroy, dominators, err);
	if (rc) {
		insp_leaks_destroy(leaks);
		return rc;
	}
	rc = keep(ctx, leaks_destroy, leaks, err);
	if (rc)
		return rc;
	if (ret_leaks)
		*ret_leaks = leaks;
	if (ret_dominators)
		*ret_dominators = dominators;
	return 0;
}

int insp_held_chunk_at(const struct insp_context *ctx, uint64_t addr, struct insp_chunk *ret,
		       struct insp_error *err)
{
	size_t hint = SIZE_MAX;
	int64_t id = insp_chunks_owner(ctx->snapshot->chunks, addr, &hint);
	const char *what;

	if (id >= 0) {
		insp_chunks_get(ctx->snapshot->chunks, (uint32_t)id, ret);
		if (insp_chunk_state_live(ret->state))
			return 0;
	}
	what = insp_describe_addr(ctx->snapshot, ctx->symbols, ctx->pool, addr);
	return insp_fail(err, INSP_E_NOTFOUND, "%#" PRIx64 " is in no chunk in use: %s", addr,
			 what ? what : "?");
}

static const char *register_name(uint64_t reg)
{
	static const char *const names[INSP_N_REGS] = {
		"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
		"r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

	return reg < INSP_N_REGS ? names[reg] : "?";
}

static const char *name_thread_root(const struct insp_context *ctx, const struct insp_root *root)
{
	const struct insp_thread *t = &ctx->snapshot->threads.items[root->owner];
	const struct insp_frame *f;
	const char *local;
	size_t no = 0, of = 0;

	switch (root->kind) {
	case INSP_ROOT_REGISTER:
		local = insp_place_register(ctx, t, (unsigned)root->addr);
		return insp_pool_printf(ctx->pool, "register %s of thread %d (%s)%s%s",
					register_name(root->addr), t->tid, t->name,
					local ? ", local " : "", local ? local : "");
	case INSP_ROOT_TLS:
		local = insp_place_thread_local(ctx, t, root->addr);
		return insp_pool_printf(ctx->pool,
					"thread-local storage of thread %d (%s)%s%s at %#" PRIx64,
					t->tid, t->name, local ? ", " : "", local ? local : "",
					root->addr);
	default:
		local = insp_place_local(ctx, t, root->addr, &of);
		f = insp_thread_frame_at(t, root->addr, &no);
		if (f)
			return insp_pool_printf(
				ctx->pool,
				"stack of thread %d (%s), frame %zu%s%s%s%s, at %#" PRIx64, t->tid,
				t->name, no, f->function ? " " : "", f->function ? f->function : "",
				local && of == no ? ", local " : "", local && of == no ? local : "",
				root->addr);
		return insp_pool_printf(ctx->pool, "stack of thread %d (%s) at %#" PRIx64, t->tid, t->name,
					root->addr);
	}
}

static const char *name_region_root(const struct insp_context *ctx, const struct insp_root *root)
{
	const struct insp_region *r = &ctx->snapshot->regions.items[root->owner];
	const struct insp_module *m = insp_modules_find(&ctx->snapshot->modules, root->addr);
	struct insp_symbol s;

	if (root->kind == INSP_ROOT_UNKNOWN)
		return insp_pool_printf(ctx->pool, "a damaged part of a heap at %#" PRIx64, root->addr);
	if (ctx->symbols && !insp_symbols_at(ctx->symbols, root->addr, &s)) {
		const char *in = s.module ? insp_module_basename(s.module) : "?";
		const char *member = insp_place_global(ctx, root->addr);

		if (member)
			return insp_pool_printf(ctx->pool, "global %s in %s", member, in);
		if (root->addr == s.start)
			return insp_pool_printf(ctx->pool, "global %s in %s", s.name, in);
		return insp_pool_printf(ctx->pool, "global %s+%#" PRIx64 " in %s", s.name,
					root->addr - s.start, in);
	}
	if (root->kind == INSP_ROOT_DATA && (m || r->name[0]))
		return insp_pool_printf(ctx->pool, "data of %s at %#" PRIx64,
					m ? insp_module_basename(m) : r->name, root->addr);
	return insp_pool_printf(ctx->pool, "memory that no allocator claims, at %#" PRIx64, root->addr);
}

const char *insp_name_root(const struct insp_context *ctx, const struct insp_root *root)
{
	switch (root->kind) {
	case INSP_ROOT_STACK:
	case INSP_ROOT_REGISTER:
	case INSP_ROOT_TLS:
		return name_thread_root(ctx, root);
	default:
		return name_region_root(ctx, root);
	}
}

const char *insp_held_doubt(const struct insp_root *root, bool by_start)
{
	if (root->kind == INSP_ROOT_STACK)
		return "rests on a word of a stack, which may be left over from a call that returned";
	if (!by_start)
		return "has a pointer into the middle of a chunk, which may be a number by chance";
	if (root->kind == INSP_ROOT_MEMORY || root->kind == INSP_ROOT_UNKNOWN)
		return "starts in memory that nobody claims";
	return NULL;
}

bool insp_held_has_sites(const struct insp_snapshot *snapshot)
{
	return snapshot->sites && snapshot->sites->chunk_sites;
}

const char *insp_name_site(const struct insp_context *ctx, uint32_t site)
{
	uint64_t pcs[SITE_FRAMES], mark = 0;
	struct insp_frames frames = {0};
	struct insp_str s = {0};
	const char *name;
	size_t n;

	if (!site || !ctx->snapshot->sites)
		return "not recorded";
	n = insp_sites_stack(ctx->snapshot->sites, site, pcs, SITE_FRAMES, &mark);
	for (size_t i = 0; i < n; i++) {
		const char *function = NULL;

		frames.n = 0;
		if (ctx->symbols &&
		    !insp_symbols_frames(ctx->symbols, ctx->pool, pcs[i], 0, false, 0, &frames) && frames.n)
			function = frames.items[frames.n - 1].function;
		if (function)
			insp_str_addf(&s, "%s%s", i ? " < " : "", function);
		else
			insp_str_addf(&s, "%s%#" PRIx64, i ? " < " : "", pcs[i]);
	}
	name = insp_pool_strdup(ctx->pool, insp_str_text(&s));
	insp_str_deinit(&s);
	free(frames.items);
	return name && name[0] ? name : "unknown stack";
}

void insp_held_report_chunk(const struct insp_context *ctx, struct insp_report *report,
			    struct insp_typing *typing, const struct insp_chunk *chunk)
{
	insp_object_begin(report, "chunk", NULL);
	insp_field_u64(report, "addr", "chunk", INSP_T_ADDR, chunk->mem);
	insp_field_u64(report, "size", "size", INSP_T_COUNT, chunk->size);
	insp_field_str(report, "type", "type", insp_typing_name(typing, insp_typing_of(typing, chunk)));
	insp_field_str(report, "preview", "begins with", insp_typing_preview(typing, chunk));
	if (insp_held_has_sites(ctx->snapshot))
		insp_field_str(report, "site", "allocated by",
			       insp_name_site(ctx, ctx->snapshot->sites->chunk_sites[chunk->id]));
	insp_object_end(report);
}

void insp_held_caveats(const struct insp_context *ctx, struct insp_report *report)
{
	const struct insp_snapshot *snap = ctx->snapshot;

	if (!snap->chunks->n)
		insp_note(report, INSP_WARNING, "no_chunks",
			  "no heap was walked: there is nothing to say about who holds what");
	if (!snap->capture.consistent)
		insp_note(report, INSP_WARNING, "approximate",
			  "the picture was not taken at one instant: a pointer on the move may be "
			  "missing, and what hangs on it look lost");
	for (size_t i = 0; i < snap->allocators.n; i++)
		if (!snap->allocators.items[i].walked)
			insp_note(report, INSP_WARNING, "not_walked",
				  "chunks of %s are not walked: pointers in its memory count as roots",
				  snap->allocators.items[i].title);
	if (snap->capture.threads_unstopped)
		insp_note(report, INSP_WARNING, "threads_unstopped",
			  "%" PRIu32 " threads could not be stopped: what only their registers hold may "
			  "look lost", snap->capture.threads_unstopped);
}
