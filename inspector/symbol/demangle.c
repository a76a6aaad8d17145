/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * demangle: the names that C++ and Rust compilers made, as people wrote them.
 *
 * libiberty does the work. Names come out of the target's files, so they may be made to hurt: a
 * few hundred bytes of mangled name can stand for gigabytes of text. Output goes through a
 * callback that counts, and leaves by longjmp when it is too much; neither demangler holds
 * memory or locks while it prints.
 */
#include "symbol/symbols.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

#include "base/str.h"
#include "symbol/symbols_priv.h"

#define MANGLED_MAX 8192   /* bytes; longer names stay as they are */
#define DEMANGLED_MAX 4096 /* bytes; beyond, the mangled name reads better anyway */

struct sink {
	struct insp_str text;
	jmp_buf full;
};

static void sink_add(const char *s, size_t n, void *arg)
{
	struct sink *sink = arg;

	if (n > DEMANGLED_MAX || sink->text.len + n > DEMANGLED_MAX)
		longjmp(sink->full, 1);
	insp_str_addn(&sink->text, s, n);
}

/* Where a symbol version starts in "name@VERSION", or the length of the name. */
static size_t versionless_length(const char *s)
{
	const char *at = strchr(s, '@');

	return at && at != s ? (size_t)(at - s) : strlen(s);
}

static int demangle_into(struct sink *sink, const char *mangled)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;

	if (setjmp(sink->full))
		return 0;
	/* A legacy Rust name is a valid C++ one, with a hash that nobody wants to read. */
	if (rust_demangle_callback(mangled, options, sink_add, sink) && sink->text.len)
		return 1;
	insp_str_reset(&sink->text);
	if (mangled[1] == 'R')
		return 0;
	return cplus_demangle_v3_callback(mangled, options, sink_add, sink) && sink->text.len;
}

char *insp_demangle_dup(const char *s)
{
	struct sink *sink;
	char *plain, *ret = NULL;
	size_t n = versionless_length(s);

	plain = strndup(s, n);
	if (!plain || n > MANGLED_MAX || s[0] != '_' || (s[1] != 'Z' && s[1] != 'R'))
		return plain;
	/* On the heap: what changes between setjmp and longjmp must not live in registers. */
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return plain;
	if (demangle_into(sink, plain) && insp_str_ok(&sink->text)) {
		ret = sink->text.s;
		free(plain);
	} else {
		insp_str_deinit(&sink->text);
	}
	free(sink);
	return ret ? ret : plain;
}

const char *insp_demangle(struct insp_pool *pool, const char *s)
{
	char *name;
	const char *ret;

	if (s[0] != '_' && !strchr(s, '@'))
		return s;
	name = insp_demangle_dup(s);
	if (!name)
		return s;
	ret = strcmp(name, s) ? insp_pool_strdup(pool, name) : s;
	free(name);
	return ret ? ret : s;
}
