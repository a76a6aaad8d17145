/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * target: where bytes, mappings, threads and registers come from.
 *
 * One vtable serves a live process (live.c), a core file, GDB's own view of an inferior, and the
 * fake target of the unit tests. Everything that touches a target happens while a snapshot is
 * taken (snapshot/take.h); nobody above knows which kind it was.
 *
 * To add a back end: 1. write <name>.c with a `const struct insp_target_ops insp_target_<name>`;
 * 2. add one row to target/targets.def, in the order in which `claims` is asked. A slot that the
 * back end cannot serve stays NULL, and the caller goes on without it.
 */
#ifndef INSP_TARGET_TARGET_H
#define INSP_TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "model/region.h"
#include "model/residency.h"
#include "model/thread.h"
#include "model/usage.h"

struct insp_pool;
struct insp_target;

enum insp_page_state {
	INSP_PAGE_ABSENT,  /* never touched or given back: reads as zeroes, but is not to be read */
	INSP_PAGE_PRESENT,
	INSP_PAGE_SWAPPED, /* contents exist and are not to be read in */
	INSP_PAGE_FILE,    /* absent from memory; the file behind the mapping has the bytes */
};

/* How to stop. All zero is the plain stop without a limit. */
struct insp_stop_options {
	uint64_t max_pause_ns;	  /* 0: no limit. Over it the target is let go whatever happens */
	bool want_registers;
	uint32_t stack_bytes;	  /* of each thread's stack to copy, from rsp upward; 0: none */
};

/* What stopping did to the target; fills in as far as known. */
struct insp_stop_report {
	uint64_t stopped_ns;	  /* from the first interrupt to the last thread let go; 0: not stopped */
	uint64_t to_stop_ns;	  /* of that, until the last thread stood still */
	uint32_t nthreads, nunstoppable; /* threads seen; in D state, frozen or zombies: not stopped */
	uint32_t restarts_mended; /* system calls kept from returning EINTR because of us */
	bool cut_short;		  /* max_pause_ns ran out: the target was let go early */
};

/* A file of the target, by what it is good for. */
enum insp_target_file {
	INSP_TARGET_EXE, /* arg ignored */
	INSP_TARGET_REGION_FILE, /* the file behind a region, also when deleted or in another root */
};

/* Who it is. Views into the pool that was passed; NULL or 0 unknown. */
struct insp_target_info {
	const char *exe;      /* path as the target sees it */
	const char *cmdline;  /* words joined by spaces */
	uint64_t started_at_ns; /* CLOCK_REALTIME */
	uint8_t *auxv;	      /* Elf64_auxv_t, as it is */
	size_t auxv_bytes;
};

/*
 * Every slot gets the target first. Sizes in bytes, addresses are the target's. Slots that return
 * int: 0 or a negative enum insp_code with err filled, unless said otherwise.
 */
struct insp_target_ops {
	const char *name;  /* "live", "core", "gdb", "fake" */
	const char *title; /* "live process" */

	/* Is spec ("1234", "nginx", "core.77") one of ours? Cheap: looks at the text and at the file's
	   magic. NULL: never asked, opened by code only. */
	bool (*claims)(const char *spec);

	/* Opens without stopping. Fills target->pid, comm, page_size. Called once. */
	int (*open)(struct insp_target *target, const char *spec, struct insp_error *err);

	/* Always lets the target go first; works on a half-opened one. */
	void (*close)(struct insp_target *target);

	/* Bytes read up to the first fault, 0 when addr itself faults. No message, no allocation.
	   Thread safe. Does not look at page states: the caller does (see insp_space). */
	size_t (*read)(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes);

	/* The address space now, sorted. Names live in pool. */
	int (*regions)(struct insp_target *target, struct insp_pool *pool,
		       struct insp_regions *ret, struct insp_error *err);

	/* States of npages pages from addr (page aligned) on: one byte each, enum
	   insp_page_state. NULL or non-zero return: treat all as present. No allocation. */
	int (*pages)(struct insp_target *target, uint64_t addr, size_t npages, uint8_t *ret);

	/* Threads with names, states and what else is known without stopping. While the target is
	   held: with registers and stack bytes as asked for in stop. Lives in pool. */
	int (*threads)(struct insp_target *target, struct insp_pool *pool,
		       struct insp_threads *ret, struct insp_error *err);

	/* While it is held: kernel_regs and xsave of these threads. NULL: not to be had. */
	int (*all_registers)(struct insp_target *target, struct insp_pool *pool,
			     struct insp_threads *threads, struct insp_error *err);

	/* Fills what it knows; cannot fail. May be NULL. */
	void (*info)(struct insp_target *target, struct insp_pool *pool,
		     struct insp_target_info *ret);

	/* The kernel's books: smaps, status, cgroup. NULL: none kept (a core). */
	int (*usage)(struct insp_target *target, struct insp_pool *pool, struct insp_usage *ret,
		     struct insp_error *err);

	/* Appends the runs of resident and swapped pages of the mapping [start, end), of which
	   usage says that rss bytes are resident. NULL or non-zero return: not known. */
	int (*residency)(struct insp_target *target, uint64_t start, uint64_t end, uint64_t rss,
			 struct insp_residency *ret);

	/* A descriptor open for reading (gives), or a negative enum insp_code. */
	int (*open_file)(struct insp_target *target, enum insp_target_file which,
			 const struct insp_region *region, struct insp_error *err);

	/* Stops all threads. NULL for what never runs. After failure the target runs as before. */
	int (*stop)(struct insp_target *target, const struct insp_stop_options *options,
		    struct insp_error *err);
	/* False once the target was let go (resume, max_pause_ns, or it died). Thread safe. */
	bool (*held)(struct insp_target *target);
	/* Lets it run on; fills report (may be NULL). Without a stop before: does nothing. */
	void (*resume)(struct insp_target *target, struct insp_stop_report *report);
	/* Has it ended? NULL: cannot end. */
	bool (*gone)(struct insp_target *target);
};

/* Where files of a target that is not on this machine are. Borrowed; NULL: where it says itself. */
struct insp_target_config {
	const char *exe;     /* the program */
	const char *sysroot; /* folder that its paths begin in; or that holds the files side by side */
};

struct insp_target {
	const struct insp_target_ops *ops;
	void *priv;		/* the back end's */
	int pid;		/* in our namespace; 0 none */
	int ns_pid;		/* in its own */
	char comm[16];
	const char *spec;	/* as the user named it; borrowed */
	uint32_t page_size;	/* bytes */
	struct insp_target_config config;
};

#define X(name) extern const struct insp_target_ops insp_target_##name;
#include "target/targets.def"
#undef X

/*
 * Opens what spec names: asks the rows of targets.def in order. Gives; insp_target_close detaches
 * and accepts NULL. A process name that several processes have: INSP_E_USAGE, with a list.
 */
int insp_target_open(const char *spec, struct insp_target **ret, struct insp_error *err)
	insp_must_check;
int insp_target_open_config(const char *spec, const struct insp_target_config *config,
			    struct insp_target **ret, struct insp_error *err) insp_must_check;
/* The same with a given back end: for the fake target, GDB and cores. */
int insp_target_open_with(const struct insp_target_ops *ops, const char *spec, void *priv,
			  struct insp_target **ret, struct insp_error *err) insp_must_check;
void insp_target_close(struct insp_target *target);

#endif
