/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options: from words to the args struct of a command, by its table of typed options. */
#include <string.h>

#include "base/fmt.h"
#include "base/str.h"
#include "command/command.h"
#include "command/filter.h"
#include "model/chunks.h"

#define OPTIONS_MAX 128

static int store_choice(const struct insp_option *o, const char *text, const char **ret,
			struct insp_pool *pool, struct insp_error *err)
{
	const char *words[32], *found = NULL, *near;
	size_t n = 0, matches = 0, len = strlen(text);

	for (const char *p = o->choices; *p && n < 32; n++) {
		size_t part = strcspn(p, "|");

		words[n] = insp_pool_strndup(pool, p, part);
		if (!words[n])
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		if (len && strncmp(words[n], text, len) == 0) {
			/* A full word wins over longer ones that begin with it. */
			matches = part == len ? 1 : matches + 1;
			found = words[n];
			if (part == len)
				break;
		}
		p += part + (p[part] == '|');
	}
	if (matches == 1) {
		*ret = found;
		return 0;
	}
	near = insp_nearest(text, words, n);
	if (near && !matches)
		return insp_fail(err, INSP_E_USAGE, "'%s' is not one of %s: did you mean '%s'?", text,
				 o->choices, near);
	return insp_fail(err, INSP_E_USAGE, "'%s' is not one of %s", text, o->choices);
}

static int store_states(const char *text, uint32_t *ret, struct insp_error *err)
{
	uint32_t set = 0, states;

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, ",");
		int rc = insp_chunk_states_parse(p, n, &states, err);

		if (rc)
			return rc;
		set |= states;
		p += n + (p[n] == ',');
	}
	*ret = set;
	return 0;
}

static int store_list(struct insp_words *words, const char *text, struct insp_pool *pool,
		      struct insp_error *err)
{
	if (insp_words_add(words, text, pool))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	return 0;
}

int insp_option_store(const struct insp_option *option, void *args, const char *text,
		      struct insp_pool *pool, struct insp_error *err)
{
	void *slot = (char *)args + option->offset;
	char *copy;
	int rc;

	switch (option->type) {
	case INSP_OPT_FLAG:
		*(bool *)slot = strcmp(text, "no") != 0 && strcmp(text, "off") != 0 &&
				strcmp(text, "false") != 0 && strcmp(text, "0") != 0;
		return 0;
	case INSP_OPT_COUNT:
		return insp_parse_u64(text, slot, err);
	case INSP_OPT_SIZE:
		return insp_parse_size(text, slot, err);
	case INSP_OPT_ADDR:
		return insp_parse_addr(text, slot, err);
	case INSP_OPT_DURATION:
		return insp_parse_duration_ns(text, slot, err);
	case INSP_OPT_PERCENT:
		return insp_parse_percent(text, slot, err);
	case INSP_OPT_CHOICE:
		return store_choice(option, text, slot, pool, err);
	case INSP_OPT_STATES:
		return store_states(text, slot, err);
	case INSP_OPT_LIST:
	case INSP_OPT_PAIRS:
		return store_list(slot, text, pool, err);
	case INSP_OPT_FILTER:
		rc = insp_filter_check(text, pool, err);
		if (rc)
			return rc;
		break;
	case INSP_OPT_TEXT:
	case INSP_OPT_ARENA:
	case INSP_OPT_FILE:
		break;
	}
	copy = insp_pool_strdup(pool, text);
	if (!copy)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*(const char **)slot = copy;
	return 0;
}

/* An option as it was found in one of the sets. */
struct found {
	const struct insp_option *option;
	void *args;
	bool negated;
};

static struct found find_letter(const struct insp_option_set *sets, size_t nsets, char letter)
{
	for (size_t i = 0; i < nsets; i++)
		for (const struct insp_option *o = sets[i].options; o && o->name; o++)
			if (o->letter && o->letter == letter && !insp_option_positional(o))
				return (struct found){.option = o, .args = sets[i].args};
	return (struct found){0};
}

/* By its full name, --no-NAME for a flag, or a unique prefix. */
static int find_name(const struct insp_option_set *sets, size_t nsets, const char *name, size_t n,
		     struct found *ret, struct insp_error *err)
{
	const char *names[OPTIONS_MAX], *near;
	struct found prefix = {0};
	size_t nnames = 0, nprefix = 0;
	bool negated = n > 3 && strncmp(name, "no-", 3) == 0;
	char typed[64];

