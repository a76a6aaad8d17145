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

#include "base/atomic.h"
#include "base/log.h"
#include "snapshot/contents.h"

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

struct insp_saving {
	struct insp_atomic file;
	struct insp_contents *contents; /* NULL: none wanted */
	uint64_t offset;
};

/* One section: described, compressed, written; its row filled. */
static int save_section(const struct insp_section *section, const struct insp_snapshot *snapshot,
			struct insp_saving *saving, struct file_row *row)
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
	row->offset = saving->offset;
	row->stored = n;
	row->raw = c.n;
	row->sum = XXH64(packed, n, 0);
	insp_atomic_put(&saving->file, saving->offset, packed, n);
	saving->offset += n;
out:
	free(packed);
	insp_codec_deinit(&c);
	return rc;
}

static int save_sections(const struct insp_snapshot *snapshot, struct insp_saving *saving)
{
	struct file_row rows[MAX_SECTIONS];
	struct file_head head = {
		.magic = MAGIC, .format = INSP_FILE_FORMAT, .nsections = (uint32_t)insp_nsections};
	size_t n = 0;

	/* Rows of sections that are not there stay zero: the checksum covers all that is before blocks. */
	memset(rows, 0, sizeof(rows));
	for (size_t i = 0; i < insp_nsections; i++) {
		int rc;

		if (insp_sections[i].wanted && !insp_sections[i].wanted(snapshot))
			continue;
		insp_progress("saving", i, insp_nsections);
		rc = insp_interrupted()
			     ? INSP_E_INTERRUPTED
			     : save_section(&insp_sections[i], snapshot, saving, &rows[n++]);
		if (rc)
			return rc;
	}
	head.table_sum = XXH64(rows, head.nsections * sizeof(rows[0]), 0);
	insp_atomic_put(&saving->file, 0, &head, sizeof(head));
	insp_atomic_put(&saving->file, sizeof(head), rows, head.nsections * sizeof(rows[0]));
	return 0;
}

int insp_saving_begin(const char *path, struct insp_saving **ret, struct insp_error *err)
{
	struct insp_saving *saving = calloc(1, sizeof(*saving));
	int rc;

	if (!saving)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_atomic_begin(&saving->file, path, err);
	if (rc) {
		free(saving);
		return rc;
	}
	/* The table comes last; there is one row for each section that there is. */
	saving->offset = sizeof(struct file_head) + insp_nsections * sizeof(struct file_row);
	*ret = saving;
	return 0;
}

int insp_saving_contents(struct insp_saving *saving, const struct insp_snapshot *snapshot,
			 struct insp_target *memory, struct insp_error *err)
{
	saving->contents = insp_contents_create();
	if (!saving->contents)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	return insp_contents_write(saving->contents, snapshot, memory, &saving->file, &saving->offset,
				   err);
}

int insp_saving_end(struct insp_saving *saving, const struct insp_snapshot *snapshot, int rc,
		    struct insp_error *err)
{
	struct insp_snapshot saved;

	if (!rc) {
		saved = *snapshot; /* with the bytes of this file, whatever it was loaded from */
		saved.contents = saving->contents;
		rc = save_sections(&saved, saving);
		if (rc)
			(void)insp_fail(err, (enum insp_code)rc, "'%s' was not written: %s",
					saving->file.path,
					rc == INSP_E_INTERRUPTED ? "interrupted" : "out of memory");
	}
	rc = insp_atomic_end(&saving->file, rc, err);
	insp_contents_destroy(saving->contents);
	free(saving);
	return rc;
}

int insp_snapshot_save(const struct insp_snapshot *snapshot, const char *path, struct insp_error *err)
{
	struct insp_saving *saving;
	int rc = insp_saving_begin(path, &saving, err);

	return rc ? rc : insp_saving_end(saving, snapshot, 0, err);
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
	uint64_t seen = 0;
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
		else if (section_of(row.id) && (seen >> (section_of(row.id) - insp_sections) & 1))
			rc = insp_fail(err, INSP_E_CORRUPT, "'%s': section %.8s is there twice", name,
				       row.id);
		else
			rc = load_section(&row, bytes, name, s, err);
		if (section_of(row.id))
			seen |= UINT64_C(1) << (section_of(row.id) - insp_sections);
	}
	if (!s->pointers)
		s->has &= ~(unsigned)INSP_NEED_POINTERS; /* whatever it says */
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
	if (!rc && (*ret)->contents) { /* its blocks are unpacked when somebody asks */
		(*ret)->contents->map = bytes;
		(*ret)->contents->map_bytes = (size_t)st.st_size;
	} else {
		munmap(bytes, (size_t)st.st_size);
	}
	return rc;
}
