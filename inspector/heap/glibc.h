/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * glibc: what the parts of the glibc walker share. Private to heap/glibc*.c.
 *
 * The parts, in the order in which they work:
 *   glibc_layout.c  where the members of malloc's structs are: tables, DWARF, sanity of bytes
 *   glibc_locate.c  which modules hold a malloc: main_arena, mp_, the list of arenas
 *   glibc_tcache.c  which thread has which tcache; is safe-linking on
 *   glibc_collect.c while the target stands still: arenas, heaps, order of the walk
 *   glibc_walk.c    one heap, chunk after chunk: the hot loop, and what to do when it breaks
 *   glibc_mmapped.c chunks with a mapping of their own, and main arenas in pieces
 *   glibc_lists.c   afterwards: free lists from the notes, final states
 *   glibc.c         the vtable
 *
 * All addresses and sizes are the target's, in bytes. amd64 only: SIZE_SZ 8, alignment 16.
 */
#ifndef INSP_HEAP_GLIBC_H
#define INSP_HEAP_GLIBC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/vec.h"
#include "heap/allocator.h"
#include "heap/findings.h"

#define GLIBC_ALIGN	  UINT64_C(16)
#define GLIBC_HEADER	  UINT64_C(16) /* prev_size and size */
#define GLIBC_MIN_SIZE	  UINT64_C(32)
#define GLIBC_PREV_INUSE  UINT64_C(1)
#define GLIBC_IS_MMAPPED  UINT64_C(2)
#define GLIBC_NON_MAIN	  UINT64_C(4)
#define GLIBC_SIZE_BITS	  UINT64_C(7)
#define GLIBC_PAGE	  UINT64_C(4096)
#define GLIBC_NBINS	  127 /* bins 1..127: heads in bins[] */
#define GLIBC_NFASTBINS	  10
#define GLIBC_NSMALLBINS  64
#define GLIBC_MIN_LARGE	  UINT64_C(1024)
#define GLIBC_TCACHE_MAX  76 /* bins, of any version */
#define GLIBC_TCACHE_SMALL 64
#define GLIBC_MAX_ARENAS  65536
#define GLIBC_NONCONTIGUOUS 2u /* in malloc_state.flags */
#define GLIBC_BAR	  60 /* confidence below which nothing is walked */

#define GLIBC_NONE UINT16_MAX /* offset of a member that this layout has not got */

/* struct malloc_state. bins to max_system_mem always keep their distances; the front varies. */
struct insp_glibc_state_layout {
	const char *versions;
	uint16_t mutex, flags, fastbins, top, last_remainder, bins, next,
		attached_threads, system_mem, max_system_mem, size;
};

/* struct malloc_par: mp_. */
struct insp_glibc_par_layout {
	const char *versions;
	uint16_t trim_threshold, top_pad, mmap_threshold, arena_test, arena_max, thp_pagesize, n_mmaps,
		n_mmaps_max, max_n_mmaps, no_dyn_threshold, mmapped_mem, max_mmapped_mem, sbrk_base,
		tcache_bins, tcache_max_bytes, tcache_count, size;
	bool drifts; /* mremap_chunk adds 16 bytes too many to mmapped_mem each time */
};

/* struct tcache_perthread_struct. */
struct insp_glibc_tcache_layout {
	const char *versions;
	uint16_t nbins, count_size, entries, size;
	bool slots; /* the counters say how many still fit, not how many are there */
};

/* Values of mp_ that the walk uses; have: it was found. */
struct insp_glibc_par {
	bool have;
	uint64_t trim_threshold, top_pad, mmap_threshold, arena_max, thp_page_size, n_mmaps,
		mmapped_mem, sbrk_base,
		tcache_bins, tcache_max_bytes, tcache_count;
};

/* One malloc_state, as read while the target stood still. */
struct insp_glibc_arena {
	uint64_t addr;
	bool main;
	uint32_t index; /* into result->arenas */
	uint32_t mutex, flags;
	uint64_t top, last_remainder, next, attached_threads, system_mem, max_system_mem;
	uint64_t fastbins[GLIBC_NFASTBINS];
	uint64_t bins[GLIBC_NBINS * 2]; /* fd, bk of bin 1, of bin 2, ... */
};

/* A free chunk (its neighbour says so), noted in the walk. */
struct insp_glibc_free {
	uint64_t addr, fd, bk;
	uint32_t id;
	uint32_t granules; /* size / 16; UINT32_MAX: that or more */
};

/* A chunk that looks in use, but whose first word may link it into a tcache or fastbin. */
struct insp_glibc_link {
	uint64_t addr, next; /* next: decoded: memory address in a tcache, chunk in a fastbin */
	uint32_t id;
	uint32_t granules;
};

