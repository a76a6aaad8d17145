/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words, names of commands, options; and the rules that every row of the table keeps. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "command/command.h"
#include "front/complete.h"
#include "front/help.h"
#include "front/run.h"
#include "front/session.h"
#include "front/settings.h"
#include "model/chunks.h"

struct fixture {
	struct insp_pool *pool;
	struct insp_words words;
	struct insp_error err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->pool = insp_pool_create();
	*state = f;
	return f->pool ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	insp_pool_destroy(f->pool);
	free(f);
	return 0;
}

static struct insp_words split(struct fixture *f, const char *line)
{
	struct insp_words words = {0};

	assert_int_equal(insp_words_split(line, f->pool, &words, &f->err), 0);
	return words;
}

static void expect_words(struct fixture *f, const char *line, const char *joined)
{
	struct insp_words words = split(f, line);
	struct insp_str s = {0};

	for (size_t i = 0; i < words.n; i++)
		insp_str_addf(&s, "%s[%s]", i ? " " : "", words.items[i]);
	assert_string_equal(insp_str_text(&s), joined);
	insp_str_deinit(&s);
}

static void words__split_like_a_shell(void **state)
{
	struct fixture *f = *state;

	expect_words(f, "", "");
	expect_words(f, "  heap   chunks\t--min 1M \n", "[heap] [chunks] [--min] [1M]");
	expect_words(f, "a 'b c' \"d 'e'\" f\\ g", "[a] [b c] [d 'e'] [f g]");
	expect_words(f, "a'b'\"c\"", "[abc]");
	expect_words(f, "'' x", "[] [x]");
	expect_words(f, "\"a\\\"b\" 'c\\d'", "[a\"b] [c\\d]");
	expect_words(f, "maps # all of them", "[maps]");
	expect_words(f, "a#b", "[a#b]");
	expect_words(f, "x\\", "[x\\]");
	assert_int_equal(insp_words_split("a 'b", f->pool, &f->words, &f->err), INSP_E_USAGE);
	assert_non_null(strstr(f->err.msg, "quote"));
}

static void expect_command(struct fixture *f, const char *line, const char *name, int used)
{
	struct insp_words words = split(f, line);
	const struct insp_command *command;
	int n;

	assert_int_equal(insp_command_find((int)words.n, words.items, &command, &n, &f->err), 0);
	assert_string_equal(command->name, name);
	assert_int_equal(n, used);
}

static void expect_no_command(struct fixture *f, const char *line, const char *part)
{
	struct insp_words words = split(f, line);
	const struct insp_command *command = NULL;
	int n;

	assert_int_equal(insp_command_find((int)words.n, words.items, &command, &n, &f->err),
			 INSP_E_USAGE);
	assert_null(command);
	if (!strstr(f->err.msg, part))
		fail_msg("'%s' not in: %s", part, f->err.msg);
	assert_null(strchr(f->err.msg, '\n'));
}

static void find__prefixes_and_near_misses(void **state)
{
	struct fixture *f = *state;

	expect_command(f, "heap summary 12", "heap summary", 2);
	expect_command(f, "he su", "heap summary", 2);
	expect_command(f, "heap ch --min 3", "heap chunks", 2);
	expect_command(f, "maps", "maps", 1);
	expect_command(f, "x 0x10", "x", 1);
	expect_command(f, "q", "quit", 1);
	expect_no_command(f, "", "which command");
	expect_no_command(f, "heap", "heap summary, heap arenas");
	expect_no_command(f, "heap s", "heap summary, heap sizes");
	expect_no_command(f, "heap sumary 12", "did you mean 'heap summary'");
	expect_no_command(f, "chunks", "did you mean 'heap chunks'");
	expect_no_command(f, "mpas", "did you mean 'maps'");
	expect_no_command(f, "trheads", "did you mean 'threads'");
	expect_no_command(f, "xyzzyplugh", "'help' lists them");
}

struct args {
	bool all, pager;
	uint64_t limit, min, addr, pause;
	double percent;
	const char *sort, *arena, *file, *where, *rest;
	uint32_t states;
	struct insp_words list;
};

#define AT(m) .offset = offsetof(struct args, m)

