/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/help.h"

#include <stdio.h>
#include <string.h>

#include "front/session.h"
#include "front/settings.h"
#include "report/sink.h"

const char *insp_help_group(size_t i)
{
	const struct insp_command *const *all = insp_commands();
	size_t seen = 0;

	for (size_t k = 0; all[k]; k++) {
		bool first = true;

		for (size_t j = 0; j < k && first; j++)
			first = strcmp(all[j]->group, all[k]->group) != 0;
		if (first && seen++ == i)
			return all[k]->group;
	}
	return NULL;
}

void insp_help_option(const struct insp_option *option, struct insp_str *ret)
{
	bool off = option->type == INSP_OPT_FLAG && option->def && strcmp(option->def, "yes") == 0;

	if (insp_option_positional(option)) {
		insp_str_add(ret, option->name);
		return;
	}
	if (option->letter)
		insp_str_addf(ret, "-%c, ", option->letter);
	insp_str_addf(ret, "--%s%s", off ? "no-" : "", option->name);
	if (option->type != INSP_OPT_FLAG)
		insp_str_addf(ret, " %s", option->arg ? option->arg : "VALUE");
}

/* What a group is about, for the short usage. */
static const char *group_about(const char *group)
{
	static const struct {
		const char *group, *about;
	} groups[] = {
		{"heap", "what lives in it, in which state"},
		{"memory", "every byte of the process; what lies at an address"},
		{"threads", "what they do and wait for"},
		{"leaks", "who holds what, and what nobody holds"},
		{"files", "snapshots: keep, look at, compare"},
		{"watch", "over time: figures, thresholds, what came of a fix, pages and metrics"},
		{"session", "several commands on one snapshot"},
	};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (strcmp(groups[i].group, group) == 0)
			return groups[i].about;
	return NULL;
}

#define USAGE_COLUMNS 78
#define USAGE_INDENT  11

/* The commands of a group; a first word is said once: "heap summary, arenas, bins". */
static void usage_commands(struct insp_str *ret, const char *group)
{
	const struct insp_command *const *all = insp_commands();
	const char *before = NULL;
	size_t column = USAGE_INDENT;

	for (size_t i = 0; all[i]; i++) {
		const char *name = all[i]->name;
		size_t first = strcspn(name, " "), len;
		bool apart = false;

		if (strcmp(all[i]->group, group) != 0 || !(all[i]->flags & INSP_COMMAND_ONESHOT))
			continue;
		if (before && name[first] && strncmp(before, name, first + 1) == 0)
			name += first + 1;
		else
			apart = before && strchr(before, ' '); /* not "heap profile" */
		len = strlen(name);
		if (before && !apart)
			insp_str_addc(ret, ',');
		if (!before || apart || column + len + 3 > USAGE_COLUMNS) {
			insp_str_addc(ret, '\n');
			insp_str_pad(ret, ' ', USAGE_INDENT);
			column = USAGE_INDENT;
		} else {
			insp_str_addc(ret, ' ');
			column += 2;
		}
		insp_str_add(ret, name);
		column += len;
		before = all[i]->name;
	}
	insp_str_addc(ret, '\n');
}

void insp_help_usage(struct insp_str *ret)
{
	const char *group, *about;

	insp_str_add(ret, "meminspect: what is in the memory of a running process\n\n"
			  "usage: meminspect COMMAND [options] TARGET\n"
			  "TARGET: PID, process name, core file or saved snapshot\n\n");
	for (size_t i = 0; (group = insp_help_group(i)); i++) {
		about = group_about(group);
		insp_str_addf(ret, "  %-8s %s", group, about ? about : "");
		usage_commands(ret, group);
	}
	insp_str_add(ret, "\nexample: meminspect heap summary nginx        a prompt: meminspect attach nginx\n"
			  "help:    meminspect help [COMMAND], man meminspect\n");
}

struct args {
	const char *command;
	bool json;
};

static const struct insp_option options[] = {
	{.name = "COMMAND", .type = INSP_OPT_TEXT, .offset = offsetof(struct args, command), .rest = true,
	 .help = "the command, as one or more words"},
	{.name = "json", .letter = 'j', .type = INSP_OPT_FLAG, .offset = offsetof(struct args, json),
	 .help = "only the keys that the command's JSON and CSV have"},
	INSP_OPTION_END,
};

static const struct insp_column command_columns[] = {
	{"name", "command", INSP_T_STR, 0, "words of the command"},
	{"summary", "what it does", INSP_T_STR, INSP_COL_WRAP | INSP_COL_FOLD, "one line"},
};

static const struct insp_column option_columns[] = {
	{"option", "option", INSP_T_STR, 0, "letter, name and value"},
	{"default", "default", INSP_T_STR, 0, "value when it is not given"},
	{"values", NULL, INSP_T_STR, 0, "words that it takes, separated by |"},
	{"help", "meaning", INSP_T_STR, INSP_COL_WRAP | INSP_COL_FOLD, "what it does"},
};

static const struct insp_column json_columns[] = {
	{"table", "in", INSP_T_STR, 0, "key of the table, list or object; empty: the top"},
	{"key", "key", INSP_T_STR, 0, "key of the column or field"},
	{"type", "type", INSP_T_STR, 0, "kind of value"},
	{"help", "meaning", INSP_T_STR, INSP_COL_WRAP | INSP_COL_FOLD, "what it says"},
};

static const struct insp_table commands_table = INSP_TABLE("commands", NULL, command_columns, NULL);
static const struct insp_table options_table = INSP_TABLE("options", "Options", option_columns, NULL);
static const struct insp_table globals_table =
	INSP_TABLE("global_options", "Options of every command", option_columns, NULL);
static const struct insp_table json_table =
	INSP_TABLE("json_keys", NULL, json_columns, "it reports nothing of its own");
