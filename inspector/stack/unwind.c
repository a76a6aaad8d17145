/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * unwind: all threads, one after the other, and names for what was found.
 *
 * Threads of a pool stand in the same places, so names are looked up once for each distinct pc:
 * 500 threads of 20 frames are 10,000 pcs, of which a few dozen are different. What a pc turned
 * into (several frames, if calls were inlined) is kept in one list and copied.
 */
#include "stack/unwind.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/vec.h"

#define NAME_FLAGS INSP_FRAME_ACTIVATION /* what of a frame's flags decides its name */

struct named {
	uint64_t pc;
	uint32_t flags;
	bool used;
	uint32_t first, n; /* in names */
};

struct names {
	const struct insp_unwind_env *env;
	struct named *table; /* open addressing; size a power of two */
	size_t cap, used;
	struct insp_frames frames;
};

static const struct insp_unwinder *const unwinders[] = {
#define X(name) &insp_unwinder_##name,
#include "stack/unwinders.def"
#undef X
};

const struct insp_unwinder *insp_unwinder_find(const char *name)
{
	if (!name)
		return unwinders[0];
	for (size_t i = 0; i < sizeof(unwinders) / sizeof(unwinders[0]); i++)
		if (!strcmp(unwinders[i]->name, name))
			return unwinders[i];
	return NULL;
}

static struct named *slot_of(struct named *table, size_t cap, uint64_t pc, uint32_t flags)
{
	uint64_t h = (pc ^ flags) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = h >> 32;; i++) {
		struct named *slot = &table[i & (cap - 1)];

		if (!slot->used || (slot->pc == pc && slot->flags == flags))
			return slot;
	}
}

static int names_grow(struct names *names)
{
	size_t cap = names->cap ? names->cap * 2 : 1024;
	struct named *table = calloc(cap, sizeof(*table));

	if (!table)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < names->cap; i++)
		if (names->table[i].used)
			*slot_of(table, cap, names->table[i].pc, names->table[i].flags) =
				names->table[i];
	free(names->table);
	names->table = table;
	names->cap = cap;
	return 0;
}

/* What raw's pc is called: a view until the next call; NULL when memory is short. */
static const struct named *names_of(struct names *names, const struct insp_frame *raw)
{
	uint32_t flags = raw->flags & NAME_FLAGS;
	size_t first = names->frames.n;
	struct named *slot;

	/* The trampoline's address is no return address either: its code starts right there. */
	if (raw->flags & INSP_FRAME_SIGNAL)
		flags |= INSP_FRAME_ACTIVATION;
	if (names->used * 2 >= names->cap && names_grow(names))
		return NULL;
	slot = slot_of(names->table, names->cap, raw->pc, flags);
	if (slot->used)
		return slot;
	if (insp_symbols_frames(names->env->symbols, names->env->pool, raw->pc, 0,
				flags & INSP_FRAME_ACTIVATION, 0, &names->frames))
		return NULL;
	*slot = (struct named){
		.pc = raw->pc,
		.flags = flags,
		.used = true,
		.first = (uint32_t)first,
		.n = (uint32_t)(names->frames.n - first),
	};
	names->used++;
	return slot;
}

static bool push_named(struct names *names, const struct insp_frame *raw, struct insp_frames *out)
{
	const struct named *name = names_of(names, raw);

	if (!name || insp_vec_reserve(out, name->n))
		return false;
	for (uint32_t i = 0; i < name->n; i++) {
		struct insp_frame *f = &out->items[out->n++];

		*f = names->frames.items[name->first + i];
		f->sp = raw->sp;
		f->flags = (f->flags & INSP_FRAME_INLINED) | raw->flags;
	}
	return true;
}

/* Names for raw, into the pool: thread->frames. */
static int finish_thread(struct names *names, const struct insp_frames *raw,
			 struct insp_frames *scratch, struct insp_thread *thread,
			 struct insp_error *err)
{
	scratch->n = 0;
	for (size_t i = 0; i < raw->n; i++)
		if (!push_named(names, &raw->items[i], scratch))
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
	thread->frames = (struct insp_frames){
		.n = scratch->n,
		.cap = scratch->n,
		.truncated = raw->truncated,
		.end_reason = raw->end_reason,
	};
	if (!scratch->n)
		return 0;
	thread->frames.items = insp_pool_memdup(names->env->pool, scratch->items,
						scratch->n * sizeof(*scratch->items));
	return thread->frames.items ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");
}

/* The machine of the program, EM_X86_64 if nobody knows. */
static uint16_t machine_of(const struct insp_unwind_env *env)
{
	const struct insp_modules *modules = insp_symbols_modules(env->symbols);

	for (size_t i = 0; i < modules->n; i++)
		if (modules->items[i].is_main && modules->items[i].machine)
			return modules->items[i].machine;
	return EM_X86_64;
}

static void refuse_all(const struct insp_unwind_env *env, const char *why)
{
	for (size_t i = 0; i < env->threads->n; i++)
		env->threads->items[i].frames = (struct insp_frames){.end_reason = why};
}

int insp_unwind_all(const struct insp_unwind_env *env, const struct insp_unwinder *unwinder,
		    struct insp_error *err)
{
	struct names names = {.env = env};
	struct insp_frames raw = {0}, scratch = {0};
	void *state = NULL;
	int rc;

	if (machine_of(env) != EM_X86_64) {
		refuse_all(env, "only x86-64 programs can be unwound");
		return 0;
	}
	rc = unwinder->open(env, &state, err);
	for (size_t i = 0; i < env->threads->n && !rc; i++) {
		struct insp_thread *thread = &env->threads->items[i];

		insp_progress("unwinding", i, env->threads->n);
		if (insp_interrupted()) {
			rc = insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
			break;
		}
		if (!thread->have_regs) {
			thread->frames = (struct insp_frames){
				.end_reason = "registers could not be read"};
			continue;
		}
		raw.n = 0;
		raw.truncated = false;
		raw.end_reason = NULL;
		rc = unwinder->unwind(state, thread, &raw, err);
		if (!rc)
			rc = finish_thread(&names, &raw, &scratch, thread, err);
	}
	if (state)
		unwinder->close(state);
	insp_vec_free(&raw);
	insp_vec_free(&scratch);
	insp_vec_free(&names.frames);
	free(names.table);
	return rc;
}
