/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * leaks-beside N [stay]: N nodes of 24 bytes in lists of 100, one list in ten lost; says how many
 * definitely and indirectly lost chunks there are. Ends at once, or with `stay` when it is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH = 100 };

struct node {
	struct node *next;
	long payload[2];
};

static struct node **held;

static __attribute__((noinline)) struct node *list(void)
{
	struct node *head = NULL;

	for (int i = 0; i < LENGTH; i++) {
		struct node *n = calloc(1, sizeof(*n));

		if (!n)
			_exit(1);
		n->next = head;
		head = n;
	}
	return head;
}

static __attribute__((noinline)) size_t make(size_t nlists)
{
	size_t lost = 0;

	for (size_t i = 0; i < nlists; i++) {
		struct node *n = list();

		if (i % 10)
			held[i] = n;
		else
			lost++;
	}
	return lost;
}

static __attribute__((noinline)) void wipe(void)
{
	volatile char stack[32768];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = 0;
}

int main(int argc, char **argv)
{
	size_t nlists = (argc > 1 ? strtoul(argv[1], NULL, 10) : 200000) / LENGTH, lost;

	held = calloc(nlists + 1, sizeof(*held));
	if (!held)
		return 1;
	lost = make(nlists);
	wipe();
	printf("%zu %zu\n", lost, lost * (LENGTH - 1));
	fflush(stdout);
	while (argc > 2)
		pause();
	return 0;
}
