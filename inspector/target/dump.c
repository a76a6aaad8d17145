/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/dump.h"

#include <string.h>

#include "base/log.h"

#define PAGE   4096u
#define WINDOW (INSP_DUMP_BLOCK_BYTES / PAGE)

static void states_of(struct insp_target *memory, uint64_t addr, size_t n, uint8_t *states)
{
	if (!memory->ops->pages || memory->ops->pages(memory, addr, n, states))
		memset(states, INSP_PAGE_PRESENT, n);
}

/* A run of pages that should be there: as far as they can be read; the rest is said to be missing. */
static int dump_run(struct insp_target *memory, uint64_t addr, size_t n, uint8_t *buf, insp_dump_fn fn,
		    void *ctx)
{
	int rc = 0;

	while (n && !rc) {
		size_t got = memory->ops->read(memory, addr, buf, n) & ~(size_t)(PAGE - 1);

		if (got)
			rc = fn(ctx, addr, buf, got);
		addr += got;
		n -= got;
		if (n && !rc) {
			rc = fn(ctx, addr, NULL, PAGE);
			addr += PAGE;
			n -= PAGE;
		}
	}
	return rc;
}

int insp_dump_region(struct insp_target *memory, const struct insp_region *region, uint8_t *buf,
		     insp_dump_fn fn, void *ctx)
{
	bool vdso = !strcmp(region->name, "[vdso]"); /* the kernel's own: costs the target nothing */
	uint8_t states[WINDOW];

	for (uint64_t at = region->start; at < region->end; at += WINDOW * PAGE) {
		size_t n = (size_t)((region->end - at) / PAGE);

		n = n < WINDOW ? n : WINDOW;
		if (insp_interrupted())
			return INSP_E_INTERRUPTED;
		if (vdso)
			memset(states, INSP_PAGE_PRESENT, n);
		else
			states_of(memory, at, n, states);
		for (size_t i = 0, to; i < n; i = to) {
			uint64_t addr = at + i * PAGE;
			int rc = 0;

			for (to = i + 1; to < n && states[to] == states[i];)
				to++;
			if (states[i] == INSP_PAGE_PRESENT)
				rc = dump_run(memory, addr, (to - i) * PAGE, buf, fn, ctx);
			else if (states[i] == INSP_PAGE_SWAPPED)
				rc = fn(ctx, addr, NULL, (to - i) * PAGE);
			if (rc)
				return rc;
		}
	}
	return 0;
}

uint64_t insp_dump_bytes(struct insp_target *memory, uint64_t start, uint64_t end)
{
	uint8_t states[WINDOW];
	uint64_t bytes = 0;

	for (uint64_t at = start; at < end; at += WINDOW * PAGE) {
		size_t n = (size_t)((end - at) / PAGE);

		n = n < WINDOW ? n : WINDOW;
		states_of(memory, at, n, states);
		for (size_t i = 0; i < n; i++)
			bytes += states[i] == INSP_PAGE_PRESENT ? PAGE : 0;
	}
	return bytes;
}

/* The loader makes a part of a file's data read-only again after it wrote to it (RELRO): it lies right
   before the part that stayed writable, and debuggers look for the list of libraries in it. */
static bool relro(const struct insp_regions *regions, size_t i)
{
	const struct insp_region *r = &regions->items[i];

	return i + 1 < regions->n && r[1].start == r->end && r[1].inode == r->inode &&
	       r[1].prot & INSP_PROT_WRITE && !(r->prot & INSP_PROT_EXEC);
}

bool insp_dump_wants(const struct insp_regions *regions, size_t i)
{
	const struct insp_region *r = &regions->items[i];

	if (!(r->prot & INSP_PROT_READ) || r->flags & (INSP_REGION_DEVICE | INSP_REGION_SHARED) ||
	    !strncmp(r->name, "[vvar", 5) || !strcmp(r->name, "[vsyscall]"))
		return false;
	return r->prot & INSP_PROT_WRITE || insp_region_anonymous(r) || relro(regions, i);
}
