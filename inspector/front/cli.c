/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/cli.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "front/help.h"
#include "front/progress.h"
#include "front/run.h"

/* Once: end in order. Twice: the user has waited long enough; the kernel lets the target go. */
static void on_sigint(int sig)
{
	if (insp_interrupted()) {
		(void)signal(sig, SIG_DFL);
		(void)raise(sig);
	}
	insp_interrupt();
}

static void install_signals(void)
{
	struct sigaction sa = {.sa_handler = on_sigint};

	sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Text of our own to stdout; a reader that went away is no failure. */
static int print(const struct insp_str *s)
{
	const char *p = insp_str_text(s);
	size_t n = s->len;

	if (!insp_str_ok(s))
		return 1;
	while (n) {
		ssize_t k = write(STDOUT_FILENO, p, n);

		if (k < 0)
			return errno == EPIPE ? 0 : 1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int print_usage(void)
{
	struct insp_str s = {0};
	int rc;

	insp_help_usage(&s);
	rc = print(&s);
	insp_str_deinit(&s);
	return rc;
}

static int generate(const char *what)
{
	struct insp_str s = {0};
	struct insp_error err = {0};
	int rc = insp_generate(what, &s, &err);

	if (!rc)
		rc = print(&s);
	else
		insp_complain(&err);
	insp_str_deinit(&s);
	return insp_exit_code(rc);
}

/* `meminspect 1234`: the command was forgotten. */
static int hint_target(const char *word, struct insp_error *err)
{
	size_t digits = strspn(word, "0123456789");

	if ((digits && !word[digits]) || (strchr(word, '/') && access(word, R_OK) == 0))
		return insp_fail(err, INSP_E_USAGE,
				 "'%s' is a target: which command? try: meminspect heap summary %s", word,
				 word);
	return INSP_E_USAGE;
}

static int run_words(int argc, char **argv, const struct insp_settings *settings,
		     struct insp_pool *pool, insp_shell_fn shell, int *ret_exit,
		     struct insp_error *err)
{
	struct insp_session *session;
	struct insp_run run;
	char *target = NULL;
	bool no_target;
	int rc = insp_run_parse(argc, argv, INSP_COMMAND_ONESHOT, settings, pool, &target, &run, err);

	if (rc)
		return rc == INSP_E_USAGE && argc == 1 ? hint_target(argv[0], err) : rc;
	no_target = run.command->flags & INSP_COMMAND_NO_TARGET;
	if (!no_target && !target)
		return insp_fail(err, INSP_E_USAGE, "which process? %s needs a PID or a process name behind it",
				 run.command->name);
	insp_progress_install(run.settings.quiet, run.settings.debug);
	rc = insp_session_open(no_target ? NULL : target, &run.settings, &session, err);
	if (rc)
		return rc;
	session->shell = shell;
	rc = insp_run_command(session, &run, pool, NULL, err);
	insp_progress_restart();
	*ret_exit = session->exit_code;
	insp_session_close(session);
	return rc;
}

/* Who reads a monitoring plugin's output wants to be told there that it could not find out. */
static bool unknown(int argc, char **argv, const struct insp_error *err)
{
	const struct insp_command *command;
	struct insp_str line = {0};
	int used;

	if (insp_command_find(argc, argv, &command, &used, NULL) ||
	    !(command->flags & INSP_COMMAND_PLUGIN))
		return false;
	insp_str_addf(&line, "MEMORY UNKNOWN - %s\n", err->msg);
	insp_str_replace(&line, '|', '/'); /* figures would follow */
	(void)print(&line);
	insp_str_deinit(&line);
	return true;
}

/* `meminspect --help heap chunks` */
static int run_help(int argc, char **argv, const struct insp_settings *settings,
		    struct insp_pool *pool, struct insp_error *err)
{
	struct insp_words words = {0};
	int exit_code, rc = insp_words_add(&words, "help", pool);

	for (int i = 0; i < argc && !rc; i++)
		rc = insp_words_add(&words, argv[i], pool);
	if (rc)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	return run_words((int)words.n, words.items, settings, pool, NULL, &exit_code, err);
}

static int main_words(int argc, char **argv, struct insp_pool *pool, insp_shell_fn shell,
		      int *ret_exit, struct insp_error *err)
{
	struct insp_settings settings;
	struct insp_option_set globals = {.options = insp_global_options, .args = &settings};
	int used, rc = insp_settings_init(&settings, pool, err);

	if (!rc)
		rc = insp_options_leading(&globals, 1, argc, argv, pool, &used, err);
	if (rc)
		return rc;
	argc -= used;
	argv += used;
	if (settings.version) {
		struct insp_str s = {0};

		insp_str_add(&s, "meminspect " INSP_VERSION "\n");
		rc = print(&s);
		insp_str_deinit(&s);
		return rc ? INSP_E_IO : 0;
	}
	if (!argc)
		return print_usage() ? INSP_E_IO : 0;
	if (settings.help)
		return run_help(argc, argv, &settings, pool, err);
	rc = run_words(argc, argv, &settings, pool, shell, ret_exit, err);
	if (!rc || !unknown(argc, argv, err))
		return rc;
	*ret_exit = 3;
	return 0;
}

int insp_cli_main(int argc, char **argv, insp_shell_fn shell)
{
	struct insp_error err = {0};
	struct insp_pool *pool = insp_pool_create();
	int rc, exit_code = 0;

	if (!pool)
		return 1;
	install_signals();
	insp_progress_install(false, false);
	if (argc == 3 && strcmp(argv[1], "--generate") == 0) {
		insp_pool_destroy(pool);
		return generate(argv[2]);
	}
	rc = main_words(argc - 1, argv + 1, pool, shell, &exit_code, &err);
	if (rc && err.msg[0])
		insp_complain(&err);
	insp_pool_destroy(pool);
	return rc ? insp_exit_code(rc) : exit_code;
}
