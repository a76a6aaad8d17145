/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_tcache: whose tcache is where, and are its links mangled.
 *
 * Each thread points to its tcache_perthread_struct from a variable in its TLS, which lies at the
 * same distance below the thread pointer in all threads. Without symbols that distance is found
 * by looking for words that point to a chunk of the right size whose counters and entries agree
 * with each other. A struct of zeroes agrees with anything, so the threads vote; thread_arena,
 * another variable of malloc.o's TLS, lies close by and says so.
 */
#include "heap/glibc.h"

#include <stdio.h>
#include <stdlib.h>

#define TLS_BYTES  8192 /* looked at below the thread pointer */
#define TLS_WORDS  (TLS_BYTES / 8)
#define VOTERS	   8
#define NEAR_WORDS 16

struct voting {
	struct insp_glibc *g;
	const struct insp_heap_env *env;
	unsigned votes[TLS_WORDS + 1]; /* by distance in words */
	unsigned layout[TLS_WORDS + 1];
	size_t arena[TLS_WORDS + 1]; /* where thread_arena lies, when that one is the tcache */
};

static bool in_heaps(const struct insp_glibc *g, uint64_t addr)
{
	for (int i = 0; i < 2; i++)
		if (addr - g->range[i].start < g->range[i].end - g->range[i].start)
			return true;
	return false;
}

static uint64_t request_to_size(uint64_t bytes)
{
	return (bytes + 8 + GLIBC_ALIGN - 1) & ~(GLIBC_ALIGN - 1);
}

void insp_glibc_tcache_sizes(const struct insp_glibc *g, unsigned bin, uint64_t *ret_min,
			     uint64_t *ret_max)
{
	uint64_t small_max = GLIBC_MIN_SIZE + 16 * (GLIBC_TCACHE_SMALL - 1);

	if (bin < GLIBC_TCACHE_SMALL || g->tcache_layout.nbins <= GLIBC_TCACHE_SMALL) {
		*ret_min = *ret_max = GLIBC_MIN_SIZE + 16 * (uint64_t)bin;
		return;
	}
	/* Large bins go by powers of two: as many leading zeroes fewer than the largest small. */
	unsigned shift = 63 - (unsigned)__builtin_clzll(small_max) + (bin - GLIBC_TCACHE_SMALL);

	*ret_min = UINT64_C(1) << shift;
	*ret_max = (UINT64_C(1) << (shift + 1)) - 16;
	if (*ret_min <= small_max)
		*ret_min = small_max + 16;
}

static unsigned counter(const struct insp_glibc_tcache_layout *l, const uint8_t *p, unsigned bin)
{
	return l->count_size == 1 ? p[bin] : (unsigned)p[2 * bin] | (unsigned)p[2 * bin + 1] << 8;
}

/* Bins in use plus one when the bytes can be a tcache; 0: cannot. */
static unsigned tcache_score(const struct insp_glibc *g, const struct insp_glibc_tcache_layout *l,
			     const uint8_t *p)
{
	uint64_t limit = g->par.have && g->par.tcache_count ? g->par.tcache_count : 65535;
	unsigned score = 1, odd = 0, slots_sum = 0;

	for (unsigned i = 0; i < l->nbins; i++) {
		uint64_t e = insp_glibc_load(p + l->entries + 8 * i);
		unsigned n = counter(l, p, i);

		if (e && (e & (GLIBC_ALIGN - 1) || !in_heaps(g, e)))
			return 0;
		slots_sum += n;
		if (n > limit)
			return 0;
		if (!l->slots && (e != 0) != (n != 0))
			odd++;
		if (l->slots && e && n == limit && g->par.have)
			odd++;
		score += e != 0;
	}
	if (l->slots && !slots_sum && score == 1)
		return 0; /* all full and nothing there: no */
	return odd > 1 ? 0 : score; /* one bin may be half way through an operation */
}

/* Which layout fits the tcache at addr; fills buf with its bytes. Score, 0: none. */
static unsigned tcache_try(const struct insp_glibc *g, struct insp_space *space, uint64_t addr,
			   uint8_t *buf, unsigned *ret_layout)
{
	uint64_t head;

	if (addr & (GLIBC_ALIGN - 1) || !in_heaps(g, addr) ||
	    insp_space_u64(space, addr - 8, &head))
		return 0;
	for (unsigned i = 0; i < insp_glibc_ntcache_layouts; i++) {
		const struct insp_glibc_tcache_layout *l = &insp_glibc_tcache_layouts[i];
		unsigned score;

		/* 16 bytes more when the rest of a split chunk was too small to be one, and 16 more
		   when 2.43 makes it on the way to a malloc (tcache_init pads what _int_malloc
		   pads again). */
		uint64_t size = head & ~GLIBC_SIZE_BITS, want = request_to_size(l->size);

		if (size < want || size > want + 2 * GLIBC_ALIGN || head & GLIBC_IS_MMAPPED)
			continue;
		if (insp_space_read(space, addr, buf, l->size))
			continue;
		score = tcache_score(g, l, buf);
		if (score) {
			*ret_layout = i;
			return score;
		}
	}
	return 0;
}

