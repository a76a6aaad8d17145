/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/syscalls.h"

#include <stddef.h>

static const char *const names[] = {
#define X(number, name) [number] = #name,
#include "model/syscalls.def"
#undef X
};

const char *insp_syscall_name(int64_t number)
{
	if (number < 0 || (uint64_t)number >= sizeof(names) / sizeof(names[0]))
		return NULL;
	return names[number];
}
