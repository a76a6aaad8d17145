/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tracer_inside: the inside of the tracer, shared by tracer.c (its life), halt.c (how threads are
 * stopped) and stackcopy.c (their stacks). Nobody else includes this.
 */
#ifndef INSP_TARGET_TRACER_INSIDE_H
#define INSP_TARGET_TRACER_INSIDE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <time.h>

#include "base/pool.h"
#include "target/tracer.h"

#define INSP_IOVECS_MAX 1024 /* of one process_vm_readv: UIO_MAXIOV */
/* How often a sleeping or stuck tracer looks whether the target was killed. */
#define INSP_TICK_NS 5000000

/* How often a tracer that holds a copy alone looks whether its starter has died unnoticed. */
#define INSP_ORPHAN_NS 100000000

/* The word that the tracer and its owner talk through: bits are only set, but for CALL and DONE. */
enum insp_tracer_word {
	/* of the tracer, or when it was killed of its starter */
	INSP_TRACER_HELD = 1,
	INSP_TRACER_LET_GO = 2, /* or about to be: nothing read from now on is of the instant */
	INSP_TRACER_DONE = 4,	/* with the call */
	INSP_TRACER_DETACHED = 8,
	INSP_TRACER_ENDED = 16,
	/* of the owner */
	INSP_TRACER_CALL = 32,
	INSP_TRACER_RELEASE = 64,
	INSP_TRACER_DROP = 128,
};

struct insp_stack_bytes {
	_Atomic int shares;
	size_t size_bytes, used_bytes; /* of the mapping */
	uint8_t *bytes;
};

/*
 * Everything is allocated before the target stops. Written by the tracer until the word says HELD,
 * read by the owner after that.
 */
struct insp_tracer {
	struct insp_live *live;
	struct insp_stop_options opts;
	struct insp_pool *pool;
	struct insp_regions regions;	/* as they were before the stop */

	struct insp_tracee *tracees;	/* mapped, cap of them */
	size_t n, cap;
	uint32_t *index;		/* hash table: tid -> 1 + place in tracees; 0 empty */
	size_t index_size;		/* a power of two, more than twice cap */
	struct insp_tids tids;

	struct insp_stack_bytes *stacks;
	uint64_t *entries;		/* of pagemap: room for one stack */
	size_t nentries;
	struct iovec *local, *remote;	/* INSP_IOVECS_MAX each */
	struct insp_tracee **owner;	/* of each iovec */
	size_t niov;

	pthread_t thread;		/* that starts the tracer and waits for its end */
	bool thread_made;
	int tid;			/* of the tracer: its process id */
	int self;			/* ours */
	int owner_nice;			/* of the thread that asked for the stop, as it was */
	bool hurried;
	timer_t tick;
	bool tick_made;
	/* Counts up with every step of the tracer; the tick handler acts only when it stands. */
	volatile sig_atomic_t steps, steps_at_tick;
	size_t sweep_at;		/* place in tracees where the next sweep begins */

	_Atomic unsigned word;		/* enum insp_tracer_word */
	int kept;			/* a copy of the target, held when the target no longer is; 0 none */
	insp_tracer_fn fn;		/* of the call */
	void *fn_ctx;
	struct insp_error *fn_err;
	int fn_rc;

	int rc;				/* of stopping */
	struct insp_error err;
	uint64_t first_interrupt_ns, all_stopped_ns, detached_ns, deadline_ns;
	uint32_t nzombies, nmended, count_differed;
	uint32_t nfailed;		/* threads seen that could not be seized */
	bool executed;			/* the target became another program meanwhile */
	bool cut_short;
};

/* From a call in the tracer: the target is let go when the call is over. */
void insp_tracer_abandon(struct insp_tracer *t);

/* Lets go of all but the kept one, thread by thread; signals are handed on. */
void insp_halt_detach_all(struct insp_tracer *t);
/* Kills and collects a child of the target that we trace. */
void insp_halt_kill(int tid);

/* halt.c; in the tracer. */
int insp_halt_seize(struct insp_tracer *t, struct insp_error *err) insp_must_check;
/* Registers are read, and system calls mended, as each thread stops. */
int insp_halt_stop(struct insp_tracer *t, struct insp_error *err) insp_must_check;
/* Marks and reaps dead tracees, some hundred at a time, in turn. Async-signal-safe. */
void insp_halt_sweep(struct insp_tracer *t);
/* Has the whole target been killed, judged by a few of its threads? */
bool insp_halt_target_died(struct insp_tracer *t);
/* The record of tid; NULL when there is none. */
struct insp_tracee *insp_halt_find(struct insp_tracer *t, int tid);
/* A new one; NULL when the table is full. */
struct insp_tracee *insp_halt_add(struct insp_tracer *t, int tid);

/* stackcopy.c */
int insp_stackcopy_prepare(struct insp_tracer *t, struct insp_error *err) insp_must_check;
void insp_stackcopy_run(struct insp_tracer *t);
void insp_stackcopy_free(struct insp_tracer *t);

#endif
