/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fakehook: a target in which the companion hook seems to have recorded something: one site of two
 * frames that allocated twice, 300 bytes, of which one block of 200 (full mode: 212) lives.
 *
 *     struct fakehook h = fakehook_build(INSP_HOOK_FULL);
 *     h.header.version = 7;                        (whatever shall be different)
 *     struct insp_sites *sites = fakehook_read(&h);
 *     fake_destroy(h.fake);
 */
#ifndef TESTS_UNIT_FAKEHOOK_H
#define TESTS_UNIT_FAKEHOOK_H

#include <meminspect/hook_format.h>

#include "fake.h"
#include "site/sites.h"

#define FAKEHOOK_LIBRARY UINT64_C(0x7f0000000000)
#define FAKEHOOK_DATA	 (FAKEHOOK_LIBRARY + 0x4000)
#define FAKEHOOK_TABLES	 UINT64_C(0x7f1000000000)
#define FAKEHOOK_HEAP	 UINT64_C(0x555500000000)
#define FAKEHOOK_LEAF	 (FAKEHOOK_TABLES + 0x200000)
#define FAKEHOOK_BLOCK	 (FAKEHOOK_HEAP + 0x1010) /* the upper half of its 32 bytes */

struct fakehook {
	struct fake *fake;
	struct insp_hook_header header; /* put into the target when it is read */
};

struct fakehook fakehook_build(enum insp_hook_mode mode);
/* Gives; NULL when no hook was found. */
struct insp_sites *fakehook_read(struct fakehook *h);

#endif
