/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "render/render.h"

#include <string.h>

static const struct insp_renderer *const renderers[] = {
#define X(name) &insp_renderer_##name,
#include "render/renderers.def"
#undef X
	NULL,
};

const struct insp_renderer *insp_renderer_find(const char *name)
{
	for (size_t i = 0; renderers[i]; i++)
		if (strcmp(renderers[i]->name, name) == 0)
			return renderers[i];
	return NULL;
}
