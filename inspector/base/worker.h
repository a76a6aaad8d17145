/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * worker: a thread beside the caller's that no signal of the process is delivered to.
 *
 * Inside a debugger the handlers of SIGINT, SIGCHLD and SIGWINCH are the host's, and expect its main
 * thread; here SIGINT is to interrupt what the main thread waits in.
 */
#ifndef INSP_BASE_WORKER_H
#define INSP_BASE_WORKER_H

#include <pthread.h>

/* As pthread_create: 0, or an errno. */
int insp_worker_start(pthread_t *ret, void *(*fn)(void *ctx), void *ctx);

#endif
