/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gate: the commands of meminspect inside a stock GDB.
 *
 * GDB has one interface for plugins in C: the JIT reader. Its `unwind` is called when GDB unwinds a
 * frame, and may read memory then; that is used as a gate:
 *
 *     1. a user-defined command appends its words, as they were typed, to /proc/self/fd/240, a last
 *        ";" arms the request;
 *     2. `frame apply level 0 -q maintenance flush register-cache` makes GDB unwind frame 0: it
 *        calls `unwind` below, which takes the request, writes GDB commands as its answer to
 *        /proc/self/fd/241, and claims no frame;
 *     3. `source /proc/self/fd/241` runs the answer: printf commands, so that text goes through
 *        GDB's pager, logging and MI, and questions (info inferiors, expressions), whose answers
 *        are written to the descriptors behind these before the answer asks for another round.
 *
 * Everything runs on GDB's main thread, which traces native inferiors. target_read may throw a C++
 * exception through our frames (Ctrl-C): this file is built with -fexceptions and cleans up by
 * __attribute__((cleanup)).
 */
#pragma GCC visibility push(default)
#include <gdb/jit-reader.h>
#include <stddef.h>
GDB_DECLARE_GPL_COMPATIBLE_READER
#pragma GCC visibility pop

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "command/command.h"
#include "context.h"
#include "front/help.h"
#include "front/settings.h"
#include "inferior.h"
#include "remote.h"

/* Named by the script that is generated from the command table (front/gen_gdb.c). */
enum { FD_REQUEST = 240, FD_ANSWER, FD_TEXT, FD_REGISTERS, FD_THREADS, FD_RAN, FD_LAST = FD_RAN };

#define REQUEST_MAX  16384
#define WORDS_MAX    64
#define TEXT_MAX     (8u << 20)
#define SHOWN_LINES  2000 /* `source` takes 0.15 ms a line */
#define LINE_PIECE   4000
#define PIPE_BYTES   (1 << 20)

/* What the next round will bring. */
enum stage {
	IDLE,
	WANT_INFERIORS,
	WANT_CORE,
	WANT_RAN,    /* remote, seen before: has it run? */
	WANT_REMOTE, /* what it looks like */
	WANT_CLOCKS, /* so that the next command can tell whether it has run */
	WANT_LANGUAGE,
	WANT_VALUE,
};

static struct gate {
	enum stage stage;
	char words[REQUEST_MAX + 1];  /* the command's words as typed, NUL after each */
	char *argv[WORDS_MAX];
	int argc;
	char values[WORDS_MAX][24]; /* where words point that were expressions */
	int asked;		    /* the word whose value GDB was asked for */
	struct gdb_context context;
	struct inferior *inferior; /* session kept between commands */
	FILE *answer;
	int pipe;    /* write end of FD_RAN */
	int running; /* the core is at work: still set when an exception of GDB's left it */
} gate;

/* ---- answers: GDB commands */

/* GDB's printf knows no octal escapes; whatever is not printable ASCII or UTF-8 becomes a dot. */
static void say(const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		fputs("printf \"", gate.answer);
		for (size_t k = 0; i < n && k < LINE_PIECE; i++, k++) {
			unsigned char c = (unsigned char)text[i];

			if (c == '\n')
				fputs("\\n", gate.answer);
			else if (c == '\t')
				fputs("\\t", gate.answer);
			else if (c == 27)
				fputs("\\e", gate.answer);
			else if (c == '%')
				fputs("%%", gate.answer);
			else if (c == '"' || c == '\\')
				fprintf(gate.answer, "\\%c", c);
			else if (c < 32 || c == 127)
				fputc('.', gate.answer);
			else
				fputc(c, gate.answer);
		}
		fputs("\"\n", gate.answer);
	}
}

static void say_error(const char *text)
{
	char line[1024]; /* one record in GDB's machine interface */
	int n = snprintf(line, sizeof(line), "meminspect: %.1000s\n", text);

	say(line, (size_t)n);
}

static void ask(enum stage stage, const char *commands)
{
	gate.stage = stage;
	fputs(commands, gate.answer);
	fputs("with language c -- set $_meminspect_more = 1\n", gate.answer);
}

/* What GDB wrote there for the last question, *ret_n bytes and a NUL (free it); NULL: none. */
static char *asked_bytes(int fd, size_t *ret_n)
{
	off_t n = lseek(fd, 0, SEEK_END);
	char *bytes;

	*ret_n = 0;
	if (n < 0 || n > (off_t)TEXT_MAX)
		return NULL;
	bytes = malloc((size_t)n + 1);
	if (!bytes)
		return NULL;
	n = pread(fd, bytes, (size_t)n, 0);
	*ret_n = n > 0 ? (size_t)n : 0;
	bytes[*ret_n] = '\0';
	(void)!ftruncate(fd, 0);
	return bytes;
}

