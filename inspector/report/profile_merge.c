/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "report/profile_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

/* Numbers of locations or samples by hash; 0 is none. */
struct index {
	uint32_t *slots; /* number + 1 */
	size_t mask, used;
};

struct insp_profile_merger {
	struct insp_pool *pool;
	struct insp_profile *sum;
	struct index locations, samples;
	INSP_VEC(uint64_t) location_hashes, sample_hashes;
	INSP_VEC(uint32_t) stack; /* scratch */
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static uint64_t mix_text(uint64_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return mix(h, 0x2f);
}

static int index_grow(struct index *x, const uint64_t *hashes)
{
	size_t mask = x->slots ? x->mask * 2 + 1 : 255;
	uint32_t *slots;

	if (x->slots && x->used * 2 < x->mask)
		return 0;
	slots = calloc(mask + 1, sizeof(*slots));
	if (!slots)
		return -1;
	for (size_t i = 0; i < x->used; i++) {
		size_t k = hashes[i] & mask;

		while (slots[k])
			k = (k + 1) & mask;
		slots[k] = (uint32_t)i + 1;
	}
	free(x->slots);
	x->slots = slots;
	x->mask = mask;
	return 0;
}

struct insp_profile_merger *insp_profile_merger_create(void)
{
	struct insp_profile_merger *m = calloc(1, sizeof(*m));

