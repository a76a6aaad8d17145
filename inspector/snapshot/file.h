/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * file: a snapshot on disk.
 *
 *     header   magic "MEMINSP\n", format version, number of sections, checksum of the table
 *     table    a row a section: id, offset, stored bytes, raw bytes, checksum of the stored bytes
 *     blocks   bytes of the target, if wanted: snapshot/contents.h
 *     sections each compressed by itself with zstd
 *
 * A reader refuses a newer format by its number, skips sections that it does not know, and
 * checks every checksum before it looks at a byte. What a section holds is in describe.c.
 *
 * Writing goes to a file that gets its name at the end (base/atomic.h): a full disk or a kill leaves the
 * old file, or none.
 */
#ifndef INSP_SNAPSHOT_FILE_H
#define INSP_SNAPSHOT_FILE_H

#include <stdbool.h>

#include "base/error.h"
#include "snapshot/codec.h"
#include "snapshot/snapshot.h"
#include "target/target.h"

#define INSP_FILE_FORMAT 4u

/* Does it begin like one? */
bool insp_snapshot_is_file(const char *path);

/*
 * Saving in steps, so that the bytes of the target can be written while they are those of the instant:
 * begin, perhaps contents, end. rc of end: of what came before; non-zero leaves no file. Gives.
 */
struct insp_saving;
int insp_saving_begin(const char *path, struct insp_saving **ret, struct insp_error *err)
	insp_must_check;
int insp_saving_contents(struct insp_saving *saving, const struct insp_snapshot *snapshot,
			 struct insp_target *memory, struct insp_error *err) insp_must_check;
int insp_saving_end(struct insp_saving *saving, const struct insp_snapshot *snapshot, int rc,
		    struct insp_error *err) insp_must_check;
/* All of it, without contents. */
int insp_snapshot_save(const struct insp_snapshot *snapshot, const char *path,
		       struct insp_error *err) insp_must_check;
/* Gives ret. */
int insp_snapshot_load(const char *path, struct insp_snapshot **ret, struct insp_error *err)
	insp_must_check;
/* The same from memory; for tests and fuzzing. name is for messages. */
int insp_snapshot_load_bytes(const uint8_t *bytes, size_t n, const char *name,
			     struct insp_snapshot **ret, struct insp_error *err) insp_must_check;

/* In describe_pointers.c and describe_sites.c. */
bool insp_section_has_pointers(const struct insp_snapshot *s);
void insp_section_pointers(struct insp_codec *c, struct insp_snapshot *s);
bool insp_section_has_sites(const struct insp_snapshot *s);
void insp_section_sites(struct insp_codec *c, struct insp_snapshot *s);

/* A section: describe.c has the table. */
struct insp_section {
	const char id[8];
	void (*describe)(struct insp_codec *c, struct insp_snapshot *s);
	bool (*wanted)(const struct insp_snapshot *s); /* NULL: always */
	bool aside; /* large, and told by chunks and pointers alone: packed on a thread, snapshot/pack.h */
};
extern const struct insp_section insp_sections[];
extern const size_t insp_nsections;

#endif