static const struct insp_table *const tables[] = {&commands_table, &options_table, &globals_table,
						  &json_table, NULL};

static void report_options(struct insp_report *r, const struct insp_table *table,
			   const struct insp_option *list)
{
	struct insp_str s = {0};

	insp_table_begin(r, table);
	for (const struct insp_option *o = list; o && o->name; o++) {
		insp_str_reset(&s);
		insp_help_option(o, &s);
		insp_cell_str(r, insp_str_text(&s));
		insp_cell_str(r, o->type == INSP_OPT_FLAG || !o->def ? ""
				 : strcmp(o->def, INSP_OPTION_NO_LIMIT) == 0 ? "none" : o->def);
		insp_cell_str(r, o->choices);
		insp_cell_str(r, o->help);
		insp_row_end(r);
	}
	insp_table_end(r);
	insp_str_deinit(&s);
}

static void report_json(struct insp_report *r, const struct insp_command *c)
{
	insp_table_begin(r, &json_table);
	for (size_t t = 0; c->tables && c->tables[t]; t++)
		for (size_t i = 0; i < c->tables[t]->ncolumns; i++) {
			const struct insp_column *col = &c->tables[t]->columns[i];

			insp_cell_str(r, c->tables[t]->key);
			insp_cell_str(r, col->key);
			insp_cell_str(r, insp_type_name(col->type));
			insp_cell_str(r, col->help);
			insp_row_end(r);
		}
	insp_table_end(r);
}

static void report_command(struct insp_report *r, const struct insp_command *c)
{
	struct insp_str usage = {0};

	insp_command_usage(c, (c->flags & INSP_COMMAND_ONESHOT) != 0, &usage);
	insp_field_str(r, "name", NULL, c->name);
	insp_text(r, "usage", "%s%s", c->flags & INSP_COMMAND_ONESHOT ? "meminspect " : "",
		  insp_str_text(&usage));
	insp_str_deinit(&usage);
	insp_text(r, "summary", "%s", c->summary);
	insp_text(r, "help", "%s", c->help);
	report_options(r, &options_table, c->options);
	insp_object_begin(r, "example", "Example");
	insp_text(r, "command", "%s%s%s", c->flags & INSP_COMMAND_ONESHOT ? "meminspect " : "", c->example,
		  (c->flags & INSP_COMMAND_ONESHOT) && !(c->flags & INSP_COMMAND_NO_TARGET) ? " 1234" : "");
	insp_object_end(r);
	if (c->tables)
		insp_text(r, NULL, "'help --json %s' lists the keys of its JSON and CSV.", c->name);
}

static void report_all(struct insp_report *r)
{
	const struct insp_command *const *all = insp_commands();
	const char *group;

	insp_text(r, NULL, "meminspect COMMAND [options] TARGET\nTARGET is a PID or the name of a process. "
			   "The first letters of a command's words are enough.");
	insp_list_begin(r, "groups", NULL);
	for (size_t i = 0; (group = insp_help_group(i)); i++) {
		insp_object_begin(r, NULL, group);
		insp_field_str(r, "group", NULL, group);
		insp_table_begin(r, &commands_table);
		for (size_t k = 0; all[k]; k++) {
			if (strcmp(all[k]->group, group) != 0)
				continue;
			insp_cell_str(r, all[k]->name);
			insp_cell_str(r, all[k]->summary);
			insp_row_end(r);
		}
		insp_table_end(r);
		insp_object_end(r);
	}
	insp_list_end(r);
	report_options(r, &globals_table, insp_global_options);
	insp_text(r, NULL, "'help COMMAND' tells more.");
}

/* "heap", "memory": the commands that begin with that word, or are of that group. False: none. */
static bool report_several(struct insp_report *r, const char *word)
{
	const struct insp_command *const *all = insp_commands();
	size_t len = strlen(word), n = 0;

	for (size_t k = 0; all[k]; k++) {
		bool begins = strncmp(all[k]->name, word, len) == 0 && all[k]->name[len] == ' ';

		if (!begins && strcmp(all[k]->group, word) != 0)
			continue;
		if (!n++)
			insp_table_begin(r, &commands_table);
		insp_cell_str(r, all[k]->name);
		insp_cell_str(r, all[k]->summary);
		insp_row_end(r);
	}
	if (!n)
		return false;
	insp_table_end(r);
	insp_text(r, NULL, "'help COMMAND' tells more.");
	return true;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_command *command;
	struct insp_words words = {0};
	int used, rc;

	if (!a->command) {
		report_all(report);
		return 0;
	}
	rc = insp_words_split(a->command, ctx->pool, &words, err);
	if (!rc)
		rc = insp_command_find((int)words.n, words.items, &command, &used, err);
	if (rc == INSP_E_USAGE && words.n == 1 && !a->json &&
	    report_several(report, words.items[0]))
		return 0;
	if (rc)
		return rc;
	if (a->json)
		report_json(report, command);
	else
		report_command(report, command);
	return 0;
}

int insp_help_run(const struct insp_command *of, struct insp_pool *pool,
		  const struct insp_command **ret, const void **ret_args, struct insp_error *err)
{
	struct args *args = insp_pool_alloc(pool, sizeof(*args));

	if (!args)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	args->command = of->name;
	*ret = &insp_cmd_help;
	*ret_args = args;
	return 0;
}

const struct insp_command insp_cmd_help = {
	.name = "help",
	.group = "session",
	.summary = "list the commands, or explain one",
	.help = "Without a word it lists all commands and the options that every command takes. With the "
		"words of a command it explains that one: its options, what its figures mean, an "
		"example. With --json it lists the keys of its JSON, with their types and meanings.",
	.example = "help maps",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ANY | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
