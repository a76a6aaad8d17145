/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * core_unpack: core files as they lie on disk: plain, or compressed with zstd, lz4 or gzip, which
 * is told by their first bytes and not by their name.
 */
#ifndef INSP_TARGET_CORE_UNPACK_H
#define INSP_TARGET_CORE_UNPACK_H

#include <stdbool.h>

#include "base/error.h"

/* Does the file begin like a core, or like something compressed that holds one? */
bool insp_core_is_one(const char *path);

/* A descriptor on the plain core (gives), or a negative code. A compressed one is unpacked into an
   unnamed temporary file in /var/tmp or /tmp; holes stay holes. */
int insp_core_open_file(const char *path, struct insp_error *err) insp_must_check;

#endif
