/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gauge: the cheap figures of a process, read from /proc and its control group without stopping it.
 *
 * A sample costs some tenths of a millisecond: a dozen small files, each of bounded size. The
 * exception is PSS, for which the kernel goes through the page tables (5 ms a GB) and holds up the
 * process's own mmap meanwhile: it is read again only when what it cost is less than 1 % of the
 * time since.
 *
 * Needs no rights for most of it; of other people's processes PSS and the descriptors stay unknown.
 */
#ifndef INSP_WATCH_GAUGE_H
#define INSP_WATCH_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/usage.h"

enum insp_limit_kind {
	INSP_LIMIT_NONE,    /* unknown */
	INSP_LIMIT_CGROUP,  /* memory.max of the group or of one above it */
	INSP_LIMIT_ADDRESS, /* RLIMIT_AS */
	INSP_LIMIT_MACHINE, /* MemTotal */
};

enum insp_psi_scope {
	INSP_PSI_NONE, /* unknown: a kernel without it */
	INSP_PSI_CGROUP,
	INSP_PSI_SYSTEM,
};

/* Pressure stall information of memory: shares of time in which tasks waited for memory. */
struct insp_psi {
	enum insp_psi_scope scope;
	double some10, full10;		       /* percent, over the last 10 s */
	uint64_t some_total_ns, full_total_ns; /* since boot, or since the group is there */
};

/* All sizes in bytes. INSP_UNKNOWN: could not be read. */
struct insp_sample {
	uint64_t at_ns;			/* CLOCK_REALTIME */
	uint64_t mono_ns;		/* CLOCK_MONOTONIC */
	uint64_t rss, swap, vsize, hwm; /* VmRSS, VmSwap, VmSize, VmHWM */
	uint64_t pss, pss_mono_ns;	/* and when that was read */
	uint64_t threads;
	uint64_t minor_faults, major_faults; /* since its start */
	uint64_t cpu_ns;		     /* user and system, since its start */
	uint64_t started_at_ns; /* CLOCK_REALTIME; to tell processes apart use insp_gauge_ticks */
	uint64_t open_fds, max_fds;
	uint64_t limit; /* the smallest there is */
	enum insp_limit_kind limit_kind;
	uint64_t cgroup_used; /* memory.current minus inactive_file */
	struct insp_psi psi;
};

struct insp_gauge; /* bound to one process: a newcomer with its number is not read */

/* Gives; close accepts NULL. INSP_E_GONE. */
int insp_gauge_open(int pid, struct insp_gauge **ret, struct insp_error *err) insp_must_check;
void insp_gauge_close(struct insp_gauge *gauge);
/* INSP_E_GONE when it has ended, with ret untouched; nothing else fails. */
int insp_gauge_read(struct insp_gauge *gauge, struct insp_sample *ret,
		    struct insp_error *err) insp_must_check;

const char *
insp_gauge_comm(const struct insp_gauge *gauge);	   /* as of the last read; made printable */
uint64_t insp_gauge_ticks(const struct insp_gauge *gauge); /* of its start, since boot */

/* What counts against the limit: the group's use, the address space, or RSS. */
uint64_t insp_sample_used(const struct insp_sample *sample);
const char *
insp_limit_kind_key(enum insp_limit_kind kind); /* "cgroup", "address_space", "machine" */
const char *insp_limit_kind_title(enum insp_limit_kind kind); /* "memory cgroup", ... */

/*
 * The parsers, for tests: text as the kernel writes it, or anything else. Nothing is changed when
 * they return false.
 */
bool insp_gauge_parse_psi(const char *text, struct insp_psi *ret);
/* The soft limit of a line of /proc/PID/limits ("Max address space"); unlimited: INSP_UNKNOWN. */
bool insp_gauge_parse_limit(const char *text, const char *name, uint64_t *ret);

#endif
