/* SPDX-License-Identifier: GPL-3.0-or-later */
/* words: splitting of typed lines, and which word was probably meant. */
#include <string.h>

#include "command/command.h"

int insp_words_add(struct insp_words *words, const char *word, struct insp_pool *pool)
{
	char *copy = insp_pool_strdup(pool, word);

	if (!copy)
		return INSP_E_NOMEM;
	if (words->n + 1 >= words->cap) {
		size_t cap = words->cap ? words->cap * 2 : 16;
		char **items = insp_pool_array(pool, cap, sizeof(*items));

		if (!items)
			return INSP_E_NOMEM;
		if (words->n)
			memcpy(items, words->items, words->n * sizeof(*items));
		words->items = items;
		words->cap = cap;
	}
	words->items[words->n++] = copy;
	words->items[words->n] = NULL;
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Reads one word at *p into buf (as long as the line). False: a quote was not closed. */
static bool next_word(const char **p, char *buf)
{
	const char *s = *p;
	char quote = 0;

	for (; *s && (quote || !is_space(*s)); s++) {
		if (quote == '\'') {
			if (*s == '\'')
				quote = 0;
			else
				*buf++ = *s;
		} else if (*s == '\\' && s[1] && (!quote || s[1] == '"' || s[1] == '\\')) {
			*buf++ = *++s;
		} else if (*s == '"') {
			quote = quote ? 0 : '"';
		} else if (*s == '\'' && !quote) {
			quote = '\'';
		} else {
			*buf++ = *s;
		}
	}
	*buf = '\0';
	*p = s;
	return quote == 0;
}

int insp_words_split(const char *line, struct insp_pool *pool, struct insp_words *ret,
		     struct insp_error *err)
{
	struct insp_words words = {0};
	char *buf = insp_pool_alloc(pool, strlen(line) + 1);

	if (!buf)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (const char *p = line;;) {
		while (is_space(*p))
			p++;
		if (!*p || *p == '#')
			break;
		if (!next_word(&p, buf))
			return insp_fail(err, INSP_E_USAGE, "a quote is not closed");
		if (insp_words_add(&words, buf, pool))
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	*ret = words;
	return 0;
}

#define NEAR_MAX 40

/* Edits (insert, delete, replace, swap of neighbours) from a to b; capped by NEAR_MAX. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[3][NEAR_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > NEAR_MAX || nb > NEAR_MAX)
		return NEAR_MAX;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *row = d[i % 3], *prev = d[(i - 1) % 3], *older = d[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = prev[j - 1] + (a[i - 1] != b[j - 1]);

			if (prev[j] + 1 < best)
				best = prev[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    older[j - 2] + 1 < best)
				best = older[j - 2] + 1;
			row[j] = best;
		}
	}
	return d[na % 3][nb];
}

const char *insp_nearest(const char *typed, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned best_d = (unsigned)strlen(typed) / 3 + 1;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(typed, words[i]);
		size_t len = strlen(typed);

		/* A beginning or an end that was typed right counts for more than its length. */
		if (len >= 3 && (strncmp(words[i], typed, len) == 0 || strstr(words[i], typed)))
			d = 1;
		if (d < best_d || (d == best_d && !best)) {
			best = words[i];
			best_d = d;
		}
	}
	return best;
}