static const struct insp_option options[] = {
	{.name = "WHERE", .type = INSP_OPT_ADDR, AT(addr), .required = true},
	{.name = "REST", .type = INSP_OPT_TEXT, AT(rest), .rest = true},
	{.name = "all", .letter = 'a', .type = INSP_OPT_FLAG, AT(all)},
	{.name = "pager", .type = INSP_OPT_FLAG, AT(pager), .def = "yes"},
	{.name = "limit", .letter = 'n', .type = INSP_OPT_COUNT, .arg = "ROWS", .def = "20", AT(limit)},
	{.name = "min", .type = INSP_OPT_SIZE, AT(min)},
	{.name = "pause", .type = INSP_OPT_DURATION, AT(pause)},
	{.name = "percent", .type = INSP_OPT_PERCENT, AT(percent)},
	{.name = "sort", .type = INSP_OPT_CHOICE, .choices = "size|addr|state|states", .def = "size", AT(sort)},
	{.name = "state", .type = INSP_OPT_STATES, AT(states)},
	{.name = "arena", .type = INSP_OPT_ARENA, AT(arena)},
	{.name = "file", .type = INSP_OPT_FILE, AT(file)},
	{.name = "execute", .letter = 'x', .type = INSP_OPT_LIST, AT(list)},
	INSP_OPTION_END,
};
static const struct insp_command sample = {
	.name = "sample", .options = options, .args_bytes = sizeof(struct args)};

static const struct args *parse(struct fixture *f, const char *line, char **target)
{
	struct insp_words words = split(f, line);
	void *args;

	if (insp_command_parse(&sample, (int)words.n, words.items, f->pool, NULL, target, &args, &f->err))
		return NULL;
	return args;
}

static void parse__all_types(void **state)
{
	struct fixture *f = *state;
	const struct args *a = parse(f, "7f00 --all -n5 --min=1.5K --pause 250ms --percent 12% --sort ad "
					"--state tcache,top --arena 'arena 1' --file - -x a -x 'b c'", NULL);

	assert_non_null(a);
	assert_true(a->all && a->pager);
	assert_int_equal(a->addr, 0x7f00);
	assert_int_equal(a->limit, 5);
	assert_int_equal(a->min, 1536);
	assert_int_equal(a->pause, 250000000);
	assert_true(a->percent == 12);
	assert_string_equal(a->sort, "addr");
	assert_int_equal(a->states, 1u << INSP_CHUNK_TCACHE | 1u << INSP_CHUNK_TOP);
	assert_string_equal(a->arena, "arena 1");
	assert_string_equal(a->file, "-");
	assert_int_equal(a->list.n, 2);
	assert_string_equal(a->list.items[1], "b c");
	assert_null(a->rest);
}

static void parse__defaults_and_undoing(void **state)
{
	struct fixture *f = *state;
	const struct args *a = parse(f, "0x10 --no-pager --all --no-all --sort state", NULL);

	assert_non_null(a);
	assert_false(a->pager);
	assert_false(a->all);
	assert_int_equal(a->limit, 20);
	assert_string_equal(a->sort, "state"); /* "states" begins with it, too */
}

static void parse__options_anywhere_and_target(void **state)
{
	struct fixture *f = *state;
	char *target = NULL;
	const struct args *a = parse(f, "-an 3 10 --min 4 1234", &target);

	assert_non_null(a);
	assert_true(a->all);
	assert_int_equal(a->limit, 3);
	assert_int_equal(a->addr, 0x10);
	assert_string_equal(target, "1234");
	a = parse(f, "10 one two -- --all 1234", &target);
	assert_non_null(a);
	assert_string_equal(a->rest, "one two --all");
	assert_false(a->all);
	assert_string_equal(target, "1234");
}

static void expect_usage(struct fixture *f, const char *line, const char *part)
{
	memset(&f->err, 0, sizeof(f->err));
	assert_null(parse(f, line, NULL));
	assert_int_equal(f->err.code, INSP_E_USAGE);
	if (!strstr(f->err.msg, part))
		fail_msg("'%s' not in: %s", part, f->err.msg);
}

static void parse__says_what_is_wrong(void **state)
{
	struct fixture *f = *state;

	expect_usage(f, "", "WHERE is missing: sample [options] WHERE");
	expect_usage(f, "zz", "'zz' is not an address");
	expect_usage(f, "10 --limt 3", "no option '--limt': did you mean '--limit'?");
	expect_usage(f, "10 -z", "no option '-z': --help lists them");
	expect_usage(f, "10 --limit", "option '--limit' needs a value: ROWS");
	expect_usage(f, "10 --limit x", "option '--limit': 'x' is not a whole number");
	expect_usage(f, "10 --limit=-3", "not a whole number");
	expect_usage(f, "10 --all=1", "takes no value");
	expect_usage(f, "10 --sort sise", "did you mean 'size'");
	expect_usage(f, "10 --sort s", "not one of");
	expect_usage(f, "10 --state tchache", "is no state");
	expect_usage(f, "10 --p 3", "can be several");
	expect_usage(f, "10 --min 99999999999999999999", "is not a size");
}

