/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stacks: from a call stack to the number of its site.
 *
 * Frames form a trie from the outermost inward: stacks share their common beginnings, so a
 * hundred thousand of them take a few megabytes. Readers outside see frames and sites; two
 * indexes are private: frame index (parent, pc) -> frame, and site index hash of the whole
 * stack -> site, which is all that an allocation whose stack is known touches.
 *
 * Look-ups in the site index take no lock. New stacks are entered under one, and never wait for it
 * long: the event is dropped instead, or, when the owner's thread is gone (a raw clone copied the
 * lock into the child), the lock is taken over. Everything is written in an order that
 * leaves the tables valid whenever the writer stops.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hook/hook.h"

/* ---- the lock */

static uint32_t lock; /* 0, or the thread id of its owner */

#define SPINS  256
#define YIELDS 256

static bool owner_gone(uint32_t owner)
{
	int saved = errno;
	bool gone = syscall(SYS_tgkill, getpid(), owner, 0) && errno == ESRCH;

	errno = saved;
	return gone;
}

static bool lock_take(uint32_t tid)
{
	uint32_t none = 0;

	for (unsigned i = 0; i < SPINS + YIELDS; i++) {
		none = 0;
		if (__atomic_compare_exchange_n(&lock, &none, tid, true, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
		if (i < SPINS)
			__builtin_ia32_pause();
		else
			(void)sched_yield();
	}
	none = __atomic_load_n(&lock, __ATOMIC_RELAXED);
	if (none && owner_gone(none) &&
	    __atomic_compare_exchange_n(&lock, &none, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return true;
	__atomic_fetch_add(&insp_hook_header.dropped_locked, 1, __ATOMIC_RELAXED);
	return false;
}

static void lock_give(void)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

/*
 * So that no other thread's half-made entry is copied. A signal handler that forks may have
 * interrupted the owner itself (busy): then the child goes on with the entry just as the parent does.
 */
static bool locked_for_fork;

void insp_hook_stacks_before_fork(bool busy)
{
	bool locked = !busy && lock_take((uint32_t)syscall(SYS_gettid));

	if (locked)
		locked_for_fork = true;
}

void insp_hook_stacks_after_fork(bool busy)
{
	if (busy || !locked_for_fork)
		return;
	locked_for_fork = false;
	lock_give();
}

/* ---- segments */

static uint64_t *segment_entry(uint64_t *segments, uint32_t i, size_t entry_bytes, bool make)
{
	uint32_t above = i / INSP_HOOK_SEGMENT;
	unsigned k = above ? 32 - (unsigned)__builtin_clz(above) : 0;
	uint32_t first = k ? INSP_HOOK_SEGMENT << (k - 1) : 0;

	if (!segments[k]) {
		void *fresh = make ? insp_hook_map((k ? first : INSP_HOOK_SEGMENT) * entry_bytes) : NULL;

		if (!fresh)
			return NULL;
		__atomic_store_n(&segments[k], (uint64_t)fresh, __ATOMIC_RELEASE);
	}
	return (uint64_t *)(segments[k] + (i - first) * entry_bytes);
}

static struct insp_hook_frame *frame_at(uint32_t i, bool make)
{
	return (struct insp_hook_frame *)segment_entry(insp_hook_header.frames, i,
						       sizeof(struct insp_hook_frame), make);
}

/* ---- frames */

struct frame_index {
	uint32_t bits, used;
	uint32_t slots[];
};
static struct frame_index *frames;

static uint32_t frame_slot(const struct frame_index *index, uint32_t parent, uint64_t pc)
{
	uint64_t h = (pc ^ (uint64_t)parent << 40 ^ parent) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> (64 - index->bits));
}

static void frame_index_put(struct frame_index *index, uint32_t frame, uint32_t parent, uint64_t pc)
{
	uint32_t i = frame_slot(index, parent, pc);

	while (index->slots[i])
		i = (i + 1) & ((1u << index->bits) - 1);
	index->slots[i] = frame;
	index->used++;
}

static size_t frame_index_bytes(uint32_t bits)
{
	return sizeof(struct frame_index) + (sizeof(uint32_t) << bits);
}

static bool frame_index_grow(void)
{
	uint32_t bits = frames ? frames->bits + 1 : 10;
	struct frame_index *wider = insp_hook_map(frame_index_bytes(bits)), *old = frames;

	if (!wider)
		return false;
	wider->bits = bits;
	for (uint32_t i = 1; old && i < insp_hook_header.nframes; i++) {
		const struct insp_hook_frame *f = frame_at(i, false);

		frame_index_put(wider, i, f->parent, f->pc);
	}
	frames = wider;
	if (old)
		insp_hook_unmap(old, frame_index_bytes(old->bits));
	return true;
}

/* 0: the table is full. */
static uint32_t frame_of(uint32_t parent, uint64_t pc)
{
	if (frames->used >= (1u << frames->bits) / 2 && !frame_index_grow() &&
	    frames->used >= (1u << frames->bits) / 8 * 7)
		goto full;
	uint32_t mask = (1u << frames->bits) - 1, id;

	for (uint32_t i = frame_slot(frames, parent, pc); (id = frames->slots[i]); i = (i + 1) & mask) {
		const struct insp_hook_frame *f = frame_at(id, false);

		if (f->pc == pc && f->parent == parent)
			return id;
	}
	id = insp_hook_header.nframes;
	struct insp_hook_frame *fresh =
		id < insp_hook_limits.frames ? frame_at(id, true) : NULL;

	if (!fresh)
		goto full;
	fresh->pc = pc;
	fresh->parent = parent;
	fresh->site = 0;
	__atomic_store_n(&insp_hook_header.nframes, id + 1, __ATOMIC_RELEASE);
	frame_index_put(frames, id, parent, pc);
	return id;
full:
	__atomic_fetch_add(&insp_hook_header.dropped_frames, 1, __ATOMIC_RELAXED);
	return 0;
}

/* ---- sites */

struct site_entry {
	uint64_t hash; /* 0: empty */
	uint32_t site, unused;
};
struct site_index {
	uint32_t bits, used;
	struct site_entry entries[];
};
static struct site_index *sites;

static struct site_index *site_index_create(uint32_t bits)
{
	struct site_index *index =
		insp_hook_map(sizeof(struct site_index) + (sizeof(struct site_entry) << bits));

	if (index)
		index->bits = bits;
	return index;
}

static uint32_t site_find(uint64_t hash)
{
	const struct site_index *index = __atomic_load_n(&sites, __ATOMIC_ACQUIRE);
	uint32_t mask = (1u << index->bits) - 1;

	for (uint32_t i = (uint32_t)(hash >> (64 - index->bits));; i = (i + 1) & mask) {
		uint64_t there = __atomic_load_n(&index->entries[i].hash, __ATOMIC_ACQUIRE);

		if (hook_likely(there == hash))
			return index->entries[i].site;
		if (!there)
			return 0;
	}
}

static void site_index_put(struct site_index *index, uint64_t hash, uint32_t site)
{
	uint32_t i = (uint32_t)(hash >> (64 - index->bits));

	while (index->entries[i].hash)
		i = (i + 1) & ((1u << index->bits) - 1);
	index->entries[i].site = site;
	__atomic_store_n(&index->entries[i].hash, hash, __ATOMIC_RELEASE);
	index->used++;
}

/* The old table stays mapped: somebody may be reading it. All old ones together are no larger than
   the new one. False: no more room. */
static bool site_index_room(void)
{
	if (sites->used < (1u << sites->bits) / 4 * 3)
		return true;
	struct site_index *wider = site_index_create(sites->bits + 1);

	if (!wider)
		return sites->used < (1u << sites->bits) / 8 * 7;
	for (uint32_t i = 0; i < 1u << sites->bits; i++)
		if (sites->entries[i].hash)
			site_index_put(wider, sites->entries[i].hash, sites->entries[i].site);
	__atomic_store_n(&sites, wider, __ATOMIC_RELEASE);
	return true;
}

static uint32_t site_new(uint32_t frame)
{
	struct insp_hook_frame *f = frame_at(frame, false);
	uint32_t site = insp_hook_header.nsites;

	if (f->site)
		return f->site;
	uint32_t *entry = site < insp_hook_limits.sites
				  ? (uint32_t *)segment_entry(insp_hook_header.sites, site,
							      sizeof(uint32_t), true)
				  : NULL;
	if (!entry) {
		__atomic_fetch_add(&insp_hook_header.dropped_sites, 1, __ATOMIC_RELAXED);
		return 0;
	}
	*entry = frame;
	f->site = site;
	__atomic_store_n(&insp_hook_header.nsites, site + 1, __ATOMIC_RELEASE);
	return site;
}

static hook_cold uint32_t site_enter(uint64_t hash, struct insp_hook_memo_frame *stack, uint32_t n)
{
	uint32_t known = n, frame = 0, site;

	if (!lock_take((uint32_t)syscall(SYS_gettid)))
		return 0;
	site = site_find(hash);
	if (site)
		goto out;
	while (known && !stack[known - 1].frame)
		known--;
	if (known)
		frame = stack[known - 1].frame;
	for (; known < n; known++) {
		frame = frame_of(frame, stack[known].pc);
		if (!frame)
			goto out;
		stack[known].frame = frame;
	}
	site = site_new(frame);
	if (site && site_index_room())
		site_index_put(sites, hash, site);
out:
	lock_give();
	return site;
}

uint32_t insp_hook_site_of(uint64_t hash, struct insp_hook_memo_frame *stack, uint32_t n)
{
	uint32_t site = site_find(hash);

	return hook_likely(site) ? site : site_enter(hash, stack, n);
}

int insp_hook_stacks_init(void)
{
	insp_hook_header.nframes = insp_hook_header.nsites = 1;
	sites = site_index_create(9);
	return sites && frame_index_grow() ? 0 : -1;
}
