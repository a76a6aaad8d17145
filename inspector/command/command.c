/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command: the table, and which of its rows is meant by what was typed. */
#include "command/command.h"

#include <pthread.h>
#include <string.h>

#include "base/str.h"
#include "snapshot/snapshot.h"

static const struct insp_command *const rows[] = {
#define X(name) &insp_cmd_##name,
#define X_TOOL X
#include "command/commands.def"
#undef X
#undef X_TOOL
	NULL,
};

#define NROWS (sizeof(rows) / sizeof(rows[0]) - 1)

static const struct insp_command *linked[NROWS + 1];

static void collect_linked(void)
{
	size_t n = 0;

	for (size_t i = 0; i < NROWS; i++)
		if (rows[i])
			linked[n++] = rows[i];
}

const struct insp_command *const *insp_commands(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, collect_linked);
	return linked;
}

enum match {
	MATCH_NONE,
	MATCH_PREFIX, /* all words, some of them shortened */
	MATCH_EXACT,
	MATCH_PARTIAL, /* the words given begin it, but there are fewer */
};

/* How well the first words of argv name the command; *ret_used is the words of its name. */
static enum match match_name(const char *name, int argc, char *const *argv, int *ret_used)
{
	bool exact = true;
	int used = 0;

	for (const char *p = name; *p; used++) {
		size_t len = strcspn(p, " "), typed;

		if (used == argc)
			return used ? MATCH_PARTIAL : MATCH_NONE;
		typed = strlen(argv[used]);
		if (!typed || typed > len || strncmp(argv[used], p, typed) != 0)
			return MATCH_NONE;
		exact &= typed == len;
		p += len + (p[len] == ' ');
	}
	*ret_used = used;
	return exact ? MATCH_EXACT : MATCH_PREFIX;
}

/* "heap" alone, "he": names what could follow. */
static int fail_candidates(int argc, char *const *argv, struct insp_error *err)
{
	struct insp_str list = {0};
	bool partial = false;
	int used, rc;

	for (const struct insp_command *const *c = insp_commands(); *c; c++) {
		enum match m = match_name((*c)->name, argc, argv, &used);

		if (m == MATCH_NONE)
			continue;
		partial |= m == MATCH_PARTIAL;
		insp_str_addf(&list, "%s%s", list.len ? ", " : "", (*c)->name);
	}
	rc = insp_fail(err, INSP_E_USAGE, partial ? "'%s' is the beginning of: %s" : "'%s' can be: %s",
		       argv[0], insp_str_text(&list));
	insp_str_deinit(&list);
	return rc;
}

/* Nobody is called like that: which one was meant? */
static int fail_unknown(int argc, char *const *argv, struct insp_error *err)
{
	const char *names[NROWS + 1], *near = NULL;
	struct insp_str typed = {0};
	size_t n = 0;
	int words = 0, rc;

	for (const struct insp_command *const *c = insp_commands(); *c; c++)
		names[n++] = (*c)->name;
	for (words = argc < 2 ? argc : 2; words > 0 && !near; words--) {
		if (words == 2 && argv[1][0] == '-')
			continue;
		insp_str_reset(&typed);
		insp_str_add(&typed, argv[0]);
		if (words == 2)
			insp_str_addf(&typed, " %s", argv[1]);
		near = insp_nearest(insp_str_text(&typed), names, n);
	}
	if (near)
		rc = insp_fail(err, INSP_E_USAGE, "no command '%s': did you mean '%s'?",
			       insp_str_text(&typed), near);
	else
		rc = insp_fail(err, INSP_E_USAGE, "no command '%s': 'help' lists them", argv[0]);
	insp_str_deinit(&typed);
	return rc;
}

int insp_command_find(int argc, char *const *argv, const struct insp_command **ret, int *ret_used,
		      struct insp_error *err)
{
	const struct insp_command *best = NULL;
	enum match best_match = MATCH_NONE;
	int best_used = 0;
	bool ambiguous = false, partial = false;

	if (argc < 1)
		return insp_fail(err, INSP_E_USAGE, "which command? 'help' lists them");
	for (const struct insp_command *const *c = insp_commands(); *c; c++) {
		int used = 0;
		enum match m = match_name((*c)->name, argc, argv, &used);

		partial |= m == MATCH_PARTIAL;
		if (m != MATCH_PREFIX && m != MATCH_EXACT)
			continue;
		/* "heap diff" is more than "heap"; an exact name is better than a prefix. */
		if (!best || used > best_used || (used == best_used && m > best_match)) {
			best = *c;
			best_match = m;
			best_used = used;
			ambiguous = false;
		} else if (used == best_used && m == best_match) {
			ambiguous = true;
		}
	}
	if (best && !ambiguous && !(partial && best_match == MATCH_PREFIX)) {
		*ret = best;
		*ret_used = best_used;
		return 0;
	}
	if (best || partial)
		return fail_candidates(argc, argv, err);
	return fail_unknown(argc, argv, err);
}

bool insp_option_positional(const struct insp_option *option)
{
	return option->name[0] >= 'A' && option->name[0] <= 'Z';
}

void insp_command_usage(const struct insp_command *command, bool with_target, struct insp_str *ret)
{
	bool options = false;

	insp_str_add(ret, command->name);
	for (const struct insp_option *o = command->options; o && o->name; o++)
		options |= !insp_option_positional(o);
	if (options)
		insp_str_add(ret, " [options]");
	for (const struct insp_option *o = command->options; o && o->name; o++)
		if (insp_option_positional(o))
			insp_str_addf(ret, o->required ? " %s%s" : " [%s%s]", o->name, o->rest ? "..." : "");
	if (with_target && !(command->flags & INSP_COMMAND_NO_TARGET))
		insp_str_add(ret, " TARGET");
}

/* Names those that are there and not walked. */
static void name_unwalked(const struct insp_snapshot *snapshot, struct insp_str *ret)
{
	for (size_t i = 0; i < snapshot->allocators.n; i++)
		if (snapshot->allocators.items[i].confidence)
			insp_str_addf(ret, "%s%s", ret->len ? ", " : "",
				      snapshot->allocators.items[i].title);
}

int insp_command_possible(const struct insp_command *command, const struct insp_snapshot *snapshot,
			  struct insp_error *err)
{
	struct insp_str names = {0};

	if (!(command->flags & INSP_COMMAND_CHUNKS) || !snapshot || !snapshot->chunks ||
	    snapshot->chunks->n)
		return 0;
	for (size_t i = 0; i < snapshot->allocators.n; i++)
		if (snapshot->allocators.items[i].walked)
			return 0;
	name_unwalked(snapshot, &names);
	(void)insp_fail(
		err, INSP_E_UNSUPPORTED,
		"%s: no heap that can be walked (%s); `rss` and `maps` show where its memory is",
		command->name,
		names.len ? insp_str_text(&names) : "no malloc is known in this process");
	insp_str_deinit(&names);
	return INSP_E_UNSUPPORTED;
}
