/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cfi: from the unwind tables (.eh_frame) of the loaded modules to one rule for one address.
 *
 * Of all that call frame information can say, getting from frame to frame needs three things on x86-64:
 * where the canonical frame address (CFA) is, where the caller's rbp lies, and whether there is a caller
 * at all; the return address is at CFA - 8 in all code that compilers make. What cannot be put into a
 * rule (hook.h) is a frame at which stacks end; stacks say so.
 *
 * Formats: LSB core, "Exception Frames" (.eh_frame_hdr, .eh_frame); DWARF 4, section 6.4. It reads the
 * tables of modules whose code is on the stack, so they cannot go away meanwhile.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "hook/hook.h"

struct cursor {
	const uint8_t *p, *end;
};

static uint64_t get_fixed(struct cursor *c, size_t n)
{
	uint64_t v = 0;

	if ((size_t)(c->end - c->p) < n) {
		c->p = c->end;
		return 0;
	}
	memcpy(&v, c->p, n);
	c->p += n;
	return v;
}

static uint8_t get_u8(struct cursor *c)
{
	return c->p < c->end ? *c->p++ : 0;
}

static uint64_t get_leb(struct cursor *c, bool is_signed)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte = 0;

	while (c->p < c->end) {
		byte = *c->p++;
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80))
			break;
	}
	if (is_signed && shift < 64 && (byte & 0x40))
		v |= ~UINT64_C(0) << shift;
	return v;
}

static uint64_t get_uleb(struct cursor *c)
{
	return get_leb(c, false);
}

static int64_t get_sleb(struct cursor *c)
{
	return (int64_t)get_leb(c, true);
}

static void skip(struct cursor *c, uint64_t n)
{
	c->p = n <= (uint64_t)(c->end - c->p) ? c->p + n : c->end;
}

/* DW_EH_PE_* */
#define PE_OMIT	   0xff
#define PE_PCREL   0x10
#define PE_DATAREL 0x30
#define PE_SDATA4  0x0b

/* A value in one of the DW_EH_PE encodings; indirect ones are not followed. */
static uintptr_t get_encoded(struct cursor *c, uint8_t encoding, uintptr_t datarel)
{
	uintptr_t at = (uintptr_t)c->p, v;

	if (encoding == PE_OMIT)
		return 0;
	switch (encoding & 0x0f) {
	case 0x00: case 0x04: case 0x0c: v = get_fixed(c, 8); break;
	case 0x01: v = get_uleb(c); break;
	case 0x02: v = get_fixed(c, 2); break;
	case 0x03: v = get_fixed(c, 4); break;
	case 0x09: v = (uintptr_t)get_sleb(c); break;
	case 0x0a: v = (uintptr_t)(int64_t)(int16_t)get_fixed(c, 2); break;
	case 0x0b: v = (uintptr_t)(int64_t)(int32_t)get_fixed(c, 4); break;
	default: c->p = c->end; return 0;
	}
	switch (encoding & 0x70) {
	case PE_PCREL: return v + at;
	case PE_DATAREL: return v + datarel;
	default: return v;
	}
}

/* ---- finding the entry of an address */

struct header_search {
	uintptr_t pc;
	const uint8_t *header;
};

static int search_module(struct dl_phdr_info *info, size_t size_bytes, void *ctx)
{
	struct header_search *s = ctx;
	const uint8_t *header = NULL;
	bool holds = false;

	(void)size_bytes;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && s->pc - start < p->p_memsz)
			holds = true;
		else if (p->p_type == PT_GNU_EH_FRAME)
			header = (const uint8_t *)start;
	}
	if (holds)
		s->header = header;
	return holds;
}

/* The .eh_frame_hdr of the module that holds pc, or NULL. glibc 2.35 finds it without a lock. */
static const uint8_t *find_header(uintptr_t pc)
{
#if __GLIBC_PREREQ(2, 35)
	struct dl_find_object found;

	/* Its dlfo_map_end may lie before the table: no bound for what follows. */
	return _dl_find_object((void *)pc, &found) ? NULL : found.dlfo_eh_frame;
#else
	struct header_search s = {.pc = pc};

	(void)dl_iterate_phdr(search_module, &s);
	return s.header;
#endif
}

