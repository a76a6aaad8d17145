/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * registers: from the kernel's order (struct user_regs_struct, also in NT_PRSTATUS notes) to the
 * DWARF numbers that the rest of the program uses. x86-64.
 */
#ifndef INSP_TARGET_REGISTERS_H
#define INSP_TARGET_REGISTERS_H

#include <sys/user.h>

#include "model/thread.h"

/* Fills regs, orig_rax, fs_base and the system call; sets have_regs. */
void insp_registers_fill(struct insp_thread *thread, const struct user_regs_struct *regs);
/* The other way; what a thread here does not keep (segments, flags) stays as it is. */
void insp_registers_give(const struct insp_thread *thread, struct user_regs_struct *regs);

#endif
