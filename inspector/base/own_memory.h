/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * own_memory: a limit on the resident memory of this process, so that it gives up before the machine,
 * or the container that it shares with the target, runs out.
 *
 * Not a limit of the kernel's: RLIMIT_AS and RLIMIT_DATA count address space, of which much is
 * reserved here and in a sanitizer's shadow and never touched, and mapped files that cost nothing.
 */
#ifndef INSP_BASE_OWN_MEMORY_H
#define INSP_BASE_OWN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * From now on not more than more_bytes beyond what is resident now (anonymous memory; files that are
 * mapped can be dropped). When it is passed, what runs is interrupted as by Ctrl-C, and its error is
 * INSP_E_NOMEM and says why (insp_fail). A thread looks: the more room is left, the more rarely.
 */
void insp_own_memory_limit(uint64_t more_bytes);
/* Was it passed? Until insp_interrupt_clear. limit_bytes: what it was. */
bool insp_own_memory_passed(uint64_t *limit_bytes);
void insp_own_memory_clear(void);

#endif
