/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"
#include "serve/guard.h"
#include "serve/index.h"
#include "serve/metrics.h"
#include "serve/page.h"

#define SECOND_NS	 UINT64_C(1000000000)
#define HTTP_CONNECTIONS 512
#define CROWDED		 384		   /* from here on the slowest make room */
#define MEMORY_BYTES	 (16u << 10)	   /* of one: what its head may have */
#define BODY_MAX	 (64u << 10)
#define SILENT_NS	 (30 * SECOND_NS)  /* without a whole request: closed */
#define SILENT_CROWD_NS	 (2 * SECOND_NS)   /* the same while it is crowded */
#define SENDING_NS	 (120 * SECOND_NS) /* to take an answer */
#define BURST_SECONDS	 10

enum doing {
	DOING_READING, /* or nothing: no whole request is here */
	DOING_WAITING, /* for the studio */
	DOING_SENDING,
};

/* A connection, from accept to close. */
struct conn {
	struct conn *prev, *next;
	int fd;
	enum doing doing;
	uint64_t since_ns;
};

struct insp_http {
	struct MHD_Daemon *daemon; /* NULL: not started */
	int fd;			   /* listens; -1: the daemon's, or closed */
	struct insp_served *served;
	size_t nserved;
	struct insp_studio *studio;
	const struct insp_serve_config *config;
	char *token;
	char *cert, *key;
	bool loopback;
	struct insp_rates rates; /* of MHD's thread */
	pthread_mutex_t lock;
	struct conn *conns;
	size_t nconns;
	struct insp_http_counts counts;
};

/* A request, from its head to the end of its answer. */
struct request {
	struct insp_http *http;
	struct MHD_Connection *connection;
	struct conn *conn;
	struct insp_str body;
	bool too_long;
	struct insp_answer *answer;
};

/* ---- connections */

static void conn_does(struct insp_http *h, struct conn *c, enum doing doing)
{
	if (!c)
		return;
	pthread_mutex_lock(&h->lock);
	c->doing = doing;
	c->since_ns = insp_now_ns();
	pthread_mutex_unlock(&h->lock);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct insp_http *h = cls;
	const union MHD_ConnectionInfo *info;
	struct conn *c = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		c = info ? calloc(1, sizeof(*c)) : NULL;
		*context = c;
		if (!c)
			return;
		c->fd = info->connect_fd;
		c->since_ns = insp_now_ns();
		pthread_mutex_lock(&h->lock);
		c->next = h->conns;
		if (h->conns)
			h->conns->prev = c;
		h->conns = c;
		h->nconns++;
		h->counts.connections++;
		pthread_mutex_unlock(&h->lock);
		return;
	}
	if (!c)
		return;
	pthread_mutex_lock(&h->lock);
	if (c->prev)
		c->prev->next = c->next;
	else
		h->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	h->nconns--;
	pthread_mutex_unlock(&h->lock);
	free(c);
	*context = NULL;
}

void insp_http_tick(struct insp_http *h)
{
	uint64_t now = insp_now_ns(), silent;

	pthread_mutex_lock(&h->lock);
	silent = h->nconns >= CROWDED ? SILENT_CROWD_NS : SILENT_NS;
	for (struct conn *c = h->conns; c; c = c->next) {
		uint64_t age = now - c->since_ns;

		if ((c->doing == DOING_READING && age > silent) ||
		    (c->doing == DOING_SENDING && age > SENDING_NS)) {
			/* MHD sees the end of it and closes; its number is its own until then. */
			(void)shutdown(c->fd, SHUT_RDWR);
			c->since_ns = now;
			h->counts.evicted++;
		}
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- answers */

static void answer_freed(void *answer)
{
	insp_answer_unref(answer);
}

static void head(struct MHD_Response *r, const char *name, const char *value)
{
	(void)MHD_add_response_header(r, name, value);
}

static void heads(struct MHD_Response *r, const struct insp_answer *a)
{
	char text[96];

	head(r, "Content-Type", a->type);
	head(r, "X-Content-Type-Options", "nosniff");
	head(r, "Cache-Control", "no-store");
	head(r, "Referrer-Policy", "no-referrer");
	head(r, "Content-Security-Policy", a->policy ? a->policy : "default-src 'none'; sandbox");
	if (a->pprof_error)
		head(r, "X-Go-Pprof", "1");
	if (a->file[0]) {
		snprintf(text, sizeof(text), "attachment; filename=\"%s\"", a->file);
		head(r, "Content-Disposition", text);
	}
	if (a->location[0])
		head(r, "Location", a->location);
	if (a->retry_after_s) {
		snprintf(text, sizeof(text), "%u", a->retry_after_s);
		head(r, "Retry-After", text);
	}
	if (a->status == 401)
		head(r, "WWW-Authenticate", "Basic realm=\"meminspect\", charset=\"UTF-8\"");
	if (a->taken_at_ns) {
		uint64_t now = insp_wallclock_ns();

		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)(now > a->taken_at_ns ? (now - a->taken_at_ns) / SECOND_NS : 0));
		head(r, "Age", text);
	}
}

