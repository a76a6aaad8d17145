/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * allregs: every register of the threads of a held process, as the kernel hands them out: for a core, whose
 * readers want flags, floating point and vectors as well. Nobody else here does.
 */
#include <cpuid.h>
#include <elf.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "base/pool.h"
#include "target/live.h"
#include "target/tracer.h"

#define XSAVE_LEAF 0xd
#define XSAVE_MIN  4096u
#define XSAVE_MAX  (64u << 10)

/* Room for what the kernel may hand out for a thread: the area for all that the processor can, of which
   a hypervisor may not tell the truth. */
static size_t xsave_bytes(void)
{
	unsigned a, b, size = 0, d;

	if (!__get_cpuid_count(XSAVE_LEAF, 0, &a, &b, &size, &d) || size > XSAVE_MAX)
		size = 0;
	return size > XSAVE_MIN ? size : XSAVE_MIN;
}

static size_t get(int tid, int which, uint8_t *to, size_t n)
{
	struct iovec iov = {.iov_base = to, .iov_len = n};

	return ptrace(PTRACE_GETREGSET, tid, (void *)(intptr_t)which, &iov) ? 0 : iov.iov_len;
}

/* In the tracer: no memory of its own to be had here. */
static int get_all(struct insp_tracer *tracer, void *ctx, struct insp_error *err)
{
	struct insp_threads *threads = ctx;

	(void)tracer;
	(void)err;
	for (size_t i = 0; i < threads->n; i++) {
		struct insp_thread *t = &threads->items[i];
		size_t room = t->xsave_bytes;

		if (!t->have_regs)
			continue;
		t->kernel_regs_bytes = get(t->tid, NT_PRSTATUS, t->kernel_regs, t->kernel_regs_bytes);
		t->xsave_bytes = get(t->tid, NT_X86_XSTATE, t->xsave, room);
		if (!t->xsave_bytes) /* a processor, or a kernel, without it */
			t->xsave_bytes = get(t->tid, NT_FPREGSET, t->xsave, room);
	}
	return 0;
}

int insp_live_all_registers(struct insp_target *target, struct insp_pool *pool, struct insp_threads *threads,
			    struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	size_t room = (xsave_bytes() + 15) & ~(size_t)15, each = sizeof(struct user_regs_struct);
	uint8_t *bytes;

	if (!live->tracer || !threads->n)
		return 0;
	bytes = insp_pool_array(pool, threads->n, room + each);
	if (!bytes)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the registers of %zu threads",
				 threads->n);
	for (size_t i = 0; i < threads->n; i++, bytes += room + each) {
		threads->items[i].xsave = bytes;
		threads->items[i].xsave_bytes = room;
		threads->items[i].kernel_regs = bytes + room;
		threads->items[i].kernel_regs_bytes = each;
	}
	return insp_tracer_call(live->tracer, get_all, threads, err);
}
