/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vectors: computes for ever, with "ABC..." in its vector registers, as wide as the processor has them. */
#include <sys/syscall.h>

#include "victim.h"

static char pattern[64];
static char line[128];

/* The truth line is written by the code that has loaded them: nothing in between may use a vector. */
#define HOLD(load)                                                                           \
	__asm__ volatile(load "syscall\n1: jmp 1b"                                           \
			 :                                                                   \
			 : "a"(SYS_write), "D"(1), "S"(line), "d"(strlen(line)), "r"(pattern) \
			 : "rcx", "r11", "memory")

static int width(void)
{
	return __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx") ? 32 : 16;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)('A' + i % 26);
	snprintf(line, sizeof(line), "{\"ready\":true,\"pid\":%d,\"width\":%d}\n", (int)getpid(), width());
	if (width() == 64)
		HOLD("vmovdqu64 (%4), %%zmm3\nvmovdqu64 (%4), %%zmm17\n");
	else if (width() == 32)
		HOLD("vmovdqu (%4), %%ymm3\n");
	else
		HOLD("movdqu (%4), %%xmm3\n");
	return 0;
}
