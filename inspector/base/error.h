/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * error: why something could not go on.
 *
 * A function that can fail returns 0 or a negative enum insp_code and, through its last
 * parameter, a struct insp_error with one line for people. Three things are kept apart:
 *
 *   fault    the target's memory is not readable: a return code (INSP_E_FAULT), no message;
 *   finding  the inspected heap is odd: data, see model/finding.h;
 *   error    we cannot go on: this.
 */
#ifndef INSP_BASE_ERROR_H
#define INSP_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#define insp_must_check __attribute__((warn_unused_result))
#define insp_printf(fmt, args) __attribute__((format(printf, fmt, args)))
#define insp_cleanup(fn) __attribute__((cleanup(fn)))

enum insp_code {
	INSP_OK = 0,
	INSP_E_NOMEM = -1,	 /* own memory, or the cap on it, is used up */
	INSP_E_USAGE = -2,	 /* the caller's words are wrong: exit code 2 */
	INSP_E_IO = -3,		 /* a file or a descriptor of ours */
	INSP_E_FAULT = -4,	 /* the target's memory is not readable there */
	INSP_E_PERM = -5,	 /* the target may not be inspected: exit code 4 */
	INSP_E_GONE = -6,	 /* the target ended, or was never there: exit code 4 */
	INSP_E_UNSUPPORTED = -7, /* this kernel, file or back end cannot do it */
	INSP_E_CORRUPT = -8,	 /* bytes that break the rules of their format */
	INSP_E_INTERRUPTED = -9, /* Ctrl-C */
	INSP_E_NOTFOUND = -10,	 /* looked for and not there */
	INSP_E_BUDGET = -11,	 /* would stop the target for longer than --max-pause: exit code 1 */
	INSP_E_THRESHOLD = -12,	 /* a limit given with --fail-on was crossed: exit code 3 */
};

/* Invariant: code == INSP_OK or msg is a non-empty line without newline. */
struct insp_error {
	enum insp_code code;
	char msg[512];
};

/* Fills err (may be NULL) and returns code, so that `return insp_fail(err, ...)` reads well. */
int insp_fail(struct insp_error *err, enum insp_code code, const char *fmt, ...) insp_printf(3, 4);

/* The same with ": strerror(errnum)" behind the text. */
int insp_fail_errno(struct insp_error *err, enum insp_code code, int errnum, const char *fmt, ...)
	insp_printf(4, 5);

/* Puts "text: " before a callee's message; never replaces it. err may be NULL. */
void insp_error_prefix(struct insp_error *err, const char *fmt, ...) insp_printf(2, 3);

/* The exit code of the command line for a code: 0, 1, 2, 3 or 4. */
int insp_exit_code(int code);

#endif
