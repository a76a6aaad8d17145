/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/complete.h"

#include <inttypes.h>
#include <string.h>

#include "front/recent.h"
#include "front/session.h"
#include "front/settings.h"
#include "model/chunks.h"

struct complete {
	const struct insp_session *session;
	const char *word;
	struct insp_pool *pool;
	struct insp_words *ret;
	bool *files;
};

static void offer(struct complete *c, const char *candidate)
{
	if (strncmp(candidate, c->word, strlen(c->word)) != 0)
		return;
	for (size_t i = 0; i < c->ret->n; i++)
		if (strcmp(c->ret->items[i], candidate) == 0)
			return;
	if (insp_words_add(c->ret, candidate, c->pool))
		return; /* short of memory: fewer offers */
}

static void offer_n(struct complete *c, const char *s, size_t n)
{
	char *word = insp_pool_strndup(c->pool, s, n);

	if (word)
		offer(c, word);
}

static void offer_address(struct complete *c, uint64_t addr)
{
	char *word = addr ? insp_pool_printf(c->pool, "%#" PRIx64, addr) : NULL;

	if (word)
		offer(c, word);
}

/* The next word of each command whose first words are those typed (shortened or not). */
static void offer_command_words(struct complete *c, const struct insp_words *typed)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t i = 0; all[i]; i++) {
		const char *p = all[i]->name;
		bool fits = (all[i]->flags & INSP_COMMAND_REPL) != 0;

		for (size_t k = 0; k < typed->n && fits; k++) {
			size_t len = strcspn(p, " "), n = strlen(typed->items[k]);

			fits = n <= len && strncmp(p, typed->items[k], n) == 0 && p[len] == ' ';
			p += len + (p[len] == ' ');
		}
		if (fits)
			offer_n(c, p, strcspn(p, " "));
	}
}

static void offer_choices(struct complete *c, const char *choices)
{
	for (const char *p = choices; p && *p;) {
		size_t n = strcspn(p, "|");

		offer_n(c, p, n);
		p += n + (p[n] == '|');
	}
}

/* What was typed up to the last comma stays. */
static void offer_states(struct complete *c)
{
	const char *comma = strrchr(c->word, ',');
	size_t kept = comma ? (size_t)(comma + 1 - c->word) : 0;
	static const char *const sets[] = {"used", "free", "all"};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]) + INSP_N_CHUNK_STATES; i++) {
		const char *key = i < 3 ? sets[i] : insp_chunk_state_key((enum insp_chunk_state)(i - 3));
		char *word = insp_pool_printf(c->pool, "%.*s%s", (int)kept, c->word, key);

		if (word)
			offer(c, word);
	}
}

/* A name with a space in it would need quotes: its number will do. */
static void offer_arenas(struct complete *c)
{
	const struct insp_snapshot *snap = c->session->snapshot;

	for (size_t i = 0; snap && i < snap->arenas.n; i++) {
		const char *name = snap->arenas.items[i].name;
		char *number = insp_pool_printf(c->pool, "%zu", i);

		if (name && !strchr(name, ' '))
			offer(c, name);
		else if (number)
			offer(c, number);
	}
}

static void offer_addresses(struct complete *c)
{
	const struct insp_snapshot *snap = c->session->snapshot;
	const struct insp_recent *recent = c->session->recent;

	for (size_t i = 0; recent && i < recent->n; i++)
		offer_address(c, insp_recent_get(recent, i));
	for (size_t i = 0; snap && i < snap->arenas.n; i++) {
		offer_address(c, snap->arenas.items[i].addr);
		offer_address(c, snap->arenas.items[i].top_addr);
	}
}

static void offer_value(struct complete *c, const struct insp_option *o)
{
	switch (o->type) {
	case INSP_OPT_CHOICE:
	case INSP_OPT_FLAG:
		offer_choices(c, o->choices);
		break;
	case INSP_OPT_STATES:
		offer_states(c);
		break;
	case INSP_OPT_ARENA:
		offer_arenas(c);
		break;
	case INSP_OPT_ADDR:
		offer_addresses(c);
		break;
	case INSP_OPT_FILE:
		*c->files = true;
		break;
	default:
		break;
	}
}

static void offer_options(struct complete *c, const struct insp_option *list)
{
	for (const struct insp_option *o = list; o && o->name; o++) {
		bool off = o->type == INSP_OPT_FLAG && o->def && strcmp(o->def, "yes") == 0;
		char *word;

		if (insp_option_positional(o))
			continue;
		word = insp_pool_printf(c->pool, "--%s%s", off ? "no-" : "", o->name);
		if (word)
			offer(c, word);
	}
}

/* The option that `typed` names ("--format", "-f", "--for"), if it takes a value. */
static const struct insp_option *valued(const struct insp_option *list, const char *typed)
{
	for (const struct insp_option *o = list; o && o->name; o++) {
		if (insp_option_positional(o) || o->type == INSP_OPT_FLAG)
			continue;
		if (typed[0] == '-' && typed[1] == '-' && typed[2] &&
		    strncmp(o->name, typed + 2, strlen(typed + 2)) == 0)
			return o;
		if (typed[0] == '-' && o->letter && typed[1] == o->letter && !typed[2])
			return o;
	}
	return NULL;
}

static const struct insp_option *positional(const struct insp_option *list, size_t index)
{
	const struct insp_option *last = NULL;

	for (const struct insp_option *o = list; o && o->name; o++) {
		if (!insp_option_positional(o))
			continue;
		if (index-- == 0)
			return o;
		last = o;
	}
	return last && last->rest ? last : NULL;
}

static void offer_setting(struct complete *c, const struct insp_words *words)
{
	for (const struct insp_option *o = insp_set_options; o->name; o++) {
		if (words->n == 0)
			offer(c, o->name);
		else if (words->n == 1 && strncmp(o->name, words->items[0], strlen(words->items[0])) == 0)
			offer_value(c, o);
	}
}

/* Behind the words of a command. */
static void offer_arguments(struct complete *c, const struct insp_command *command,
			    const struct insp_words *args)
{
	const struct insp_option *value = NULL;
	struct insp_words bare = {0};

	for (size_t i = 0; i < args->n; i++) {
		if (value) {
			value = NULL;
			continue;
		}
		value = valued(command->options, args->items[i]);
		if (!value)
			value = valued(insp_global_options, args->items[i]);
		if (args->items[i][0] != '-' && insp_words_add(&bare, args->items[i], c->pool))
			return;
	}
	if (value) {
		offer_value(c, value);
	} else if (c->word[0] == '-') {
		offer_options(c, command->options);
		offer_options(c, insp_global_options);
	} else if (command == &insp_cmd_help) {
		offer_command_words(c, &bare);
	} else if (command == &insp_cmd_set) {
		offer_setting(c, &bare);
	} else {
		value = positional(command->options, bare.n);
		if (value)
			offer_value(c, value);
	}
}

void insp_complete(const struct insp_session *session, const char *before, const char *word,
		   struct insp_pool *pool, struct insp_words *ret, bool *ret_files)
{
	struct complete c = {session, word, pool, ret, ret_files};
	const struct insp_command *command;
	struct insp_words words = {0}, args = {0};
	int used;

	*ret_files = false;
	if (insp_words_split(before, pool, &words, NULL))
		return;
	if (strpbrk(before, "|>")) {
		*ret_files = true;
		return;
	}
	offer_command_words(&c, &words);
	if (!words.n || insp_command_find((int)words.n, words.items, &command, &used, NULL))
		return;
	args.items = words.items + used;
	args.n = words.n - (size_t)used;
	offer_arguments(&c, command, &args);
}
