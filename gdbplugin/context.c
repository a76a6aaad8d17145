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
	ctx->name[0] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *process = strstr(line, "process "), *paren = strchr(line, '('), *slash;

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
		slash = strrchr(paren && strchr(paren, ')') ? strchr(paren, ')') : line, '/');
		if (slash)
			snprintf(ctx->name, sizeof(ctx->name), "%.*s", (int)trimmed(slash + 1), slash + 1);
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

/* "rw-p" in the column that GDB 12 and later have. */
static int perms(const char *word, uint32_t *ret)
{
	size_t n = strcspn(word, " \t");

	if (n != 4 || !strchr("r-", word[0]) || !strchr("w-", word[1]) ||
	    !strchr("x-", word[2]) || !strchr("ps", word[3]))
		return 0;
	*ret = (word[0] == 'r' ? MEMINSPECT_READ : 0) | (word[1] == 'w' ? MEMINSPECT_WRITE : 0) |
	       (word[2] == 'x' ? MEMINSPECT_EXEC : 0) | (word[3] == 's' ? MEMINSPECT_SHARED : 0);
	return 1;
}

/*
 *           Start Addr           End Addr       Size     Offset  Perms  objfile
 *       0x555555554000     0x555555556000     0x2000        0x0  r--p   /usr/bin/cat
 */
void gdb_context_mappings(char *text, void (*add)(void *to, const struct meminspect_region *region),
			  void *to)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct meminspect_region r = {.size_bytes = sizeof(r)};
		uint64_t size, *const columns[] = {&r.start, &r.end, &size, &r.offset};
		char *rest = line, *word = NULL;
		size_t i = 0;

		for (; i < 4; i++) {
			word = strtok_r(i ? NULL : line, " \t", &rest);
			if (!word || insp_parse_u64(word, columns[i], NULL))
				break;
		}
		if (i < 4 || r.start >= r.end)
			continue;
		rest += strspn(rest, " \t");
		r.prot = MEMINSPECT_READ | MEMINSPECT_WRITE; /* what GDB before 12 does not say */
		if (perms(rest, &r.prot))
			rest += 4;
		rest += strspn(rest, " \t");
		r.name = *rest ? rest : NULL;
		add(to, &r);
	}
}
