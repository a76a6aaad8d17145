/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * http: connections. One thread of libmicrohttpd's looks after all of them and never waits: what needs
 * a picture is set aside until the studio has its answer.
 *
 * A connection costs a socket and 16 KiB. There are at most HTTP_CONNECTIONS; before that, the ones that
 * have not said what they want for longest are closed, so that nobody can keep others out by connecting
 * and falling silent, or by sending a byte now and then.
 */
#ifndef INSP_SERVE_HTTP_H
#define INSP_SERVE_HTTP_H

#include "serve/served.h"
#include "serve/studio.h"

struct insp_http;

struct insp_http_counts {
	uint64_t requests, by_class[6]; /* [2]: 2xx */
	uint64_t connections, evicted;
};

/* Checks what was configured, and listens. ret_url: where, for people; fills size_bytes. Borrows config. */
int insp_http_open(const struct insp_serve_config *config, char *ret_url, size_t size_bytes,
		   struct insp_http **ret, struct insp_error *err) insp_must_check;
/* Answers from now on. Borrows all. */
int insp_http_start(struct insp_http *http, struct insp_served *served, size_t nserved,
		    struct insp_studio *studio, struct insp_error *err) insp_must_check;
/* No new connections. */
void insp_http_quiesce(struct insp_http *http);
/* Behind insp_studio_stop: whoever is set aside has an answer by then. Accepts NULL. */
void insp_http_close(struct insp_http *http);
/* Closes who takes too long. Call it a few times a second. */
void insp_http_tick(struct insp_http *http);

#endif
