/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map: from 64-bit keys to 32-bit numbers; it only grows. All-zero is a valid start. */
#ifndef INSP_BASE_MAP_H
#define INSP_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#define INSP_MAP_NONE UINT32_MAX

struct insp_map {
	uint64_t *keys;
	uint32_t *values; /* value + 1; 0: empty. Open addressing */
	size_t n, cap;	  /* cap: a power of two, or 0 */
};

/* The number of key, INSP_MAP_NONE if it has none. */
uint32_t insp_map_get(const struct insp_map *map, uint64_t key);
/* Sets it, below INSP_MAP_NONE. 0, or -1 when memory is short. */
int insp_map_set(struct insp_map *map, uint64_t key, uint32_t value);
void insp_map_deinit(struct insp_map *map);

#endif
