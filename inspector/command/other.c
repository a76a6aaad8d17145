/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command/other.h"

#include "snapshot/contents.h"
#include "symbol/symbols.h"
#include "target/space.h"

int insp_other_open(struct insp_other *ret, const struct insp_snapshot *snapshot, bool with_bytes,
		    struct insp_error *err)
{
	struct insp_other o = {.ctx = {.snapshot = snapshot, .pool = insp_pool_create()}};
	int rc = o.ctx.pool ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");

	if (!rc)
		rc = insp_symbols_create(NULL, &snapshot->regions, &snapshot->modules, &o.ctx.symbols, err);
	if (!rc && with_bytes && snapshot->contents) {
		rc = insp_contents_open(snapshot, &o.memory, err);
		if (!rc && !(o.ctx.space = insp_space_create(o.memory, &snapshot->regions)))
			rc = insp_fail(err, INSP_E_NOMEM, "out of memory");
	}
	if (rc)
		insp_other_close(&o);
	else
		*ret = o;
	return rc;
}

void insp_other_close(struct insp_other *other)
{
	insp_pool_destroy(other->ctx.pool); /* what lives in it may lean on the rest */
	insp_symbols_destroy(other->ctx.symbols);
	insp_space_destroy(other->ctx.space);
	insp_target_close(other->memory);
}
