/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inferior.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <meminspect/meminspect.h>

#include "remote.h"

struct inferior {
	struct gdb_context ctx; /* that the session was opened for */
	struct meminspect *session;
	uint64_t ran;	/* fingerprint of how much it has run */
	uint64_t image; /* of the program that it runs, or of the core file: another one after exec
			 */
	struct remote *remote;
};

void inferior_close(struct inferior *inf)
{
	if (!inf)
		return;
	meminspect_close(inf->session);
	remote_destroy(inf->remote);
	free(inf);
}

/*
 * How long all threads of the process have been on a CPU and how often: any step changes it.
 * (schedstat: run time in ns, wait time in ns, timeslices; a kernel that does not count says
 * zeroes.) 0: not known.
 */
static uint64_t native_fingerprint(int pid)
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
		if (n <= 0 || text[0] == '0') {
			sum = 0;
			break;
		}
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

/* Another file may have come to its place. */
static uint64_t file_of(const char *path)
{
	struct stat st;

	return stat(path, &st)
		       ? 0
		       : (uint64_t)st.st_ino * 31 + (uint64_t)st.st_mtim.tv_sec * 1000000007u +
				 (uint64_t)st.st_mtim.tv_nsec;
}

static int same(const struct gdb_context *a, const struct gdb_context *b)
{
	return a->kind == b->kind && a->inferior == b->inferior && a->pid == b->pid &&
	       !strcmp(a->core, b->core) && !strcmp(a->exe, b->exe) &&
	       !strcmp(a->sysroot, b->sysroot);
}

static struct inferior *get(struct inferior **inferior)
{
	if (!*inferior)
		*inferior = calloc(1, sizeof(**inferior));
	return *inferior;
}

struct remote *inferior_remote(struct inferior **inferior)
{
	struct inferior *inf = get(inferior);

	if (inf && !inf->remote)
		inf->remote = remote_create();
	return inf ? inf->remote : NULL;
}

int inferior_is_remote(const struct inferior *inf, const struct gdb_context *ctx)
{
	return inf && inf->session && inf->remote && inf->ctx.kind == GDB_REMOTE &&
	       ctx->kind == GDB_REMOTE && inf->ctx.inferior == ctx->inferior &&
	       inf->ctx.pid == ctx->pid && remote_fingerprint(inf->remote);
}

void inferior_forget(struct inferior *inf)
{
	if (inf && inf->remote)
		remote_forget(inf->remote);
}

static int open_session(struct inferior *inf, char *error, size_t error_bytes)
{
	const struct gdb_context *ctx = &inf->ctx;
	const struct meminspect_host *host;

	switch (ctx->kind) {
	case GDB_NATIVE:
		return meminspect_open_inferior(ctx->pid, &inf->session, error, error_bytes);
	case GDB_CORE:
		if (!ctx->core[0]) {
			snprintf(error, error_bytes, "GDB does not say where the core file is");
			return -1;
		}
		return meminspect_open_core(ctx->core, ctx->exe, ctx->sysroot, &inf->session, error,
					    error_bytes);
	case GDB_REMOTE:
		host = remote_host(inf->remote, error, error_bytes);
		return host ? meminspect_open_host(host, &inf->session, error, error_bytes) : -1;
	default:
		snprintf(error, error_bytes, "there is no process and no core");
		return -1;
	}
}

/* What changes when the inferior has run; 0: that is not known. */
static uint64_t fingerprint(const struct inferior *inf, const struct gdb_context *ctx)
{
	if (ctx->kind == GDB_NATIVE)
		return native_fingerprint(ctx->pid);
	return ctx->kind == GDB_REMOTE ? remote_fingerprint(inf->remote) : 1;
}

struct meminspect *inferior_session(struct inferior **inferior, const struct gdb_context *ctx,
				    struct gdb_unwind_callbacks *cb, char *error, size_t error_bytes)
{
	struct inferior *inf = get(inferior);
	uint64_t ran, image;

	if (!inf || (ctx->kind == GDB_REMOTE && !inf->remote)) {
		snprintf(error, error_bytes, "out of memory");
		return NULL;
	}
	ran = fingerprint(inf, ctx);
	image = ctx->kind == GDB_NATIVE ? image_of(ctx->pid) : file_of(ctx->core);
	if (inf->remote)
		remote_attach(inf->remote, cb);
	if (inf->remote && (!ran || inf->ran != ran || !same(&inf->ctx, ctx)))
		remote_forget(inf->remote);
	if (inf->session && (!same(&inf->ctx, ctx) || inf->image != image)) {
		meminspect_close(inf->session);
		inf->session = NULL;
	} else if (inf->session && (!ran || inf->ran != ran)) {
		meminspect_invalidate(inf->session);
	}
	inf->ctx = *ctx;
	inf->ran = ran;
	inf->image = image;
	if (!inf->session && open_session(inf, error, error_bytes))
		inf->session = NULL;
	return inf->session;
}
