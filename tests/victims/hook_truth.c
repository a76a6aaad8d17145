/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook_truth [THREADS [ROUNDS]]: allocates by every function of malloc's family, each from a function
 * of its own, and says for each of these what it allocated and freed. The threads stay alive.
 *
 * What libc itself allocates (threads, stdio) comes from none of the named functions.
 */
/* build: -fno-optimize-sibling-calls -fno-ipa-cp -fno-ipa-ra -Wno-missing-field-initializers */
/* variant nofp: -O2 -fomit-frame-pointer */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "victim.h"

#define noinline __attribute__((noinline))
#define SLOTS	 512

struct truth {
	const char *name;
	uint64_t allocs, alloc_bytes, frees, free_bytes;
};

enum {
	SITE_MALLOC, SITE_CALLOC, SITE_REALLOC, SITE_REALLOCARRAY, SITE_ALIGNED, SITE_POSIX, SITE_MEMALIGN,
	SITE_VALLOC, SITE_STRDUP, SITE_LARGE, SITE_LARGE_ALIGNED, SITE_DEEP, SITE_EMPTY, NSITES
};

static struct truth truths[NSITES] = {
	{"site_malloc"}, {"site_calloc"}, {"site_realloc"}, {"site_reallocarray"}, {"site_aligned"},
	{"site_posix"}, {"site_memalign"}, {"site_valloc"}, {"site_strdup"}, {"site_large"},
	{"site_large_aligned"}, {"site_deep"}, {"site_empty"},
};

struct block {
	void *p;
	size_t n;
	int site;
};

struct worker {
	pthread_t thread;
	uint64_t random;
	struct block blocks[SLOTS];
};

/* No tail call, and no two functions alike that the compiler would make one. */
#define MARK(site) __asm__ volatile("" : : "i"(site))

static pthread_barrier_t barrier;
static int rounds = 20000;

static void counted(int site, bool freed, size_t n)
{
	__atomic_fetch_add(freed ? &truths[site].frees : &truths[site].allocs, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(freed ? &truths[site].free_bytes : &truths[site].alloc_bytes, n,
			   __ATOMIC_RELAXED);
}

static uint32_t next_random(struct worker *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33);
}

static noinline void *site_malloc(size_t n) { void *p = malloc(n); MARK(SITE_MALLOC); return p; }
static noinline void *site_calloc(size_t n) { void *p = calloc(n, 3); MARK(SITE_CALLOC); return p; }
static noinline void *site_aligned(size_t n) { void *p = aligned_alloc(64, n); MARK(SITE_ALIGNED); return p; }
static noinline void *site_memalign(size_t n) { void *p = memalign(256, n); MARK(SITE_MEMALIGN); return p; }
static noinline void *site_valloc(size_t n) { void *p = valloc(n); MARK(SITE_VALLOC); return p; }
static noinline void *site_strdup(const char *s) { void *p = strdup(s); MARK(SITE_STRDUP); return p; }
static noinline void *site_large(size_t n) { void *p = malloc(n); MARK(SITE_LARGE); return p; }
static noinline void *site_large_aligned(size_t n) { void *p = memalign(65536, n); MARK(SITE_LARGE_ALIGNED); return p; }
static noinline void *site_empty(void) { void *p = malloc(0); MARK(SITE_EMPTY); return p; }
static noinline void *site_realloc(void *p, size_t n) { p = realloc(p, n); MARK(SITE_REALLOC); return p; }
static noinline void *site_reallocarray(void *p, size_t n) { p = reallocarray(p, n, 5); MARK(SITE_REALLOCARRAY); return p; }

static noinline void *site_posix(size_t n)
{
	void *p = NULL;

	return posix_memalign(&p, 32, n) ? NULL : p;
}

static noinline void *site_deep(int depth, size_t n)
{
	char pad[32];
	void *p;

	memset(pad, depth, sizeof(pad));
	__asm__ volatile("" : : "r"(pad) : "memory");
	p = depth ? site_deep(depth - 1, n) : malloc(n);
	MARK(SITE_DEEP);
	return p;
}

