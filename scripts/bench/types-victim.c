/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * types-victim: the processes that types.sh measures on, with debug info.
 *
 *   types-victim table N   a hash table: a third of the N chunks each are entries, keys, values
 *   types-victim list N    one list of N nodes, linked in no order of their addresses
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct value {
	struct entry *owner;
	uint64_t numbers[14];
};

struct entry {
	struct entry *next;
	char *key;
	struct value *value;
	uint64_t hash;
};

struct table {
	size_t nbuckets;
	struct entry **buckets;
};

struct node {
	struct node *next;
	uint64_t payload[9];
};

struct table *table;
struct node *list;

static uint64_t next_random(void)
{
	static uint64_t seed = 1;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 20;
}

static void *checked(void *p)
{
	if (!p)
		exit(1);
	return p;
}

static void make_table(size_t n)
{
	table = checked(calloc(1, sizeof(*table)));
	table->nbuckets = n / 3 + 1;
	table->buckets = checked(calloc(table->nbuckets, sizeof(*table->buckets)));
	for (size_t i = 0; i < n / 3; i++) {
		struct entry *e = checked(calloc(1, sizeof(*e)));

		e->key = checked(malloc(24 + next_random() % 60));
		sprintf(e->key, "key %zu", i);
		e->value = checked(calloc(1, sizeof(*e->value)));
		e->value->owner = e;
		e->hash = next_random();
		e->next = table->buckets[e->hash % table->nbuckets];
		table->buckets[e->hash % table->nbuckets] = e;
	}
}

static void make_list(size_t n)
{
	struct node **nodes = checked(malloc(n * sizeof(*nodes)));

	for (size_t i = 0; i < n; i++)
		nodes[i] = checked(calloc(1, sizeof(*nodes[i])));
	for (size_t i = n - 1; i > 0; i--) {
		size_t other = next_random() % (i + 1);
		struct node *swap = nodes[i];

		nodes[i] = nodes[other];
		nodes[other] = swap;
	}
	for (size_t i = 0; i < n; i++) {
		nodes[i]->next = list;
		list = nodes[i];
	}
	free(nodes);
}

int main(int argc, char **argv)
{
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (!n)
		return 2;
	if (!strcmp(argv[1], "list"))
		make_list(n);
	else
		make_table(n);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