static char *asked_text(int fd)
{
	size_t n;
	char *text = asked_bytes(fd, &n);

	if (text)
		(void)gdb_context_plain(text);
	return text;
}

/* ---- output of the command: text is said, up to a number of lines */

struct shown {
	unsigned lines;
	int begun, json; /* JSON is for programs */
	int cut;
};

static int on_output(void *ctx, const char *bytes, size_t n)
{
	struct shown *shown = ctx;
	struct insp_str text = {0};
	size_t keep = 0;

	for (; keep < n && shown->lines < SHOWN_LINES; keep++)
		shown->lines += bytes[keep] == '\n';
	if (!shown->begun && n)
		shown->json = bytes[0] == '{';
	shown->begun |= n > 0;
	if (shown->json)
		insp_str_addn(&text, bytes, keep);
	else
		insp_gdb_text(&text, bytes, keep);
	say(insp_str_text(&text), text.len);
	insp_str_deinit(&text);
	if (keep < n) {
		shown->cut = 1;
		return -1;
	}
	return 0;
}

static void on_log(void *ctx, enum meminspect_log_level level, const char *text, uint64_t part,
		   uint64_t whole)
{
	(void)ctx;
	(void)part;
	(void)whole;
	if (level == MEMINSPECT_LOG_WARN && gate.answer)
		say_error(text);
}

static void on_interrupt(int sig)
{
	(void)sig;
	meminspect_interrupt();
}

/* ---- the rounds of one command */

static int is_number(const char *word)
{
	return word[0] == '0' && (word[1] == 'x' || word[1] == 'X') && word[2] &&
	       word[2 + strspn(word + 2, "0123456789abcdefABCDEF")] == '\0';
}

/* The option that a word names, whole or by its letter; NULL: none, or its value is in the word. */
static const struct insp_option *option_of(const struct insp_option *options, const char *word)
{
	for (const struct insp_option *o = options; o && o->name; o++)
		if ((word[0] == '-' && word[1] == '-' && strcmp(word + 2, o->name) == 0) ||
		    (word[0] == '-' && o->letter && word[1] == o->letter && !word[2]))
			return o;
	return NULL;
}

/* The option that takes the i-th word as its value; NULL: none. */
static const struct insp_option *taker(const struct insp_command *command, int used, int i)
{
	const struct insp_option *o = NULL;

	if (i > used)
		o = option_of(command->options, gate.argv[i - 1]);
	if (i > used && !o)
		o = option_of(insp_global_options, gate.argv[i - 1]);
	return o && o->type != INSP_OPT_FLAG ? o : NULL;
}

/* Does the i-th word name an address, so that it may be an expression? */
static int is_address(const struct insp_command *command, int used, int i)
{
	const struct insp_option *takes = taker(command, used, i), *o = command->options;
	int before = 0;

	if (takes)
		return takes->type == INSP_OPT_ADDR;
	if (gate.argv[i][0] == '-')
		return 0;
	for (int k = used; k < i; k++)
		before += gate.argv[k][0] != '-' && !taker(command, used, k);
	for (; o && o->name; o++)
		if (o->name[0] < 'a' && before-- == 0)
			return o->type == INSP_OPT_ADDR;
	return 0;
}

/* Asks GDB for the value of a word that is an expression; 0: there was none left. */
static int ask_value(void)
{
	const struct insp_command *command;
	int used;

	if (insp_command_find(gate.argc, gate.argv, &command, &used, NULL))
		return 0;
	for (int i = used; i < gate.argc; i++) {
		const char *word = gate.argv[i];
		size_t n = strlen(word);

		if (!is_address(command, used, i) || is_number(word))
			continue;
		if (gate.context.language == GDB_LANGUAGE_UNKNOWN) {
			ask(WANT_LANGUAGE, "pipe show language | cat > /proc/$PPID/fd/242\n");
			return 1;
		}
		if (n > 1 && word[0] == '"' && word[n - 1] == '"') { /* quoted for its spaces */
			word++;
			n -= 2;
		}
		/* Where a cast is understood an array is its address, too. */
		fprintf(gate.answer,
			"eval \"with language c -- dump binary value /proc/self/fd/%d \\\"0x%%lx\\\"\", "
			"%s(%.*s)\n",
			FD_TEXT, gate.context.language == GDB_LANGUAGE_C ? "(unsigned long)" : "",
			(int)n, word);
		gate.asked = i;
		ask(WANT_VALUE, "");
		return 1;
	}
	return 0;
}

