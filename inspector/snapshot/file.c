/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/atomic.h"
#include "base/log.h"
#include "base/source.h"
#include "snapshot/contents.h"
#include "snapshot/pack.h"

#define MAGIC	     "MEMINSP\n"
#define MAX_SECTIONS 32u
/* A block of zstd has at least so many bytes and unpacks to at most so many. */
#define ZSTD_BLOCK_MIN 3u
#define ZSTD_BLOCK_MAX ((uint64_t)128 << 10)

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

/* Behind what is written; its row is where it comes in the order of sections, which is that of loading. */
static void put_section(const struct insp_packing *p, struct insp_saving *saving, struct file_row *rows)
{
	struct file_row *row = &rows[p->section - insp_sections];

	memcpy(row->id, p->section->id, sizeof(row->id));
	row->offset = saving->offset;
	row->stored = p->n;
	row->raw = p->raw;
	row->sum = XXH64(p->bytes, p->n, 0);
	insp_atomic_put(&saving->file, saving->offset, p->bytes, p->n);
	insp_atomic_push(&saving->file, saving->offset, p->n);
	saving->offset += p->n;
}

/* Every section that is wanted: those that are packed aside come last. */
static int put_all(const struct insp_snapshot *snapshot, struct insp_packed *packed,
		   struct insp_saving *saving, struct file_row *rows)
{
	const struct insp_packing *aside;
	size_t done = 0;

	for (size_t i = 0; i < insp_nsections; i++) {
		struct insp_packing here = {.section = &insp_sections[i], .snapshot = snapshot};

		if (here.section->aside || !insp_section_wanted(here.section, snapshot))
			continue;
		insp_progress("saving", done++, insp_nsections);
		insp_pack(&here);
		if (!here.rc)
			put_section(&here, saving, rows);
		free(here.bytes);
		if (here.rc)
			return here.rc;
	}
	for (size_t i = 0; (aside = insp_packed_get(packed, i)); i++) {
		if (aside->rc)
			return aside->rc;
		insp_progress("saving", done++, insp_nsections);
		put_section(aside, saving, rows);
	}
	return 0;
}

