/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * graph: times and own memory of the analyses of who holds what, on a heap made up in memory.
 *
 *     graph [CHUNKS [POINTERS_PER_CHUNK [random|near|list]]]
 *
 * Chunks of 32 to 256 bytes; pointers at random places of them to chunks anywhere (random), to
 * chunks within 100,000 (near), or one list through all of them and random ones besides (list).
 * One root in a thousand chunks, so that a part is lost. Prints a line of CSV a phase, and
 * last the peak of own memory: bytes a chunk, with 8 for each pointer taken off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "analysis/dominators.h"
#include "analysis/graph.h"
#include "analysis/leaks.h"
#include "base/fmt.h"
#include "base/log.h"

#define HEAP UINT64_C(0x555560000000)
#define DATA UINT64_C(0x555550000000)

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static size_t rss_bytes(void)
{
	size_t size, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%zu %zu", &size, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return rss * 4096;
}

static size_t peak_bytes(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (size_t)u.ru_maxrss * 1024;
}

/* Both threads', user and system. */
static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct {
	uint64_t wall;
	double cpu;
	size_t rss, nchunks;
} begun;

static void phase_begin(void)
{
	begun.wall = insp_now_ns();
	begun.cpu = cpu_seconds();
}

static void phase_end(const char *name)
{
	size_t rss = rss_bytes() - begun.rss;

	printf("%s,%.3f,%.3f,%zu,%.1f\n", name, (double)(insp_now_ns() - begun.wall) / 1e9,
	       cpu_seconds() - begun.cpu, rss, (double)rss / (double)begun.nchunks);
	fflush(stdout);
}

/* Bytes a chunk, without the pointers. */
static double peak_beside(const struct insp_snapshot *snap)
{
	return (double)(peak_bytes() - begun.rss - snap->pointers->n * 8) / (double)begun.nchunks;
}

/* With GRAPH_STEPS in the environment: when each step of a phase began. */
static void on_log(void *ctx, enum insp_log_level level, const char *text, uint64_t part, uint64_t whole)
{
	static const char *last;

	(void)ctx;
	(void)part;
	(void)whole;
	if (level != INSP_LOG_PROGRESS || text == last)
		return;
	last = text;
	printf("# %.3f %s\n", (double)(insp_now_ns() - begun.wall) / 1e9, text);
}

struct maker {
	struct insp_snapshot *snap;
	uint64_t page[512], page_addr;
};

static void maker_put(struct maker *m, uint64_t addr, uint64_t value)
{
	if ((addr & ~UINT64_C(4095)) != m->page_addr) {
		insp_pointers_scan(m->snap->pointers, m->page_addr, (const uint8_t *)m->page, 4096);
		memset(m->page, 0, sizeof(m->page));
		m->page_addr = addr & ~UINT64_C(4095);
	}
	m->page[addr % 4096 / 8] = value;
}

static uint64_t target_of(const uint32_t *starts, size_t n, size_t i, const char *shape)
{
	size_t t = rng() % n;

	if (shape[0] == 'n')
		t = (i + n + rng() % 100000 - 50000) % n;
	return HEAP + (uint64_t)starts[t] * 16 + 16;
}

/* A heap of n chunks, and what points to them. NULL: memory is short. */
static struct insp_snapshot *make_snapshot(size_t n, size_t per, const char *shape)
{
	static const struct insp_geometry geometry = {.shift = 4, .lead = 16, .tail = 8};
	static struct insp_region regions[2];
	struct maker m = {.snap = insp_snapshot_create(), .page_addr = DATA};
	struct insp_chunks *chunks = m.snap->chunks;
	uint32_t *starts; /* in granules */
	uint64_t at = 0;

