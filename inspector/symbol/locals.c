/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * locals: the variables and parameters of a thread's frames, and where they are at this moment.
 *
 *     frame n      sp, pc   -> function, the blocks and inlined calls in it that hold pc
 *     frame n + 1  sp       =  canonical frame address of frame n (x86-64 pops just that)
 *
 * Registers of outer frames are those that the calls in between saved: the unwind tables say
 * where, and the stack was copied. A location that takes more than one operation is left out.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/ctypes_priv.h"

#define DEPTH_MAX    64
#define LOCALS_MAX   20000 /* looked at in one function: against loops in broken debug info */

struct frame {
	uint64_t addr;	/* that lies inside of the call, in the target */
	uint64_t pc;	/* the same, as in the file */
	uint64_t cfa;	/* 0 unknown */
	uint64_t base;	/* DW_AT_frame_base; 0 unknown */
	uint64_t regs[INSP_N_REGS];
	uint32_t known; /* bits of regs */
	size_t no;
};

struct walk {
	const struct insp_thread *thread;
	insp_local_fn fn;
	void *ctx;
	unsigned budget;
	bool stop;
};

static bool reg_value(const struct frame *f, uint64_t reg, uint64_t *ret)
{
	if (reg < INSP_N_REGS && f->known & 1u << reg) {
		*ret = f->regs[reg];
		return true;
	}
	return false;
}

/* Where one operation leads: *ret_reg < INSP_N_REGS when that is a register. */
static bool evaluate(const struct frame *f, const Dwarf_Op *op, uint64_t *ret_addr, unsigned *ret_reg)
{
	uint64_t value;

	*ret_reg = INSP_N_REGS;
	if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) {
		*ret_reg = op->atom - DW_OP_reg0;
		return reg_value(f, *ret_reg, ret_addr);
	}
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		if (!reg_value(f, op->atom - DW_OP_breg0, &value))
			return false;
		*ret_addr = value + op->number;
		return true;
	}
	switch (op->atom) {
	case DW_OP_call_frame_cfa:
		*ret_addr = f->cfa;
		return f->cfa;
	case DW_OP_fbreg:
		*ret_addr = f->base + op->number;
		return f->base;
	default:
		return false;
	}
}

static bool locate(const struct frame *f, Dwarf_Die *die, unsigned name, uint64_t *ret_addr,
		   unsigned *ret_reg)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t n;

	return dwarf_attr_integrate(die, name, &attr) &&
	       dwarf_getlocation_addr(&attr, f->pc, &ops, &n, 1) == 1 && n == 1 &&
	       evaluate(f, &ops[0], ret_addr, ret_reg);
}

static void frame_base(struct frame *f, Dwarf_Die *function)
{
	uint64_t addr;
	unsigned reg;

	f->base = 0;
	if (locate(f, function, DW_AT_frame_base, &addr, &reg))
		f->base = addr;
}

static void local(struct walk *w, const struct frame *f, Dwarf_Die *die, const char *function)
{
	struct insp_local l = {.name = dwarf_diename(die), .function = function, .frame = f->no};
	Dwarf_Attribute attr;
	Dwarf_Die type;
	uint64_t addr;

	if (!l.name && dwarf_attr_integrate(die, DW_AT_name, &attr))
		l.name = dwarf_formstring(&attr);
	if (!l.name || !insp_die_type(die, &type) || !locate(f, die, DW_AT_location, &addr, &l.reg))
		return;
	l.size_bytes = insp_die_size(&type);
	l.type = &type;
	if (l.reg < INSP_N_REGS)
		l.value = addr;
	else
		l.addr = addr;
	w->stop = !w->fn(w->ctx, &l);
}

