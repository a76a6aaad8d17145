/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/log.h"
#include "snapshot/contents.h"
#include "snapshot/file.h"
#include "snapshot/take.h"
#include "symbol/symbols.h"
#include "target/target.h"

#define SNAPSHOT_NEEDS                                                                   \
	(INSP_NEED_STACKS | INSP_NEED_CHUNKS | INSP_NEED_POINTERS | INSP_NEED_USAGE | \
	 INSP_NEED_SITES)

static int session_create(const char *spec, const struct insp_settings *settings,
			  struct insp_session **ret, struct insp_error *err)
{
	struct insp_session *s = calloc(1, sizeof(*s));

	if (s)
		s->pool = insp_pool_create();
	if (s && s->pool && spec)
		s->spec = insp_pool_strdup(s->pool, spec);
	if (!s || !s->pool || (spec && !s->spec)) {
		insp_session_close(s);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	s->settings = *settings;
	*ret = s;
	return 0;
}

int insp_session_open_with(const struct insp_target_ops *ops, const char *spec, void *priv,
			   const struct insp_settings *settings, struct insp_session **ret,
			   struct insp_error *err)
{
	struct insp_session *s;
	int rc = session_create(spec, settings, &s, err);

	if (rc)
		return rc;
	rc = insp_target_open_with(ops, s->spec, priv, &s->target, err);
	if (rc) {
		insp_session_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

static int open_file(struct insp_session *s, struct insp_error *err)
{
	int rc = insp_snapshot_load(s->spec, &s->snapshot, err);

	return rc || !s->snapshot->contents ? rc : insp_contents_open(s->snapshot, &s->memory, err);
}

int insp_session_open(const char *spec, const struct insp_settings *settings,
		      struct insp_session **ret, struct insp_error *err)
{
	struct insp_session *s;
	int rc = session_create(spec, settings, &s, err);

	if (rc)
		return rc;
	if (spec && insp_snapshot_is_file(spec))
		rc = open_file(s, err);
	else if (spec)
		rc = insp_target_open_config(
			s->spec, &(struct insp_target_config){settings->exe, settings->sysroot},
			&s->target, err);
	if (rc) {
		insp_session_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

static void drop_snapshot(struct insp_session *s)
{
	insp_symbols_destroy(s->symbols); /* borrows from the snapshot */
	insp_snapshot_destroy(s->snapshot);
	s->symbols = NULL;
	s->snapshot = NULL;
}

void insp_session_forget(struct insp_session *session)
{
	if (session->target)
		drop_snapshot(session);
}

void insp_session_close(struct insp_session *session)
{
	if (!session)
		return;
	/* The target first: nothing of ours is worth holding it for. */
	if (session->target && session->target->ops->resume)
		session->target->ops->resume(session->target, NULL);
	insp_target_close(session->memory); /* borrows from the snapshot */
	drop_snapshot(session);
	insp_snapshot_destroy(session->base);
	insp_target_close(session->target);
	insp_pool_destroy(session->pool);
	free(session);
}

bool insp_session_gone(const struct insp_session *session)
{
	return session->target && session->target->ops->gone &&
	       session->target->ops->gone(session->target);
}

enum insp_capture_mode insp_session_capture_mode(const char *name)
{
	static const struct {
		const char *name;
		enum insp_capture_mode mode;
	} modes[] = {
		{"stop", INSP_CAPTURE_STOP},
		{"precopy", INSP_CAPTURE_PRECOPY},
		{"fork", INSP_CAPTURE_FORK},
		{"live", INSP_CAPTURE_LIVE},
	};

	for (size_t i = 0; name && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, name) == 0)
			return modes[i].mode;
	return INSP_CAPTURE_AUTO;
}

/* What the capture cost the target, and what its reader must know. */
static void tell_capture(const struct insp_snapshot *snap)
{
	const struct insp_capture_info *c = &snap->capture;
	char buf[INSP_FMT_MAX];

	if (c->stopped_ns)
		insp_log(INSP_LOG_INFO, "stopped for %s (%zu thread%s)",
			 insp_fmt_duration(buf, c->stopped_ns), snap->threads.n,
			 snap->threads.n == 1 ? "" : "s");
	if (c->mode_reason)
		insp_log(INSP_LOG_INFO, "captured by %s: %s", c->mode, c->mode_reason);
	if (c->threads_unstopped)
		insp_log(INSP_LOG_WARN, "%" PRIu32 " thread%s could not be stopped and kept running",
			 c->threads_unstopped, c->threads_unstopped == 1 ? "" : "s");
	if (c->incomplete)
		insp_log(INSP_LOG_WARN, "incomplete: %s", c->incomplete);
	else if (!c->consistent)
		insp_log(INSP_LOG_WARN, "not one instant: the target ran while it was read, figures "
					"are approximate");
}

/* What only some captures want. */
struct witness {
	insp_on_memory_fn on_memory;
	void *ctx;
};

static int session_take(struct insp_session *s, unsigned needs, const char *unwinder,
			const struct insp_settings *settings, const struct witness *witness,
			struct insp_error *err)
{
	struct insp_take_options options = {
		.on_memory = witness ? witness->on_memory : NULL,
		.on_memory_ctx = witness ? witness->ctx : NULL,
		.needs = needs & (SNAPSHOT_NEEDS | INSP_NEED_PACKED),
		.mode = insp_session_capture_mode(settings->capture),
		.max_pause_ns = settings->max_pause_ns,
		.allow_inject = settings->allow_inject,
		.hold = s->hold,
		.unwinder = unwinder,
	};
	struct insp_snapshot *snapshot;
	struct insp_symbols *symbols = NULL;
	int rc = insp_snapshot_take(s->target, &options, &snapshot, &symbols, err);

	if (rc)
		return rc;
	drop_snapshot(s);
	s->snapshot = snapshot;
	s->symbols = symbols;
	s->unwinder = unwinder ? insp_pool_strdup(s->pool, unwinder) : NULL;
	tell_capture(snapshot);
	return 0;
}

static int ensure_symbols(struct insp_session *s, struct insp_error *err)
{
	if (s->symbols)
		return 0;
	return insp_symbols_create(s->target, &s->snapshot->regions, &s->snapshot->modules,
				   &s->symbols, err);
}

/* A saved snapshot has what it has. */
static int need_of_file(struct insp_session *s, unsigned needs, struct insp_error *err)
{
	static const struct {
		unsigned need;
		const char *what;
	} parts[] = {
		{INSP_NEED_CHUNKS, "chunks"},	 {INSP_NEED_STACKS, "stacks"},
		{INSP_NEED_POINTERS, "pointers"}, {INSP_NEED_USAGE, "memory usage"},
		{INSP_NEED_SITES, "allocation sites"},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (needs & parts[i].need & ~s->snapshot->has)
			return insp_fail(err, INSP_E_NOTFOUND, "snapshot '%s' was saved without %s",
					 s->spec, parts[i].what);
	return needs & INSP_NEED_SYMBOLS ? ensure_symbols(s, err) : 0;
}

int insp_session_need(struct insp_session *session, unsigned needs, const char *unwinder,
		      const struct insp_settings *settings, struct insp_error *err)
{
	unsigned want = (needs | session->needs) & SNAPSHOT_NEEDS;
	bool again = session->snapshot != NULL;
	bool other = unwinder && (!session->unwinder || strcmp(unwinder, session->unwinder) != 0);
	int rc = 0;

	if (!session->target)
		return need_of_file(session, needs, err);
	if (!again || (want & ~session->snapshot->has) ||
	    (other && (session->snapshot->has & INSP_NEED_STACKS) && (needs & INSP_NEED_STACKS))) {
		if (again) {
			want |= session->snapshot->has;
			if (session->interactive)
				insp_log(INSP_LOG_INFO, "this needs more than the snapshot holds: "
							"taking a new one");
		}
		want |= needs & INSP_NEED_PACKED;
		rc = session_take(session, want, unwinder ? unwinder : session->unwinder, settings,
				  NULL, err);
		if (rc && again && (rc == INSP_E_GONE || insp_session_gone(session)))
			insp_error_prefix(err, "the snapshot does not hold what this needs, and no new "
					       "one can be taken");
	}
	if (!rc && (needs & INSP_NEED_SYMBOLS))
		rc = ensure_symbols(session, err);
	return rc;
}

int insp_session_with_memory(struct insp_session *session, unsigned needs,
			     const struct insp_settings *settings, insp_on_memory_fn on_memory, void *ctx,
			     struct insp_error *err)
{
	const struct witness witness = {on_memory, ctx};
	int rc;

	needs |= session->needs | (session->snapshot ? session->snapshot->has : 0);
	if (session->target)
		return session_take(session, needs, session->unwinder, settings, &witness, err);
	rc = need_of_file(session, needs, err);
	if (!rc && !session->memory)
		rc = insp_fail(err, INSP_E_NOTFOUND, "snapshot '%s' was saved without --contents",
			       session->spec);
	return rc ? rc : on_memory(ctx, session->snapshot, session->memory, err);
}

int insp_session_refresh(struct insp_session *session, const struct insp_settings *settings,
			 struct insp_error *err)
{
	unsigned needs = session->needs | (session->snapshot ? session->snapshot->has : 0);

	if (!session->target)
		return insp_fail(err, INSP_E_UNSUPPORTED, "'%s' is a saved snapshot: it does not change",
				 session->spec);
	return session_take(session, needs, session->unwinder, settings, NULL, err);
}
