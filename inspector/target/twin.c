/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * twin: fork() without the target knowing.
 *
 *     clone(CLONE_FILES, no exit signal)   in a thread of the target
 *     close_range(0, ~0, UNSHARE)          in the child: it gives up all descriptors
 *     ... the target runs on, the child stays in our hold (EXITKILL) and is read ...
 *     SIGKILL                              to the child
 *     wait4(child, __WALL | WNOHANG)       in a thread of the target, again held for a moment
 *
 * Should we die in between, the child dies, and a zombie is left that only a wait with __WALL of
 * the target would see, until the target ends.
 *
 * A memory cgroup at its limit makes fork kill the target, so its headroom is looked at first.
 */
#include "target/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"
#include "base/pool.h"
#include "target/inject.h"
#include "target/live.h"
#include "target/proc.h"
#include "target/tracer_inside.h"
#include "target/usage.h"

#define HEADROOM_BYTES	   (64ull << 20) /* and a sixteenth of what is resident */
#define REAP_TRIES	   100
#define CLOSE_UNSHARE	   2 /* CLOSE_RANGE_UNSHARE */

struct insp_twin {
	struct insp_target *target, *view;
	struct insp_live *live;	     /* the target's */
	struct insp_inject *inject;
	struct insp_tracer *tracer;  /* that keeps the child; NULL: none */
	int child, ns_child;	     /* 0: none */
};

static int check_headroom(struct insp_twin *twin, struct insp_error *err)
{
	struct insp_pool *pool = insp_pool_create();
	char have[INSP_FMT_MAX], want[INSP_FMT_MAX];
	uint64_t need, room = INSP_UNKNOWN;
	struct insp_usage u;
	int rc;

	if (!pool)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_usage_read_summary(twin->target, pool, &u, err);
	insp_pool_destroy(pool);
	if (rc)
		return rc;
	need = HEADROOM_BYTES + (u.vm_rss == INSP_UNKNOWN ? 0 : u.vm_rss / 16);
	if (u.cgroup_max != INSP_UNKNOWN && u.cgroup_current != INSP_UNKNOWN)
		room = u.cgroup_max > u.cgroup_current ? u.cgroup_max - u.cgroup_current : 0;
	if (u.mem_available < room)
		room = u.mem_available;
	if (room >= need)
		return 0;
	return insp_fail(err, INSP_E_UNSUPPORTED,
			 "a copy-on-write twin of process %d may need %s more, and only %s are left "
			 "in its memory cgroup or on the machine",
			 twin->live->pid, insp_fmt_bytes(want, need), insp_fmt_bytes(have, room));
}

int insp_twin_prepare(struct insp_target *target, struct insp_twin **ret, struct insp_error *err)
{
	struct insp_twin *twin;
	int rc;

	if (target->ops != &insp_target_live)
		return insp_fail(err, INSP_E_UNSUPPORTED, "a %s cannot be forked",
				 target->ops->title);
	twin = calloc(1, sizeof(*twin));
	if (!twin)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	twin->target = target;
	twin->live = insp_live_of(target);
	rc = check_headroom(twin, err);
	if (!rc)
		rc = insp_inject_create(target, &twin->inject, err);
	if (rc) {
		insp_twin_end(twin, NULL);
		return rc;
	}
	*ret = twin;
	return 0;
}

static int wait_born(struct insp_tracer *t, int child, struct insp_error *err)
{
	siginfo_t si;

	while (waitid(P_PID, (id_t)child, &si, WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD))
		if (insp_now_ns() > t->deadline_ns)
			return insp_fail(err, INSP_E_BUDGET, "the time for the stop ran out");
	if (si.si_code != CLD_TRAPPED && si.si_code != CLD_STOPPED)
		return insp_fail(err, INSP_E_UNSUPPORTED, "the twin died at birth");
	return 0;
}

static void first_to_go(int child)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", child);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1000", 4);
	(void)close(fd);
}

static int pid_in_its_namespace(int child)
{
	char path[48], status[8192];
	uint64_t last;
	unsigned n;

	snprintf(path, sizeof(path), "/proc/%d/status", child);
	if (insp_proc_small(AT_FDCWD, path, status, sizeof(status)) > 0 &&
	    insp_proc_field_last(status, "NSpid", &last, &n))
		return (int)last;
	return child;
}

static int fork_it(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	const uint64_t all[6] = {0, UINT32_MAX, CLOSE_UNSHARE};
	struct insp_twin *twin = ctx;
	int64_t value = 0;
	int child = 0, rc;

	/* One that is let go by PTRACE_DETACH has to be stopped then. */
	for (size_t i = 0; i < t->n; i++)
		if (t->tracees[i].phase == INSP_TRACEE_UNSTOPPABLE)
			return insp_fail(err, INSP_E_UNSUPPORTED,
					 "thread %d is asleep in the kernel and does not stop",
					 t->tracees[i].tid);
	rc = insp_inject_clone(twin->inject, t, &child, &value, err);
	if (child) { /* even if it came too late: it has to be collected */
		twin->child = child;
		twin->ns_child = pid_in_its_namespace(child);
		twin->tracer = t;
		insp_tracer_keep(t, child);
	}
	if (rc)
		return rc;
	if (value < 0 || !child) {
		int code = value < 0 ? (int)-value : 0;

		/* above: the kernel's own, that the call is to be made again after a signal */
		return insp_fail_errno(err, INSP_E_UNSUPPORTED, code >= 512 ? EINTR : code, "fork of process %d",
				       twin->live->pid);
	}
	rc = wait_born(t, child, err);
	if (rc)
		return rc;
	(void)ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_EXITKILL);
	first_to_go(child);
	/* Before Linux 5.9 it shares the target's table of descriptors, which harms nobody. */
	return insp_inject_child(twin->inject, t, child, SYS_close_range, all, &value, err);
}

