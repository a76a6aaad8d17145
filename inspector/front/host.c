/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <meminspect/meminspect.h>

#include "base/pool.h"
#include "base/vec.h"

#define STACK_BYTES   (64u << 10)
#define REGIONS_MAX   1000000
#define THREADS_MAX   100000
#define REGION_FIRST_BYTES (offsetof(struct meminspect_region, name) + sizeof(const char *))
#define THREAD_FIRST_BYTES (offsetof(struct meminspect_thread, fs_base) + sizeof(uint64_t))

static const struct meminspect_host *host_of(const struct insp_target *target)
{
	return target->priv;
}

static int host_open(struct insp_target *target, const char *spec, struct insp_error *err)
{
	const struct meminspect_host *host = host_of(target);

	(void)spec;
	if (!host->read || !host->regions)
		return insp_fail(err, INSP_E_USAGE, "a host needs the callbacks read and regions");
	target->pid = target->ns_pid = host->pid;
	target->page_size = host->page_size ? host->page_size : 4096;
	memcpy(target->comm, host->name ? host->name : "?",
	       strnlen(host->name ? host->name : "?", sizeof(target->comm) - 1));
	return 0;
}

static void host_close(struct insp_target *target)
{
	(void)target;
}

static size_t host_read(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes)
{
	size_t n = host_of(target)->read(host_of(target)->ctx, addr, buf, size_bytes);

	return n < size_bytes ? n : size_bytes;
}

/* ---- regions */

struct region_list {
	INSP_VEC(struct insp_region) v;
	struct insp_pool *pool;
	uint64_t page_mask;
	bool failed;
};

/* What breaks the rules (order, overlap, no size) is left out. */
static void add_region(void *to, const struct meminspect_region *region)
{
	struct region_list *list = to;
	uint64_t last = list->v.n ? list->v.items[list->v.n - 1].end : 0;
	const char *name = region->name ? region->name : "";
	struct insp_region *r;

	if (region->size_bytes < REGION_FIRST_BYTES || region->start >= region->end ||
	    region->start < last || ((region->start | region->end) & list->page_mask) ||
	    list->v.n >= REGIONS_MAX)
		return;
	r = insp_vec_push(&list->v);
	if (!r) {
		list->failed = true;
		return;
	}
	r->start = region->start;
	r->end = region->end;
	r->offset = region->offset;
	r->inode = region->inode ? region->inode
		   : name[0] == '/' ? insp_region_inode_of_name(name)
				    : 0;
	r->prot = region->prot & (INSP_PROT_READ | INSP_PROT_WRITE | INSP_PROT_EXEC);
	r->flags = region->prot & MEMINSPECT_SHARED ? INSP_REGION_SHARED : 0;
	if (strcmp(name, "[heap]") == 0)
		r->flags |= INSP_REGION_BRK;
	if (strcmp(name, "[stack]") == 0)
		r->flags |= INSP_REGION_STACK;
	r->name = insp_pool_strdup(list->pool, name);
	list->failed |= !r->name;
}

static int host_regions(struct insp_target *target, struct insp_pool *pool, struct insp_regions *ret,
			struct insp_error *err)
{
	const struct meminspect_host *host = host_of(target);
	struct region_list list = {.pool = pool, .page_mask = target->page_size - 1};
	struct insp_regions regions = {0};

	if (host->regions(host->ctx, add_region, &list) < 0) {
		insp_vec_free(&list.v);
		return insp_fail(err, INSP_E_UNSUPPORTED, "the mappings of the target are not known");
	}
	regions.items = insp_pool_memdup(pool, list.v.items, list.v.n * sizeof(*regions.items));
	regions.n = regions.cap = list.v.n;
	insp_vec_free(&list.v);
	if (list.failed || !regions.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*ret = regions;
	return 0;
}

/* ---- threads */

_Static_assert(MEMINSPECT_NREGS == INSP_N_REGS, "registers of the API and of the model");

struct thread_list {
	INSP_VEC(struct insp_thread) v;
	bool failed;
};

static void add_thread(void *to, const struct meminspect_thread *thread)
{
	struct thread_list *list = to;
	struct insp_thread *t;

	if (thread->size_bytes < THREAD_FIRST_BYTES || list->v.n >= THREADS_MAX)
		return;
	t = insp_vec_push(&list->v);
	if (!t) {
		list->failed = true;
		return;
	}
	t->tid = t->ns_tid = thread->tid;
	t->state = 't';
	t->have_regs = thread->have_regs != 0;
	memcpy(t->regs, thread->regs, sizeof(t->regs));
	t->orig_rax = (uint64_t)thread->orig_rax;
	t->syscall = thread->orig_rax;
	t->fs_base = thread->fs_base;
	if (thread->name)
		memcpy(t->name, thread->name, strnlen(thread->name, sizeof(t->name) - 1));
}

static int fill_stack(struct insp_target *target, const struct insp_regions *regions,
		      struct insp_pool *pool, struct insp_thread *t)
{
	uint64_t from = t->regs[INSP_REG_RSP] - INSP_RED_ZONE_BYTES, n;
	const struct insp_region *r = insp_regions_find(regions, t->regs[INSP_REG_RSP]);

	if (!t->have_regs || !r)
		return 0;
	from = from < r->start || from >= r->end ? r->start : from;
	n = r->end - from < STACK_BYTES ? r->end - from : STACK_BYTES;
	t->stack_start = r->start;
	t->stack_end = r->end;
	t->stack_bytes = insp_pool_alloc(pool, n);
	if (!t->stack_bytes)
		return INSP_E_NOMEM;
	t->stack_addr = from;
	t->stack_len = host_read(target, from, t->stack_bytes, n);
	return 0;
}

static int host_threads(struct insp_target *target, struct insp_pool *pool, struct insp_threads *ret,
			struct insp_error *err)
{
	const struct meminspect_host *host = host_of(target);
	struct insp_threads threads = {0};
	struct thread_list list = {0};
	struct insp_regions regions;
	int rc;

	if (!host->threads) {
		*ret = threads;
		return 0;
	}
	rc = host_regions(target, pool, &regions, err);
	if (rc)
		return rc;
	if (host->threads(host->ctx, add_thread, &list) < 0) {
		insp_vec_free(&list.v);
		return insp_fail(err, INSP_E_UNSUPPORTED, "the threads of the target are not known");
	}
	threads.items = insp_pool_memdup(pool, list.v.items, list.v.n * sizeof(*threads.items));
	threads.n = threads.cap = list.v.n;
	insp_vec_free(&list.v);
	if (list.failed || !threads.items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < threads.n; i++)
		if (fill_stack(target, &regions, pool, &threads.items[i]))
			return insp_fail(err, INSP_E_NOMEM, "out of memory for stacks");
	*ret = threads;
	return 0;
}

static int host_open_file(struct insp_target *target, enum insp_target_file which,
			  const struct insp_region *region, struct insp_error *err)
{
	const struct meminspect_host *host = host_of(target);
	int fd;

	if (which != INSP_TARGET_REGION_FILE || !region || region->name[0] != '/')
		return insp_fail(err, INSP_E_NOTFOUND, "no file is named");
	fd = host->open_file ? host->open_file(host->ctx, region->name)
			     : open(region->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return insp_fail(err, INSP_E_NOTFOUND, "'%s' cannot be opened", region->name);
	return fd;
}

const struct insp_target_ops insp_target_host = {
	.name = "host",
	.title = "target of another program",
	.open = host_open,
	.close = host_close,
	.read = host_read,
	.regions = host_regions,
	.threads = host_threads,
	.open_file = host_open_file,
};
