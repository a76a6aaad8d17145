/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fake: a target made of byte buffers, so that a walker can be tested without a process.
 *
 *     struct fake *f = fake_create();
 *     uint8_t *bytes = fake_region(f, 0x555500000000, 0x21000, INSP_PROT_READ | INSP_PROT_WRITE,
 *                                  "[heap]");       (zeroed, page aligned sizes)
 *     fake_put64(f, addr, value);
 *     struct insp_target *t = fake_target(f);       (fake_regions(f) is its region list)
 */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include "model/region.h"
#include "target/target.h"

struct fake;

struct fake *fake_create(void);
void fake_destroy(struct fake *fake); /* and its target */

/* Adds a region; returns its bytes, owned by fake. A name with a '/' gets an inode. */
uint8_t *fake_region(struct fake *fake, uint64_t start, size_t size_bytes, uint32_t prot,
		     const char *name);
void fake_put(struct fake *fake, uint64_t addr, const void *bytes, size_t size_bytes);
void fake_put64(struct fake *fake, uint64_t addr, uint64_t value);
uint64_t fake_get64(struct fake *fake, uint64_t addr);
/* All pages are PRESENT until told otherwise. Reading one that is not fails the test. */
void fake_page_state(struct fake *fake, uint64_t addr, size_t npages, enum insp_page_state state);
/* Adds a thread; its registers and stack bytes are the caller's. */
struct insp_thread *fake_thread(struct fake *fake, int tid);

struct insp_target *fake_target(struct fake *fake);
const struct insp_regions *fake_regions(struct fake *fake);
/* Calls of read so far. */
size_t fake_reads(const struct fake *fake);

#endif
