/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/threads_group.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define NAMES_SHOWN 4

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_place(const struct insp_thread *a, const struct insp_thread *b)
{
	const struct insp_frames *x = &a->frames, *y = &b->frames;
	size_t first = 0;

	if (x->n != y->n)
		return false;
	if (!x->n)
		return a->state == b->state && a->syscall == b->syscall &&
		       same_text(x->end_reason, y->end_reason);
	/* The innermost function with what was inlined into it. */
	while (first < x->n && x->items[first].flags & INSP_FRAME_INLINED)
		first++;
	if (first == x->n || y->items[first].flags & INSP_FRAME_INLINED)
		return false;
	if (x->items[first].pc != y->items[first].pc &&
	    (!x->items[first].function ||
	     !same_text(x->items[first].function, y->items[first].function)))
		return false;
	for (size_t i = first + 1; i < x->n; i++)
		if (x->items[i].pc != y->items[i].pc)
			return false;
	return true;
}

static uint64_t place_hash(const struct insp_thread *t)
{
	uint64_t h = t->frames.n;

	/* Not the innermost: threads of one group differ there. */
	for (size_t i = t->frames.n; i-- > 1;)
		if (!(t->frames.items[i].flags & INSP_FRAME_INLINED) &&
		    !(t->frames.items[i].flags & INSP_FRAME_ACTIVATION))
			h = (h ^ t->frames.items[i].pc) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

struct place {
	uint64_t hash;
	const struct insp_thread *thread;
	size_t order, group;
};

static int by_hash(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int by_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Gives each place the order of the first thread that is in the same one. */
static void find_groups(struct place *places, size_t n)
{
	qsort(places, n, sizeof(*places), by_hash);
	for (size_t i = 0; i < n; i++) {
		places[i].group = places[i].order;
		for (size_t k = i; k-- > 0 && places[k].hash == places[i].hash;)
			if (places[k].group == places[k].order &&
			    same_place(places[k].thread, places[i].thread)) {
				places[i].group = places[k].group;
				break;
			}
	}
	qsort(places, n, sizeof(*places), by_order);
}

int insp_threads_group(const struct insp_threads *threads, bool each, struct insp_pool *pool,
		       struct insp_thread_groups *ret, struct insp_error *err)
{
	size_t n = threads->n;
	struct place *places = insp_pool_array(pool, n + 1, sizeof(*places));
	struct insp_thread_group *groups = insp_pool_array(pool, n + 1, sizeof(*groups));
	const struct insp_thread **order = insp_pool_array(pool, n + 1, sizeof(*order));

	if (!places || !groups || !order)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		places[i] = (struct place){
			.hash = each ? i : place_hash(&threads->items[i]),
			.thread = &threads->items[i],
			.order = i,
			.group = i,
		};
	if (!each)
		find_groups(places, n);
	*ret = (struct insp_thread_groups){.items = groups};
	for (size_t i = 0; i < n; i++) {
		struct insp_thread_group *g;

		order[i] = places[i].thread;
		if (!i || places[i].group != places[i - 1].group)
			groups[ret->n++].threads = &order[i];
		g = &groups[ret->n - 1];
		g->n++;
		g->cpu_ns += order[i]->cpu_ns;
	}
	return 0;
}

/* Length of a name without the number at its end. */
static size_t stem(const char *name)
{
	size_t n = strlen(name);

	while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
		n--;
	return n;
}

static const char *name_range(const struct insp_thread_group *g, struct insp_pool *pool)
{
	size_t len = stem(g->threads[0]->name);
	unsigned long lo = ULONG_MAX, hi = 0;
	const char *low = NULL, *high = NULL;

	for (size_t i = 0; i < g->n; i++) {
		const char *name = g->threads[i]->name;
		unsigned long value = 0;

		if (stem(name) != len || strncmp(name, g->threads[0]->name, len) || !name[len])
			return NULL;
		for (const char *p = name + len; *p; p++)
			value = value * 10 + (unsigned long)(*p - '0');
		if (!low || value < lo) {
			lo = value;
			low = name;
		}
		if (!high || value > hi) {
			hi = value;
			high = name;
		}
	}
	return low == high || lo == hi ? low : insp_pool_printf(pool, "%s .. %s", low, high);
}

const char *insp_thread_group_names(const struct insp_thread_group *g, struct insp_pool *pool)
{
	const char *shown[NAMES_SHOWN], *range = name_range(g, pool), *ret;
	struct insp_str s = {0};
	size_t n = 0;
	bool more = false;

	if (range)
		return range;
	for (size_t i = 0; i < g->n && !more; i++) {
		size_t k = 0;

		while (k < n && strcmp(shown[k], g->threads[i]->name))
			k++;
		if (k < n)
			continue;
		more = n == NAMES_SHOWN;
		if (!more)
			shown[n++] = g->threads[i]->name;
	}
	for (size_t i = 0; i < n; i++)
		insp_str_addf(&s, "%s%s", i ? ", " : "", shown[i]);
	if (more)
		insp_str_add(&s, ", ...");
	ret = insp_pool_strdup(pool, insp_str_text(&s));
	insp_str_deinit(&s);
	return ret;
}
