/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * live: the inside of the live back end, shared by the files that make it up (live.c, find.c,
 * tracer.c, usage.c). Nobody else includes this.
 */
#ifndef INSP_TARGET_LIVE_H
#define INSP_TARGET_LIVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/target.h"

struct insp_pool;
struct insp_tracer;

/* All descriptors are bound to the process that was opened: when its pid is used again, they
   fail instead of showing the newcomer. */
struct insp_live {
	int pid;
	int vm_tid;	  /* a thread that has the memory: pid, unless its main thread ended */
	int pidfd;	  /* -1: kernel before 5.3 */
	int proc_fd;	  /* /proc/PID */
	int vm_fd;	  /* /proc/PID/task/VM_TID */
	int task_fd;	  /* /proc/PID/task */
	int mem_fd;	  /* -1 unreadable */
	int pagemap_fd;	  /* -1 unreadable */
	_Atomic bool no_vm_readv; /* process_vm_readv is refused: use mem_fd */
	bool is_x86_64;	  /* of the program that it runs; else registers are not understood */
	bool nested;	  /* lives in a pid namespace of its own */
	struct insp_file_range {
		uint64_t start, end;
	} *files;	  /* mappings with a file behind, as of the last regions(); sorted */
	size_t nfiles;
	struct insp_tracer *tracer; /* NULL: not stopped */
};

static inline struct insp_live *insp_live_of(const struct insp_target *target)
{
	return target->priv;
}

/* The inside of a live target for a process that is ours to read. Gives. */
int insp_live_open(int pid, struct insp_live **ret, struct insp_error *err) insp_must_check;
void insp_live_close(struct insp_live *live); /* accepts NULL */

size_t insp_live_read(struct insp_live *live, uint64_t addr, void *buf, size_t size_bytes);
bool insp_live_gone(const struct insp_live *live);
/* identity.c: the info slot. */
void insp_live_info(struct insp_target *target, struct insp_pool *pool,
		    struct insp_target_info *ret);
/* allregs.c: the all_registers slot. */
int insp_live_all_registers(struct insp_target *target, struct insp_pool *pool, struct insp_threads *threads,
			    struct insp_error *err);
int insp_live_regions(struct insp_live *live, struct insp_pool *pool, struct insp_regions *ret,
		      struct insp_error *err) insp_must_check;

/* find.c: the pid that spec names, or an error that lists the candidates. */
int insp_live_find(const char *spec, int *ret_pid, struct insp_error *err) insp_must_check;
/* Does any process have this name? */
bool insp_live_names(const char *spec);
/* Why pid cannot be inspected, told from its state alone (gone, zombie, kernel thread, a thread of
   another process, traced, ourselves); 0: nothing speaks against it. */
int insp_live_check(int pid, struct insp_error *err) insp_must_check;
/* Fills err with who forbids it and what to do, after the kernel said EPERM or EACCES. Returns
   INSP_E_PERM or INSP_E_GONE. */
int insp_live_refused(int pid, struct insp_error *err);
/* "12 (nginx)", for messages. */
const char *insp_live_title(int pid, char *buf, size_t size_bytes);
/* INSP_E_PERM: "process 12 (x) is being traced by process 14 (gdb): ..." */
int insp_live_traced(int pid, int tracer, struct insp_error *err);

#endif
