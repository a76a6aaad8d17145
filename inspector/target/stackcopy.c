/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stackcopy: the used part of every stack, in few system calls and without touching a page that
 * the target has not touched itself.
 *
 *     [ red zone | rsp ........ callers ........ ] end of the mapping
 *       ^ stack_addr                               or stack_bytes further, what comes first
 *
 * All stacks go into one buffer, one behind the other. It is reserved for the worst case, but
 * only what the stacks will need, judged by where they stood shortly before, is touched
 * beforehand: a fresh page costs more than to copy it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/live.h"
#include "target/proc.h"
#include "target/tracer_inside.h"

#define PAGE		   4096ull
#define UNKNOWN_BYTES	   (32u << 10)	 /* to expect of a thread that was running */
#define SPARE_BYTES	   (1u << 20)
#define PREFAULT_MAX_BYTES (256ull << 20)
#define RESERVE_MAX_BYTES  (4ull << 30)

void insp_stack_bytes_drop(void *bytes)
{
	struct insp_stack_bytes *b = bytes;

	if (!b || atomic_fetch_sub(&b->shares, 1) != 1)
		return;
	if (b->bytes)
		(void)munmap(b->bytes, b->size_bytes);
	free(b);
}

struct insp_stack_bytes *insp_tracer_stacks(struct insp_tracer *t)
{
	if (t->stacks)
		atomic_fetch_add(&t->stacks->shares, 1);
	return t->stacks;
}

uint8_t *insp_stack_bytes_at(struct insp_stack_bytes *bytes, size_t off)
{
	return bytes->bytes + off;
}

/* What to copy for a stack pointer: [*lo, *hi). False: it points nowhere. */
static bool stack_range(const struct insp_tracer *t, uint64_t sp, uint64_t *lo, uint64_t *hi,
			const struct insp_region **ret_region)
{
	const struct insp_region *r = insp_regions_find(&t->regions, sp);

	if (sp < PAGE || sp > (uint64_t)INT64_MAX - t->opts.stack_bytes)
		return false;
	*lo = sp - INSP_RED_ZONE_BYTES;
	*hi = sp + t->opts.stack_bytes;
	*ret_region = r;
	if (!r)
		return true; /* a new mapping: its pages tell how far it goes */
	if (r->flags & INSP_REGION_DEVICE)
		return false;
	if (*lo < r->start)
		*lo = r->start;
	if (*hi > r->end)
		*hi = r->end;
	return true;
}

static size_t expected_bytes(const struct insp_tracer *t)
{
	uint64_t sum = SPARE_BYTES, lo, hi;
	const struct insp_region *r;

	for (size_t i = 0; i < t->n; i++) {
		uint64_t sp = t->tracees[i].task.sp;

		if (sp && stack_range(t, sp, &lo, &hi, &r) && r)
			sum += hi - lo + PAGE;
		else
			sum += UNKNOWN_BYTES;
	}
	return sum < PREFAULT_MAX_BYTES ? (size_t)sum : (size_t)PREFAULT_MAX_BYTES;
}

int insp_stackcopy_prepare(struct insp_tracer *t, struct insp_error *err)
{
	uint64_t each = (t->opts.stack_bytes + INSP_RED_ZONE_BYTES + 15) & ~15ull;
	uint64_t reserve = (t->n + t->n / 4 + 64) * each;
	size_t expected;

	if (!t->opts.stack_bytes)
		return 0;
	if (reserve > RESERVE_MAX_BYTES)
		reserve = RESERVE_MAX_BYTES;
	t->nentries = t->opts.stack_bytes / PAGE + 3;
	t->entries = calloc(t->nentries, sizeof(*t->entries));
	t->local = calloc(INSP_IOVECS_MAX, sizeof(*t->local));
	t->remote = calloc(INSP_IOVECS_MAX, sizeof(*t->remote));
	t->owner = calloc(INSP_IOVECS_MAX, sizeof(struct insp_tracee *));
	t->stacks = calloc(1, sizeof(*t->stacks));
	if (!t->entries || !t->local || !t->remote || !t->owner || !t->stacks)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	atomic_store(&t->stacks->shares, 1);
	t->stacks->bytes = mmap(NULL, reserve, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->stacks->bytes == MAP_FAILED) {
		t->stacks->bytes = NULL;
		return insp_fail(err, INSP_E_NOMEM, "out of memory for the stacks of %zu threads",
				 t->n);
	}
	t->stacks->size_bytes = reserve;
	expected = expected_bytes(t);
	if (expected > reserve)
		expected = reserve;
	for (size_t at = 0; at < expected; at += PAGE)
		((volatile uint8_t *)t->stacks->bytes)[at] = 0;
	return 0;
}

