/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * image: a copy of parts of a live target's memory, in our own, and a target that reads from it.
 *
 * Sparse: a range costs address space only, until pages are copied into it. What is not in the
 * image (code, read-only data, shared mappings) is read from the live process.
 */
#ifndef INSP_TARGET_IMAGE_H
#define INSP_TARGET_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/target.h"

struct insp_image;
struct insp_live;

/* NULL when memory is short. destroy accepts NULL. */
struct insp_image *insp_image_create(struct insp_live *live);
void insp_image_destroy(struct insp_image *image);

/* Makes room for [start, end), page aligned; parts that are there already are left alone. */
int insp_image_cover(struct insp_image *image, uint64_t start, uint64_t end, struct insp_error *err)
	insp_must_check;

/*
 * Copies [start, end) from the live process, all of it within what is covered. Calls are gathered:
 * nothing is certain before insp_image_flush. Pages that cannot be read are not in the image.
 */
void insp_image_copy(struct insp_image *image, uint64_t start, uint64_t end);
void insp_image_flush(struct insp_image *image);

/* Makes the kernel give us the memory for them now; only faster. */
void insp_image_touch(struct insp_image *image, uint64_t start, uint64_t end);
/* Is there room for a copy of so much? INSP_E_UNSUPPORTED: no. */
int insp_image_fits(const struct insp_live *live, uint64_t size_bytes, struct insp_error *err) insp_must_check;

/* The kind of mapping that is copied: private and writable. */
bool insp_image_wants(const struct insp_region *region);

/* An older copy of these, if any, is void: they are in swap, or (swapped false) as good as never
   touched: given back, or the kernel's page of zeroes. */
void insp_image_not_here(struct insp_image *image, uint64_t start, uint64_t end, bool swapped);

uint64_t insp_image_bytes_read(const struct insp_image *image);

/*
 * A target on the image; the regions are as given (borrowed, like the image and the live target).
 * Its stop slots are NULL. Closing it leaves the image and the live target alone.
 */
int insp_image_open(struct insp_image *image, struct insp_target *live,
		    const struct insp_regions *regions, struct insp_target **ret,
		    struct insp_error *err) insp_must_check;

#endif
