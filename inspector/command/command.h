/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * command: the one table that feeds dispatch, --help, TAB, the man page, shell completion and
 * GDB.
 *
 * A command is one file cmd_<name>.c and one row of commands.def. It parses nothing (a table of
 * typed options fills its args), prints nothing (it fills a report) and opens nothing (what it
 * `needs` is in the context when it runs).
 *
 * To add one: 1. copy the nearest cmd_*.c; 2. define `const struct insp_command insp_cmd_<name>`;
 * 3. add X(<name>) to commands.def at the place where help shall list it; 4. add a row to
 * tests/golden/cases.tab. Lint refuses one without help, example or test.
 */
#ifndef INSP_COMMAND_COMMAND_H
#define INSP_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "report/report.h"
#include "snapshot/snapshot.h"

struct insp_session; /* front/session.h */
struct insp_str;
struct insp_space;
struct insp_symbols;
struct insp_target;

enum insp_option_type {
	INSP_OPT_FLAG,	   /* bool */
	INSP_OPT_COUNT,	   /* uint64_t */
	INSP_OPT_SIZE,	   /* uint64_t bytes */
	INSP_OPT_ADDR,	   /* uint64_t */
	INSP_OPT_DURATION, /* uint64_t ns */
	INSP_OPT_PERCENT,  /* double 0..100 */
	INSP_OPT_TEXT,	   /* const char * in the args' pool */
	INSP_OPT_CHOICE,   /* const char *, one of choices */
	INSP_OPT_STATES,   /* uint32_t, set of 1 << enum insp_chunk_state: "in_use,tcache", "free",
			      "used" */
	INSP_OPT_FILTER, /* const char *, see command/filter.h; checked for how it is written */
	INSP_OPT_ARENA, /* const char *: name or number; completes to the names in the snapshot */
	INSP_OPT_FILE,	/* const char *; completes to files */
	INSP_OPT_LIST,	/* struct insp_words: may be given several times */
	INSP_OPT_PAIRS, /* the same, with two words each time: --on warn 'save x.mi' */
};

/* What must hold for a FILE that is named; looked at before a process is stopped for the command. */
enum insp_option_file {
	INSP_FILE_ANY,
	INSP_FILE_READ,	   /* can be read */
	INSP_FILE_WRITTEN, /* can be made or replaced */
};

/* One option, or, with a name in upper case and no dashes, one positional argument. */
struct insp_option {
	const char *name;	  /* "limit" for --limit; "ADDR" for a positional */
	char letter;		  /* 'n' for -n, or 0 */
	enum insp_option_type type;
	const char *arg;	  /* what help calls the value: "BYTES"; NULL for a flag */
	const char *help;
	const char *def;	  /* parsed like user text; NULL: zero, NULL, false */
	const char *choices;	  /* CHOICE: "size|addr|state" */
	size_t offset;		  /* in the command's args struct */
	bool required;		  /* positional only */
	uint8_t file;		  /* FILE: enum insp_option_file */
	bool rest;		  /* last positional: takes all remaining words, joined by spaces unless a LIST */
};

#define INSP_OPTION_END {.name = NULL}
#define INSP_OPTION_NO_LIMIT "18446744073709551615" /* a default that help calls "none" */

enum insp_command_flags {
	INSP_COMMAND_REPL = 1 << 0,	 /* usable at the prompt */
	INSP_COMMAND_ONESHOT = 1 << 1,	 /* usable as `meminspect COMMAND TARGET` */
	INSP_COMMAND_GDB = 1 << 2,	 /* usable inside GDB */
	INSP_COMMAND_PROFILE = 1 << 3,	 /* can also give pprof, folded, flamegraph */
	INSP_COMMAND_NO_TARGET = 1 << 4, /* one-shot takes no TARGET (help, version) */
	INSP_COMMAND_DIRECT = 1 << 5,	 /* reports nothing itself (attach, quit): report is NULL */
	INSP_COMMAND_PLUGIN =
		1 << 6, /* of monitoring systems: an error is "UNKNOWN" on stdout and exit 3 */
	INSP_COMMAND_CHUNKS = 1 << 7, /* without a heap that can be walked it is an error */
	INSP_COMMAND_ANY = INSP_COMMAND_REPL | INSP_COMMAND_ONESHOT | INSP_COMMAND_GDB,
};

/* What a command gets to work on. Lives for one run. */
struct insp_context {
	const struct insp_snapshot *snapshot; /* NULL for commands without needs of it */
	const struct insp_snapshot *base; /* chosen at the prompt with `base`; NULL: none */
	struct insp_symbols *symbols;	/* NULL unless INSP_NEED_SYMBOLS, or where there are none */
	struct insp_space *space;	/* NULL unless INSP_NEED_BYTES, or where there are none */
	struct insp_session *session;	/* for the commands of front/ only */
	struct insp_pool *pool;		/* freed when the command is done */
	void *kept;			/* what on_memory made */
};