/* The words of a thread's static TLS, from the one next to the thread pointer downward. */
static size_t read_tls(const struct voting *v, const struct insp_thread *t, uint64_t *words)
{
	const struct insp_region *r = insp_regions_find(v->env->regions, t->fs_base - 8);
	uint8_t buf[TLS_BYTES];
	uint64_t from;
	size_t n;

	if (t->fs_base < TLS_BYTES || t->fs_base & 7 || !r)
		return 0;
	from = t->fs_base - TLS_BYTES > r->start ? t->fs_base - TLS_BYTES : r->start;
	n = (size_t)(t->fs_base - from);
	if (insp_space_read(v->env->space, from, buf, n))
		return 0;
	for (size_t i = 0; i < n / 8; i++)
		words[i] = insp_glibc_load(buf + n - 8 * (i + 1));
	return n / 8;
}

static bool is_arena(const struct insp_glibc *g, uint64_t addr)
{
	for (size_t i = 0; i < g->arenas.n; i++)
		if (g->arenas.items[i].addr == addr)
			return true;
	return false;
}

static void vote(struct voting *v, const struct insp_thread *t)
{
	uint64_t words[TLS_WORDS];
	uint8_t buf[1024];
	size_t n = read_tls(v, t, words);

	for (size_t i = 0; i < n; i++) {
		unsigned layout, score;

		if (words[i] < 4096 || !in_heaps(v->g, words[i]))
			continue;
		score = tcache_try(v->g, v->env->space, words[i], buf, &layout);
		if (!score)
			continue;
		for (size_t k = i > NEAR_WORDS ? i - NEAR_WORDS : 0; k < n && k <= i + NEAR_WORDS; k++)
			if (is_arena(v->g, words[k])) {
				score += 8;
				v->arena[i + 1] = k + 1;
				break;
			}
		v->votes[i + 1] += score;
		v->layout[i + 1] = layout;
	}
}

static void tcache_add(struct insp_glibc *g, uint64_t addr, int tid, const uint8_t *p)
{
	const struct insp_glibc_tcache_layout *l = &g->tcache_layout;
	struct insp_glibc_tcache *t;

	for (size_t i = 0; i < g->tcaches.n; i++)
		if (g->tcaches.items[i].addr == addr)
			return;
	t = insp_vec_push(&g->tcaches);
	if (!t)
		return;
	t->addr = addr;
	t->tid = tid;
	for (unsigned i = 0; i < l->nbins; i++) {
		unsigned n = counter(l, p, i);

		t->entries[i] = insp_glibc_load(p + l->entries + 8 * i);
		t->counts_known[i] = !l->slots || (g->par.have && n <= g->par.tcache_count);
		t->counts[i] = (uint16_t)(!l->slots		? n
					  : t->counts_known[i] ? g->par.tcache_count - n
							       : 0);
		/* Bins beyond tcache_max have no slots from the start. */
		if (l->slots && !t->entries[i] && !n)
			t->counts_known[i] = false;
	}
}

/* Without threads' registers: up to 2.41 it is the first chunk that a thread ever allocates. */
static void find_first_chunks(struct insp_glibc *g, struct insp_space *space)
{
	uint8_t buf[1024];

	for (size_t i = 0; i < g->arenas.n; i++) {
		const struct insp_glibc_arena *a = &g->arenas.items[i];
		uint64_t chunk = a->main ? g->par.sbrk_base : a->addr + g->state.size;
		unsigned layout;

		chunk = (chunk + GLIBC_ALIGN - 1) & ~(GLIBC_ALIGN - 1);
		if (!chunk || !tcache_try(g, space, chunk + GLIBC_HEADER, buf, &layout))
			continue;
		if (!g->tcaches.n)
			g->tcache_layout = insp_glibc_tcache_layouts[layout];
		if (g->tcache_layout.size == insp_glibc_tcache_layouts[layout].size)
			tcache_add(g, chunk + GLIBC_HEADER, 0, buf);
	}
}

