/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/str.h"
#include "base/vec.h"

#define KEEP_LINES   1000
#define SHORTEN_OVER 2000

/* The file's path, with all folders of it made. NULL: no home, or not ours to write. */
static char *history_path(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int n = -1;

	if (state && state[0] == '/')
		n = asprintf(&path, "%s/meminspect/history", state);
	else if (home && home[0] == '/')
		n = asprintf(&path, "%s/.local/state/meminspect/history", home);
	if (n < 0)
		return NULL;
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(path, 0700) && errno != EEXIST) {
			free(path);
			return NULL;
		}
		*p = '/';
	}
	return path;
}

typedef INSP_VEC(char *) lines;

static void read_lines(const char *path, lines *ret)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, **slot;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return;
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		slot = n ? insp_vec_push(ret) : NULL;
		if (slot)
			*slot = strdup(line);
	}
	free(line);
	fclose(f);
}

/* Best effort: a history that stays long is no loss. */
static void shorten(const char *path, const lines *all)
{
	struct insp_str text = {0};
	struct insp_atomic file;

	for (size_t i = all->n - KEEP_LINES; i < all->n; i++)
		insp_str_addf(&text, "%s\n", all->items[i] ? all->items[i] : "");
	if (insp_str_ok(&text) && !insp_atomic_begin(&file, path, NULL)) {
		insp_atomic_put(&file, 0, insp_str_text(&text), text.len);
		(void)!insp_atomic_end(&file, 0, NULL);
	}
	insp_str_deinit(&text);
}

void insp_history_load(void (*add)(const char *line))
{
	char *path = history_path();
	lines all = {0};

	if (!path)
		return;
	read_lines(path, &all);
	if (all.n > SHORTEN_OVER)
		shorten(path, &all);
	for (size_t i = all.n > KEEP_LINES ? all.n - KEEP_LINES : 0; i < all.n; i++)
		if (all.items[i])
			add(all.items[i]);
	insp_vec_each(&all, line)
		free(*line);
	insp_vec_free(&all);
	free(path);
}

void insp_history_append(const char *line)
{
	char *path = history_path(), *text = NULL;
	int fd, n;

	if (!path)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	n = fd < 0 ? -1 : asprintf(&text, "%s\n", line);
	if (n > 0 && write(fd, text, (size_t)n) != n)
		errno = 0; /* a full disk costs the history, nothing else */
	if (fd >= 0)
		(void)close(fd);
	free(n > 0 ? text : NULL);
	free(path);
}