/* The frame description entry for pc by the binary search table, or NULL. */
static const uint8_t *find_fde(uintptr_t pc)
{
	const uint8_t *header = find_header(pc);

	if (!header || header[0] != 1 || header[3] != (PE_DATAREL | PE_SDATA4))
		return NULL;
	struct cursor c = {header + 4, header + 24};

	(void)get_encoded(&c, header[1], (uintptr_t)header);
	uint64_t n = get_encoded(&c, header[2], (uintptr_t)header);
	const int32_t(*table)[2] = (const int32_t(*)[2])c.p; /* address, entry; relative to header */
	int64_t want = (int64_t)(pc - (uintptr_t)header);

	if (!n || c.p == c.end || want < table[0][0])
		return NULL;
	uint64_t low = 0, high = n;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (table[middle][0] <= want)
			low = middle;
		else
			high = middle;
	}
	return header + table[low][1];
}

/* ---- one entry */

struct entry {
	struct cursor program, cie_program;
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* of addresses in the program */
	uintptr_t start;
	bool signal;
};

/* Length and extent of a CIE or FDE; *ret is behind the length. */
static bool entry_bounds(const uint8_t *p, struct cursor *ret)
{
	struct cursor c = {p, p + 12};
	uint64_t len = get_fixed(&c, 4);

	if (len == 0xffffffff)
		len = get_fixed(&c, 8);
	if (!len)
		return false;
	*ret = (struct cursor){c.p, c.p + len};
	return true;
}

static bool parse_cie(const uint8_t *at, struct entry *e, bool *ret_sized)
{
	struct cursor c;

	if (!entry_bounds(at, &c))
		return false;
	(void)get_fixed(&c, 4);
	uint8_t version = get_u8(&c);
	const char *augmentation = (const char *)c.p;

	skip(&c, strnlen(augmentation, (size_t)(c.end - c.p)) + 1);
	if (version != 1 && version != 3)
		return false;
	e->code_align = get_uleb(&c);
	e->data_align = get_sleb(&c);
	if (version == 1)
		(void)get_u8(&c); /* return address register: 16 on x86-64 */
	else
		(void)get_uleb(&c);
	e->encoding = 0;
	*ret_sized = augmentation[0] == 'z';
	if (!*ret_sized) {
		e->cie_program = c;
		return augmentation[0] == '\0';
	}
	uint64_t len = get_uleb(&c);
	struct cursor data = c;

	skip(&c, len);
	e->cie_program = c;
	for (const char *a = augmentation + 1; *a; a++) {
		if (*a == 'R') {
			e->encoding = get_u8(&data);
		} else if (*a == 'P') {
			uint8_t encoding = get_u8(&data);

			(void)get_encoded(&data, encoding, 0);
		} else if (*a == 'L') {
			(void)get_u8(&data);
		} else if (*a == 'S') {
			e->signal = true;
		} else if (*a != 'B') {
			break;
		}
	}
	return true;
}

static bool parse_fde(const uint8_t *at, uintptr_t pc, struct entry *e)
{
	struct cursor c;
	bool sized;

	if (!entry_bounds(at, &c))
		return false;
	const uint8_t *here = c.p;
	uint64_t back = get_fixed(&c, 4);

	if (!back || !parse_cie(here - back, e, &sized))
		return false;
	e->start = get_encoded(&c, e->encoding, 0);
	uintptr_t length = get_encoded(&c, e->encoding & 0x0f, 0);

	if (sized) {
		uint64_t n = get_uleb(&c);

		skip(&c, n);
	}
	e->program = c;
	return pc - e->start < length;
}

/* ---- running it */

#define DW_RBP 6
#define DW_RSP 7
#define DW_RA  16

struct row {
	uint64_t cfa_register;
	int64_t cfa_offset;
	struct cursor cfa_expression; /* p NULL: register and offset */
	uint32_t bp_kind;	      /* enum insp_hook_bp_kind; BP_ODD: not expressible */
	int64_t bp_offset;
	enum { RA_NORMAL, RA_NONE, RA_ODD } ra;
};
#define BP_ODD 3

static void set_offset(struct row *row, uint64_t reg, int64_t offset)
{
	if (reg == DW_RBP) {
		row->bp_kind = HOOK_BP_CFA;
		row->bp_offset = offset;
	} else if (reg == DW_RA) {
		row->ra = offset == -8 ? RA_NORMAL : RA_ODD;
	}
}

static void set_odd(struct row *row, uint64_t reg)
{
	if (reg == DW_RBP)
		row->bp_kind = BP_ODD;
	else if (reg == DW_RA)
		row->ra = RA_ODD;
}

