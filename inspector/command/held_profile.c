/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * held_profile: chunks that are held in the same way, by the types of their holders, share a node of a
 * second, small tree. Dominators have smaller numbers than what they dominate, so one pass over the
 * numbers finds for each chunk the node below its holder's.
 */
#include "command/held_profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/log.h"
#include "base/vec.h"
#include "command/held_places.h"

#define NODES_MAX	(1u << 20) /* what comes after counts for its holder */
#define DEPTH_MAX	64	   /* the same for what lies deeper */
#define INTERRUPT_EVERY 0xffff

/* What a frame is called: a type, or a name of a root behind all types. */
struct node {
	uint32_t parent, name, depth;
	uint64_t bytes, count; /* of chunks that end here */
};

struct builder {
	const struct insp_context *ctx;
	const struct insp_graph *graph;
	const struct insp_dominators *d;
	struct insp_typing *typing;
	uint32_t top;
	uint32_t ntypes;
	uint32_t *node_of; /* [n + 1] */
	uint32_t *type_of; /* [n + 1] */
	INSP_VEC(struct node) nodes; /* 0 is none */
	INSP_VEC(const char *) names; /* of roots */
	uint32_t *slots;   /* hash table of nodes by parent and name */
	uint32_t mask;
};

static uint32_t hash(uint32_t parent, uint32_t name)
{
	uint64_t h = ((uint64_t)parent << 32 | name) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32);
}

static bool grow(struct builder *b)
{
	uint32_t mask = b->mask * 2 + 1, *slots = calloc((size_t)mask + 1, sizeof(*slots));

	if (!slots)
		return false;
	for (uint32_t i = 1; i < b->nodes.n; i++) {
		uint32_t at = hash(b->nodes.items[i].parent, b->nodes.items[i].name) & mask;

		while (slots[at])
			at = (at + 1) & mask;
		slots[at] = i;
	}
	free(b->slots);
	b->slots = slots;
	b->mask = mask;
	return true;
}

/* The node of that name below parent; 0: memory is short. */
static uint32_t child(struct builder *b, uint32_t parent, uint32_t name)
{
	uint32_t at = hash(parent, name) & b->mask;
	struct node *n;

	while (b->slots[at]) {
		n = &b->nodes.items[b->slots[at]];
		if (n->parent == parent && n->name == name)
			return b->slots[at];
		at = (at + 1) & b->mask;
	}
	if (parent && (b->nodes.n >= NODES_MAX || b->nodes.items[parent].depth >= DEPTH_MAX))
		return parent;
	n = insp_vec_push(&b->nodes);
	if (!n)
		return 0;
	n->parent = parent;
	n->name = name;
	n->depth = parent ? b->nodes.items[parent].depth + 1 : 0;
	b->slots[at] = (uint32_t)b->nodes.n - 1;
	if (b->nodes.n > b->mask / 2 && !grow(b))
		return 0;
	return (uint32_t)b->nodes.n - 1;
}

static uint32_t root_node(struct builder *b, const char *name)
{
	const char **at = name ? insp_vec_push(&b->names) : NULL;

	if (!at)
		return 0;
	*at = name;
	return child(b, 0, b->ntypes + (uint32_t)b->names.n - 1);
}

/* Gives each chunk that a root points to, and that nothing else holds, the node of the surest root. */
static bool place_roots(struct builder *b)
{
	INSP_VEC(uint32_t) nodes = {0}; /* by place */
	struct insp_places places;
	bool ok = !insp_places_init(&places, b->ctx);

	for (size_t i = 0; ok && i < b->graph->nroots; i++) {
		const struct insp_root *root = &b->graph->roots[i];
		uint32_t number = b->d->number_of[INSP_EDGE_TARGET(root->edge)];
		size_t at;

		if (!number || b->d->idom[number] || b->node_of[number])
			continue;
		at = insp_places_of(&places, root);
		ok = at != SIZE_MAX;
		while (ok && nodes.n <= at) {
			uint32_t *node = insp_vec_push(&nodes);

			ok = node && (*node = root_node(b, places.items[nodes.n - 1].name)) != 0;
		}
		if (ok)
			b->node_of[number] = nodes.items[at];
	}
	insp_vec_free(&nodes);
	insp_places_deinit(&places);
	return ok;
}

/* ---- chunks */

