/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stack/bytes.h"

#include <string.h>

/* Words to look through for a return address: frames of compiled code are rarely larger. */
#define SCAN_WORDS 2048
/* A frame pointer further up than this is a number, not a frame. */
#define FRAME_MAX (UINT64_C(1) << 20)

void insp_stack_init(struct insp_stack *stack, const struct insp_unwind_env *env,
		     const struct insp_thread *thread)
{
	struct insp_target *target = env->target;

	*stack = (struct insp_stack){.env = env, .thread = thread};
	stack->held = target && target->ops->held && target->ops->held(target);
}

/* How many of n bytes at addr the copy holds from the start on. */
static size_t copied(const struct insp_thread *t, uint64_t addr, size_t n)
{
	uint64_t at = addr - t->stack_addr;

	if (!t->stack_bytes || at >= t->stack_len)
		return 0;
	return n < t->stack_len - at ? n : (size_t)(t->stack_len - at);
}

bool insp_stack_is_own(const struct insp_stack *s, uint64_t addr)
{
	const struct insp_thread *t = s->thread;
	const struct insp_region *r;

	if (t->stack_end)
		return addr >= t->stack_start && addr < t->stack_end;
	r = insp_regions_find(s->env->regions, t->regs[INSP_REG_RSP]);
	return r && addr >= r->start && addr < r->end;
}

bool insp_stack_read(struct insp_stack *s, uint64_t addr, void *buf, size_t size_bytes)
{
	const struct insp_thread *t = s->thread;
	size_t n = copied(t, addr, size_bytes);
	const struct insp_region *r;

	if (n) {
		memcpy(buf, t->stack_bytes + (addr - t->stack_addr), n);
		if (n == size_bytes)
			return true;
	}
	if (insp_stack_is_own(s, addr + n) && !s->held) {
		s->copy_ended = true;
		return false;
	}
	r = insp_regions_find(s->env->regions, addr + n);
	if (!r || insp_symbols_read(s->env->symbols, addr + n, (char *)buf + n, size_bytes - n))
		return false;
	/* Data of a module is no stack: unwinders read pointers to personality routines there. */
	if (insp_region_anonymous(r) && r->prot & INSP_PROT_WRITE && !(r->prot & INSP_PROT_EXEC) &&
	    !s->held)
		s->torn = true;
	return true;
}

bool insp_stack_is_code(const struct insp_stack *s, uint64_t addr)
{
	const struct insp_region *r = insp_regions_find(s->env->regions, addr);

	return r && r->prot & INSP_PROT_EXEC;
}

/* The length of a call through register or memory (ff /2) by its ModRM byte, without prefixes. */
static unsigned indirect_call_length(uint8_t modrm, uint8_t sib)
{
	unsigned mod = modrm >> 6, rm = modrm & 7, n = 2;

	if ((modrm >> 3 & 7) != 2)
		return 0;
	if (mod == 3)
		return n;
	if (rm == 4) {
		n++;
		if (mod == 0 && (sib & 7) == 5)
			n += 4;
	} else if (mod == 0 && rm == 5) {
		n += 4;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

bool insp_stack_after_call(struct insp_stack *s, uint64_t addr)
{
	uint8_t before[8];

	if (addr < sizeof(before) || !insp_stack_is_code(s, addr - 1) ||
	    !insp_stack_is_code(s, addr - sizeof(before)) ||
	    insp_symbols_read(s->env->symbols, addr - sizeof(before), before, sizeof(before)))
		return false;
	if (before[3] == 0xe8)
		return true;
	for (unsigned n = 2; n <= 7; n++)
		if (before[8 - n] == 0xff && indirect_call_length(before[9 - n], before[(10 - n) & 7]) == n)
			return true;
	return false;
}

bool insp_stack_is_trampoline(struct insp_stack *s, uint64_t addr)
{
	/* mov $15, %rax; syscall: glibc, musl and Go all write it like this; or with %eax. */
	static const uint8_t mov_rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	static const uint8_t mov_eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
	uint8_t code[sizeof(mov_rax)];

	if (!insp_stack_is_code(s, addr) ||
	    insp_symbols_read(s->env->symbols, addr, code, sizeof(code)))
		return false;
	return !memcmp(code, mov_rax, sizeof(mov_rax)) || !memcmp(code, mov_eax, sizeof(mov_eax));
}

static bool by_frame_pointer(struct insp_stack *s, const struct insp_cursor *at,
			     struct insp_cursor *ret)
{
	uint64_t words[2];
	bool chained;

	if (at->bp < at->sp || at->bp - at->sp > FRAME_MAX || at->bp & 7 ||
	    !insp_stack_is_code(s, at->pc) || !insp_stack_read(s, at->bp, words, sizeof(words)))
		return false;
	/* Interpreters push the address to go on at and jump: no call stands in front of it. Then the
	   next link must look right. */
	chained = words[0] > at->bp && words[0] - at->bp <= FRAME_MAX && !(words[0] & 7) &&
		  insp_stack_is_own(s, words[0]);
	if (!insp_stack_after_call(s, words[1]) && !(chained && insp_stack_is_code(s, words[1])))
		return false;
	*ret = (struct insp_cursor){.pc = words[1], .sp = at->bp + 16, .bp = words[0]};
	return true;
}

bool insp_stack_step(struct insp_stack *s, const struct insp_cursor *at, struct insp_cursor *ret,
		     bool *ret_guessed)
{
	uint64_t sp = at->sp & ~UINT64_C(7), word;

	*ret_guessed = false;
	if (by_frame_pointer(s, at, ret))
		return true;
	*ret_guessed = true;
	for (unsigned i = 0; i < SCAN_WORDS; i++, sp += 8) {
		if (!insp_stack_read(s, sp, &word, sizeof(word)))
			return false;
		if (!insp_stack_after_call(s, word))
			continue;
		*ret = (struct insp_cursor){.pc = word, .sp = sp + 8, .bp = at->bp};
		return true;
	}
	return false;
}
