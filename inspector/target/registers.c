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

void insp_registers_give(const struct insp_thread *t, struct user_regs_struct *r)
{
	r->rax = t->regs[INSP_REG_RAX];
	r->rdx = t->regs[INSP_REG_RDX];
	r->rcx = t->regs[INSP_REG_RCX];
	r->rbx = t->regs[INSP_REG_RBX];
	r->rsi = t->regs[INSP_REG_RSI];
	r->rdi = t->regs[INSP_REG_RDI];
	r->rbp = t->regs[INSP_REG_RBP];
	r->rsp = t->regs[INSP_REG_RSP];
	r->r8 = t->regs[INSP_REG_R8];
	r->r9 = t->regs[INSP_REG_R9];
	r->r10 = t->regs[INSP_REG_R10];
	r->r11 = t->regs[INSP_REG_R11];
	r->r12 = t->regs[INSP_REG_R12];
	r->r13 = t->regs[INSP_REG_R13];
	r->r14 = t->regs[INSP_REG_R14];
	r->r15 = t->regs[INSP_REG_R15];
	r->rip = t->regs[INSP_REG_RIP];
	r->orig_rax = t->orig_rax;
	r->fs_base = t->fs_base;
}
