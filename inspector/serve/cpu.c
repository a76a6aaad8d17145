/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

struct used {
	int tid;
	char name[16];
	uint64_t seen_ns; /* used up to the last look */
	uint64_t due_ns;  /* not laid to any place yet */
};

struct insp_cpu_book {
	INSP_VEC(struct used) threads; /* by tid */
	uint64_t looks;
};

struct insp_cpu_book *insp_cpu_book_create(void)
{
	return calloc(1, sizeof(struct insp_cpu_book));
}

void insp_cpu_book_destroy(struct insp_cpu_book *book)
{
	if (!book)
		return;
	insp_vec_free(&book->threads);
	free(book);
}

static void set_types(struct insp_profile *p)
{
	p->ntypes = 0;
	insp_profile_add_type(p, "samples", "count");
	insp_profile_add_type(p, "cpu", "nanoseconds");
	p->default_type = 1;
	p->period_type = p->types[1];
	p->period = 1;
}

static int by_tid(const void *a, const void *b)
{
	const struct used *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

static struct used *used_of(struct insp_cpu_book *book, size_t n, int tid)
{
	const struct used key = {.tid = tid};

	return n ? bsearch(&key, book->threads.items, n, sizeof(key), by_tid) : NULL;
}

int insp_cpu_book_look(struct insp_cpu_book *book, const struct insp_snapshot *snap,
		       struct insp_profile *profile, struct insp_error *err)
{
	size_t known = book->threads.n;

	book->looks++;
	set_types(profile);
	for (size_t i = 0; i < snap->threads.n && i < profile->samples.n; i++) {
		const struct insp_thread *t = &snap->threads.items[i];
		struct insp_profile_sample *s = &profile->samples.items[i];
		struct used *u = used_of(book, known, t->tid);
		bool runs = t->state == 'R';

		if (!u) {
			u = insp_vec_push(&book->threads);
			if (!u)
				return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
			u->tid = t->tid;
			memcpy(u->name, t->name, sizeof(u->name));
			/* One that is new since the first look has used all of it since. */
			u->seen_ns = book->looks == 1 ? t->cpu_ns : 0;
		}
		u->due_ns += t->cpu_ns > u->seen_ns ? t->cpu_ns - u->seen_ns : 0;
		u->seen_ns = t->cpu_ns;
		s->values[0] = runs;
		s->values[1] = runs ? (int64_t)u->due_ns : 0;
		u->due_ns = runs ? 0 : u->due_ns;
	}
	if (book->threads.n > known)
		qsort(book->threads.items, book->threads.n, sizeof(*book->threads.items), by_tid);
	return 0;
}

int insp_cpu_book_rest(const struct insp_cpu_book *book, struct insp_pool *pool, struct insp_profile **ret,
		       struct insp_error *err)
{
	struct insp_profile *p = insp_profile_create(pool, "cpu");
	uint32_t place;
	int rc;

	if (!p)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the profile");
	set_types(p);
	p->comment = insp_pool_printf(pool,
				      "%llu looks at the threads; times are the kernel's, laid to where a "
				      "thread was next seen running",
				      (unsigned long long)book->looks);
	place = insp_profile_add_location(p, 0, 0);
	insp_profile_add_frame(p, "[never seen running]", NULL, 0);
	for (size_t i = 0; i < book->threads.n; i++) {
		const struct used *u = &book->threads.items[i];
		struct insp_profile_sample *s;

		if (!u->due_ns)
			continue;
		s = insp_profile_add_sample(p);
		s->values[1] = (int64_t)u->due_ns;
		s->label = (struct insp_profile_label){.key = "thread", .text = u->name};
		insp_profile_push(p, place);
	}
	rc = insp_profile_ok(p, err);
	if (rc)
		insp_profile_destroy(p);
	else
		*ret = p;
	return rc;
}