static void locals_of(struct walk *w, const struct frame *f, Dwarf_Die *parent, const char *function,
		      unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(parent, &child))
		return;
	do {
		Dwarf_Attribute attr;
		const char *name;

		if (w->stop || !w->budget)
			return;
		w->budget--;
		switch (dwarf_tag(&child)) {
		case DW_TAG_variable:
		case DW_TAG_formal_parameter:
			local(w, f, &child, function);
			break;
		case DW_TAG_lexical_block:
			if (dwarf_haspc(&child, f->pc) > 0)
				locals_of(w, f, &child, function, depth + 1);
			break;
		case DW_TAG_inlined_subroutine:
			if (dwarf_haspc(&child, f->pc) <= 0)
				break;
			name = dwarf_attr_integrate(&child, DW_AT_name, &attr) ? dwarf_formstring(&attr) : NULL;
			locals_of(w, f, &child, name, depth + 1);
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
}

static bool read_stack(const struct insp_thread *t, uint64_t addr, uint64_t *ret)
{
	if (!t->stack_bytes || addr < t->stack_addr || t->stack_len < 8 ||
	    addr - t->stack_addr > t->stack_len - 8)
		return false;
	memcpy(ret, t->stack_bytes + (addr - t->stack_addr), 8);
	return true;
}

static Dwarf_Frame *unwind_rules(struct insp_symbols_module *m, uint64_t addr)
{
	Dwarf_Addr bias;
	Dwarf_Frame *rules = NULL;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(m->dwfl, &bias);

	if (cfi && dwarf_cfi_addrframe(cfi, addr - bias, &rules) == 0)
		return rules;
	cfi = dwfl_module_dwarf_cfi(m->dwfl, &bias);
	return cfi && dwarf_cfi_addrframe(cfi, addr - bias, &rules) == 0 ? rules : NULL;
}

/* The registers of the caller that a call must keep: as they are here, or where f saved them. */
static void outward(const struct walk *w, struct insp_symbols_module *m, const struct frame *f,
		    struct frame *caller)
{
	static const unsigned kept[] = {INSP_REG_RBX, INSP_REG_RBP, INSP_REG_R12,
					INSP_REG_R13, INSP_REG_R14, INSP_REG_R15};
	Dwarf_Frame *rules = m && m->dwfl && f->cfa ? unwind_rules(m, f->addr) : NULL;

	for (size_t i = 0; rules && i < sizeof(kept) / sizeof(kept[0]); i++) {
		unsigned reg = kept[i];
		Dwarf_Op mem[3], *ops;
		size_t n;
		uint64_t value;

		if (dwarf_frame_register(rules, (int)reg, mem, &ops, &n))
			continue;
		if (!n && !ops) { /* the same value */
			if (!reg_value(f, reg, &value))
				continue;
		} else if (n < 1 || n > 2 || ops[0].atom != DW_OP_call_frame_cfa ||
			   (n == 2 && ops[1].atom != DW_OP_plus_uconst) ||
			   !read_stack(w->thread, f->cfa + (n == 2 ? ops[1].number : 0), &value)) {
			continue;
		}
		caller->regs[reg] = value;
		caller->known |= 1u << reg;
	}
	free(rules);
}

static void visit(struct walk *w, struct insp_symbols_module *m, struct frame *f)
{
	struct insp_dwarf *dw = m ? insp_module_dwarf(m) : NULL;
	Dwarf_Die function;

	if (!dw || !insp_dwarf_function(dw, f->addr, &function, &f->pc))
		return;
	frame_base(f, &function);
	w->budget = LOCALS_MAX;
	locals_of(w, f, &function, dwarf_diename(&function), 0);
}

void insp_symbols_locals(struct insp_symbols *symbols, const struct insp_thread *thread,
			 insp_local_fn fn, void *ctx)
{
	struct walk w = {.thread = thread, .fn = fn, .ctx = ctx};
	struct frame at = {.known = thread->have_regs ? (1u << INSP_N_REGS) - 1 : 0}, caller;
	const struct insp_frames *frames = &thread->frames;

	memcpy(at.regs, thread->regs, sizeof(at.regs));
	for (size_t i = 0; i < frames->n && !w.stop; i++) {
		const struct insp_frame *f = &frames->items[i];
		struct insp_symbols_module *m;
		size_t next = i + 1;

		if (f->flags & INSP_FRAME_INLINED)
			continue;
		while (next < frames->n && frames->items[next].flags & INSP_FRAME_INLINED)
			next++;
		at.addr = f->flags & INSP_FRAME_ACTIVATION || !f->pc ? f->pc : f->pc - 1;
		at.cfa = next < frames->n ? frames->items[next].sp : 0;
		if (f->sp) {
			at.regs[INSP_REG_RSP] = f->sp;
			at.known |= 1u << INSP_REG_RSP;
		}
		m = insp_symbols_module_at(symbols, at.addr);
		visit(&w, m, &at);
		caller = (struct frame){.no = at.no + 1};
		outward(&w, m, &at, &caller);
		at = caller;
	}
}

uint32_t insp_ctypes_of_local(struct insp_ctypes *types, const struct insp_local *local)
{
	return insp_ctypes_intern(types, local->type, 0);
}

const char *insp_local_member(const struct insp_local *local, struct insp_pool *pool, uint64_t offset)
{
	return insp_die_member(pool, local->type, offset);
}
