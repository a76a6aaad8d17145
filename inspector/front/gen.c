/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gen: man page, completion for bash and zsh, and lists for Markdown and lint, written from the command table
 * when the program is built (`meminspect --generate man`).
 */
#include <ctype.h>
#include <string.h>

#include "front/help.h"
#include "front/settings.h"
#include "render/render.h"
#include "report/sink.h"

/* ---- man page */

/* Text for troff: no control lines, no escapes of its own, hyphens that can be searched. */
static void roff(struct insp_str *s, const char *text)
{
	bool line_start = true;

	for (const char *p = text; *p; p++) {
		if (line_start && (*p == '.' || *p == '\''))
			insp_str_add(s, "\\&");
		if (*p == '\\')
			insp_str_add(s, "\\e");
		else if (*p == '-')
			insp_str_add(s, "\\-");
		else
			insp_str_addc(s, *p);
		line_start = *p == '\n';
	}
}

/* Paragraphs: an empty line becomes .PP. */
static void roff_paragraphs(struct insp_str *s, const char *text)
{
	for (const char *p = text; *p;) {
		const char *end = strstr(p, "\n\n");
		size_t n = end ? (size_t)(end - p) : strlen(p);
		struct insp_str part = {0};

		insp_str_addn(&part, p, n);
		roff(s, insp_str_text(&part));
		insp_str_deinit(&part);
		insp_str_add(s, end ? "\n.PP\n" : "\n");
		p += n + (end ? 2 : 0);
	}
}

static void roff_options(struct insp_str *s, const struct insp_option *list)
{
	struct insp_str name = {0};

	for (const struct insp_option *o = list; o && o->name; o++) {
		insp_str_reset(&name);
		insp_help_option(o, &name);
		insp_str_add(s, ".TP\n.B ");
		roff(s, insp_str_text(&name));
		insp_str_addc(s, '\n');
		roff(s, o->help);
		if (o->choices && o->type == INSP_OPT_CHOICE) {
			insp_str_add(s, " (");
			roff(s, o->choices);
			insp_str_addc(s, ')');
		}
		if (o->def && o->type != INSP_OPT_FLAG) {
			insp_str_add(s, "; default ");
			roff(s, o->def);
		}
		insp_str_addc(s, '\n');
	}
}

static void roff_command(struct insp_str *s, const struct insp_command *c)
{
	struct insp_str usage = {0};

	insp_command_usage(c, (c->flags & INSP_COMMAND_ONESHOT) != 0, &usage);
	insp_str_add(s, ".SS ");
	roff(s, insp_str_text(&usage));
	insp_str_addc(s, '\n');
	insp_str_deinit(&usage);
	insp_str_addc(s, (char)toupper((unsigned char)c->summary[0]));
	roff(s, c->summary + 1);
	insp_str_add(s, ".\n.PP\n");
	roff_paragraphs(s, c->help);
	roff_options(s, c->options);
	insp_str_add(s, ".PP\nExample:\n.B ");
	roff(s, c->example);
	insp_str_addc(s, '\n');
}

static void roff_json(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t i = 0; all[i]; i++)
		for (size_t t = 0; all[i]->tables && all[i]->tables[t]; t++) {
			const struct insp_table *table = all[i]->tables[t];

			insp_str_addf(s, ".SS %s: %s\n", all[i]->name, table->key);
			for (size_t k = 0; k < table->ncolumns; k++) {
				const struct insp_column *col = &table->columns[k];

				insp_str_addf(s, ".TP\n.B %s\n(%s) ", col->key,
					      insp_type_name(col->type));
				roff(s, col->help ? col->help : "");
				insp_str_addc(s, '\n');
			}
		}
}

