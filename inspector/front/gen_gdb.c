/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gen_gdb: the command table as a GDB script (`meminspect --generate gdb`). What its commands do to
 * reach the plugin is told in gdbplugin/gate.c; @READER@ is replaced by the plugin's path.
 */
#include "front/help.h"

#include <string.h>

#include "command/command.h"

#define ARGS_MAX     24 /* $arg0 to $arg23 */
#define COLUMNS	     78
#define OPTION_WIDTH 20

static const char prologue[] =
	"# Commands of meminspect for GDB, generated from its command table.\n"
	"# Everything is defined under `meminspect`; `heap` is an alias.\n\n"
	"define _meminspect_begin\n"
	/* For its error without a process: \"The program is not being run.\" It is not reached with
	   one. */
	"  if $_thread == 0\n"
	"    stepi\n"
	"  end\n"
	"  if $_isvoid($_meminspect_loaded)\n"
	"    frame apply level 0 -q jit-reader-load @READER@\n"
	"    with language c -- set $_meminspect_loaded = 1\n"
	"  end\n"
	"end\n"
	"define _meminspect_run\n"
	"  with language c -- set $_meminspect_more = 1\n"
	"  while $_meminspect_more\n"
	"    with language c -- set $_meminspect_more = 0\n"
	"    with language c -- append binary value /proc/self/fd/240 \";\"\n"
	"    if $_gdb_major > 10\n"
	"      frame apply level 0 -q maintenance flush register-cache\n"
	"    else\n"
	"      frame apply level 0 -q flushregs\n"
	"    end\n"
	"    source /proc/self/fd/241\n"
	"  end\n"
	"end\n"
	/* A record of gdbplugin/remote.h; for each of many threads, so it is few commands. */
	"define _meminspect_registers\n"
	"  append binary value /proc/self/fd/243 {(unsigned long)0x6d656d696e737065,"
	"(unsigned long)$_inferior,(unsigned long)$_thread";

static const char *const registers[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
					"rbp", "rsp", "r8",  "r9",  "r10", "r11",
					"r12", "r13", "r14", "r15", "rip"};

/* "heap summary" is `heap summary` through the alias; the rest follows the prefix as it is. */
static const char *short_name(const char *name)
{
	return strncmp(name, "heap ", 5) == 0 ? name + 5 : name;
}

/* The command that is named there, where a hint or a help text quotes one; NULL: none. */
static const struct insp_command *quoted_command(const char *text, size_t n)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t i = 0; all[i]; i++) {
		size_t len = strlen(all[i]->name);

		if (len < n && strncmp(text, all[i]->name, len) == 0 && strchr(" `", text[len]))
			return all[i];
	}
	return NULL;
}

void insp_gdb_text(struct insp_str *s, const char *text, size_t n)
{
	bool inside = false;

	for (size_t i = 0; i < n; i++) {
		const struct insp_command *c;

		insp_str_addc(s, text[i]);
		if (text[i] != '`')
			continue;
		inside = !inside;
		c = inside ? quoted_command(text + i + 1, n - i - 1) : NULL;
		if (c && c->flags & INSP_COMMAND_GDB && short_name(c->name) == c->name)
			insp_str_add(s, "heap ");
	}
}

/* Words in lines of COLUMNS, the second and later ones indented; a line break stays one. */
static void wrapped(struct insp_str *s, const char *text, size_t column, size_t indent)
{
	while (*text) {
		size_t space = strspn(text, " "), word = strcspn(text + space, " \n");

		if (text[0] == '\n') {
			insp_str_addc(s, '\n');
			column = 0;
			text++;
			continue;
		}
		if (column + space + word > COLUMNS && column > indent) {
			insp_str_addc(s, '\n');
			insp_str_pad(s, ' ', indent);
			column = indent;
		} else {
			insp_str_pad(s, ' ', space);
			column += space;
		}
		insp_str_addn(s, text + space, word);
		column += word;
		text += space + word;
	}
	insp_str_addc(s, '\n');
}

