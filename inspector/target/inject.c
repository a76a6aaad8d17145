/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inject: one system call in somebody else's thread, so that nothing can go wrong in between.
 *
 * What lies below the stack pointer of the thread while it works for us:
 *
 *     rsp of the thread        ->  its own stack, untouched
 *     128 bytes                    red zone, untouched
 *     its vector registers         xsave image, aligned to 64, with the kernel's magic numbers
 *     child's frame                &sigreturn | ucontext: exit_group(0)
 *     rsp during the call      ->  &sigreturn | ucontext: the registers as they were
 *
 * The thread is sent to a `syscall; ret` in its own code. Left alone after the call, `ret` takes
 * it to the rt_sigreturn of its libc, and the kernel puts back registers, vector registers and signal
 * mask. Only while we live do we spare it that way: it is stopped right after the call, its
 * registers are set back by ptrace (which keeps the state of an interrupted system call whole: the
 * kernel itself restarts it), and the bytes below the stack are restored.
 *
 * A forked child's stack pointer is the second frame: it can only end.
 *
 * Where this is not safe, and so not done: in 32-bit code, while single-stepped, in a restartable
 * sequence (the kernel cannot tell that it was left), on a stack that we do not know the bounds of
 * (coroutines, signal stacks), with shadow stacks, under seccomp filters (they might kill the
 * process for a call it does not make), and when about to get a signal. Nor in a group stop, but for
 * what undoes an earlier call: the kernel stops the thread again when it is let go.
 *
 * PTRACE_O_TRACESYSGOOD has to be on: without it, a death of ours between the two stops of a
 * system call leaves a SIGTRAP to the target. All signals are blocked meanwhile.
 */
#include "target/inject.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/pool.h"
#include "target/live.h"
#include "target/proc.h"
#include "target/tracer_inside.h"
#include "target/usage.h"

#define SEARCH_BYTES	   (64u << 20)	/* of code, at most */
#define PIECE_BYTES	   (1u << 20)
#define XSTATE_MAX_BYTES   16384
#define XSTATE_SW_OFFSET   464 /* of the bytes for software in the legacy part of an xsave image */
#define XSTATE_MAGIC1	   0x46505853u /* FP_XSTATE_MAGIC1, before, and 2, behind the image */
#define XSTATE_MAGIC2	   0x46505845u
#define MAX_TRIES	   64 /* threads */
#define SYSCALL_STOP	   (SIGTRAP | 0x80)
#define CLONE_FILES_ONLY   0x400ull /* CLONE_FILES, and no exit signal */
#define USER_CS		   0x33
#define EFLAGS_TRAP	   0x100u
#define EFLAGS_DIRECTION   0x400u
#define EVENT_STOP	   128
#define NT_XSTATE	   0x202
#define FORK_GRACE_NS	   UINT64_C(200000000)
#define ALONE_STOP_NS	   UINT64_C(1000000000) /* of one try; giving up does harm: halt.c */
#define ALONE_TRIES_NS	   UINT64_C(10000000000)

/* struct sigcontext and ucontext of the kernel, arch/x86/include/uapi/asm/sigcontext.h. */
struct kernel_sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
	uint64_t eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};

struct kernel_ucontext {
	uint64_t flags, link;
	uint64_t stack_sp;
	int32_t stack_flags, pad;
	uint64_t stack_size;
	struct kernel_sigcontext mc;
	uint64_t sigmask;
};

enum {
	UC_XSTATE = 1,
	UC_SS = 2,
	UC_STRICT_SS = 4,
	/* No such mode: rt_sigreturn leaves the alternate stack as it is. */
	NO_ALTSTACK = 0x7fff,
};

struct frames {
	uint64_t own_return; /* the address of sigreturn: what `ret` pops */
	struct kernel_ucontext own;
	uint64_t child_return;
	struct kernel_ucontext child;
};

