/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * heap: what a walker found out about an allocator, apart from the chunks themselves
 * (model/chunks.h). Names are those of glibc's malloc/malloc.c; other allocators map theirs on
 * them and say so in their walker.
 */
#ifndef INSP_MODEL_HEAP_H
#define INSP_MODEL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One allocator that lives in the process; a process may have several. */
struct insp_allocator {
	const char *name;	/* "glibc", stable key */
	const char *title;	/* "glibc malloc 2.36" */
	const char *version;	/* "2.36" or NULL */
	const char *module;	/* path of the module that holds it */
	int confidence;		/* 0..100 */
	const char *evidence;	/* one line: what the confidence rests on */
	bool walked;		/* false: recognised, but there is no walker for it */
	bool idle; /* mapped, as a libc is everywhere, and never used; only while collecting */
	bool chunks_complete;	/* every byte of every span was accounted for */

	/* Malloc's own parameters; 0 where unknown. */
	uint64_t mmap_threshold, trim_threshold, top_pad, arena_max, tcache_count;
	uint64_t thp_page_size; /* glibc.malloc.hugetlb=1: top is cut in these steps; 0: in pages */
	uint64_t n_mmaps, mmapped_mem; /* its own count of mmapped chunks, to compare with ours */
	bool safe_linking;	/* fd of tcache and fastbin entries is mangled */
};

enum insp_arena_flags {
	INSP_ARENA_MAIN = 1 << 0,
	INSP_ARENA_LOCKED = 1 << 1,	   /* its mutex was held when the process stopped */
	INSP_ARENA_NONCONTIGUOUS = 1 << 2, /* main arena that could not always extend brk */
	INSP_ARENA_MMAPPED = 1 << 3,	   /* not an arena of malloc: the set of mmapped chunks */
	INSP_ARENA_FREE_LIST = 1 << 4,	   /* no thread is attached: waits for reuse */
};

struct insp_arena {
	uint32_t allocator;	   /* index */
	const char *name;	   /* "main", "arena 1", "mmapped" */
	uint64_t addr;		   /* of struct malloc_state; 0 for "mmapped" */
	uint32_t flags;		   /* enum insp_arena_flags */
	uint64_t top_addr;	   /* chunk header of top; 0 none */
	uint64_t top_bytes;
	uint64_t system_bytes;	   /* system_mem: bytes the arena says it got from the system */
	uint64_t max_system_bytes;
	uint64_t spans_bytes;	   /* bytes of its spans; equals system_bytes when the walk is complete */
	uint64_t attached_threads;
	uint32_t nheaps;	   /* heap_info segments, or contiguous pieces of the main arena */
};

enum insp_bin_kind {
	INSP_BIN_TCACHE,
	INSP_BIN_FAST,
	INSP_BIN_UNSORTED,
	INSP_BIN_SMALL,
	INSP_BIN_LARGE,
	INSP_N_BIN_KINDS
};

/* One non-empty list of free chunks. */
struct insp_bin {
	enum insp_bin_kind kind;
	uint32_t arena;		 /* index; for a tcache, the arena its struct lies in */
	int tid;		 /* tcache: its thread, 0 if not known whose; else 0 */
	uint32_t index;		 /* in malloc's own array */
	uint64_t min_size, max_size; /* chunk sizes the list may hold, bytes, inclusive */
	uint64_t count, bytes;
	uint64_t head;		 /* address of the list head in the target */
	bool broken;		 /* the list did not close or held a foreign entry: see findings */
};

struct insp_allocators { struct insp_allocator *items; size_t n, cap; };
struct insp_arenas { struct insp_arena *items; size_t n, cap; };
struct insp_bins { struct insp_bin *items; size_t n, cap; };

const char *insp_bin_kind_name(enum insp_bin_kind kind); /* "tcache", "fastbin", ... */

#endif
