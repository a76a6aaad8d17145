/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot/copy.h"

#include <stdlib.h>

#include "target/heldcopy.h"
#include "target/precopy.h"
#include "target/twin.h"

/* Exactly one of the three is there. */
struct insp_copy {
	struct insp_heldcopy *held;
	struct insp_twin *twin;
	struct insp_precopy *precopy;
	uint64_t stopped_ns; /* by the first stop of precopy */
};

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