struct insp_inject {
	struct insp_live *live;
	struct insp_pool *pool;
	struct insp_regions regions;
	uint64_t syscall_addr;	 /* syscall; ret */
	uint64_t sigreturn_addr; /* mov $15,%eax; syscall */
	bool cleaning_up;	 /* calls are made in a group stop, too */
	void (*on_step)(void *ctx);
	void *step_ctx;
	_Alignas(64) uint8_t xstate[XSTATE_MAX_BYTES];
	uint8_t image[XSTATE_MAX_BYTES + 4096], old[XSTATE_MAX_BYTES + 4096];
};

/* One injection. */
struct job {
	struct insp_inject *in;
	struct insp_tracer *t;
	int tid;
	bool is_child;		/* of a clone: its stack is prepared already */
	bool clones;
	struct user_regs_struct saved;
	uint64_t sigmask;
	uint64_t frame;		/* address of struct frames */
	size_t frame_len;	/* with the xsave image */
	int child;
};

static void step(struct insp_inject *in)
{
	if (in->on_step)
		in->on_step(in->step_ctx);
}

void insp_inject_on_step(struct insp_inject *in, void (*fn)(void *ctx), void *ctx)
{
	in->on_step = fn;
	in->step_ctx = ctx;
}

void insp_inject_clean_up(struct insp_inject *in)
{
	in->cleaning_up = true;
}

/* ---- finding the code */

static void search(struct insp_inject *in, const uint8_t *bytes, size_t len, uint64_t addr)
{
	static const uint8_t call[] = {0x0f, 0x05, 0xc3};
	static const uint8_t ret_long[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
	static const uint8_t ret_short[] = {0xb8, 15, 0, 0, 0, 0x0f, 0x05};
	const uint8_t *p;

	if (!in->syscall_addr && (p = memmem(bytes, len, call, sizeof(call))))
		in->syscall_addr = addr + (uint64_t)(p - bytes);
	if (in->sigreturn_addr)
		return;
	p = memmem(bytes, len, ret_long, sizeof(ret_long));
	if (!p)
		p = memmem(bytes, len, ret_short, sizeof(ret_short));
	if (p)
		in->sigreturn_addr = addr + (uint64_t)(p - bytes);
}

/* In the file behind the region: reading the target's own pages would bring them in. */
static void search_region(struct insp_inject *in, struct insp_target *target,
			  const struct insp_region *r, uint8_t *buf, size_t *budget)
{
	int fd = target->ops->open_file(target, INSP_TARGET_REGION_FILE, r, NULL);
	uint64_t len = r->end - r->start;

	for (uint64_t at = 0; at < len && *budget >= PIECE_BYTES; at += PIECE_BYTES - 16) {
		size_t want = len - at < PIECE_BYTES ? (size_t)(len - at) : PIECE_BYTES;
		ssize_t n = fd >= 0 ? pread(fd, buf, want, (off_t)(r->offset + at)) : 0;

		if (n <= 0)
			break;
		*budget -= PIECE_BYTES;
		search(in, buf, (size_t)n, r->start + at);
		if (in->syscall_addr && in->sigreturn_addr)
			break;
	}
	if (fd >= 0)
		(void)close(fd);
}

/* What the file says is there may have been patched in memory: look at the few bytes. */
static bool still_there(struct insp_inject *in)
{
	uint8_t call[3], ret[9];

	return insp_live_read(in->live, in->syscall_addr, call, sizeof(call)) == sizeof(call) &&
	       call[0] == 0x0f && call[1] == 0x05 && call[2] == 0xc3 &&
	       insp_live_read(in->live, in->sigreturn_addr, ret, sizeof(ret)) == sizeof(ret) &&
	       ((ret[0] == 0x48 && ret[1] == 0xc7 && ret[2] == 0xc0 && ret[3] == 15) ||
		(ret[0] == 0xb8 && ret[1] == 15));
}

static int find_code(struct insp_inject *in, struct insp_target *target, struct insp_error *err)
{
	uint8_t *buf = malloc(PIECE_BYTES);
	size_t budget = SEARCH_BYTES;

	if (!buf)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	/* The C library first: both are in it. */
	for (int pass = 0; pass < 2 && !(in->syscall_addr && in->sigreturn_addr); pass++)
		for (size_t i = 0; i < in->regions.n; i++) {
			const struct insp_region *r = &in->regions.items[i];
			bool libc = strstr(r->name, "/libc") != NULL;

			if (r->prot & INSP_PROT_EXEC && r->inode && libc == !pass)
				search_region(in, target, r, buf, &budget);
		}
	free(buf);
	if (!in->syscall_addr || !in->sigreturn_addr || !still_there(in))
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "process %d: no code to borrow for an injected call was found",
				 in->live->pid);
	return 0;
}

