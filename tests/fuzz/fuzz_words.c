/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a user types: the line splitter, the command finder, the option parser, the numbers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/pool.h"
#include "command/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct insp_pool *pool = insp_pool_create();
	char *line = insp_pool_strndup(pool, (const char *)data, size);
	struct insp_words words = {0};
	const struct insp_command *command;
	struct insp_error err = {0};
	double percent;
	uint64_t v;
	int used;
	char *target;
	void *args;

	(void)!insp_parse_size(line, &v, &err);
	(void)!insp_parse_u64(line, &v, &err);
	(void)!insp_parse_addr(line, &v, &err);
	(void)!insp_parse_duration_ns(line, &v, &err);
	(void)!insp_parse_percent(line, &percent, &err);
	if (!insp_words_split(line, pool, &words, &err) && words.n &&
	    !insp_command_find((int)words.n, words.items, &command, &used, &err))
		(void)!insp_command_parse(command, (int)words.n - used, words.items + used, pool, NULL,
					  &target, &args, &err);
	insp_pool_destroy(pool);
	return 0;
}