/* A mapping that only grows: no copy, touched in advance. */
struct insp_glibc_notes {
	void *items;
	size_t n, cap, item_size;
	bool failed;
};

/* One stretch that was walked, with its part of the notes. */
struct insp_glibc_segment {
	uint64_t start, end;
	uint32_t arena; /* into insp_glibc.arenas */
	size_t first_free, nfree, first_link, nlinks;
	uint32_t *free_index; /* first note of each GLIBC_INDEX_SHIFT block; made by finish */
};

struct insp_glibc_tcache {
	uint64_t addr;
	int tid; /* 0 unknown */
	uint64_t entries[GLIBC_TCACHE_MAX];
	uint16_t counts[GLIBC_TCACHE_MAX]; /* chunks held, whatever the struct counts */
	bool counts_known[GLIBC_TCACHE_MAX];
};

struct insp_glibc_mmapped {
	uint64_t base, chunk, end; /* of the mapping, of the chunk's header, of the mapping */
};

struct insp_glibc_stats {
	uint64_t unknown_bytes;
	uint32_t nbad;
};

/* The walk state of one instance. */
struct insp_glibc {
	const struct insp_module *module; /* view; may be NULL in tests */
	const char *module_path;
	uint64_t main_arena, par_addr;
	struct insp_glibc_state_layout state;
	struct insp_glibc_par_layout par_layout;
	struct insp_glibc_tcache_layout tcache_layout;
	bool from_dwarf;
	struct insp_glibc_par par;
	const char *version, *title, *evidence, *refused;
	int confidence;
	uint64_t heap_max, heap_info_size;
	bool safe_linking, safe_linking_known;
	bool initialised; /* false: the library is there, its malloc was never used */

	INSP_VEC(struct insp_glibc_arena) arenas;
	INSP_VEC(struct insp_glibc_segment) segments;
	INSP_VEC(struct insp_glibc_tcache) tcaches;
	INSP_VEC(struct insp_glibc_mmapped) mmapped;
	INSP_VEC(uint64_t) hints; /* pages that looked like mmapped chunks before the stop */
	struct insp_glibc_notes free_notes, link_notes;
	uint32_t mmapped_arena; /* index into result->arenas, UINT32_MAX none */
	uint64_t link_max;	/* largest chunk that may be in a tcache or fastbin */
	struct {
		uint64_t start, end;
	} range[2]; /* of the main arena's chunks, of all others': where links may lead */
	struct insp_glibc_stats stats;
	bool arenas_complete; /* the list of arenas closed */
	uint64_t thread_arena; /* distance of that variable below the thread pointer; 0 unknown */
	uint64_t resident;     /* bytes of heap in memory, when probe looked */
};

