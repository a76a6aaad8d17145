/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "context.h"

#include <stdio.h>
#include <string.h>

#include "base/fmt.h"

/* The number that text begins with; 0 when it does not. */
static int leading_number(const char *text)
{
	char digits[12];
	uint64_t v = 0;

	text += strspn(text, " ");
	snprintf(digits, sizeof(digits), "%.*s", (int)strspn(text, "0123456789"), text);
	return !insp_parse_u64(digits, &v, NULL) && v <= INT32_MAX ? (int)v : 0;
}

/* Without the spaces that fill up a column. */
static size_t trimmed(const char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == ' ')
		n--;
	return n;
}

/* A character of a record's text; moves *from behind it. GDB escapes as C does, octal too. */
static char unescaped(const char **from)
{
	static const char letters[] = "ntre", are[] = "\n\t\r\033";
	const char *p = *from, *letter;
	int c = 0, digits = 0;

	if (*p != '\\' || !p[1]) {
		*from = p + 1;
		return *p;
	}
	for (p++; digits < 3 && *p >= '0' && *p <= '7'; digits++)
		c = c * 8 + *p++ - '0';
	if (digits) {
		*from = p;
		return (char)c;
	}
	letter = strchr(letters, *p);
	*from = p + 1;
	return letter ? are[letter - letters] : *p;
}

size_t gdb_context_plain(char *text)
{
	const char *from = text;
	char *to = text;

	while (*from) {
		int record = !strncmp(from, "~\"", 2);

		from += record ? 2 : 0;
		while (*from && (record ? *from != '"' : *from != '\n')) {
			if (record)
				*to++ = unescaped(&from);
			else
				*to++ = *from++;
		}
		if (record && *from == '"')
			from += from[1] == '\n' ? 2 : 1;
		else if (*from)
			*to++ = *from++;
	}
	*to = '\0';
	return (size_t)(to - text);
}

/*
 *   Num  Description       Connection           Executable
 * * 1    process 123       1 (native)           /bin/cat
 *   2    process 123       2 (core)             /bin/cat
 *   3    Remote target     3 (remote :1234)     target:/bin/cat
 * The connection column came with GDB 10.
 */
void gdb_context_inferiors(struct gdb_context *ctx, char *text)
{
	char *save = NULL;

	ctx->kind = GDB_NONE;
	ctx->pid = 0;
	ctx->name[0] = ctx->exe[0] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *process = strstr(line, "process "), *paren = strchr(line, '('), *path;

		if (line[0] != '*')
			continue;
		ctx->inferior = leading_number(line + 1);
		if (process)
			ctx->pid = leading_number(process + 8);
		if (!strncmp(line, "*", 1) && strstr(line, "<null>") && !process)
			return;
		if (paren && !strncmp(paren, "(native)", 8))
			ctx->kind = GDB_NATIVE;
		else if (paren && !strncmp(paren, "(core)", 6))
			ctx->kind = GDB_CORE;
		else if (paren && (!strncmp(paren, "(remote", 7) || !strncmp(paren, "(extended-remote", 16)))
			ctx->kind = GDB_REMOTE;
		else if (process)
			ctx->kind = GDB_NATIVE;
		path = paren && strchr(paren, ')') ? strchr(paren, ')') : line;
		path = strchr(path, '/');
		if (!path)
			return;
		snprintf(ctx->exe, sizeof(ctx->exe), "%.*s", (int)trimmed(path), path);
		path = strrchr(path, '/') + 1;
		snprintf(ctx->name, sizeof(ctx->name), "%.*s", (int)trimmed(path), path);
		return;
	}
}

/* The current source language is "auto; currently c++". */
void gdb_context_language(struct gdb_context *ctx, const char *text)
{
	static const char *const casts[] = {"c", "c++", "objective-c", "opencl", "asm", "minimal"};
	const char *word = strstr(text, "currently ");
	size_t n;

	ctx->language = GDB_LANGUAGE_OTHER;
	word = word ? word + strlen("currently ") : strchr(text, '"');
	if (!word)
		return;
	word += *word == '"';
	n = strcspn(word, "\"\n");
	for (size_t i = 0; i < sizeof(casts) / sizeof(casts[0]); i++)
		if (strlen(casts[i]) == n && !strncmp(word, casts[i], n))
			ctx->language = GDB_LANGUAGE_C;
}

/* Local core dump file:
 *         `/tmp/core.1', file type elf64-x86-64. */
void gdb_context_files(struct gdb_context *ctx, char *text)
{
	char *at = strstr(text, "Local core dump file:"), *end;

	ctx->core[0] = '\0';
	at = at ? strpbrk(at, "`'") : NULL;
	end = at ? strstr(at + 1, "', file type") : NULL;
	if (end && (size_t)(end - at) < sizeof(ctx->core))
		snprintf(ctx->core, sizeof(ctx->core), "%.*s", (int)(end - at - 1), at + 1);
}

/* What stands between the first of begin and the last of end in the text; cut when it is too long.
 */
static void between(char *ret, size_t size, const char *text, const char *begin, const char *end)
{
	const char *from = strstr(text, begin), *eol, *to = NULL;

	ret[0] = '\0';
	if (!from)
		return;
	from += strlen(begin);
	eol = strchrnul(from, '\n');
	for (const char *p = from; p < eol && (p = strstr(p, end)) && p < eol; p++)
		to = p;
	if (to && (size_t)(to - from) < size)
		snprintf(ret, size, "%.*s", (int)(to - from), from);
}

/*
 * The current system root is "target:/srv/root".
 * The search path for loading non-absolute shared library symbol files is /srv/libs:/srv/more.
 */
void gdb_context_sysroot(struct gdb_context *ctx, const char *text)
{
	char *root = ctx->sysroot;

	between(root, sizeof(ctx->sysroot), text, "current system root is \"", "\".");
	if (!strncmp(root, "target:", 7))
		memmove(root, root + 7, strlen(root + 7) + 1);
	if (root[0])
		return;
	between(root, sizeof(ctx->sysroot), text, "shared library symbol files is ", ".");
	root[strcspn(root, ":")] = '\0'; /* there is room for one */
}

/*
 * Thread 3 (Thread 2288.2291 "worker"):
 * Thread 1.3 (LWP 2291 "worker"):           several inferiors, no libthread_db
 * Thread 1 (process 2288):
 */
void gdb_context_threads(char *text, void (*add)(void *to, const struct gdb_thread *thread),
			 void *to)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct gdb_thread t = {0};
		const char *dot, *paren = strchr(line, '('), *lwp;

		if (strncmp(line, "Thread ", 7) || !paren)
			continue;
		t.number = leading_number(line + 7);
		dot = strchr(line, '.');
		if (dot && dot < paren) {
			t.inferior = t.number;
			t.number = leading_number(dot + 1);
		}
		if (!t.number)
			continue;
		between(t.name, sizeof(t.name), paren, "\"", "\"");
		lwp = strstr(paren, "LWP ");
		dot = strchr(paren, '.');
		if (lwp)
			t.tid = leading_number(lwp + 4);
		else if (!strncmp(paren, "(Thread ", 8) && dot)
			t.tid = leading_number(dot + 1);
		else if (!strncmp(paren, "(process ", 9))
			t.tid = leading_number(paren + 9);
		add(to, &t);
	}
}