static void gen_man(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	insp_str_add(s, ".TH MEMINSPECT 1 \"\" \"meminspect " INSP_VERSION "\" \"User Commands\"\n"
			".SH NAME\nmeminspect \\- what is in the memory of a running process\n"
			".SH SYNOPSIS\n.B meminspect\n.I COMMAND\n[options]\n.I TARGET\n.br\n"
			".B meminspect attach\n.I TARGET\n[\\fB\\-x\\fR \\fICOMMAND\\fR]...\n"
			".SH DESCRIPTION\n"
			"Attaches to a native process without preparing or restarting it, holds it still for "
			"the moment of a snapshot, and answers from the snapshot: what its heap holds, what "
			"its threads do, where its memory is.\n.PP\n"
			".I TARGET\nis a process id or the name of a process. A name that several processes "
			"have is refused, with the list of them. Options may stand anywhere; after\n"
			".B \\-\\-\nwords are no options. The first letters of a command's words are enough "
			"when they are unique.\n.PP\n"
			"The result goes to stdout, everything else (progress, warnings, how long the process "
			"stood still) to stderr.\n"
			".SH OPTIONS\nEvery command takes these:\n");
	roff_options(s, insp_global_options);
	insp_str_add(s, ".SH COMMANDS\n");
	for (size_t i = 0; all[i]; i++)
		roff_command(s, all[i]);
	insp_str_add(s, ".SH JSON\nEach command writes one object on one line: "
			"\\fBmeminspect\\fR (version), \\fBformat\\fR (1), \\fBcommand\\fR, \\fBtarget\\fR, "
			"\\fBcapture\\fR, then what the command reports, then \\fBnotes\\fR. Addresses are "
			"strings in hexadecimal, other integers are raw: bytes, counts, nanoseconds. What is "
			"unknown is null. A result that ended early has \\fBerror\\fR. A table that was cut "
			"has its key with \\fB_shown\\fR and \\fB_total\\fR beside it. Keys are "
			"stable. CSV has the same columns.\n");
	roff_json(s);
	insp_str_add(s, ".SH EXIT STATUS\n.TP\n0\nall went well\n.TP\n1\nan error\n.TP\n2\nthe words of the "
			"command line are wrong, or the name fits several processes\n.TP\n3\na limit given "
			"with \\-\\-fail\\-on was crossed\n.TP\n4\nthe process is gone or may not be "
			"inspected\n"
			".SH ENVIRONMENT\n.TP\nMEMINSPECT_PAGER, PAGER\nthe pager for long output on a terminal; "
			"empty for none; default less \\-FRX\n.TP\nNO_COLOR\nwhen set: no colours unless "
			"\\-\\-color always\n.TP\nDEBUGINFOD_URLS\nwhere debug info may be fetched from\n"
			".SH FILES\n.TP\n$XDG_STATE_HOME/meminspect/history\nwhat was typed at the prompt; "
			"default ~/.local/state/meminspect/history\n"
			".SH SEE ALSO\n.BR gdb (1),\n.BR pmap (1),\n.BR proc (5)\n");
}

/* ---- completion */

/* In single quotes for a shell. */
static void shell_quote(struct insp_str *s, const char *text)
{
	insp_str_addc(s, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			insp_str_add(s, "'\\''");
		else
			insp_str_addc(s, *text);
	}
	insp_str_addc(s, '\'');
}

static void long_options(struct insp_str *s, const struct insp_option *list)
{
	for (const struct insp_option *o = list; o && o->name; o++) {
		bool off = o->type == INSP_OPT_FLAG && o->def && strcmp(o->def, "yes") == 0;

		if (!insp_option_positional(o))
			insp_str_addf(s, "--%s%s ", off ? "no-" : "", o->name);
	}
}

static void words_of(struct insp_str *s, const char *choices)
{
	for (; *choices; choices++)
		insp_str_addc(s, *choices == '|' ? ' ' : *choices);
}

/* "--format)" cases of all options that have words or files behind them. */
static void bash_values(struct insp_str *s, const struct insp_option *list)
{
	for (const struct insp_option *o = list; o && o->name; o++) {
		if (insp_option_positional(o) ||
		    (o->type != INSP_OPT_CHOICE && o->type != INSP_OPT_FILE))
			continue;
		insp_str_addf(s, "\t\t' --%s'", o->name);
		if (o->letter)
			insp_str_addf(s, " | ' -%c'", o->letter);
		insp_str_addc(s, ')');
		if (o->type == INSP_OPT_FILE) {
			insp_str_add(s, " COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
			continue;
		}
		insp_str_add(s, " COMPREPLY=($(compgen -W '");
		words_of(s, o->choices);
		insp_str_add(s, "' -- \"$cur\")); return ;;\n");
	}
}

static bool oneshot(const struct insp_command *c)
{
	return c->flags & INSP_COMMAND_ONESHOT;
}

/* The first words, each once; then the second words of those that have two. */
static void first_words(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t i = 0; all[i]; i++) {
		size_t n = strcspn(all[i]->name, " ");
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = oneshot(all[k]) && strcspn(all[k]->name, " ") == n &&
			       strncmp(all[k]->name, all[i]->name, n) == 0;
		if (!seen && oneshot(all[i])) {
			insp_str_addn(s, all[i]->name, n);
			insp_str_addc(s, ' ');
		}
	}
}

