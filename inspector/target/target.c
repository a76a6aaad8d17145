/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct insp_target_ops *const targets[] = {
#define X(name) &insp_target_##name,
#include "target/targets.def"
#undef X
};

static int open_row(const struct insp_target_ops *ops, const char *spec, void *priv,
		    const struct insp_target_config *config, struct insp_target **ret,
		    struct insp_error *err)
{
	struct insp_target *target = calloc(1, sizeof(*target));
	int rc;

	if (!target)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	target->ops = ops;
	target->priv = priv;
	target->spec = spec;
	target->page_size = 4096;
	target->config = *config;
	rc = ops->open(target, spec, err);
	if (rc) {
		insp_target_close(target);
		return rc;
	}
	*ret = target;
	return 0;
}

int insp_target_open_with(const struct insp_target_ops *ops, const char *spec, void *priv,
			  struct insp_target **ret, struct insp_error *err)
{
	return open_row(ops, spec, priv, &(struct insp_target_config){0}, ret, err);
}

int insp_target_open(const char *spec, struct insp_target **ret, struct insp_error *err)
{
	return insp_target_open_config(spec, &(struct insp_target_config){0}, ret, err);
}

int insp_target_open_config(const char *spec, const struct insp_target_config *config,
			    struct insp_target **ret, struct insp_error *err)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (targets[i]->claims && targets[i]->claims(spec))
			return open_row(targets[i], spec, NULL, config, ret, err);
	if (strchr(spec, '/') && access(spec, F_OK))
		return insp_fail(err, INSP_E_USAGE, "'%s': %s", spec, strerror(errno));
	return insp_fail(err, INSP_E_USAGE, "'%s' is neither a process nor a core or snapshot that can be read",
			 spec);
}

void insp_target_close(struct insp_target *target)
{
	if (!target)
		return;
	target->ops->close(target);
	free(target);
}
