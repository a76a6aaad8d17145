/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * profile: building one, and the two views that renderers share: by function, and as a tree.
 *
 * Function names are interned here, by content: strings that are equal become one index, so that a
 * stack that goes through a function several times counts once for it.
 */
#include "report/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

struct insp_profile *insp_profile_create(struct insp_pool *pool, const char *title)
{
	struct insp_profile *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->pool = pool;
	p->title = title;
	return p;
}

void insp_profile_destroy(struct insp_profile *p)
{
	if (!p)
		return;
	insp_vec_free(&p->frames);
	insp_vec_free(&p->locations);
	insp_vec_free(&p->mappings);
	insp_vec_free(&p->samples);
	insp_vec_free(&p->stacks);
	free(p);
}

int insp_profile_ok(const struct insp_profile *p, struct insp_error *err)
{
	return p->failed ? insp_fail(err, INSP_E_NOMEM, "out of memory for the profile") : 0;
}

void insp_profile_add_type(struct insp_profile *p, const char *type, const char *unit)
{
	if (p->ntypes < INSP_PROFILE_TYPES)
		p->types[p->ntypes++] = (struct insp_profile_type){type, unit};
}

uint32_t insp_profile_add_location(struct insp_profile *p, uint64_t addr, uint32_t mapping)
{
	struct insp_profile_location *l = p->failed ? NULL : insp_vec_push(&p->locations);

	if (!l) {
		p->failed = true;
		return 0;
	}
	*l = (struct insp_profile_location){addr, mapping, (uint32_t)p->frames.n, 0};
	return (uint32_t)p->locations.n - 1;
}

void insp_profile_add_frame(struct insp_profile *p, const char *function, const char *file,
			    uint32_t line)
{
	struct insp_profile_frame *f = p->failed ? NULL : insp_vec_push(&p->frames);

	if (!f || !p->locations.n) {
		p->failed = true;
		return;
	}
	*f = (struct insp_profile_frame){function, file, line};
	p->locations.items[p->locations.n - 1].nframes++;
}

struct insp_profile_sample *insp_profile_add_sample(struct insp_profile *p)
{
	static struct insp_profile_sample nobody;
	struct insp_profile_sample *s = p->failed ? NULL : insp_vec_push(&p->samples);

	if (!s) {
		p->failed = true;
		return &nobody;
	}
	s->first_location = (uint32_t)p->stacks.n;
	return s;
}

void insp_profile_push(struct insp_profile *p, uint32_t location)
{
	uint32_t *at = p->failed || !p->samples.n ? NULL : insp_vec_push(&p->stacks);

	if (!at) {
		p->failed = true;
		return;
	}
	*at = location;
	p->samples.items[p->samples.n - 1].nlocations++;
}

const char *insp_profile_location_name(const struct insp_profile *p, uint32_t location)
{
	const struct insp_profile_location *l = &p->locations.items[location];
	const struct insp_profile_mapping *m =
		l->mapping ? &p->mappings.items[l->mapping - 1] : NULL;
	const char *slash, *name;

	if (!m || !m->file) {
		name = insp_pool_printf(p->pool, "%#" PRIx64, l->addr);
	} else {
		slash = strrchr(m->file, '/');
		name = insp_pool_printf(p->pool, "%s+%#" PRIx64, slash ? slash + 1 : m->file,
					l->addr - m->start + m->offset);
	}
	return name ? name : "?";
}

/* ---- names */

struct name_table {
	uint32_t *slots; /* index + 1 */
	size_t mask;
	const char **names;
	size_t n;
};

