/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gen_gdb: the command table as a GDB script (`meminspect --generate gdb`). What its commands do to
 * reach the plugin is told in gdbplugin/gate.c; @READER@ is replaced by the plugin's path.
 */
#include "front/help.h"

#include <string.h>

#include "command/command.h"

#define ARGS_MAX 10 /* $arg0 to $arg9 */

static const char prologue[] =
	"# Commands of meminspect for GDB, generated from its command table.\n"
	"# Everything is defined under `meminspect`; `heap` is an alias.\n\n"
	"define _meminspect_begin\n"
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
	"define _meminspect_registers\n"
	"  with language c -- append binary value /proc/self/fd/243 (unsigned long)0x6d656d696e737065\n"
	"  with language c -- append binary value /proc/self/fd/243 (unsigned long)$_thread\n";

static const char *const registers[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
					"r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip", "fs_base"};

/* "heap summary" is `heap summary` through the alias; the rest follows the prefix as it is. */
static const char *short_name(const char *name)
{
	return strncmp(name, "heap ", 5) == 0 ? name + 5 : name;
}

static void usage(struct insp_str *s, const struct insp_command *c)
{
	insp_str_addf(s, "\nUsage: heap %s", short_name(c->name));
	for (const struct insp_option *o = c->options; o && o->name; o++)
		if (o->name[0] < 'a')
			insp_str_addf(s, o->required ? " %s" : " [%s]", o->name);
	insp_str_add(s, " [OPTION]...\n");
	for (const struct insp_option *o = c->options; o && o->name; o++) {
		insp_str_addf(s, o->name[0] < 'a' ? "  %s" : "  --%s", o->name);
		if (o->arg)
			insp_str_addf(s, " %s", o->arg);
		insp_str_addf(s, ": %s%s\n", o->help,
			      o->type == INSP_OPT_ADDR ? " (an expression of GDB without spaces)" : "");
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
	for (int i = 0; i < ARGS_MAX; i++)
		insp_str_addf(s,
			      "  if $argc > %d\n"
			      "    pipe -d @meminspect@ echo $arg%d\\n @meminspect@ cat >> /proc/$PPID/fd/240\n"
			      "  end\n",
			      i, i);
	insp_str_addf(s, "  _meminspect_run\nend\ndocument meminspect %s\n", short_name(c->name));
	insp_str_addf(s, "%c%s.\n\n%s\n", c->summary[0] & ~0x20, c->summary + 1, c->help);
	usage(s, c);
	insp_str_add(s, "end\n");
}

void insp_gen_gdb(struct insp_str *s)
{
	const struct insp_command *const *all = insp_commands();

	insp_str_add(s, prologue);
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		insp_str_addf(s, "  with language c -- append binary value /proc/self/fd/243 (unsigned long)$%s\n",
			      registers[i]);
	insp_str_add(s, "end\n\ndefine-prefix meminspect\ndocument meminspect\n"
			"What is in the memory of the process or core: chunks, arenas, leaks, threads.\n\n"
			"`heap` is short for `meminspect`. Long outputs are cut; -o FILE writes all of it.\n"
			"end\n");
	for (size_t i = 0; all[i]; i++)
		if (all[i]->flags & INSP_COMMAND_GDB && strcmp(all[i]->name, "help") != 0)
			command(s, all[i]);
	/* Last: when something else has taken the name, the rest is there. */
	insp_str_add(s, "\nalias heap = meminspect\n");
}
