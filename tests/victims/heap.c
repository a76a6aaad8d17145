/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heap: one kind of heap per mode, for the walker of glibc malloc.
 *
 *     heap MODE [N]
 *
 * Beside mallinfo2() it tells malloc_info() (per arena), how many blocks it holds and how many
 * bytes of malloc_usable_size() they have, and some of their addresses. Modes that break the heap
 * say what they broke, and do not allocate any more.
 */
/* variant static: -static */
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "victim.h"

#define MAX_BLOCKS (1u << 21)
#define NTHREADS_MAX 512

static void **blocks;
static size_t nblocks;
static uint64_t state = 88172645463325252u;
static char *broken_addr;
static char *broken_what = "";
static char xml[1 << 18];
static FILE *xml_stream;
static pthread_barrier_t ready;

static uint64_t random64(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static size_t random_size(uint64_t *s)
{
	uint64_t r = random64(s);

	switch (r & 15) {
	case 0:
		return (r >> 8) % 20000;
	case 1:
	case 2:
		return (r >> 8) % 2000;
	default:
		return (r >> 8) % 200;
	}
}

static void *get(size_t size)
{
	char *p = malloc(size);

	if (!p)
		_exit(5);
	memset(p, 0x5a, size < 64 ? size : 64);
	return p;
}

/* Fills n slots, then lets go of and takes back at random, and leaves about two thirds. */
static size_t churn(void **slots, size_t n, uint64_t *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		slots[i] = get(random_size(s));
	for (size_t i = 0; i < n; i++) {
		size_t k = random64(s) % n;

		free(slots[k]);
		slots[k] = random64(s) & 1 ? get(random_size(s)) : NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (slots[i])
			slots[kept++] = slots[i];
	return kept;
}

static void do_mix(size_t n)
{
	nblocks = churn(blocks, n ? n : 20000, &state);
}

static void do_fragment(size_t n)
{
	n = n ? n : 20000;
	for (size_t i = 0; i < n; i++)
		blocks[i] = get(40 + (i % 7) * 24);
	for (size_t i = 0; i < n; i += 2)
		free(blocks[i]);
	for (size_t i = 1; i < n; i += 2)
		blocks[nblocks++] = blocks[i];
}

static void do_fast(size_t n)
{
	n = n ? n : 500;
	for (size_t i = 0; i < n; i++)
		blocks[i] = get(16 + (i % 7) * 16);
	for (size_t i = 0; i < n; i++)
		if (i % 3)
			free(blocks[i]);
		else
			blocks[nblocks++] = blocks[i];
}

static void do_mmapped(size_t n)
{
	n = n ? n : 40;
	for (size_t i = 0; i < n; i++)
		blocks[nblocks++] = get(140000 + i * 5000);
	for (size_t shift = 5; shift <= 21; shift++) {
		void *p = aligned_alloc((size_t)1 << shift, 400000);

		if (!p)
			_exit(5);
		blocks[nblocks++] = p;
	}
	for (size_t i = 0; i < 6; i++) { /* mremap moves and grows them */
		blocks[i] = realloc(blocks[i], 900000 + i * 40000);
		blocks[n + i] = realloc(blocks[n + i], 700000);
	}
	free(blocks[10]); /* a hole; and from now on the threshold is higher */
	blocks[10] = blocks[--nblocks];
}

/* Nothing can be mapped where brk would grow: malloc has to take mappings as pieces of its heap. */
static void do_noncontig(size_t n)
{
	char *brk = sbrk(0);

	blocks[nblocks++] = get(1000);
	brk = (char *)(((uintptr_t)sbrk(0) + 4095) & ~(uintptr_t)4095);
	if (mmap(brk + 4096, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		_exit(6);
	n = n ? n : 60000;
	nblocks = 1 + churn(blocks + 1, n, &state);
}

/* Somebody else calls sbrk in between. */
static void do_sbrk(size_t n)
{
	n = n ? n : 3000;
	for (int i = 0; i < 3; i++) {
		nblocks += churn(blocks + nblocks, n, &state);
		char *p = sbrk(10000 + 24);

		if (p == (void *)-1)
			_exit(6);
		memset(p, 0xff, 10000);
	}
	nblocks += churn(blocks + nblocks, n, &state);
}

struct worker {
	pthread_t thread;
	uint64_t seed;
	void **slots;
	size_t n, kept;
	size_t big;
};

static struct worker workers[NTHREADS_MAX];

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->kept = churn(w->slots, w->n, &w->seed);
	for (size_t i = 0; i < w->big; i++)
		w->slots[w->kept++] = get(100000);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return NULL;
}

static void run_workers(size_t nthreads, size_t each, size_t big)
{
	size_t at = 0;

	pthread_barrier_init(&ready, NULL, (unsigned)nthreads + 1);
	for (size_t i = 0; i < nthreads; i++) {
		workers[i] = (struct worker){
			.seed = 77777 + i, .slots = blocks + at, .n = each, .big = big};
		at += each + big;
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
			_exit(6);
	}
	pthread_barrier_wait(&ready);
	for (size_t i = 0; i < nthreads; i++) {
		for (size_t k = 0; k < workers[i].kept; k++)
			blocks[nblocks++] = workers[i].slots[k];
		workers[i].slots = NULL;
	}
	/* What one thread got another one lets go. */
	for (size_t i = 0; i + 7 < nblocks; i += 7) {
		free(blocks[i]);
		blocks[i] = blocks[--nblocks];
	}
	pthread_barrier_wait(&ready);
}

static void do_threads(size_t n)
{
	run_workers(n && n <= NTHREADS_MAX ? n : 40, 2000, 0);
}

/* More than one heap of 64 MiB in an arena. */
static void do_heaps(size_t n)
{
	run_workers(n && n <= NTHREADS_MAX ? n : 2, 1000, 1500);
}

static void *spin_main(void *arg)
{
	uint64_t seed = 1 + (uintptr_t)arg;
	void *slots[256] = {0};

	for (;;) {
		size_t k = random64(&seed) % 256;

		free(slots[k]);
		slots[k] = malloc(random_size(&seed));
	}
	return NULL;
}

/* Threads that are inside of malloc most of the time. */
static void do_spin(size_t n)
{
	pthread_t t;

	do_mix(5000);
	for (size_t i = 0; i < (n ? n : 4); i++)
		if (pthread_create(&t, NULL, spin_main, (void *)i))
			_exit(6);
}

static void do_badsize(size_t n)
{
	do_mix(n);
	broken_addr = (char *)blocks[nblocks / 2] - 16;
	broken_what = "bad_size";
}

static void do_badtop(size_t n)
{
	do_mix(n);
	broken_addr = (char *)get(120000) - 16; /* larger than any free chunk: cut from top */
	broken_addr += ((size_t *)broken_addr)[1] & ~(size_t)7;
	broken_what = "bad_top";
}

/* The unsorted bin goes round without its head. */
static void do_loop(size_t n)
{
	static char *p[64];

	do_mix(n);
	for (int i = 0; i < 64; i++)
		p[i] = get(3000);
	for (int i = 0; i < 64; i += 2)
		free(p[i]);
	broken_addr = p[10] - 16;
	broken_what = "list_loop";
}

/* main_arena.top, to which the last chunk of the unsorted bin leads. */
static void do_wildtop(size_t n)
{
	char *low = get(3000), *volatile first; /* the compiler minds what is done to a freed one */

	do_mix(n);
	first = get(3000);
	blocks[nblocks++] = low;
	blocks[nblocks++] = get(100000); /* keeps it away from top */
	broken_addr = first - 16;
	free(first);
	while (broken_addr >= low - (1 << 20) && broken_addr < (char *)sbrk(0))
		broken_addr = ((char **)broken_addr)[2];
	broken_what = "wild_top";
}

static void do_tcache(size_t n)
{
	static char *p[64 * 7];

	(void)n;
	for (int i = 0; i < 64 * 7; i++)
		p[i] = get(8 + 16 * (size_t)(i % 64));
	for (int i = 0; i < 64 * 7; i++)
		free(p[i]);
	blocks[nblocks++] = get(100000);
}

static const struct {
	const char *name;
	void (*fn)(size_t n);
} modes[] = {
	{"mix", do_mix},	   {"fragment", do_fragment}, {"fast", do_fast},
	{"mmapped", do_mmapped},   {"noncontig", do_noncontig}, {"sbrk", do_sbrk},
	{"threads", do_threads},   {"heaps", do_heaps},	      {"spin", do_spin},
	{"badsize", do_badsize},   {"badtop", do_badtop},     {"loop", do_loop},
	{"wildtop", do_wildtop},   {"tcache", do_tcache},
};

/* Here nothing may allocate any more. */
static void break_it(void)
{
	size_t *chunk = (size_t *)broken_addr;

	if (strcmp(broken_what, "bad_size") == 0)
		chunk[1] = 0x4141414141414141;
	else if (strcmp(broken_what, "bad_top") == 0)
		chunk[1] = 0xffffffffffffffff;
	else if (strcmp(broken_what, "wild_top") == 0)
		chunk[0] = 0x4141414141414140;
	else if (strcmp(broken_what, "list_loop") == 0)
		chunk[2] = (size_t)chunk;
}

static const char *escaped(const char *text)
{
	static char out[1 << 19];
	size_t n = 0;

	for (; *text && n < sizeof(out) - 3; text++) {
		if (*text == '"')
			out[n++] = '\'';
		else if (*text != '\n')
			out[n++] = *text;
	}
	out[n] = 0;
	return out;
}

static const char *sample(void)
{
	static char out[8192];
	size_t n = 0;

	for (size_t i = 0; i < 50 && nblocks; i++) {
		void *p = blocks[i * 7919 % nblocks];

		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s[%zu,%zu]", i ? "," : "",
				      (size_t)p, malloc_usable_size(p));
	}
	return out;
}

int main(int argc, char **argv)
{
	uint64_t usable = 0;
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, i;

	victim_init();
	blocks = mmap(NULL, MAX_BLOCKS * sizeof(*blocks), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (blocks == MAP_FAILED || argc < 2)
		return 2;
	xml_stream = fmemopen(xml, sizeof(xml) - 1, "w");
	if (!xml_stream)
		return 2;
	setvbuf(xml_stream, NULL, _IONBF, 0);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, argv[1]) == 0)
			break;
	if (i == sizeof(modes) / sizeof(modes[0]))
		return 2;
	modes[i].fn(n);
	for (i = 0; i < nblocks; i++)
		usable += malloc_usable_size(blocks[i]);
	malloc_info(0, xml_stream);
	victim_ready("\"mode\":\"%s\",\"live\":%zu,\"usable\":%llu,\"broken\":\"%s\","
		     "\"broken_addr\":%zu,\"sample\":[%s],\"malloc_info\":\"%s\"",
		     argv[1], nblocks, (unsigned long long)usable, broken_what,
		     (size_t)broken_addr, sample(), escaped(xml));
	break_it();
	if (broken_addr)
		victim_write("{\"broken\":true}\n", 16);
	victim_wait();
}
