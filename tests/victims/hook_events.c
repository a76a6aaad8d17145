/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * hook_events MODE: allocates where a hook in malloc could stumble, and counts what it does.
 *   fork     the child is the victim: it has the parent's blocks and makes some of its own
 *   signal   in handlers, on the normal stack and on an alternate one
 *   context  on the stacks of coroutines, which are surrounded by guard pages
 *   threads  in 300 threads that end, also in their destructors
 *   load     around dlopen and dlclose
 *   spawn    around vfork, posix_spawn and system
 *   early    in a constructor, and nothing else
 *   deep     at the bottom of a recursion of 1000 frames
 *   realign  in functions that realign their stack, with a variable length array
 */
/* build: -fno-optimize-sibling-calls -Wno-missing-field-initializers -Wno-unused-but-set-variable -Wno-unused-function -ldl */
/* variant static: -static -DSTATIC */
/* variant? jemalloc: -ljemalloc */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "victim.h"

#define noinline __attribute__((noinline))

struct truth {
	const char *name;
	uint64_t allocs, alloc_bytes, frees, free_bytes;
};
enum {
	SITE_EARLY, SITE_PARENT, SITE_CHILD, SITE_HANDLER, SITE_ALTERNATE, SITE_CONTEXT, SITE_THREAD,
	SITE_DESTRUCTOR, SITE_LOAD, SITE_SPAWN, SITE_BOTTOM, SITE_REALIGN, NSITES
};
static struct truth truths[NSITES] = {
	{"site_early"}, {"site_parent"}, {"site_child"}, {"site_handler"}, {"site_alternate"},
	{"site_context"}, {"site_thread"}, {"site_destructor"}, {"site_load"}, {"site_spawn"},
	{"site_bottom"}, {"site_realign"},
};