/* ---- the target made of it */

static int twin_open(struct insp_target *view, const char *spec, struct insp_error *err)
{
	const struct insp_twin *twin = view->priv;
	struct insp_live *live;
	int rc = insp_live_open(twin->child, &live, err);

	(void)spec;
	if (rc) {
		view->priv = NULL;
		return rc;
	}
	view->priv = live;
	view->pid = twin->target->pid;
	view->ns_pid = twin->target->ns_pid;
	view->page_size = twin->target->page_size;
	snprintf(view->comm, sizeof(view->comm), "%s", twin->target->comm);
	return 0;
}

static void twin_close(struct insp_target *view)
{
	insp_live_close(view->priv);
}

static size_t twin_read(struct insp_target *view, uint64_t addr, void *buf, size_t size_bytes)
{
	return insp_target_live.read(view, addr, buf, size_bytes);
}

static int twin_regions(struct insp_target *view, struct insp_pool *pool, struct insp_regions *ret,
			struct insp_error *err)
{
	return insp_target_live.regions(view, pool, ret, err);
}

static int twin_pages(struct insp_target *view, uint64_t addr, size_t npages, uint8_t *ret)
{
	return insp_target_live.pages(view, addr, npages, ret);
}

static int twin_open_file(struct insp_target *view, enum insp_target_file which,
			  const struct insp_region *region, struct insp_error *err)
{
	return insp_target_live.open_file(view, which, region, err);
}

static bool twin_gone(struct insp_target *view)
{
	return insp_target_live.gone(view);
}

static const struct insp_target_ops twin_ops = {
	.name = "live",
	.title = "copy-on-write twin of a live process",
	.open = twin_open,
	.close = twin_close,
	.read = twin_read,
	.regions = twin_regions,
	.pages = twin_pages,
	.open_file = twin_open_file,
	.gone = twin_gone,
};

int insp_twin_fork(struct insp_twin *twin, struct insp_error *err)
{
	int rc;

	if (!twin->live->tracer)
		return insp_fail(err, INSP_E_GONE, "process %d is not held", twin->live->pid);
	rc = insp_tracer_call(twin->live->tracer, fork_it, twin, err);
	if (!rc)
		rc = insp_target_open_with(&twin_ops, twin->target->spec, twin, &twin->view, err);
	return rc;
}

struct insp_target *insp_twin_target(struct insp_twin *twin)
{
	return twin->view;
}

struct insp_inject *insp_twin_inject(struct insp_twin *twin)
{
	return twin->inject;
}

/* ---- the end */

static int kill_held(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	struct insp_twin *twin = ctx;

	(void)err;
	insp_halt_kill(twin->child);
	insp_tracer_keep(t, 0);
	return 0;
}

static int collect(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	struct insp_twin *twin = ctx;
	const uint64_t args[6] = {(uint64_t)twin->ns_child, 0, __WALL | WNOHANG};
	int64_t value = 0;
	int rc = insp_inject_call(twin->inject, t, SYS_wait4, args, &value, err);

	if (!rc && value == twin->ns_child)
		twin->child = 0;
	return rc;
}

/* The target runs. Whatever happens, it must not keep a zombie that it knows nothing of. */
static uint64_t collect_running(struct insp_twin *twin)
{
	const uint64_t args[6] = {(uint64_t)twin->ns_child, 0, __WALL | WNOHANG};
	uint64_t stopped_ns = 0;

	for (int i = 0; i < REAP_TRIES && twin->child; i++) {
		int64_t value = 0;

		if (i)
			(void)usleep(1000);
		if (insp_inject_until_done(twin->inject, twin->target, SYS_wait4, args, &value,
					   &stopped_ns, NULL))
			break;
		/* 0: it is still on its way out */
		if (value == twin->ns_child || value == -ECHILD)
			twin->child = 0;
	}
	if (twin->child && !insp_live_gone(twin->live))
		insp_log(INSP_LOG_WARN,
			 "process %d keeps a zombie, %d, until it ends: no thread could collect it",
			 twin->live->pid, twin->child);
	return stopped_ns;
}

void insp_twin_end(struct insp_twin *twin, uint64_t *ret_stopped_ns)
{
	uint64_t stopped_ns = 0;

	if (!twin)
		return;
	insp_target_close(twin->view);
	if (twin->inject)
		insp_inject_clean_up(twin->inject);
	if (twin->tracer && twin->live->tracer == twin->tracer &&
	    !insp_tracer_call(twin->tracer, kill_held, twin, NULL)) {
		(void)!insp_tracer_call(twin->tracer, collect, twin, NULL);
		/* It did not work because time was over: then it is not held any more. */
		if (twin->child && !twin->target->ops->held(twin->target))
			stopped_ns = collect_running(twin);
	} else if (twin->tracer) {
		/* let go already, by resume or because time was over */
		if (twin->live->tracer == twin->tracer)
			twin->target->ops->resume(twin->target, NULL);
		insp_tracer_drop(twin->tracer);
		stopped_ns = collect_running(twin);
	}
	insp_inject_destroy(twin->inject);
	free(twin);
	if (ret_stopped_ns)
		*ret_stopped_ns = stopped_ns;
}