static void option(struct insp_str *s, const struct insp_option *o)
{
	struct insp_str line = {0}, help = {0};

	insp_help_option(o, &line);
	insp_str_addf(s, "  %s", insp_str_text(&line));
	insp_str_pad(s, ' ', line.len < OPTION_WIDTH ? OPTION_WIDTH - line.len : 0);
	insp_gdb_text(&help, o->help, strlen(o->help));
	if (o->type == INSP_OPT_ADDR)
		insp_str_add(&help, "; or an expression of GDB, in quotes if it has spaces");
	if (o->choices && o->type == INSP_OPT_CHOICE)
		insp_str_addf(&help, " (%s)", o->choices);
	if (o->def && o->type != INSP_OPT_FLAG && strcmp(o->def, INSP_OPTION_NO_LIMIT) != 0)
		insp_str_addf(&help, "; default %s", o->def);
	insp_str_add(s, "  ");
	wrapped(s, insp_str_text(&help), OPTION_WIDTH + 4, OPTION_WIDTH + 4);
	insp_str_deinit(&line);
	insp_str_deinit(&help);
}

static void document(struct insp_str *s, const struct insp_command *c)
{
	struct insp_str text = {0};

	insp_str_addf(s, "%c%s.\n\nUsage: heap %s", c->summary[0] & ~0x20, c->summary + 1,
		      short_name(c->name));
	for (const struct insp_option *o = c->options; o && o->name; o++)
		if (insp_option_positional(o))
			insp_str_addf(s, o->required ? " %s" : " [%s]", o->name);
	insp_str_add(s, " [OPTION]...\n");
	for (const struct insp_option *o = c->options; o && o->name; o++)
		option(s, o);
	insp_str_addc(s, '\n');
	insp_gdb_text(&text, c->help, strlen(c->help));
	wrapped(s, insp_str_text(&text), 0, 0);
	insp_str_deinit(&text);
	insp_str_addf(s, "\nExample: heap %s\n", short_name(c->example));
	insp_str_add(s,
		     "Each command takes -o FILE, --format json or csv, --raw and --wide, too.\n");
}

/*
 * All words in one go: each `pipe` is a process. Language by language, the one operator that is the
 * same in all is `>`.
 */
static void arguments(struct insp_str *s)
{
	for (int n = 0; n <= ARGS_MAX; n++)
		insp_str_addf(s, "  if $argc > %d\n", n);
	insp_str_addf(s, "    echo meminspect: more than %d words\\n\n", ARGS_MAX);
	for (int n = ARGS_MAX; n >= 0; n--) {
		insp_str_add(s, "  else\n");
		if (n) {
			insp_str_add(s, "    pipe -d @meminspect@ echo ");
			for (int i = 0; i < n; i++)
				insp_str_addf(s, "$arg%d\\n", i);
			insp_str_add(s, " @meminspect@ cat >> /proc/$PPID/fd/240\n");
		}
		insp_str_add(s, "    _meminspect_run\n  end\n");
	}
}

static void command(struct insp_str *s, const struct insp_command *c)
{
	/* "heap summary" goes as one word. What the user typed goes by `echo`, which takes quotes too. */
	insp_str_addf(s,
		      "\ndefine meminspect %s\n  with language c -- _meminspect_begin\n"
		      "  with language c -- dump binary value /proc/self/fd/240 \"",
		      short_name(c->name));
	for (const char *p = c->name; *p; p++)
		insp_str_addc(s, *p == ' ' ? '_' : *p);
	insp_str_add(s, "\"\n");
	arguments(s);
	insp_str_addf(s, "end\ndocument meminspect %s\n", short_name(c->name));
	document(s, c);
	insp_str_add(s, "end\n");
}

void insp_gen_gdb(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	insp_str_add(s, prologue);
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		insp_str_addf(s, ",(unsigned long)$%s", registers[i]);
	insp_str_add(
		s,
		"}\n  append binary value /proc/self/fd/243 (unsigned long)$fs_base\nend\n\n"
		"define-prefix meminspect\ndocument meminspect\n"
		"What is in the memory of the process or core: chunks, arenas, leaks, threads.\n\n"
		"`heap` is short for `meminspect`. Start with `heap summary`. Where an address\n"
		"is asked for, $rdi or &table[3] will do. Long outputs are cut; -o FILE writes\n"
		"all of it.\n"
		"end\n");
	for (size_t i = 0; all[i]; i++)
		if (all[i]->flags & INSP_COMMAND_GDB && strcmp(all[i]->name, "help") != 0)
			command(s, all[i]);
	/* Last: when something else has taken the name, the rest is there. */
	insp_str_add(s, "\nalias heap = meminspect\n");
}
