/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_locate: finds every glibc malloc of a process from the bytes alone.
 *
 * main_arena is a static variable: it lies in the .data or .bss of whatever module holds a
 * malloc.c: libc.so.6, a static program, a second libc that dlmopen brought. Its mark are empty
 * bins, whose two words both hold their own address minus 16:
 *
 *     bins[]   A: A-16  A+8: A-16   | A+16: A  A+24: A | ...
 *
 * Where the struct starts is not a question of versions: main_arena.next closes a ring of arenas,
 * and the only link that leads back into this module is the start of main_arena. The distance
 * from there to bins tells the layout. mp_ is found by its contents, near by.
 */
#include "heap/glibc.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define BINS_BYTES	(GLIBC_NBINS * 16)
#define STATE_TAIL	56   /* binmap to max_system_mem */
#define FRONT_MAX	512  /* bytes of malloc_state before bins, of any version */
#define SCAN_MAX	(UINT64_C(256) << 20)
#define FAILED_HITS_MAX 4096
#define PAR_WINDOW	(UINT64_C(256) << 10)
#define PAR_BAR		12
#define VERSION_FILE_MAX (UINT64_C(16) << 20)

struct scan {
	const struct insp_heap_env *env;
	uint64_t scanned;
	unsigned failed_hits;
	struct {
		uint64_t bins;
		int score;
	} found[16];
	int nfound;
};

void insp_glibc_destroy(struct insp_glibc *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->segments.n; i++)
		free(g->segments.items[i].free_index);
	insp_vec_free(&g->arenas);
	insp_vec_free(&g->segments);
	insp_vec_free(&g->tcaches);
	insp_vec_free(&g->mmapped);
	insp_vec_free(&g->hints);
	insp_glibc_notes_deinit(&g->free_notes);
	insp_glibc_notes_deinit(&g->link_notes);
	free(g);
}

/* An empty bin was seen at `hit`: which bin of which array is it? 0: none of any. */
static uint64_t find_bins(struct scan *s, uint64_t hit, int *ret_score)
{
	uint8_t buf[2 * BINS_BYTES + FRONT_MAX + STATE_TAIL];
	uint64_t lo = hit - BINS_BYTES, found = 0;
	size_t front = 16, len = front + 2 * BINS_BYTES + STATE_TAIL;
	int best = 0;

	/* The struct may lie at the very start or end of the mapping. */
	const struct insp_region *r = insp_regions_find(s->env->regions, hit);

	if (!r)
		return 0;
	memset(buf, 0xff, sizeof(buf));
	uint64_t from = lo - front < r->start || lo < front ? r->start : lo - front;
	uint64_t to = lo - front + len;

	if (to > r->end) { /* .data may run on into .bss, another mapping */
		const struct insp_region *next = insp_regions_find(s->env->regions, r->end);

		if (!next || to > next->end)
			to = r->end;
	}
	if (from >= to ||
	    insp_space_read(s->env->space, from, buf + (from - (lo - front)), (size_t)(to - from)))
		return 0;
	for (unsigned k = 0; k < GLIBC_NBINS; k++) {
		uint64_t bins = hit - 16 * (uint64_t)k;
		int score;

		if (bins - 16 < from || bins + BINS_BYTES + STATE_TAIL > to)
			continue;
		score = insp_glibc_bins_score(s->env->regions, bins, buf + (bins - (lo - front)));
		if (score > best) {
			best = score;
			found = bins;
		}
	}
	*ret_score = best;
	return found;
}

static void scan_region(struct scan *s, uint64_t start, uint64_t end)
{
	struct insp_stream stream;
	uint64_t addr = start, skip_to = start;

	insp_stream_begin(&stream, s->env->space, start, end, NULL, NULL);
	while (addr + 16 <= end && s->nfound < 16 && s->scanned < SCAN_MAX) {
		size_t avail;
		const uint8_t *p = insp_stream_at(&stream, addr, 16, &avail);

		if (!p) {
			addr = (addr & ~(GLIBC_PAGE - 1)) + GLIBC_PAGE;
			continue;
		}
		if (avail > end - addr)
			avail = (size_t)(end - addr);
		size_t n = avail / 8 - 1;

		for (size_t i = 0; i < n; i++) {
			uint64_t at = addr + 8 * i;
			int score;

			if (insp_glibc_load(p + 8 * i) != at - 16 ||
			    insp_glibc_load(p + 8 * i + 8) != at - 16 || at < skip_to)
				continue;
			uint64_t bins = find_bins(s, at, &score);

			if (bins) {
				s->found[s->nfound].bins = bins;
				s->found[s->nfound++].score = score;
				skip_to = bins + BINS_BYTES;
				if (s->nfound == 16)
					return;
			} else if (++s->failed_hits > FAILED_HITS_MAX) {
				return;
			}
		}
		addr += 8 * n;
		s->scanned += 8 * n;
	}
}

