/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc_layout: where the members of malloc's structs lie, and whether bytes can be one.
 *
 * Numbers come from the structs of malloc/malloc.c (struct malloc_state, struct malloc_par,
 * tcache_perthread_struct) of glibc 2.23 to 2.43. A version number chooses nothing here: rows are
 * tried on the bytes. In every version the part of malloc_state from top on is the same; what
 * changed is what stands before it (fastbins, which went in 2.43), so one number, the offset of
 * bins, says it all:
 *
 *     mutex flags [have_fastchunks] [fastbinsY[10]] | top last_remainder bins[254] binmap[4]
 *                                                     next next_free attached_threads
 *                                                     system_mem max_system_mem
 */
#include "heap/glibc.h"

#include <stddef.h>

#define BINS_BYTES   (GLIBC_NBINS * 16)
#define ODD_BINS_MAX 8

static const struct {
	const char *versions;
	uint16_t bins, fastbins;
} state_rows[] = {
	{"2.23 to 2.26", 104, 8},
	{"2.27 to 2.42", 112, 16},
	{"2.43", 24, GLIBC_NONE},
};

/* clang-format off */
const struct insp_glibc_par_layout insp_glibc_par_layouts[] = {
	{
		.versions = "2.26 to 2.34",
		.trim_threshold = 0, .top_pad = 8, .mmap_threshold = 16, .arena_test = 24,
		.arena_max = 32, .thp_pagesize = GLIBC_NONE, .n_mmaps = 40, .n_mmaps_max = 44, .max_n_mmaps = 48,
		.no_dyn_threshold = 52, .mmapped_mem = 56, .max_mmapped_mem = 64, .sbrk_base = 72,
		.tcache_bins = 80, .tcache_max_bytes = 88, .tcache_count = 96, .size = 112,
	}, {
		.versions = "2.35 to 2.42",
		.trim_threshold = 0, .top_pad = 8, .mmap_threshold = 16, .arena_test = 24,
		.arena_max = 32, .thp_pagesize = 40, .n_mmaps = 60, .n_mmaps_max = 64, .max_n_mmaps = 68,
		.no_dyn_threshold = 72, .mmapped_mem = 80, .max_mmapped_mem = 88, .sbrk_base = 96,
		.tcache_bins = 104, .tcache_max_bytes = 112, .tcache_count = 120, .size = 136,
	}, {
		.versions = "2.43",
		.trim_threshold = 0, .top_pad = 8, .mmap_threshold = 16, .arena_test = 24,
		.arena_max = 32, .thp_pagesize = 48, .n_mmaps = 68, .n_mmaps_max = 72, .max_n_mmaps = 76,
		.no_dyn_threshold = 80, .mmapped_mem = 88, .max_mmapped_mem = 96, .sbrk_base = 104,
		.tcache_bins = 112, .tcache_max_bytes = 120, .tcache_count = 128, .size = 144,
		.drifts = true,
	}, {
		.versions = "2.23 to 2.25", /* no tcache yet */
		.trim_threshold = 0, .top_pad = 8, .mmap_threshold = 16, .arena_test = 24,
		.arena_max = 32, .thp_pagesize = GLIBC_NONE, .n_mmaps = 40, .n_mmaps_max = 44, .max_n_mmaps = 48,
		.no_dyn_threshold = 52, .mmapped_mem = 56, .max_mmapped_mem = 64,
		.sbrk_base = 72, .tcache_bins = GLIBC_NONE, .tcache_max_bytes = GLIBC_NONE,
		.tcache_count = GLIBC_NONE, .size = 80,
	},
};

const struct insp_glibc_tcache_layout insp_glibc_tcache_layouts[] = {
	{.versions = "2.30 to 2.41", .nbins = 64, .count_size = 2, .entries = 128, .size = 640},
	{.versions = "2.42, 2.43", .nbins = 76, .count_size = 2, .entries = 152, .size = 760,
	 .slots = true},
	{.versions = "2.26 to 2.29", .nbins = 64, .count_size = 1, .entries = 64, .size = 576},
};
/* clang-format on */

