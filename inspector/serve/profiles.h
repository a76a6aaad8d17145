/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * profiles: what the endpoints of /debug/pprof/ show of a picture, as profiles, and these as bytes.
 */
#ifndef INSP_SERVE_PROFILES_H
#define INSP_SERVE_PROFILES_H

#include "base/str.h"
#include "command/command.h"
#include "report/profile.h"
#include "serve/route.h"

/* What the picture must have: enum insp_need. hooked: 1, 0, -1 not known. */
unsigned insp_profile_needs(enum insp_endpoint endpoint, int hooked);

/* Of one instant. Gives ret: insp_profile_destroy. */
int insp_profile_of(struct insp_context *ctx, enum insp_endpoint endpoint, struct insp_profile **ret,
		    struct insp_error *err) insp_must_check;

/*
 * What a walk knows of a program without the hook, as stacks: heap, arena, size class. Only what is in
 * use: nobody counted what came and went.
 */
int insp_walk_profile(struct insp_context *ctx, struct insp_profile **ret, struct insp_error *err)
	insp_must_check;

/* profile.proto, gzipped; or a page of its own that draws it ("flamegraph"). */
int insp_profile_render(const struct insp_profile *profile, const char *renderer, struct insp_str *ret,
			struct insp_error *err) insp_must_check;

/*
 * The text of ?debug=1, as Go writes it and pprof reads it: counts, addresses, names as remarks, the
 * mappings of the process.
 */
void insp_profile_text(const struct insp_profile *profile, enum insp_endpoint endpoint,
		       const struct insp_regions *regions, struct insp_str *ret);

#endif
