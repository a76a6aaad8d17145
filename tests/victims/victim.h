/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * victim: how a test victim tells its truth.
 *
 * victim_ready() prints one line of JSON, {"ready":true,"pid":..., mallinfo2() as
 * "mallinfo":{...}, and what the caller adds}, without touching the heap after the figures were
 * taken; victim_wait() then waits for ever, and answers each SIGUSR1 with {"alive":true} after
 * some allocations: so a test sees that the heap still works.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char victim_line[1 << 20];

static inline void victim_write(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(1, text, len);

		if (n <= 0)
			_exit(3);
		text += n;
		len -= (size_t)n;
	}
}

/* SIGUSR1 is kept for victim_wait: call this before any thread is started. */
static inline void victim_init(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* fmt: more members, "\"live\":%d,\"addr\":\"%p\"", or NULL. */
static inline __attribute__((format(printf, 1, 2))) void victim_ready(const char *fmt, ...)
{
#ifdef __GLIBC__
#ifdef VICTIM_OLD_MALLINFO /* linked for a libc before 2.33 */
	struct mallinfo m = mallinfo();
#else
	struct mallinfo2 m = mallinfo2();
#endif
#define F(member) ((size_t)(m.member))
	int n = snprintf(
		victim_line, sizeof(victim_line),
		"{\"ready\":true,\"pid\":%d,\"mallinfo\":{\"arena\":%zu,\"ordblks\":%zu,"
		"\"smblks\":%zu,\"hblks\":%zu,\"hblkhd\":%zu,\"fsmblks\":%zu,\"uordblks\":%zu,"
		"\"fordblks\":%zu,\"keepcost\":%zu}",
		(int)getpid(), F(arena), F(ordblks), F(smblks), F(hblks), F(hblkhd), F(fsmblks),
		F(uordblks), F(fordblks), F(keepcost));
#undef F
#else
	int n = snprintf(victim_line, sizeof(victim_line), "{\"ready\":true,\"pid\":%d",
			 (int)getpid());
#endif

	if (fmt) {
		va_list ap;

		victim_line[n++] = ',';
		va_start(ap, fmt);
		n += vsnprintf(victim_line + n, sizeof(victim_line) - (size_t)n, fmt, ap);
		va_end(ap);
		if ((size_t)n >= sizeof(victim_line) - 3)
			_exit(3);
	}
	memcpy(victim_line + n, "}\n", 3);
	victim_write(victim_line, (size_t)n + 2);
}

static inline __attribute__((noreturn)) void victim_wait(void)
{
	sigset_t set;

	victim_init();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	for (;;) {
		void *p[64];
		int sig;

		if (sigwait(&set, &sig))
			continue;
		for (size_t i = 0; i < 64; i++) {
			p[i] = malloc(17 * (i + 1));
			if (!p[i])
				_exit(4);
			memset(p[i], (int)i, 17 * (i + 1));
		}
		for (size_t i = 0; i < 64; i++)
			free(p[i]);
		victim_write("{\"alive\":true}\n", 15);
	}
}

#endif
