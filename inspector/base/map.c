/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/map.h"

#include <stdlib.h>

static size_t slot_of(const struct insp_map *map, uint64_t key)
{
	uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(h ^ h >> 31) & (map->cap - 1);

	while (map->values[at] && map->keys[at] != key)
		at = (at + 1) & (map->cap - 1);
	return at;
}

static int grow(struct insp_map *map)
{
	struct insp_map bigger = {.n = map->n, .cap = map->cap ? map->cap * 2 : 1024};

	bigger.keys = calloc(bigger.cap, sizeof(*bigger.keys));
	bigger.values = calloc(bigger.cap, sizeof(*bigger.values));
	if (!bigger.keys || !bigger.values) {
		insp_map_deinit(&bigger);
		return -1;
	}
	for (size_t i = 0; i < map->cap; i++)
		if (map->values[i]) {
			size_t at = slot_of(&bigger, map->keys[i]);

			bigger.keys[at] = map->keys[i];
			bigger.values[at] = map->values[i];
		}
	insp_map_deinit(map);
	*map = bigger;
	return 0;
}

uint32_t insp_map_get(const struct insp_map *map, uint64_t key)
{
	return map->cap ? map->values[slot_of(map, key)] - 1 : INSP_MAP_NONE;
}

int insp_map_set(struct insp_map *map, uint64_t key, uint32_t value)
{
	size_t at;

	if (map->n * 2 >= map->cap && grow(map))
		return -1;
	at = slot_of(map, key);
	map->n += !map->values[at];
	map->keys[at] = key;
	map->values[at] = value + 1;
	return 0;
}

void insp_map_deinit(struct insp_map *map)
{
	free(map->keys);
	free(map->values);
	*map = (struct insp_map){0};
}
