/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/sweep.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/vec.h"
#include "base/worker.h"
#include "heap/allocator.h"

/* Reservations of address space (a sanitizer's shadow, a damaged core), not memory with pointers. */
#define HUGE_LIVE_BYTES (UINT64_C(4) << 40)
#define HUGE_DEAD_BYTES (UINT64_C(64) << 30)

#define NBLOCKS		 4u    /* in the second one the reader, in the first the sieve, two for the unsteady */
#define NSHOWN		 512u  /* pieces of blocks on the way; a power of two */
#define SPINS		 4000u /* some 50 us: a third of the time that a block takes */
#define THREAD_MIN_BYTES (UINT64_C(8) << 20)
#define THREAD_NICE	 (-20) /* the reader must not wait for us, and the target not for the reader */
/* Pages are touched before the pause for one pointer in so many bytes: more come by themselves. */
#define BYTES_PER_POINTER 256

struct interval {
	uint64_t start, end;
};

struct shown {
	uint64_t addr;
	const uint8_t *bytes;
	size_t size_bytes;
};

struct insp_sweep {
	struct insp_pointers *pointers;
	INSP_VEC(struct interval) covered; /* what was shown, neighbours joined */
	/*
	 * Pieces for the thread: [done, given) are on the way, slot is number modulo NSHOWN. Both only
	 * rise; given is the reader's, done the thread's.
	 */
	bool threaded;
	pthread_t thread;
	struct shown shown[NSHOWN];
	atomic_size_t given, done;
	atomic_bool ended;
	atomic_uint waiting; /* who sleeps on changed */
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

bool insp_sweep_wants(const struct insp_region *region)
{
	return region->prot & INSP_PROT_READ && region->prot & INSP_PROT_WRITE &&
	       !(region->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE));
}

void insp_sweep_add_ranges(struct insp_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->regions.n; i++)
		if (insp_sweep_wants(&snapshot->regions.items[i]) &&
		    !(snapshot->regions.items[i].flags & INSP_REGION_STACK))
			insp_pointers_add_range(snapshot->pointers, snapshot->regions.items[i].start,
						snapshot->regions.items[i].end);
}

/* ---- the thread */