/* Takes the answer; NULL: memory is short. */
static enum MHD_Result reply(struct request *q, struct insp_answer *a)
{
	struct insp_http *h = q->http;
	struct MHD_Response *r;
	enum MHD_Result rc;

	a = a ? a : insp_answer_error(503, "out of memory");
	if (!a)
		return MHD_NO;
	conn_does(h, q->conn, DOING_SENDING);
	r = MHD_create_response_from_buffer_with_free_callback_cls(a->body.len, (void *)insp_str_text(&a->body),
								   answer_freed, a);
	if (!r) {
		insp_answer_unref(a);
		return MHD_NO;
	}
	heads(r, a);
	pthread_mutex_lock(&h->lock);
	h->counts.requests++;
	h->counts.by_class[a->status / 100 % 6]++;
	pthread_mutex_unlock(&h->lock);
	rc = MHD_queue_response(q->connection, a->status, r);
	MHD_destroy_response(r);
	return rc;
}

/* Of the studio's thread. */
static void on_answer(void *waiter, struct insp_answer *answer)
{
	struct request *q = waiter;

	q->answer = answer ? answer : insp_answer_error(503, "out of memory");
	MHD_resume_connection(q->connection);
}

static struct insp_served *served_of(struct insp_http *h, const char *label)
{
	for (size_t i = 0; i < h->nserved; i++)
		if (!*label || strcmp(h->served[i].label, label) == 0)
			return &h->served[i];
	return NULL;
}

static void counts_of(struct insp_http *h, struct insp_http_counts *ret)
{
	pthread_mutex_lock(&h->lock);
	*ret = h->counts;
	pthread_mutex_unlock(&h->lock);
}

/* What needs no picture. */
static struct insp_answer *answer_now(struct insp_http *h, struct insp_served *served,
				      const struct insp_route *route)
{
	struct insp_answer *a;
	struct insp_http_counts counts;

	switch (route->endpoint) {
	case INSP_AT_INDEX:
		return insp_index_answer(served);
	case INSP_AT_CMDLINE:
		return insp_cmdline_answer(served);
	case INSP_AT_STATE:
		return insp_state_answer(served);
	case INSP_AT_SCRIPT:
		a = insp_answer_create(200, "text/javascript; charset=utf-8");
		if (a)
			insp_str_add(&a->body, insp_page_script);
		return a;
	case INSP_AT_METRICS:
		a = insp_answer_create(200, INSP_TYPE_METRICS);
		if (a)
			insp_metrics_write(h->served, h->nserved, *route->label ? served : NULL, &a->body);
		return a;
	case INSP_AT_SELF:
		a = insp_answer_create(200, INSP_TYPE_METRICS);
		counts_of(h, &counts);
		if (a)
			insp_metrics_write_self(&counts, &a->body);
		return a;
	default:
		a = insp_answer_create(200, INSP_TYPE_TEXT);
		if (a)
			insp_str_add(&a->body, "ok\n");
		return a;
	}
}

/* Relative, so that it holds behind any proxy. */
static struct insp_answer *redirect(const char *url)
{
	struct insp_answer *a = insp_answer_create(301, INSP_TYPE_TEXT);

	if (a)
		snprintf(a->location, sizeof(a->location), "%.64s/", strrchr(url, '/') + 1);
	return a;
}