	for (size_t i = 0; i < nsets; i++)
		for (const struct insp_option *o = sets[i].options; o && o->name; o++) {
			if (insp_option_positional(o))
				continue;
			struct found f = {.option = o, .args = sets[i].args};

			if (strncmp(o->name, name, n) == 0 && !o->name[n]) {
				*ret = f;
				return 0;
			}
			if (negated && o->type == INSP_OPT_FLAG && strncmp(o->name, name + 3, n - 3) == 0 &&
			    !o->name[n - 3]) {
				f.negated = true;
				*ret = f;
				return 0;
			}
			if (n && strncmp(o->name, name, n) == 0) {
				prefix = f;
				nprefix++;
			}
			if (nnames < OPTIONS_MAX)
				names[nnames++] = o->name;
		}
	if (nprefix == 1) {
		*ret = prefix;
		return 0;
	}
	n = n < sizeof(typed) ? n : sizeof(typed) - 1;
	memcpy(typed, name, n);
	typed[n] = '\0';
	if (nprefix)
		return insp_fail(err, INSP_E_USAGE, "option '--%s' can be several", typed);
	near = insp_nearest(typed, names, nnames);
	if (near)
		return insp_fail(err, INSP_E_USAGE, "no option '--%s': did you mean '--%s'?", typed, near);
	return insp_fail(err, INSP_E_USAGE, "no option '--%s': --help lists them", typed);
}

struct parse {
	const struct insp_option_set *sets;
	size_t nsets;
	int argc, i; /* argv[i] is being looked at */
	char *const *argv;
	struct insp_pool *pool;
};

static int store_found(struct parse *p, const struct found *f, const char *shown, const char *value,
		       struct insp_error *err)
{
	int rc;

	if (f->option->type == INSP_OPT_FLAG) {
		if (value)
			return insp_fail(err, INSP_E_USAGE, "option '%s' takes no value", shown);
		value = f->negated ? "no" : "yes";
	} else if (!value) {
		if (p->i + 1 >= p->argc)
			return insp_fail(err, INSP_E_USAGE, "option '%s' needs a value: %s", shown,
					 f->option->arg ? f->option->arg : "VALUE");
		value = p->argv[++p->i];
	}
	rc = insp_option_store(f->option, f->args, value, p->pool, err);
	if (!rc && f->option->type == INSP_OPT_PAIRS) {
		if (p->i + 1 >= p->argc)
			return insp_fail(err, INSP_E_USAGE, "option '%s' needs two words: %s",
					 shown, f->option->arg);
		rc = insp_option_store(f->option, f->args, p->argv[++p->i], p->pool, err);
	}
	if (rc)
		insp_error_prefix(err, "option '%s'", shown);
	return rc;
}

static int parse_long(struct parse *p, struct insp_error *err)
{
	const char *name = p->argv[p->i] + 2;
	size_t n = strcspn(name, "=");
	struct found f;
	char shown[64];
	int rc = find_name(p->sets, p->nsets, name, n, &f, err);

	if (rc)
		return rc;
	shown[0] = shown[1] = '-';
	memcpy(shown + 2, f.option->name, strnlen(f.option->name, sizeof(shown) - 3));
	shown[2 + strnlen(f.option->name, sizeof(shown) - 3)] = '\0';
	return store_found(p, &f, shown, name[n] == '=' ? name + n + 1 : NULL, err);
}

/* -n 5, -n5, -rw for two flags. */
static int parse_letters(struct parse *p, struct insp_error *err)
{
	for (const char *s = p->argv[p->i] + 1; *s; s++) {
		struct found f = find_letter(p->sets, p->nsets, *s);
		char shown[3] = {'-', *s, '\0'};
		bool flag;
		int rc;

		if (!f.option)
			return insp_fail(err, INSP_E_USAGE, "no option '%s': --help lists them", shown);
		flag = f.option->type == INSP_OPT_FLAG;
		rc = store_found(p, &f, shown, !flag && s[1] ? s + 1 : NULL, err);
		if (rc || !flag)
			return rc;
	}
	return 0;
}

static int parse_option(struct parse *p, struct insp_error *err)
{
	return p->argv[p->i][1] == '-' ? parse_long(p, err) : parse_letters(p, err);
}