static void counted(int site, bool freed, size_t n)
{
	__atomic_fetch_add(freed ? &truths[site].frees : &truths[site].allocs, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(freed ? &truths[site].free_bytes : &truths[site].alloc_bytes, n,
			   __ATOMIC_RELAXED);
}

/* Each keeps one block of two. */
#define SITE(fn, site)                                    \
	static noinline void fn(size_t n)                 \
	{                                                 \
		void *keep = malloc(n), *drop = malloc(n); \
                                                          \
		if (!keep || !drop)                       \
			_exit(4);                         \
		memset(keep, site, n);                    \
		counted(site, false, n);                  \
		counted(site, false, n);                  \
		free(drop);                               \
		counted(site, true, n);                   \
	}

SITE(site_early, SITE_EARLY)
SITE(site_parent, SITE_PARENT)
SITE(site_child, SITE_CHILD)
SITE(site_handler, SITE_HANDLER)
SITE(site_alternate, SITE_ALTERNATE)
SITE(site_context, SITE_CONTEXT)
SITE(site_thread, SITE_THREAD)
SITE(site_destructor, SITE_DESTRUCTOR)
SITE(site_load, SITE_LOAD)
SITE(site_spawn, SITE_SPAWN)
SITE(site_bottom, SITE_BOTTOM)

__attribute__((constructor)) static void early(void)
{
	for (size_t i = 1; i < 20; i++)
		site_early(i * 11);
}

static noinline void site_realign(size_t n)
{
	typedef int wide __attribute__((vector_size(64)));
	volatile wide v = {(int)n};
	volatile char vla[n];

	vla[n - 1] = (char)v[0];
	void *p = malloc(n);

	if (!p)
		_exit(4);
	counted(SITE_REALIGN, false, n);
	vla[0] = (char)v[1];
}

static noinline void deep(int depth, size_t n)
{
	volatile char pad[64];

	pad[0] = (char)depth;
	if (depth)
		deep(depth - 1, n);
	else
		site_bottom(n);
	pad[1] = 0;
}

static void handler(int sig)
{
	if (sig == SIGUSR2)
		site_alternate(77);
	else
		site_handler(55);
}

static void signals(void)
{
	stack_t alternate = {.ss_size = 65536};
	struct sigaction sa = {.sa_handler = handler};

	alternate.ss_sp = mmap(NULL, alternate.ss_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&alternate, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &sa, NULL);
	for (int i = 0; i < 50; i++) {
		site_parent(10);
		raise(SIGHUP);
		raise(SIGUSR2);
	}
}

static ucontext_t home, routine;

static void body(void)
{
	for (size_t i = 1; i < 20; i++) {
		site_context(i * 3);
		swapcontext(&routine, &home);
	}
}

static void contexts(void)
{
	const size_t size = 4 * 4096;
	char *base = mmap(NULL, size + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(base + 4096, size, PROT_READ | PROT_WRITE);
	getcontext(&routine);
	routine.uc_stack.ss_sp = base + 4096;
	routine.uc_stack.ss_size = size;
	routine.uc_link = &home;
	makecontext(&routine, body, 0);
	for (size_t i = 1; i < 20; i++) {
		swapcontext(&home, &routine);
		site_parent(i);
	}
}

static pthread_key_t key;

static void destructor(void *arg)
{
	uintptr_t rounds = (uintptr_t)arg;

	site_destructor(33);
	/* Comes again, behind the destructors of everybody else. */
	if (rounds > 1)
		pthread_setspecific(key, (void *)(rounds - 1));
}

static void *thread(void *arg)
{
	pthread_setspecific(key, (void *)(uintptr_t)4);
	for (size_t i = 0; i < 10; i++)
		site_thread(i * 7 + 1);
	return arg;
}

static void threads(void)
{
	pthread_key_create(&key, destructor);
	for (int i = 0; i < 75; i++) {
		pthread_t t[4];

		for (int k = 0; k < 4; k++)
			if (pthread_create(&t[k], NULL, thread, NULL))
				_exit(3);
		for (int k = 0; k < 4; k++)
			pthread_join(t[k], NULL);
	}
}

static void loads(void)
{
#ifndef STATIC
	static const char *const names[] = {"libresolv.so.2", "libnss_files.so.2", "libanl.so.1",
					    "libthread_db.so.1"};

	for (int i = 0; i < 40; i++) {
		void *handle = dlopen(names[i % 4], RTLD_NOW);

		site_load(100 + (size_t)i);
		if (handle)
			dlclose(handle);
		site_load(200);
	}
#endif
}

static void spawns(void)
{
	for (int i = 0; i < 10; i++) {
		char *argv[] = {"true", NULL};
		pid_t pid = vfork();

		if (!pid) {
			execv("/bin/true", argv);
			_exit(127);
		}
		site_spawn(64);
		waitpid(pid, NULL, 0);
		if (!posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ))
			waitpid(pid, NULL, 0);
		site_spawn(65);
		if (system("true"))
			_exit(3);
		site_spawn(66);
	}
}

static void forks(void)
{
	pid_t pid;

	for (int i = 0; i < 30; i++)
		site_parent(128);
	pid = fork();
	if (pid) {
		waitpid(pid, NULL, 0);
		_exit(0);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 30; i++)
		site_child(256);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} modes[] = {
		{"fork", forks}, {"signal", signals}, {"context", contexts}, {"threads", threads},
		{"load", loads}, {"spawn", spawns},
	};
	const char *mode = argc > 1 ? argv[1] : "early";
	static char text[4096];
	int n = 0;

	victim_init();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(mode, modes[i].name))
			modes[i].fn();
	for (int i = 0; !strcmp(mode, "deep") && i < 20; i++)
		deep(i % 2 ? 1000 : 300, 48);
	for (size_t i = 0; !strcmp(mode, "realign") && i < 20; i++)
		site_realign(i * 100 + 1);
	for (int i = 0; i < NSITES; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"%s\":[%lu,%lu,%lu,%lu]",
			      i ? "," : "", truths[i].name, truths[i].allocs, truths[i].alloc_bytes,
			      truths[i].frees, truths[i].free_bytes);
	victim_ready("\"sites\":{%s}", text);
	victim_wait();
}