static const char *param(void *ctx, const char *name)
{
	return MHD_lookup_connection_value(ctx, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result first_key(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	(void)kind, (void)value;
	*(const char **)cls = key;
	return MHD_NO;
}

/* Of symbol: the body, or a query that is nothing but addresses. */
static const char *addresses_of(struct request *q)
{
	const char *key = NULL;

	if (q->body.len)
		return insp_str_text(&q->body);
	(void)MHD_get_connection_values(q->connection, MHD_GET_ARGUMENT_KIND, first_key, &key);
	return key;
}

static enum MHD_Result respond(struct request *q, const char *url)
{
	struct insp_http *h = q->http;
	struct insp_error err = {0};
	struct insp_want want = {0};
	struct insp_answer *a;
	unsigned status = insp_route_parse(url, param, q->connection, &want.route, &err);

	if (status)
		return reply(q, insp_answer_error(status, "%s", err.msg));
	if (want.route.slash)
		return reply(q, redirect(url));
	want.served = served_of(h, want.route.label);
	if (!want.served)
		return reply(q, insp_answer_error(404, "no target has the label '%s'", want.route.label));
	if (!insp_endpoint_picture(want.route.endpoint))
		return reply(q, answer_now(h, want.served, &want.route));
	if (want.route.endpoint == INSP_AT_SYMBOL) {
		want.text = addresses_of(q);
		if (!want.text) {
			a = insp_answer_create(200, INSP_TYPE_TEXT);
			if (a)
				insp_str_add(&a->body, "num_symbols: 1\n");
			return reply(q, a);
		}
	}
	a = insp_studio_find(h->studio, &want);
	if (a)
		return reply(q, a);
	conn_does(h, q->conn, DOING_WAITING);
	MHD_suspend_connection(q->connection);
	insp_studio_ask(h->studio, &want, on_answer, q);
	return MHD_YES;
}

/* ---- requests */

static const char *header(struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

/* What speaks against the request before its path is looked at; NULL: nothing. */
static struct insp_answer *refuse(struct request *q, const char *method)
{
	struct insp_http *h = q->http;
	const union MHD_ConnectionInfo *client =
		MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const char *site = header(q, "Sec-Fetch-Site");
	struct insp_answer *a;

	if (!insp_rate_allow(&h->rates, client ? client->client_addr : NULL, insp_now_ns())) {
		a = insp_answer_error(503, "too many requests from this client");
		if (a)
			a->retry_after_s = 1;
		return a;
	}
	if (h->loopback && !insp_host_allowed(header(q, "Host")))
		return insp_answer_error(403, "this server knows itself as localhost only");
	if (site && strcmp(site, "cross-site") == 0)
		return insp_answer_error(403, "not for pages of other sites");
	if (h->token && !insp_token_shown(header(q, "Authorization"), h->token))
		return insp_answer_error(401, "a token is needed: Authorization: Bearer TOKEN");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "POST") != 0)
		return insp_answer_error(405, "method not allowed");
	return NULL;
}

static enum MHD_Result begin(struct insp_http *h, struct MHD_Connection *connection, const char *method,
			     void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct request *q = calloc(1, sizeof(*q));
	struct insp_answer *no;

	if (!q)
		return MHD_NO;
	q->http = h;
	q->connection = connection;
	q->conn = info ? info->socket_context : NULL;
	*context = q;
	no = refuse(q, method);
	return no ? reply(q, no) : MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_bytes, void **context)
{
	struct request *q = *context;
	struct insp_answer *a;

	(void)version;
	if (!q)
		return begin(cls, connection, method, context);
	if (*upload_bytes) {
		q->too_long |= q->body.len + *upload_bytes > BODY_MAX;
		if (!q->too_long)
			insp_str_addn(&q->body, upload, *upload_bytes);
		*upload_bytes = 0;
		return MHD_YES;
	}
	if (q->answer) {
		a = q->answer;
		q->answer = NULL;
		return reply(q, a);
	}
	if (q->too_long)
		return reply(q, insp_answer_error(413, "the body of the request is too long"));
	return respond(q, url);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct request *q = *context;

	(void)cls, (void)connection, (void)code;
	if (!q)
		return;
	conn_does(q->http, q->conn, DOING_READING);
	insp_answer_unref(q->answer);
	insp_str_deinit(&q->body);
	free(q);
	*context = NULL;
}

/* ---- start and end */

static int load_pem(const char *path, char **ret, struct insp_error *err)
{
	struct insp_str text = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char buf[4096];
	ssize_t n = -1;

	if (fd < 0)
		return insp_fail_errno(err, INSP_E_IO, errno, "'%s'", path);
	while (text.len < (1u << 20) && (n = read(fd, buf, sizeof(buf))) > 0)
		insp_str_addn(&text, buf, (size_t)n);
	(void)close(fd);
	if (n || !insp_str_ok(&text) || !strstr(insp_str_text(&text), "-----BEGIN")) {
		insp_str_deinit(&text);
		return insp_fail(err, INSP_E_USAGE, "'%s' is no PEM file", path);
	}
	*ret = text.s;
	return 0;
}

static int check_config(struct insp_http *h, const struct insp_listen *listen, struct insp_error *err)
{
	const struct insp_serve_config *c = h->config;
	int rc = 0;

	if (!c->tls_cert != !c->tls_key)
		return insp_fail(err, INSP_E_USAGE, "--tls-cert and --tls-key belong together");
	if (!listen->loopback && !c->token_file && !c->tls_cert)
		return insp_fail(err, INSP_E_USAGE,
				 "'%s' can be reached from outside, and the memory of a process is nobody else's "
				 "business: give --token-file FILE, or --tls-cert and --tls-key, or listen on 127.0.0.1",
				 c->listen);
	if (c->tls_cert && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		return insp_fail(err, INSP_E_UNSUPPORTED, "libmicrohttpd was built without TLS");
	if (c->token_file)
		rc = insp_token_load(c->token_file, &h->token, err);
	if (!rc && c->tls_cert)
		rc = load_pem(c->tls_cert, &h->cert, err);
	if (!rc && c->tls_key)
		rc = load_pem(c->tls_key, &h->key, err);
	return rc;
}

/* A socket that listens, and where it does. */
static int open_socket(const struct insp_listen *where, const char *text, bool tls, char *ret_url,
		       size_t size_bytes, int *ret, struct insp_error *err)
{
	int fd = socket(where->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	struct sockaddr_storage bound;
	socklen_t n = sizeof(bound);
	char host[INET6_ADDRSTRLEN] = "";
	uint16_t port;

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&where->addr, where->addr_bytes) || listen(fd, 1024) ||
	    getsockname(fd, (struct sockaddr *)&bound, &n)) {
		int code = errno;

		if (fd >= 0)
			(void)close(fd);
		return insp_fail_errno(err, INSP_E_IO, code, "listen on '%s'", text);
	}
	if (bound.ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&bound;

		(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		port = ntohs(v6->sin6_port);
		snprintf(ret_url, size_bytes, "http%s://[%s]:%u/", tls ? "s" : "", host, port);
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&bound;

		(void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		port = ntohs(v4->sin_port);
		snprintf(ret_url, size_bytes, "http%s://%s:%u/", tls ? "s" : "", host, port);
	}
	*ret = fd;
	return 0;
}

static struct MHD_Daemon *start_daemon(struct insp_http *h, int fd)
{
	/* Not epoll: there it misses, now and then, that a client has closed its end right behind its bytes. */
	unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
			 (h->cert ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_Daemon *daemon;
	sigset_t all, before;

	/* Its thread shall not take the signals that end the program. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(SENDING_NS / SECOND_NS),
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		MHD_OPTION_ARRAY, h->cert ? tls : &tls[2], MHD_OPTION_END);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return daemon;
}

void insp_http_close(struct insp_http *h)
{
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	if (h->fd >= 0)
		(void)close(h->fd);
	if (h->token)
		explicit_bzero(h->token, strlen(h->token));
	if (h->key)
		explicit_bzero(h->key, strlen(h->key));
	free(h->token);
	free(h->cert);
	free(h->key);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int insp_http_open(const struct insp_serve_config *config, char *ret_url, size_t size_bytes,
		   struct insp_http **ret, struct insp_error *err)
{
	struct insp_http *h = calloc(1, sizeof(*h));
	struct insp_listen where = {0};
	int rc;

	if (!h)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	pthread_mutex_init(&h->lock, NULL);
	h->fd = -1;
	h->config = config;
	h->rates.per_second = (double)config->rate;
	h->rates.burst = (double)config->rate * BURST_SECONDS;
	rc = insp_listen_parse(config->listen, &where, err);
	h->loopback = where.loopback;
	if (!rc)
		rc = check_config(h, &where, err);
	if (!rc)
		rc = open_socket(&where, config->listen, config->tls_cert != NULL, ret_url, size_bytes, &h->fd,
				 err);
	if (rc)
		insp_http_close(h);
	else
		*ret = h;
	return rc;
}

int insp_http_start(struct insp_http *h, struct insp_served *served, size_t nserved,
		    struct insp_studio *studio, struct insp_error *err)
{
	h->served = served;
	h->nserved = nserved;
	h->studio = studio;
	h->daemon = start_daemon(h, h->fd);
	if (!h->daemon)
		return insp_fail(err, INSP_E_IO, h->cert ? "the server does not start: do certificate and key fit together?"
							 : "the server does not start");
	h->fd = -1; /* the daemon's */
	return 0;
}

void insp_http_quiesce(struct insp_http *h)
{
	int fd = MHD_quiesce_daemon(h->daemon);

	if (fd >= 0)
		(void)close(fd);
}