int insp_inject_create(struct insp_target *target, struct insp_inject **ret, struct insp_error *err)
{
	struct insp_live *live = insp_live_of(target);
	struct insp_inject *in;
	char status[8192];
	uint64_t seccomp;
	int rc;

	if (!live->is_x86_64)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "process %d is not an x86-64 program: nothing can be injected",
				 live->pid);
	if (insp_proc_small(live->vm_fd, "status", status, sizeof(status)) > 0 &&
	    strstr(status, "x86_Thread_features:") && strstr(status, "shstk"))
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "process %d has shadow stacks: nothing can be injected", live->pid);
	if (insp_proc_field(status, "Seccomp", &seccomp) && seccomp)
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 seccomp == SECCOMP_MODE_STRICT
					 ? "process %d is in seccomp's strict mode, which kills it for "
					   "an injected call"
					 : "process %d has a seccomp filter, which might kill it for an "
					   "injected call (what it would do is not worked out)",
				 live->pid);
	if (insp_usage_frozen(live))
		return insp_fail(err, INSP_E_UNSUPPORTED,
				 "process %d is frozen by its cgroup: it can make no call", live->pid);
	in = aligned_alloc(64, (sizeof(*in) + 63) & ~63ul);
	if (!in)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	memset(in, 0, sizeof(*in));
	in->live = live;
	in->pool = insp_pool_create();
	rc = in->pool ? insp_live_regions(live, in->pool, &in->regions, err)
		      : insp_fail(err, INSP_E_NOMEM, "out of memory");
	if (!rc)
		rc = find_code(in, target, err);
	if (rc) {
		insp_inject_destroy(in);
		return rc;
	}
	*ret = in;
	return 0;
}

void insp_inject_destroy(struct insp_inject *in)
{
	if (!in)
		return;
	insp_pool_destroy(in->pool);
	free(in);
}

/* ---- may this thread be used? */

static bool write_memory(struct insp_live *live, uint64_t addr, const void *buf, size_t size_bytes)
{
	struct iovec from = {.iov_base = (void *)(uintptr_t)buf, .iov_len = size_bytes};
	struct iovec to = {.iov_base = (void *)(uintptr_t)addr, .iov_len = size_bytes};

	return process_vm_writev(live->vm_tid, &from, 1, &to, 1, 0) == (ssize_t)size_bytes;
}

struct rseq_config {
	uint64_t area;
	uint32_t size, signature, flags, pad;
};

/* rseq(2): a sequence that was interrupted has to be aborted, and we would hide the interruption. */
static bool in_restartable_sequence(const struct job *j)
{
	struct rseq_config config = {0};
	struct {
		uint32_t version, flags;
		uint64_t start, post_commit_offset, abort;
	} cs;
	uint64_t at;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, j->tid, (void *)sizeof(config), &config) <= 0)
		return false; /* no rseq in this kernel, or not used by the thread */
	if (!config.area)
		return false;
	if (insp_live_read(j->in->live, config.area + 8, &at, sizeof(at)) != sizeof(at))
		return true;
	if (!at)
		return false;
	if (insp_live_read(j->in->live, at, &cs, sizeof(cs)) != sizeof(cs))
		return true;
	return j->saved.rip - cs.start < cs.post_commit_offset;
}

static bool has_seccomp(const struct job *j)
{
	char path[48], status[8192];
	uint64_t mode = 0;

	snprintf(path, sizeof(path), "%d/status", j->tid);
	if (insp_proc_small(j->in->live->task_fd, path, status, sizeof(status)) <= 0)
		return true;
	return insp_proc_field(status, "Seccomp", &mode) && mode;
}

/* The main stack, or one with the thread's control block above the stack pointer: where pthread
   puts it, but for the main thread. Of any other we do not know where it ends. */
