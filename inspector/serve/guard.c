/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fmt.h"

/* ---- where to listen */

static bool is_loopback(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

/* "[::1]", "127.0.0.1", "localhost", "" */
static bool parse_address(const char *host, uint16_t port, struct insp_listen *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->addr;
	char inner[64];
	size_t n = strlen(host);

	if (n >= 2 && n < sizeof(inner) && host[0] == '[' && host[n - 1] == ']') {
		memcpy(inner, host + 1, n - 2);
		inner[n - 2] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		ret->addr_bytes = sizeof(*v6);
		return inet_pton(AF_INET6, inner, &v6->sin6_addr) == 1;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	ret->addr_bytes = sizeof(*v4);
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	return inet_pton(AF_INET, n ? host : "0.0.0.0", &v4->sin_addr) == 1;
}

int insp_listen_parse(const char *text, struct insp_listen *ret, struct insp_error *err)
{
	struct insp_listen l = {0};
	const char *colon = strrchr(text, ':');
	char host[64];
	uint64_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || insp_parse_u64(colon + 1, &port, NULL) ||
	    port > 65535)
		return insp_fail(err, INSP_E_USAGE, "address '%s': expected HOST:PORT, as 127.0.0.1:6070", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (!parse_address(host, (uint16_t)port, &l))
		return insp_fail(err, INSP_E_USAGE,
				 "address '%s': '%s' is no IPv4 address, [IPv6 address] or localhost", text, host);
	l.loopback = is_loopback(&l.addr);
	*ret = l;
	return 0;
}

bool insp_host_allowed(const char *host)
{
	struct insp_listen l;
	char name[80];
	size_t n;

	if (!host)
		return true;
	n = strlen(host);
	if (n >= sizeof(name) - 3)
		return false;
	memcpy(name, host, n + 1);
	/* Without a port: any will do for the parser. */
	if (host[0] == '[' ? n && host[n - 1] == ']' : !strchr(host, ':'))
		memcpy(name + n, ":1", 3);
	if (strncasecmp(name, "localhost", 9) == 0)
		memcpy(name, "localhost", 9);
	return insp_listen_parse(name, &l, NULL) == 0 && l.loopback;
}

/* ---- tokens */

int insp_token_load(const char *path, char **ret, struct insp_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char buf[1024];
	struct stat st;
	ssize_t n;
	size_t len;

	if (fd < 0)
		return insp_fail_errno(err, INSP_E_IO, errno, "token file '%s'", path);
	n = read(fd, buf, sizeof(buf) - 1);
	if (n < 0 || fstat(fd, &st)) {
		int code = errno;

		(void)close(fd);
		return insp_fail_errno(err, INSP_E_IO, code, "token file '%s'", path);
	}
	(void)close(fd);
	if (S_ISREG(st.st_mode) && st.st_mode & 0007)
		return insp_fail(err, INSP_E_USAGE, "token file '%s' is open to everybody: chmod 600", path);
	buf[n] = '\0';
	len = strcspn(buf, "\r\n");
	buf[len] = '\0';
	if (len < INSP_TOKEN_MIN || len > 512)
		return insp_fail(err, INSP_E_USAGE, "token file '%s': its first line shall have %d to 512 characters",
				 path, INSP_TOKEN_MIN);
	*ret = strdup(buf);
	explicit_bzero(buf, sizeof(buf));
	return *ret ? 0 : insp_fail(err, INSP_E_NOMEM, "out of memory");
}

/* As long for any shown text of the same length, whatever it has in common with the token. */
static bool same_secret(const char *shown, size_t nshown, const char *token)
{
	size_t n = strlen(token);
	volatile unsigned char differs = nshown != n;

	for (size_t i = 0; i < nshown; i++)
		differs = (unsigned char)(differs | (shown[i] ^ token[i < n ? i : 0]));
	return !differs;
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Decodes into buf; the length, or -1. */
static int decode_base64(const char *s, char *buf, size_t size_bytes)
{
	unsigned bits = 0, nbits = 0;
	size_t n = 0;

	for (; *s && *s != '='; s++) {
		int d = base64_digit(*s);

		if (d < 0 || n == size_bytes)
			return -1;
		bits = bits << 6 | (unsigned)d;
		nbits += 6;
		if (nbits >= 8) {
			nbits -= 8;
			buf[n++] = (char)(bits >> nbits);
		}
	}
	return (int)n;
}

bool insp_token_shown(const char *authorization, const char *token)
{
	char buf[1024];
	const char *colon, *shown;
	int n;

	if (!authorization)
		return false;
	if (strncasecmp(authorization, "Bearer ", 7) == 0) {
		shown = authorization + 7 + strspn(authorization + 7, " ");
		return same_secret(shown, strlen(shown), token);
	}
	if (strncasecmp(authorization, "Basic ", 6) != 0)
		return false;
	n = decode_base64(authorization + 6 + strspn(authorization + 6, " "), buf, sizeof(buf));
	colon = n > 0 ? memchr(buf, ':', (size_t)n) : NULL;
	return colon && same_secret(colon + 1, (size_t)(buf + n - colon - 1), token);
}

/* ---- how often */

static void address_of(const struct sockaddr *addr, uint8_t ret[16])
{
	memset(ret, 0, 16);
	if (addr && addr->sa_family == AF_INET)
		memcpy(ret, &((const struct sockaddr_in *)addr)->sin_addr, 4);
	else if (addr && addr->sa_family == AF_INET6)
		/* Whoever has one address of IPv6 has 2^64 of them. */
		memcpy(ret, &((const struct sockaddr_in6 *)addr)->sin6_addr, 8);
}

bool insp_rate_allow(struct insp_rates *rates, const struct sockaddr *addr, uint64_t now_ns)
{
	struct insp_rate *r = NULL;
	uint8_t key[16];

	address_of(addr, key);
	for (size_t i = 0; i < INSP_RATE_CLIENTS; i++) {
		struct insp_rate *x = &rates->items[i];

		if (x->seen_ns && memcmp(x->addr, key, sizeof(key)) == 0) {
			r = x;
			break;
		}
		if (!r || x->seen_ns < r->seen_ns)
			r = x;
	}
	if (!r->seen_ns || memcmp(r->addr, key, sizeof(key)) != 0) {
		memcpy(r->addr, key, sizeof(key));
		r->left = rates->burst;
		r->seen_ns = now_ns;
	}
	r->left += (double)(now_ns - r->seen_ns) * 1e-9 * rates->per_second;
	if (r->left > rates->burst)
		r->left = rates->burst;
	r->seen_ns = now_ns;
	if (r->left < 1)
		return false;
	r->left -= 1;
	return true;
}
