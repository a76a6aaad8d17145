/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/base.h"

#include "snapshot/file.h"

static void destroy_snapshot(void *s)
{
	insp_snapshot_destroy(s);
}

int insp_base_find(struct insp_context *ctx, const char *file, const struct insp_snapshot **ret,
		   struct insp_error *err)
{
	struct insp_snapshot *base;
	int rc;

	if (!file) {
		*ret = ctx->base;
		return ctx->base ? 0
				 : insp_fail(err, INSP_E_USAGE,
					     "which base? name a FILE, or choose one with `base FILE`");
	}
	rc = insp_snapshot_load(file, &base, err);
	if (rc)
		return rc;
	*ret = base;
	if (insp_pool_defer(ctx->pool, destroy_snapshot, base)) {
		insp_snapshot_destroy(base);
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	return 0;
}