/* Writable static data of modules: private file mappings, and the .bss that follows one. */
static void scan_modules(struct scan *s)
{
	const struct insp_regions *regions = s->env->regions;
	bool after_file = false; /* of data: a heap may follow a file that was mapped for reading */

	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];
		bool file = !insp_region_anonymous(r);

		if (!(i && regions->items[i - 1].end == r->start))
			after_file = false;
		if (file)
			after_file = r->prot & INSP_PROT_WRITE && !(r->flags & INSP_REGION_SHARED);
		if (!(r->prot & INSP_PROT_WRITE) || !(r->prot & INSP_PROT_READ) ||
		    r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE | INSP_REGION_BRK |
				INSP_REGION_STACK))
			continue;
		if (file || (after_file && r->name && !r->name[0]))
			scan_region(s, r->start, r->end);
	}
}

/*
 * Bins of the arena whose malloc_state starts at addr: their distance, or 0. An array that begins
 * one bin too early or too late looks right but for its ends, so the best one counts.
 */
static uint64_t bins_distance(const struct insp_heap_env *env, uint64_t addr)
{
	uint8_t buf[FRONT_MAX + BINS_BYTES + STATE_TAIL];
	uint64_t found = 0;
	int best = 0;

	if (insp_space_read(env->space, addr, buf, sizeof(buf)))
		return 0;
	for (uint64_t d = 16; d <= FRONT_MAX; d += 8) {
		int score = insp_glibc_bins_score(env->regions, addr + d, buf + d);

		if (score > best) {
			best = score;
			found = d;
		}
	}
	return found;
}

/*
 * Follows next from the arena with these bins until the ring comes back to just before them.
 * Returns the start of that malloc_state, or 0 when the ring does not close.
 */
static uint64_t close_ring(const struct insp_heap_env *env, uint64_t bins)
{
	uint64_t next, distance = 0;

	if (insp_space_u64(env->space, bins + BINS_BYTES + 16, &next))
		return 0;
	for (unsigned n = 0; n < GLIBC_MAX_ARENAS; n++) {
		if (next < bins && bins - next <= FRONT_MAX)
			return next;
		if (next & 7 || !insp_glibc_writable(env->regions, next))
			return 0;
		if (!distance)
			distance = bins_distance(env, next);
		if (!distance ||
		    insp_space_u64(env->space, next + distance + BINS_BYTES + 16, &next))
			return 0;
	}
	return 0;
}

int insp_glibc_arena_read(const struct insp_glibc *g, struct insp_space *space, uint64_t addr,
			  struct insp_glibc_arena *ret)
{
	const struct insp_glibc_state_layout *l = &g->state;
	uint8_t buf[4096];

	if (l->size > sizeof(buf) || l->bins + BINS_BYTES > l->size || l->next + 8 > l->size ||
	    l->max_system_mem + 8 > l->size || l->top + 8 > l->size ||
	    insp_space_read(space, addr, buf, l->size))
		return INSP_E_FAULT;
	*ret = (struct insp_glibc_arena){
		.addr = addr,
		.main = addr == g->main_arena,
		.top = insp_glibc_load(buf + l->top),
		.last_remainder = insp_glibc_load(buf + l->last_remainder),
		.next = insp_glibc_load(buf + l->next),
		.attached_threads = insp_glibc_load(buf + l->attached_threads),
		.system_mem = insp_glibc_load(buf + l->system_mem),
		.max_system_mem = insp_glibc_load(buf + l->max_system_mem),
	};
	memcpy(&ret->mutex, buf + l->mutex, sizeof(ret->mutex));
	memcpy(&ret->flags, buf + l->flags, sizeof(ret->flags));
	memcpy(ret->bins, buf + l->bins, sizeof(ret->bins));
	if (l->fastbins != GLIBC_NONE)
		memcpy(ret->fastbins, buf + l->fastbins, sizeof(ret->fastbins));
	return 0;
}