static inline uint64_t insp_glibc_load(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* layout */
extern const struct insp_glibc_par_layout insp_glibc_par_layouts[];
extern const unsigned insp_glibc_npar_layouts;
extern const struct insp_glibc_tcache_layout insp_glibc_tcache_layouts[];
extern const unsigned insp_glibc_ntcache_layouts;
/* Layout of a malloc_state whose bins lie `bins` bytes in; false: no known version has that. */
bool insp_glibc_state_layout(uint64_t bins, struct insp_glibc_state_layout *ret);
/* Layouts from DWARF into g; false when there is none to ask. */
bool insp_glibc_layout_dwarf(struct insp_glibc *g, const struct insp_heap_env *env);
/* Points for the bytes at p being an mp_; -1: cannot be. */
int insp_glibc_par_score(const struct insp_glibc_par_layout *l, const uint8_t *p,
			 const struct insp_regions *regions);
void insp_glibc_par_read(const struct insp_glibc_par_layout *l, const uint8_t *p,
			 struct insp_glibc_par *ret);
/* Points for an array of bin heads at addr (address of bins[0]); -1: cannot be. */
int insp_glibc_bins_score(const struct insp_regions *regions, uint64_t addr, const uint8_t *p);
/* The bin of a free chunk's size, 2..126. */
unsigned insp_glibc_bin_index(uint64_t size);
/* Sizes that bin holds, inclusive. */
void insp_glibc_bin_sizes(unsigned bin, uint64_t *ret_min, uint64_t *ret_max);
bool insp_glibc_writable(const struct insp_regions *regions, uint64_t addr);

/* locate */
int insp_glibc_locate(const struct insp_heap_env *env, struct insp_glibc **ret, int max,
		      struct insp_error *err);
/* Reads the malloc_state at addr into ret, 0 or INSP_E_FAULT. */
int insp_glibc_arena_read(const struct insp_glibc *g, struct insp_space *space, uint64_t addr,
			  struct insp_glibc_arena *ret);
/* All arenas again, from main_arena on. Sets arenas_complete. */
int insp_glibc_arenas_read(struct insp_glibc *g, struct insp_space *space);
/* heap_max and heap_info_size from the arenas' addresses. */
void insp_glibc_heap_max(struct insp_glibc *g, struct insp_space *space);
void insp_glibc_destroy(struct insp_glibc *g);

/* tcache */
void insp_glibc_tcaches_find(struct insp_glibc *g, const struct insp_heap_env *env);
void insp_glibc_safe_linking_find(struct insp_glibc *g, struct insp_space *space);
/* A finding for each arena that is locked, with the threads that may hold it. */
void insp_glibc_locks_tell(struct insp_glibc *g, const struct insp_heap_env *env,
			   struct insp_heap_result *result);
/* Sizes of chunks that tcache bin holds, inclusive. */
void insp_glibc_tcache_sizes(const struct insp_glibc *g, unsigned bin, uint64_t *ret_min,
			     uint64_t *ret_max);

/* walk */
struct insp_glibc_walk {
	struct insp_glibc *g;
	const struct insp_heap_env *env;
	struct insp_heap_result *result;
	struct insp_stream stream;
	uint64_t end;	    /* of the segment */
	uint64_t limit;	    /* of chunks: the top chunk, or end */
	uint64_t top;	    /* 0: not in this segment */
	uint32_t arena;	    /* into g->arenas */
	bool main;
	unsigned probes;    /* look-ahead reads left for resynchronising */
	unsigned work;	    /* steps along tried chains left */
};
/*
 * Walks [start, end) into the store, as a span of its own, first chunk at `first` (what is before
 * it is metadata). top: the arena's top chunk, if in there. Stops behind a double fencepost
 * when stop_at_fence is set. Returns where the segment ended.
 */
uint64_t insp_glibc_walk_segment(struct insp_glibc *g, const struct insp_heap_env *env,
				 struct insp_heap_result *result, uint32_t arena, uint64_t start,
				 uint64_t first, uint64_t end, bool stop_at_fence);
/* Do n chunks in a row at addr look right, or do they end rightly before? */
bool insp_glibc_chain_ok(struct insp_space *space, uint64_t addr, uint64_t limit, uint64_t top,
			 unsigned n);

int insp_glibc_notes_init(struct insp_glibc_notes *notes, size_t item_size, size_t expect);
void insp_glibc_notes_deinit(struct insp_glibc_notes *notes);
bool insp_glibc_notes_grow(struct insp_glibc_notes *notes);

/* mmapped */
/* Are the mmapped chunks that were found those that malloc counts? */
bool insp_glibc_mmapped_agrees(const struct insp_glibc *g);
uint64_t insp_glibc_mmapped_bytes(const struct insp_glibc *g);
/* Before the stop: looks at every present page that may start an mmapped chunk, when the starts of
   mappings alone do not explain malloc's own count. */
void insp_glibc_mappings_hint(struct insp_glibc *g, const struct insp_heap_env *env);
void insp_glibc_mappings_walk(struct insp_glibc *g, const struct insp_heap_env *env,
			      struct insp_heap_result *result, uint32_t allocator);

/* collect and finish */
/* End of the writable mappings that follow one another from the one of addr on; 0: none. */
uint64_t insp_glibc_mapped_end(const struct insp_regions *regions, uint64_t addr);
/* Where the piece of [start, end) that holds the arena's top ends; end when it does not. */
uint64_t insp_glibc_top_end(const struct insp_glibc_arena *a, struct insp_space *space,
			    uint64_t start, uint64_t end);
/* Does any span in the store meet [start, end)? Then *ret_end is where that one ends. */
bool insp_glibc_claimed(const struct insp_chunks *chunks, uint64_t start, uint64_t end,
			uint64_t *ret_end);
/* Bytes of the main arena's segments so far. */
uint64_t insp_glibc_walked_bytes(const struct insp_glibc *g, uint32_t arena);
void insp_glibc_ranges(struct insp_glibc *g, const struct insp_regions *regions);
int insp_glibc_collect(struct insp_glibc *g, const struct insp_heap_env *env, uint32_t allocator,
		       struct insp_heap_result *result, struct insp_error *err);
int insp_glibc_finish(struct insp_glibc *g, const struct insp_heap_env *env, uint32_t allocator,
		      struct insp_heap_result *result, struct insp_error *err);

/* The name, with the number of the glibc behind it when the process has several. */
const char *insp_glibc_arena_name(const struct insp_heap_env *env,
				  const struct insp_heap_result *result, uint32_t allocator,
				  const char *name);

/* A finding of the table in heap/findings.h. */
void insp_heap_finding(struct insp_heap_result *result, struct insp_pool *pool,
		       enum insp_heap_finding which, uint64_t addr, const char *fmt, ...)
	insp_printf(5, 6);

#endif
