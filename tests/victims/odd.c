/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * odd: processes that are hard to inspect, or that notice when they are.
 *
 *     odd MODE [N]
 *
 * All answer SIGUSR1 (victim_wait). `busy` ends with status 9 and a word on stderr when
 * something happens that should not: a call that fails, a child that it does not know.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "victim.h"

static void *kept[100000];

static void fill(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		kept[i] = malloc(16 + i * 37 % 3000);
		if (!kept[i])
			_exit(5);
		memset(kept[i], (int)i, 16 + i * 37 % 3000);
	}
	for (size_t i = 0; i < n; i += 3) {
		free(kept[i]);
		kept[i] = NULL;
	}
}

static void start(void *(*fn)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, NULL))
		_exit(5);
}

static void *wait_here(void *arg)
{
	victim_ready(NULL);
	victim_wait();
	return arg;
}

static void do_plain(void)
{
	wait_here(NULL);
}

/* All bytes of these pointers, up to the zeroes, are letters. */
static void do_letters(void)
{
	char *page = mmap((void *)0x414141414000, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	void **pointers = malloc(30 * sizeof(*pointers));
	char *text = malloc(40);

	if (page == MAP_FAILED || !pointers || !text)
		_exit(5);
	for (int i = 0; i < 30; i++)
		pointers[i] = page + 0x141;
	memset(text, 0, 40);
	strcpy(text, "zzzzzz"); /* nothing is mapped there */
	kept[0] = pointers;
	kept[1] = text;
	victim_ready("\"pointers\":\"%p\",\"text\":\"%p\"", (void *)pointers, (void *)text);
	victim_wait();
}

/* Allows what this program calls; all else is answered by action. It has called nothing yet. */
static void filter_calls(unsigned action)
{
	static const unsigned fine[] = {
		SYS_read, SYS_write, SYS_rt_sigtimedwait, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall,
		SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_futex, SYS_getpid, SYS_clock_nanosleep,
		SYS_exit_group,
	};
	enum { N = sizeof(fine) / sizeof(fine[0]) };
	struct sock_filter code[N + 3];
	struct sock_fprog filter = {.len = N + 3, .filter = code};

	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned char i = 0; i < N; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fine[i], N - i, 0);
	code[N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	code[N + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
		_exit(6);
}

static void do_seccomp(void)
{
	filter_calls(SECCOMP_RET_ALLOW);
	wait_here(NULL);
}

static void do_seccomp_errno(void)
{
	filter_calls(SECCOMP_RET_ERRNO | EPERM);
	wait_here(NULL);
}

static void on_sigsys(int sig)
{
	(void)sig;
	_exit(9); /* a call that is not its own */
}

static void do_seccomp_trap(void)
{
	(void)signal(SIGSYS, on_sigsys);
	filter_calls(SECCOMP_RET_TRAP);
	wait_here(NULL);
}

static void do_seccomp_kill(void)
{
	filter_calls(SECCOMP_RET_KILL_PROCESS);
	wait_here(NULL);
}

/* One thread has it, and it is not the one that /proc/PID/status is about. */
static void *kill_thread(void *arg)
{
	filter_calls(SECCOMP_RET_KILL_THREAD);
	return wait_here(arg);
}

static void do_seccomp_thread(void)
{
	start(kill_thread);
	pthread_exit(NULL);
}

static int strict_end[2];

static void on_strict(int sig)
{
	(void)sig;
	free(malloc(100)); /* from the tcache: asks the kernel nothing */
	victim_write("{\"alive\":true}\n", 15);
}

static void do_strict(void)
{
	const struct sigaction action = {.sa_handler = on_strict, .sa_flags = SA_RESTART};
	sigset_t set;
	char byte;

	if (pipe(strict_end) || sigaction(SIGUSR1, &action, NULL))
		_exit(6);
	victim_ready(NULL);
	sigemptyset(&set);
	if (sigprocmask(SIG_SETMASK, &set, NULL) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		_exit(6);
	while (read(strict_end[0], &byte, 1) < 0)
		;
}

/*
 * More memory is promised than fork() may promise again. Where the kernel guesses (0), it refuses one mapping
 * that is larger than all of memory, and two that became one are; where it counts (2), half of what is left.
 */
static void do_overcommit(void)
{
	char line[128];
	size_t size = 0, all = 0, limit = 0, used = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char *first, *second;
	int mode = -1;

	while (f && fgets(line, sizeof(line), f)) {
		size_t kib;

		if (sscanf(line, "MemTotal: %zu", &kib) == 1 || sscanf(line, "SwapTotal: %zu", &kib) == 1)
			all += kib << 10;
		(void)!sscanf(line, "CommitLimit: %zu", &limit);
		(void)!sscanf(line, "Committed_AS: %zu", &used);
	}
	if (f)
		fclose(f);
	f = fopen("/proc/sys/vm/overcommit_memory", "re");
	if (!f || fscanf(f, "%d", &mode) != 1 || mode == 1)
		_exit(77);
	fclose(f);
	size = (mode == 2 ? (limit - used) * 1024 / 10 * 3 : all / 4 * 3) & ~4095ul;
	/* the second below the first, which the kernel makes one with it */
	first = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	second = first == MAP_FAILED ? MAP_FAILED
				     : mmap(first - size, size, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (second == MAP_FAILED)
		_exit(77);
	wait_here(NULL);
}

static void do_undumpable(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		_exit(6);
	wait_here(NULL);
}

static void do_leader(void)
{
	start(wait_here);
	pthread_exit(NULL);
}

static void *vfork_here(void *arg)
{
	pid_t pid = vfork();

	if (!pid) {
		for (;;)
			(void)syscall(SYS_pause);
	}
	_exit(7);
	return arg;
}

static void do_vfork(void)
{
	start(vfork_here);
	(void)usleep(100000); /* or the child is not there yet, which is another test */
	wait_here(NULL);
}

static ucontext_t home, away;

static void on_own_stack(void)
{
	wait_here(NULL);
}

static void do_coroutine(void)
{
	void *stack = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED || getcontext(&away))
		_exit(6);
	away.uc_stack.ss_sp = stack;
	away.uc_stack.ss_size = 1 << 20;
	away.uc_link = &home;
	makecontext(&away, on_own_stack, 0);
	(void)swapcontext(&home, &away);
}

static void wrong(const char *what)
{
	fprintf(stderr, "odd: %s: %s\n", what, strerror(errno));
	_exit(9);
}

static void *run_epoll(void *arg)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	for (;;) {
		struct epoll_event event;

		if (epoll_wait(fd, &event, 1, 3))
			wrong("epoll_wait");
	}
	return arg;
}

static void *run_children(void *arg)
{
	for (;;) {
		int status;
		pid_t pid = fork(), got;

		if (!pid)
			_exit(3);
		got = waitpid(-1, &status, 0);
		if (pid < 0 || got != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 3)
			wrong("waitpid");
		if (waitpid(-1, &status, WNOHANG) != -1 || errno != ECHILD)
			wrong("a child that nobody made");
		(void)usleep(1000);
	}
	return arg;
}

static void *run_heap(void *arg)
{
	unsigned r = 1;

	for (;;) {
		unsigned i = (r = r * 1103515245 + 12345) >> 8 & 255, size = 1 + (r >> 16) % 500;
		static unsigned char *own[256];
		static unsigned sizes[256];

		for (unsigned k = 0; own[i] && k < sizes[i]; k++)
			if (own[i][k] != (unsigned char)(i + k))
				wrong("a block has other bytes");
		free(own[i]);
		own[i] = malloc(sizes[i] = size);
		for (unsigned k = 0; k < size; k++)
			own[i][k] = (unsigned char)(i + k);
		if (!i)
			(void)usleep(300);
	}
	return arg;
}

static void do_busy(void)
{
	start(run_epoll);
	start(run_children);
	start(run_heap);
	wait_here(NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{"plain", do_plain},   {"letters", do_letters}, {"seccomp", do_seccomp}, {"undumpable", do_undumpable},
	{"leader", do_leader}, {"vfork", do_vfork},	{"coroutine", do_coroutine},
	{"busy", do_busy},     {"strict", do_strict},	{"overcommit", do_overcommit},
	{"seccomp-errno", do_seccomp_errno},		{"seccomp-trap", do_seccomp_trap},
	{"seccomp-kill", do_seccomp_kill},		{"seccomp-thread", do_seccomp_thread},
};

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	victim_init();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	fill(argc > 2 ? (size_t)atoi(argv[2]) % 100000 : 20000);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			modes[i].run();
	return 2;
}
