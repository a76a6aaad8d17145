/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * types: C data whose types debug info tells: lists, trees, hash tables, unions, arrays, opaque
 * pointers, held by globals, statics of functions, thread-local variables, and locals of main and
 * of another thread. The truth says how many chunks there are of each type, and what nothing
 * typed points at.
 */
/* build: -g -O0 -pthread */
/* variant optimised: -g -O2 -pthread */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "victim.h"

struct node {
	struct node *next;
	char *text;
	long payload[5];
};

struct tree {
	struct tree *child[2];
	void *anything;
	long depth;
	double weight[8];
};

struct blob {
	size_t n;
	unsigned char bytes[248];
};

struct entry {
	struct entry *next;
	const char *key;
	union {
		struct blob *blob; /* the only pointer in it */
		long number;
	} value;
	long pad[6];
};

struct table {
	size_t nbuckets, nentries;
	struct entry **buckets;
	struct {
		struct entry *newest;
		int moves;
	} stats;
	long pad[20];
};

struct circle {
	long radius[9];
};
struct square {
	long side[33];
	struct circle *inside;
};
struct shape {
	long tag;
	union {
		struct circle *circle;
		struct square *square;
	} is;
	long pad[11];
};

struct flexible {
	size_t n;
	struct leaf *items[];
};
struct leaf {
	long value[17];
};

struct point {
	double x, y, z;
	struct mark *mark;
};
struct mark {
	long value[43];
};

struct secret; /* nobody says what it is */

struct base {
	long kind;
	struct leaf *leaf;
};
struct derived {
	struct base base;
	long more[60];
	struct mark *mark;
};

struct queue {
	struct job *first, *last;
	long pad[50];
};
struct job {
	struct job *next;
	long pad[54];
};

struct per_thread {
	long value[70];
};
struct of_thread {
	long value[73];
};
struct held_by_static {
	long value[79];
};

struct node *list;
struct table *table;
struct shape *shapes[10];
struct flexible *flexible;
struct point *points;
struct secret *secret;
struct base *as_base;
struct derived *as_derived;
struct { int unused; struct queue *queue; } wrapped[3];
void *untyped;
double *numbers;
_Thread_local struct per_thread *mine;

static struct tree *tree_make(int depth)
{
	struct tree *t = calloc(1, sizeof(*t));

	t->depth = depth;
	if (depth)
		for (int i = 0; i < 2; i++)
			t->child[i] = tree_make(depth - 1);
	return t;
}

static void fill_table(void)
{
	table = calloc(1, sizeof(*table));
	table->nbuckets = 64;
	table->buckets = calloc(64, sizeof(*table->buckets));
	for (size_t i = 0; i < 200; i++) {
		struct entry *e = calloc(1, sizeof(*e));

		e->key = "constant";
		if (i % 4 == 0)
			e->value.blob = calloc(1, sizeof(*e->value.blob));
		else
			e->value.number = (long)i;
		e->next = table->buckets[i % 64];
		table->buckets[i % 64] = table->stats.newest = e;
	}
}

static void fill_globals(void)
{
	for (int i = 0; i < 100; i++) {
		struct node *n = calloc(1, sizeof(*n));

		n->text = strdup("the text of a node");
		n->next = list;
		list = n;
	}
	for (int i = 0; i < 10; i++) {
		shapes[i] = calloc(1, sizeof(*shapes[i]));
		if (i % 2) {
			shapes[i]->is.circle = calloc(1, sizeof(struct circle));
		} else {
			shapes[i]->is.square = calloc(1, sizeof(struct square));
			shapes[i]->is.square->inside = calloc(1, sizeof(struct circle));
		}
	}
	flexible = calloc(1, sizeof(*flexible) + 21 * sizeof(flexible->items[0]));
	for (flexible->n = 0; flexible->n < 21; flexible->n++)
		flexible->items[flexible->n] = calloc(1, sizeof(struct leaf));
	points = calloc(37, sizeof(*points));
	for (int i = 0; i < 37; i++)
		points[i].mark = calloc(1, sizeof(struct mark));
	secret = calloc(1, 700);
	as_derived = calloc(1, sizeof(*as_derived));
	as_derived->mark = calloc(1, sizeof(struct mark));
	as_derived->base.leaf = calloc(1, sizeof(struct leaf));
	as_base = &as_derived->base;
	wrapped[2].queue = calloc(1, sizeof(struct queue));
	for (int i = 0; i < 30; i++) {
		struct job *job = calloc(1, sizeof(*job));

		job->next = wrapped[2].queue->first;
		wrapped[2].queue->first = job;
		if (!wrapped[2].queue->last)
			wrapped[2].queue->last = job;
	}
	untyped = calloc(1, 900);
	numbers = calloc(125, sizeof(*numbers));
}

static void fill_static(void)
{
	static struct held_by_static *kept;

	if (!kept)
		kept = calloc(1, sizeof(*kept));
	kept->value[0]++;
}

static pthread_barrier_t ready;
static void *volatile of_thread_at, *volatile mine_at;

static __attribute__((noinline)) void stand(struct of_thread *argument)
{
	pthread_barrier_wait(&ready);
	for (;; argument->value[0]++)
		pause();
}

static void *thread(void *unused)
{
	struct of_thread *of_thread = calloc(1, sizeof(*of_thread));

	(void)unused;
	mine_at = mine = calloc(1, sizeof(*mine));
	of_thread_at = of_thread;
	stand(of_thread);
	return of_thread;
}

int main(void)
{
	struct tree *local_tree;
	pthread_t id;

	victim_init();
	local_tree = tree_make(6);
	fill_table();
	fill_globals();
	fill_static();
	pthread_barrier_init(&ready, NULL, 2);
	if (pthread_create(&id, NULL, thread, NULL))
		return 1;
	pthread_barrier_wait(&ready);
	/* Everything but these is by its size: what untyped points at, the thread's TLS. */
	victim_ready(
		"\"types\":{\"struct node\":100,\"struct tree\":127,\"struct blob\":50,"
		"\"struct entry\":200,\"struct table\":1,\"struct entry *[]\":1,\"struct "
		"circle\":10,"
		"\"struct square\":5,\"struct shape\":10,\"struct flexible\":1,\"struct leaf\":22,"
		"\"struct point[]\":1,\"struct mark\":38,\"struct secret\":1,\"struct derived\":1,"
		"\"struct queue\":1,\"struct job\":30,\"struct per_thread\":1,\"struct "
		"of_thread\":1,"
		"\"struct held_by_static\":1,\"double[]\":1},\"texts\":100,\"untyped\":\"%p\","
		"\"tree\":\"%p\",\"job\":\"%p\",\"derived\":\"%p\",\"of_thread\":\"%p\",\"mine\":"
		"\"%p\",\"table\":\"%p\","
		"\"local\":\"%p\",\"bucket\":\"%p\"",
		untyped, (void *)local_tree, (void *)wrapped[2].queue->first->next,
		(void *)as_derived, of_thread_at, mine_at, (void *)table, (void *)&local_tree,
		(void *)&table->buckets[7]);
	if (getppid() == getpid()) /* never: so that it is still needed */
		free(local_tree);
	victim_wait();
}
