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

static void do_seccomp(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog filter = {.len = 1, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
		_exit(6);
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
	{"plain", do_plain},   {"seccomp", do_seccomp}, {"undumpable", do_undumpable},
	{"leader", do_leader}, {"vfork", do_vfork},	{"coroutine", do_coroutine},
	{"busy", do_busy},
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
