/* SPDX-License-Identifier: GPL-3.0-or-later */
/* syscalls: names of the system calls of x86-64. */
#ifndef INSP_MODEL_SYSCALLS_H
#define INSP_MODEL_SYSCALLS_H

#include <stdint.h>

/* "futex" for 202; NULL for a number that is not known. */
const char *insp_syscall_name(int64_t number);

#endif
