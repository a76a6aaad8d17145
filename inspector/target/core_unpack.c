/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/core_unpack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/log.h"

#define BUF (256u << 10)

enum packing { PLAIN, ZSTD, LZ4, GZIP, NOT_ONE };

static enum packing packing_of(const uint8_t *head, size_t n)
{
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, lz4[] = {0x04, 0x22, 0x4d, 0x18},
			     gzip[] = {0x1f, 0x8b};
	uint16_t type;

	if (n >= 4 && !memcmp(head, zstd, 4))
		return ZSTD;
	if (n >= 4 && !memcmp(head, lz4, 4))
		return LZ4;
	if (n >= 2 && !memcmp(head, gzip, 2))
		return GZIP;
	if (n < 18 || memcmp(head, ELFMAG, SELFMAG) != 0)
		return NOT_ONE;
	memcpy(&type, head + 16, sizeof(type));
	return type == ET_CORE ? PLAIN : NOT_ONE;
}

static enum packing packing_of_fd(int fd)
{
	uint8_t head[18];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n > 0 ? packing_of(head, (size_t)n) : NOT_ONE;
}

bool insp_core_is_one(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool yes;

	if (fd < 0)
		return false;
	yes = packing_of_fd(fd) != NOT_ONE;
	(void)close(fd);
	return yes;
}

struct sink {
	int fd;
	uint64_t written;
};

/* Zero pages become holes: a core of a sparse heap stays small. */
static int sink_write(struct sink *sink, const uint8_t *p, size_t n)
{
	while (n) {
		size_t part = n < 4096 ? n : 4096;
		bool zero = part == 4096 && p[0] == 0 && !memcmp(p, p + 1, part - 1);
		ssize_t put = zero ? (ssize_t)part
				   : pwrite(sink->fd, p, part, (off_t)sink->written);

		if (put <= 0)
			return INSP_E_IO;
		sink->written += (uint64_t)put;
		p += put;
		n -= (size_t)put;
	}
	insp_progress("unpacking the core", sink->written, 0);
	return insp_interrupted() ? INSP_E_INTERRUPTED : 0;
}

static int unpack_zstd(int fd, struct sink *sink, uint8_t *in, uint8_t *out)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ssize_t got;
	size_t hint = 1;
	int rc = z ? 0 : INSP_E_NOMEM;

	while (!rc && (got = read(fd, in, BUF)) > 0) {
		ZSTD_inBuffer ib = {in, (size_t)got, 0};

		while (!rc && ib.pos < ib.size) {
			ZSTD_outBuffer ob = {out, BUF, 0};

			hint = ZSTD_decompressStream(z, &ob, &ib);
			rc = ZSTD_isError(hint) ? INSP_E_CORRUPT : sink_write(sink, out, ob.pos);
		}
	}
	ZSTD_freeDStream(z);
	return rc ? rc : hint ? INSP_E_CORRUPT : 0;
}

static int unpack_lz4(int fd, struct sink *sink, uint8_t *in, uint8_t *out)
{
	LZ4F_dctx *z = NULL;
	size_t hint = 1;
	ssize_t got;
	int rc = LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)) ? INSP_E_NOMEM : 0;

	while (!rc && (got = read(fd, in, BUF)) > 0)
		for (size_t at = 0; !rc && at < (size_t)got;) {
			size_t took = (size_t)got - at, gave = BUF;

			hint = LZ4F_decompress(z, out, &gave, in + at, &took, NULL);
			rc = LZ4F_isError(hint) ? INSP_E_CORRUPT : sink_write(sink, out, gave);
			at += took;
		}
	LZ4F_freeDecompressionContext(z);
	return rc ? rc : hint ? INSP_E_CORRUPT : 0;
}

static int unpack_gzip(int fd, struct sink *sink, uint8_t *out)
{
	int copy = dup(fd), got, rc = 0;
	gzFile z = copy >= 0 ? gzdopen(copy, "rb") : NULL;

	if (!z)
		return INSP_E_NOMEM;
	while (!rc && (got = gzread(z, out, BUF)) > 0)
		rc = sink_write(sink, out, (size_t)got);
	if (!rc && got < 0)
		rc = INSP_E_CORRUPT;
	if (gzclose_r(z) != Z_OK && !rc)
		rc = INSP_E_CORRUPT; /* cut short */
	return rc;
}

static int unpack(int fd, enum packing packing, struct sink *sink)
{
	uint8_t *buf = malloc(2 * BUF);
	int rc;

	if (!buf)
		return INSP_E_NOMEM;
	rc = packing == ZSTD   ? unpack_zstd(fd, sink, buf, buf + BUF)
	     : packing == LZ4  ? unpack_lz4(fd, sink, buf, buf + BUF)
			       : unpack_gzip(fd, sink, buf + BUF);
	free(buf);
	if ((!rc || rc == INSP_E_CORRUPT) && ftruncate(sink->fd, (off_t)sink->written))
		rc = INSP_E_IO;
	return rc;
}

static int temporary_file(void)
{
	int fd = open("/var/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
}

int insp_core_open_file(const char *path, struct insp_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	enum packing packing;
	struct sink sink;

	if (fd < 0)
		return insp_fail_errno(err, INSP_E_IO, errno, "core '%s'", path);
	packing = packing_of_fd(fd);
	if (packing == PLAIN)
		return fd;
	sink = (struct sink){.fd = packing == NOT_ONE ? -1 : temporary_file()};
	if (sink.fd < 0) {
		(void)close(fd);
		return packing == NOT_ONE
			       ? insp_fail(err, INSP_E_CORRUPT, "'%s' is not a core file", path)
			       : insp_fail_errno(err, INSP_E_IO, errno,
						 "no place in /var/tmp or /tmp to unpack '%s'", path);
	}
	rc = unpack(fd, packing, &sink);
	(void)close(fd);
	if (rc == INSP_E_CORRUPT && sink.written && packing_of_fd(sink.fd) == PLAIN) {
		insp_log(INSP_LOG_WARN, "'%s' ends early or is damaged: using the part that could be "
					"unpacked", path);
		return sink.fd;
	}
	if (!rc && packing_of_fd(sink.fd) != PLAIN)
		rc = INSP_E_UNSUPPORTED;
	if (!rc)
		return sink.fd;
	(void)close(sink.fd);
	return rc == INSP_E_UNSUPPORTED
		       ? insp_fail(err, INSP_E_CORRUPT, "'%s' holds no core file", path)
		       : insp_fail(err, (enum insp_code)rc, "'%s' cannot be unpacked%s", path,
				   rc == INSP_E_IO ? ": no room left" : "");
}