	if (m)
		m->pool = insp_pool_create();
	if (m && m->pool)
		m->sum = insp_profile_create(m->pool, NULL);
	if (m && m->sum)
		return m;
	insp_profile_merger_destroy(m);
	return NULL;
}

void insp_profile_merger_destroy(struct insp_profile_merger *m)
{
	if (!m)
		return;
	insp_profile_destroy(m->sum);
	insp_pool_destroy(m->pool);
	free(m->locations.slots);
	free(m->samples.slots);
	insp_vec_free(&m->location_hashes);
	insp_vec_free(&m->sample_hashes);
	insp_vec_free(&m->stack);
	free(m);
}

struct insp_profile *insp_profile_merger_sum(struct insp_profile_merger *m)
{
	return m->sum;
}

/* ---- the head: title, types */

static const char *copy(struct insp_profile_merger *m, const char *s)
{
	const char *c = s ? insp_pool_strdup(m->pool, s) : NULL;

	m->sum->failed |= s && !c;
	return c;
}

static uint32_t mapping_of(struct insp_profile_merger *m, const struct insp_profile_mapping *from)
{
	struct insp_profile_mapping *to;

	for (size_t i = 0; i < m->sum->mappings.n; i++)
		if (m->sum->mappings.items[i].start == from->start) {
			m->sum->mappings.items[i].has_functions |= from->has_functions;
			return (uint32_t)i + 1;
		}
	to = insp_vec_push(&m->sum->mappings);
	if (!to) {
		m->sum->failed = true;
		return 0;
	}
	*to = *from;
	to->file = copy(m, from->file);
	to->build_id = copy(m, from->build_id);
	return (uint32_t)m->sum->mappings.n;
}

static void take_head(struct insp_profile_merger *m, const struct insp_profile *p)
{
	struct insp_profile *sum = m->sum;

	sum->title = copy(m, p->title);
	for (size_t t = 0; t < p->ntypes; t++)
		insp_profile_add_type(sum, copy(m, p->types[t].type), copy(m, p->types[t].unit));
	sum->default_type = p->default_type;
	sum->period_type =
		(struct insp_profile_type){copy(m, p->period_type.type), copy(m, p->period_type.unit)};
	sum->period = p->period;
	sum->time_ns = p->time_ns;
	sum->comment = copy(m, p->comment);
	/* In their order: readers take the first for the program. */
	for (size_t i = 0; i < p->mappings.n; i++)
		(void)mapping_of(m, &p->mappings.items[i]);
}

/* ---- locations */

static const char *first_name(const struct insp_profile *p, const struct insp_profile_location *l)
{
	return l->nframes ? p->frames.items[l->first_frame].function : NULL;
}

static bool same_location(const struct insp_profile *a, const struct insp_profile_location *x,
			  const struct insp_profile *b, const struct insp_profile_location *y)
{
	const char *s = first_name(a, x), *t = first_name(b, y);

	if (x->addr != y->addr)
		return false;
	return x->addr || strcmp(s ? s : "", t ? t : "") == 0;
}

static uint32_t location_of(struct insp_profile_merger *m, const struct insp_profile *p,
			    const struct insp_profile_location *l)
{
	uint64_t h = l->addr ? mix(1, l->addr) : mix_text(2, first_name(p, l)), *hash;
	struct insp_profile *sum = m->sum;
	uint32_t number, mapping;
	size_t k;

	if (sum->failed || index_grow(&m->locations, m->location_hashes.items)) {
		sum->failed = true;
		return 0;
	}
	for (k = h & m->locations.mask; m->locations.slots[k]; k = (k + 1) & m->locations.mask) {
		number = m->locations.slots[k] - 1;
		if (m->location_hashes.items[number] == h &&
		    same_location(sum, &sum->locations.items[number], p, l))
			return number;
	}
	mapping = l->mapping ? mapping_of(m, &p->mappings.items[l->mapping - 1]) : 0;
	hash = insp_vec_push(&m->location_hashes);
	if (!hash) {
		sum->failed = true;
		return 0;
	}
	*hash = h;
	number = insp_profile_add_location(sum, l->addr, mapping);
	for (uint32_t f = 0; f < l->nframes; f++) {
		const struct insp_profile_frame *frame = &p->frames.items[l->first_frame + f];

		insp_profile_add_frame(sum, copy(m, frame->function), copy(m, frame->file), frame->line);
	}
	m->locations.slots[k] = number + 1;
	m->locations.used++;
	return number;
}

/* ---- samples */

static bool same_sample(const struct insp_profile_merger *m, const struct insp_profile_sample *s,
			const struct insp_profile_label *label)
{
	if (s->nlocations != m->stack.n ||
	    memcmp(&m->sum->stacks.items[s->first_location], m->stack.items,
		   m->stack.n * sizeof(*m->stack.items)) != 0)
		return false;
	if (!s->label.key || !label->key)
		return !s->label.key && !label->key;
	return strcmp(s->label.key, label->key) == 0 && s->label.number == label->number &&
	       strcmp(s->label.text ? s->label.text : "", label->text ? label->text : "") == 0;
}

static struct insp_profile_sample *sample_of(struct insp_profile_merger *m,
					     const struct insp_profile_label *label)
{
	struct insp_profile *sum = m->sum;
	struct insp_profile_sample *s;
	uint64_t h = mix_text(mix_text(3, label->key), label->text), *hash;
	size_t k;

	h = mix(h, (uint64_t)label->number);
	for (size_t i = 0; i < m->stack.n; i++)
		h = mix(h, m->stack.items[i]);
	if (index_grow(&m->samples, m->sample_hashes.items))
		return NULL;
	for (k = h & m->samples.mask; m->samples.slots[k]; k = (k + 1) & m->samples.mask) {
		uint32_t number = m->samples.slots[k] - 1;

		if (m->sample_hashes.items[number] == h &&
		    same_sample(m, &sum->samples.items[number], label))
			return &sum->samples.items[number];
	}
	hash = insp_vec_push(&m->sample_hashes);
	if (!hash)
		return NULL;
	*hash = h;
	s = insp_profile_add_sample(sum);
	s->label = (struct insp_profile_label){copy(m, label->key), copy(m, label->text), label->number,
					       copy(m, label->unit)};
	for (size_t i = 0; i < m->stack.n; i++)
		insp_profile_push(sum, m->stack.items[i]);
	m->samples.slots[k] = (uint32_t)sum->samples.n;
	m->samples.used++;
	return s;
}

int insp_profile_merger_add(struct insp_profile_merger *m, const struct insp_profile *p, int64_t factor,
			    struct insp_error *err)
{
	if (!m->sum->ntypes)
		take_head(m, p);
	for (size_t i = 0; i < p->samples.n && !m->sum->failed; i++) {
		const struct insp_profile_sample *from = &p->samples.items[i];
		struct insp_profile_sample *to;

		m->stack.n = 0;
		for (uint32_t k = 0; k < from->nlocations; k++) {
			uint32_t at = p->stacks.items[from->first_location + k];
			uint32_t *slot = insp_vec_push(&m->stack);

			m->sum->failed |= !slot;
			if (slot)
				*slot = location_of(m, p, &p->locations.items[at]);
		}
		to = m->sum->failed ? NULL : sample_of(m, &from->label);
		m->sum->failed |= !to;
		for (size_t t = 0; to && t < p->ntypes && t < m->sum->ntypes; t++)
			to->values[t] += factor * from->values[t];
	}
	return insp_profile_ok(m->sum, err);
}

void insp_profile_drop_zeroes(struct insp_profile *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->samples.n; i++) {
		bool any = false;

		for (size_t t = 0; t < p->ntypes; t++)
			any |= p->samples.items[i].values[t] != 0;
		if (any)
			p->samples.items[n++] = p->samples.items[i];
	}
	p->samples.n = n;
}
