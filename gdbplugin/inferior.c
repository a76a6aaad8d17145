/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inferior.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE	     4096u
#define BLOCK	     (64u << 10) /* one packet's worth: a request costs a round trip */
#define CACHE_BLOCKS 1024	 /* 64 MiB */
#define REG_MARK     0x6d656d696e737065u
#define REG_WORDS    (2 + MEMINSPECT_NREGS + 1)
#define THREADS_MAX  65536

struct block {
	uint64_t addr;
	size_t valid; /* bytes from addr on; the rest cannot be read */
	uint8_t bytes[BLOCK];
};

struct region {
	struct meminspect_region region;
	char name[256];
};

struct inferior {
	struct gdb_context ctx; /* that the session was opened for */
	struct meminspect *session;
	uint64_t ran;	/* fingerprint of how much it has run */
	uint64_t image; /* of the program that it runs: another one after exec */
	/* remote */
	struct meminspect_host host;
	struct gdb_unwind_callbacks *cb;
	struct region *regions;
	size_t nregions, regions_cap;
	uint64_t *registers; /* REG_WORDS a thread */
	size_t nthreads;
	struct block *cache[CACHE_BLOCKS];
};

static void drop_cache(struct inferior *inf)
{
	for (size_t i = 0; i < CACHE_BLOCKS; i++) {
		free(inf->cache[i]);
		inf->cache[i] = NULL;
	}
}

static void close_session(struct inferior *inf)
{
	meminspect_close(inf->session);
	inf->session = NULL;
	drop_cache(inf);
}

void inferior_close(struct inferior *inf)
{
	if (!inf)
		return;
	close_session(inf);
	free(inf->regions);
	free(inf->registers);
	free(inf);
}

/*
 * How long all threads of the process have been on a CPU and how often: any step changes it.
 * (schedstat: run time in ns, wait time in ns, timeslices.)
 */
static uint64_t fingerprint(int pid)
{
	char path[64], text[128];
	uint64_t sum = 14695981039346656037u;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		int fd;
		ssize_t n;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(text, sizeof(text), "%.20s/schedstat", e->d_name);
		fd = openat(dirfd(dir), text, O_RDONLY | O_CLOEXEC);
		n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
		if (fd >= 0)
			close(fd);
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ (uint8_t)text[i]) * 1099511628211u;
	}
	closedir(dir);
	return sum;
}

/* Addresses that the kernel chose for the program at its exec. */
static uint64_t image_of(int pid)
{
	uint64_t sum = 14695981039346656037u;
	uint8_t bytes[1024];
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : 0;
	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++)
		sum = (sum ^ bytes[i]) * 1099511628211u;
	return sum;
}

static int same(const struct gdb_context *a, const struct gdb_context *b)
{
	return a->kind == b->kind && a->inferior == b->inferior && a->pid == b->pid &&
	       !strcmp(a->core, b->core);
}

/* ---- remote: callbacks of the core */

static void read_block(struct inferior *inf, struct block *b)
{
	b->valid = 0;
	if (inf->cb->target_read(b->addr, b->bytes, BLOCK) == GDB_SUCCESS) {
		b->valid = BLOCK;
		return;
	}
	while (b->valid < BLOCK &&
	       inf->cb->target_read(b->addr + b->valid, b->bytes + b->valid, PAGE) == GDB_SUCCESS)
		b->valid += PAGE;
}

static const struct block *block_at(struct inferior *inf, uint64_t addr)
{
	uint64_t start = addr & ~(uint64_t)(BLOCK - 1);
	struct block **slot = &inf->cache[start / BLOCK % CACHE_BLOCKS];

	if (!*slot) {
		*slot = malloc(sizeof(**slot));
		if (!*slot)
			return NULL;
		(*slot)->addr = 1;
	}
	if ((*slot)->addr != start) {
		(*slot)->addr = 1; /* target_read may throw */
		(*slot)->valid = 0;
		struct block *b = *slot;

		b->addr = start;
		read_block(inf, b);
	}
	return *slot;
}

/* A block may begin in a hole and hold mapped pages further on. */
static size_t read_page(struct inferior *inf, uint64_t addr, void *buf, size_t n)
{
	return inf->cb->target_read(addr, buf, (int)n) == GDB_SUCCESS ? n : 0;
}

static size_t host_read(void *ctx, uint64_t addr, void *buf, size_t size)
{
	struct inferior *inf = ctx;
	size_t done = 0;

	while (done < size) {
		const struct block *b = block_at(inf, addr + done);
		size_t off = b ? (size_t)(addr + done - b->addr) : 0, n;

		if (!b)
			break;
		n = BLOCK - off < size - done ? BLOCK - off : size - done;
		if (off + n <= b->valid) {
			memcpy((char *)buf + done, b->bytes + off, n);
		} else {
			n = PAGE - (size_t)((addr + done) % PAGE);
			n = n < size - done ? n : size - done;
			if (!read_page(inf, addr + done, (char *)buf + done, n))
				break;
		}
		done += n;
	}
	return done;
}

static int host_regions(void *ctx, void (*add)(void *to, const struct meminspect_region *region),
			void *to)
{
	struct inferior *inf = ctx;

	for (size_t i = 0; i < inf->nregions; i++) {
		struct meminspect_region r = inf->regions[i].region;

		r.name = inf->regions[i].name[0] ? inf->regions[i].name : NULL;
		add(to, &r);
	}
	return 0;
}

