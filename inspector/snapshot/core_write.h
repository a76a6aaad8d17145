/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * core_write: an ELF core of a snapshot's target, for debuggers. Threads and map are the snapshot's,
 * the memory is read from a target that is that instant (held, a copy, a core, a file with contents).
 *
 *     ELF header, program headers
 *     PT_NOTE     NT_PRSTATUS of the first thread, NT_PRPSINFO, NT_AUXV, NT_FILE, NT_PRSTATUS of others
 *     PT_LOADs    private memory that was written to or is anonymous, whole; the first page of files;
 *                 of all else the addresses only. Pages that are not in memory are holes.
 */
#ifndef INSP_SNAPSHOT_CORE_WRITE_H
#define INSP_SNAPSHOT_CORE_WRITE_H

#include <stdint.h>

#include "base/atomic.h"
#include "base/error.h"
#include "snapshot/snapshot.h"
#include "target/target.h"

struct insp_core_counts {
	uint64_t bytes;	  /* of memory in the core */
	uint64_t missing; /* existed and could not be had (swapped out): these read as zeroes */
};

/* The caller begins and ends file. */
int insp_core_write(const struct insp_snapshot *snapshot, struct insp_target *memory,
		    struct insp_atomic *file, struct insp_core_counts *ret, struct insp_error *err)
	insp_must_check;

#endif
