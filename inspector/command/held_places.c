/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/held_places.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "symbol/symbols.h"

int insp_places_init(struct insp_places *places, const struct insp_context *ctx)
{
	const struct insp_snapshot *snap = ctx->snapshot;

	*places = (struct insp_places){.ctx = ctx, .kind = INSP_N_ROOT_KINDS};
	places->nowned = snap->regions.n > snap->threads.n ? snap->regions.n : snap->threads.n;
	places->owned = calloc(places->nowned + 1, sizeof(*places->owned));
	return places->owned ? 0 : INSP_E_NOMEM;
}

void insp_places_deinit(struct insp_places *places)
{
	free(places->owned);
	insp_vec_free(places);
}

static const char *name_of_thread(const struct insp_places *p, const struct insp_root *root)
{
	const struct insp_thread *t = &p->ctx->snapshot->threads.items[root->owner];

	return insp_pool_printf(p->ctx->pool, "%s of thread %d (%s)",
				root->kind == INSP_ROOT_STACK ? "stack"
				: root->kind == INSP_ROOT_TLS ? "thread-local storage"
							      : "registers",
				t->tid, t->name);
}

static const char *name_of_owner(const struct insp_places *p, const struct insp_root *root)
{
	const struct insp_snapshot *snap = p->ctx->snapshot;
	const struct insp_module *m;
	const struct insp_region *r;

	if (root->kind == INSP_ROOT_STACK || root->kind == INSP_ROOT_TLS || root->kind == INSP_ROOT_REGISTER)
		return name_of_thread(p, root);
	r = &snap->regions.items[root->owner];
	if (root->kind == INSP_ROOT_UNKNOWN)
		return insp_pool_printf(p->ctx->pool, "a damaged part of the heap at %#" PRIx64, r->start);
	m = insp_modules_find(&snap->modules, root->addr);
	if (!m && r->start)
		m = insp_modules_find(&snap->modules, r->start - 1);
	if (root->kind == INSP_ROOT_DATA)
		return insp_pool_printf(p->ctx->pool, "data of %s", m ? insp_module_basename(m) : r->name);
	return insp_pool_printf(p->ctx->pool, "memory that no allocator claims, at %#" PRIx64, r->start);
}

static size_t add(struct insp_places *p, const struct insp_root *root, const char *name)
{
	struct insp_place *place = name ? insp_vec_push(p) : NULL;

	if (!place)
		return SIZE_MAX;
	place->name = name;
	place->kind = root->kind;
	place->owner = root->owner;
	return p->n - 1;
}

static bool in_variable(const struct insp_place *p, const struct insp_root *root)
{
	return p->kind == root->kind && root->addr >= p->start && root->addr < p->end;
}

size_t insp_places_of(struct insp_places *p, const struct insp_root *root)
{
	struct insp_symbol s;
	size_t at;

	if (p->last && in_variable(&p->items[p->last - 1], root))
		return p->last - 1;
	if (root->kind != p->kind)
		memset(p->owned, 0, p->nowned * sizeof(*p->owned));
	p->kind = root->kind;
	if (root->kind == INSP_ROOT_DATA && p->ctx->symbols &&
	    !insp_symbols_at(p->ctx->symbols, root->addr, &s) && s.size_bytes) {
		at = add(p, root, insp_pool_printf(p->ctx->pool, "global %s in %s", s.name,
						   s.module ? insp_module_basename(s.module) : "?"));
		if (at == SIZE_MAX)
			return at;
		p->items[at].start = s.start;
		p->items[at].end = s.start + s.size_bytes;
		p->last = at + 1;
		return at;
	}
	if (!p->owned[root->owner]) {
		at = add(p, root, name_of_owner(p, root));
		if (at == SIZE_MAX)
			return at;
		p->owned[root->owner] = (uint32_t)at + 1;
	}
	return p->owned[root->owner] - 1;
}
