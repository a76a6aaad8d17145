/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pool.h"
#include "target/proc.h"

#define PAGE	    4096u
#define RUN_PAGES   256u   /* read at once: what lies between two looks at Ctrl-C */
#define PAGES_MAX   262144u /* 1 GiB; a page displaces the one that many pages before it */
#define THREADS_MAX 65536
#define REG_WORDS   (3 + MEMINSPECT_NREGS)
#define RAN_BYTES   64 /* room for three numbers */

struct page {
	uint64_t addr;
	int readable;
	uint8_t bytes[PAGE];
};

struct remote {
	struct gdb_context ctx;
	struct gdb_unwind_callbacks *cb;
	struct meminspect_host host;
	struct insp_pool *pool; /* of the regions */
	struct insp_regions regions;
	struct meminspect_thread *threads;
	char (*names)[16]; /* of the threads */
	size_t nthreads;
	uint64_t fingerprint;
	uint8_t *run; /* RUN_PAGES pages */
	struct page *pages[PAGES_MAX];
};

struct remote *remote_create(void)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (r)
		r->run = malloc((size_t)RUN_PAGES * PAGE);
	if (r && r->run)
		return r;
	free(r);
	return NULL;
}

void remote_forget(struct remote *r)
{
	for (size_t i = 0; i < PAGES_MAX; i++) {
		free(r->pages[i]);
		r->pages[i] = NULL;
	}
}

static void forget_told(struct remote *r)
{
	insp_pool_destroy(r->pool);
	free(r->threads);
	free(r->names);
	r->pool = NULL;
	r->threads = NULL;
	r->names = NULL;
	r->nthreads = 0;
	r->regions = (struct insp_regions){0};
	r->fingerprint = 0;
}

void remote_destroy(struct remote *r)
{
	if (!r)
		return;
	remote_forget(r);
	forget_told(r);
	free(r->run);
	free(r);
}

/* ---- what GDB told */

static void take_regions(struct remote *r, const char *maps)
{
	r->pool = insp_pool_create();
	if (!r->pool || insp_proc_maps(maps, strlen(maps), r->pool, &r->regions, NULL))
		r->regions = (struct insp_regions){0};
}

/* How many words of the record at w: up to the next mark. */
static size_t record_words(const uint64_t *w, size_t n)
{
	size_t len = 1;

	while (len < n && w[len] != REMOTE_MARK)
		len++;
	return len;
}

static void take_registers(struct remote *r, const uint64_t *w, size_t n)
{
	size_t cap = n / REG_WORDS < THREADS_MAX ? n / REG_WORDS : THREADS_MAX, len;

	r->threads = calloc(cap + 1, sizeof(*r->threads));
	r->names = calloc(cap + 1, sizeof(*r->names));
	for (; r->threads && r->names && n && r->nthreads < cap; w += len, n -= len) {
		struct meminspect_thread *t = &r->threads[r->nthreads];

		len = record_words(w, n);
		if (len < REG_WORDS || w[0] != REMOTE_MARK || w[1] != (uint64_t)r->ctx.inferior)
			continue;
		*t = (struct meminspect_thread){
			.size_bytes = sizeof(*t),
			.tid = (int)w[2], /* until its heading says more */
			.have_regs = 1,
			.orig_rax = -1,
			.fs_base = len > REG_WORDS ? w[REG_WORDS] : 0,
		};
		memcpy(t->regs, w + 3, sizeof(t->regs));
		r->nthreads++;
	}
}

struct heading {
	struct remote *remote;
	const struct meminspect_thread *until; /* those before still have their numbers in GDB */
};

/* Threads come in falling order, in the headings as in the records. */
static void add_heading(void *to, const struct gdb_thread *heading)
{
	struct heading *at = to;
	struct remote *r = at->remote;

	if (heading->inferior && heading->inferior != r->ctx.inferior)
		return;
	for (size_t i = (size_t)(at->until - r->threads); i < r->nthreads; i++) {
		if (r->threads[i].tid != heading->number)
			continue;
		snprintf(r->names[i], sizeof(r->names[i]), "%s",
			 heading->name[0] ? heading->name : r->ctx.name);
		r->threads[i].name = r->names[i];
		r->threads[i].tid = heading->tid ? heading->tid : heading->number;
		at->until = &r->threads[i + 1];
		return;
	}
}

void remote_take(struct remote *r, const struct gdb_context *ctx, const struct remote_told *told)
{
	forget_told(r);
	r->ctx = *ctx;
	take_regions(r, told->maps);
	take_registers(r, told->registers, told->nregisters);
	if (r->nthreads)
		gdb_context_threads(told->threads, add_heading,
				    &(struct heading){.remote = r, .until = r->threads});
}

const struct gdb_context *remote_context(const struct remote *r)
{
	return &r->ctx;
}

/* ---- has it run? */

void remote_ask_ran(const struct remote *r, FILE *commands, int fd, size_t pipe_bytes)
{
	/* GDB would wait for ever for room in the pipe. */
	if (!r->nthreads || r->nthreads > pipe_bytes / RAN_BYTES)
		return;
	fputs("with confirm off -- define _meminspect_ran\n", commands); /* it may be defined already */
	for (size_t i = 0; i < r->nthreads; i++)
		fprintf(commands, "remote get /proc/%d/schedstat /proc/self/fd/%d\n", r->threads[i].tid, fd);
	fputs("end\nframe apply level 0 -s -q _meminspect_ran\n", commands);
}

/* A line a thread: run time in ns, wait time in ns, timeslices. A kernel that does not count says
   zeroes, and so does a thread that never ran. */
