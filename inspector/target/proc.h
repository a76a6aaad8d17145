/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * proc: the text of /proc, parsed.
 *
 * The parsers work on text alone, so that they can be tested and fuzzed; only insp_proc_slurp and
 * insp_proc_small touch files. Names in these files are chosen by the target: anything may stand
 * in them.
 */
#ifndef INSP_TARGET_PROC_H
#define INSP_TARGET_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "model/region.h"
#include "target/target.h"

struct insp_pool;
struct insp_usage;

/* The largest file of /proc that is taken in: smaps of the most mappings that a process may have. */
#define INSP_PROC_MAX_BYTES (256u << 20)

/*
 * The whole file, NUL-terminated (the NUL is not counted). Gives *ret_text (free it). Returns 0 or
 * a negated errno; EFBIG above INSP_PROC_MAX_BYTES.
 */
int insp_proc_slurp(int dirfd, const char *path, char **ret_text, size_t *ret_len) insp_must_check;

/* A small file into buf, NUL-terminated, cut to size_bytes - 1. Bytes read or a negated errno. */
ssize_t insp_proc_small(int dirfd, const char *path, char *buf, size_t size_bytes);

/* One line of maps without its newline. *ret_name points into line; names are still escaped. */
bool insp_proc_maps_line(const char *line, size_t len, struct insp_region *ret,
			 const char **ret_name, size_t *ret_name_len);

/* All of maps: items and names live in pool. Lines that are not understood are an error. */
int insp_proc_maps(const char *text, size_t len, struct insp_pool *pool, struct insp_regions *ret,
		   struct insp_error *err) insp_must_check;

/* The number behind "Key:" of status, meminfo or smaps_rollup; base 10. */
bool insp_proc_field(const char *text, const char *key, uint64_t *ret);
/* The same, in bytes: "VmRSS:  12 kB". */
bool insp_proc_field_bytes(const char *text, const char *key, uint64_t *ret);
/* The same, hexadecimal: "CapEff: 00000000a80425fb". */
bool insp_proc_field_hex(const char *text, const char *key, uint64_t *ret);
/* The last number of a line of several, and how many there are: "NSpid: 812 7". */
bool insp_proc_field_last(const char *text, const char *key, uint64_t *ret, unsigned *ret_n);

#define INSP_PROC_KTHREAD 0x00200000u /* PF_KTHREAD in stat's flags */

struct insp_proc_stat {
	int pid, ppid;
	char comm[64];	      /* kernel threads have long ones */
	char state;
	uint32_t flags;
	uint64_t minor_faults, major_faults;
	uint64_t utime, stime; /* clock ticks */
	uint64_t nthreads;
	uint64_t start_ticks;  /* since boot */
};
bool insp_proc_stat(const char *text, struct insp_proc_stat *ret);
/* CLOCK_REALTIME, in ns, of so many clock ticks after boot; 0 unknown. */
uint64_t insp_proc_time_of_ticks(uint64_t ticks);

struct insp_proc_syscall {
	bool running;	  /* on a CPU: nothing else is known */
	int64_t number;	  /* -1: blocked, but not in a system call */
	uint64_t args[6];
	uint64_t sp, pc;
};
bool insp_proc_syscall(const char *text, struct insp_proc_syscall *ret);

/* One entry of pagemap; file: the mapping has a file behind it. */
enum insp_page_state insp_proc_page_state(uint64_t entry, bool file);

/* All of smaps into usage->items, which live in pool. */
int insp_proc_smaps(const char *text, size_t len, struct insp_pool *pool, struct insp_usage *usage,
		    struct insp_error *err) insp_must_check;

/*
 * The cgroup that accounts memory, from /proc/PID/cgroup: its path below the hierarchy's root
 * (returns view into buf), or NULL. *ret_v2 tells which hierarchy.
 */
const char *insp_proc_cgroup(const char *text, bool *ret_v2, char *buf, size_t size_bytes);

#endif
