/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/fmt.h"
#include "base/own_memory.h"

int insp_fail(struct insp_error *err, enum insp_code code, const char *fmt, ...)
{
	uint64_t limit;

	if (code == INSP_E_INTERRUPTED && insp_own_memory_passed(&limit)) {
		char buf[INSP_FMT_MAX];

		return insp_fail(err, INSP_E_NOMEM,
				 "given up at %s of own memory: with more, the machine or the container "
				 "might run out of it",
				 insp_fmt_bytes(buf, limit));
	}
	if (err) {
		va_list ap;

		va_start(ap, fmt);
		err->code = code;
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
	}
	return code;
}

int insp_fail_errno(struct insp_error *err, enum insp_code code, int errnum, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		size_t n;

		va_start(ap, fmt);
		err->code = code;
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
		n = strlen(err->msg);
		snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror(errnum));
	}
	return code;
}

void insp_error_prefix(struct insp_error *err, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;
	size_t n;

	if (!err)
		return;
	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", old);
}

int insp_exit_code(int code)
{
	switch (code) {
	case INSP_OK:
		return 0;
	case INSP_E_USAGE:
		return 2;
	case INSP_E_THRESHOLD:
		return 3;
	case INSP_E_PERM:
	case INSP_E_GONE:
		return 4;
	default:
		return 1;
	}
}
