/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ctrl-C: the handler only sets the interrupt flag. While a command runs, its loops see it. At
 * the prompt the wait for a key is broken off, and the line is dropped. Ctrl-D and a signal to end
 * leave the loop, so that the target is always let go in order.
 */
#include "front/repl.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "base/log.h"
#include "base/str.h"
#include "front/complete.h"
#include "front/history.h"
#include "front/output.h"
#include "front/progress.h"
#include "front/recent.h"
#include "front/run.h"
#include "front/session.h"
#include "render/text.h"
#include "target/target.h"

/* The line editor's hooks have no argument of ours. */
static struct insp_session *editing;
static volatile sig_atomic_t ending, continued;

static void on_signal(int sig)
{
	if (sig != SIGINT)
		ending = 1;
	insp_interrupt();
}

static void on_continue(int sig)
{
	(void)sig;
	continued = 1;
}

static void install_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = on_continue;
	sa.sa_flags = SA_RESTART;
	(void)sigaction(SIGCONT, &sa, NULL);
}

/*
 * As readline wants the terminal, but for one thing: to read when no key is there is to read
 * nothing, instead of to wait.
 */
static void prepare_terminal(int meta)
{
	struct termios modes;

	rl_prep_terminal(meta);
	if (tcgetattr(STDIN_FILENO, &modes) == 0) {
		modes.c_cc[VMIN] = 0;
		modes.c_cc[VTIME] = 0;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &modes);
	}
}

/* After Ctrl-Z and fg: the shell had the terminal meanwhile, and wrote on it. */
static void take_terminal_back(void)
{
	continued = 0;
	rl_cleanup_after_signal();
	rl_reset_after_signal();
	rl_forced_update_display();
}

/*
 * One key. Signals are let in only while we wait, so none can slip between the look at the flag and
 * the wait. Ctrl-C makes the terminal forget its keys: one that poll saw may be gone at the read,
 * which must come back then, to let the signal in.
 *
 * An interrupt is an error of reading where a command is read, which ends the line. Anywhere else
 * (in a question, a search, the middle of a key) it is the end of file: that aborts, and readline
 * asks again for a command.
 */
static int get_key(FILE *in)
{
	struct pollfd pfd = {.fd = fileno(in), .events = POLLIN};
	sigset_t ours, before;
	unsigned char c;
	ssize_t got = 0;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGCONT);
	(void)pthread_sigmask(SIG_BLOCK, &ours, &before);
	while (!insp_interrupted()) {
		/* It may have stopped us before we came here. */
		if (continued)
			take_terminal_back();
		/* EINTR: a signal of ours, or one of readline's own (the window's size changed). */
		if (ppoll(&pfd, 1, NULL, &before) < 0) {
			if (errno != EINTR)
				break;
			continue;
		}
		got = read(pfd.fd, &c, 1);
		if (got > 0 || (got == 0 && (pfd.revents & POLLHUP)) ||
		    (got < 0 && errno != EINTR && errno != EAGAIN))
			break;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (insp_interrupted())
		return RL_ISSTATE(RL_STATE_READCMD) ? READERR : EOF;
	return got == 1 ? c : EOF;
}

/* Matches in the form that readline frees: [0] is what they have in common. */
static char **matches_of(const struct insp_words *words)
{
	char **list = calloc(words->n + 2, sizeof(*list));
	size_t common;

	if (!list || !words->n) {
		free(list);
		return NULL;
	}
	common = strlen(words->items[0]);
	for (size_t i = 0; i < words->n; i++) {
		size_t k = 0;

		while (k < common && words->items[i][k] == words->items[0][k])
			k++;
		common = k;
		list[i + 1] = strdup(words->items[i]);
	}
	list[0] = strndup(words->items[0], common);
	if (words->n == 1) {
		free(list[1]);
		list[1] = NULL;
	}
	return list;
}

static char **on_tab(const char *text, int start, int end)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_words words = {0};
	char *before, **matches = NULL;
	bool files = false;

	(void)end;
	rl_attempted_completion_over = 1;
	if (!pool)
		return NULL;
	before = insp_pool_strndup(pool, rl_line_buffer, (size_t)start);
	if (before) {
		insp_complete(editing, before, text, pool, &words, &files);
		matches = matches_of(&words);
	}
	/* No matches of ours and files wanted: readline looks for files itself. */
	rl_attempted_completion_over = !files;
	rl_completion_append_character = words.n == 1 && strchr(text, ',') ? '\0' : ' ';
	insp_pool_destroy(pool);
	return matches;
}

static void add_line(const char *line)
{
	add_history(line);
}

static void editor_begin(struct insp_session *session)
{
	editing = session;
	rl_readline_name = "meminspect";
	rl_catch_signals = 0;
	rl_getc_function = get_key;
	rl_prep_term_function = prepare_terminal;
	rl_attempted_completion_function = on_tab;
	rl_completer_word_break_characters = (char *)" \t\n\"'|>";
	rl_sort_completion_matches = 0;
	rl_outstream = stderr; /* stdout carries results only */
	using_history();
	stifle_history(2000);
	insp_history_load(add_line);
}