static const struct insp_region *known_stack(const struct job *j)
{
	const struct insp_region *r = insp_regions_find(&j->in->regions, j->saved.rsp);

	if (!r || !(r->prot & INSP_PROT_WRITE) || r->flags & (INSP_REGION_SHARED | INSP_REGION_DEVICE))
		return NULL;
	if (r->flags & INSP_REGION_STACK)
		return r;
	if (j->tid == j->in->live->pid)
		return NULL;
	return j->saved.fs_base > j->saved.rsp && j->saved.fs_base < r->end ? r : NULL;
}

/* NULL: fine. */
static const char *unfit(struct job *j)
{
	struct iovec iov = {.iov_base = &j->saved, .iov_len = sizeof(j->saved)};

	if (ptrace(PTRACE_GETREGSET, j->tid, (void *)NT_PRSTATUS, &iov) ||
	    iov.iov_len != sizeof(j->saved))
		return "its registers cannot be read";
	if (j->saved.cs != USER_CS)
		return "it runs 32-bit code";
	if (j->saved.eflags & EFLAGS_TRAP)
		return "it is being single-stepped";
	if (ptrace(PTRACE_GETSIGMASK, j->tid, (void *)sizeof(j->sigmask), &j->sigmask))
		return "its signal mask cannot be read";
	if (j->is_child)
		return NULL;
	if (in_restartable_sequence(j))
		return "it is in a restartable sequence";
	if (has_seccomp(j))
		return "it has a seccomp filter";
	return NULL;
}

/* ---- the frame */

static void fill_own(const struct job *j, struct kernel_ucontext *uc, uint64_t fpstate)
{
	const struct user_regs_struct *s = &j->saved;
	int64_t rax = (int64_t)s->rax;

	*uc = (struct kernel_ucontext){
		.flags = UC_XSTATE | UC_SS | UC_STRICT_SS,
		.stack_flags = NO_ALTSTACK,
		.sigmask = j->sigmask,
		.mc = {.r8 = s->r8, .r9 = s->r9, .r10 = s->r10, .r11 = s->r11, .r12 = s->r12,
		       .r13 = s->r13, .r14 = s->r14, .r15 = s->r15, .rdi = s->rdi, .rsi = s->rsi,
		       .rbp = s->rbp, .rbx = s->rbx, .rdx = s->rdx, .rax = s->rax, .rcx = s->rcx,
		       .rsp = s->rsp, .rip = s->rip, .eflags = s->eflags, .cs = (uint16_t)s->cs,
		       .ss = (uint16_t)s->ss, .fpstate = fpstate},
	};
	/* A system call that the kernel would restart: rt_sigreturn does not, so the frame goes
	   back to before the instruction. ERESTARTSYS, NOINTR, NOHAND, RESTARTBLOCK. */
	if ((int64_t)s->orig_rax >= 0 && (rax == -512 || rax == -513 || rax == -514 || rax == -516)) {
		uc->mc.rax = s->orig_rax;
		uc->mc.rip = s->rip - 2;
	}
}

static void fill_child(const struct job *j, struct kernel_ucontext *uc)
{
	*uc = (struct kernel_ucontext){
		.flags = UC_SS | UC_STRICT_SS,
		.stack_flags = NO_ALTSTACK,
		.sigmask = ~0ull,
		.mc = {.rax = SYS_exit_group, .rip = j->in->syscall_addr,
		       .rsp = j->frame + offsetof(struct frames, child_return), .eflags = 0x202,
		       .cs = USER_CS, .ss = (uint16_t)j->saved.ss},
	};
}

/* The vector registers as a signal frame has them: the image, framed by magic numbers. */
static void fill_xstate(struct insp_inject *in, uint8_t *to, size_t len)
{
	const uint32_t magic2 = XSTATE_MAGIC2;
	uint64_t features;
	struct {
		uint32_t magic1, extended_size;
		uint64_t features;
		uint32_t xstate_size, pad;
	} sw = {.magic1 = XSTATE_MAGIC1, .extended_size = (uint32_t)len + 4, .xstate_size = (uint32_t)len};

	/* The kernel tells here which features the image has. */
	memcpy(&features, in->xstate + XSTATE_SW_OFFSET, sizeof(features));
	sw.features = features;
	memcpy(to, in->xstate, len);
	memcpy(to + XSTATE_SW_OFFSET, &sw, sizeof(sw));
	memcpy(to + len, &magic2, sizeof(magic2));
}

