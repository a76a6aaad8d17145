/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * module: an ELF file that is mapped into the target: the program, a library, the vdso.
 */
#ifndef INSP_MODEL_MODULE_H
#define INSP_MODEL_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct insp_module {
	const char *path;	  /* as the target sees it; "[vdso]" */
	uint64_t start, end;	  /* hull of its mappings; others may lie in between */
	uint64_t bias;		  /* added to an address in the file gives the target's; 0 for ET_EXEC */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint16_t machine;	  /* e_machine of its ELF header; 0 unknown */
	uint8_t build_id[32];	  /* empty when the file has none or could not be read */
	uint32_t build_id_bytes;
	bool deleted;		  /* unlinked or replaced on disk */
	bool is_main;		  /* the program itself (/proc/PID/exe) */
};

/* Invariant: sorted by start. */
struct insp_modules {
	struct insp_module *items;
	size_t n, cap;
};

/* The module whose hull holds addr, or NULL: a view. */
const struct insp_module *insp_modules_find(const struct insp_modules *modules, uint64_t addr);
/* The part behind the last slash. */
const char *insp_module_basename(const struct insp_module *module);

#endif