static void prompt_of(const struct insp_session *s, struct insp_str *ret)
{
	static const struct insp_render_options plain = {.utf8 = false};
	bool held = s->target && s->target->ops->held && s->target->ops->held(s->target);
	const char *comm = s->target ? s->target->comm : s->snapshot->comm;

	insp_str_reset(ret);
	insp_str_add(ret, "meminspect(");
	insp_text_safe(ret, &plain, comm ? comm : "?", false);
	insp_str_addf(ret, ":%d%s)> ", s->target ? s->target->pid : s->snapshot->pid,
		      held ? " HELD" : !s->target ? " saved" : "");
}

/* A line with the history told; NULL at the end, or interrupted. The caller frees it. */
static char *edit_line(struct insp_session *session, struct insp_str *prompt)
{
	char *line;
	size_t n;

	prompt_of(session, prompt);
	continued = 0; /* while a command ran: the terminal is prepared anyway */
	line = readline(insp_str_text(prompt));
	if (!line) {
		fputc('\n', stderr);
		return NULL;
	}
	/* TAB leaves a space behind what it completes. */
	for (n = strlen(line); n && line[n - 1] == ' ';)
		line[--n] = '\0';
	/* A line that begins with a space is not kept, as in shells. */
	if (*line && *line != ' ') {
		HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

		if (!last || strcmp(last->line, line) != 0) {
			add_history(line);
			insp_history_append(line);
		}
	}
	return line;
}

static char *script_line(void)
{
	char *line = NULL;
	size_t cap = 0;

	if (getline(&line, &cap, stdin) < 0) {
		free(line);
		return NULL;
	}
	return line;
}

/* Cuts "command | shell command" and "command > file" at the first bare | or >. */
static char cut_redirection(char *line, char **ret_rest)
{
	char quote = 0;

	for (char *p = line; *p; p++) {
		if (quote)
			quote = *p == quote ? 0 : quote;
		else if (*p == '\'' || *p == '"')
			quote = *p;
		else if (*p == '\\' && p[1])
			p++;
		else if (*p == '#')
			break;
		else if (*p == '|' || *p == '>') {
			char kind = *p;

			*p++ = '\0';
			*ret_rest = p + strspn(p, " \t");
			(*ret_rest)[strcspn(*ret_rest, "\n")] = '\0';
			return kind;
		}
	}
	return 0;
}

static int run_piped(struct insp_session *session, const struct insp_run *run, const char *command,
		     struct insp_pool *pool, struct insp_error *err)
{
	struct insp_output output;
	int rc, close_rc = insp_output_open_shell(&output, command, err);

	if (close_rc)
		return close_rc;
	rc = insp_run_command(session, run, pool, &output, err);
	if (output.closed)
		rc = 0;
	close_rc = insp_output_close(&output, true, rc ? NULL : err);
	return rc ? rc : close_rc;
}

static int run_line(struct insp_session *session, char *line, struct insp_error *err)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_words words = {0};
	struct insp_run run;
	char *rest = NULL, kind = cut_redirection(line, &rest);
	int rc;

	if (!pool)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_words_split(line, pool, &words, err);
	if (!rc && words.n) {
		rc = insp_run_parse((int)words.n, words.items, INSP_COMMAND_REPL, &session->settings,
				    pool, NULL, &run, err);
		if (!rc && kind && !*rest)
			rc = insp_fail(err, INSP_E_USAGE, "what comes behind '%c'?", kind);
		if (!rc && kind == '>')
			run.settings.output = rest;
		if (!rc)
			rc = kind == '|' ? run_piped(session, &run, rest, pool, err)
					 : insp_run_command(session, &run, pool, NULL, err);
	}
	insp_pool_destroy(pool);
	return rc;
}

int insp_repl_run(struct insp_session *session, struct insp_error *err)
{
	bool prompt = isatty(STDIN_FILENO);
	struct insp_recent recent = {0};
	struct insp_str text = {0};
	int first = 0;

	install_signals();
	session->interactive = true;
	session->recent = prompt ? &recent : NULL;
	if (prompt)
		editor_begin(session);
	while (!session->leave && !ending) {
		struct insp_error own = {0};
		char *line;
		int rc;

		insp_interrupt_clear();
		line = prompt ? edit_line(session, &text) : script_line();
		if (!line && insp_interrupted() && prompt)
			continue;
		if (!line)
			break;
		rc = run_line(session, line, &own);
		insp_progress_restart();
		free(line);
		if (rc && own.msg[0])
			insp_complain(&own);
		if (rc && !first && !prompt) {
			first = rc;
			if (err) {
				*err = own;
				err->msg[0] = '\0'; /* it was told when it happened */
			}
		}
	}
	session->recent = NULL;
	insp_str_deinit(&text);
	return first;
}
