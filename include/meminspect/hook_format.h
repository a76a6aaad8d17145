/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook_format: what the companion hook (libmeminspect-hook.so) leaves in its process for readers
 * outside: the inspector, a core file's reader, anybody else.
 *
 *     PT_NOTE of the library --> header --> frames   (a trie: pc, parent)
 *      in its first page          in       sites    (site -> innermost frame)
 *      of memory                 .data     banks    (site -> counters; the sum of all banks counts)
 *                                          samples  (sampled mode: live blocks that were drawn)
 *                                          shadow   (full mode: one word per live block)
 *
 * How to find it: in every mapping of a file at offset 0 look at the PT_NOTE segments in the first
 * 4 KiB for a note with name INSP_HOOK_NOTE_NAME and type INSP_HOOK_NOTE_TYPE; its description is
 * an int32_t: the header's address minus the address of the description itself. No symbols and no
 * file are needed, and core files keep that page and everything below by default.
 *
 * All is private memory of the process, in the byte order of x86-64. It may be read whenever all
 * threads stand still: no counter, frame or record ever shows half written. A thread that stands
 * between two steps of one event may have counted a block that has no record yet, or the other
 * way round. Readers shall check every index and bound every loop: the process may have
 * overwritten it.
 *
 * A reader refuses a version that it does not know. Fields are only ever added at the end of the
 * header within one version: header_bytes says how many are there.
 */
#ifndef MEMINSPECT_HOOK_FORMAT_H
#define MEMINSPECT_HOOK_FORMAT_H

#include <stdint.h>

#define INSP_HOOK_NOTE_NAME "meminspect"
#define INSP_HOOK_NOTE_TYPE 1
#define INSP_HOOK_MAGIC	    "MIHOOK\r\n"
#define INSP_HOOK_VERSION   2

enum insp_hook_mode {
	INSP_HOOK_OFF,	   /* forwards only */
	INSP_HOOK_SAMPLED, /* blocks are drawn, one in sample_bytes on average */
	INSP_HOOK_FULL,	   /* every block */
};

enum insp_hook_state {
	INSP_HOOK_NOT_STARTED, /* nothing was allocated yet */
	INSP_HOOK_RUNNING,
	INSP_HOOK_ASIDE,       /* it does nothing: `reason` says why */
};

/* One frame of a stack, outermost frames have parent 0. Frame 0 does not exist. An outermost frame with
   one of these as pc is the mark of a stack that was not followed to its end. */
#define INSP_HOOK_PC_TRUNCATED 1 /* it was deeper than the hook keeps */
#define INSP_HOOK_PC_LOST      2 /* code without unwind tables called the frame before */

struct insp_hook_frame {
	uint64_t pc;	 /* return address; behind a signal trampoline: interrupted address + 1 */
	uint32_t parent; /* the caller's frame: always a smaller number */
	uint32_t site;	 /* the site whose innermost frame it is; 0: none */
};

/*
 * Counters of one site in one bank: what was allocated since the start; what of that lives, the records of
 * live blocks say. In sampled mode they are estimates: each drawn block counts as 1/p blocks, p
 * being the chance to be drawn, in units of 1/INSP_HOOK_COUNT_SCALE; its bytes as size/p.
 */
struct insp_hook_counters {
	uint64_t allocs, alloc_bytes;
};
#define INSP_HOOK_COUNT_SCALE 256

/* One live block in sampled mode; addr 0: empty, 1: was one, 2: being filled. */
struct insp_hook_sample {
	uint64_t addr;
	uint64_t size_bytes; /* as asked for */
	uint32_t site;
	uint32_t seconds;    /* since the start, coarse */
	uint32_t thread;     /* kernel's thread id */
	uint32_t reserved;
};

/*
 * Tables that grow are segments of doubling length: segment 0 holds the numbers below
 * INSP_HOOK_SEGMENT, segment k those from INSP_HOOK_SEGMENT << (k - 1) to INSP_HOOK_SEGMENT << k.
 */
#define INSP_HOOK_SEGMENT  4096u
#define INSP_HOOK_NSEGMENTS 12

