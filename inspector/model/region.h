/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * region: one line of the target's address space (a VMA, a core segment).
 */
#ifndef INSP_MODEL_REGION_H
#define INSP_MODEL_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum insp_prot {
	INSP_PROT_READ = 1 << 0,
	INSP_PROT_WRITE = 1 << 1,
	INSP_PROT_EXEC = 1 << 2,
};

enum insp_region_flags {
	INSP_REGION_SHARED = 1 << 0,
	INSP_REGION_DELETED = 1 << 1, /* the file behind it was unlinked or replaced */
	INSP_REGION_BRK = 1 << 2,     /* the kernel calls it [heap] */
	INSP_REGION_STACK = 1 << 3,   /* the kernel calls it [stack] */
	INSP_REGION_DEVICE = 1 << 4,  /* not memory: never read (VmFlags io/pf, /dev nodes but zero and shm) */
};

/* Invariant: start < end, both multiples of the page size. */
struct insp_region {
	uint64_t start, end;	  /* bytes, [start, end) */
	uint64_t offset;	  /* bytes into the file */
	uint64_t inode;		  /* 0: anonymous */
	uint32_t dev_major, dev_minor;
	uint32_t prot;		  /* enum insp_prot */
	uint32_t flags;		  /* enum insp_region_flags */
	const char *name;	  /* path without " (deleted)", "[heap]", "[anon:...]" or "" */
};

/* Invariant: sorted by start, disjoint. */
struct insp_regions {
	struct insp_region *items;
	size_t n, cap;
};

/* The region that holds addr, or NULL: a view into regions. */
const struct insp_region *insp_regions_find(const struct insp_regions *regions, uint64_t addr);

static inline bool insp_region_anonymous(const struct insp_region *r)
{
	return r->inode == 0;
}

static inline uint64_t insp_region_bytes(const struct insp_region *r)
{
	return r->end - r->start;
}

/* A stand-in for the inode where the source tells only names (a core, a remote debugger): never 0,
   the same for the same name. */
uint64_t insp_region_inode_of_name(const char *name);

/* "rw-p" as in /proc/PID/maps; fills buf. */
const char *insp_region_perms(const struct insp_region *r, char buf[5]);

#endif
