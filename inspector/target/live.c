/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * live: a running process as a target.
 *
 *     live.c    the row of the vtable: descriptors, memory, mappings, files
 *     find.c    names to pids, and why not
 *     task.c    what /proc says about a thread
 *     tracer.c  stopping it
 *     proc.c    the text of /proc
 *
 * Memory is read with process_vm_readv, and through /proc/PID/mem where that is refused. Pages
 * are never brought in by us: pages() tells the reader which ones are there.
 *
 * A process whose main thread has ended shows no memory under its own number, but under those of
 * its other threads: vm_tid is one that has it.
 */
#include "target/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own_memory.h"
#include "base/pool.h"
#include "base/vec.h"
#include "target/proc.h"
#include "target/registers.h"
#include "target/residency.h"
#include "target/task.h"
#include "target/tracer.h"
#include "target/usage.h"

#define OPEN_TRIES  20
#define CHECK_TRIES 6

static bool live_claims(const char *spec)
{
	return insp_live_names(spec);
}

static void live_let_go(struct insp_live *live, struct insp_stop_report *report)
{
	insp_tracer_resume(live->tracer, report);
	live->tracer = NULL;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

static void close_files(struct insp_live *live)
{
	close_fd(live->pagemap_fd);
	close_fd(live->mem_fd);
	close_fd(live->task_fd);
	close_fd(live->vm_fd);
	close_fd(live->proc_fd);
	live->pagemap_fd = live->mem_fd = live->task_fd = live->vm_fd = live->proc_fd = -1;
}

void insp_live_close(struct insp_live *live)
{
	if (!live)
		return;
	live_let_go(live, NULL);
	close_files(live);
	close_fd(live->pidfd);
	free(live->files);
	free(live);
}

static void live_close(struct insp_target *target)
{
	insp_live_close(insp_live_of(target));
	target->priv = NULL;
}

/* When memory runs short on the machine, this process is the one to go, not the target; and before
   that it gives up by itself. */
static void be_modest(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	uint64_t room = insp_usage_room();

	if (room != INSP_UNKNOWN)
		insp_own_memory_limit(room / 4 * 3);
	if (fd < 0)
		return;
	(void)!write(fd, "1000", 4); /* raising it is allowed to everybody; if not, so be it */
	(void)close(fd);
}

/* A thread that still has the memory: the main one, or one that outlived it. */
static int find_vm_tid(struct insp_live *live)
{
	struct insp_tids tids = {0};
	int tid = live->pid;

	if (insp_task_state(live->task_fd, tid) != 'Z')
		return tid;
	if (insp_task_list(live->task_fd, &tids))
		for (size_t i = 0; i < tids.n; i++) {
			char state = insp_task_state(live->task_fd, tids.items[i]);

			if (state && state != 'Z' && state != 'X') {
				tid = tids.items[i];
				break;
			}
		}
	insp_vec_free(&tids);
	return tid;
}

/* ELF class and machine of the program: EI_CLASS 2 and EM_X86_64 62. */
static bool is_x86_64(int proc_fd)
{
	int fd = openat(proc_fd, "exe", O_RDONLY | O_CLOEXEC);
	unsigned char head[20];
	bool yes;

	if (fd < 0)
		return sizeof(void *) == 8; /* unreadable: the length of the registers will tell */
	yes = read(fd, head, sizeof(head)) == sizeof(head) && !memcmp(head, "\177ELF\2", 5) &&
	      head[18] == 62 && !head[19];
	(void)close(fd);
	return yes;
}

static void fill_target(struct insp_target *target, struct insp_live *live)
{
	char buf[8192];
	uint64_t last;
	unsigned n;

	target->pid = target->ns_pid = live->pid;
	target->page_size = (uint32_t)sysconf(_SC_PAGESIZE);
	if (insp_proc_small(live->proc_fd, "comm", buf, sizeof(buf)) > 0) {
		buf[strcspn(buf, "\n")] = '\0';
		snprintf(target->comm, sizeof(target->comm), "%.15s", buf);
	}
	if (insp_proc_small(live->proc_fd, "status", buf, sizeof(buf)) > 0 &&
	    insp_proc_field_last(buf, "NSpid", &last, &n) && n > 1) {
		target->ns_pid = (int)last;
		live->nested = true;
	}
}

static int open_files(struct insp_live *live, struct insp_error *err)
{
	char path[48];

	close_files(live);
	snprintf(path, sizeof(path), "/proc/%d", live->pid);
	live->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (live->proc_fd >= 0)
		live->task_fd = openat(live->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (live->task_fd < 0)
		return insp_fail(err, INSP_E_GONE, "there is no process %d", live->pid);
	live->vm_tid = find_vm_tid(live);
	snprintf(path, sizeof(path), "%d", live->vm_tid);
	live->vm_fd = openat(live->task_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (live->vm_fd < 0)
		return insp_fail(err, INSP_E_GONE, "process %d has ended", live->pid);
	live->mem_fd = openat(live->vm_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (live->mem_fd < 0 && (errno == EACCES || errno == EPERM))
		return insp_live_refused(live->pid, err);
	if (live->mem_fd < 0)
		return insp_fail(err, INSP_E_GONE, "process %d has ended", live->pid);
	live->pagemap_fd = openat(live->vm_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	return 0;
}

int insp_live_open(int pid, struct insp_live **ret, struct insp_error *err)
{
	struct insp_live *live = calloc(1, sizeof(*live));
	int rc = 0;

	if (!live)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	live->pid = pid;
	live->proc_fd = live->vm_fd = live->task_fd = live->mem_fd = live->pagemap_fd = -1;
	live->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	for (int i = 0; i < OPEN_TRIES; i++) {
		rc = open_files(live, err);
		if (rc != INSP_E_GONE || kill(pid, 0))
			break;
		(void)usleep(1000);
	}
	if (rc) {
		insp_live_close(live);
		return rc;
	}
	live->is_x86_64 = is_x86_64(live->proc_fd);
	*ret = live;
	return 0;
}

static int live_open(struct insp_target *target, const char *spec, struct insp_error *err)
{
	struct insp_live *live;
	int pid, rc = insp_live_find(spec, &pid, err);

	if (rc)
		return rc;
	/* In the middle of an exec a process looks for a moment as if it had ended. */
	for (int i = 0; i < CHECK_TRIES; i++) {
		rc = insp_live_check(pid, err);
		if (rc != INSP_E_GONE)
			break;
		(void)usleep(500);
	}
	if (!rc)
		rc = insp_live_open(pid, &live, err);
	if (rc)
		return rc;
	target->priv = live;
	fill_target(target, live);
	if (target->ops == &insp_target_live) /* not inside a debugger: it is not ours to give up */
		be_modest();
	return 0;
}

static size_t read_mem_file(struct insp_live *live, uint64_t addr, char *buf, size_t size_bytes)
{
	size_t done = 0;

	while (done < size_bytes) {
		ssize_t n = pread(live->mem_fd, buf + done, size_bytes - done,
				  (off_t)(addr + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

size_t insp_live_read(struct insp_live *live, uint64_t addr, void *buf, size_t size_bytes)
{
	size_t done = 0;

	if (addr + size_bytes < addr || addr > INT64_MAX)
		return 0; /* kernel half: not memory of a process */
	if (atomic_load_explicit(&live->no_vm_readv, memory_order_relaxed))
		return read_mem_file(live, addr, buf, size_bytes);
	while (done < size_bytes) {
		struct iovec to = {.iov_base = (char *)buf + done, .iov_len = size_bytes - done};
		struct iovec from = {.iov_base = (void *)(uintptr_t)(addr + done),
				     .iov_len = size_bytes - done};
		ssize_t n = process_vm_readv(live->vm_tid, &to, 1, &from, 1, 0);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n < 0 && (errno == EPERM || errno == ENOSYS)) {
			atomic_store(&live->no_vm_readv, true);
			return done + read_mem_file(live, addr + done, (char *)buf + done,
						    size_bytes - done);
		}
		break;
	}
	return done;
}

static size_t live_read(struct insp_target *target, uint64_t addr, void *buf, size_t size_bytes)
{
	return insp_live_read(insp_live_of(target), addr, buf, size_bytes);
}

/* Remembers which pages have a file behind them: pagemap does not say so of absent ones. */
static int remember_files(struct insp_live *live, const struct insp_regions *regions)
{
	struct insp_file_range *files = malloc((regions->n + 1) * sizeof(*files));
	size_t n = 0;

	if (!files)
		return INSP_E_NOMEM;
	for (size_t i = 0; i < regions->n; i++)
		if (regions->items[i].inode)
			files[n++] = (struct insp_file_range){.start = regions->items[i].start,
							      .end = regions->items[i].end};
	free(live->files);
	live->files = files;
	live->nfiles = n;
	return 0;
}

int insp_live_regions(struct insp_live *live, struct insp_pool *pool, struct insp_regions *ret,
		      struct insp_error *err)
{
	char *text;
	size_t len;
	int rc = insp_proc_slurp(live->vm_fd, "maps", &text, &len);

	if (rc == -EACCES || rc == -EPERM)
		return insp_live_refused(live->pid, err);
	if (rc == -ENOENT || rc == -ESRCH)
		return insp_fail(err, INSP_E_GONE, "process %d has ended", live->pid);
	if (rc)
		return insp_fail_errno(err, INSP_E_IO, -rc, "/proc/%d/maps", live->pid);
	if (!len) {
		free(text);
		return insp_fail(err, INSP_E_GONE, "process %d has ended", live->pid);
	}
	rc = insp_proc_maps(text, len, pool, ret, err);
	free(text);
	return rc;
}

static int live_regions(struct insp_target *target, struct insp_pool *pool,
			struct insp_regions *ret, struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	struct insp_regions regions;
	int rc = insp_live_regions(live, pool, &regions, err);

	if (!rc && remember_files(live, &regions))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (!rc)
		*ret = regions;
	return rc;
}

/* The first file-backed range that ends above addr. */
static size_t file_at(const struct insp_live *live, uint64_t addr)
{
	size_t lo = 0, hi = live->nfiles;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (live->files[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int live_pages(struct insp_target *target, uint64_t addr, size_t npages, uint8_t *ret)
{
	struct insp_live *live = insp_live_of(target);
	size_t page = target->page_size, f = file_at(live, addr);
	uint64_t entries[2048];

	if (live->pagemap_fd < 0)
		return INSP_E_UNSUPPORTED;
	while (npages) {
		size_t n = npages < 2048 ? npages : 2048;
		ssize_t got = pread(live->pagemap_fd, entries, n * sizeof(entries[0]),
				    (off_t)(addr / page * sizeof(entries[0])));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return INSP_E_FAULT;
		n = (size_t)got / sizeof(entries[0]);
		for (size_t i = 0; i < n; i++, addr += page) {
			while (f < live->nfiles && live->files[f].end <= addr)
				f++;
			*ret++ = (uint8_t)insp_proc_page_state(
				entries[i], f < live->nfiles && live->files[f].start <= addr);
		}
		npages -= n;
		if (!n)
			return INSP_E_FAULT;
	}
	return 0;
}

static int by_tid(const void *a, const void *b)
{
	const struct insp_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

static void sort_threads(struct insp_threads *threads, int pid)
{
	size_t i = 0;

	qsort(threads->items, threads->n, sizeof(threads->items[0]), by_tid);
	while (i < threads->n && threads->items[i].tid != pid)
		i++;
	if (i && i < threads->n) {
		struct insp_thread main_thread = threads->items[i];

		memmove(threads->items + 1, threads->items, i * sizeof(threads->items[0]));
		threads->items[0] = main_thread;
	}
}

static int threads_running(struct insp_live *live, struct insp_pool *pool,
			   struct insp_threads *ret, struct insp_error *err)
{
	struct insp_tids tids = {0};
	struct insp_task task;
	bool full = false;

	if (!insp_task_list(live->task_fd, &tids)) {
		insp_vec_free(&tids);
		return insp_fail(err, INSP_E_GONE, "process %d has ended", live->pid);
	}
	ret->items = insp_pool_array(pool, tids.n, sizeof(*ret->items));
	ret->n = 0;
	ret->cap = tids.n;
	for (size_t i = 0; ret->items && i < tids.n && !full; i++)
		if (insp_task_read(live->task_fd, tids.items[i], live->nested, &task))
			full = !insp_task_thread(&task, pool, &ret->items[ret->n++]);
	insp_vec_free(&tids);
	if (!ret->items || full)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	return 0;
}

static int threads_held(struct insp_live *live, struct insp_pool *pool, struct insp_threads *ret,
			struct insp_error *err)
{
	struct insp_stack_bytes *stacks;
	size_t n;
	struct insp_tracee *tracees = insp_tracer_tracees(live->tracer, &n);

	ret->items = insp_pool_array(pool, n, sizeof(*ret->items));
	ret->n = 0;
	ret->cap = n;
	stacks = insp_tracer_stacks(live->tracer);
	if (stacks && insp_pool_defer(pool, insp_stack_bytes_drop, stacks)) {
		insp_stack_bytes_drop(stacks);
		ret->items = NULL;
	}
	if (!ret->items)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		struct insp_tracee *t = &tracees[i];
		struct insp_thread *thread = &ret->items[ret->n];

		if (t->phase == INSP_TRACEE_DEAD)
			continue;
		if (!t->task.state) /* it was born after the table was filled */
			(void)insp_task_read(live->task_fd, t->tid, live->nested, &t->task);
		if (!insp_task_thread(&t->task, pool, thread))
			return insp_fail(err, INSP_E_NOMEM, "out of memory");
		ret->n++;
		if (t->have_regs)
			insp_registers_fill(thread, &t->regs);
		if (t->stack_len) {
			thread->stack_addr = t->stack_addr;
			thread->stack_bytes = insp_stack_bytes_at(stacks, t->stack_off);
			thread->stack_len = t->stack_len;
		}
		thread->stack_start = t->region_start;
		thread->stack_end = t->region_end;
	}
	return 0;
}

static int live_threads(struct insp_target *target, struct insp_pool *pool,
			struct insp_threads *ret, struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	struct insp_threads threads = {0};
	int rc = live->tracer && insp_tracer_held(live->tracer)
			 ? threads_held(live, pool, &threads, err)
			 : threads_running(live, pool, &threads, err);

	if (rc)
		return rc;
	sort_threads(&threads, live->pid);
	*ret = threads;
	return 0;
}

/*
 * Is fd the file behind the region? Some file systems (btrfs, overlayfs) show one device in maps
 * and another to stat; both are then anonymous ones, with major 0.
 */
static bool is_file_of(int fd, const struct insp_region *region)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_ino != region->inode)
		return false;
	if (major(st.st_dev) == region->dev_major && minor(st.st_dev) == region->dev_minor)
		return true;
	return !major(st.st_dev) && !region->dev_major;
}

static int try_file(int dirfd, const char *path, const struct insp_region *region)
{
	struct stat st;
	int fd;

	/* Look before opening: to open a device or a pipe may have effects. */
	if (fstatat(dirfd, path, &st, 0) || !S_ISREG(st.st_mode))
		return -1;
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && !is_file_of(fd, region)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

static int open_region_file(struct insp_live *live, const struct insp_region *region,
			    struct insp_error *err)
{
	char path[4200];
	int fd;

	if (!region->inode || region->flags & INSP_REGION_DEVICE)
		return insp_fail(err, INSP_E_NOTFOUND, "no file is behind the mapping at %#llx",
				 (unsigned long long)region->start);
	/* Of a leader that has ended nothing of this is left. map_files is not among a thread's
	   files in task/, but /proc/TID has it. */
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", live->vm_tid,
		 (unsigned long long)region->start, (unsigned long long)region->end);
	fd = try_file(AT_FDCWD, path, region);
	if (fd < 0 && region->name && region->name[0] == '/') {
		snprintf(path, sizeof(path), "root%s", region->name);
		fd = try_file(live->vm_fd, path, region);
	}
	if (fd < 0) /* without the capability for map_files, the program itself can still be had */
		fd = try_file(live->vm_fd, "exe", region);
	if (fd < 0)
		return insp_fail(err, INSP_E_NOTFOUND, "%s: the file that is mapped was %s",
				 region->name ? region->name : "?",
				 region->flags & INSP_REGION_DELETED
					 ? "deleted or replaced, and only root can still open it"
					 : "not found in the process's root folder");
	return fd;
}

static int live_open_file(struct insp_target *target, enum insp_target_file which,
			  const struct insp_region *region, struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	int fd;

	if (which == INSP_TARGET_REGION_FILE)
		return open_region_file(live, region, err);
	fd = openat(live->vm_fd, "exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return insp_fail_errno(err, INSP_E_NOTFOUND, errno, "the program of process %d",
				       live->pid);
	return fd;
}

static int live_stop(struct insp_target *target, const struct insp_stop_options *options,
		     struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	struct insp_stop_options opts = *options;

	if (live->tracer)
		live_let_go(live, NULL);
	if (!live->is_x86_64 && (opts.want_registers || opts.stack_bytes)) {
		insp_log(INSP_LOG_WARN, "process %d is not an x86-64 program: its registers and stacks are "
					"not looked at", live->pid);
		opts.want_registers = false;
		opts.stack_bytes = 0;
	}
	return insp_tracer_stop(live, &opts, &live->tracer, err);
}

static bool live_held(struct insp_target *target)
{
	struct insp_live *live = insp_live_of(target);

	return live->tracer && insp_tracer_held(live->tracer);
}

static void live_resume(struct insp_target *target, struct insp_stop_report *report)
{
	if (report)
		*report = (struct insp_stop_report){0};
	live_let_go(insp_live_of(target), report);
}

bool insp_live_gone(const struct insp_live *live)
{
	struct pollfd p = {.fd = live->pidfd, .events = POLLIN};
	struct stat st;

	if (live->pidfd >= 0)
		return poll(&p, 1, 0) == 1;
	return fstatat(live->proc_fd, "stat", &st, 0) != 0;
}

static int live_residency(struct insp_target *target, uint64_t start, uint64_t end, uint64_t rss,
			  struct insp_residency *ret)
{
	struct insp_live *live = insp_live_of(target);

	return live->pagemap_fd < 0 ? INSP_E_UNSUPPORTED
				    : insp_pagemap_runs(live->pagemap_fd, start, end, rss, ret);
}

static bool live_gone(struct insp_target *target)
{
	return insp_live_gone(insp_live_of(target));
}

const struct insp_target_ops insp_target_live = {
	.name = "live",
	.title = "live process",
	.claims = live_claims,
	.open = live_open,
	.close = live_close,
	.read = live_read,
	.regions = live_regions,
	.pages = live_pages,
	.threads = live_threads,
	.all_registers = insp_live_all_registers,
	.info = insp_live_info,
	.usage = insp_usage_read,
	.residency = live_residency,
	.open_file = live_open_file,
	.stop = live_stop,
	.held = live_held,
	.resume = live_resume,
	.gone = live_gone,
};
