/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * record: a series over time in one file, an SQLite database: samples, walks and events, by run. A
 * run is one process from its start to its end: a restart makes a new one.
 *
 * What is added between begin and commit is in the file as a whole or not at all. While it is
 * written it has a log beside it (FILE-wal), which a kill leaves behind and the next who opens it
 * takes in: a kill at any moment costs what was not committed, and nothing else. Several may
 * read meanwhile. A close in order leaves one plain file.
 *
 * Times are CLOCK_REALTIME in ns. Unknown figures are NULL in the file, INSP_UNKNOWN here.
 */
#ifndef INSP_RECORD_RECORD_H
#define INSP_RECORD_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "watch/gauge.h"
#include "watch/level.h"
#include "watch/walkstat.h"

struct insp_record;

enum insp_record_mode {
	INSP_RECORD_READ,
	INSP_RECORD_WRITE, /* makes it when it is not there; goes on where it ended */
};

/* Gives. INSP_E_CORRUPT: no recording. close accepts NULL, and drops what was not committed. */
int insp_record_open(const char *path, enum insp_record_mode mode, struct insp_record **ret,
		     struct insp_error *err) insp_must_check;
void insp_record_close(struct insp_record *record);
/* By its first bytes. */
bool insp_record_is_file(const char *path);

/* ---- writing. After a failure call rollback; the next begin may do better (a disk was full). */

int insp_record_begin(struct insp_record *record, struct insp_error *err) insp_must_check;
int insp_record_commit(struct insp_record *record, struct insp_error *err) insp_must_check;
void insp_record_rollback(struct insp_record *record);

/* Who it is. Strings are borrowed; NULL unknown. */
struct insp_record_run {
	int64_t id; /* in the file; filled when reading */
	const char *spec; /* as the user named it */
	const char *comm;
	int pid;
	uint64_t ticks; /* of its start, since boot */
	uint64_t started_at_ns;
};

/* The id of this process's run: the one in the file, if it is the same process, or a new one. */
int insp_record_run(struct insp_record *record, const struct insp_record_run *run, int64_t *ret_id,
		    struct insp_error *err) insp_must_check;
int insp_record_sample(struct insp_record *record, int64_t run, const struct insp_sample *sample,
		       enum insp_level level, struct insp_error *err) insp_must_check;
int insp_record_walk(struct insp_record *record, int64_t run, const struct insp_walkstat *walk,
		     struct insp_error *err) insp_must_check;
/* kind: "level", "restart", "capture", ... */
int insp_record_event(struct insp_record *record, int64_t run, uint64_t at_ns, const char *kind,
		      const char *text, struct insp_error *err) insp_must_check;
/* Drops samples and walks before that time. */
int insp_record_forget(struct insp_record *record, uint64_t before_ns, struct insp_error *err)
	insp_must_check;

/* ---- reading, in order of time. A callback that returns non-zero ends it with that. */

struct insp_record_range {
	uint64_t from_ns, to_ns; /* [from, to) */
	int64_t run;		 /* 0: all */
};

typedef int (*insp_record_run_fn)(void *ctx, const struct insp_record_run *run);
typedef int (*insp_record_sample_fn)(void *ctx, int64_t run, const struct insp_sample *sample,
				     enum insp_level level);
typedef int (*insp_record_walk_fn)(void *ctx, int64_t run, const struct insp_walkstat *walk);
typedef int (*insp_record_event_fn)(void *ctx, int64_t run, uint64_t at_ns, const char *kind,
				    const char *text);

int insp_record_each_run(struct insp_record *record, insp_record_run_fn fn, void *ctx,
			 struct insp_error *err) insp_must_check;
int insp_record_each_sample(struct insp_record *record, const struct insp_record_range *range,
			    insp_record_sample_fn fn, void *ctx, struct insp_error *err) insp_must_check;
int insp_record_each_walk(struct insp_record *record, const struct insp_record_range *range,
			  insp_record_walk_fn fn, void *ctx, struct insp_error *err) insp_must_check;
int insp_record_each_event(struct insp_record *record, const struct insp_record_range *range,
			   insp_record_event_fn fn, void *ctx, struct insp_error *err) insp_must_check;
/* Times of the first and the last sample; both 0: there is none. */
int insp_record_span(struct insp_record *record, uint64_t *ret_first_ns, uint64_t *ret_last_ns,
		     struct insp_error *err) insp_must_check;

#endif