static uint64_t hash_text(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

static int name_table_init(struct name_table *t, size_t nmax)
{
	size_t slots = 16;

	while (slots < nmax * 2)
		slots *= 2;
	t->slots = calloc(slots, sizeof(*t->slots));
	t->names = calloc(nmax ? nmax : 1, sizeof(*t->names));
	t->mask = slots - 1;
	t->n = 0;
	return t->slots && t->names ? 0 : -1;
}

static void name_table_deinit(struct name_table *t)
{
	free(t->slots);
	free(t->names);
}

static uint32_t name_index(struct name_table *t, const char *name)
{
	size_t i = hash_text(name) & t->mask;

	for (; t->slots[i]; i = (i + 1) & t->mask)
		if (strcmp(t->names[t->slots[i] - 1], name) == 0)
			return t->slots[i] - 1;
	t->names[t->n] = name;
	t->slots[i] = (uint32_t)++t->n;
	return (uint32_t)t->n - 1;
}

/* The frames of all locations, with names that are numbers; a location without frames gets one. */
struct named_frame {
	uint32_t name;
	const struct insp_profile_frame *frame; /* NULL: none known */
};
struct named {
	struct name_table table;
	struct named_frame *frames;
	uint32_t *first; /* [nlocations + 1] */
};

static void named_deinit(struct named *n)
{
	name_table_deinit(&n->table);
	free(n->frames);
	free(n->first);
}

static int named_init(struct named *n, const struct insp_profile *p, struct insp_error *err)
{
	size_t total = p->frames.n + p->locations.n;
	uint32_t at = 0;

	memset(n, 0, sizeof(*n));
	n->frames = calloc(total + 1, sizeof(*n->frames));
	n->first = calloc(p->locations.n + 1, sizeof(*n->first));
	if (name_table_init(&n->table, total + 1) || !n->frames || !n->first) {
		named_deinit(n);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	}
	for (uint32_t i = 0; i < p->locations.n; i++) {
		const struct insp_profile_location *l = &p->locations.items[i];

		n->first[i] = at;
		for (uint32_t k = 0; k < l->nframes; k++) {
			const struct insp_profile_frame *f = &p->frames.items[l->first_frame + k];
			const char *name = f->function ? f->function : insp_profile_location_name(p, i);

			n->frames[at++] = (struct named_frame){name_index(&n->table, name), f};
		}
		if (!l->nframes)
			n->frames[at++] = (struct named_frame){
				name_index(&n->table, insp_profile_location_name(p, i)), NULL};
	}
	n->first[p->locations.n] = at;
	return 0;
}

/* ---- by function */

struct order {
	size_t type;
	bool by_cum;
};

static int by_weight(const void *a, const void *b, void *ctx)
{
	const struct insp_profile_function *x = a, *y = b;
	const struct order *o = ctx;
	int64_t v = o->by_cum ? x->cum[o->type] : x->flat[o->type];
	int64_t w = o->by_cum ? y->cum[o->type] : y->flat[o->type];

	if (v != w)
		return v < w ? 1 : -1;
	if (x->cum[o->type] != y->cum[o->type])
		return x->cum[o->type] < y->cum[o->type] ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void add_values(int64_t *to, const int64_t *values)
{
	for (size_t t = 0; t < INSP_PROFILE_TYPES; t++)
		to[t] += values[t];
}

int insp_profile_functions(const struct insp_profile *p, size_t sort_type, bool by_cum,
			   struct insp_profile_functions *ret, struct insp_error *err)
{
	struct insp_profile_functions fs = {0};
	struct order order = {sort_type, by_cum};
	struct named named;
	size_t *seen; /* number of the last sample that counted for a function */
	int rc = named_init(&named, p, err);

	if (rc)
		return rc;
	fs.items = calloc(named.table.n + 1, sizeof(*fs.items));
	seen = calloc(named.table.n + 1, sizeof(*seen));
	if (!fs.items || !seen) {
		free(fs.items);
		free(seen);
		named_deinit(&named);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	}
	fs.n = fs.cap = named.table.n;
	for (size_t i = 0; i < fs.n; i++)
		fs.items[i].name = named.table.names[i];
	for (size_t s = 0; s < p->samples.n; s++) {
		const struct insp_profile_sample *sample = &p->samples.items[s];
		bool innermost = true;

		add_values(fs.total, sample->values);
		for (uint32_t k = 0; k < sample->nlocations; k++) {
			uint32_t l = p->stacks.items[sample->first_location + k];

			for (uint32_t f = named.first[l]; f < named.first[l + 1]; f++) {
				struct insp_profile_function *fn = &fs.items[named.frames[f].name];

				if (!fn->file && named.frames[f].frame)
					fn->file = named.frames[f].frame->file;
				if (innermost)
					add_values(fn->flat, sample->values);
				innermost = false;
				if (seen[named.frames[f].name] == s + 1)
					continue;
				seen[named.frames[f].name] = s + 1;
				add_values(fn->cum, sample->values);
			}
		}
	}
	qsort_r(fs.items, fs.n, sizeof(*fs.items), by_weight, &order);
	free(seen);
	named_deinit(&named);
	*ret = fs;
	return 0;
}

void insp_profile_functions_deinit(struct insp_profile_functions *functions)
{
	free(functions->items);
	*functions = (struct insp_profile_functions){0};
}

/* ---- as a tree */

/* (parent, name) -> node */
struct edge_table {
	uint32_t *slots;
	size_t mask, used;
};

static size_t edge_slot(const struct edge_table *t, uint32_t parent, uint32_t name)
{
	uint64_t h = ((uint64_t)parent << 32 | name) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(h >> 24) & t->mask;
}

struct tree_builder {
	struct insp_profile_tree tree;
	struct edge_table edges;
	uint32_t *names; /* [tree.cap] of nodes */
	size_t names_cap;
};

static int edges_grow(struct tree_builder *b)
{
	struct edge_table wider = {.mask = b->edges.slots ? b->edges.mask * 2 + 1 : 1023};

	if (b->edges.slots && b->edges.used * 2 < b->edges.mask)
		return 0;
	wider.slots = calloc(wider.mask + 1, sizeof(*wider.slots));
	if (!wider.slots)
		return -1;
	for (uint32_t i = 1; i < b->tree.n; i++) {
		size_t k = edge_slot(&wider, b->tree.items[i].parent, b->names[i]);

		while (wider.slots[k])
			k = (k + 1) & wider.mask;
		wider.slots[k] = i;
	}
	wider.used = b->edges.used;
	free(b->edges.slots);
	b->edges = wider;
	return 0;
}

/* The child of parent with that name, made when there is none; 0 without memory. */
static uint32_t child(struct tree_builder *b, uint32_t parent, uint32_t name, const char *text,
		      const struct insp_profile_frame *frame)
{
	struct insp_profile_node *node;
	size_t k;
	uint32_t id;

	if (edges_grow(b))
		return 0;
	for (k = edge_slot(&b->edges, parent, name); (id = b->edges.slots[k]);
	     k = (k + 1) & b->edges.mask)
		if (b->tree.items[id].parent == parent && b->names[id] == name)
			return id;
	node = insp_vec_push(&b->tree);
	if (!node)
		return 0;
	if (b->names_cap < b->tree.cap) {
		uint32_t *names = realloc(b->names, b->tree.cap * sizeof(*names));

		if (!names)
			return 0;
		b->names = names;
		b->names_cap = b->tree.cap;
	}
	id = (uint32_t)b->tree.n - 1;
	*node = (struct insp_profile_node){.name = text, .parent = parent};
	if (frame) {
		node->file = frame->file;
		node->line = frame->line;
	}
	node->next = b->tree.items[parent].first_child;
	b->tree.items[parent].first_child = id;
	b->names[id] = name;
	b->edges.slots[k] = id;
	b->edges.used++;
	return id;
}

static int add_stack(struct tree_builder *b, const struct insp_profile *p, const struct named *named,
		     const struct insp_profile_sample *s)
{
	uint32_t at = 0;

	add_values(b->tree.items[0].values, s->values);
	for (uint32_t k = s->nlocations; k-- > 0;) {
		uint32_t l = p->stacks.items[s->first_location + k];

		for (uint32_t f = named->first[l + 1]; f-- > named->first[l];) {
			const struct named_frame *frame = &named->frames[f];

			at = child(b, at, frame->name, named->table.names[frame->name], frame->frame);
			if (!at)
				return -1;
			add_values(b->tree.items[at].values, s->values);
		}
	}
	return 0;
}

int insp_profile_tree(const struct insp_profile *p, struct insp_profile_tree *ret,
		      struct insp_error *err)
{
	struct tree_builder b = {0};
	struct insp_profile_node *root;
	struct named named;
	int rc = named_init(&named, p, err);

	if (rc)
		return rc;
	root = insp_vec_push(&b.tree);
	if (root)
		root->name = p->title;
	else
		rc = -1;
	for (size_t i = 0; i < p->samples.n && !rc; i++)
		rc = add_stack(&b, p, &named, &p->samples.items[i]);
	named_deinit(&named);
	free(b.names);
	free(b.edges.slots);
	if (rc) {
		insp_profile_tree_deinit(&b.tree);
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	}
	*ret = b.tree;
	return 0;
}

void insp_profile_tree_deinit(struct insp_profile_tree *tree)
{
	free(tree->items);
	*tree = (struct insp_profile_tree){0};
}
