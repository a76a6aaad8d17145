/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/copy.h"

#include <stdlib.h>

#include "base/pool.h"
#include "target/heldcopy.h"
#include "target/precopy.h"
#include "target/twin.h"
#include "target/usage.h"

/* On the slow side of what was measured, as in take.c. */
#define STOP_NS		    UINT64_C(300000)
#define THREAD_NS	    UINT64_C(15000)
#define PRECOPY_NS_PER_KIB  1	/* its pages are asked for once more */
#define FORK_NS_PER_KIB	    50	/* its page tables are copied */

/* Exactly one of the three is there. */
struct insp_copy {
	struct insp_heldcopy *held;
	struct insp_twin *twin;
	struct insp_precopy *precopy;
	uint64_t stopped_ns; /* by the first stop of precopy */
};

uint64_t insp_copy_estimate_ns(struct insp_target *target, enum insp_capture_mode mode, size_t nthreads)
{
	uint64_t each = mode == INSP_CAPTURE_FORK ? FORK_NS_PER_KIB : PRECOPY_NS_PER_KIB;
	struct insp_pool *pool = insp_pool_create();
	struct insp_usage usage;
	uint64_t ns = 0;

	/* Two stops: the other is for the descriptor of precopy, or to collect the fork. */
	if (pool && !insp_usage_read_summary(target, pool, &usage, NULL))
		ns = 2 * (STOP_NS + nthreads * THREAD_NS) +
		     (usage.vm_rss == INSP_UNKNOWN ? 0 : usage.vm_rss / 1024 * each);
	insp_pool_destroy(pool);
	return ns;
}

int insp_copy_check(struct insp_target *target, enum insp_capture_mode mode, struct insp_error *err)
{
	struct insp_twin *twin = NULL;
	int rc;

	if (mode != INSP_CAPTURE_FORK)
		return insp_precopy_check(target, err);
	rc = insp_twin_prepare(target, &twin, err);
	insp_twin_end(twin, NULL);
	return rc;
}

int insp_copy_begin(struct insp_target *target, enum insp_capture_mode mode, struct insp_copy **ret,
		    struct insp_error *err)
{
	struct insp_copy *copy = calloc(1, sizeof(*copy));
	int rc;

	if (!copy)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (mode == INSP_CAPTURE_STOP) {
		rc = insp_heldcopy_begin(target, &copy->held, err);
	} else if (mode == INSP_CAPTURE_FORK) {
		rc = insp_twin_prepare(target, &copy->twin, err);
	} else {
		rc = insp_precopy_supported(err);
		if (!rc)
			rc = insp_precopy_begin(target, &copy->precopy, err);
		if (!rc) {
			copy->stopped_ns = insp_precopy_info(copy->precopy)->first_stop_ns;
			rc = insp_precopy_rounds(copy->precopy, err);
		}
	}
	if (rc) {
		insp_copy_end(copy, NULL);
		return rc;
	}
	*ret = copy;
	return 0;
}

int insp_copy_held(struct insp_copy *copy, struct insp_error *err)
{
	if (copy->held)
		return insp_heldcopy_held(copy->held, err);
	return copy->twin ? insp_twin_fork(copy->twin, err) : insp_precopy_finish(copy->precopy, err);
}

void insp_copy_released(struct insp_copy *copy)
{
	if (copy->precopy)
		insp_precopy_unwatch(copy->precopy);
}

struct insp_target *insp_copy_target(struct insp_copy *copy)
{
	if (copy->held)
		return insp_heldcopy_target(copy->held);
	return copy->twin ? insp_twin_target(copy->twin) : insp_precopy_target(copy->precopy);
}

void insp_copy_end(struct insp_copy *copy, uint64_t *ret_stopped_ns)
{
	uint64_t collected_ns = 0;

	if (!copy)
		return;
	insp_twin_end(copy->twin, &collected_ns);
	insp_precopy_end(copy->precopy);
	insp_heldcopy_end(copy->held);
	if (ret_stopped_ns)
		*ret_stopped_ns += collected_ns + copy->stopped_ns;
	free(copy);
}
