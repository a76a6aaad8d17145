/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stacks: from a call stack to the number of its site.
 *
 * Frames form a trie from the outermost inward: stacks share their common beginnings, so a
 * hundred thousand of them take a few megabytes. Readers outside see frames and sites; two
 * indexes are private: frame index (parent, pc) -> frame, and site index hash of the whole
 * stack -> site, which is all that an allocation whose stack is known touches.
 *
 * Look-ups in the site index take no lock. New stacks are entered under one, and do not wait for it
 * for ever (its owner may have lost the CPU): the event is dropped instead, or, when the owner's thread is gone (a raw clone copied the
 * lock into the child), the lock is taken over. Everything is written in an order that
 * leaves the tables valid whenever the writer stops.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hook/fast.h"
#include "hook/hook.h"

/* ---- the lock */

static uint32_t lock; /* 0, or the thread id of its owner */

#define SPINS  256
#define YIELDS 64
#define NAPS   200
#define NAP_NS 100000

/* Nobody waits for himself: such an owner was a child of vfork, under its parent's number. */
static bool owner_gone(uint32_t owner, uint32_t tid)
{
	int saved = errno;
	bool gone = owner == tid || (syscall(SYS_tgkill, getpid(), owner, 0) && errno == ESRCH);

	errno = saved;
	return gone;
}

/* A thread with real-time priority has to sleep, to let one without go on. */
static void wait_for_owner(bool yield)
{
	int saved = errno;

	if (yield)
		(void)sched_yield();
	else
		(void)syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = NAP_NS}, NULL);
	errno = saved;
}

static bool lock_take(uint32_t tid)
{
	uint32_t none = 0;

	for (unsigned i = 0; i < SPINS + YIELDS + NAPS; i++) {
		none = 0;
		if (__atomic_compare_exchange_n(&lock, &none, tid, true, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
		if (i < SPINS)
			__builtin_ia32_pause();
		else
			wait_for_owner(i < SPINS + YIELDS);
	}
	none = __atomic_load_n(&lock, __ATOMIC_RELAXED);
	if (none && owner_gone(none, tid) &&
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
	struct frame_index *wider = insp_hook_map_filled(frame_index_bytes(bits)), *old = frames;

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

struct insp_hook_site_index *insp_hook_sites;

static struct insp_hook_site_index *site_index_create(uint32_t bits)
{
	struct insp_hook_site_index *index =
		insp_hook_map_filled(sizeof(*index) + (2 * sizeof(uint64_t) << bits));

	if (index)
		index->bits = bits;
	return index;
}

static void site_index_put(struct insp_hook_site_index *index, uint64_t hash, uint32_t site)
{
	uint64_t n = UINT64_C(1) << index->bits, i = hash >> (64 - index->bits);

	while (index->entries[i])
		i = (i + 1) & (n - 1);
	index->entries[n + i] = hash;
	__atomic_store_n(&index->entries[i], hash << INSP_HOOK_SITE_BITS | site, __ATOMIC_RELEASE);
	index->used++;
}

/* The old table stays mapped: somebody may be reading it. All old ones together are no larger than
   the new one. False: no more room. */
static bool site_index_room(void)
{
	struct insp_hook_site_index *old = insp_hook_sites, *wider;
	uint64_t n = UINT64_C(1) << old->bits;

	if (old->used < n / 8 * 5)
		return true;
	wider = site_index_create(old->bits + 1);
	if (!wider)
		return old->used < n / 8 * 7;
	for (uint64_t i = 0; i < n; i++)
		if (old->entries[i])
			site_index_put(wider, old->entries[n + i],
				       (uint32_t)(old->entries[i] & INSP_HOOK_SITE_MASK));
	__atomic_store_n(&insp_hook_sites, wider, __ATOMIC_RELEASE);
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

hook_cold uint32_t insp_hook_site_enter(uint32_t tid, uint64_t hash, struct insp_hook_memo_frame *stack,
					uint32_t n)
{
	uint32_t known = n, frame = 0, site;

	if (!lock_take(tid))
		return 0;
	site = insp_hook_site_find(hash);
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
		site_index_put(insp_hook_sites, hash, site);
out:
	lock_give();
	return site;
}

int insp_hook_stacks_init(void)
{
	insp_hook_header.nframes = insp_hook_header.nsites = 1;
	insp_hook_sites = site_index_create(9);
	return insp_hook_sites && frame_index_grow() ? 0 : -1;
}