static const char *lay_frame(struct job *j)
{
	struct insp_inject *in = j->in;
	const struct insp_region *stack = known_stack(j);
	struct iovec iov = {.iov_base = in->xstate, .iov_len = sizeof(in->xstate)};
	struct frames *f = (struct frames *)(void *)in->image;
	uint64_t fpstate;

	if (!stack)
		return "it is on a stack of unknown kind";
	if (ptrace(PTRACE_GETREGSET, j->tid, (void *)NT_XSTATE, &iov))
		return "its vector registers cannot be read";
	if (iov.iov_len > sizeof(in->xstate) - 64 || iov.iov_len < 576)
		return "its vector registers have an unknown size";
	fpstate = (j->saved.rsp - INSP_RED_ZONE_BYTES - iov.iov_len - 64) & ~63ull;
	j->frame = (fpstate - sizeof(*f)) & ~15ull;
	j->frame_len = fpstate + iov.iov_len + 4 - j->frame;
	if (j->frame < stack->start + 256 || j->frame > j->saved.rsp || j->frame_len > sizeof(in->image))
		return "it has no room left on its stack";
	memset(in->image, 0, j->frame_len);
	f->own_return = f->child_return = in->sigreturn_addr;
	fill_own(j, &f->own, fpstate);
	fill_child(j, &f->child);
	fill_xstate(in, in->image + (fpstate - j->frame), iov.iov_len);
	step(in);
	if (insp_live_read(in->live, j->frame, in->old, j->frame_len) != j->frame_len)
		return "its stack cannot be read";
	if (!write_memory(in->live, j->frame, in->image, j->frame_len))
		return "its stack cannot be written";
	step(in);
	return NULL;
}

/* ---- the call */

static int wait_stop(const struct job *j, int *ret_sig, int *ret_event, struct insp_error *err)
{
	for (;;) {
		siginfo_t si = {0};

		if (!waitid(P_PID, (id_t)j->tid, &si,
			    WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD)) {
			if (si.si_code != CLD_TRAPPED && si.si_code != CLD_STOPPED)
				break;
			*ret_sig = si.si_status & 0xff;
			*ret_event = (int)((unsigned)si.si_status >> 8);
			j->t->steps++;
			return 0;
		}
		if (errno != EINTR)
			break;
		/* A fork under way cannot be stopped, and left alone its child would never be
		   collected: it gets a little longer. */
		if (insp_now_ns() > j->t->deadline_ns + (j->clones ? FORK_GRACE_NS : 0))
			return insp_fail(err, INSP_E_BUDGET, "the time for the stop ran out during "
							     "an injected call");
	}
	return insp_fail(err, INSP_E_GONE, "process %d has ended", j->in->live->pid);
}

/* A signal that comes in between is delivered: only SIGSTOP can, the others are blocked. */
static void go_on(const struct job *j, enum __ptrace_request how, int sig, int event)
{
	bool deliver = !event && sig != SYSCALL_STOP && sig != SIGTRAP;

	(void)ptrace(how, j->tid, NULL, (void *)(uintptr_t)(deliver ? sig : 0));
	step(j->in);
}

