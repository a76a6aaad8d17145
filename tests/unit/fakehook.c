/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fakehook.h"

#include <elf.h>
#include <string.h>

static void put_note(struct fake *f)
{
	Elf64_Ehdr e = {.e_phoff = 64, .e_phnum = 1, .e_phentsize = sizeof(Elf64_Phdr)};
	Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = 256, .p_filesz = 28, .p_vaddr = 256};
	Elf64_Nhdr n = {11, 4, INSP_HOOK_NOTE_TYPE};
	int32_t offset = 0x4000 - (256 + 24);

	memcpy(e.e_ident, ELFMAG, SELFMAG);
	e.e_ident[EI_CLASS] = ELFCLASS64;
	fake_put(f, FAKEHOOK_LIBRARY, &e, sizeof(e));
	fake_put(f, FAKEHOOK_LIBRARY + 64, &p, sizeof(p));
	fake_put(f, FAKEHOOK_LIBRARY + 256, &n, sizeof(n));
	fake_put(f, FAKEHOOK_LIBRARY + 268, INSP_HOOK_NOTE_NAME, 11);
	fake_put(f, FAKEHOOK_LIBRARY + 280, &offset, sizeof(offset));
}

struct fakehook fakehook_build(enum insp_hook_mode mode)
{
	struct fakehook t = {.fake = fake_create()};
	struct insp_hook_header *h = &t.header;
	struct insp_hook_frame frames[3] = {{0}, {0x401000, 0, 0}, {0x402000, 1, 1}};
	struct insp_hook_counters counters = {2, 300};
	struct insp_hook_sample sample = {FAKEHOOK_BLOCK, 200, 1, 5, 77, 0};
	uint32_t sites[2] = {0, 2};

	fake_region(t.fake, FAKEHOOK_HEAP, 0x10000, INSP_PROT_READ | INSP_PROT_WRITE, "");
	fake_region(t.fake, FAKEHOOK_LIBRARY, 0x6000, INSP_PROT_READ, "/lib/libmeminspect-hook.so");
	fake_region(t.fake, FAKEHOOK_TABLES, 0x700000, INSP_PROT_READ | INSP_PROT_WRITE, "");
	put_note(t.fake);
	memcpy(h->magic, INSP_HOOK_MAGIC, 8);
	h->version = INSP_HOOK_VERSION;
	h->header_bytes = sizeof(*h);
	h->state = INSP_HOOK_RUNNING;
	h->mode = mode;
	h->sample_bytes = 1024;
	h->nframes = 3;
	h->nsites = 2;
	h->frames[0] = FAKEHOOK_TABLES;
	h->sites[0] = FAKEHOOK_TABLES + 0x20000;
	h->banks[3] = FAKEHOOK_TABLES + 0x30000;
	h->samples = FAKEHOOK_TABLES + 0x50000;
	h->samples_cap = 64;
	h->shadow = FAKEHOOK_TABLES + 0x60000;
	h->threads = FAKEHOOK_TABLES + 0x680000;
	fake_put(t.fake, FAKEHOOK_TABLES, frames, sizeof(frames));
	fake_put(t.fake, FAKEHOOK_TABLES + 0x20000, sites, sizeof(sites));
	fake_put64(t.fake, FAKEHOOK_TABLES + 0x30000, FAKEHOOK_TABLES + 0x40000);
	fake_put(t.fake, FAKEHOOK_TABLES + 0x40000 + sizeof(counters), &counters, sizeof(counters));
	fake_put(t.fake, FAKEHOOK_TABLES + 0x50000 + 7 * sizeof(sample), &sample, sizeof(sample));
	/* root -> middle -> leaf -> word, and the slack behind it */
	fake_put64(t.fake, h->shadow + (FAKEHOOK_HEAP >> INSP_HOOK_ROOT_SHIFT) * 8, FAKEHOOK_TABLES + 0x100000);
	fake_put64(t.fake,
		   FAKEHOOK_TABLES + 0x100000 + (FAKEHOOK_HEAP >> INSP_HOOK_LEAF_SHIFT) % INSP_HOOK_MIDDLES * 8, FAKEHOOK_LEAF);
	fake_put64(t.fake, FAKEHOOK_LEAF + (FAKEHOOK_BLOCK - FAKEHOOK_HEAP) / 32 * 8,
		   1 | INSP_HOOK_HALF | (uint64_t)INSP_HOOK_SLACK_MORE << INSP_HOOK_SLACK_SHIFT |
			   UINT64_C(5) << INSP_HOOK_TIME_SHIFT);
	fake_put64(t.fake, FAKEHOOK_LEAF + (FAKEHOOK_BLOCK - FAKEHOOK_HEAP) / 32 * 8 + 8,
		   INSP_HOOK_SITE_SLACK | UINT64_C(100) << INSP_HOOK_SLACK_SHIFT);
	fake_put64(t.fake, h->threads, 77);
	return t;
}

struct insp_sites *fakehook_read(struct fakehook *t)
{
	struct insp_space *space;
	struct insp_sites *sites = NULL;
	struct insp_error err;
	int rc;

	fake_put(t->fake, FAKEHOOK_DATA, &t->header, sizeof(t->header));
	space = insp_space_create(fake_target(t->fake), fake_regions(t->fake));
	rc = space ? insp_sites_read(space, fake_regions(t->fake), &sites, &err) : -1;
	insp_space_destroy(space);
	return rc ? NULL : sites;
}