const unsigned insp_glibc_npar_layouts =
	sizeof(insp_glibc_par_layouts) / sizeof(insp_glibc_par_layouts[0]);
const unsigned insp_glibc_ntcache_layouts =
	sizeof(insp_glibc_tcache_layouts) / sizeof(insp_glibc_tcache_layouts[0]);

bool insp_glibc_state_layout(uint64_t bins, struct insp_glibc_state_layout *ret)
{
	uint16_t b = (uint16_t)bins;

	*ret = (struct insp_glibc_state_layout){
		.versions = "unknown",
		.mutex = 0,
		.flags = 4,
		.fastbins = bins >= 104 ? (uint16_t)(b - 96) : GLIBC_NONE,
		.top = (uint16_t)(b - 16),
		.last_remainder = (uint16_t)(b - 8),
		.bins = b,
		.next = (uint16_t)(b + BINS_BYTES + 16),
		.attached_threads = (uint16_t)(b + BINS_BYTES + 32),
		.system_mem = (uint16_t)(b + BINS_BYTES + 40),
		.max_system_mem = (uint16_t)(b + BINS_BYTES + 48),
		.size = (uint16_t)(b + BINS_BYTES + 56),
	};
	for (size_t i = 0; i < sizeof(state_rows) / sizeof(state_rows[0]); i++)
		if (state_rows[i].bins == bins) {
			ret->versions = state_rows[i].versions;
			ret->fastbins = state_rows[i].fastbins;
			return true;
		}
	return false;
}

static bool member(const struct insp_heap_env *env, const char *module, const char *type,
		   const char *name, uint16_t *ret)
{
	uint64_t off;

	if (env->member_offset(env->symbols_ctx, module, type, name, &off) || off > 16384)
		return false;
	*ret = (uint16_t)off;
	return true;
}

bool insp_glibc_layout_dwarf(struct insp_glibc *g, const struct insp_heap_env *env)
{
	struct insp_glibc_state_layout s = g->state;
	struct insp_glibc_par_layout p = g->par_layout;
	const char *m = g->module_path;

	if (!env->member_offset || !m)
		return false;
	if (!member(env, m, "malloc_state", "bins", &s.bins) ||
	    !member(env, m, "malloc_state", "top", &s.top) ||
	    !member(env, m, "malloc_state", "mutex", &s.mutex) ||
	    !member(env, m, "malloc_state", "flags", &s.flags) ||
	    !member(env, m, "malloc_state", "next", &s.next) ||
	    !member(env, m, "malloc_state", "system_mem", &s.system_mem) ||
	    !member(env, m, "malloc_state", "max_system_mem", &s.max_system_mem) ||
	    !member(env, m, "malloc_par", "sbrk_base", &p.sbrk_base) ||
	    !member(env, m, "malloc_par", "n_mmaps", &p.n_mmaps) ||
	    !member(env, m, "malloc_par", "mmapped_mem", &p.mmapped_mem))
		return false;
	if (!member(env, m, "malloc_state", "fastbinsY", &s.fastbins))
		s.fastbins = GLIBC_NONE;
	(void)member(env, m, "malloc_state", "attached_threads", &s.attached_threads);
	s.size = (uint16_t)(s.max_system_mem + 8);
	g->state = s;
	if (g->par_addr)
		g->par_layout = p;
	return true;
}

bool insp_glibc_writable(const struct insp_regions *regions, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(regions, addr);

	return r && r->prot & INSP_PROT_WRITE && !(r->flags & INSP_REGION_DEVICE);
}