static int save_sections(const struct insp_snapshot *snapshot, struct insp_saving *saving)
{
	struct insp_packed *own = snapshot->packed ? NULL : insp_packed_begin(snapshot);
	struct insp_packed *packed = own ? own : snapshot->packed;
	struct file_row rows[MAX_SECTIONS];
	struct file_head head = {
		.magic = MAGIC, .format = INSP_FILE_FORMAT, .nsections = (uint32_t)insp_nsections};
	int rc;

	/* Rows of sections that are not there stay zero: the checksum covers all that is before blocks. */
	memset(rows, 0, sizeof(rows));
	rc = packed ? put_all(snapshot, packed, saving, rows) : INSP_E_NOMEM;
	insp_packed_end(own);
	if (rc)
		return rc;
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

static int section_fail(enum insp_code code, const struct file_row *row, const char *name, const char *what,
			struct insp_error *err)
{
	return insp_fail(err, code, "'%s': section %.8s %s", name, row->id, what);
}

/* The bytes of a section as they were described; the caller frees them. */
static int unpack_section(const struct file_row *row, const struct insp_source *source, const char *name,
			  uint8_t **ret, struct insp_error *err)
{
	uint8_t *room = source->bytes ? NULL : malloc(row->stored + 1), *raw;
	const uint8_t *packed = source->bytes || room ? insp_source_view(source, row->offset, room, row->stored)
						      : NULL;
	size_t n;
	int rc = 0;

	if (!source->bytes && !room)
		return section_fail(INSP_E_NOMEM, row, name, "needs more memory than there is", err);
	raw = NULL;
	if (!packed || XXH64(packed, row->stored, 0) != row->sum)
		rc = section_fail(INSP_E_CORRUPT, row, name, packed ? "is damaged" : "cannot be read", err);
	else if (row->raw / ZSTD_BLOCK_MAX > row->stored / ZSTD_BLOCK_MIN)
		rc = section_fail(INSP_E_CORRUPT, row, name, "has a wrong size", err);
	else if (!(raw = malloc(row->raw + 1)))
		rc = section_fail(INSP_E_NOMEM, row, name, "needs more memory than there is", err);
	if (!rc) {
		n = ZSTD_decompress(raw, row->raw, packed, row->stored);
		if (ZSTD_isError(n) || n != row->raw)
			rc = section_fail(INSP_E_CORRUPT, row, name, "holds nonsense", err);
	}
	free(room);
	if (rc)
		free(raw);
	else
		*ret = raw;
	return rc;
}

static int load_section(const struct file_row *row, const struct insp_source *source, const char *name,
			struct insp_snapshot *snapshot, struct insp_error *err)
{
	const struct insp_section *section = section_of(row->id);
	struct insp_codec c;
	uint8_t *raw = NULL;
	int rc;

	if (!section)
		return 0; /* of a later version; the rest is still good */
	rc = unpack_section(row, source, name, &raw, err);
	if (rc)
		return rc;
	insp_codec_read_init(&c, raw, row->raw, snapshot->pool);
	section->describe(&c, snapshot);
	free(raw);
	if (c.failed)
		return section_fail(c.failed, row, name,
				    c.failed == INSP_E_NOMEM ? "needs more memory than there is"
							     : "holds nonsense", err);
	return 0;
}

/* The table of sections, checked. */
static int load_table(const struct insp_source *source, const char *name, struct file_row rows[MAX_SECTIONS],
		      uint32_t *ret_n, struct insp_error *err)
{
	struct file_head head;
	size_t bytes;

	if (insp_source_read(source, 0, &head, sizeof(head)) != sizeof(head) ||
	    memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is not a snapshot", name);
	if (head.format != INSP_FILE_FORMAT)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "'%s' has format %" PRIu32 "; this version reads format %u", name,
				 head.format, INSP_FILE_FORMAT);
	bytes = head.nsections * sizeof(*rows);
	if (head.nsections > MAX_SECTIONS ||
	    insp_source_read(source, sizeof(head), rows, bytes) != bytes)
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is cut short", name);
	if (XXH64(rows, bytes, 0) != head.table_sum)
		return insp_fail(err, INSP_E_CORRUPT, "'%s': the table of sections is damaged", name);
	*ret_n = head.nsections;
	return 0;
}

static int load(const struct insp_source *source, const char *name, struct insp_snapshot **ret,
		struct insp_error *err)
{
	struct file_row rows[MAX_SECTIONS];
	struct insp_snapshot *s;
	uint64_t seen = 0;
	uint32_t n = 0;
	int rc = load_table(source, name, rows, &n, err);

	if (rc)
		return rc;
	s = insp_snapshot_create();
	if (!s)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (uint32_t i = 0; i < n && !rc; i++) {
		const struct file_row *row = &rows[i];
		const struct insp_section *section = section_of(row->id);
		uint64_t bit = section ? UINT64_C(1) << (section - insp_sections) : 0;

		if (row->offset > source->size_bytes || row->stored > source->size_bytes - row->offset)
			rc = insp_fail(err, INSP_E_CORRUPT, "'%s' is cut short", name);
		else if (seen & bit)
			rc = section_fail(INSP_E_CORRUPT, row, name, "is there twice", err);
		else
			rc = load_section(row, source, name, s, err);
		seen |= bit;
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

int insp_snapshot_load_bytes(const uint8_t *bytes, size_t n, const char *name,
			     struct insp_snapshot **ret, struct insp_error *err)
{
	struct insp_source source;
	int rc;

	insp_source_init_bytes(&source, bytes, n);
	rc = load(&source, name, ret, err);
	if (!rc && (*ret)->contents)
		(*ret)->contents->source = source;
	return rc;
}

int insp_snapshot_load(const char *path, struct insp_snapshot **ret, struct insp_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct insp_source source;
	struct stat st;

	if (fd < 0)
		return insp_fail_errno(err, INSP_E_IO, errno, "'%s'", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size) {
		(void)close(fd);
		return insp_fail(err, INSP_E_CORRUPT, "'%s' is not a snapshot", path);
	}
	rc = insp_source_init(&source, fd, path, err);
	if (!rc)
		rc = load(&source, path, ret, err);
	if (!rc && (*ret)->contents) /* its blocks are unpacked when somebody asks */
		(*ret)->contents->source = source;
	else
		insp_source_deinit(&source);
	return rc;
}
