/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "target/registers.h"

#include <string.h>

void insp_registers_fill(struct insp_thread *t, const struct user_regs_struct *r)
{
	const uint64_t regs[INSP_N_REGS] = {
		[INSP_REG_RAX] = r->rax, [INSP_REG_RDX] = r->rdx, [INSP_REG_RCX] = r->rcx,
		[INSP_REG_RBX] = r->rbx, [INSP_REG_RSI] = r->rsi, [INSP_REG_RDI] = r->rdi,
		[INSP_REG_RBP] = r->rbp, [INSP_REG_RSP] = r->rsp, [INSP_REG_R8] = r->r8,
		[INSP_REG_R9] = r->r9,	 [INSP_REG_R10] = r->r10, [INSP_REG_R11] = r->r11,
		[INSP_REG_R12] = r->r12, [INSP_REG_R13] = r->r13, [INSP_REG_R14] = r->r14,
		[INSP_REG_R15] = r->r15, [INSP_REG_RIP] = r->rip,
	};

	memcpy(t->regs, regs, sizeof(t->regs));
	t->have_regs = true;
	t->orig_rax = r->orig_rax;
	t->fs_base = r->fs_base;
	t->syscall = (int64_t)r->orig_rax < 0 ? -1 : (int64_t)r->orig_rax;
	t->syscall_args[0] = r->rdi;
	t->syscall_args[1] = r->rsi;
	t->syscall_args[2] = r->rdx;
	t->syscall_args[3] = r->r10;
	t->syscall_args[4] = r->r8;
	t->syscall_args[5] = r->r9;
}
