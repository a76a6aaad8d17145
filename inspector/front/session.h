/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * session: one target, the snapshot of it that commands work on, and the settings.
 *
 * A snapshot is taken when a command first needs one, with all that was asked for so far: what a
 * later command needs beyond that costs another. The target runs on in between, unless `hold`.
 */
#ifndef INSP_FRONT_SESSION_H
#define INSP_FRONT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "front/settings.h"
#include "snapshot/snapshot.h"
#include "snapshot/take.h"

struct insp_recent;
struct insp_session;
struct insp_space;
struct insp_symbols;
struct insp_target;
struct insp_target_ops;

/* What `attach` does once the target is open; readline is behind it, and not everybody links it. */
typedef int (*insp_shell_fn)(struct insp_session *session, struct insp_error *err);

struct insp_session {
	struct insp_pool *pool;		/* strings of the settings */
	struct insp_settings settings;
	struct insp_target *target;	/* NULL: none (help, set), or a snapshot file */
	struct insp_target *memory;	/* the bytes in a snapshot file; NULL: it has none */
	const char *spec;		/* as the user named it; in pool */
	struct insp_snapshot *snapshot; /* NULL: none yet */
	struct insp_snapshot *base;	/* what diff compares with; NULL: none chosen */
	struct insp_symbols *symbols;	/* of snapshot; NULL: not needed yet */
	const char *unwinder;		/* that snapshot's stacks were made with; NULL: the default */
	unsigned needs;			/* taken with every snapshot, beside what the command needs */
	bool hold;			/* keep the target stopped */
	bool interactive;		/* there is a prompt: remarks name what was done */
	bool leave;			/* `quit` was typed */
	bool gone_said;			/* it was told that the target ended */
	struct insp_recent *recent;	/* addresses that were shown; NULL: nobody asks */
	insp_shell_fn shell;
	int exit_code; /* of the program when the command did not fail */
};

/* Of a name as --capture takes it. */
enum insp_capture_mode insp_session_capture_mode(const char *name);

/* spec NULL: without a target. Gives; close accepts NULL and lets the target go. */
int insp_session_open(const char *spec, const struct insp_settings *settings,
		      struct insp_session **ret, struct insp_error *err) insp_must_check;
int insp_session_open_with(const struct insp_target_ops *ops, const char *spec, void *priv,
			   const struct insp_settings *settings, struct insp_session **ret,
			   struct insp_error *err) insp_must_check;
void insp_session_close(struct insp_session *session);

/* Makes sure that there is a snapshot with `needs` and stacks by `unwinder` (NULL: any). */
int insp_session_need(struct insp_session *session, unsigned needs, const char *unwinder,
		      const struct insp_settings *settings, struct insp_error *err) insp_must_check;
/* A new snapshot, with a call while the memory is that of the instant; on a file, the call alone. */
int insp_session_with_memory(struct insp_session *session, unsigned needs,
			     const struct insp_settings *settings, insp_on_memory_fn on_memory, void *ctx,
			     struct insp_error *err) insp_must_check;
/* A new snapshot of all that the last one had. */
int insp_session_refresh(struct insp_session *session, const struct insp_settings *settings,
			 struct insp_error *err) insp_must_check;
/* Drops the snapshot: the next command that needs one takes it. */
void insp_session_forget(struct insp_session *session);
bool insp_session_gone(const struct insp_session *session);

#endif
