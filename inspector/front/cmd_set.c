/* SPDX-License-Identifier: GPL-3.0-or-later */
/* set: shows and changes the settings of the session. */
#include <stdlib.h>
#include <string.h>

#include "front/session.h"
#include "front/settings.h"

struct args {
	const char *name, *value;
};

static const struct insp_option options[] = {
	{.name = "NAME", .type = INSP_OPT_TEXT, .offset = offsetof(struct args, name),
	 .help = "the setting to change or to show"},
	{.name = "VALUE", .type = INSP_OPT_TEXT, .offset = offsetof(struct args, value),
	 .help = "its new value"},
	INSP_OPTION_END,
};

static const struct insp_column columns[] = {
	{"name", "setting", INSP_T_STR, 0, "what `set` calls it"},
	{"value", "value", INSP_T_STR, 0, "as it is now"},
	{"values", "values", INSP_T_STR, INSP_COL_WRAP, "what it may be"},
	{"help", "meaning", INSP_T_STR, INSP_COL_WRAP, "what it does"},
};

static const struct insp_table table = INSP_TABLE("settings", NULL, columns, NULL);
static const struct insp_table *const tables[] = {&table, NULL};

static int find(const char *name, const struct insp_option **ret, struct insp_error *err)
{
	const char *names[32], *near;
	const struct insp_option *found = NULL;
	size_t n = 0, matches = 0;

	for (const struct insp_option *o = insp_set_options; o->name && n < 32; o++) {
		names[n++] = o->name;
		if (strcmp(o->name, name) == 0) {
			*ret = o;
			return 0;
		}
		if (*name && strncmp(o->name, name, strlen(name)) == 0) {
			found = o;
			matches++;
		}
	}
	if (matches == 1) {
		*ret = found;
		return 0;
	}
	near = insp_nearest(name, names, n);
	if (near && !matches)
		return insp_fail(err, INSP_E_USAGE, "no setting '%s': did you mean '%s'?", name, near);
	return insp_fail(err, INSP_E_USAGE, "no setting '%s': 'set' lists them", name);
}

static int store(const struct insp_option *o, struct insp_session *session, const char *value,
		 struct insp_error *err)
{
	static const char *const flags[] = {"on", "off", "yes", "no", "true", "false", "1", "0"};
	bool known = o->type != INSP_OPT_FLAG;
	int rc;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && !known; i++)
		known = strcmp(value, flags[i]) == 0;
	if (!known)
		return insp_fail(err, INSP_E_USAGE, "setting '%s': '%s' is neither on nor off", o->name,
				 value);
	rc = insp_option_store(o, &session->settings, value, session->pool, err);
	if (rc)
		insp_error_prefix(err, "setting '%s'", o->name);
	return rc;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_option *only = NULL;
	char buf[128];
	int rc = a->name ? find(a->name, &only, err) : 0;

	if (!rc && a->value)
		rc = store(only, ctx->session, a->value, err);
	if (rc || a->value)
		return rc;
	insp_table_begin(report, &table);
	for (const struct insp_option *o = insp_set_options; o->name; o++) {
		if (only && o != only)
			continue;
		insp_cell_str(report, o->name);
		insp_cell_str(report,
			      insp_setting_text(o, &ctx->session->settings, buf, sizeof(buf)));
		insp_cell_str(report, o->choices ? o->choices : o->arg);
		insp_cell_str(report, o->help);
		insp_row_end(report);
	}
	insp_table_end(report);
	return 0;
}

const struct insp_command insp_cmd_set = {
	.name = "set",
	.group = "session",
	.summary = "show or change the settings of this session",
	.help = "Without a word it lists the settings, with a name that one; with a value it changes it. "
		"Most of them are the options that every command takes, and an option given with a "
		"command wins.",
	.example = "set max-pause 250ms",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_REPL | INSP_COMMAND_NO_TARGET,
	.tables = tables,
	.run = run,
};