/* 0: GDB gave no number. */
static int take_value(void)
{
	char *text = asked_text(FD_TEXT), *value = gate.values[gate.asked];
	int ok = text && strlen(text) < sizeof(gate.values[0]) && is_number(text);

	if (ok) {
		memcpy(value, text, strlen(text) + 1);
		gate.argv[gate.asked] = value;
	} else {
		say_error("the value of the expression is no address");
		gate.stage = IDLE;
	}
	free(text);
	return ok;
}

/* A word as the core shall read it: the user's quotes hold it together, as in a shell. */
static void put_word(FILE *f, const char *word)
{
	char quote = 0;

	fputc('"', f);
	for (const char *p = word; *p; p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? 0 : *p;
			continue;
		}
		if (*p == '\\' && p[1] && quote == '"')
			p++;
		if (*p == '"' || *p == '\\')
			fputc('\\', f);
		fputc(*p, f);
	}
	fputc('"', f);
}

static char *command_line(void)
{
	char *line = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&line, &n);

	if (!f)
		return NULL;
	for (int i = 0; i < gate.argc; i++) {
		if (i)
			fputc(' ', f);
		put_word(f, gate.argv[i]);
	}
	if (fclose(f)) {
		free(line);
		return NULL;
	}
	return line;
}

/* GDB has the text already. */
static int help_command(void)
{
	const struct insp_command *command;
	int used;

	if (insp_command_find(gate.argc, gate.argv, &command, &used, NULL))
		return 0;
	for (int i = used; i < gate.argc; i++)
		if (!strcmp(gate.argv[i], "--help") || !strcmp(gate.argv[i], "-h")) {
			fprintf(gate.answer, "help meminspect %s\n",
				strrchr(command->name, ' ') ? strrchr(command->name, ' ') + 1
							    : command->name);
			gate.stage = IDLE;
			return 1;
		}
	return 0;
}

static void run_command(struct gdb_unwind_callbacks *cb)
{
	char error[512] = "";
	struct meminspect *m;
	struct shown shown = {0};
	struct meminspect_output out = {
		.size_bytes = sizeof(out),
		.ctx = &shown,
		.write = on_output,
		.utf8 = 1,
	};
	char *line;
	int rc;

	gate.stage = IDLE;
	if (gate.running)
		gate.inferior = NULL; /* its state is unknown: better lost than used */
	gate.running = 1;
	if (!strcmp(gate.argv[0], insp_cmd_refresh.name))
		inferior_forget(gate.inferior);
	m = inferior_session(&gate.inferior, &gate.context, cb, error, sizeof(error));
	gate.running = 0;
	if (!m) {
		say_error(error);
		return;
	}
	line = command_line();
	if (!line) {
		say_error("out of memory");
		return;
	}
	gate.running = 1;
	rc = meminspect_run(m, line, &out);
	gate.running = 0;
	if (rc && !shown.cut)
		say_error(meminspect_error(m));
	if (shown.cut)
		say_error("output cut here; -o FILE writes all of it, --limit N less");
	free(line);
}

#define SYSROOT_LINE "The current system root is"
#define ASK_SYSROOT                                       \
	"pipe show sysroot | cat >> /proc/$PPID/fd/242\n" \
	"pipe show solib-search-path | cat >> /proc/$PPID/fd/242\n"

/* What fails is left out: `frame apply -s` swallows the error. */
static void ask_remote(void)
{
	for (int fd = FD_TEXT; fd <= FD_THREADS; fd++)
		(void)!ftruncate(fd, 0);
	fprintf(gate.answer,
		"frame apply level 0 -s -q remote get /proc/%d/maps /proc/self/fd/%d\n"
		"pipe with language c -- thread apply all -c _meminspect_registers"
		" | cat > /proc/$PPID/fd/%d\n",
		gate.context.pid, FD_TEXT, FD_THREADS);
	ask(WANT_REMOTE, ASK_SYSROOT);
}

static void ask_ran(enum stage stage)
{
	const struct remote *remote = inferior_remote(&gate.inferior);
	int bytes = fcntl(FD_RAN, F_GETPIPE_SZ);

	if (remote)
		remote_ask_ran(remote, gate.answer, FD_RAN, bytes > 0 ? (size_t)bytes : 0);
	ask(stage, "");
}

