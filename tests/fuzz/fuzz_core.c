/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A core file of any bytes: opened, its map, threads and modules listed, its memory read, walked. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "snapshot/take.h"
#include "target/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct insp_target *target)
{
	const struct insp_take_options options = {
		.needs = INSP_NEED_CHUNKS | INSP_NEED_STACKS | INSP_NEED_POINTERS | INSP_NEED_SITES |
			 INSP_NEED_USAGE,
	};
	struct insp_snapshot *snapshot;
	struct insp_symbols *symbols = NULL;
	struct insp_error err = {0};

	if (insp_snapshot_take(target, &options, &snapshot, &symbols, &err))
		return;
	insp_symbols_destroy(symbols);
	insp_snapshot_destroy(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct insp_target *target;
	struct insp_error err = {0};
	char path[64];
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET)) {
		(void)close(fd);
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!insp_target_open_with(&insp_target_core, path, NULL, &target, &err)) {
		take(target);
		insp_target_close(target);
	}
	(void)close(fd);
	return 0;
}