uint64_t remote_ran(const struct remote *r, const char *text)
{
	uint64_t sum = 14695981039346656037u;
	size_t lines = 0;

	for (char before = '\n'; *text; before = *text++) {
		if (lines == r->nthreads || (before == '\n' && *text == '0'))
			return 0;
		sum = (sum ^ (uint8_t)*text) * 1099511628211u;
		lines += *text == '\n';
	}
	return lines && lines == r->nthreads ? sum : 0;
}

void remote_note_ran(struct remote *r, uint64_t ran)
{
	r->fingerprint = ran;
}

uint64_t remote_fingerprint(const struct remote *r)
{
	return r->fingerprint;
}

/* ---- memory */

static struct page **slot_of(struct remote *r, uint64_t addr)
{
	return &r->pages[addr / PAGE % PAGES_MAX];
}

static const struct page *known(struct remote *r, uint64_t addr)
{
	const struct page *page = *slot_of(r, addr);

	return page && page->addr == addr ? page : NULL;
}

/* bytes NULL: cannot be read. */
static void keep(struct remote *r, uint64_t addr, const uint8_t *bytes)
{
	struct page **slot = slot_of(r, addr);

	if (!*slot)
		*slot = malloc(sizeof(**slot));
	if (!*slot)
		return;
	(*slot)->addr = addr;
	(*slot)->readable = bytes != NULL;
	if (bytes)
		memcpy((*slot)->bytes, bytes, PAGE);
}

/* GDB reads all of it or nothing: where it fails, halves are tried. */
static void fetch(struct remote *r, uint64_t addr, size_t npages)
{
	if (insp_interrupted())
		return;
	if (r->cb->target_read(addr, r->run, (int)(npages * PAGE)) == GDB_SUCCESS) {
		for (size_t i = 0; i < npages; i++)
			keep(r, addr + i * PAGE, r->run + i * PAGE);
	} else if (npages == 1) {
		keep(r, addr, NULL);
	} else {
		fetch(r, addr, npages / 2);
		fetch(r, addr + npages / 2 * PAGE, npages - npages / 2);
	}
}

/* NULL: cannot be read, or no memory, or Ctrl-C. wanted: bytes from addr on that follow. */
static const struct page *page_at(struct remote *r, uint64_t addr, size_t wanted)
{
	const struct page *page = known(r, addr);
	size_t n = 1;

	if (!page) {
		while (n < RUN_PAGES && n * PAGE < wanted && !known(r, addr + n * PAGE))
			n++;
		fetch(r, addr, n);
		page = known(r, addr);
	}
	return page && page->readable ? page : NULL;
}

static size_t host_read(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct remote *r = ctx;
	size_t done = 0;

	while (done < size) {
		size_t off = (size_t)((addr + done) % PAGE), n = PAGE - off;
		const struct page *page = page_at(r, addr + done - off, off + size - done);

		if (!page)
			break;
		n = n < size - done ? n : size - done;
		memcpy((char *)buf + done, page->bytes + off, n);
		done += n;
	}
	return done;
}

/* ---- the host of the core */

static int host_regions(void *ctx, void (*add)(void *to, const struct meminspect_region *region),
			void *to)
{
	const struct remote *r = ctx;

	for (size_t i = 0; i < r->regions.n; i++) {
		const struct insp_region *from = &r->regions.items[i];

		add(to, &(struct meminspect_region){
				.size_bytes = sizeof(struct meminspect_region),
				.start = from->start,
				.end = from->end,
				.offset = from->offset,
				.inode = from->inode,
				/* Reading a device may have effects. */
				.prot = (from->flags & INSP_REGION_DEVICE ? 0 : from->prot) |
					(from->flags & INSP_REGION_SHARED ? MEMINSPECT_SHARED : 0),
				.name = from->name,
			});
	}
	return 0;
}

static int host_threads(void *ctx, void (*add)(void *to, const struct meminspect_thread *thread),
			void *to)
{
	const struct remote *r = ctx;

	for (size_t i = r->nthreads; i-- > 0;)
		add(to, &r->threads[i]);
	return 0;
}

/* The file there may be another one here: who reads it compares it with what is mapped. */
static int host_open_file(void *ctx, const char *path)
{
	const struct remote *r = ctx;
	char at[sizeof(r->ctx.sysroot) + 4096];

	if (snprintf(at, sizeof(at), "%s%s", r->ctx.sysroot, path) >= (int)sizeof(at))
		return -1;
	return open(at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

const struct meminspect_host *remote_host(struct remote *r, char *error, size_t error_bytes)
{
	_Static_assert((int)MEMINSPECT_READ == INSP_PROT_READ && (int)MEMINSPECT_WRITE == INSP_PROT_WRITE &&
			       (int)MEMINSPECT_EXEC == INSP_PROT_EXEC,
		       "rights of the API and of the model");

	if (!r->regions.n) {
		snprintf(error, error_bytes, "the remote target does not show /proc/%d/maps", r->ctx.pid);
		return NULL;
	}
	r->host = (struct meminspect_host){
		.size_bytes = sizeof(r->host),
		.ctx = r,
		.kind = "gdb",
		.pid = r->ctx.pid,
		.name = r->ctx.name,
		.read = host_read,
		.regions = host_regions,
		.threads = host_threads,
		.open_file = host_open_file,
	};
	return &r->host;
}

void remote_attach(struct remote *r, struct gdb_unwind_callbacks *cb)
{
	r->cb = cb;
}