/* 0: not known. */
static uint64_t take_ran(void)
{
	const struct remote *remote = inferior_remote(&gate.inferior);
	struct insp_str text = {0};
	char bytes[4096];
	uint64_t ran;
	ssize_t n;

	while ((n = read(FD_RAN, bytes, sizeof(bytes))) > 0)
		insp_str_addn(&text, bytes, (size_t)n);
	ran = remote && insp_str_ok(&text) ? remote_ran(remote, insp_str_text(&text)) : 0;
	insp_str_deinit(&text);
	return ran;
}

/* After `info inferiors`: what is still missing for this kind of target? */
static void know_inferior(struct gdb_unwind_callbacks *cb)
{
	char *text = asked_text(FD_TEXT);

	gdb_context_inferiors(&gate.context, text ? text : (char[]){""});
	free(text);
	switch (gate.context.kind) {
	case GDB_CORE:
		ask(WANT_CORE,
		    "pipe info files | grep -A1 'core dump' > /proc/$PPID/fd/242\n" ASK_SYSROOT);
		return;
	case GDB_REMOTE:
		if (inferior_is_remote(gate.inferior, &gate.context))
			ask_ran(WANT_RAN);
		else
			ask_remote();
		return;
	default:
		if (!ask_value())
			run_command(cb);
	}
}

static void know_core(void)
{
	char *text = asked_text(FD_TEXT);

	gdb_context_files(&gate.context, text ? text : (char[]){""});
	gdb_context_sysroot(&gate.context, text ? text : "");
	free(text);
}

static void know_remote(void)
{
	struct remote *remote = inferior_remote(&gate.inferior);
	size_t n;
	char *text = asked_text(FD_TEXT), *threads = asked_text(FD_THREADS);
	char *registers = asked_bytes(FD_REGISTERS, &n); /* malloc'ed, and so aligned */
	char *sysroot = text ? strstr(text, SYSROOT_LINE) : NULL;

	gdb_context_sysroot(&gate.context, sysroot ? sysroot : "");
	if (sysroot)
		*sysroot = '\0'; /* before it: maps */
	if (remote && text && threads && registers)
		remote_take(remote, &gate.context,
			    &(struct remote_told){
				    .maps = text,
				    .threads = threads,
				    .registers = (const uint64_t *)(const void *)registers,
				    .nregisters = n / sizeof(uint64_t),
			    });
	free(text);
	free(threads);
	free(registers);
}

static void next_round(struct gdb_unwind_callbacks *cb)
{
	struct remote *remote;
	char *text;

	switch (gate.stage) {
	case WANT_INFERIORS:
		know_inferior(cb);
		return;
	case WANT_CORE:
		know_core();
		break;
	case WANT_RAN:
		remote = inferior_remote(&gate.inferior);
		if (!remote || take_ran() != remote_fingerprint(remote)) {
			ask_remote();
			return;
		}
		gate.context = *remote_context(remote);
		break;
	case WANT_REMOTE:
		know_remote();
		ask_ran(WANT_CLOCKS);
		return;
	case WANT_CLOCKS:
		remote = inferior_remote(&gate.inferior);
		if (remote)
			remote_note_ran(remote, take_ran());
		break;
	case WANT_LANGUAGE:
		text = asked_text(FD_TEXT);
		gdb_context_language(&gate.context, text ? text : (char[]){""});
		free(text);
		break;
	case WANT_VALUE:
		if (!take_value())
			return;
		break;
	default:
		return;
	}
	if (!ask_value())
		run_command(cb);
}

/*
 * A new request. The first word is the command's name, of one or two words: heap_summary. Words end
 * by NUL (from `dump binary value`) or newline (from `echo`).
 */
static void first_round(const char *bytes, size_t n)
{
	char *end = gate.words + n, *space, *typed;

	memcpy(gate.words, bytes, n);
	gate.argc = 0;
	gate.context = (struct gdb_context){.kind = GDB_NONE};
	gate.words[n] = '\0';
	typed = gate.words + strlen(gate.words);
	if (typed < end) /* behind the name: what `echo` wrote */
		end = typed + 1 + gdb_context_plain(typed + 1);
	for (char *p = gate.words; p < end; p++)
		if (*p == '\n')
			*p = '\0';
	space = strchr(gate.words, '_');
	if (space)
		*space = '\0';
	for (char *p = gate.words; p < end && gate.argc < WORDS_MAX; p += strlen(p) + 1)
		if (*p)
			gate.argv[gate.argc++] = p;
	if (help_command())
		return;
	(void)!ftruncate(FD_TEXT, 0);
	ask(WANT_INFERIORS, "pipe info inferiors | cat > /proc/$PPID/fd/242\n");
}

/* Runs when the call ends, also when an exception of GDB's unwinds it. */
struct scope {
	struct sigaction old;
	int done; /* the answer is complete */
};

