/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/log.h"

#define MAGIC	     "MEMINSP\n"
#define MAX_SECTIONS 256u
#define ZSTD_LEVEL   1 /* bits and states shrink as well as at higher levels, five times faster */
#define MAX_RAW	     (UINT64_C(1) << 40)

/* Little endian on disk, as on every machine that this runs on. */
struct file_head {
	char magic[8];
	uint32_t format;
	uint32_t nsections;
	uint64_t table_sum; /* XXH64 of the table */
};

struct file_row {
	char id[8];
	uint64_t offset, stored, raw, sum; /* sum: XXH64 of the stored bytes */
};

bool insp_snapshot_is_file(const char *path)
{
	char magic[8];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool yes;

	if (fd < 0)
		return false;
	yes = pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && !memcmp(magic, MAGIC, 8);
	(void)close(fd);
	return yes;
}

static int write_all(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

/* One section: described, compressed, written; its row filled. */
static int save_section(const struct insp_section *section, const struct insp_snapshot *snapshot,
			int fd, struct file_row *row, uint64_t *offset)
{
	struct insp_codec c;
	void *packed = NULL;
	size_t room, n;
	int rc = 0;

	insp_codec_write_init(&c);
	section->describe(&c, (struct insp_snapshot *)snapshot); /* writing changes nothing */
	room = ZSTD_compressBound(c.n);
	if (!c.failed)
		packed = malloc(room);
	if (c.failed || !packed) {
		rc = INSP_E_NOMEM;
		goto out;
	}
	n = ZSTD_compress(packed, room, c.bytes, c.n, ZSTD_LEVEL);
	if (ZSTD_isError(n)) {
		rc = INSP_E_NOMEM;
		goto out;
	}
	memcpy(row->id, section->id, sizeof(row->id));
	row->offset = *offset;
	row->stored = n;
	row->raw = c.n;
	row->sum = XXH64(packed, n, 0);
	*offset += n;
	if (write_all(fd, packed, n))
		rc = INSP_E_IO;
out:
	free(packed);
	insp_codec_deinit(&c);
	return rc;
}

static int save_to(const struct insp_snapshot *snapshot, int fd)
{
	struct file_row rows[MAX_SECTIONS];
	struct file_head head = {.magic = MAGIC, .format = INSP_FILE_FORMAT};
	uint64_t offset;

	memset(rows, 0, sizeof(rows));
	for (size_t i = 0; i < insp_nsections; i++)
		if (!insp_sections[i].wanted || insp_sections[i].wanted(snapshot))
			head.nsections++;
	offset = sizeof(head) + head.nsections * sizeof(rows[0]);
	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return INSP_E_IO;
	for (size_t i = 0, r = 0; i < insp_nsections; i++) {
		int rc;

		if (insp_sections[i].wanted && !insp_sections[i].wanted(snapshot))
			continue;
		insp_progress("saving", i, insp_nsections);
		rc = insp_interrupted() ? INSP_E_INTERRUPTED
					: save_section(&insp_sections[i], snapshot, fd, &rows[r++], &offset);
		if (rc)
			return rc;
	}
	head.table_sum = XXH64(rows, head.nsections * sizeof(rows[0]), 0);
	if (lseek(fd, 0, SEEK_SET) < 0 || write_all(fd, &head, sizeof(head)) ||
	    write_all(fd, rows, head.nsections * sizeof(rows[0])) || fsync(fd))
		return INSP_E_IO;
	return 0;
}

int insp_snapshot_save(const struct insp_snapshot *snapshot, const char *path,
		       struct insp_error *err)
{
	size_t n = strlen(path) + sizeof(".XXXXXX");
	char *temporary = malloc(n);
	int fd, rc;

	if (!temporary)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	snprintf(temporary, n, "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		rc = insp_fail_errno(err, INSP_E_IO, errno, "'%s' cannot be written", path);
		free(temporary);
		return rc;
	}
	errno = 0;
	rc = save_to(snapshot, fd);
	if (close(fd) && !rc)
		rc = INSP_E_IO;
	if (!rc && rename(temporary, path))
		rc = INSP_E_IO;
	if (rc == INSP_E_IO)
		(void)insp_fail_errno(err, INSP_E_IO, errno, "'%s' was not written", path);
	else if (rc)
		(void)insp_fail(err, (enum insp_code)rc, "'%s' was not written: %s", path,
				rc == INSP_E_INTERRUPTED ? "interrupted" : "out of memory");
	if (rc)
		(void)unlink(temporary);
	free(temporary);
	return rc;
}

static const struct insp_section *section_of(const char id[8])
{
	for (size_t i = 0; i < insp_nsections; i++)
		if (!memcmp(insp_sections[i].id, id, 8))
			return &insp_sections[i];
	return NULL;
}

static int load_section(const struct file_row *row, const uint8_t *bytes, const char *name,
			struct insp_snapshot *snapshot, struct insp_error *err)
{
	const struct insp_section *section = section_of(row->id);
	struct insp_codec c;
	uint8_t *raw;
	size_t n;
	int rc = 0;

	if (!section)
		return 0; /* of a later version; the rest is still good */
	if (XXH64(bytes + row->offset, row->stored, 0) != row->sum)
		return insp_fail(err, INSP_E_CORRUPT, "'%s': section %.8s is damaged", name, row->id);
	if (row->raw > MAX_RAW ||
	    ZSTD_getFrameContentSize(bytes + row->offset, row->stored) != row->raw)
		return insp_fail(err, INSP_E_CORRUPT, "'%s': section %.8s has a wrong size", name,
				 row->id);
	raw = malloc(row->raw + 1);
	if (!raw)
		return insp_fail(err, INSP_E_NOMEM, "out of memory for section %.8s of '%s'", row->id,
				 name);
	n = ZSTD_decompress(raw, row->raw, bytes + row->offset, row->stored);
	if (ZSTD_isError(n) || n != row->raw) {
		rc = INSP_E_CORRUPT;
	} else {
		insp_codec_read_init(&c, raw, n, snapshot->pool);
		section->describe(&c, snapshot);
		rc = (int)c.failed;
	}
	free(raw);
	if (rc)
		return insp_fail(err, (enum insp_code)rc, "'%s': section %.8s %s", name, row->id,
				 rc == INSP_E_NOMEM ? "needs more memory than there is"
						    : "holds nonsense");
	return 0;
}

int insp_snapshot_load_bytes(const uint8_t *bytes, size_t n, const char *name,
			     struct insp_snapshot **ret, struct insp_error *err)
{
	struct file_head head;
	struct file_row row;
	struct insp_snapshot *s;
	int rc = 0;

	if (n < sizeof(head) || memcmp(bytes, MAGIC, 8) != 0)
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is not a snapshot", name);
	memcpy(&head, bytes, sizeof(head));
	if (head.format != INSP_FILE_FORMAT)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "'%s' has format %" PRIu32 "; this version reads format %u", name,
				 head.format, INSP_FILE_FORMAT);
	if (head.nsections > MAX_SECTIONS || head.nsections * sizeof(row) > n - sizeof(head))
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is cut short", name);
	if (XXH64(bytes + sizeof(head), head.nsections * sizeof(row), 0) != head.table_sum)
		return insp_fail(err, INSP_E_CORRUPT, "'%s': the table of sections is damaged", name);
	s = insp_snapshot_create();
	if (!s)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (uint32_t i = 0; i < head.nsections && !rc; i++) {
		memcpy(&row, bytes + sizeof(head) + i * sizeof(row), sizeof(row));
		if (row.offset > n || row.stored > n - row.offset)
			rc = insp_fail(err, INSP_E_CORRUPT, "'%s' is cut short", name);
		else
			rc = load_section(&row, bytes, name, s, err);
	}
	if (!rc && !s->chunks->sealed)
		rc = insp_chunks_seal(s->chunks, err);
	if (rc) {
		insp_snapshot_destroy(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int insp_snapshot_load(const char *path, struct insp_snapshot **ret, struct insp_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct stat st;
	void *bytes;

	if (fd < 0)
		return insp_fail_errno(err, INSP_E_IO, errno, "'%s'", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size) {
		(void)close(fd);
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is not a snapshot", path);
	}
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (bytes == MAP_FAILED)
		return insp_fail_errno(err, INSP_E_IO, errno, "'%s' cannot be mapped", path);
	rc = insp_snapshot_load_bytes(bytes, (size_t)st.st_size, path, ret, err);
	munmap(bytes, (size_t)st.st_size);
	return rc;
}