/* Members before and behind the bins that cannot be what they should: overwritten, or no arena. */
static int damaged_members(const struct insp_regions *regions, uint64_t addr, const uint8_t *p)
{
	uint64_t top = insp_glibc_load(p - 16), next = insp_glibc_load(p + BINS_BYTES + 16),
		 system_mem = insp_glibc_load(p + BINS_BYTES + 40),
		 max_system_mem = insp_glibc_load(p + BINS_BYTES + 48);
	int n = 0;

	n += top & (GLIBC_ALIGN - 1) || (top != addr - 16 && !insp_glibc_writable(regions, top));
	n += system_mem > max_system_mem || max_system_mem >> 47;
	n += next & 7 || !insp_glibc_writable(regions, next);
	return n;
}

int insp_glibc_bins_score(const struct insp_regions *regions, uint64_t addr, const uint8_t *p)
{
	int empty = 0, odd = 0, damaged;

	for (int i = 0; i < GLIBC_NBINS; i++) {
		uint64_t fd = insp_glibc_load(p + 16 * i), bk = insp_glibc_load(p + 16 * i + 8);
		uint64_t self = addr + 16 * (uint64_t)i - 16;

		if (fd == self && bk == self)
			empty++;
		else if (fd == self || bk == self || (fd | bk) & (GLIBC_ALIGN - 1) ||
			 !insp_glibc_writable(regions, fd) || !insp_glibc_writable(regions, bk))
			odd++;
		if (odd > ODD_BINS_MAX)
			return -1;
	}
	/* The last bin is for chunks beyond any size: it stays empty, so some are always. */
	if (empty < 4)
		return -1;
	/*
	 * A wild top is what one looks for in a broken heap: with so many bins right it is damage. But the
	 * same array taken one bin too early or too late looks like that, too, and has an odd bin.
	 */
	damaged = damaged_members(regions, addr, p);
	if (damaged && (odd || damaged > 2))
		return -1;
	return GLIBC_NBINS - odd - damaged;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t load_or(const uint8_t *p, uint16_t off, uint64_t otherwise)
{
	return off == GLIBC_NONE ? otherwise : insp_glibc_load(p + off);
}

/* What holds for every malloc_par, whatever mallopt was told. */
static bool par_possible(const struct insp_glibc_par_layout *l, const uint8_t *p)
{
	uint64_t mem = insp_glibc_load(p + l->mmapped_mem), max_mem = insp_glibc_load(p + l->max_mmapped_mem);
	uint32_t n = load32(p + l->n_mmaps), max_n = load32(p + l->max_n_mmaps);
	uint64_t below = l->drifts ? GLIBC_ALIGN - 1 : GLIBC_PAGE - 1;

	return load32(p + l->no_dyn_threshold) <= 1 && n <= max_n && max_n <= 1u << 24 &&
	       mem <= max_mem && !((mem | max_mem) & below) && !(mem >> 47) &&
	       (n == 0) == (mem == 0) && (max_n == 0) == (max_mem == 0) &&
	       insp_glibc_load(p + l->arena_test) <= 1u << 20 &&
	       insp_glibc_load(p + l->arena_max) <= 1u << 20 &&
	       load_or(p, l->tcache_bins, 64) <= GLIBC_TCACHE_MAX &&
	       load_or(p, l->tcache_max_bytes, 1032) <= 64u << 20 &&
	       load_or(p, l->tcache_count, 7) <= 65535;
}

static int par_defaults(const struct insp_glibc_par_layout *l, const uint8_t *p)
{
	uint64_t trim = insp_glibc_load(p + l->trim_threshold), mmap = insp_glibc_load(p + l->mmap_threshold),
		 test = insp_glibc_load(p + l->arena_test), bins = load_or(p, l->tcache_bins, 64),
		 bytes = load_or(p, l->tcache_max_bytes, 1032), count = load_or(p, l->tcache_count, 7);
	int score = 0;

	score += load32(p + l->n_mmaps_max) == 65536 ? 4 : 0;
	score += insp_glibc_load(p + l->top_pad) == 131072 ? 2 : 0;
	score += mmap == 131072 || (mmap && trim == 2 * mmap) ? 2 : 0;
	score += trim == 131072 ? 1 : 0;
	score += test == 8 || test == 2 ? 2 : 0;
	score += bins == 64 ? 2 : 0;
	score += bytes == 1032 || bytes == 1041 ? 2 : 0;
	score += count == 7 || count == 16 ? 2 : 0;
	return score;
}

int insp_glibc_par_score(const struct insp_glibc_par_layout *l, const uint8_t *p,
			 const struct insp_regions *regions)
{
	uint64_t base = insp_glibc_load(p + l->sbrk_base);
	const struct insp_region *r;
	int score = 0;

	if (!par_possible(l, p))
		return -1;
	if (base && !insp_glibc_writable(regions, base))
		return -1;
	if (base) {
		r = insp_regions_find(regions, base);
		score = 4 + (r->flags & INSP_REGION_BRK ? 3 : 0) + (base == r->start ? 1 : 0);
	}
	return score + par_defaults(l, p);
}

/* 0, which it is without the tunable, for what no huge page can have. */
static uint64_t huge_page_size(uint64_t size)
{
	return size & (size - 1) || size < UINT64_C(65536) || size > UINT64_C(1) << 30 ? 0 : size;
}

void insp_glibc_par_read(const struct insp_glibc_par_layout *l, const uint8_t *p,
			 struct insp_glibc_par *ret)
{
	*ret = (struct insp_glibc_par){
		.have = true,
		.trim_threshold = insp_glibc_load(p + l->trim_threshold),
		.top_pad = insp_glibc_load(p + l->top_pad),
		.mmap_threshold = insp_glibc_load(p + l->mmap_threshold),
		.arena_max = insp_glibc_load(p + l->arena_max),
		.thp_page_size = huge_page_size(load_or(p, l->thp_pagesize, 0)),
		.n_mmaps = load32(p + l->n_mmaps),
		.mmapped_mem = insp_glibc_load(p + l->mmapped_mem),
		.sbrk_base = insp_glibc_load(p + l->sbrk_base),
		.tcache_bins = load_or(p, l->tcache_bins, 0),
		.tcache_max_bytes = load_or(p, l->tcache_max_bytes, 0),
		.tcache_count = load_or(p, l->tcache_count, 0),
	};
}

/* Widths of the large bins, coarser and coarser: shift, how many it serves, where it starts. */
static const struct {
	unsigned shift, last, base;
} large_steps[] = {{6, 48, 48}, {9, 20, 91}, {12, 10, 110}, {15, 4, 119}, {18, 2, 124}};

unsigned insp_glibc_bin_index(uint64_t size)
{
	if (size < GLIBC_MIN_LARGE)
		return (unsigned)(size >> 4);
	for (size_t i = 0; i < sizeof(large_steps) / sizeof(large_steps[0]); i++)
		if (size >> large_steps[i].shift <= large_steps[i].last)
			return large_steps[i].base + (unsigned)(size >> large_steps[i].shift);
	return 126;
}

void insp_glibc_bin_sizes(unsigned bin, uint64_t *ret_min, uint64_t *ret_max)
{
	uint64_t lo = 0, hi = UINT64_MAX / 2;

	if (bin < GLIBC_NSMALLBINS) {
		*ret_min = *ret_max = (uint64_t)bin << 4;
		return;
	}
	/* The edges, by the same table: bin_index never falls with the size. */
	for (uint64_t step = UINT64_C(1) << 24; step >= 16; step >>= 1)
		while (lo + step <= (UINT64_C(1) << 24) && insp_glibc_bin_index(lo + step) < bin)
			lo += step;
	*ret_min = lo + 16;
	if (bin < 126) {
		hi = lo;
		for (uint64_t step = UINT64_C(1) << 24; step >= 16; step >>= 1)
			while (hi + step <= (UINT64_C(1) << 24) &&
			       insp_glibc_bin_index(hi + step) <= bin)
				hi += step;
	}
	*ret_max = hi;
}
