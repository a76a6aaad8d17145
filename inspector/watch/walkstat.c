/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch/walkstat.h"

#include <stdio.h>

#include "analysis/census.h"
#include "analysis/graph.h"
#include "analysis/leaks.h"
#include "analysis/trim.h"
#include "base/pool.h"
#include "snapshot/take.h"
#include "target/target.h"

static int leaked_bytes(const struct insp_snapshot *snapshot, uint64_t *ret, struct insp_error *err)
{
	struct insp_graph *graph;
	struct insp_leaks *leaks;
	int rc = insp_graph_create(snapshot, 0, &graph, err);

	if (rc)
		return rc;
	rc = insp_leaks_create(graph, &leaks, err);
	if (!rc) {
		*ret = leaks->sums[INSP_REACH_DEFINITE].bytes +
		       leaks->sums[INSP_REACH_INDIRECT].bytes;
		insp_leaks_destroy(leaks);
	}
	insp_graph_destroy(graph);
	return rc;
}

static bool walked(const struct insp_snapshot *snapshot, bool *ret_complete)
{
	bool any = false;

	*ret_complete = !snapshot->capture.incomplete;
	for (size_t i = 0; i < snapshot->allocators.n; i++) {
		const struct insp_allocator *a = &snapshot->allocators.items[i];

		any |= a->walked;
		*ret_complete &= a->walked && a->chunks_complete;
	}
	return any;
}

static int fill(const struct insp_snapshot *snapshot, bool leaks, struct insp_pool *pool,
		struct insp_walkstat *w, struct insp_error *err)
{
	struct insp_census census;
	struct insp_trim trim;
	int rc = insp_census_take(snapshot, pool, &census, err);

	if (!rc)
		rc = insp_trim_plan(snapshot, 0, pool, &trim, err);
	if (!rc && leaks)
		rc = leaked_bytes(snapshot, &w->leaked, err);
	if (rc)
		return rc;
	w->in_use = insp_tally_live(census.total).bytes;
	w->objects = insp_tally_live(census.total).count;
	w->free = insp_tally_free(census.total).bytes;
	w->sys = insp_tally_all(census.total).bytes;
	w->mmapped = census.total[INSP_CHUNK_MMAPPED].bytes;
	/* Without the states of pages it would be what could go at most. */
	w->releasable = trim.exact ? insp_trim_release(&trim.total) : INSP_UNKNOWN;
	return 0;
}

int insp_walkstat_make(const struct insp_snapshot *snapshot, bool leaks, struct insp_walkstat *ret,
		       struct insp_error *err)
{
	struct insp_walkstat w = {.at_ns = snapshot->taken_at_ns, .leaked = INSP_UNKNOWN};
	struct insp_pool *pool;
	int rc;

	w.stopped_ns = snapshot->capture.stopped_ns;
	if (!walked(snapshot, &w.complete))
		return insp_fail(err, INSP_E_NOTFOUND,
				 "no heap that can be walked was found in process %d",
				 snapshot->pid);
	pool = insp_pool_create();
	if (!pool)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	rc = fill(snapshot, leaks, pool, &w, err);
	insp_pool_destroy(pool);
	if (!rc)
		*ret = w;
	return rc;
}

static int open_pid(int pid, struct insp_target **ret, struct insp_error *err)
{
	char spec[16];

	snprintf(spec, sizeof(spec), "%d", pid);
	return insp_target_open(spec, ret, err);
}

int insp_walkstat_take(int pid, bool leaks, uint64_t max_pause_ns, struct insp_walkstat *ret,
		       struct insp_error *err)
{
	struct insp_take_options options = {
		.needs = INSP_WALKSTAT_NEEDS | (leaks ? INSP_NEED_POINTERS : 0),
		.max_pause_ns = max_pause_ns,
	};
	struct insp_snapshot *snapshot;
	struct insp_target *target;
	int rc = open_pid(pid, &target, err);

	if (rc)
		return rc;
	rc = insp_snapshot_take(target, &options, &snapshot, NULL, err);
	insp_target_close(target);
	if (rc)
		return rc;
	rc = insp_walkstat_make(snapshot, leaks, ret, err);
	insp_snapshot_destroy(snapshot);
	return rc;
}

int insp_walkstat_estimate(int pid, uint64_t *ret_ns, struct insp_error *err)
{
	struct insp_take_options options = {.needs = INSP_WALKSTAT_NEEDS};
	struct insp_error refusal = {0};
	struct insp_snapshot *plan;
	struct insp_target *target;
	int rc = open_pid(pid, &target, err);

	if (rc)
		return rc;
	rc = insp_snapshot_plan(target, &options, &plan, &refusal, err);
	insp_target_close(target);
	if (rc)
		return rc;
	*ret_ns = plan->capture.estimated_stop_ns;
	insp_snapshot_destroy(plan);
	return 0;
}