/* ---- every row of the table */

static bool snake_case(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
			return false;
	return s[0] && islower((unsigned char)s[0]);
}

static void lint_option(const struct insp_command *c, const struct insp_option *o)
{
	if (!o->help || !*o->help)
		fail_msg("%s: option %s has no help", c->name, o->name);
	if (o->type == INSP_OPT_CHOICE && !o->choices)
		fail_msg("%s: option %s has no choices", c->name, o->name);
	if (insp_option_positional(o))
		return;
	if (!strcmp(o->name, "output") && o->type == INSP_OPT_FILE)
		return; /* what the command makes is a file: that is what -o is about */
	for (const struct insp_option *g = insp_global_options; g->name; g++) {
		if (strcmp(g->name, o->name) == 0)
			fail_msg("%s: --%s is an option of every command", c->name, o->name);
		if (o->letter && g->letter == o->letter)
			fail_msg("%s: -%c is an option of every command", c->name, o->letter);
	}
	for (const struct insp_option *p = c->options; p != o; p++)
		if (strcmp(p->name, o->name) == 0 || (o->letter && p->letter == o->letter))
			fail_msg("%s: option %s twice", c->name, o->name);
}

static void lint_table(const struct insp_command *c, const struct insp_table *t)
{
	if (*t->key && !snake_case(t->key))
		fail_msg("%s: table key '%s'", c->name, t->key);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct insp_column *col = &t->columns[i];

		if (!snake_case(col->key))
			fail_msg("%s: column key '%s'", c->name, col->key);
		if (!col->help || !*col->help)
			fail_msg("%s: column %s.%s has no help", c->name, t->key, col->key);
		for (size_t k = 0; k < i; k++)
			if (strcmp(t->columns[k].key, col->key) == 0)
				fail_msg("%s: column %s.%s twice", c->name, t->key, col->key);
	}
}

static void table__rows_are_complete(void **state)
{
	const struct insp_command *const *all = insp_commands();

	(void)state;
	for (size_t i = 0; all[i]; i++) {
		const struct insp_command *c = all[i];
		size_t n = c->summary ? strlen(c->summary) : 0;

		if (!n || n > 90 || c->summary[n - 1] == '.' || strchr(c->summary, '\n'))
			fail_msg("%s: summary", c->name);
		if (!c->help || strlen(c->help) < 20)
			fail_msg("%s: help", c->name);
		if (!c->example || strncmp(c->example, c->name, strlen(c->name)) != 0)
			fail_msg("%s: the example is not one of it", c->name);
		if (!c->group || !c->run)
			fail_msg("%s: group and run", c->name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(all[k]->name, c->name) == 0)
				fail_msg("%s: twice", c->name);
		for (const struct insp_option *o = c->options; o && o->name; o++)
			lint_option(c, o);
		for (size_t t = 0; c->tables && c->tables[t]; t++)
			lint_table(c, c->tables[t]);
	}
}

static void table__examples_parse(void **state)
{
	struct fixture *f = *state;
	const struct insp_command *const *all = insp_commands();
	struct insp_settings settings;

	assert_int_equal(insp_settings_init(&settings, f->pool, &f->err), 0);
	for (size_t i = 0; all[i]; i++) {
		bool oneshot = all[i]->flags & INSP_COMMAND_ONESHOT;
		bool no_target = all[i]->flags & INSP_COMMAND_NO_TARGET;
		char *line = insp_pool_printf(f->pool, "%s%s", all[i]->example,
					      oneshot && !no_target ? " 1234" : "");
		struct insp_words words = split(f, line);
		struct insp_run run;
		char *target = NULL;
		int rc = insp_run_parse((int)words.n, words.items,
					oneshot ? INSP_COMMAND_ONESHOT : INSP_COMMAND_REPL, &settings,
					f->pool, oneshot ? &target : NULL, &run, &f->err);

		if (rc)
			fail_msg("example '%s': %s", all[i]->example, f->err.msg);
		assert_ptr_equal(run.command, all[i]);
		if (oneshot && !no_target)
			assert_string_equal(target, "1234");
	}
}