void insp_stackcopy_free(struct insp_tracer *t)
{
	insp_stack_bytes_drop(t->stacks);
	free(t->entries);
	free(t->local);
	free(t->remote);
	free(t->owner);
}

/* A piece could not be read: its stack ends before it. */
static void piece_failed(struct insp_tracee *tracee, uint64_t addr)
{
	if (addr - tracee->stack_addr < tracee->stack_len)
		tracee->stack_len = addr - tracee->stack_addr;
}

static void flush_by_one(struct insp_tracer *t, size_t i)
{
	uint64_t addr = (uintptr_t)t->remote[i].iov_base;
	size_t n = insp_live_read(t->live, addr, t->local[i].iov_base, t->local[i].iov_len);

	if (n < t->local[i].iov_len)
		piece_failed(t->owner[i], addr + n);
}

static void flush(struct insp_tracer *t)
{
	size_t i = 0;

	while (i < t->niov) {
		ssize_t n = process_vm_readv(t->live->vm_tid, t->local + i, t->niov - i,
					     t->remote + i, t->niov - i, 0);

		t->steps++;
		while (n > 0 && i < t->niov && (size_t)n >= t->local[i].iov_len)
			n -= (ssize_t)t->local[i++].iov_len;
		/* What is at i now could not be read in full, or nothing of it. */
		if (i < t->niov)
			flush_by_one(t, i++);
	}
	t->niov = 0;
}

static void add_piece(struct insp_tracer *t, struct insp_tracee *tracee, uint64_t from, uint64_t to)
{
	if (t->niov == INSP_IOVECS_MAX)
		flush(t);
	t->local[t->niov] = (struct iovec){
		.iov_base = t->stacks->bytes + tracee->stack_off + (from - tracee->stack_addr),
		.iov_len = to - from,
	};
	t->remote[t->niov] = (struct iovec){.iov_base = (void *)(uintptr_t)from, .iov_len = to - from};
	t->owner[t->niov++] = tracee;
}

/* How many of the npages from addr on can be told: t->entries. Without pagemap all count as there. */
static size_t page_entries(struct insp_tracer *t, uint64_t addr, size_t npages)
{
	ssize_t n;

	if (t->live->pagemap_fd < 0) {
		memset(t->entries, 0xff, npages * sizeof(*t->entries));
		return npages;
	}
	n = pread(t->live->pagemap_fd, t->entries, npages * sizeof(*t->entries),
		  (off_t)(addr / PAGE * sizeof(*t->entries)));
	return n > 0 ? (size_t)n / sizeof(*t->entries) : 0;
}

static void copy_stack(struct insp_tracer *t, struct insp_tracee *tracee)
{
	const struct insp_region *region;
	uint64_t lo, hi, page, end = 0;
	size_t n, room;

	if (!stack_range(t, tracee->regs.rsp, &lo, &hi, &region))
		return;
	if (region) {
		tracee->region_start = region->start;
		tracee->region_end = region->end;
	}
	room = t->stacks->size_bytes - t->stacks->used_bytes;
	if (hi - lo > room)
		hi = lo + room;
	page = lo & ~(PAGE - 1);
	n = page_entries(t, page, (size_t)((hi - 1) / PAGE - page / PAGE + 1));
	tracee->stack_addr = lo;
	tracee->stack_off = t->stacks->used_bytes;
	tracee->stack_len = hi - lo;
	for (size_t i = 0; i < n; i++, page += PAGE) {
		uint64_t from = page < lo ? lo : page, to = page + PAGE < hi ? page + PAGE : hi;
		enum insp_page_state state = insp_proc_page_state(t->entries[i], false);

		if (state == INSP_PAGE_SWAPPED)
			break;
		/* Never touched: zero, as the buffer is. In no mapping that we know: the end. */
		if (state != INSP_PAGE_PRESENT) {
			if (!region && page > lo)
				break;
			continue;
		}
		if (end == from && t->niov && t->owner[t->niov - 1] == tracee) {
			t->local[t->niov - 1].iov_len += to - from;
			t->remote[t->niov - 1].iov_len += to - from;
		} else {
			add_piece(t, tracee, from, to);
		}
		end = to;
	}
	tracee->stack_len = end ? end - lo : 0;
	t->stacks->used_bytes += (tracee->stack_len + 15) & ~15ull;
}

void insp_stackcopy_run(struct insp_tracer *t)
{
	if (!t->stacks)
		return;
	for (size_t i = 0; i < t->n; i++)
		if (t->tracees[i].phase == INSP_TRACEE_STOPPED && t->tracees[i].have_regs)
			copy_stack(t, &t->tracees[i]);
	flush(t);
}
