/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * task: what /proc says about one thread while it runs.
 *
 * Fixed size and without pointers, so that a table of them can be filled before a stop and copied
 * during it.
 */
#ifndef INSP_TARGET_TASK_H
#define INSP_TARGET_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct insp_pool;
struct insp_thread;

struct insp_task {
	int tid, ns_tid;
	char name[16];
	char state;		/* 0: not looked up */
	char wchan[48];		/* "" unknown or none */
	uint64_t cpu_ns;
	int64_t syscall;	/* -1 none or unknown */
	uint64_t args[6];
	uint64_t sp;		/* 0 unknown: it was running */
};

/* task_fd: /proc/PID/task. nested: the target lives in a pid namespace of its own. False when the
   thread has ended; then ret holds only tid. */
bool insp_task_read(int task_fd, int tid, bool nested, struct insp_task *ret);

/* The state letter only; 0 when the thread has ended. */
char insp_task_state(int task_fd, int tid);
/* Who traces it: a tid of ours or a stranger's, 0 nobody, -1 unknown. */
int insp_task_tracer(int task_fd, int tid);

/*
 * The tids below /proc/PID/task (task_fd) in the kernel's order; *ret_n of them in a buffer that
 * is grown as needed (free it). May be called again with the same one. False when the process has
 * ended.
 */
struct insp_tids {
	int *items;
	size_t n, cap;
};
bool insp_task_list(int task_fd, struct insp_tids *tids);

/* As a thread of the model; wchan is copied into pool. False when memory is short. */
bool insp_task_thread(const struct insp_task *task, struct insp_pool *pool,
		      struct insp_thread *ret);

#endif