static void help__fits_a_small_terminal(void **state)
{
	struct insp_str s = {0};
	size_t lines = 0;

	(void)state;
	insp_help_usage(&s);
	for (const char *p = insp_str_text(&s); *p;) {
		size_t n = strcspn(p, "\n");

		if (n > 80)
			fail_msg("longer than 80 columns: %.*s", (int)n, p);
		lines++;
		p += n + 1;
	}
	assert_true(lines <= 24);
	assert_non_null(strstr(insp_str_text(&s), "example:"));
	insp_str_deinit(&s);
}

static void run__help_wins(void **state)
{
	struct fixture *f = *state;
	struct insp_settings settings;
	struct insp_words words = split(f, "whatis --help");
	struct insp_run run;

	assert_int_equal(insp_settings_init(&settings, f->pool, &f->err), 0);
	assert_int_equal(insp_run_parse((int)words.n, words.items, INSP_COMMAND_REPL, &settings, f->pool,
					NULL, &run, &f->err), 0);
	assert_string_equal(run.command->name, "help");
	words = split(f, "refresh");
	assert_int_equal(insp_run_parse((int)words.n, words.items, INSP_COMMAND_ONESHOT, &settings,
					f->pool, NULL, &run, &f->err), INSP_E_USAGE);
}

static void run__global_options_stay_with_the_command(void **state)
{
	struct fixture *f = *state;
	struct insp_settings settings;
	struct insp_words words = split(f, "maps -f json --no-pager -o out.json");
	struct insp_run run;

	assert_int_equal(insp_settings_init(&settings, f->pool, &f->err), 0);
	assert_int_equal(insp_run_parse((int)words.n, words.items, INSP_COMMAND_REPL, &settings, f->pool,
					NULL, &run, &f->err), 0);
	assert_string_equal(run.settings.format, "json");
	assert_string_equal(run.settings.output, "out.json");
	assert_false(run.settings.pager);
	assert_string_equal(settings.format, "text");
	assert_true(settings.pager);
}

/* ---- TAB */

static void expect_offers(struct fixture *f, const char *before, const char *word, const char *offered)
{
	struct insp_session session = {.pool = f->pool};
	struct insp_words words = {0};
	struct insp_str s = {0};
	bool files;

	insp_complete(&session, before, word, f->pool, &words, &files);
	for (size_t i = 0; i < words.n; i++)
		insp_str_addf(&s, "%s%s", i ? " " : "", words.items[i]);
	if (files)
		insp_str_add(&s, "+files");
	assert_string_equal(insp_str_text(&s), offered);
	insp_str_deinit(&s);
}

static void complete__offers_what_may_follow(void **state)
{
	struct fixture *f = *state;

	expect_offers(f, "", "map", "maps");
	expect_offers(f, "", "hea", "heap");
	expect_offers(f, "heap ", "su", "summary");
	expect_offers(f, "he ", "ver", "verify");
	expect_offers(f, "maps ", "--wr", "--writable");
	expect_offers(f, "maps ", "--for", "--format");
	expect_offers(f, "maps ", "--no-p", "--no-pager");
	expect_offers(f, "maps --format ", "te", "text");
	expect_offers(f, "maps -f ", "j", "json");
	expect_offers(f, "maps -o ", "", "+files");
	expect_offers(f, "maps | less > ", "x", "+files");
	expect_offers(f, "set ", "col", "color");
	expect_offers(f, "set color ", "a", "auto always");
	expect_offers(f, "help heap ", "ar", "arenas");
	expect_offers(f, "heap chunks --state tcache,fa", "", "");
	expect_offers(f, "heap chunks --state ", "tcache,fa", "tcache,fastbin");
	expect_offers(f, "nonsense ", "x", "");
	expect_offers(f, "maps 'unclosed ", "x", "");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(words__split_like_a_shell),
		T(find__prefixes_and_near_misses),
		T(parse__all_types),
		T(parse__defaults_and_undoing),
		T(parse__options_anywhere_and_target),
		T(parse__says_what_is_wrong),
		T(table__rows_are_complete),
		T(table__examples_parse),
		T(help__fits_a_small_terminal),
		T(run__help_wins),
		T(run__global_options_stay_with_the_command),
		T(complete__offers_what_may_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
