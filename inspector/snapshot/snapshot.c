/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/snapshot.h"

#include <stdlib.h>

#include "site/sites.h"
#include "snapshot/contents.h"
#include "snapshot/pack.h"

struct insp_snapshot *insp_snapshot_create(void)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_snapshot *s = pool ? insp_pool_alloc(pool, sizeof(*s)) : NULL;

	if (!s) {
		insp_pool_destroy(pool);
		return NULL;
	}
	s->pool = pool;
	s->page_size = 4096;
	s->chunks = insp_chunks_create();
	if (!s->chunks) {
		insp_pool_destroy(pool);
		return NULL;
	}
	return s;
}

void insp_snapshot_destroy(struct insp_snapshot *snapshot)
{
	if (!snapshot)
		return;
	insp_packed_end(snapshot->packed); /* it reads the chunks and pointers */
	insp_chunks_destroy(snapshot->chunks);
	insp_pointers_destroy(snapshot->pointers);
	insp_sites_destroy(snapshot->sites);
	insp_contents_destroy(snapshot->contents);
	insp_residency_deinit(&snapshot->residency);
	free(snapshot->findings.items);
	free(snapshot->allocators.items);
	free(snapshot->arenas.items);
	free(snapshot->bins.items);
	insp_pool_destroy(snapshot->pool); /* and snapshot itself */
}
