/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * guard: who may ask, and how often. Pure decisions on what a request says of itself.
 */
#ifndef INSP_SERVE_GUARD_H
#define INSP_SERVE_GUARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/* ---- where to listen */

struct insp_listen {
	struct sockaddr_storage addr;
	socklen_t addr_bytes;
	bool loopback;
};

/* "127.0.0.1:6070", "[::1]:6070", "localhost:6070", ":6070" (all addresses). */
int insp_listen_parse(const char *text, struct insp_listen *ret, struct insp_error *err) insp_must_check;

/*
 * Is it a name of the loopback interface, or this address itself? A page from anywhere can make a browser
 * send requests here under a name of its own that it has pointed at 127.0.0.1; such a request is
 * refused by the name. NULL (no Host at all) comes from no browser.
 */
bool insp_host_allowed(const char *host);

/* ---- tokens */

#define INSP_TOKEN_MIN 16

/* The first line of a file. Gives *ret: free. */
int insp_token_load(const char *path, char **ret, struct insp_error *err) insp_must_check;
/* Does the Authorization header show it, as Bearer or as the password of Basic? Takes as long for any
   token of the same length. */
bool insp_token_shown(const char *authorization, const char *token);

/* ---- how often */

#define INSP_RATE_CLIENTS 512

/* Who asked lately; the one that was seen longest ago makes room. */
struct insp_rates {
	struct insp_rate {
		uint8_t addr[16];
		uint64_t seen_ns;
		double left; /* requests */
	} items[INSP_RATE_CLIENTS];
	double per_second, burst;
};

/* One more request of addr at now_ns: is it within its rate? */
bool insp_rate_allow(struct insp_rates *rates, const struct sockaddr *addr, uint64_t now_ns);

#endif
