/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/region.h"

const struct insp_region *insp_regions_find(const struct insp_regions *regions, uint64_t addr)
{
	size_t lo = 0, hi = regions->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (regions->items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < regions->n && regions->items[lo].start <= addr)
		return &regions->items[lo];
	return NULL;
}

const char *insp_region_perms(const struct insp_region *r, char buf[5])
{
	buf[0] = r->prot & INSP_PROT_READ ? 'r' : '-';
	buf[1] = r->prot & INSP_PROT_WRITE ? 'w' : '-';
	buf[2] = r->prot & INSP_PROT_EXEC ? 'x' : '-';
	buf[3] = r->flags & INSP_REGION_SHARED ? 's' : 'p';
	buf[4] = '\0';
	return buf;
}

uint64_t insp_region_inode_of_name(const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return hash | 1;
}