static void second_words(struct insp_str *s, const char *first, size_t n)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t i = 0; all[i]; i++)
		if (oneshot(all[i]) && strncmp(all[i]->name, first, n) == 0 && all[i]->name[n] == ' ')
			insp_str_addf(s, "%s ", all[i]->name + n + 1);
}

static void bash_seconds(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();
	const char *done = "";

	for (size_t i = 0; all[i]; i++) {
		size_t n = strcspn(all[i]->name, " ");

		if (!oneshot(all[i]) || !all[i]->name[n] || strncmp(done, all[i]->name, n + 1) == 0)
			continue;
		done = all[i]->name;
		insp_str_add(s, "\t\t");
		insp_str_addn(s, done, n);
		insp_str_add(s, ") words='");
		second_words(s, done, n);
		insp_str_add(s, "' ;;\n");
	}
}

static void gen_bash(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	insp_str_add(s, "# bash completion for meminspect, generated from its command table\n"
			"_meminspect()\n{\n"
			"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
			"\tlocal i word first='' second='' command='' options='' words=''\n"
			"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
			"\t\tword=${COMP_WORDS[i]}\n"
			"\t\t[[ $word == -* ]] && continue\n"
			"\t\tif [[ -z $first ]]; then first=$word; elif [[ -z $second ]]; then second=$word; fi\n"
			"\tdone\n"
			"\tcommand=$first\n"
			"\tcase $first in\n");
	bash_seconds(s);
	insp_str_add(s, "\tesac\n"
			"\t[[ -n $words ]] && command=\"$first $second\"\n"
			"\tcase $command in\n");
	for (size_t i = 0; all[i]; i++) {
		if (!oneshot(all[i]))
			continue;
		insp_str_addf(s, "\t'%s') options='", all[i]->name);
		long_options(s, all[i]->options);
		insp_str_add(s, "'\n\t\tcase \" $prev\" in\n");
		bash_values(s, all[i]->options);
		insp_str_add(s, "\t\tesac ;;\n");
	}
	insp_str_add(s, "\tesac\n\tcase \" $prev\" in\n");
	bash_values(s, insp_global_options);
	insp_str_add(s, "\tesac\n\tif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W \"$options ");
	long_options(s, insp_global_options);
	insp_str_add(s, "\" -- \"$cur\"))\n\telif [[ -z $first ]]; then\n\t\tCOMPREPLY=($(compgen -W '");
	first_words(s);
	insp_str_add(s, "' -- \"$cur\"))\n"
			"\telif [[ -n $words && -z $second ]]; then\n"
			"\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
			"\telif [[ $first == help ]]; then\n\t\tCOMPREPLY=($(compgen -W '");
	first_words(s);
	insp_str_add(s, "' -- \"$cur\"))\n"
			"\telse\n"
			"\t\tCOMPREPLY=($(compgen -W \"$(ps -eo pid=,comm= 2>/dev/null)\" -- \"$cur\"))\n"
			"\tfi\n}\ncomplete -F _meminspect meminspect\n");
}

static void zsh_option(struct insp_str *s, const struct insp_option *o)
{
	bool off = o->type == INSP_OPT_FLAG && o->def && strcmp(o->def, "yes") == 0;
	struct insp_str text = {0};

	if (insp_option_positional(o))
		return;
	insp_str_addf(&text, "--%s%s%s[", off ? "no-" : "", o->name, o->type == INSP_OPT_FLAG ? "" : "=");
	for (const char *p = o->help; *p; p++) {
		if (strchr("[]:\\", *p))
			insp_str_addc(&text, '\\');
		insp_str_addc(&text, *p);
	}
	insp_str_addc(&text, ']');
	if (o->type == INSP_OPT_CHOICE) {
		insp_str_addf(&text, ":%s:(", o->name);
		words_of(&text, o->choices);
		insp_str_addc(&text, ')');
	} else if (o->type == INSP_OPT_FILE) {
		insp_str_add(&text, ":file:_files");
	} else if (o->type != INSP_OPT_FLAG) {
		insp_str_addf(&text, ":%s: ", o->arg ? o->arg : "value");
	}
	insp_str_addc(s, ' ');
	shell_quote(s, insp_str_text(&text));
	insp_str_deinit(&text);
}

