/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/module.h"

#include <string.h>

const struct insp_module *insp_modules_find(const struct insp_modules *modules, uint64_t addr)
{
	/* Few and possibly nested (a loader inside the hull of its program): take the tightest. */
	const struct insp_module *best = NULL;

	for (size_t i = 0; i < modules->n; i++) {
		const struct insp_module *m = &modules->items[i];

		if (m->start > addr)
			break;
		if (addr < m->end && (!best || m->end - m->start < best->end - best->start))
			best = m;
	}
	return best;
}

const char *insp_module_basename(const struct insp_module *module)
{
	const char *slash = strrchr(module->path, '/');

	return slash && slash[1] ? slash + 1 : module->path;
}
