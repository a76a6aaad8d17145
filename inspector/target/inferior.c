/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/inferior.h"

#include <elf.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "base/pool.h"
#include "target/live.h"
#include "target/registers.h"

#define STACK_BYTES (64u << 10)

static struct insp_target_ops inferior_ops; /* written once, by make_ops */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The top of the stack, from the red zone on; what the kernel does not give is left out. */
static int copy_stack(struct insp_target *target, const struct insp_regions *regions,
		      struct insp_pool *pool, struct insp_thread *t)
{
	uint64_t from = t->regs[INSP_REG_RSP] - INSP_RED_ZONE_BYTES, n;
	const struct insp_region *r = insp_regions_find(regions, t->regs[INSP_REG_RSP]);

	if (!r)
		return 0;
	t->stack_start = r->start;
	t->stack_end = r->end;
	if (from < r->start)
		from = r->start;
	n = r->end - from < STACK_BYTES ? r->end - from : STACK_BYTES;
	t->stack_bytes = insp_pool_alloc(pool, n);
	if (!t->stack_bytes)
		return INSP_E_NOMEM;
	t->stack_addr = from;
	t->stack_len = insp_live_read(insp_live_of(target), from, t->stack_bytes, n);
	return 0;
}

static int inferior_threads(struct insp_target *target, struct insp_pool *pool,
			    struct insp_threads *ret, struct insp_error *err)
{
	struct insp_regions regions = {0};
	int rc = insp_target_live.threads(target, pool, ret, err);

	if (!rc)
		rc = insp_target_live.regions(target, pool, &regions, err);
	for (size_t i = 0; i < ret->n && !rc; i++) {
		struct insp_thread *t = &ret->items[i];
		struct user_regs_struct regs;
		struct iovec iov = {.iov_base = &regs, .iov_len = sizeof(regs)};

		if (!insp_live_of(target)->is_x86_64 ||
		    ptrace(PTRACE_GETREGSET, t->tid, NT_PRSTATUS, &iov) ||
		    iov.iov_len != sizeof(regs))
			continue; /* the debugger let this one run */
		insp_registers_fill(t, &regs);
		rc = copy_stack(target, &regions, pool, t);
		if (rc)
			return insp_fail(err, INSP_E_NOMEM, "out of memory for stacks");
	}
	return rc;
}

static void make_ops(void)
{
	inferior_ops = insp_target_live;
	inferior_ops.name = "inferior";
	inferior_ops.title = "process held by a debugger";
	inferior_ops.claims = NULL;
	inferior_ops.threads = inferior_threads;
	inferior_ops.stop = NULL;
	inferior_ops.held = NULL;
	inferior_ops.resume = NULL;
}

const struct insp_target_ops *insp_target_inferior(void)
{
	(void)pthread_once(&once, make_ops);
	return &inferior_ops;
}