static void gen_zsh(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	insp_str_add(s, "#compdef meminspect\n"
			"# zsh completion for meminspect, generated from its command table\n"
			"_meminspect_targets() {\n"
			"\tlocal -a targets\n"
			"\ttargets=(${=\"$(ps -eo pid=,comm= 2>/dev/null)\"})\n"
			"\tcompadd -a targets\n}\n"
			"_meminspect() {\n"
			"\tlocal -a commands globals options\n"
			"\tlocal first='' second='' command='' word n=0\n"
			"\tcommands=(");
	for (size_t i = 0; all[i]; i++) {
		struct insp_str item = {0};

		if (!oneshot(all[i]))
			continue;
		insp_str_addf(&item, "%s:%s", all[i]->name, all[i]->summary);
		insp_str_add(s, "\n\t\t");
		shell_quote(s, insp_str_text(&item));
		insp_str_deinit(&item);
	}
	insp_str_add(s, ")\n\tglobals=(");
	for (const struct insp_option *o = insp_global_options; o->name; o++)
		zsh_option(s, o);
	insp_str_add(s, ")\n"
			"\tfor word in ${words[2,CURRENT-1]}; do\n"
			"\t\t[[ $word == -* ]] && continue\n"
			"\t\tif [[ -z $first ]]; then first=$word; elif [[ -z $second ]]; then second=$word; fi\n"
			"\tdone\n"
			"\tcase \"$first $second\" in\n");
	for (size_t i = 0; all[i]; i++) {
		if (!oneshot(all[i]))
			continue;
		insp_str_addf(s, "\t('%s'%s) command='%s'; options=(", all[i]->name,
			      strchr(all[i]->name, ' ') ? "" : "' '*", all[i]->name);
		for (const struct insp_option *o = all[i]->options; o && o->name; o++)
			zsh_option(s, o);
		insp_str_add(s, ") ;;\n");
	}
	insp_str_add(s, "\tesac\n"
			"\tif [[ -z $command ]]; then\n"
			"\t\tif [[ $PREFIX == -* ]]; then _arguments $globals; return; fi\n"
			"\t\tlocal -a nexts\n"
			"\t\tif [[ -z $first ]]; then\n"
			"\t\t\tnexts=(${(u)${commands%%:*}%% *})\n"
			"\t\telse\n"
			"\t\t\tnexts=(${${(M)${commands%%:*}:#$first *}#* })\n"
			"\t\tfi\n"
			"\t\tcompadd -a nexts\n"
			"\t\treturn\n"
			"\tfi\n"
			"\t_arguments $options $globals '*:target:_meminspect_targets'\n}\n"
			"_meminspect \"$@\"\n");
}

/* ---- Markdown */

static void gen_markdown(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	insp_str_add(s, "| command | what it does |\n|---|---|\n");
	for (size_t i = 0; all[i]; i++)
		insp_str_addf(s, "| `%s` | %s |\n", all[i]->name, all[i]->summary);
}

/* ---- for lint: name, summary, length of help, example, first option without help; tabs between */

static void gen_commands(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t i = 0; all[i]; i++) {
		const struct insp_command *c = all[i];
		const char *bare = "";

		for (const struct insp_option *o = c->options; o && o->name; o++)
			if (!o->help || !*o->help)
				bare = o->name;
		insp_str_addf(s, "%s\t%s\t%zu\t%s\t%s\n", c->name, c->summary ? c->summary : "",
			      c->help ? strlen(c->help) : 0, c->example ? c->example : "", bare);
	}
}

int insp_generate(const char *what, struct insp_str *ret, struct insp_error *err)
{
	static const struct {
		const char *name;
		void (*fn)(struct insp_str *s);
	} kinds[] = {
		{"man", gen_man},
		{"bash", gen_bash},
		{"zsh", gen_zsh},
		{"commands-md", gen_markdown},
		{"commands", gen_commands},
		{"gdb", insp_gen_gdb},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, what) == 0) {
			kinds[i].fn(ret);
			return insp_str_ok(ret) ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");
		}
	return insp_fail(err, INSP_E_USAGE, "'%s' is not one of man, bash, zsh, commands-md, commands, gdb", what);
}