static int look_at_chunks(struct builder *b, struct insp_error *err)
{
	struct insp_chunk_iter it;
	struct insp_chunk c;
	size_t done = 0;

	insp_chunks_each(b->ctx->snapshot->chunks, it, c) {
		uint32_t number = c.id < b->d->nchunks ? b->d->number_of[c.id] : 0;

		if ((++done & INTERRUPT_EVERY) == 0) {
			insp_progress("looking at chunks", done, b->d->nchunks);
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
		}
		if (number)
			b->type_of[number] = insp_typing_of(b->typing, &c);
	}
	b->ntypes = insp_typing_count(b->typing);
	return 0;
}

static uint64_t own_bytes(const struct builder *b, uint32_t number)
{
	struct insp_chunk c;

	insp_chunks_get(b->ctx->snapshot->chunks, b->d->chunk_of[number], &c);
	return c.size;
}

/* A chain of one type stays on one node. */
static uint32_t node_below(struct builder *b, uint32_t parent, uint32_t type)
{
	return parent && b->nodes.items[parent].name == type ? parent : child(b, parent, type);
}

static bool add_chunks(struct builder *b)
{
	uint32_t shared = 0, lost = 0;

	for (uint32_t w = 1; w <= b->d->n; w++) {
		uint32_t up = b->d->idom[w], node;

		if (b->top) {
			if (w != b->top && (w < b->top || !b->node_of[up]))
				continue;
			node = node_below(b, w == b->top ? 0 : b->node_of[up], b->type_of[w]);
		} else {
			uint32_t parent = up ? b->node_of[up] : b->node_of[w];

			if (!parent && w > b->d->nreachable)
				parent = lost ? lost : (lost = root_node(b, "lost: nothing points to it"));
			else if (!parent)
				parent = shared ? shared : (shared = root_node(b, "shared by several"));
			node = parent ? node_below(b, parent, b->type_of[w]) : 0;
		}
		if (!node)
			return false;
		b->node_of[w] = node;
		b->nodes.items[node].bytes += own_bytes(b, w);
		b->nodes.items[node].count++;
	}
	return true;
}

/* ---- all */

static int make_profile(const struct builder *b, struct insp_profile **ret, struct insp_error *err)
{
	struct insp_profile *p = insp_profile_create(b->ctx->pool, "who holds the memory in use");
	uint32_t nnames = b->ntypes + (uint32_t)b->names.n;
	int rc;

	if (!p)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	insp_profile_add_type(p, "chunks", "count");
	insp_profile_add_type(p, "held_space", "bytes");
	p->default_type = 1;
	p->time_ns = b->ctx->snapshot->taken_at_ns;
	for (uint32_t i = 0; i < nnames; i++) {
		(void)insp_profile_add_location(p, 0, 0);
		insp_profile_add_frame(p, i < b->ntypes ? insp_typing_name(b->typing, i)
							: b->names.items[i - b->ntypes], NULL, 0);
	}
	for (uint32_t i = 1; i < b->nodes.n; i++) {
		const struct node *n = &b->nodes.items[i];
		struct insp_profile_sample *s;

		if (!n->count)
			continue;
		s = insp_profile_add_sample(p);
		s->values[0] = (int64_t)n->count;
		s->values[1] = (int64_t)n->bytes;
		for (uint32_t at = i; at; at = b->nodes.items[at].parent)
			insp_profile_push(p, b->nodes.items[at].name);
	}
	rc = insp_profile_ok(p, err);
	if (rc)
		insp_profile_destroy(p);
	else
		*ret = p;
	return rc;
}

int insp_held_profile(const struct insp_context *ctx, const struct insp_graph *graph,
		      const struct insp_dominators *d, struct insp_typing *typing, uint32_t top,
		      struct insp_profile **ret, struct insp_error *err)
{
	struct builder b = {.ctx = ctx, .graph = graph, .d = d, .typing = typing, .top = top};
	const size_t cap = (size_t)d->n + 1;
	int rc = 0;

	b.node_of = insp_big_alloc(cap, sizeof(*b.node_of));
	b.type_of = insp_big_alloc(cap, sizeof(*b.type_of));
	if (!b.node_of || !b.type_of || !insp_vec_push(&b.nodes) || !grow(&b) || !grow(&b))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	rc = rc ? rc : look_at_chunks(&b, err);
	if (!rc && ((!top && !place_roots(&b)) || !add_chunks(&b)))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	rc = rc ? rc : make_profile(&b, ret, err);
	insp_big_free(b.node_of, cap, sizeof(*b.node_of));
	insp_big_free(b.type_of, cap, sizeof(*b.type_of));
	insp_vec_free(&b.nodes);
	insp_vec_free(&b.names);
	free(b.slots);
	return rc;
}
