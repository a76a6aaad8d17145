/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * leaks: structures of every kind, held and lost, and which is which.
 *
 * Says for each chunk that it made what a perfect finder of leaks calls it, as a list of addresses
 * for each verdict. With the argument `plain` only what a single thread can hold; with `exit` it
 * is `plain` and ends after its line, for finders that look then.
 *
 * Addresses are written down as text at once and are wiped from stack and registers afterwards:
 * what is lost must not be found there.
 */
/* Nothing may be left out because nobody reads it. */
/* build: -O0 */
/* variant? lsan: -fsanitize=leak */
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "victim.h"

enum verdict { REACHABLE, POSSIBLE, INDIRECT, DEFINITE, N_VERDICTS };

static char said[N_VERDICTS][65536];
static size_t said_len[N_VERDICTS];

struct node {
	struct node *next, *other;
	uint64_t payload[2];
};

/* What holds things. */
static struct node *global_list;
static struct node *global_tree;
static struct node **global_table;
static char *only_interior;
static uintptr_t tagged;
static uintptr_t encoded;
static struct node *graph_in;
static void *apart;
static __thread struct node *thread_local_node;
static volatile uintptr_t for_register_xored;
static char in_register[32]; /* as text */
static pthread_barrier_t ready;
static struct {
	struct node *slots[4];
} *mapped;

static void say(enum verdict v, const void *p)
{
	said_len[v] += (size_t)snprintf(said[v] + said_len[v], sizeof(said[v]) - said_len[v],
					"%s\"%p\"", said_len[v] ? "," : "", p);
}

static void *make_sized(enum verdict v, size_t size)
{
	void *p = calloc(1, size);

	say(v, p);
	return p;
}

static struct node *make(enum verdict v)
{
	return make_sized(v, sizeof(struct node));
}

static __attribute__((noinline)) void wipe(void)
{
	volatile char stack[32768];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = 0;
	__asm__ volatile("xor %%ebx, %%ebx\n xor %%r12d, %%r12d\n xor %%r13d, %%r13d\n"
			 "xor %%r14d, %%r14d\n xor %%r15d, %%r15d" ::: "rbx", "r12", "r13", "r14", "r15");
}

static struct node *tree(enum verdict top, enum verdict below, int depth)
{
	struct node *n = make(top);

	if (depth) {
		n->next = tree(below, below, depth - 1);
		n->other = tree(below, below, depth - 1);
	}
	return n;
}

static __attribute__((noinline)) void hold_things(void)
{
	for (int i = 0; i < 20; i++) {
		struct node *n = make(REACHABLE);

		n->next = global_list;
		global_list = n;
	}
	global_tree = tree(REACHABLE, REACHABLE, 4);
	global_table = make_sized(REACHABLE, 64 * sizeof(*global_table));
	for (int i = 0; i < 200; i++) {
		struct node *n = make(REACHABLE);

		n->next = global_table[i % 64];
		global_table[i % 64] = n;
	}
	graph_in = make(REACHABLE); /* a cycle that is held */
	graph_in->next = make(REACHABLE);
	graph_in->next->next = graph_in;
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 4; i++)
		mapped->slots[i] = make(REACHABLE);
	thread_local_node = make(REACHABLE);
	only_interior = (char *)make(POSSIBLE) + 16;
	((struct node *)(only_interior - 16))->next = make(POSSIBLE);
	tagged = (uintptr_t)make(POSSIBLE) | 1;
	global_list->other = (struct node *)((char *)make(POSSIBLE) + 8);
}

static __attribute__((noinline)) void lose_things(void)
{
	struct node *head = make(DEFINITE), *at = head, *cycle;
	void **big;

	for (int i = 0; i < 9; i++)
		at = at->next = make(INDIRECT);
	tree(DEFINITE, INDIRECT, 3);
	cycle = make(DEFINITE); /* the lowest address of the three, see below */
	cycle->next = make(INDIRECT);
	cycle->next->next = make(INDIRECT);
	cycle->next->next->next = cycle;
	big = make_sized(DEFINITE, 400000); /* mmapped */
	big[1000] = make(INDIRECT);
	big[2000] = (char *)make(INDIRECT) + 8;
	encoded = (uintptr_t)make(DEFINITE) ^ UINT64_C(0x5a5a5a5a5a5a5a5a);
	for (int i = 0; i < 50; i++)
		make_sized(DEFINITE, 100);
	make(DEFINITE)->next = global_list; /* points to what is held */
	at = make(DEFINITE);
	at->next = at;
	/* A free chunk that still points to it does not hold it. */
	at = malloc(2000);
	at->payload[0] = (uint64_t)make(DEFINITE);
	apart = make_sized(REACHABLE, 24); /* keeps it from merging with the top */
	free(at);
}

static void *stack_thread(void *arg)
{
	struct node *volatile here = make(REACHABLE);

	here->next = make(REACHABLE);
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return here == arg ? NULL : arg;
}

/* The only pointer is in r12, and the thread never comes back from the kernel to C. */
static void *register_thread(void *arg)
{
	pthread_barrier_wait(&ready);
	__asm__ volatile("mov %0, %%r12\n"
			 "xor %1, %%r12\n"
			 "1: mov %2, %%eax\n"
			 "syscall\n"
			 "jmp 1b"
			 :: "r"(for_register_xored), "r"(UINT64_C(0x5a5a5a5a5a5a5a5a)), "i"(SYS_pause)
			 : "r12", "rax", "rcx", "r11", "memory");
	return arg;
}

static __attribute__((noinline)) void start_threads(void)
{
	pthread_t a, b;

	pthread_barrier_init(&ready, NULL, 3);
	struct node *n = make(REACHABLE);

	for_register_xored = (uintptr_t)n ^ UINT64_C(0x5a5a5a5a5a5a5a5a);
	snprintf(in_register, sizeof(in_register), "%p", (void *)n);
	n = NULL;
	wipe();
	if (pthread_create(&a, NULL, stack_thread, NULL) || pthread_create(&b, NULL, register_thread, NULL))
		_exit(1);
	pthread_barrier_wait(&ready);
}

static __attribute__((noinline)) void ready_line(void)
{
	victim_ready("\"list\":\"%p\",\"mapped_nodes\":[\"%p\",\"%p\",\"%p\",\"%p\"],\"table\":\"%p\",\"thread_local\":\"%p\",\"in_register\":\"%s\",\"reachable\":[%s],\"possible\":[%s],\"indirect\":[%s],\"definite\":[%s]",
		     (void *)global_list, (void *)mapped->slots[0], (void *)mapped->slots[1],
		     (void *)mapped->slots[2], (void *)mapped->slots[3], (void *)global_table, (void *)thread_local_node, in_register, said[REACHABLE], said[POSSIBLE],
		     said[INDIRECT], said[DEFINITE]);
}

int main(int argc, char **argv)
{
	int plain = argc > 1;
	int leaves = plain && strcmp(argv[1], "exit") == 0;

	victim_init();
	hold_things();
	lose_things();
	if (!plain)
		start_threads();
	wipe();
	ready_line();
	wipe();
	if (leaves)
		return 0;
	victim_wait();
}
