/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * folded: one line a stack, "outermost;...;innermost value", as flamegraph.pl and speedscope read it.
 * The value is that of the profile's default sample type; stacks of value 0 are left out. ';' and
 * control characters inside of names become ':' and '_'.
 */
#include "render/profile_sink.h"

static void add_name(struct insp_out *out, const char *name)
{
	for (; *name; name++)
		insp_out_addc(out, *name == ';' ? ':' : (unsigned char)*name < ' ' ? '_' : *name);
}

static void add_location(struct insp_out *out, const struct insp_profile *p, uint32_t l, bool *first)
{
	const struct insp_profile_location *loc = &p->locations.items[l];
	uint32_t n = loc->nframes ? loc->nframes : 1;

	for (uint32_t f = n; f-- > 0;) {
		const char *name =
			loc->nframes ? p->frames.items[loc->first_frame + f].function : NULL;

		if (!*first)
			insp_out_addc(out, ';');
		*first = false;
		add_name(out, name ? name : insp_profile_location_name(p, l));
	}
}

static int profile(void *state, const struct insp_profile *p, struct insp_error *err)
{
	struct insp_out *out = ((struct insp_profile_state *)state)->out;

	(void)err;
	for (size_t i = 0; i < p->samples.n; i++) {
		const struct insp_profile_sample *s = &p->samples.items[i];
		bool first = true;

		if (!s->values[p->default_type])
			continue;
		for (uint32_t k = s->nlocations; k-- > 0;)
			add_location(out, p, p->stacks.items[s->first_location + k], &first);
		insp_out_addc(out, ' ');
		insp_out_i64(out, s->values[p->default_type]);
		insp_out_addc(out, '\n');
	}
	return 0;
}

static const struct insp_sink sink = INSP_PROFILE_SINK(profile);

const struct insp_renderer insp_renderer_folded = {
	.name = "folded",
	.title = "stacks, one a line, with their value (profiles only)",
	.suffix = "folded",
	.profile_only = true,
	.sink = &sink,
	.open = insp_profile_state_open,
	.close = insp_profile_state_close,
};
