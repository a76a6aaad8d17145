/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * findings: the codes of everything that a heap walker can find odd, in one table. The codes are
 * stable: scripts and the documentation rely on them.
 *
 * X(name, severity, code, meaning)
 */
#ifndef INSP_HEAP_FINDINGS_H
#define INSP_HEAP_FINDINGS_H

#include "model/finding.h"

/* clang-format off */
#define INSP_HEAP_FINDINGS(X) \
	X(BAD_SIZE, INSP_CORRUPTION, "bad_size", \
	  "the size in a chunk's header cannot be: the walk went on behind it") \
	X(BAD_TOP, INSP_CORRUPTION, "bad_top", \
	  "the top chunk does not end where its heap ends") \
	X(PREV_SIZE_MISMATCH, INSP_CORRUPTION, "prev_size_mismatch", \
	  "the chunk behind a free one gives another size for it") \
	X(LIST_LOOP, INSP_CORRUPTION, "list_loop", \
	  "a free list reaches the same chunk twice, or two lists share it") \
	X(LIST_FOREIGN, INSP_CORRUPTION, "list_foreign", \
	  "a free list leads to an address that is no chunk of its arena") \
	X(LIST_IN_USE, INSP_CORRUPTION, "list_in_use", \
	  "a free list holds a chunk that its neighbour calls in use") \
	X(LIST_BAD_BACK, INSP_CORRUPTION, "list_bad_back", \
	  "bk of a free chunk does not point to the one before it") \
	X(LIST_WRONG_BIN, INSP_CORRUPTION, "list_wrong_bin", \
	  "a chunk's size does not belong into the bin that holds it") \
	X(TCACHE_COUNT, INSP_CORRUPTION, "tcache_count", \
	  "a tcache bin holds another number of chunks than it counts") \
	X(FREE_NOT_LISTED, INSP_WARNING, "free_not_listed", \
	  "free chunks that no list holds: a thread stopped inside malloc, or a list is broken") \
	X(ARENA_LOCKED, INSP_NOTE, "arena_locked", \
	  "an arena's mutex was held when the process stopped: lists may be half linked") \
	X(ARENA_TOTAL, INSP_WARNING, "arena_total", \
	  "the chunks of an arena do not add up to its system_mem") \
	X(ARENA_LIST, INSP_CORRUPTION, "arena_list", \
	  "the list of arenas does not come back to the main arena") \
	X(HEADER, INSP_CORRUPTION, "heap_header", \
	  "a heap_info does not name its arena, or its size cannot be") \
	X(MMAPPED_TOTAL, INSP_WARNING, "mmapped_total", \
	  "the mmapped chunks that were found are not those that malloc counts") \
	X(UNREADABLE, INSP_WARNING, "unreadable", \
	  "a part of a heap could not be read: swapped out, or gone") \
	X(FOREIGN_SBRK, INSP_NOTE, "foreign_sbrk", \
	  "a part of the brk area belongs to somebody else who called sbrk")
/* clang-format on */

enum insp_heap_finding {
#define X(name, severity, code, meaning) INSP_HEAP_##name,
	INSP_HEAP_FINDINGS(X)
#undef X
	INSP_N_HEAP_FINDINGS
};

struct insp_heap_finding_info {
	enum insp_severity severity;
	const char *code;
	const char *meaning;
};

/* Indexed by enum insp_heap_finding. */
extern const struct insp_heap_finding_info insp_heap_findings[INSP_N_HEAP_FINDINGS];

#endif