static void set_initial(struct row *row, uint64_t reg, const struct row *initial)
{
	if (reg == DW_RBP) {
		row->bp_kind = initial->bp_kind;
		row->bp_offset = initial->bp_offset;
	} else if (reg == DW_RA) {
		row->ra = initial->ra;
	}
}

/* rbp is saved where an expression says: "rbp + offset" is what compilers write there. */
static void set_expression(struct row *row, uint64_t reg, struct cursor e)
{
	bool is_breg6 = get_u8(&e) == 0x76;
	int64_t offset = get_sleb(&e);

	if (reg == DW_RBP && is_breg6 && e.p == e.end) {
		row->bp_kind = HOOK_BP_BP;
		row->bp_offset = offset;
	} else {
		set_odd(row, reg);
	}
}

static struct cursor get_block(struct cursor *c)
{
	uint64_t n = get_uleb(c);
	struct cursor block = *c;

	skip(c, n);
	block.end = c->p;
	return block;
}

/* Instructions with a register or the CFA: false when op is none of them. */
static bool run_register_op(uint8_t op, struct cursor *c, const struct entry *e, struct row *row,
			    const struct row *initial)
{
	uint64_t reg;

	switch (op) {
	case 0x05: /* offset_extended */
		reg = get_uleb(c);
		set_offset(row, reg, (int64_t)get_uleb(c) * e->data_align);
		return true;
	case 0x06: /* restore_extended */
		set_initial(row, get_uleb(c), initial);
		return true;
	case 0x07: /* undefined */
		reg = get_uleb(c);
		if (reg == DW_RA)
			row->ra = RA_NONE;
		else if (reg == DW_RBP)
			row->bp_kind = HOOK_BP_SAME;
		return true;
	case 0x08: /* same_value */
		if (get_uleb(c) == DW_RBP)
			row->bp_kind = HOOK_BP_SAME;
		return true;
	case 0x09: /* register */
		reg = get_uleb(c);
		(void)get_uleb(c);
		set_odd(row, reg);
		return true;
	case 0x10: /* expression */
		reg = get_uleb(c);
		set_expression(row, reg, get_block(c));
		return true;
	case 0x11: /* offset_extended_sf */
		reg = get_uleb(c);
		set_offset(row, reg, get_sleb(c) * e->data_align);
		return true;
	case 0x14: /* val_offset */
		reg = get_uleb(c);
		(void)get_uleb(c);
		set_odd(row, reg);
		return true;
	case 0x15: /* val_offset_sf */
		reg = get_uleb(c);
		(void)get_sleb(c);
		set_odd(row, reg);
		return true;
	case 0x16: /* val_expression */
		reg = get_uleb(c);
		(void)get_block(c);
		set_odd(row, reg);
		return true;
	default:
		return false;
	}
}

static bool run_cfa_op(uint8_t op, struct cursor *c, const struct entry *e, struct row *row)
{
	switch (op) {
	case 0x0c: /* def_cfa */
		row->cfa_register = get_uleb(c);
		row->cfa_offset = (int64_t)get_uleb(c);
		row->cfa_expression.p = NULL;
		return true;
	case 0x0d: /* def_cfa_register */
		row->cfa_register = get_uleb(c);
		row->cfa_expression.p = NULL;
		return true;
	case 0x0e: /* def_cfa_offset */
		row->cfa_offset = (int64_t)get_uleb(c);
		return true;
	case 0x0f: /* def_cfa_expression */
		row->cfa_expression = get_block(c);
		return true;
	case 0x12: /* def_cfa_sf */
		row->cfa_register = get_uleb(c);
		row->cfa_offset = get_sleb(c) * e->data_align;
		row->cfa_expression.p = NULL;
		return true;
	case 0x13: /* def_cfa_offset_sf */
		row->cfa_offset = get_sleb(c) * e->data_align;
		return true;
	case 0x2e: /* GNU_args_size */
		(void)get_uleb(c);
		return true;
	case 0x00: /* nop */
		return true;
	default:
		return false;
	}
}

/* The address to which an advance goes; UINTPTR_MAX: op is no advance. */
static uintptr_t advance(uint8_t op, struct cursor *c, const struct entry *e, uintptr_t at)
{
	switch (op) {
	case 0x01: return get_encoded(c, e->encoding, 0);
	case 0x02: return at + get_u8(c) * e->code_align;
	case 0x03: return at + get_fixed(c, 2) * e->code_align;
	case 0x04: return at + get_fixed(c, 4) * e->code_align;
	default: return UINTPTR_MAX;
	}
}

