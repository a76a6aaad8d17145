/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * thread: what a thread was doing when it stood still: registers, the top of its stack, what it
 * waited for, and (after unwinding) its frames.
 */
#ifndef INSP_MODEL_THREAD_H
#define INSP_MODEL_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* x86-64 registers by their DWARF number (System V psABI, figure 3.36). */
enum insp_reg {
	INSP_REG_RAX, INSP_REG_RDX, INSP_REG_RCX, INSP_REG_RBX, INSP_REG_RSI, INSP_REG_RDI,
	INSP_REG_RBP, INSP_REG_RSP, INSP_REG_R8, INSP_REG_R9, INSP_REG_R10, INSP_REG_R11,
	INSP_REG_R12, INSP_REG_R13, INSP_REG_R14, INSP_REG_R15, INSP_REG_RIP,
	INSP_N_REGS
};

/* The red zone: bytes below the stack pointer that a leaf function may use (psABI 3.2.2). */
#define INSP_RED_ZONE_BYTES 128

enum insp_frame_flags {
	INSP_FRAME_INLINED = 1 << 0,   /* no frame of its own: inlined into the next one */
	INSP_FRAME_SIGNAL = 1 << 1,    /* signal trampoline: the frame outward was interrupted */
	INSP_FRAME_GUESSED = 1 << 2,   /* found by scanning the stack, not by unwind tables */
	INSP_FRAME_ACTIVATION = 1 << 3 /* pc is where it stands, not a return address */
};

/* Strings are views into the pool that the frames were made in; NULL means unknown. */
struct insp_frame {
	uint64_t pc;		/* as found; a return address unless ACTIVATION */
	uint64_t sp;		/* stack pointer in this frame (canonical frame address below); 0 unknown */
	const char *function;	/* demangled */
	uint64_t function_offset; /* bytes from the function's start to pc */
	const char *module;	/* path */
	uint64_t module_offset; /* pc minus the module's load bias: what addr2line takes */
	const char *file;	/* source file */
	uint32_t line;		/* 0 unknown */
	uint32_t flags;		/* enum insp_frame_flags */
};

struct insp_frames {
	struct insp_frame *items; /* innermost first */
	size_t n, cap;
	bool truncated;		  /* depth limit reached or the stack copy ended */
	const char *end_reason;	  /* why unwinding stopped before the bottom; NULL if complete */
};

struct insp_thread {
	int tid;		  /* in our pid namespace */
	int ns_tid;		  /* in the target's innermost namespace; equals tid without one */
	char name[16];
	char state;		  /* as in /proc/TID/stat before the stop: R S D T t Z X */
	bool have_regs;
	uint64_t regs[INSP_N_REGS];
	uint64_t orig_rax;	  /* system call it is in, or -1 */
	uint64_t fs_base;	  /* thread pointer: struct pthread of glibc starts there */
	int64_t syscall;	  /* number, -1 none; from orig_rax or /proc/TID/syscall */
	uint64_t syscall_args[6]; /* valid when syscall >= 0 */
	const char *wchan;	  /* kernel function it sleeps in, or NULL */
	uint64_t cpu_ns;	  /* user and system time so far */

	uint64_t stack_start, stack_end; /* the mapping that rsp points into; 0, 0 unknown */
	uint64_t stack_addr;		 /* address of stack_bytes[0]: rsp minus the red zone */
	uint8_t *stack_bytes;		 /* copied in the pause; NULL if none */
	size_t stack_len;		 /* bytes */

	struct insp_frames frames;	 /* filled by stack/ after the pause */

	/* Only where a core is to be made of it: all general registers, in the kernel's order, and
	   floating point and vectors, as XSAVE writes them (512 bytes: as FXSAVE does). In pool. */
	uint8_t *kernel_regs, *xsave;
	size_t kernel_regs_bytes, xsave_bytes;
};

/*
 * The frame whose part of the stack holds addr, a view; ret_no is its number as in lists of
 * frames, where inlined ones do not count. NULL: below all of them.
 */
const struct insp_frame *insp_thread_frame_at(const struct insp_thread *thread, uint64_t addr,
					      size_t *ret_no);

struct insp_threads {
	struct insp_thread *items; /* main thread first, then by tid */
	size_t n, cap;
};

#endif
