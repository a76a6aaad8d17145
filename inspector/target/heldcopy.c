/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/heldcopy.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pool.h"
#include "target/image.h"
#include "target/live.h"

#define PAGE   4096u
#define WINDOW 4096u /* pages whose states are asked for at once */

struct insp_heldcopy {
	struct insp_target *target;
	struct insp_live *live;
	struct insp_pool *pool;
	struct insp_image *image;
	struct insp_regions at_stop;
	struct insp_target *view;
	uint8_t states[WINDOW];
};

typedef void (*run_fn)(void *ctx, uint64_t start, uint64_t end, enum insp_page_state state);

/* Runs of pages of the same state, of all that is copied. */
static int each_run(struct insp_heldcopy *c, const struct insp_regions *regions, run_fn fn, void *ctx)
{
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];

		for (uint64_t at = r->start; insp_image_wants(r) && at < r->end; at += WINDOW * PAGE) {
			size_t n = (size_t)((r->end - at) / PAGE);

			n = n < WINDOW ? n : WINDOW;
			if (insp_interrupted())
				return INSP_E_INTERRUPTED;
			if (c->target->ops->pages(c->target, at, n, c->states))
				return INSP_E_IO;
			for (size_t k = 0, to; k < n; k = to) {
				for (to = k + 1; to < n && c->states[to] == c->states[k];)
					to++;
				fn(ctx, at + k * PAGE, at + to * PAGE, (enum insp_page_state)c->states[k]);
			}
		}
	}
	return 0;
}

static int cover_all(struct insp_heldcopy *c, const struct insp_regions *regions, struct insp_error *err)
{
	for (size_t i = 0; i < regions->n; i++) {
		const struct insp_region *r = &regions->items[i];
		int rc = insp_image_wants(r) ? insp_image_cover(c->image, r->start, r->end, err) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

static int fail(struct insp_heldcopy *c, int rc, struct insp_error *err)
{
	return insp_fail(err, (enum insp_code)rc, rc == INSP_E_INTERRUPTED ? "interrupted"
							: "the page states of process %d cannot be read",
			 c->live->pid);
}

/* ---- while it runs */

static void add_up(void *ctx, uint64_t start, uint64_t end, enum insp_page_state state)
{
	uint64_t *sum = ctx;

	*sum += state == INSP_PAGE_PRESENT ? end - start : 0;
}

static void touch(void *ctx, uint64_t start, uint64_t end, enum insp_page_state state)
{
	if (state == INSP_PAGE_PRESENT)
		insp_image_touch(ctx, start, end);
}

static int begin(struct insp_heldcopy *c, struct insp_error *err)
{
	struct insp_regions regions = {0};
	uint64_t sum = 0;
	int rc;

	c->pool = insp_pool_create();
	c->image = insp_image_create(c->live);
	if (!c->pool || !c->image)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = insp_live_regions(c->live, c->pool, &regions, err);
	if (rc)
		return rc;
	rc = each_run(c, &regions, add_up, &sum);
	if (rc)
		return fail(c, rc, err);
	rc = insp_image_fits(c->live, sum, err);
	if (!rc)
		rc = cover_all(c, &regions, err);
	if (rc)
		return rc;
	rc = each_run(c, &regions, touch, c->image);
	return rc ? fail(c, rc, err) : 0;
}

int insp_heldcopy_begin(struct insp_target *target, struct insp_heldcopy **ret, struct insp_error *err)
{
	struct insp_heldcopy *c;
	int rc;

	if (target->ops != &insp_target_live)
		return insp_fail(err, INSP_E_UNSUPPORTED, "a %s cannot be copied", target->ops->title);
	c = calloc(1, sizeof(*c));
	if (!c)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	c->target = target;
	c->live = insp_live_of(target);
	rc = begin(c, err);
	if (rc) {
		insp_heldcopy_end(c);
		return rc;
	}
	*ret = c;
	return 0;
}

/* ---- while it is held */

static void copy(void *ctx, uint64_t start, uint64_t end, enum insp_page_state state)
{
	if (state == INSP_PAGE_PRESENT)
		insp_image_copy(ctx, start, end);
	else if (state == INSP_PAGE_SWAPPED)
		insp_image_not_here(ctx, start, end, true);
}

int insp_heldcopy_held(struct insp_heldcopy *c, struct insp_error *err)
{
	int rc = insp_live_regions(c->live, c->pool, &c->at_stop, err);

	if (!rc)
		rc = cover_all(c, &c->at_stop, err);
	if (rc)
		return rc;
	rc = each_run(c, &c->at_stop, copy, c->image);
	insp_image_flush(c->image);
	if (rc)
		return fail(c, rc, err);
	if (!c->target->ops->held(c->target))
		return insp_fail(err, INSP_E_BUDGET, "process %d was let go before all of it was copied",
				 c->live->pid);
	return 0;
}

/* ---- afterwards */

struct insp_target *insp_heldcopy_target(struct insp_heldcopy *c)
{
	if (!c->view && insp_image_open(c->image, c->target, &c->at_stop, &c->view, NULL))
		c->view = NULL;
	return c->view;
}

void insp_heldcopy_end(struct insp_heldcopy *c)
{
	if (!c)
		return;
	insp_target_close(c->view);
	insp_image_destroy(c->image);
	insp_pool_destroy(c->pool);
	free(c);
}