static void leave(struct scope *scope)
{
	(void)sigaction(SIGINT, &scope->old, NULL);
	if (scope->done)
		return;
	gate.stage = IDLE;
	if (gate.answer)
		fclose(gate.answer);
	gate.answer = NULL;
}

/* The request, if one is armed: its bytes without the mark. 0: none. */
static size_t take_request(char *buf)
{
	off_t n = lseek(FD_REQUEST, 0, SEEK_END);

	if (n <= 1)
		return 0;
	if (n > REQUEST_MAX) {
		(void)!ftruncate(FD_REQUEST, 0);
		return 0;
	}
	n = pread(FD_REQUEST, buf, (size_t)n, 0);
	if (n < 2 || buf[n - 1] || buf[n - 2] != ';' || (n > 2 && buf[n - 3] && buf[n - 3] != '\n'))
		return 0; /* not armed yet: GDB unwinds between two appends, too */
	(void)!ftruncate(FD_REQUEST, 0);
	return (size_t)n;
}

static void answer(struct gdb_unwind_callbacks *cb, const char *request, size_t n)
{
	struct scope scope __attribute__((cleanup(leave))) = {.done = 0};
	struct sigaction sa = {.sa_handler = on_interrupt};

	(void)sigaction(SIGINT, &sa, &scope.old);
	meminspect_set_log(on_log, NULL);
	if (gate.stage == IDLE || n) /* words: a new command, whatever became of the last */
		first_round(request, n);
	else
		next_round(cb);
	fclose(gate.answer);
	gate.answer = NULL;
	scope.done = 1;
}

/* GDB calls this for every frame that it unwinds: it is cheap unless there is a request. */
static enum gdb_status unwind(struct gdb_reader_funcs *self, struct gdb_unwind_callbacks *cb)
{
	static char request[REQUEST_MAX];
	size_t n = take_request(request);
	int fd;

	(void)self;
	if (!n)
		return GDB_FAIL;
	/* A new inode for every answer: GDB may still be reading the last one. */
	fd = memfd_create("meminspect-answer", MFD_CLOEXEC);
	if (fd >= 0 && dup3(fd, FD_ANSWER, O_CLOEXEC) >= 0)
		gate.answer = fdopen(fd, "w");
	if (gate.answer)
		answer(cb, request, n - 2);
	else if (fd >= 0)
		close(fd);
	return GDB_FAIL; /* never claims the frame */
}

static enum gdb_status read_symbols(struct gdb_reader_funcs *self, struct gdb_symbol_callbacks *cb,
				    void *memory, long memory_bytes)
{
	(void)self;
	(void)cb;
	(void)memory;
	(void)memory_bytes;
	return GDB_FAIL;
}

static struct gdb_frame_id frame_id(struct gdb_reader_funcs *self, struct gdb_unwind_callbacks *cb)
{
	(void)self;
	(void)cb;
	return (struct gdb_frame_id){0, 0};
}

static void destroy(struct gdb_reader_funcs *self)
{
	(void)self;
	inferior_close(gate.inferior);
	gate.inferior = NULL;
	for (int fd = FD_REQUEST; fd <= FD_LAST; fd++)
		close(fd);
	close(gate.pipe);
}

static struct gdb_reader_funcs reader = {GDB_READER_INTERFACE_VERSION, NULL, read_symbols, unwind,
					 frame_id, destroy};
/* GDB refuses a reader of another version with a clean message, and crashes on NULL. */
static struct gdb_reader_funcs refused = {-1, NULL, read_symbols, unwind, frame_id, destroy};

/* A descriptor for `which`: a file, or the read end of the pipe that does not wait. */
static int make_descriptor(int which)
{
	int ends[2];

	if (which != FD_RAN)
		return memfd_create("meminspect", MFD_CLOEXEC);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -1;
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* where it may not be, fewer threads do */
	gate.pipe = ends[1];
	return ends[0];
}

__attribute__((visibility("default"))) struct gdb_reader_funcs *gdb_init_reader(void)
{
	for (int fd = FD_REQUEST; fd <= FD_LAST; fd++) {
		int made = make_descriptor(fd);

		if (fcntl(fd, F_GETFD) >= 0 || made < 0 || dup3(made, fd, O_CLOEXEC) < 0) {
			int e = errno;

			fprintf(stderr, "meminspect: descriptor %d cannot be used: %s\n", fd,
				fcntl(fd, F_GETFD) >= 0 ? "something else has it"
				: e == EBADF ? "the limit of open files (ulimit -n) is too low"
					     : strerror(e));
			if (made >= 0)
				close(made);
			return &refused;
		}
		close(made);
	}
	return &reader;
}