/* What somebody waits for may have happened. */
static void changed(struct insp_sweep *s)
{
	if (!atomic_load(&s->waiting))
		return;
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Until done reaches want; the thread: until there is more than done, or the end. */
static void wait_for(struct insp_sweep *s, bool (*come)(struct insp_sweep *s, size_t want), size_t want)
{
	for (unsigned i = 0; i < SPINS; i++) {
		if (come(s, want))
			return;
		_mm_pause();
	}
	pthread_mutex_lock(&s->lock);
	atomic_fetch_add(&s->waiting, 1);
	while (!come(s, want))
		pthread_cond_wait(&s->changed, &s->lock);
	atomic_fetch_sub(&s->waiting, 1);
	pthread_mutex_unlock(&s->lock);
}

static bool all_done(struct insp_sweep *s, size_t want)
{
	return atomic_load(&s->done) >= want;
}

static bool more_given(struct insp_sweep *s, size_t have)
{
	return atomic_load(&s->given) > have || atomic_load(&s->ended);
}

static void *sieve(void *ctx)
{
	struct insp_sweep *s = ctx;

	(void)setpriority(PRIO_PROCESS, 0, THREAD_NICE); /* a thread's own, in Linux */
	for (size_t at = 0;; at++) {
		const struct shown *shown = &s->shown[at % NSHOWN];

		wait_for(s, more_given, at);
		if (at == atomic_load(&s->given))
			return NULL;
		insp_pointers_scan(s->pointers, shown->addr, shown->bytes, shown->size_bytes);
		atomic_store(&s->done, at + 1);
		changed(s);
	}
}

/* The reader wants to write over these bytes. */
static void returned(void *ctx, const uint8_t *bytes, size_t size_bytes)
{
	struct insp_sweep *s = ctx;
	size_t given = atomic_load(&s->given);

	for (size_t done = atomic_load(&s->done); given > done; given--)
		if ((size_t)(s->shown[(given - 1) % NSHOWN].bytes - bytes) < size_bytes) {
			wait_for(s, all_done, given);
			return;
		}
}

static bool worth_a_thread(uint64_t heap_bytes)
{
	cpu_set_t cpus;

	return heap_bytes >= THREAD_MIN_BYTES && !sched_getaffinity(0, sizeof(cpus), &cpus) &&
	       CPU_COUNT(&cpus) > 1;
}

struct insp_sweep *insp_sweep_create(struct insp_pointers *pointers, uint64_t heap_bytes)
{
	struct insp_sweep *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->pointers = pointers;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	insp_pointers_prefault(pointers, (size_t)(heap_bytes / BYTES_PER_POINTER),
			       (size_t)(heap_bytes / 4096) + 1024);
	s->threaded = worth_a_thread(heap_bytes) && !insp_worker_start(&s->thread, sieve, s);
	return s;
}

void insp_sweep_destroy(struct insp_sweep *sweep)
{
	if (!sweep)
		return;
	if (sweep->threaded) {
		atomic_store(&sweep->ended, true);
		changed(sweep);
		(void)pthread_join(sweep->thread, NULL);
	}
	pthread_cond_destroy(&sweep->changed);
	pthread_mutex_destroy(&sweep->lock);
	insp_vec_free(&sweep->covered);
	free(sweep);
}

int insp_sweep_attach(struct insp_sweep *sweep, struct insp_space *space, struct insp_error *err)
{
	if (sweep->threaded && insp_space_lend(space, NBLOCKS, returned, sweep))
		return insp_fail(err, INSP_E_NOMEM, "out of memory for reading the target");
	return 0;
}

void insp_sweep_wait(struct insp_sweep *sweep)
{
	if (sweep->threaded)
		wait_for(sweep, all_done, atomic_load(&sweep->given));
}

/* ---- what goes through it */

void insp_sweep_block(void *sweep, uint64_t addr, const uint8_t *bytes, size_t size_bytes)
{
	struct insp_sweep *s = sweep;
	struct interval *last = s->covered.n ? &s->covered.items[s->covered.n - 1] : NULL;

	if (s->threaded) {
		size_t given = atomic_load(&s->given);

		if (given >= NSHOWN)
			wait_for(s, all_done, given - NSHOWN + 1);
		s->shown[given % NSHOWN] = (struct shown){addr, bytes, size_bytes};
		atomic_store(&s->given, given + 1);
		changed(s);
	} else {
		insp_pointers_scan(s->pointers, addr, bytes, size_bytes);
	}
	if (last && last->end == addr) {
		last->end = addr + size_bytes;
		return;
	}
	last = insp_vec_push(&s->covered);
	if (last)
		*last = (struct interval){addr, addr + size_bytes};
}

static int interval_compare(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * The page where the stacks in this region begin to count: below is what returned calls left. Of
 * the main stack that is known; a thread's lies behind a guard, which is looked at where untouched
 * pages cost as much as others, since the target does not tell them.
 */
static uint64_t begin_of(const struct insp_snapshot *s, size_t i, bool pages_told)
{
	const struct insp_region *r = &s->regions.items[i];
	bool guarded = i && r[-1].end == r->start && !(r[-1].prot & INSP_PROT_READ);
	uint64_t top = r->end;

	if (!(r->flags & INSP_REGION_STACK) && (pages_told || !guarded))
		return r->start;
	for (size_t k = 0; k < s->threads.n; k++) {
		const struct insp_thread *th = &s->threads.items[k];
		uint64_t low = (th->regs[INSP_REG_RSP] - INSP_RED_ZONE_BYTES) & ~UINT64_C(4095);

		if (th->have_regs && th->stack_start == r->start && low >= r->start && low < top)
			top = low;
	}
	return top == r->end ? r->start : top;
}

void insp_sweep_rest(struct insp_sweep *sweep, struct insp_snapshot *snapshot, struct insp_space *space,
		     bool live)
{
	size_t ndone = sweep->covered.n;
	struct interval *done = malloc((ndone + 1) * sizeof(*done));

	if (!done)
		return;
	if (ndone) {
		memcpy(done, sweep->covered.items, ndone * sizeof(*done));
		qsort(done, ndone, sizeof(*done), interval_compare);
	}
	for (size_t i = 0, d = 0; i < snapshot->regions.n; i++) {
		const struct insp_region *r = &snapshot->regions.items[i];
		uint64_t at = begin_of(snapshot, i, insp_space_target(space)->ops->pages != NULL);

		if (!insp_sweep_wants(r))
			continue;
		if (insp_region_bytes(r) > (live ? HUGE_LIVE_BYTES : HUGE_DEAD_BYTES)) {
			insp_finding_add(&snapshot->findings, snapshot->pool, INSP_WARNING,
					 "huge_mapping", r->start,
					 "a mapping of more than is memory was not searched for "
					 "pointers");
			continue;
		}
		while (d < ndone && done[d].end <= at)
			d++;
		for (size_t k = d; at < r->end; k++) {
			uint64_t to = k < ndone && done[k].start < r->end ? done[k].start : r->end;
			struct insp_stream stream;

			if (at < to) {
				insp_stream_begin(&stream, space, at, to, insp_sweep_block, sweep);
				insp_stream_end(&stream);
			}
			if (k >= ndone || done[k].start >= r->end)
				break;
			at = done[k].end > at ? done[k].end : at;
		}
	}
	free(done);
}
