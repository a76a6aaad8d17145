/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pack: a section of a snapshot file, described and compressed on its way into the file.
 *
 * The large ones are packed on threads of their own, each as soon as what it tells is complete: when a
 * snapshot is taken in order to be saved (INSP_NEED_PACKED), that is while stacks are unwound still.
 */
#ifndef INSP_SNAPSHOT_PACK_H
#define INSP_SNAPSHOT_PACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot/file.h"
#include "snapshot/snapshot.h"

struct insp_packing {
	const struct insp_section *section;
	const struct insp_snapshot *snapshot;
	uint8_t *bytes; /* as they are stored; the caller frees them */
	size_t n, cap;
	uint64_t raw; /* bytes before compression */
	int rc;
	pthread_t thread; /* of one that is packed aside, while it runs */
	bool running, packed;
};

bool insp_section_wanted(const struct insp_section *section, const struct insp_snapshot *snapshot);
/* Fills bytes, n, raw and rc: INSP_E_NOMEM, INSP_E_INTERRUPTED. */
void insp_pack(struct insp_packing *p);

/*
 * Those sections that are packed aside: begin starts them; snapshot's chunks and pointers are complete, and
 * like itself they stay until end. Gives; NULL: out of memory. end accepts NULL.
 */
struct insp_packed *insp_packed_begin(const struct insp_snapshot *snapshot);
void insp_packed_end(struct insp_packed *packed);
/* The i-th of them, when it is done; NULL: there are no more. Returns view. */
const struct insp_packing *insp_packed_get(struct insp_packed *packed, size_t i);

#endif
