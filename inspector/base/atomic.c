/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Less than that the end writes in no time. */
#define PUSH_BYTES ((size_t)1 << 20)

/* A file without a name, in the folder of path: gone with us, however we end. -1: not on this file system. */
static int open_nameless(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int fd = -1;

	if (folder && !access("/proc/self/fd", X_OK)) /* by which it gets its name */
		fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	free(folder);
	return fd;
}

int insp_atomic_begin(struct insp_atomic *file, const char *path, struct insp_error *err)
{
	size_t n = strlen(path) + sizeof(".XXXXXX");
	int rc = 0;

	*file = (struct insp_atomic){.path = strdup(path), .temporary = malloc(n), .fd = -1};
	if (!file->path || !file->temporary) {
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	} else {
		snprintf(file->temporary, n, "%s.XXXXXX", path);
		file->fd = open_nameless(path);
		file->nameless = file->fd >= 0;
		if (!file->nameless)
			file->fd = mkostemp(file->temporary, O_CLOEXEC);
		if (file->fd < 0)
			rc = insp_fail_errno(err, INSP_E_IO, errno, "'%s' cannot be written", path);
	}
	if (rc) {
		free(file->path);
		free(file->temporary);
	}
	return rc;
}

/* Gives the nameless file the temporary name: one that nobody has. */
static int give_name(struct insp_atomic *file)
{
	char *end = file->temporary + strlen(file->temporary) - 6, self[64];
	unsigned tried = 0;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	do {
		snprintf(end, 7, "%06x", ((unsigned)getpid() * 64 + tried) & 0xffffff);
		if (!linkat(AT_FDCWD, self, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW))
			return 0;
	} while (errno == EEXIST && ++tried < 64);
	return errno;
}

void insp_atomic_put(struct insp_atomic *file, uint64_t offset, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n && !file->failed) {
		ssize_t put = pwrite(file->fd, p, n, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			file->failed = put < 0 ? errno : ENOSPC;
			return;
		}
		p += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
}

void insp_atomic_push(struct insp_atomic *file, uint64_t offset, size_t n)
{
	if (n >= PUSH_BYTES && !file->failed)
		(void)sync_file_range(file->fd, (off64_t)offset, (off64_t)n, SYNC_FILE_RANGE_WRITE); /* only sooner */
}

int insp_atomic_end(struct insp_atomic *file, int rc, struct insp_error *err)
{
	if (!rc && !file->failed && fsync(file->fd))
		file->failed = errno;
	if (!rc && !file->failed && file->nameless) {
		file->failed = give_name(file);
		file->nameless = file->failed;
	}
	if (close(file->fd) && !file->failed)
		file->failed = errno;
	if (!rc && !file->failed && rename(file->temporary, file->path))
		file->failed = errno;
	if (!rc && file->failed)
		rc = insp_fail_errno(err, INSP_E_IO, file->failed, "'%s' was not written", file->path);
	if (rc && !file->nameless)
		(void)unlink(file->temporary);
	free(file->path);
	free(file->temporary);
	return rc;
}
