/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot file of any bytes. Checksums would keep the fuzzer from what lies behind them, so an
 * input is either the whole file, or (first byte below 128) one section after the other as it lies
 * in memory, for which a right frame is made here.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "analysis/groups.h"
#include "snapshot/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct row {
	char id[8];
	uint64_t offset, stored, raw, sum;
};

/* Sections in data: number, two bytes of length, bytes. */
static size_t frame(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
	struct row rows[16] = {0};
	uint32_t format = INSP_FILE_FORMAT, n = 0;
	size_t at = 24 + sizeof(rows);
	uint64_t sum;

	for (size_t i = 0; i + 3 <= size && n < 16; n++) {
		size_t len = data[i + 1] | (size_t)data[i + 2] << 8, packed;
		const struct insp_section *s = &insp_sections[data[i] % insp_nsections];

		i += 3;
		if (len > size - i)
			len = size - i;
		packed = ZSTD_compress(out + at, room - at, data + i, len, 1);
		if (ZSTD_isError(packed))
			break;
		memcpy(rows[n].id, s->id, 8);
		rows[n].offset = at;
		rows[n].stored = packed;
		rows[n].raw = len;
		rows[n].sum = XXH64(out + at, packed, 0);
		at += packed;
		i += len;
	}
	memcpy(out, "MEMINSP\n", 8);
	memcpy(out + 8, &format, 4);
	memcpy(out + 12, &n, 4);
	sum = XXH64(rows, n * sizeof(*rows), 0);
	memcpy(out + 16, &sum, 8);
	memcpy(out + 24, rows, sizeof(rows));
	return at;
}

static void use(const struct insp_snapshot *s)
{
	static const char *const by[] = {"size", "arena", "state", "mapping"};
	struct insp_pool *pool = insp_pool_create();
	struct insp_groups groups;

	for (size_t i = 0; pool && i < sizeof(by) / sizeof(by[0]); i++)
		(void)!insp_groups_make(s, by[i], pool, &groups, NULL);
	insp_pool_destroy(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct insp_snapshot *s;
	struct insp_error err = {0};
	uint8_t *made = NULL;
	size_t room = 2 * size + 65536;

	if (size && data[0] < 128) {
		made = malloc(room);
		if (!made)
			return 0;
		size = frame(data + 1, size - 1, made, room);
	}
	if (!insp_snapshot_load_bytes(made ? made : data, size, "input", &s, &err)) {
		use(s);
		insp_snapshot_destroy(s);
	}
	free(made);
	return 0;
}
