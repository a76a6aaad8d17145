/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * check: the hook with a second opinion: each stack that it captures is compared with what libgcc's
 * _Unwind_Backtrace says. Linked in front of the hook's own insp_hook_capture (ld --wrap); at the
 * end of the process the counts go to the file that HOOK_CHECK names, a line a process.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "hook/hook.h"

#define DEPTH 512

uint32_t __real_insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp);
uint32_t __wrap_insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp);

static uint64_t checked, different, lost, cut, shown;

struct trace {
	uint64_t pcs[DEPTH];
	size_t n;
};

static _Unwind_Reason_Code add(struct _Unwind_Context *context, void *arg)
{
	struct trace *t = arg;
	int before;
	uint64_t pc = _Unwind_GetIPInfo(context, &before);

	if (t->n == DEPTH)
		return _URC_END_OF_STACK;
	/* The hook notes an interrupted frame as address + 1. */
	t->pcs[t->n++] = pc + (before ? 1 : 0);
	return _URC_NO_REASON;
}

static const struct insp_hook_frame *frame(uint32_t i)
{
	uint32_t above = i / INSP_HOOK_SEGMENT;
	unsigned k = above ? 32 - (unsigned)__builtin_clz(above) : 0;
	uint32_t first = k ? INSP_HOOK_SEGMENT << (k - 1) : 0;

	return (const struct insp_hook_frame *)insp_hook_header.frames[k] + (i - first);
}

static uint32_t frame_of_site(uint32_t i)
{
	uint32_t above = i / INSP_HOOK_SEGMENT;
	unsigned k = above ? 32 - (unsigned)__builtin_clz(above) : 0;
	uint32_t first = k ? INSP_HOOK_SEGMENT << (k - 1) : 0;

	return ((const uint32_t *)insp_hook_header.sites[k])[i - first];
}

static void complain(const struct trace *ours, const struct trace *theirs, size_t at)
{
	char line[256];
	size_t n = ours->n > theirs->n - at ? ours->n : theirs->n - at;

	if (__atomic_fetch_add(&shown, 1, __ATOMIC_RELAXED) >= 3)
		return;
	for (size_t i = 0; i < n && i < 40; i++) {
		int len = snprintf(line, sizeof(line), "%zu: %lx, libgcc: %lx\n", i,
				   i < ours->n ? ours->pcs[i] : 0,
				   at + i < theirs->n ? theirs->pcs[at + i] : 0);

		(void)!write(2, line, (size_t)len);
	}
}

uint32_t __wrap_insp_hook_capture(struct insp_hook_thread *t, uint64_t pc, uint64_t sp, uint64_t bp)
{
	uint32_t site = __real_insp_hook_capture(t, pc, sp, bp);
	static __thread unsigned turn;
	struct trace ours = {.n = 0}, theirs = {.n = 0};
	uint64_t mark = 0;
	size_t at = 0;

	/* libgcc takes a hundred times as long. */
	if (!site || turn++ % 16)
		return site;
	for (uint32_t f = frame_of_site(site); f && ours.n < DEPTH; f = frame(f)->parent) {
		if (frame(f)->pc <= INSP_HOOK_PC_LOST)
			mark = frame(f)->pc;
		else
			ours.pcs[ours.n++] = frame(f)->pc;
	}
	_Unwind_Backtrace(add, &theirs);
	while (theirs.n && !theirs.pcs[theirs.n - 1])
		theirs.n--;
	while (at < theirs.n && theirs.pcs[at] != ours.pcs[0])
		at++;
	__atomic_fetch_add(&checked, 1, __ATOMIC_RELAXED);
	if (mark == INSP_HOOK_PC_TRUNCATED) {
		__atomic_fetch_add(&cut, 1, __ATOMIC_RELAXED);
		theirs.n = at + ours.n < theirs.n ? at + ours.n : theirs.n;
	} else if (mark == INSP_HOOK_PC_LOST) {
		__atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
	}
	bool equal = theirs.n - at == ours.n && theirs.n < DEPTH;

	for (size_t i = 0; equal && i < ours.n; i++)
		equal = theirs.pcs[at + i] == ours.pcs[i];
	if (!equal) {
		__atomic_fetch_add(&different, 1, __ATOMIC_RELAXED);
		complain(&ours, &theirs, at);
	}
	return site;
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("HOOK_CHECK");
	int fd = path && checked ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	char line[256];

	if (fd < 0)
		return;
	int n = snprintf(line, sizeof(line), "checked %lu different %lu lost %lu cut %lu\n", checked,
			 different, lost, cut);

	(void)!write(fd, line, (size_t)n);
	(void)close(fd);
}