static void allocate(struct worker *w, struct block *b)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog and runs away";
	size_t n = next_random(w) % 700 + 1;

	b->site = (int)(next_random(w) % NSITES);
	/* Large blocks, far apart in time: they are mappings, and map and unmap are slow. */
	if ((b->site == SITE_LARGE || b->site == SITE_LARGE_ALIGNED) && next_random(w) % 16)
		b->site = SITE_MALLOC;
	b->n = n;
	switch (b->site) {
	case SITE_CALLOC: b->p = site_calloc(n); b->n = 3 * n; break;
	case SITE_REALLOC: b->p = site_realloc(NULL, n); break;
	case SITE_REALLOCARRAY: b->p = site_reallocarray(NULL, n); b->n = 5 * n; break;
	case SITE_ALIGNED: b->n = n * 64; b->p = site_aligned(b->n); break;
	case SITE_POSIX: b->p = site_posix(n); break;
	case SITE_MEMALIGN: b->p = site_memalign(n); break;
	case SITE_VALLOC: b->p = site_valloc(n); break;
	case SITE_STRDUP: b->p = site_strdup(text + n % 50); b->n = strlen(b->p) + 1; break;
	case SITE_LARGE: b->n = n * 1009 + 200000; b->p = site_large(b->n); break;
	case SITE_LARGE_ALIGNED: b->n = n * 1009 + 200000; b->p = site_large_aligned(b->n); break;
	case SITE_DEEP: b->p = site_deep((int)(next_random(w) % 40), n); break;
	case SITE_EMPTY: b->p = site_empty(); b->n = 0; break;
	default: b->p = site_malloc(n); break;
	}
	if (!b->p)
		_exit(4);
	counted(b->site, false, b->n);
}

static void change(struct worker *w, struct block *b)
{
	size_t n = next_random(w) % 3000 + 1;

	/* A chain: the block belongs to whoever resized it last. */
	counted(b->site, true, b->n);
	if (next_random(w) % 2) {
		b->p = site_realloc(b->p, n);
		b->site = SITE_REALLOC;
		b->n = n;
	} else {
		b->p = site_reallocarray(b->p, n);
		b->site = SITE_REALLOCARRAY;
		b->n = 5 * n;
	}
	if (!b->p)
		_exit(4);
	counted(b->site, false, b->n);
	/* One that fails changes nothing. */
	volatile size_t huge = SIZE_MAX / 4;

	if (realloc(b->p, huge) || reallocarray(b->p, huge, 16))
		_exit(4);
}

static noinline void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < rounds; i++) {
		struct block *b = &w->blocks[next_random(w) % SLOTS];

		if (!b->p) {
			allocate(w, b);
		} else if (next_random(w) % 4 == 0) {
			change(w, b);
		} else {
			counted(b->site, true, b->n);
			free(b->p);
			b->p = NULL;
		}
	}
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier); /* nobody comes */
	return NULL;
}

int main(int argc, char **argv)
{
	int nthreads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 4, n = 0;
	static struct worker workers[64];
	static char text[4096];

	if (argc > 2)
		rounds = (int)strtol(argv[2], NULL, 10);
	if (nthreads < 1 || nthreads > 64)
		return 2;
	victim_init();
	pthread_barrier_init(&barrier, NULL, (unsigned)nthreads + 1);
	for (int i = 0; i < nthreads; i++) {
		workers[i].random = 12345 + 7919u * (unsigned)i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 3;
	}
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < NSITES; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"%s\":[%lu,%lu,%lu,%lu]",
			      i ? "," : "", truths[i].name, truths[i].allocs, truths[i].alloc_bytes,
			      truths[i].frees, truths[i].free_bytes);
	victim_ready("\"sites\":{%s}", text);
	victim_wait();
}
