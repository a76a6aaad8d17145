/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/thread.h"

const struct insp_frame *insp_thread_frame_at(const struct insp_thread *thread, uint64_t addr,
					      size_t *ret_no)
{
	const struct insp_frame *found = NULL;
	size_t no = 0;

	for (size_t i = 0; i < thread->frames.n; i++) {
		const struct insp_frame *f = &thread->frames.items[i];

		if (f->flags & INSP_FRAME_INLINED)
			continue;
		if (f->sp && f->sp <= addr) {
			found = f;
			*ret_no = no;
		}
		no++;
	}
	return found;
}