/* Counters: bank -> page -> site. */
#define INSP_HOOK_BANKS	     64
#define INSP_HOOK_PAGE_SITES 256u
#define INSP_HOOK_PAGES	     4096u /* a bank is an array of that many addresses, 0: no such page */
#define INSP_HOOK_MAX_SITES  (INSP_HOOK_PAGES * INSP_HOOK_PAGE_SITES)

/*
 * Shadow: root[512] -> middle[16384] -> leaf; one word per 32 bytes of address space, which is the
 * smallest distance of two blocks of glibc's malloc on x86-64. Addresses of 47 bits only.
 */
#define INSP_HOOK_ROOT_SHIFT   38
#define INSP_HOOK_ROOTS	       512u
#define INSP_HOOK_LEAF_SHIFT   24
#define INSP_HOOK_MIDDLES      16384u
#define INSP_HOOK_GRAIN_SHIFT  5
#define INSP_HOOK_LEAF_WORDS   (1u << (INSP_HOOK_LEAF_SHIFT - INSP_HOOK_GRAIN_SHIFT))

/*
 * A word: site (21 bits) | half (1) | slack (6) | time (20) | thread (16). half: the block starts in
 * the upper 16 of the 32 bytes. slack = malloc_usable_size() minus the bytes asked for; 63: it is in the
 * next word, whose site is INSP_HOOK_SITE_SLACK and whose bits 22.. are the slack. Such a word is no
 * block, and stays behind when the block is freed: behind any other word it means nothing. thread is an index into `threads`.
 * time: seconds since the start as 15 bits mantissa, 5 bits exponent: m << e.
 */
#define INSP_HOOK_SITE_BITS   21
#define INSP_HOOK_SITE_MASK   ((UINT64_C(1) << INSP_HOOK_SITE_BITS) - 1)
#define INSP_HOOK_SITE_SLACK  INSP_HOOK_SITE_MASK
#define INSP_HOOK_HALF	      (UINT64_C(1) << 21)
#define INSP_HOOK_HALF_BYTES  16u
#define INSP_HOOK_SLACK_SHIFT 22
#define INSP_HOOK_SLACK_MORE  63u
#define INSP_HOOK_TIME_SHIFT  28
#define INSP_HOOK_TIME_BITS   20
#define INSP_HOOK_MANTISSA    15
#define INSP_HOOK_THREAD_SHIFT 48
#define INSP_HOOK_THREADS     65536u

struct insp_hook_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;
	uint32_t state;		 /* enum insp_hook_state */
	uint32_t mode;		 /* enum insp_hook_mode */
	uint32_t pid;		 /* in its own namespace; a forked child writes its own */
	uint32_t seconds;	 /* since the start, when something was recorded last */
	uint64_t started_ns;	 /* CLOCK_REALTIME */
	uint64_t sample_bytes;	 /* mean distance of two samples */
	char reason[96];	 /* why it stands aside; else empty */

	uint32_t nframes, nsites; /* numbers in use, the unused 0 included: 1 is "none" */
	uint64_t frames[INSP_HOOK_NSEGMENTS]; /* addresses of struct insp_hook_frame[] */
	uint64_t sites[INSP_HOOK_NSEGMENTS];  /* of uint32_t[]: the innermost frame */
	uint64_t banks[INSP_HOOK_BANKS];      /* of uint64_t[INSP_HOOK_PAGES]; 0: not in use */
	uint64_t samples;	 /* address of struct insp_hook_sample[samples_cap] */
	uint32_t samples_cap;
	uint32_t nthreads;	 /* threads seen so far; the next index modulo INSP_HOOK_THREADS */
	uint64_t shadow;	 /* address of uint64_t[INSP_HOOK_ROOTS] */
	uint64_t threads;	 /* of uint32_t[INSP_HOOK_THREADS]: kernel's thread ids */

	/* Events that were not recorded, and why. */
	uint64_t dropped_frames; /* stack table full or out of memory */
	uint64_t dropped_sites;
	uint64_t dropped_records; /* sample table full, no memory for the shadow */
	uint64_t dropped_threads; /* no memory for a thread's state */
	uint64_t dropped_locked;  /* the stack table was busy for too long */
	uint64_t nested;	  /* in a signal handler that interrupted the hook */
	uint64_t nsamples;	  /* blocks drawn since the start */
};

#endif
