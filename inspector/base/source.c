/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

int insp_source_init(struct insp_source *source, int fd, const char *name, struct insp_error *err)
{
	struct stat st;
	int rc = 0;

	*source = (struct insp_source){.fd = fd};
	if (fstat(fd, &st))
		rc = insp_fail_errno(err, INSP_E_IO, errno, "'%s'", name);
	else if (!(source->name = strdup(name)))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (rc)
		insp_source_deinit(source);
	else
		source->size_bytes = (uint64_t)st.st_size;
	return rc;
}

void insp_source_init_bytes(struct insp_source *source, const uint8_t *bytes, size_t size_bytes)
{
	*source = (struct insp_source){.fd = -1, .bytes = bytes, .size_bytes = size_bytes};
}

void insp_source_deinit(struct insp_source *source)
{
	if (source->fd > 0)
		(void)close(source->fd);
	free(source->name);
	*source = (struct insp_source){.fd = -1};
}

/* It was there when the file was opened. */
static void tell(const struct insp_source *source, uint64_t offset, int why)
{
	if (atomic_exchange(&((struct insp_source *)source)->told, true))
		return;
	if (why)
		insp_log(INSP_LOG_WARN, "'%s' cannot be read from byte %" PRIu64 " on: %s", source->name,
			 offset, strerror(why));
	else
		insp_log(INSP_LOG_WARN, "'%s' was cut short while it was open: what lies behind byte "
					"%" PRIu64 " is missing", source->name, offset);
}

size_t insp_source_read(const struct insp_source *source, uint64_t offset, void *buf, size_t n)
{
	size_t done = 0;

	if (offset >= source->size_bytes)
		return 0;
	if (n > source->size_bytes - offset)
		n = (size_t)(source->size_bytes - offset);
	if (source->bytes) {
		memcpy(buf, source->bytes + offset, n);
		return n;
	}
	while (done < n) {
		ssize_t got = pread(source->fd, (char *)buf + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			tell(source, offset + done, got < 0 ? errno : 0);
			break;
		}
		done += (size_t)got;
	}
	return done;
}

const uint8_t *insp_source_view(const struct insp_source *source, uint64_t offset, void *buf, size_t n)
{
	if (offset > source->size_bytes || n > source->size_bytes - offset)
		return NULL;
	if (source->bytes)
		return source->bytes + offset;
	return insp_source_read(source, offset, buf, n) == n ? buf : NULL;
}