void insp_glibc_tcaches_find(struct insp_glibc *g, const struct insp_heap_env *env)
{
	struct voting *v = calloc(1, sizeof(*v));
	const struct insp_threads *threads = env->threads;
	size_t best = 0, voters = 0;
	uint8_t buf[1024];

	g->tcaches.n = 0;
	if (!v)
		return;
	v->g = g;
	v->env = env;
	if (threads) {
		for (size_t i = 0; i < threads->n && voters < VOTERS; i++)
			if (threads->items[i].have_regs && threads->items[i].fs_base) {
				vote(v, &threads->items[i]);
				voters++;
			}
	}
	for (size_t i = 1; i <= TLS_WORDS; i++)
		if (v->votes[i] > v->votes[best])
			best = i;
	if (best) {
		g->tcache_layout = insp_glibc_tcache_layouts[v->layout[best]];
		g->thread_arena = 8 * v->arena[best];
		for (size_t i = 0; i < threads->n; i++) {
			const struct insp_thread *t = &threads->items[i];
			uint64_t addr;
			unsigned layout;

			if (!t->have_regs || !t->fs_base ||
			    insp_space_u64(env->space, t->fs_base - 8 * best, &addr) ||
			    !tcache_try(g, env->space, addr, buf, &layout) ||
			    layout != v->layout[best])
				continue;
			tcache_add(g, addr, t->tid, buf);
		}
	} else if (!voters) {
		find_first_chunks(g, env->space);
	}
	free(v);
}

/* Threads of this arena that stand inside the malloc's module: one of them holds the mutex. */
static void name_holders(const struct insp_glibc *g, const struct insp_heap_env *env,
			 const struct insp_glibc_arena *a, char *buf, size_t size_bytes)
{
	size_t len = 0, n = 0;

	buf[0] = '\0';
	for (size_t i = 0; g->thread_arena && env->threads && i < env->threads->n && n < 4; i++) {
		const struct insp_thread *t = &env->threads->items[i];
		uint64_t pc = t->regs[INSP_REG_RIP], arena;

		if (!t->have_regs || !g->module || pc < g->module->start || pc >= g->module->end ||
		    insp_space_u64(env->space, t->fs_base - g->thread_arena, &arena) ||
		    arena != a->addr)
			continue;
		len += (size_t)snprintf(buf + len, size_bytes - len, "%s%d",
					n++ ? ", " : ", maybe thread ", t->tid);
		if (len >= size_bytes)
			return;
	}
}

void insp_glibc_locks_tell(struct insp_glibc *g, const struct insp_heap_env *env,
			   struct insp_heap_result *result)
{
	insp_vec_each(&g->arenas, a) {
		char holders[128];

		if (!a->mutex)
			continue;
		name_holders(g, env, a, holders, sizeof(holders));
		insp_heap_finding(result, env->pool, INSP_HEAP_ARENA_LOCKED, a->addr,
				  "%s was locked: a thread stood inside malloc (state %u%s), its "
				  "lists may be half linked",
				  result->arenas->items[a->index].name, a->mutex, holders);
	}
}

struct linking {
	unsigned plain, mangled;
};

/* How does the link at addr read: as an address, or as a mangled one? */
static void judge_link(const struct insp_glibc *g, struct insp_space *space, uint64_t addr,
		       struct linking *l)
{
	uint64_t word, decoded;

	if (!addr || addr & (GLIBC_ALIGN - 1) || !in_heaps(g, addr) ||
	    insp_space_u64(space, addr, &word))
		return;
	decoded = word ^ addr >> 12;
	l->plain += word == 0 || (!(word & (GLIBC_ALIGN - 1)) && in_heaps(g, word));
	l->mangled += decoded == 0 || (!(decoded & (GLIBC_ALIGN - 1)) && in_heaps(g, decoded));
}

static int version_minor(const struct insp_glibc *g)
{
	const char *s = g->version;
	int minor = 0;

	if (!s || strncmp(s, "2.", 2) != 0)
		return -1;
	for (s += 2; *s >= '0' && *s <= '9' && minor < 1000; s++)
		minor = minor * 10 + (*s - '0');
	return minor;
}

void insp_glibc_safe_linking_find(struct insp_glibc *g, struct insp_space *space)
{
	struct linking l = {0};
	int minor = version_minor(g);

	for (size_t i = 0; i < g->tcaches.n && l.plain + l.mangled < 256; i++)
		for (unsigned b = 0; b < g->tcache_layout.nbins; b++)
			judge_link(g, space, g->tcaches.items[i].entries[b], &l);
	for (size_t i = 0; i < g->arenas.n && l.plain + l.mangled < 512; i++)
		for (unsigned b = 0; b < GLIBC_NFASTBINS; b++)
			if (g->arenas.items[i].fastbins[b])
				judge_link(g, space, g->arenas.items[i].fastbins[b] + GLIBC_HEADER,
					   &l);
	g->safe_linking_known = l.plain != l.mangled;
	if (g->safe_linking_known)
		g->safe_linking = l.mangled > l.plain;
	else /* no list at all: only a hint is left, and nothing depends on it */
		g->safe_linking = minor < 0 ? g->heap_info_size >= 48 : minor >= 32;
}