int insp_glibc_arenas_read(struct insp_glibc *g, struct insp_space *space)
{
	uint64_t addr = g->main_arena;

	g->arenas.n = 0;
	g->arenas_complete = false;
	while (g->arenas.n < GLIBC_MAX_ARENAS) {
		struct insp_glibc_arena *a = insp_vec_push(&g->arenas);

		if (!a)
			return INSP_E_NOMEM;
		if (addr & 7 || insp_glibc_arena_read(g, space, addr, a)) {
			g->arenas.n--;
			return 0;
		}
		addr = a->next;
		if (addr == g->main_arena) {
			g->arenas_complete = true;
			return 0;
		}
		/* A ring that does not come back to its start would go on for ever: the list is
		   short, and quadratic is fine until it is suspiciously long. */
		for (size_t i = 1; i < g->arenas.n && g->arenas.n < 4096; i++)
			if (g->arenas.items[i].addr == addr)
				return 0;
	}
	return 0;
}

/* Do the heaps of the arena, from top's back to its first, fit when heaps are aligned to max? */
static bool heaps_fit(const struct insp_glibc_arena *a, struct insp_space *space, uint64_t max)
{
	uint64_t heap = a->top & ~(max - 1), first = a->addr & ~(max - 1), words[3];

	if (a->addr - first > 256)
		return false;
	for (unsigned n = 0; n < 4096; n++) { /* of a longer list the beginning is enough */
		if (insp_space_read(space, heap, words, sizeof(words)) || words[0] != a->addr ||
		    words[2] > max || words[2] < GLIBC_PAGE || (!n && a->top - heap >= words[2]))
			return false;
		if (heap == first)
			return words[1] == 0;
		heap = words[1];
		if (heap & (max - 1))
			return false;
	}
	return true;
}

static unsigned heap_max_votes(struct insp_glibc *g, struct insp_space *space, uint64_t max)
{
	unsigned votes = 0;

	for (size_t i = 0; i < g->arenas.n; i++)
		if (!g->arenas.items[i].main && heaps_fit(&g->arenas.items[i], space, max))
			votes++;
	return votes;
}

void insp_glibc_heap_max(struct insp_glibc *g, struct insp_space *space)
{
	unsigned best;

	/* 64 MiB unless it is clear that another one fits more of the arenas: hugetlb tunables
	   make it four huge pages (8 MiB, 4 GiB) in 2.35 to 2.42. */
	g->heap_max = UINT64_C(64) << 20;
	best = heap_max_votes(g, space, g->heap_max);
	for (unsigned shift = 20; shift <= 36 && best + 1 < g->arenas.n; shift++) {
		unsigned votes = heap_max_votes(g, space, UINT64_C(1) << shift);

		if (votes > best) {
			best = votes;
			g->heap_max = UINT64_C(1) << shift;
		}
	}
	g->heap_info_size = 48;
	for (size_t i = 0; i < g->arenas.n; i++)
		if (!g->arenas.items[i].main) {
			uint64_t off = g->arenas.items[i].addr & (GLIBC_PAGE - 1);

			if (off >= 24 && off <= 256) {
				g->heap_info_size = off;
				break;
			}
		}
}

/* mp_ is static data of the same file: the best-scoring place near main_arena. */
static void find_par(struct insp_glibc *g, const struct insp_heap_env *env)
{
	uint64_t lo = g->main_arena > PAR_WINDOW ? g->main_arena - PAR_WINDOW : 0,
		 hi = g->main_arena + PAR_WINDOW;
	int best = PAR_BAR - 1;
	uint8_t *buf;

	for (;;) { /* shrink the window to what is mapped writable around main_arena */
		const struct insp_region *r = insp_regions_find(env->regions, g->main_arena);

		if (!r)
			return;
		uint64_t start = r->start, end = r->end;

		while ((r = insp_regions_find(env->regions, start - 1)) &&
		       r->prot & INSP_PROT_WRITE && start > lo)
			start = r->start;
		while ((r = insp_regions_find(env->regions, end)) && r->prot & INSP_PROT_WRITE &&
		       end < hi)
			end = r->end;
		lo = start > lo ? start : lo;
		hi = end < hi ? end : hi;
		break;
	}
	buf = malloc((size_t)(hi - lo));
	if (!buf)
		return;
	if (insp_space_read(env->space, lo, buf, (size_t)(hi - lo)) == 0) {
		for (unsigned r = 0; r < insp_glibc_npar_layouts; r++) {
			const struct insp_glibc_par_layout *l = &insp_glibc_par_layouts[r];

			for (size_t off = 0; off + l->size <= hi - lo; off += 8) {
				int score = insp_glibc_par_score(l, buf + off, env->regions);

				if (score <= best)
					continue;
				best = score;
				g->par_addr = lo + off;
				g->par_layout = *l;
				insp_glibc_par_read(l, buf + off, &g->par);
			}
		}
	}
	free(buf);
}