#define SAVED_ROWS 8

/* Runs the program up to the row that holds for pc. False: it says what we do not understand. */
static bool run(struct cursor c, const struct entry *e, uintptr_t at, uintptr_t pc,
		const struct row *initial, struct row *row)
{
	struct row saved[SAVED_ROWS];
	unsigned nsaved = 0;

	while (c.p < c.end) {
		uint8_t op = *c.p++, low = op & 0x3f;
		uintptr_t to = UINTPTR_MAX;

		if (op >> 6 == 1) {
			to = at + low * e->code_align;
		} else if (op >> 6 == 2) {
			set_offset(row, low, (int64_t)get_uleb(&c) * e->data_align);
			continue;
		} else if (op >> 6 == 3) {
			set_initial(row, low, initial);
			continue;
		} else if (op == 0x0a) { /* remember_state */
			if (nsaved == SAVED_ROWS)
				return false;
			saved[nsaved++] = *row;
			continue;
		} else if (op == 0x0b) { /* restore_state */
			if (!nsaved)
				return false;
			*row = saved[--nsaved];
			continue;
		} else {
			to = advance(op, &c, e, at);
		}
		if (to != UINTPTR_MAX) {
			if (to > pc)
				return true;
			at = to;
		} else if (!run_cfa_op(op, &c, e, row) &&
			   !run_register_op(op, &c, e, row, initial)) {
			return false;
		}
	}
	return true;
}

/* ---- the row as a rule */

/*
 * CFA by an expression. Two kinds are in use: *(rbp + n) of functions that realign their stack, and the
 * one that linkers write for the procedure linkage table:
 * rsp + 8 + ((rip & 15) >= n) * 8.
 */
static insp_hook_rule expression_rule(const struct row *row)
{
	struct cursor e = row->cfa_expression;
	size_t len = (size_t)(e.end - e.p);
	const uint8_t *b = e.p;

	if (get_u8(&e) == 0x76) {
		int64_t offset = get_sleb(&e);

		if (e.p == e.end)
			return insp_hook_rule_make(HOOK_RULE_BP, row->bp_kind, row->bp_offset,
						   offset);
		if (get_u8(&e) == 0x06 && e.p == e.end)
			return insp_hook_rule_make(HOOK_RULE_BP_AT, row->bp_kind, row->bp_offset,
						   offset);
	} else if (len == 11 && b[0] == 0x77 && b[1] == 8 && b[2] == 0x80 && b[5] == 0x1a &&
		   b[7] == 0x2a && b[6] >= 0x30 && b[6] < 0x40) {
		return insp_hook_rule_make(HOOK_RULE_PLT, HOOK_BP_SAME, 0, b[6] - 0x30);
	}
	return insp_hook_rule_make(HOOK_RULE_LOST, 0, 0, 0);
}

insp_hook_rule insp_hook_cfi_rule(uintptr_t pc)
{
	const insp_hook_rule lost = insp_hook_rule_make(HOOK_RULE_LOST, 0, 0, 0);
	const uint8_t *fde = find_fde(pc);
	struct entry e = {0};
	struct row row = {0}, initial = {0};

	(void)search_module;
	if (!fde || !parse_fde(fde, pc, &e))
		return lost;
	if (e.signal)
		return insp_hook_rule_make(HOOK_RULE_SIGNAL, 0, 0, 0);
	if (!run(e.cie_program, &e, 0, UINTPTR_MAX - 1, &initial, &row))
		return lost;
	initial = row;
	if (!run(e.program, &e, e.start, pc, &initial, &row))
		return lost;
	if (row.ra == RA_NONE)
		return insp_hook_rule_make(HOOK_RULE_END, 0, 0, 0);
	if (row.ra == RA_ODD || row.bp_kind == BP_ODD || row.bp_offset % 8)
		return lost;
	if (row.cfa_expression.p)
		return expression_rule(&row);
	if (row.cfa_offset != (int32_t)row.cfa_offset)
		return lost;
	if (row.cfa_register == DW_RSP)
		return insp_hook_rule_make(HOOK_RULE_SP, row.bp_kind, row.bp_offset,
					   row.cfa_offset);
	if (row.cfa_register == DW_RBP)
		return insp_hook_rule_make(HOOK_RULE_BP, row.bp_kind, row.bp_offset,
					   row.cfa_offset);
	return lost;
}
