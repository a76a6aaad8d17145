/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * site_profile: what the hook recorded, and what threads do, as profiles with names.
 */
#ifndef INSP_COMMAND_SITE_PROFILE_H
#define INSP_COMMAND_SITE_PROFILE_H

#include "command/command.h"
#include "report/profile.h"
#include "site/sites.h"

/* Sample types of the heap's profile, in the order that pprof expects. */
enum insp_heap_type {
	INSP_HEAP_ALLOC_OBJECTS,
	INSP_HEAP_ALLOC_SPACE,
	INSP_HEAP_INUSE_OBJECTS,
	INSP_HEAP_INUSE_SPACE,
};

/* The snapshot's sites, or an error that says what to do: no hook, or one that records nothing. */
int insp_sites_wanted(const struct insp_snapshot *snapshot, const struct insp_sites **ret,
		      struct insp_error *err) insp_must_check;

/*
 * One sample a site. ret_sites (may be NULL): the site of each sample, in the command's pool. Symbols may
 * be NULL. Gives ret: insp_profile_destroy.
 */
int insp_heap_profile(struct insp_context *ctx, const struct insp_sites *sites,
		      struct insp_profile **ret, const uint32_t **ret_sites, struct insp_error *err)
	insp_must_check;

/* One sample a thread, labelled with its name. Gives ret. */
int insp_threads_profile(struct insp_context *ctx, struct insp_profile **ret, struct insp_error *err)
	insp_must_check;

/*
 * The location of a sample that answers "who": the innermost that is not of the allocator's wrappers
 * (operator new, containers, strdup).
 */
uint32_t insp_profile_culprit(const struct insp_profile *profile,
			      const struct insp_profile_sample *sample);

/* "function (file:line) < caller < caller": from the culprit outward. View in the profile's pool. */
const char *insp_profile_place(const struct insp_profile *profile,
			       const struct insp_profile_sample *sample, unsigned ncallers);

/* The same for a site, of a heap profile with its ret_sites; "not recorded" for 0 and unknown ones.
 */
const char *insp_site_place(const struct insp_profile *profile, const uint32_t *sites,
			    uint32_t site, unsigned ncallers);

#endif