/* "2.36" from "GNU C Library (...) stable release version 2.36." in the module's file. */
static const char *read_version(const struct insp_heap_env *env, const struct insp_module *module)
{
	static const char mark[] = "GNU C Library", word[] = "version ";
	const struct insp_region *r = insp_regions_find(env->regions, module->start);
	const char *version = NULL;
	uint8_t *buf;
	int fd;

	if (!r || insp_region_anonymous(r) || !env->target->ops->open_file)
		return NULL;
	fd = env->target->ops->open_file(env->target, INSP_TARGET_REGION_FILE, r, NULL);
	if (fd < 0)
		return NULL;
	buf = malloc(VERSION_FILE_MAX);
	if (buf) {
		size_t len = 0;
		ssize_t got;

		while (len < VERSION_FILE_MAX &&
		       (got = pread(fd, buf + len, VERSION_FILE_MAX - len, (off_t)len)) > 0)
			len += (size_t)got;
		const uint8_t *at = memmem(buf, len, mark, sizeof(mark) - 1);

		if (at) {
			size_t left = len - (size_t)(at - buf);
			const uint8_t *v = memmem(at, left < 256 ? left : 256, word,
						  sizeof(word) - 1);

			if (v) {
				size_t n = 0;

				v += sizeof(word) - 1;
				while (v + n < buf + len && n < 16 &&
				       ((v[n] >= '0' && v[n] <= '9') || v[n] == '.'))
					n++;
				while (n && v[n - 1] == '.')
					n--;
				version = insp_pool_strndup(env->pool, (const char *)v, n);
			}
		}
	}
	free(buf);
	(void)close(fd);
	return version;
}

static int confidence(const struct insp_glibc *g, int bins_score, bool known, bool closed)
{
	int c = 40 + (bins_score * 30 + GLIBC_NBINS - 1) / GLIBC_NBINS; /* up to 70 for the bins alone */

	c += closed ? 15 : -25;
	c += known || g->from_dwarf ? 5 : -10;
	c += g->par.have ? 10 : 0;
	return c > 100 ? 100 : c;
}

static void describe(struct insp_glibc *g, const struct insp_heap_env *env, int bins_score,
		     bool known, bool closed)
{
	const char *where = g->module ? insp_module_basename(g->module) : "a module";

	g->confidence = confidence(g, bins_score, known, closed);
	g->title = g->version ? insp_pool_printf(env->pool, "glibc malloc %s", g->version)
			      : insp_pool_printf(env->pool, "glibc malloc, layout of %s",
						 g->state.versions);
	g->evidence = insp_pool_printf(
		env->pool,
		"main_arena at %#" PRIx64 " in %s: %d of %d bins consistent, %s, layout of %s%s, %s",
		g->main_arena, where, bins_score, GLIBC_NBINS,
		closed ? "arena list closed" : "arena list does not close", g->state.versions,
		g->from_dwarf ? " (from debug info)" : "",
		g->par.have ? insp_pool_printf(env->pool, "mp_ at %#" PRIx64 " (layout of %s)",
					       g->par_addr, g->par_layout.versions)
			    : "mp_ not found");
	if (g->confidence < GLIBC_BAR)
		g->refused = insp_pool_printf(
			env->pool, "not walked: confidence %d is below %d; %s", g->confidence,
			GLIBC_BAR, g->evidence ? g->evidence : "");
}