static int host_threads(void *ctx, void (*add)(void *to, const struct meminspect_thread *thread),
			void *to)
{
	struct inferior *inf = ctx;

	for (size_t i = 0; i < inf->nthreads; i++) {
		const uint64_t *words = inf->registers + i * REG_WORDS;
		struct meminspect_thread t = {
			.size_bytes = sizeof(t),
			.tid = (int)words[1],
			.name = inf->ctx.name,
			.have_regs = 1,
			.orig_rax = -1,
			.fs_base = words[2 + MEMINSPECT_NREGS],
		};

		memcpy(t.regs, words + 2, sizeof(t.regs));
		add(to, &t);
	}
	return 0;
}

static void add_region(void *to, const struct meminspect_region *region)
{
	struct inferior *inf = to;
	struct region *r;

	if (inf->nregions == inf->regions_cap) {
		size_t cap = inf->regions_cap ? inf->regions_cap * 2 : 64;
		struct region *grown = realloc(inf->regions, cap * sizeof(*grown));

		if (!grown)
			return;
		inf->regions = grown;
		inf->regions_cap = cap;
	}
	r = &inf->regions[inf->nregions++];
	r->region = *region;
	snprintf(r->name, sizeof(r->name), "%s", region->name ? region->name : "");
}

static struct inferior *get(struct inferior **inferior)
{
	if (!*inferior)
		*inferior = calloc(1, sizeof(**inferior));
	return *inferior;
}

/* Moves the whole records together, at the start. */
static void keep_records(struct inferior *inf, size_t n)
{
	uint64_t *w = inf->registers;
	size_t i = 0;

	while (i + REG_WORDS <= n && inf->nthreads < THREADS_MAX) {
		size_t len = 1;

		while (len < REG_WORDS && w[i + len] != REG_MARK)
			len++;
		if (w[i] == REG_MARK && len == REG_WORDS)
			memmove(w + REG_WORDS * inf->nthreads++, w + i, REG_WORDS * sizeof(*w));
		i += len;
	}
}

void inferior_remote(struct inferior **inferior, char *mappings, int registers_fd)
{
	struct inferior *inf = get(inferior);
	off_t n = lseek(registers_fd, 0, SEEK_END);
	size_t words = n > 0 ? (size_t)n / sizeof(uint64_t) : 0;
	ssize_t got;

	if (!inf)
		return;
	inf->nregions = 0;
	gdb_context_mappings(mappings, add_region, inf);
	free(inf->registers);
	inf->nthreads = 0;
	inf->registers = malloc((words + 1) * sizeof(uint64_t));
	if (!inf->registers)
		return;
	got = pread(registers_fd, inf->registers, words * sizeof(uint64_t), 0);
	keep_records(inf, got > 0 ? (size_t)got / sizeof(uint64_t) : 0);
}

/* ---- opening */

static int open_session(struct inferior *inf, char *error, size_t error_bytes)
{
	const struct gdb_context *ctx = &inf->ctx;

	switch (ctx->kind) {
	case GDB_NATIVE:
		return meminspect_open_inferior(ctx->pid, &inf->session, error, error_bytes);
	case GDB_CORE:
		if (!ctx->core[0]) {
			snprintf(error, error_bytes, "GDB does not say where the core file is");
			return -1;
		}
		return meminspect_open(ctx->core, &inf->session, error, error_bytes);
	case GDB_REMOTE:
		if (!inf->nregions) {
			snprintf(error, error_bytes,
				 "the remote target does not tell its mappings (info proc mappings)");
			return -1;
		}
		inf->host = (struct meminspect_host){
			.size_bytes = sizeof(inf->host),
			.ctx = inf,
			.kind = "gdb",
			.pid = ctx->pid,
			.name = ctx->name,
			.read = host_read,
			.regions = host_regions,
			.threads = host_threads,
		};
		return meminspect_open_host(&inf->host, &inf->session, error, error_bytes);
	default:
		snprintf(error, error_bytes, "there is no process and no core");
		return -1;
	}
}

struct meminspect *inferior_session(struct inferior **inferior, const struct gdb_context *ctx,
				    struct gdb_unwind_callbacks *cb, char *error, size_t error_bytes)
{
	struct inferior *inf = get(inferior);
	uint64_t ran = ctx->kind == GDB_NATIVE ? fingerprint(ctx->pid) : 0;
	uint64_t image = ctx->kind == GDB_NATIVE ? image_of(ctx->pid) : 0;

	if (!inf) {
		snprintf(error, error_bytes, "out of memory");
		return NULL;
	}
	inf->cb = cb;
	if (inf->session &&
	    (!same(&inf->ctx, ctx) || inf->image != image || ctx->kind == GDB_REMOTE)) {
		close_session(inf); /* a remote target may have run: its memory is asked anew */
	} else if (inf->session && inf->ran != ran) {
		meminspect_invalidate(inf->session);
	}
	inf->ctx = *ctx;
	inf->ran = ran;
	inf->image = image;
	if (!inf->session && open_session(inf, error, error_bytes))
		inf->session = NULL;
	return inf->session;
}
