/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/output.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"
#include "front/settings.h"

bool insp_terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows)
{
	struct winsize ws;
	const char *env = getenv("COLUMNS");
	uint64_t columns;

	if (!isatty(fd))
		return false;
	*ret_columns = 80;
	*ret_rows = 24;
	if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col && ws.ws_row) {
		*ret_columns = ws.ws_col;
		*ret_rows = ws.ws_row;
	} else if (env && insp_parse_u64(env, &columns, NULL) == 0 && columns > 20 && columns < 10000) {
		*ret_columns = (unsigned)columns;
	}
	return true;
}

bool insp_terminal_color(int fd, const char *when)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (strcmp(when, "auto") != 0)
		return strcmp(when, "always") == 0;
	return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static int write_all(struct insp_output *o, int fd, const char *bytes, size_t n, struct insp_error *err)
{
	while (n) {
		ssize_t k = write(fd, bytes, n);

		if (k < 0 && errno == EINTR) {
			if (insp_interrupted())
				return insp_fail(err, INSP_E_INTERRUPTED, "interrupted");
			continue;
		}
		if (k < 0 && errno == EPIPE) {
			o->closed = true;
			return insp_fail(err, INSP_E_IO, "the reader of the output went away");
		}
		if (k < 0)
			return insp_fail_errno(err, INSP_E_IO, errno, "write to %s",
					       o->path ? o->path : "the output");
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

static const char *pager_command(void)
{
	static const char *const names[] = {"MEMINSPECT_PAGER", "PAGER"};

	for (size_t i = 0; i < 2; i++) {
		const char *s = getenv(names[i]);

		if (s)
			return s; /* an empty one means: none */
	}
	return "less";
}

/* Starts a shell command that reads what we write. 0: not started. */
static pid_t spawn_reader(const char *command, int *ret_fd)
{
	char *argv[] = {"sh", "-c", (char *)command, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t defaults;
	pid_t pid = 0;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return 0;
	/* We ignore SIGPIPE; what we start shall not. */
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], STDIN_FILENO);
	if (posix_spawn(&pid, "/bin/sh", &actions, &attr, argv, environ))
		pid = 0;
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	(void)close(fds[0]);
	if (pid)
		*ret_fd = fds[1];
	else
		(void)close(fds[1]);
	return pid;
}

/* When there is none, the terminal takes it all. */
static void pager_start(struct insp_output *o)
{
	const char *command = pager_command();

	if (!*command || strcmp(command, "cat") == 0)
		return;
	(void)setenv("LESS", "FRX", 0);
	o->pager = spawn_reader(command, &o->pager_fd);
}

/* Writes what was held, and from now on at once. */
static int release(struct insp_output *o, struct insp_error *err)
{
	int rc;

	o->may_page = false;
	rc = write_all(o, o->pager ? o->pager_fd : o->fd, insp_str_text(&o->held), o->held.len, err);
	insp_str_deinit(&o->held);
	return rc;
}

static int output_write(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	struct insp_output *o = ctx;

	if (!o->may_page)
		return write_all(o, o->pager ? o->pager_fd : o->fd, bytes, n, err);
	insp_str_addn(&o->held, bytes, n);
	if (!insp_str_ok(&o->held))
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		o->lines += bytes[i] == '\n';
	if (o->lines < o->rows)
		return 0;
	pager_start(o);
	return release(o, err);
}

/* The file appears under its name when it is whole; devices and pipes are written as they are. */
static int open_file(struct insp_output *o, const char *path, struct insp_error *err)
{
	struct stat st;
	mode_t mask;
	int rc;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		o->path = strdup(path);
		if (o->fd < 0)
			return insp_fail_errno(err, INSP_E_IO, errno, "output '%s'", path);
		return o->path ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	/* Through a symbolic link to the file itself. */
	o->path = realpath(path, NULL);
	if (!o->path)
		o->path = strdup(path);
	if (!o->path)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_atomic_begin(&o->file, o->path, err);
	if (rc)
		return rc;
	o->whole = true;
	o->fd = o->file.fd;
	mask = umask(0);
	(void)umask(mask);
	(void)fchmod(o->fd, stat(o->path, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask);
	return 0;
}

static void output_free(struct insp_output *o)
{
	if (o->path && !o->whole && o->fd >= 0)
		(void)close(o->fd);
	insp_out_deinit(&o->out);
	insp_str_deinit(&o->held);
	free(o->path);
	*o = (struct insp_output){.fd = -1};
}

void insp_output_open_fd(struct insp_output *o, int fd)
{
	*o = (struct insp_output){.fd = fd};
	insp_out_init(&o->out, output_write, o);
	o->terminal = isatty(fd);
}

int insp_output_open_shell(struct insp_output *o, const char *command, struct insp_error *err)
{
	insp_output_open_fd(o, STDOUT_FILENO);
	o->terminal = false;
	o->pager = spawn_reader(command, &o->pager_fd);
	if (!o->pager)
		return insp_fail(err, INSP_E_IO, "shell command '%s' cannot be started", command);
	return 0;
}

void insp_output_open_fn(struct insp_output *o, insp_write_fn write, void *ctx,
			 const struct insp_render_options *options)
{
	*o = (struct insp_output){.fd = -1, .fixed = options};
	insp_out_init(&o->out, write, ctx);
}

int insp_output_open(struct insp_output *o, const struct insp_settings *settings,
		     struct insp_error *err)
{
	unsigned columns;
	int rc;

	insp_output_open_fd(o, STDOUT_FILENO);
	if (settings->output && strcmp(settings->output, "-") != 0) {
		o->fd = -1;
		rc = open_file(o, settings->output, err);
		if (rc) {
			output_free(o);
			return rc;
		}
		o->terminal = isatty(o->fd);
		return 0;
	}
	if (o->terminal && settings->pager && isatty(STDIN_FILENO))
		o->may_page = insp_terminal_size(o->fd, &columns, &o->rows);
	return 0;
}

static int commit(struct insp_output *o, bool keep, struct insp_error *err)
{
	int rc;

	if (!o->whole)
		return 0;
	rc = insp_atomic_end(&o->file, keep ? 0 : INSP_E_IO, err);
	return keep ? rc : 0;
}

int insp_output_close(struct insp_output *o, bool keep, struct insp_error *err)
{
	struct insp_error mine = {0};
	int rc = insp_out_flush(&o->out, &mine), committed;

	if (!rc && o->may_page)
		rc = release(o, &mine);
	if (o->pager) {
		(void)close(o->pager_fd);
		while (waitpid(o->pager, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (rc && o->closed)
		rc = 0;
	committed = commit(o, keep && !rc, rc ? NULL : &mine);
	rc = rc ? rc : committed;
	if (rc && err)
		*err = mine;
	output_free(o);
	return rc;
}

void insp_output_render_options(const struct insp_output *o, const struct insp_settings *settings,
				struct insp_render_options *ret)
{
	unsigned rows;

	if (o->fixed) {
		*ret = *o->fixed;
		ret->raw |= settings->raw;
		ret->wide |= settings->wide;
		return;
	}
	*ret = (struct insp_render_options){
		.color = o->fd >= 0 && insp_terminal_color(o->terminal ? o->fd : -1, settings->color),
		.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
		.raw = settings->raw,
		.wide = settings->wide,
	};
	if (o->terminal)
		(void)insp_terminal_size(o->fd, &ret->width, &rows);
}
