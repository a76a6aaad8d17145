/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/worker.h"

#include <signal.h>

int insp_worker_start(pthread_t *ret, void *(*fn)(void *ctx), void *ctx)
{
	sigset_t all, before;
	int rc;

	/* A new thread has the mask of the one that makes it. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(ret, NULL, fn, ctx);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}
