/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * books: every resident byte of the process in exactly one line.
 *
 * The sum is that of smaps' Rss, taken in the same pause as the chunks. A mapping that holds one
 * thing goes to that thing's line whole. A mapping that holds chunks, thread stacks and other
 * things side by side is split page by page; a page with chunks of several states is split by the
 * bytes of each chunk on it. What no rule claims has a line of its own (ANON), and what the page
 * scan and smaps disagree about has one, too (UNEXPLAINED).
 */
#ifndef INSP_ANALYSIS_BOOKS_H
#define INSP_ANALYSIS_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "snapshot/snapshot.h"

/* In the order in which they are shown. */
enum insp_book_kind {
	INSP_BOOK_HEAP_IN_USE,
	INSP_BOOK_HEAP_MMAPPED,
	INSP_BOOK_HEAP_TCACHE,
	INSP_BOOK_HEAP_BINS,
	INSP_BOOK_HEAP_TOP,
	INSP_BOOK_HEAP_METADATA,
	INSP_BOOK_HEAP_UNKNOWN,
	INSP_BOOK_THREAD_STACKS,
	INSP_BOOK_MAIN_STACK,
	INSP_BOOK_IDLE_STACKS,	 /* looks like the stack of a thread that ended */
	INSP_BOOK_PROGRAM_CODE,	 /* and constants: clean pages of the program's file */
	INSP_BOOK_PROGRAM_DATA,	 /* its written pages, and .bss */
	INSP_BOOK_LIBRARY_CODE,
	INSP_BOOK_LIBRARY_DATA,
	INSP_BOOK_FILE_PRIVATE,
	INSP_BOOK_FILE_SHARED,
	INSP_BOOK_SHARED_MEMORY, /* shm, memfd, shared anonymous */
	INSP_BOOK_JIT,		 /* anonymous and executable */
	INSP_BOOK_NAMED,	 /* anonymous, named by the program (PR_SET_VMA) */
	INSP_BOOK_KERNEL,	 /* [vdso] and the like */
	INSP_BOOK_ANON,		 /* nobody claims it */
	INSP_BOOK_UNEXPLAINED,
	INSP_N_BOOKS
};

const char *insp_book_key(enum insp_book_kind kind);
const char *insp_book_title(enum insp_book_kind kind);

/* All in bytes. */
struct insp_book_line {
	uint64_t size;	 /* of the address space, or of the chunks */
	uint64_t rss, pss, swap, huge;
	uint64_t count;	 /* chunks, stacks or mappings */
	uint64_t release; /* resident bytes that could go back without loss: see how */
	const char *how; /* one line; NULL: nothing to do */
};

/* One arena's part of the heap lines. Resident and swapped bytes by state of the chunk. */
struct insp_book_arena {
	uint64_t rss[INSP_N_CHUNK_STATES], swap[INSP_N_CHUNK_STATES];
	uint64_t size[INSP_N_CHUNK_STATES], count[INSP_N_CHUNK_STATES];
};

struct insp_book_stack {
	int tid;
	const char *name;
	uint64_t start, end;
	uint64_t rss, swap;
	uint64_t below_sp; /* resident bytes deeper than the stack is now */
};

/* A mapping, or the part of one that nothing else claimed. */
struct insp_book_mapping {
	enum insp_book_kind kind;
	uint64_t start, end;
	uint64_t rss, pss, swap, huge, lazy_free;
	const char *name; /* path or the kernel's name; "" none */
	const char *perms;
	const char *hint; /* what it may be and why; NULL: no idea */
	uint32_t age;	  /* 1: oldest, by the kernel's habit of placing new mappings below older ones */
};

struct insp_book_stacks {
	struct insp_book_stack *items;
	size_t n, cap;
};

struct insp_book_mappings {
	struct insp_book_mapping *items;
	size_t n, cap;
};

struct insp_books {
	struct insp_book_line lines[INSP_N_BOOKS];
	struct insp_book_arena *arenas; /* [snapshot->arenas.n] */
	struct insp_book_stacks stacks; /* largest first */
	struct insp_book_mappings mappings; /* all but heaps and stacks, largest first */
	/* The sums over smaps, which the lines add up to. */
	uint64_t rss, pss, swap, size, huge, hugetlb, lazy_free;
	/* VmRSS of status minus rss: the kernel's counters are kept per CPU and may lag (see books.c);
	   INT64_MIN unknown. */
	int64_t drift;
	bool exact;	    /* page states were known; false: split mappings are estimates */
	const char *missing; /* what could not be seen, one line; NULL: nothing */
};

/* Fills ret; all lives in pool but what deinit frees. Needs USAGE and CHUNKS in the snapshot.
   Where nothing about residency is known (a core), the sizes of private writable mappings stand in. */
int insp_books_balance(const struct insp_snapshot *snapshot, struct insp_pool *pool,
		       struct insp_books *ret, struct insp_error *err) insp_must_check;
void insp_books_deinit(struct insp_books *books);

/* Sums up heap lines: used, free and malloc's own. */
uint64_t insp_books_heap_rss(const struct insp_books *books);

#endif