static struct insp_glibc *make_instance(const struct insp_heap_env *env, uint64_t bins,
					int bins_score)
{
	struct insp_glibc *g = calloc(1, sizeof(*g));
	uint64_t start = close_ring(env, bins);
	bool closed = start != 0, known;

	if (!g)
		return NULL;
	g->initialised = true;
	g->mmapped_arena = UINT32_MAX;
	if (!start) /* the ring is torn or broken: the most common front */
		start = bins - 112;
	g->main_arena = start;
	known = insp_glibc_state_layout(bins - start, &g->state);
	g->module = insp_modules_find(env->modules, start);
	g->module_path = g->module ? insp_pool_strdup(env->pool, g->module->path) : NULL;
	find_par(g, env);
	g->from_dwarf = insp_glibc_layout_dwarf(g, env);
	if (g->from_dwarf && g->state.bins != bins - start) { /* what the bytes say wins */
		g->from_dwarf = false;
		known = insp_glibc_state_layout(bins - start, &g->state);
	}
	if (g->module)
		g->version = read_version(env, g->module);
	describe(g, env, bins_score, known, closed);
	if (insp_glibc_arenas_read(g, env->space)) {
		insp_glibc_destroy(g);
		return NULL;
	}
	insp_glibc_heap_max(g, env->space);
	if (g->arenas.n == 1 && g->arenas.items[0].system_mem == 0 && g->evidence)
		g->evidence = insp_pool_printf(env->pool, "%s; it holds no memory", g->evidence);
	return g;
}

static bool looks_like_libc(const struct insp_module *m)
{
	const char *name = insp_module_basename(m);

	if (m->machine && m->machine != EM_X86_64)
		return false; /* of a 32-bit program: heap/foreign.c speaks of it */
	return strcmp(name, "libc.so.6") == 0 || strncmp(name, "libc-2.", 7) == 0;
}

/* A libc is there, and its malloc is not: nobody has called it yet, or somebody replaced it. */
static struct insp_glibc *make_unused(const struct insp_heap_env *env, const struct insp_module *m)
{
	struct insp_glibc *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->mmapped_arena = UINT32_MAX;
	g->module = m;
	g->module_path = insp_pool_strdup(env->pool, m->path);
	g->version = read_version(env, m);
	g->title = g->version ? insp_pool_printf(env->pool, "glibc malloc %s, unused", g->version)
			      : "glibc malloc, unused";
	g->confidence = 100;
	g->refused = insp_pool_printf(env->pool,
				      "nothing to walk: %s is mapped, but its malloc holds no "
				      "arena: never called, replaced by another, or overwritten",
				      insp_module_basename(m));
	return g;
}

/* The libc that the program was linked with comes first: only that one gets memory from brk. */
static void first_is_own(struct insp_glibc **list, int n)
{
	for (int i = 1; i < n; i++) {
		const struct insp_glibc *g = list[i];

		if (g->arenas.n && !(g->arenas.items[0].flags & GLIBC_NONCONTIGUOUS) &&
		    list[0]->arenas.n && list[0]->arenas.items[0].flags & GLIBC_NONCONTIGUOUS) {
			struct insp_glibc *t = list[0];

			list[0] = list[i];
			list[i] = t;
		}
	}
}

/*
 * Is this the arena of a thread? It lies at the start of its first heap, whose heap_info points at
 * it; heaps are aligned to 1 MiB at least.
 */
static bool in_thread_heap(const struct insp_heap_env *env, uint64_t bins)
{
	uint64_t info = bins & ~((UINT64_C(1) << 20) - 1), arena;

	return bins - info <= GLIBC_PAGE && !insp_space_u64(env->space, info, &arena) &&
	       arena < bins && bins - arena <= FRONT_MAX;
}

int insp_glibc_locate(const struct insp_heap_env *env, struct insp_glibc **ret, int max,
		      struct insp_error *err)
{
	struct scan scan = {.env = env};
	int n = 0;

	scan_modules(&scan);
	for (int i = 0; i < scan.nfound && n < max; i++) {
		if (in_thread_heap(env, scan.found[i].bins))
			continue;
		ret[n] = make_instance(env, scan.found[i].bins, scan.found[i].score);
		if (!ret[n])
			goto nomem;
		n++;
	}
	first_is_own(ret, n);
	for (size_t i = 0; i < env->modules->n && n < max; i++) {
		const struct insp_module *m = &env->modules->items[i];
		bool have = false;

		for (int k = 0; k < n; k++)
			have |= ret[k]->module == m;
		if (have || !looks_like_libc(m))
			continue;
		ret[n] = make_unused(env, m);
		if (!ret[n])
			goto nomem;
		n++;
	}
	return n;
nomem:
	while (n--)
		insp_glibc_destroy(ret[n]);
	return insp_fail(err, INSP_E_NOMEM, "out of memory for the heap walk");
}