/* Entry, then the event of a clone or the exit, then a stop on the way back to user mode. */
static int run_call(struct job *j, struct insp_error *err)
{
	enum { TO_ENTRY, TO_EXIT, TO_STOP } at = TO_ENTRY;

	go_on(j, PTRACE_SYSCALL, 0, EVENT_STOP);
	for (;;) {
		unsigned long message = 0;
		int sig = 0, event = 0, rc = wait_stop(j, &sig, &event, err);
		bool syscall_stop = sig == SYSCALL_STOP && !event;

		if (rc)
			return rc;
		step(j->in);
		if (at == TO_STOP) {
			/* The signal is not SIGTRAP where a SIGSTOP came in between. It stands all the
			   same, and sent on it would leave the hold. */
			if (event == EVENT_STOP)
				return 0;
			go_on(j, PTRACE_CONT, sig, event);
		} else if (at == TO_ENTRY) {
			at = syscall_stop ? TO_EXIT : TO_ENTRY;
			go_on(j, PTRACE_SYSCALL, sig, event);
		} else if (syscall_stop || event == PTRACE_EVENT_CLONE) {
			if (event && !ptrace(PTRACE_GETEVENTMSG, j->tid, NULL, &message))
				j->child = (int)message;
			at = TO_STOP;
			(void)ptrace(PTRACE_INTERRUPT, j->tid, NULL, NULL);
			step(j->in);
			go_on(j, PTRACE_CONT, sig, event);
		} else {
			go_on(j, PTRACE_SYSCALL, sig, event);
		}
	}
}

static bool enter(struct job *j, long number, const uint64_t args[6])
{
	const uint64_t all = ~0ull;
	struct user_regs_struct r = j->saved;
	struct iovec iov = {.iov_base = &r, .iov_len = sizeof(r)};
	long options = PTRACE_O_TRACESYSGOOD | (j->is_child ? PTRACE_O_EXITKILL : PTRACE_O_TRACEEXEC) |
		       (j->clones ? PTRACE_O_TRACECLONE : 0);

	r.orig_rax = ~0ull; /* no system call is to be restarted */
	r.rax = (unsigned long long)number;
	r.rdi = args[0];
	r.rsi = j->clones ? j->frame + offsetof(struct frames, child_return) : args[1];
	r.rdx = args[2];
	r.r10 = args[3];
	r.r8 = args[4];
	r.r9 = args[5];
	r.rip = j->in->syscall_addr;
	r.rsp = j->frame;
	r.eflags &= ~(uint64_t)EFLAGS_DIRECTION;
	if (ptrace(PTRACE_SETOPTIONS, j->tid, NULL, (void *)options))
		return false;
	step(j->in);
	/* From here on the thread finds its own way back. */
	if (ptrace(PTRACE_SETREGSET, j->tid, (void *)NT_PRSTATUS, &iov))
		return false;
	step(j->in);
	(void)ptrace(PTRACE_SETSIGMASK, j->tid, (void *)sizeof(all), (void *)(uintptr_t)&all);
	step(j->in);
	return true;
}

static void leave(struct job *j)
{
	struct iovec iov = {.iov_base = &j->saved, .iov_len = sizeof(j->saved)};

	if (j->is_child) {
		j->saved.rsp = j->frame;
		(void)ptrace(PTRACE_SETREGSET, j->tid, (void *)NT_PRSTATUS, &iov);
		return;
	}
	(void)ptrace(PTRACE_SETSIGMASK, j->tid, (void *)sizeof(j->sigmask), &j->sigmask);
	step(j->in);
	(void)ptrace(PTRACE_SETREGSET, j->tid, (void *)NT_PRSTATUS, &iov);
	step(j->in);
	(void)ptrace(PTRACE_SETOPTIONS, j->tid, NULL, (void *)PTRACE_O_TRACEEXEC);
	step(j->in);
	(void)write_memory(j->in->live, j->frame, j->in->old, j->frame_len);
	step(j->in);
}

/* 0, an error that ends the stop, or INSP_E_UNSUPPORTED with *ret_why: another thread may do. */
static int try_thread(struct job *j, long number, const uint64_t args[6], int64_t *ret_value,
		      const char **ret_why, struct insp_error *err)
{
	struct user_regs_struct after;
	struct iovec iov = {.iov_base = &after, .iov_len = sizeof(after)};
	int rc;

	*ret_why = unfit(j);
	if (!*ret_why && j->is_child)
		j->frame = j->saved.rsp;
	else if (!*ret_why)
		*ret_why = lay_frame(j);
	if (*ret_why)
		return INSP_E_UNSUPPORTED;
	if (!enter(j, number, args)) {
		leave(j);
		*ret_why = "its registers cannot be set";
		return INSP_E_UNSUPPORTED;
	}
	rc = run_call(j, err);
	if (!rc && ptrace(PTRACE_GETREGSET, j->tid, (void *)NT_PRSTATUS, &iov))
		rc = insp_fail(err, INSP_E_GONE, "process %d has ended", j->in->live->pid);
	if (rc) {
		insp_tracer_abandon(j->t); /* it heals itself, but it is not standing still */
		return rc;
	}
	*ret_value = (int64_t)after.rax;
	leave(j);
	return 0;
}