	begun.rss = rss_bytes();
	begun.nchunks = n;
	starts = malloc((n + 1) * sizeof(*starts));
	if (!starts)
		return NULL;
	for (size_t i = 0; i <= n; i++) {
		starts[i] = (uint32_t)at;
		at += 2 + rng() % 15;
	}
	m.snap->pointers = insp_pointers_create();
	insp_pointers_add_range(m.snap->pointers, HEAP, HEAP + at * 16);
	regions[0] = (struct insp_region){.start = DATA, .end = HEAP, .inode = 0, .name = "",
					  .prot = INSP_PROT_READ | INSP_PROT_WRITE};
	regions[1] = (struct insp_region){.start = HEAP, .end = HEAP + ((at * 16 + 4095) & ~4095ul),
					  .prot = INSP_PROT_READ | INSP_PROT_WRITE, .name = "[heap]",
					  .flags = INSP_REGION_BRK};
	m.snap->regions.items = regions;
	m.snap->regions.n = 2;
	phase_begin();
	insp_chunks_span_begin(chunks, HEAP, HEAP + at * 16, 0, geometry);
	for (size_t i = 0; i < n; i++)
		insp_chunks_add(chunks, HEAP + (uint64_t)starts[i] * 16, INSP_CHUNK_INUSE);
	insp_chunks_span_end(chunks);
	if (insp_chunks_seal(chunks, NULL))
		return NULL;
	for (size_t i = 0; i < n / 1000; i++)
		maker_put(&m, DATA + i * 8, target_of(starts, n, 0, "random"));
	for (size_t i = 0; i < n; i++) {
		uint64_t mem = HEAP + (uint64_t)starts[i] * 16 + 16;
		size_t words = (size_t)(starts[i + 1] - starts[i]) * 2 - 1, k = 0;
		/* Small chunks hold fewer, larger ones more. */
		size_t npointers = (per * words + rng() % 17) / 17;

		if (shape[0] == 'l' && i + 1 < n)
			maker_put(&m, mem + 8 * k++, HEAP + (uint64_t)starts[i + 1] * 16 + 16);
		for (; k < npointers && k < words; k++)
			maker_put(&m, mem + 8 * k, target_of(starts, n, i, shape) + (rng() % 20 ? 0 : 8));
	}
	maker_put(&m, 0, 0);
	free(starts);
	if (insp_pointers_seal(m.snap->pointers))
		return NULL;
	phase_end("make");
	printf("# %zu chunks, %zu pointers, %zu heap bytes\n", n, m.snap->pointers->n, (size_t)at * 16);
	return m.snap;
}

static int find_leaks(const struct insp_graph *graph, struct insp_error *err)
{
	struct insp_leaks *leaks;

	phase_begin();
	if (insp_leaks_create(graph, &leaks, err))
		return 1;
	phase_end("leaks");
	phase_begin();
	if (insp_leaks_group(leaks, NULL, err))
		return 1;
	phase_end("leaks grouped");
	printf("# %zu reachable, %zu possibly, %zu indirectly, %zu definitely lost\n",
	       (size_t)leaks->sums[INSP_REACH_REACHABLE].count,
	       (size_t)leaks->sums[INSP_REACH_POSSIBLE].count,
	       (size_t)leaks->sums[INSP_REACH_INDIRECT].count,
	       (size_t)leaks->sums[INSP_REACH_DEFINITE].count);
	insp_leaks_destroy(leaks);
	return 0;
}

static int find_dominators(struct insp_graph *graph, struct insp_error *err)
{
	struct insp_dominators *dominators;
	struct insp_dominator_tree *tree;
	struct insp_leaks *leaks;

	phase_begin();
	if (insp_dominators_create(graph, &leaks, &dominators, err))
		return 1;
	phase_end("leaks and dominators");
	phase_begin();
	if (insp_dominator_tree_create(dominators, dominators->retained[0] / 100, &tree, err))
		return 1;
	phase_end("tree of dominators");
	insp_dominator_tree_destroy(tree);
	insp_dominators_destroy(dominators);
	insp_leaks_destroy(leaks);
	return 0;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000000;
	size_t per = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
	struct insp_snapshot *snap;
	struct insp_graph *graph = NULL;
	struct insp_error err = {0};

	if (!n)
		return 1;
	if (getenv("GRAPH_STEPS"))
		insp_log_set(on_log, NULL);
	printf("phase,seconds,cpu_seconds,own_bytes,own_bytes_per_chunk\n");
	snap = make_snapshot(n, per, argc > 3 ? argv[3] : "random");
	if (!snap)
		return 1;
	for (unsigned threads = 1; threads <= 2; threads++) {
		insp_graph_destroy(graph);
		phase_begin();
		if (insp_graph_create(snap, threads, &graph, &err))
			break;
		phase_end(threads == 1 ? "graph on 1 thread" : "graph on 2 threads");
	}
	if (!err.code)
		printf("# %zu edges, %zu roots\n", graph->nedges, graph->nroots);
	if (err.code || find_leaks(graph, &err) || find_dominators(graph, &err)) {
		fprintf(stderr, "graph: %s\n", err.msg);
		return 1;
	}
	printf("peak,,,,%.1f\n", peak_beside(snap));
	insp_graph_destroy(graph);
	snap->regions.n = 0;
	insp_snapshot_destroy(snap);
	return 0;
}
