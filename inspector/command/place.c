/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/place.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/ctypes.h"

static const char *name_variable(const struct insp_context *ctx, struct insp_ctypes *types,
				 const struct insp_variable *v, uint64_t offset)
{
	return insp_pool_printf(ctx->pool, "%s%s", v->name,
				insp_ctypes_member(types, ctx->pool, v->type, offset));
}

const char *insp_place_global(const struct insp_context *ctx, uint64_t addr)
{
	const struct insp_variable *v;
	struct insp_ctypes *types;

	if (!ctx->symbols || insp_symbols_ctypes(ctx->symbols, &types, NULL) || !types)
		return NULL;
	v = insp_ctypes_variable_at(types, addr);
	return v ? name_variable(ctx, types, v, addr - v->addr) : NULL;
}

const char *insp_place_thread_local(const struct insp_context *ctx,
				    const struct insp_thread *thread, uint64_t addr)
{
	const struct insp_variable *v;
	struct insp_ctypes *types;
	size_t n;

	if (!ctx->symbols || insp_symbols_ctypes(ctx->symbols, &types, NULL) || !types)
		return NULL;
	v = insp_ctypes_variables(types, &n);
	for (size_t i = n; i-- > 0 && v[i].thread_local_;)
		if (addr - (thread->fs_base + v[i].addr) < v[i].size_bytes)
			return name_variable(ctx, types, &v[i],
					     addr - (thread->fs_base + v[i].addr));
	return NULL;
}

struct search {
	const struct insp_context *ctx;
	uint64_t addr; /* looked for; 0: the register */
	unsigned reg;
	const char *found;
	size_t frame;
};

static const char *name_local(const struct search *s, const struct insp_local *local,
			      uint64_t offset)
{
	return insp_pool_printf(s->ctx->pool, "%s%s", local->name,
				insp_local_member(local, s->ctx->pool, offset));
}

static bool on_local(void *ctx, const struct insp_local *local)
{
	struct search *s = ctx;

	if (s->addr ? local->addr && s->addr - local->addr < local->size_bytes
		    : !local->addr && !local->frame && local->reg == s->reg) {
		s->found = name_local(s, local, s->addr ? s->addr - local->addr : 0);
		s->frame = local->frame;
	}
	return !s->found && (s->addr || !local->frame);
}

const char *insp_place_local(const struct insp_context *ctx, const struct insp_thread *thread,
			     uint64_t addr, size_t *ret_frame)
{
	struct search s = {.ctx = ctx, .addr = addr};

	if (ctx->symbols && addr)
		insp_symbols_locals(ctx->symbols, thread, on_local, &s);
	if (s.found)
		*ret_frame = s.frame;
	return s.found;
}

const char *insp_place_register(const struct insp_context *ctx, const struct insp_thread *thread,
				unsigned reg)
{
	struct search s = {.ctx = ctx, .reg = reg};

	if (ctx->symbols)
		insp_symbols_locals(ctx->symbols, thread, on_local, &s);
	return s.found;
}