int insp_options_leading(const struct insp_option_set *sets, size_t nsets, int argc,
			 char *const *argv, struct insp_pool *pool, int *ret_used,
			 struct insp_error *err)
{
	struct parse p = {.sets = sets, .nsets = nsets, .argc = argc, .argv = argv, .pool = pool};

	for (; p.i < argc && argv[p.i][0] == '-' && argv[p.i][1]; p.i++) {
		int rc;

		if (strcmp(argv[p.i], "--") == 0) {
			p.i++;
			break;
		}
		rc = parse_option(&p, err);
		if (rc)
			return rc;
	}
	*ret_used = p.i;
	return 0;
}

int insp_options_parse(const struct insp_option_set *sets, size_t nsets, int argc,
		       char *const *argv, struct insp_pool *pool, struct insp_words *bare,
		       struct insp_error *err)
{
	struct parse p = {.sets = sets, .nsets = nsets, .argc = argc, .argv = argv, .pool = pool};
	bool only_words = false;

	for (; p.i < argc; p.i++) {
		const char *word = argv[p.i];
		int rc = 0;

		if (only_words || word[0] != '-' || !word[1]) {
			if (insp_words_add(bare, word, pool))
				rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
		} else if (strcmp(word, "--") == 0) {
			only_words = true;
		} else {
			rc = parse_option(&p, err);
		}
		if (rc)
			return rc;
	}
	return 0;
}

static int store_rest(const struct insp_option *o, void *args, char *const *words, size_t n,
		      struct insp_pool *pool, struct insp_error *err)
{
	struct insp_str joined = {0};
	int rc = 0;

	if (o->type == INSP_OPT_LIST) {
		for (size_t i = 0; i < n && !rc; i++)
			rc = insp_option_store(o, args, words[i], pool, err);
		return rc;
	}
	for (size_t i = 0; i < n; i++)
		insp_str_addf(&joined, "%s%s", i ? " " : "", words[i]);
	if (insp_str_ok(&joined))
		rc = insp_option_store(o, args, insp_str_text(&joined), pool, err);
	else
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	insp_str_deinit(&joined);
	return rc;
}

static int store_positionals(const struct insp_command *command, void *args, char *const *words,
			     size_t n, bool with_target, struct insp_pool *pool,
			     struct insp_error *err)
{
	size_t used = 0;

	for (const struct insp_option *o = command->options; o && o->name; o++) {
		int rc;

		if (!insp_option_positional(o))
			continue;
		if (used == n && o->required) {
			struct insp_str usage = {0};

			insp_command_usage(command, with_target, &usage);
			rc = insp_fail(err, INSP_E_USAGE, "%s is missing: %s", o->name,
				       insp_str_text(&usage));
			insp_str_deinit(&usage);
			return rc;
		}
		if (used == n)
			break;
		rc = o->rest ? store_rest(o, args, words + used, n - used, pool, err)
			     : insp_option_store(o, args, words[used], pool, err);
		if (rc) {
			insp_error_prefix(err, "%s", o->name);
			return rc;
		}
		used = o->rest ? n : used + 1;
	}
	if (used < n)
		return insp_fail(err, INSP_E_USAGE, "'%s' is a word too many for '%s'", words[used],
				 command->name);
	return 0;
}

int insp_command_parse(const struct insp_command *command, int argc, char *const *argv,
		       struct insp_pool *pool, const struct insp_option_set *globals,
		       char **ret_target, void **ret_args, struct insp_error *err)
{
	void *args = insp_pool_alloc(pool, command->args_bytes ? command->args_bytes : 1);
	struct insp_option_set sets[2] = {{.options = command->options, .args = args}};
	struct insp_words bare = {0};
	char *target = NULL;
	int rc;

	if (!args)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (const struct insp_option *o = command->options; o && o->name; o++) {
		rc = o->def ? insp_option_store(o, args, o->def, pool, err) : 0;
		if (rc)
			return rc;
	}
	if (globals)
		sets[1] = *globals;
	rc = insp_options_parse(sets, globals ? 2 : 1, argc, argv, pool, &bare, err);
	if (rc)
		return rc;
	if (ret_target && !(command->flags & INSP_COMMAND_NO_TARGET) && bare.n)
		target = bare.items[--bare.n];
	rc = store_positionals(command, args, bare.items, bare.n, ret_target != NULL, pool, err);
	if (rc)
		return rc;
	if (ret_target)
		*ret_target = target;
	*ret_args = args;
	return 0;
}
