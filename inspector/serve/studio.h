/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * studio: one thread that takes pictures of processes and makes answers of them.
 *
 * Requests are jobs in one queue. Who wants the same waits for the same job; jobs that are due together
 * share one stop; an answer is given again for --min-interval, and longer while the process has used up
 * its share of standstill. One thread, because a picture is the only costly thing here, and two at a time
 * would need twice the memory to keep two processes waiting instead of one.
 *
 * Profiles over some seconds are jobs that come back: for their second look, or for the next sample.
 */
#ifndef INSP_SERVE_STUDIO_H
#define INSP_SERVE_STUDIO_H

#include "serve/answer.h"
#include "serve/route.h"
#include "serve/served.h"

struct insp_profile;
struct insp_studio;

struct insp_want {
	struct insp_served *served;
	struct insp_route route;
	const char *text; /* of a request to symbol: its addresses; borrowed for the call */
};

/* Gives answer, never NULL. Called once, by the studio's thread or the caller's of insp_studio_tick. */
typedef void (*insp_answered_fn)(void *waiter, struct insp_answer *answer);

/* Borrows all. */
int insp_studio_start(struct insp_served *served, size_t nserved, const struct insp_serve_config *config,
		      struct insp_studio **ret, struct insp_error *err) insp_must_check;
/* Ends the work at hand, answers whoever waits; who asks from then on is sent away. */
void insp_studio_stop(struct insp_studio *studio);
void insp_studio_destroy(struct insp_studio *studio); /* accepts NULL; stop it first */

/* An answer that is there already (gives), or NULL: then ask. */
struct insp_answer *insp_studio_find(struct insp_studio *studio, const struct insp_want *want);
void insp_studio_ask(struct insp_studio *studio, const struct insp_want *want, insp_answered_fn done,
		     void *waiter);

/* Answers those who have waited too long. Call it a few times a second. */
void insp_studio_tick(struct insp_studio *studio);

/* What it is made of, for studio.c alone: makes the answer of a picture that has what insp_studio_needs
   says. Gives; NULL when memory is short, or err says what is wrong. */
unsigned insp_studio_needs(const struct insp_served *served, const struct insp_route *route);
struct insp_answer *insp_studio_answer(struct insp_served *served, const struct insp_route *route,
				       const char *text, struct insp_error *err);
/* A finished profile as an answer. */
struct insp_answer *insp_studio_profile(const struct insp_profile *profile, const struct insp_route *route,
					struct insp_error *err);

#endif
