/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * profile: weighted call stacks: the second thing, beside tables, that a command can have to say.
 *
 * A sample is a stack and one value for each sample type (bytes in use, objects in use, ...). A
 * location is one address of a stack; inlined calls give it several frames, innermost first.
 * Renderers make pprof, folded stacks or a flame graph of it; all others show the table of its
 * functions (insp_report_profile).
 *
 * All strings live in the pool that the profile was made with.
 */
#ifndef INSP_REPORT_PROFILE_H
#define INSP_REPORT_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

#define INSP_PROFILE_TYPES 4 /* at most */

struct insp_report;

struct insp_profile_type {
	const char *type, *unit; /* "inuse_space", "bytes" */
};

struct insp_profile_frame {
	const char *function; /* NULL unknown */
	const char *file;     /* NULL unknown */
	uint32_t line;	      /* 0 unknown */
};

struct insp_profile_location {
	uint64_t addr;	       /* inside of the call, not behind it; 0: no code, a name only */
	uint32_t mapping;      /* index + 1; 0 none */
	uint32_t first_frame;  /* index into frames */
	uint32_t nframes;      /* 0: not symbolised */
};

struct insp_profile_mapping {
	uint64_t start, end, offset;
	const char *file, *build_id; /* build_id: hexadecimal, or NULL */
	bool has_functions;
};

struct insp_profile_label {
	const char *key, *text; /* text NULL: a number */
	int64_t number;
	const char *unit;	/* of the number */
};

struct insp_profile_sample {
	uint32_t first_location, nlocations; /* into stacks: innermost first */
	int64_t values[INSP_PROFILE_TYPES];
	struct insp_profile_label label;     /* key NULL: none */
};

struct insp_profile {
	struct insp_pool *pool; /* borrowed */
	const char *title;
	struct insp_profile_type types[INSP_PROFILE_TYPES];
	size_t ntypes, default_type;
	struct insp_profile_type period_type;
	int64_t period;
	uint64_t time_ns, duration_ns; /* CLOCK_REALTIME; 0: an instant */
	const char *comment;	       /* NULL none */
	bool delta;		       /* values are changes: may be negative */
	struct { struct insp_profile_frame *items; size_t n, cap; } frames;
	struct { struct insp_profile_location *items; size_t n, cap; } locations;
	struct { struct insp_profile_mapping *items; size_t n, cap; } mappings;
	struct { struct insp_profile_sample *items; size_t n, cap; } samples;
	struct { uint32_t *items; size_t n, cap; } stacks; /* indexes of locations */
	bool failed; /* memory was short: insp_profile_ok says so */
};

struct insp_profile *insp_profile_create(struct insp_pool *pool, const char *title);
void insp_profile_destroy(struct insp_profile *profile); /* accepts NULL */
int insp_profile_ok(const struct insp_profile *profile, struct insp_error *err) insp_must_check;

/*
 * Building. Sticky: without memory nothing more is added. A location is added once, its frames right
 * behind it; a sample likewise, its stack from the innermost location outward.
 */
void insp_profile_add_type(struct insp_profile *profile, const char *type, const char *unit);
uint32_t insp_profile_add_location(struct insp_profile *profile, uint64_t addr, uint32_t mapping);
void insp_profile_add_frame(struct insp_profile *profile, const char *function, const char *file,
			    uint32_t line);
/* Never NULL: without memory, a sample that nobody sees. */
struct insp_profile_sample *insp_profile_add_sample(struct insp_profile *profile);
void insp_profile_push(struct insp_profile *profile, uint32_t location);

/* What to call a frame that has no function: its module and offset, or its address. */
const char *insp_profile_location_name(const struct insp_profile *profile, uint32_t location);

/* The functions of a profile. */
struct insp_profile_function {
	const char *name, *file;
	int64_t flat[INSP_PROFILE_TYPES]; /* of stacks that end in it */
	int64_t cum[INSP_PROFILE_TYPES];  /* of stacks that go through it, each counted once */
};
struct insp_profile_functions {
	struct insp_profile_function *items; /* by cum or flat of a type, largest first */
	size_t n, cap;
	int64_t total[INSP_PROFILE_TYPES];
};
int insp_profile_functions(const struct insp_profile *profile, size_t sort_type, bool by_cum,
			   struct insp_profile_functions *ret, struct insp_error *err) insp_must_check;
void insp_profile_functions_deinit(struct insp_profile_functions *functions);

/* The same stacks as a tree from the outermost function inward, equal names merged. */
struct insp_profile_node {
	const char *name, *file;
	uint32_t line;
	uint32_t parent, first_child, next; /* indexes; 0 none: the root is nobody's child */
	int64_t values[INSP_PROFILE_TYPES]; /* of all stacks through it */
};
struct insp_profile_tree {
	struct insp_profile_node *items; /* 0 is the root */
	size_t n, cap;
};
int insp_profile_tree(const struct insp_profile *profile, struct insp_profile_tree *ret,
		      struct insp_error *err) insp_must_check;
void insp_profile_tree_deinit(struct insp_profile_tree *tree);

/*
 * Hands the profile to what renders profiles; for text, JSON and CSV it becomes the tables "functions"
 * and "stacks", at most limit rows each (0: all).
 */
void insp_report_profile(struct insp_report *report, const struct insp_profile *profile, size_t limit);
/* The former, for a command that has reported tables of its own: those see nothing more. */
void insp_report_profile_only(struct insp_report *report, const struct insp_profile *profile);
/* Will insp_report_profile_only do anything? Making a profile may be costly. */
bool insp_report_wants_profile(const struct insp_report *report);
/* The tables of the first, always. */
int insp_report_profile_tables(struct insp_report *report, const struct insp_profile *profile,
			       size_t limit, struct insp_error *err) insp_must_check;

#endif
