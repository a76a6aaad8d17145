/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * walk: runs all walkers of the table together, and the findings that they make.
 */
#include "heap/allocator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "heap/findings.h"
#include "heap/glibc.h"

#define INSTANCES_MAX 16 /* of one allocator in one process */
#define TEXT_MAX      512

static const struct insp_heap_ops *const allocators[] = {
#define X(name) &insp_heap_##name,
#include "heap/allocators.def"
#undef X
};

const struct insp_heap_finding_info insp_heap_findings[INSP_N_HEAP_FINDINGS] = {
#define X(name, severity, code, meaning) [INSP_HEAP_##name] = {severity, code, meaning},
	INSP_HEAP_FINDINGS(X)
#undef X
};

struct instance {
	const struct insp_heap_ops *ops;
	void *walk;
	uint32_t allocator; /* into result->allocators */
};

struct insp_heap_walk {
	INSP_VEC(struct instance) instances;
};

static void finding_vadd(struct insp_findings *findings, struct insp_pool *pool,
			 enum insp_severity severity, const char *code, uint64_t addr,
			 const char *fmt, va_list ap)
{
	struct insp_finding *f;
	char text[TEXT_MAX];

	if (findings->n >= INSP_FINDINGS_MAX) {
		findings->dropped++;
		return;
	}
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut, if it is that long */
	f = insp_vec_push(findings);
	if (!f) {
		findings->dropped++;
		return;
	}
	*f = (struct insp_finding){
		.severity = severity,
		.code = code,
		.addr = addr,
		.text = insp_pool_strdup(pool, text),
	};
	if (!f->text)
		f->text = "";
}

void insp_finding_add(struct insp_findings *findings, struct insp_pool *pool,
		      enum insp_severity severity, const char *code, uint64_t addr, const char *fmt,
		      ...)
{
	va_list ap;

	va_start(ap, fmt);
	finding_vadd(findings, pool, severity, code, addr, fmt, ap);
	va_end(ap);
}

void insp_heap_finding(struct insp_heap_result *result, struct insp_pool *pool,
		       enum insp_heap_finding which, uint64_t addr, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	finding_vadd(result->findings, pool, insp_heap_findings[which].severity,
		     insp_heap_findings[which].code, addr, fmt, ap);
	va_end(ap);
}

static int add_instance(struct insp_heap_walk *w, struct insp_heap_result *result,
			const struct insp_heap_ops *ops, void *walk)
{
	struct instance *i = insp_vec_push(&w->instances);
	struct insp_allocator *a;

	if (!i) {
		if (ops->close)
			ops->close(walk);
		return INSP_E_NOMEM;
	}
	*i = (struct instance){.ops = ops, .walk = walk};
	a = insp_vec_push(result->allocators);
	if (!a)
		return INSP_E_NOMEM;
	i->allocator = (uint32_t)(result->allocators->n - 1);
	ops->describe(walk, a);
	return 0;
}

/* Says that nothing was recognised, so that every report has a line to show. */
static int add_none(struct insp_heap_result *result)
{
	struct insp_allocator *a = insp_vec_push(result->allocators);

	if (!a)
		return INSP_E_NOMEM;
	*a = (struct insp_allocator){
		.name = "none",
		.title = "no known allocator",
		.confidence = 0,
		.evidence = "no allocator was recognised in this process: neither by its data nor "
			    "by its symbols",
	};
	return 0;
}

/* A malloc that nobody called is no news where another is at work, which took its place. */
static void drop_idle(struct insp_heap_walk *w, struct insp_allocators *all)
{
	size_t nidle = 0, n = 0;

	for (size_t i = 0; i < all->n; i++)
		nidle += all->items[i].idle;
	if (nidle == all->n)
		return;
	for (size_t i = 0; i < all->n; i++) {
		struct instance *instance = &w->instances.items[i];

		if (all->items[i].idle) {
			if (instance->ops->close)
				instance->ops->close(instance->walk);
			continue;
		}
		all->items[n] = all->items[i];
		w->instances.items[n] = *instance;
		w->instances.items[n].allocator = (uint32_t)n;
		n++;
	}
	all->n = w->instances.n = n;
}

int insp_heap_walk_begin(const struct insp_heap_env *env, struct insp_heap_result *result,
			 struct insp_heap_walk **ret, struct insp_error *err)
{
	struct insp_heap_walk *w = calloc(1, sizeof(*w));
	int rc = 0;

	if (!w)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the heap walk");
	for (size_t i = 0; !rc && i < sizeof(allocators) / sizeof(allocators[0]); i++) {
		void *walks[INSTANCES_MAX];
		int n = allocators[i]->probe(env, walks, INSTANCES_MAX, err);

		if (n < 0) {
			insp_heap_walk_end(w);
			return n;
		}
		for (int k = 0; k < n; k++) {
			if (!rc)
				rc = add_instance(w, result, allocators[i], walks[k]);
			else if (allocators[i]->close)
				allocators[i]->close(walks[k]);
		}
	}
	if (!rc)
		drop_idle(w, result->allocators);
	if (!rc && !result->allocators->n)
		rc = add_none(result);
	if (rc) {
		insp_heap_walk_end(w);
		return insp_fail(err, rc, "out of memory for the heap walk");
	}
	*ret = w;
	return 0;
}

void insp_heap_walk_estimate(struct insp_heap_walk *walk, uint64_t *ret_bytes,
			     uint64_t *ret_chunks)
{
	uint64_t bytes = 0, nchunks = 0;

	insp_vec_each(&walk->instances, i) {
		uint64_t b = 0, n = 0;

		if (i->ops->estimate)
			i->ops->estimate(i->walk, &b, &n);
		bytes += b;
		nchunks += n;
	}
	*ret_bytes = bytes;
	*ret_chunks = nchunks;
}

int insp_heap_walk_collect(struct insp_heap_walk *walk, const struct insp_heap_env *env,
			   struct insp_heap_result *result, struct insp_error *err)
{
	insp_vec_each(&walk->instances, i) {
		int rc = i->ops->collect ? i->ops->collect(i->walk, env, i->allocator, result, err)
					 : 0;

		if (rc)
			return rc;
	}
	return 0;
}

int insp_heap_walk_finish(struct insp_heap_walk *walk, const struct insp_heap_env *env,
			  struct insp_heap_result *result, struct insp_error *err)
{
	int rc = insp_chunks_seal(result->chunks, err); /* lists need to look chunks up */

	if (rc)
		return rc;
	insp_vec_each(&walk->instances, i) {
		rc = i->ops->finish ? i->ops->finish(i->walk, env, i->allocator, result, err) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

void insp_heap_walk_end(struct insp_heap_walk *walk)
{
	if (!walk)
		return;
	insp_vec_each(&walk->instances, i)
		if (i->ops->close)
			i->ops->close(i->walk);
	insp_vec_free(&walk->instances);
	free(walk);
}