struct insp_command {
	const char *name;	 /* words: "heap summary" */
	const char *group;	 /* "heap", "memory", "threads", "session": heading in help */
	const char *summary;	 /* one line, lower case, no period */
	const char *help;	 /* paragraphs separated by an empty line; says what each figure means */
	const char *example;	 /* "heap chunks --min 1M --sort size": what follows `meminspect`, without
				    TARGET; runnable, and run by a test */
	const struct insp_option *options; /* ended by INSP_OPTION_END; NULL: none */
	size_t args_bytes;
	uint32_t flags;		 /* enum insp_command_flags */
	const struct insp_table *const *tables; /* what it reports, for the documentation of the JSON:
						   its tables and, described like them, its objects (key
						   "": what stands at the top); ended by NULL; may be
						   NULL */
	unsigned needs;		 /* enum insp_need */
	unsigned (*needs_of)(const void *args); /* more needs that options bring; may be NULL */
	/*
	 * Both may be NULL. For what reads more of the memory than a snapshot keeps: when wants_memory
	 * says so, a new snapshot is taken, and on_memory is called in it, while memory is that of the
	 * instant (see insp_take_options). *ret becomes ctx->kept; what it made it defers to pool.
	 */
	bool (*wants_memory)(const void *args);
	int (*on_memory)(const void *args, const struct insp_snapshot *snapshot,
			 struct insp_target *memory, struct insp_pool *pool, void **ret,
			 struct insp_error *err);
	int (*run)(struct insp_context *ctx, const void *args, struct insp_report *report,
		   struct insp_error *err);
};

/* Rows of X_TOOL are commands of the tool alone (TOOL_ONLY in the Makefile): absent, and weak, in
   the library. */
#define X(name)	     extern const struct insp_command insp_cmd_##name;
#define X_TOOL(name) \
	extern const struct insp_command insp_cmd_##name __attribute__((weak, visibility("hidden")));
#include "command/commands.def"
#undef X
#undef X_TOOL

/* The table of what is linked, in the order of commands.def; ends with NULL. */
const struct insp_command *const *insp_commands(void);

/* Words in a pool. All-zero is a valid start. */
struct insp_words {
	char **items;
	size_t n, cap;
};

/*
 * The command that the first words name; *ret_used is how many words that took. Unique prefixes
 * of each word are enough ("he su"). INSP_E_USAGE, with near misses or the candidates named.
 */
int insp_command_find(int argc, char *const *argv, const struct insp_command **ret, int *ret_used,
		      struct insp_error *err) insp_must_check;

/* A table of options and the struct that they fill. */
struct insp_option_set {
	const struct insp_option *options; /* NULL: none */
	void *args;
};

/*
 * Parses the options in argv, of the first set that knows each; they may stand anywhere before
 * "--", may be shortened to a unique prefix, and a flag X is undone by --no-X. Words that are no
 * options are added to bare. Defaults are the caller's business. Strings live in argv and pool.
 */
int insp_options_parse(const struct insp_option_set *sets, size_t nsets, int argc,
		       char *const *argv, struct insp_pool *pool, struct insp_words *bare,
		       struct insp_error *err) insp_must_check;
/* The same for the options before the first other word: *ret_used words of argv. */
int insp_options_leading(const struct insp_option_set *sets, size_t nsets, int argc,
			 char *const *argv, struct insp_pool *pool, int *ret_used,
			 struct insp_error *err) insp_must_check;
/* Parses one value into its place in args: what the type says, see enum insp_option_type. */
int insp_option_store(const struct insp_option *option, void *args, const char *text,
		      struct insp_pool *pool, struct insp_error *err) insp_must_check;
/* "ADDR", not "limit": does it stand for itself, without dashes? */
bool insp_option_positional(const struct insp_option *option);

/* Has the snapshot what the command cannot do without? INSP_E_UNSUPPORTED with the reason. */
int insp_command_possible(const struct insp_command *command, const struct insp_snapshot *snapshot,
			  struct insp_error *err) insp_must_check;

/*
 * Parses what follows the command's words into args (args_bytes, from pool, defaults set).
 * globals (may be NULL) are options that every command takes; its args are the caller's and keep
 * what is not given. With ret_target the last word that is no option is TARGET, or NULL when
 * there is none; without it (at a prompt) such a word is a positional or an error.
 */
int insp_command_parse(const struct insp_command *command, int argc, char *const *argv,
		       struct insp_pool *pool, const struct insp_option_set *globals,
		       char **ret_target, void **ret_args, struct insp_error *err) insp_must_check;

/* "heap chunks [options] TARGET", with its positionals. */
void insp_command_usage(const struct insp_command *command, bool with_target, struct insp_str *ret);

/* The word of the list that is nearest to what was typed, or NULL when none is near. */
const char *insp_nearest(const char *typed, const char *const *words, size_t n);

int insp_words_add(struct insp_words *words, const char *word, struct insp_pool *pool) insp_must_check;
/* Splits a typed line into words: quotes and backslash as in sh, # starts a comment. */
int insp_words_split(const char *line, struct insp_pool *pool, struct insp_words *ret,
		     struct insp_error *err) insp_must_check;

#endif
