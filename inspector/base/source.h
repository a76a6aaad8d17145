/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * source: the bytes of a file that is looked at for long: a core, a snapshot.
 *
 * They are read, not mapped: should somebody cut the file short meanwhile, or its disk or its server
 * fail, a mapping would end us with SIGBUS. Here it is a fault like others, and is told once. The kernel
 * keeps the bytes, as it would for a mapping; nothing is copied but what is asked for.
 */
#ifndef INSP_BASE_SOURCE_H
#define INSP_BASE_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct insp_source {
	int fd;		      /* -1: none */
	const uint8_t *bytes; /* not NULL: lies in memory, borrowed */
	uint64_t size_bytes;
	char *name;
	atomic_bool told; /* that bytes are missing */
};

/* Takes fd, also when it fails: then with err. name is for messages. */
int insp_source_init(struct insp_source *source, int fd, const char *name, struct insp_error *err)
	insp_must_check;
void insp_source_init_bytes(struct insp_source *source, const uint8_t *bytes, size_t size_bytes);
/* All zeroes are a source without bytes, and one that was ended. */
void insp_source_deinit(struct insp_source *source);

/* How many of n bytes from offset on could be had. Any thread. */
size_t insp_source_read(const struct insp_source *source, uint64_t offset, void *buf, size_t n);
/*
 * n bytes from offset on: a view, of the source or of buf, which has room for them; NULL when they cannot be
 * had.
 */
const uint8_t *insp_source_view(const struct insp_source *source, uint64_t offset, void *buf, size_t n);

#endif