static int inject(struct insp_inject *in, struct insp_tracer *t, bool clones, long number,
		  const uint64_t args[6], int *ret_child, int64_t *ret_value, struct insp_error *err)
{
	const char *why = "all of them are about to get a signal, or asleep in the kernel";
	unsigned tries = 0;

	for (size_t i = 0; i < t->n && tries < MAX_TRIES; i++) {
		struct insp_tracee *tracee = &t->tracees[i];
		struct job j = {.in = in, .t = t, .tid = tracee->tid, .clones = clones};
		int rc;

		if (tracee->phase != INSP_TRACEE_STOPPED || tracee->event != EVENT_STOP)
			continue;
		tries++;
		if (tracee->sig != SIGTRAP && !in->cleaning_up) {
			why = "the process is stopped by a signal";
			continue;
		}
		rc = try_thread(&j, number, args, ret_value, &why, err);
		if (rc == INSP_E_UNSUPPORTED)
			continue;
		if (ret_child)
			*ret_child = j.child;
		return rc;
	}
	return insp_fail(err, INSP_E_UNSUPPORTED,
			 "no thread of process %d can make a call for us; the last one: %s",
			 in->live->pid, why);
}

int insp_inject_call(struct insp_inject *in, struct insp_tracer *t, long number,
		     const uint64_t args[6], int64_t *ret_value, struct insp_error *err)
{
	return inject(in, t, false, number, args, NULL, ret_value, err);
}

int insp_inject_clone(struct insp_inject *in, struct insp_tracer *t, int *ret_child,
		      int64_t *ret_value, struct insp_error *err)
{
	/* The same table of descriptors: no file or socket is held open by the child. No signal to
	   the parent when it ends: its wait() does not see the child at all. */
	const uint64_t args[6] = {CLONE_FILES_ONLY};

	return inject(in, t, true, SYS_clone, args, ret_child, ret_value, err);
}

int insp_inject_child(struct insp_inject *in, struct insp_tracer *t, int child, long number,
		      const uint64_t args[6], int64_t *ret_value, struct insp_error *err)
{
	struct job j = {.in = in, .t = t, .tid = child, .is_child = true};
	const char *why;
	int rc = try_thread(&j, number, args, ret_value, &why, err);

	if (rc == INSP_E_UNSUPPORTED)
		return insp_fail(err, rc, "copy of process %d: %s", in->live->pid, why);
	return rc;
}

struct alone {
	struct insp_inject *in;
	long number;
	const uint64_t *args;
	int64_t value;
};

static int call_alone(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	struct alone *a = ctx;

	return insp_inject_call(a->in, t, a->number, a->args, &a->value, err);
}

int insp_inject_until_done(struct insp_inject *in, struct insp_target *target, long number,
			   const uint64_t args[6], int64_t *ret_value, uint64_t *stopped_ns,
			   struct insp_error *err)
{
	const struct insp_stop_options plain = {.max_pause_ns = ALONE_STOP_NS};
	const uint64_t end = insp_now_ns() + ALONE_TRIES_NS;
	struct alone a = {.in = in, .number = number, .args = args};
	int rc;

	insp_inject_clean_up(in);
	do {
		struct insp_stop_report report = {0};

		rc = target->ops->stop(target, &plain, err);
		if (!rc) {
			rc = insp_tracer_call(in->live->tracer, call_alone, &a, err);
			target->ops->resume(target, &report);
			*stopped_ns += report.stopped_ns;
		}
		if (!rc) {
			*ret_value = a.value;
			return 0;
		}
		(void)usleep(1000);
	} while (!insp_live_gone(in->live) && insp_now_ns() < end);
	return rc;
}
