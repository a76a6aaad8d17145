/* SPDX-License-Identifier: GPL-3.0-or-later */
/* profile: stacks with weights, for pprof, flame graphs and everything that reads folded stacks. */
#include <string.h>

#include "command/site_profile.h"

struct args {
	const char *what;
	uint64_t limit;
};

static const struct insp_option options[] = {
	{"WHAT", 0, INSP_OPT_CHOICE, NULL, "heap: who allocated (with the hook); threads: where threads stand",
	 NULL, "heap|threads", offsetof(struct args, what), .required = true},
	{"limit", 'n', INSP_OPT_COUNT, "N", "rows of each table in text, JSON and CSV; 0: all", "20", NULL,
	 offsetof(struct args, limit)},
	INSP_OPTION_END,
};

static unsigned needs_of(const void *args)
{
	return strcmp(((const struct args *)args)->what, "heap") == 0 ? INSP_NEED_SITES
								     : INSP_NEED_STACKS;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_sites *sites = NULL;
	struct insp_profile *profile;
	int rc;

	if (strcmp(a->what, "heap") == 0) {
		rc = insp_sites_wanted(ctx->snapshot, &sites, err);
		if (!rc)
			rc = insp_heap_profile(ctx, sites, &profile, NULL, err);
	} else {
		rc = insp_threads_profile(ctx, &profile, err);
	}
	if (rc)
		return rc;
	if (sites && sites->sampled)
		insp_note(report, INSP_NOTE, "sampled",
			  "estimates: one byte in %llu was drawn", (unsigned long long)sites->sample_bytes);
	insp_report_profile(report, profile, (size_t)a->limit);
	insp_profile_destroy(profile);
	return 0;
}

const struct insp_command insp_cmd_profile = {
	.name = "profile",
	.group = "heap",
	.summary = "stacks with weights: for pprof, as a flame graph, or folded",
	.help = "heap: for each call stack that allocated, objects and bytes allocated since the start and "
		"in use now, as the hook recorded them (the program was started by 'meminspect run'). "
		"threads: the stacks of all threads, each with the weight 1.\n\n"
		"--format pprof is for 'go tool pprof FILE'; flamegraph is one HTML file that opens "
		"offline; folded is one line a stack. Text, JSON and CSV show the functions (flat: stacks "
		"that end there, cum: stacks that go through) and the stacks.",
	.example = "profile threads --format folded",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_PROFILE,
	.needs = INSP_NEED_SYMBOLS,
	.needs_of = needs_of,
	.run = run,
};
