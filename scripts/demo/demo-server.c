/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * demo-server: a small HTTP server that can be made to eat memory, leak, fragment and hang.
 *
 * Demos, tests and the runbook look at it with meminspect, so it is built like a service that one
 * meets: an acceptor hands connections to named workers, a cache of entries is filled on demand, a
 * ledger is guarded by a mutex. It listens on loopback only and is bounded in all that a request
 * can ask for.
 *
 *     GET /grow?mb=N      fills the cache with N MB more of small and a few large entries
 *     GET /reset          frees the cache and the fragments, lets pool threads and ledger go
 *     GET /leak?n=N       opens N sessions and forgets them
 *     GET /fragment       allocates 32 MB in small pieces and frees seven of eight
 *     GET /threads?n=N    starts N pool threads that wait for work
 *     GET /block          a ledger writer holds the mutex, four auditors wait for it
 *     GET /status         JSON: pid, counters, mallinfo2()
 *
 * demo-server --get PORT PATH is the client: prints the body, exits 1 unless the status is 200.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NWORKERS 4
#define QUEUE_MAX 64
#define REQUEST_MAX 4096
#define GROW_MAX_MB 8192
#define LEAK_MAX 10000000
#define POOL_MAX 1000
#define NBUCKETS 4096
#define NAUDITORS 4
#define IO_TIMEOUT_S 5

/* ---- the cache: entries of a key and a body, in buckets */

struct cache_entry {
	struct cache_entry *next;
	char *key;
	unsigned char *body;
	size_t body_bytes;
	uint64_t hits;
};

static struct {
	pthread_mutex_t lock;
	struct cache_entry *buckets[NBUCKETS];
	uint64_t nentries, body_bytes, nkeys;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct session {
	uint32_t id, flags;
	char *user;
	unsigned char *scratch;
	struct session *peer;
};

static struct {
	pthread_mutex_t lock;
	void **pieces;
	size_t npieces;
} fragments = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	unsigned nthreads, generation;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

/* What /block ties up: the writer waits for `settled` with the ledger held. */
static struct {
	pthread_mutex_t lock;
	pthread_mutex_t gate;
	pthread_cond_t settled;
	bool blocked, settle;
	unsigned nthreads;
	uint64_t balance;
} ledger = {.lock = PTHREAD_MUTEX_INITIALIZER,
	    .gate = PTHREAD_MUTEX_INITIALIZER,
	    .settled = PTHREAD_COND_INITIALIZER};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t ready;
	int fds[QUEUE_MAX];
	unsigned head, n;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};

static uint64_t nrequests, nleaked;
static unsigned server_port;
static struct timespec started;

static void *checked(void *p)
{
	if (!p) {
		static const char text[] = "demo-server: out of memory\n";

		(void)write(2, text, sizeof(text) - 1);
		_exit(1);
	}
	return p;
}

static bool thread_start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	rc = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

static void thread_name(const char *fmt, ...)
{
	char name[16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	pthread_setname_np(pthread_self(), name);
}

static struct cache_entry *entry_create(uint64_t number, size_t body_bytes)
{
	struct cache_entry *entry = checked(calloc(1, sizeof(*entry)));
	char key[64];

	snprintf(key, sizeof(key), "/articles/%llu/body.html", (unsigned long long)number);
	entry->key = checked(strdup(key));
	entry->body = checked(malloc(body_bytes));
	entry->body_bytes = body_bytes;
	memset(entry->body, 'a' + (int)(number % 26), body_bytes);
	return entry;
}

static void entry_destroy(struct cache_entry *entry)
{
	free(entry->key);
	free(entry->body);
	free(entry);
}

static void cache_insert(struct cache_entry *entry, uint64_t number)
{
	struct cache_entry **bucket = &cache.buckets[number * 2654435761u % NBUCKETS];

	entry->next = *bucket;
	*bucket = entry;
	cache.nentries++;
	cache.body_bytes += entry->body_bytes;
}

/* Most bodies are small, one in 500 is large enough to be mmapped. */
static size_t body_size(uint64_t number)
{
	static const size_t sizes[] = {96, 200, 200, 480, 480, 480, 1000, 1000, 2040, 4000};

	return number % 500 == 499 ? 256 * 1024 : sizes[number % 10];
}

static void cache_grow(size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		pthread_mutex_lock(&cache.lock);
		for (unsigned i = 0; i < 256 && done < bytes; i++) {
			uint64_t number = cache.nkeys++;
			struct cache_entry *entry = entry_create(number, body_size(number));

			cache_insert(entry, number);
			done += entry->body_bytes;
		}
		pthread_mutex_unlock(&cache.lock);
	}
}

static void cache_reset(void)
{
	pthread_mutex_lock(&cache.lock);
	for (size_t i = 0; i < NBUCKETS; i++) {
		struct cache_entry *entry = cache.buckets[i], *next;

		for (; entry; entry = next) {
			next = entry->next;
			entry_destroy(entry);
		}
		cache.buckets[i] = NULL;
	}
	cache.nentries = cache.body_bytes = 0;
	pthread_mutex_unlock(&cache.lock);
}

/* ---- the bug: sessions that nobody keeps */

static struct session *session_open(uint32_t id)
{
	struct session *session = checked(calloc(1, sizeof(*session)));
	char user[32];

	snprintf(user, sizeof(user), "user-%u@example.org", id);
	session->id = id;
	session->user = checked(strdup(user));
	session->scratch = checked(malloc(300));
	memset(session->scratch, 0x5a, 300);
	return session;
}

static __attribute__((noinline)) void sessions_forget(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct session *volatile session = session_open((uint32_t)i);

		session = NULL; /* nothing holds it from here on */
		(void)session;
	}
	__atomic_add_fetch(&nleaked, n, __ATOMIC_RELAXED);
}

static void fragments_make(void)
{
	size_t n = 32 * 1024, kept = 0;
	void **pieces = checked(calloc(n, sizeof(*pieces)));

	for (size_t i = 0; i < n; i++) {
		pieces[i] = checked(malloc(1000));
		memset(pieces[i], 1, 1000);
	}
	for (size_t i = 0; i < n; i++) {
		if (i % 8)
			free(pieces[i]);
		else
			pieces[kept++] = pieces[i];
	}
	pthread_mutex_lock(&fragments.lock);
	fragments.pieces = checked(realloc(fragments.pieces, (fragments.npieces + kept) * sizeof(*pieces)));
	memcpy(fragments.pieces + fragments.npieces, pieces, kept * sizeof(*pieces));
	fragments.npieces += kept;
	pthread_mutex_unlock(&fragments.lock);
	free(pieces);
}

static void fragments_reset(void)
{
	pthread_mutex_lock(&fragments.lock);
	for (size_t i = 0; i < fragments.npieces; i++)
		free(fragments.pieces[i]);
	free(fragments.pieces);
	fragments.pieces = NULL;
	fragments.npieces = 0;
	pthread_mutex_unlock(&fragments.lock);
}

/* ---- threads that wait */

static __attribute__((noinline)) void pool_wait_for_work(unsigned generation)
{
	pthread_mutex_lock(&pool.lock);
	while (pool.generation == generation)
		pthread_cond_wait(&pool.work, &pool.lock);
	pool.nthreads--;
	pthread_mutex_unlock(&pool.lock);
}

static void *pool_main(void *arg)
{
	thread_name("pool");
	pool_wait_for_work((unsigned)(uintptr_t)arg);
	return NULL;
}

static unsigned pool_start(unsigned n)
{
	unsigned generation, done = 0;

	pthread_mutex_lock(&pool.lock);
	generation = pool.generation;
	for (; done < n && pool.nthreads < POOL_MAX; done++) {
		if (!thread_start(pool_main, (void *)(uintptr_t)generation))
			break;
		pool.nthreads++;
	}
	pthread_mutex_unlock(&pool.lock);
	return done;
}

static void pool_stop(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.generation++;
	pthread_cond_broadcast(&pool.work);
	pthread_mutex_unlock(&pool.lock);
}

static void ledger_thread_gone(void)
{
	pthread_mutex_lock(&ledger.gate);
	ledger.nthreads--;
	pthread_mutex_unlock(&ledger.gate);
}

/* Waits for a settlement that does not come, with the ledger held. */
static __attribute__((noinline)) void ledger_wait_settlement(void)
{
	pthread_mutex_lock(&ledger.gate);
	ledger.blocked = true;
	pthread_cond_broadcast(&ledger.settled);
	while (!ledger.settle)
		pthread_cond_wait(&ledger.settled, &ledger.gate);
	pthread_mutex_unlock(&ledger.gate);
}

static __attribute__((noinline)) void ledger_post(uint64_t amount)
{
	pthread_mutex_lock(&ledger.lock);
	ledger.balance += amount;
	ledger_wait_settlement();
	pthread_mutex_unlock(&ledger.lock);
}

static void *ledger_writer_main(void *arg)
{
	(void)arg;
	thread_name("ledger-writer");
	ledger_post(100);
	ledger_thread_gone();
	return NULL;
}

static __attribute__((noinline)) uint64_t ledger_read_balance(void)
{
	uint64_t balance;

	pthread_mutex_lock(&ledger.lock);
	balance = ledger.balance;
	pthread_mutex_unlock(&ledger.lock);
	return balance;
}

static __attribute__((noinline)) uint64_t audit_account(unsigned account)
{
	return ledger_read_balance() + account;
}

static void *auditor_main(void *arg)
{
	volatile uint64_t sum;

	thread_name("auditor-%u", (unsigned)(uintptr_t)arg);
	sum = audit_account((unsigned)(uintptr_t)arg);
	(void)sum;
	ledger_thread_gone();
	return NULL;
}

/* False when it is blocked already. */
static bool ledger_block(void)
{
	bool fresh;

	pthread_mutex_lock(&ledger.gate);
	fresh = ledger.nthreads == 0;
	if (fresh) {
		ledger.settle = ledger.blocked = false;
		ledger.nthreads = 1;
		if (!thread_start(ledger_writer_main, NULL)) {
			ledger.nthreads = 0;
			fresh = false;
		}
		while (fresh && !ledger.blocked)
			pthread_cond_wait(&ledger.settled, &ledger.gate);
		for (unsigned i = 0; fresh && i < NAUDITORS; i++)
			if (thread_start(auditor_main, (void *)(uintptr_t)(i + 1)))
				ledger.nthreads++;
	}
	pthread_mutex_unlock(&ledger.gate);
	return fresh;
}

static void ledger_release(void)
{
	pthread_mutex_lock(&ledger.gate);
	ledger.settle = true;
	pthread_cond_broadcast(&ledger.settled);
	pthread_mutex_unlock(&ledger.gate);
}

/* ---- HTTP: one request a connection */

struct request {
	int fd;
	char text[REQUEST_MAX];
	const char *path;
	const char *query; /* "" when there is none */
};

static void respond(struct request *request, int status, const char *type, const char *fmt, ...)
{
	char body[2048], head[256];
	size_t body_len, head_len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	body_len = strlen(body);
	head_len = (size_t)snprintf(head, sizeof(head),
				    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
				    "Connection: close\r\n\r\n",
				    status, status == 200 ? "OK" : "Error", type, body_len);
	(void)send(request->fd, head, head_len, MSG_NOSIGNAL | MSG_MORE);
	(void)send(request->fd, body, body_len, MSG_NOSIGNAL);
}

/* The number behind "name=" in the query, at most max; def when it is not there or no number. */
static uint64_t query_number(const struct request *request, const char *name, uint64_t def, uint64_t max)
{
	const char *p = request->query;
	size_t len = strlen(name);

	while (p && *p) {
		if (!strncmp(p, name, len) && p[len] == '=') {
			uint64_t v = 0;

			p += len + 1;
			if (*p < '0' || *p > '9')
				return def;
			for (; *p >= '0' && *p <= '9'; p++)
				v = v > max ? v : v * 10 + (uint64_t)(*p - '0');
			return v < max ? v : max;
		}
		p = strchr(p, '&');
		p = p ? p + 1 : NULL;
	}
	return def;
}

static void handle_grow(struct request *request)
{
	uint64_t mb = query_number(request, "mb", 16, GROW_MAX_MB);

	cache_grow((size_t)mb << 20);
	respond(request, 200, "application/json", "{\"grown_mb\":%llu}\n", (unsigned long long)mb);
}

static void handle_reset(struct request *request)
{
	cache_reset();
	fragments_reset();
	pool_stop();
	ledger_release();
	respond(request, 200, "application/json", "{\"reset\":true}\n");
}

static void handle_leak(struct request *request)
{
	uint64_t n = query_number(request, "n", 1000, LEAK_MAX);

	sessions_forget(n);
	respond(request, 200, "application/json", "{\"leaked\":%llu}\n", (unsigned long long)n);
}

static void handle_fragment(struct request *request)
{
	fragments_make();
	respond(request, 200, "application/json", "{\"fragments\":%zu}\n", fragments.npieces);
}

static void handle_threads(struct request *request)
{
	unsigned n = pool_start((unsigned)query_number(request, "n", 8, POOL_MAX));

	respond(request, 200, "application/json", "{\"started\":%u}\n", n);
}

static void handle_block(struct request *request)
{
	if (ledger_block())
		respond(request, 200, "application/json", "{\"blocked\":true}\n");
	else
		respond(request, 409, "application/json", "{\"blocked\":true,\"error\":\"blocked already\"}\n");
}

static void handle_status(struct request *request)
{
	struct mallinfo2 m = mallinfo2();
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	respond(request, 200, "application/json",
		"{\"pid\":%d,\"port\":%u,\"uptime_s\":%lld,\"requests\":%llu,"
		"\"cache_entries\":%llu,\"cache_body_bytes\":%llu,\"leaked_sessions\":%llu,"
		"\"fragments\":%zu,\"pool_threads\":%u,\"ledger_threads\":%u,"
		"\"mallinfo\":{\"arena\":%zu,\"hblks\":%zu,\"hblkhd\":%zu,\"uordblks\":%zu,"
		"\"fordblks\":%zu,\"fsmblks\":%zu,\"keepcost\":%zu}}\n",
		getpid(), server_port, (long long)(now.tv_sec - started.tv_sec),
		(unsigned long long)__atomic_load_n(&nrequests, __ATOMIC_RELAXED),
		(unsigned long long)cache.nentries, (unsigned long long)cache.body_bytes,
		(unsigned long long)__atomic_load_n(&nleaked, __ATOMIC_RELAXED), fragments.npieces,
		pool.nthreads, ledger.nthreads, m.arena, m.hblks, m.hblkhd, m.uordblks, m.fordblks,
		m.fsmblks, m.keepcost);
}

static void handle_index(struct request *request)
{
	respond(request, 200, "text/plain",
		"demo-server, pid %d\n/grow?mb=N /reset /leak?n=N /fragment /threads?n=N /block /status\n",
		getpid());
}

static const struct {
	const char *path;
	void (*handle)(struct request *request);
} routes[] = {
	{"/", handle_index},	      {"/grow", handle_grow},	    {"/reset", handle_reset},
	{"/leak", handle_leak},	      {"/fragment", handle_fragment}, {"/threads", handle_threads},
	{"/block", handle_block},     {"/status", handle_status},
};

/* Reads up to the empty line. False: too long, too slow, or no GET. */
static bool request_read(struct request *request)
{
	size_t len = 0;
	char *end, *query;

	for (;;) {
		ssize_t n = recv(request->fd, request->text + len, sizeof(request->text) - 1 - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		len += (size_t)n;
		request->text[len] = '\0';
		if (strstr(request->text, "\r\n\r\n") || strstr(request->text, "\n\n"))
			break;
		if (len == sizeof(request->text) - 1)
			return false;
	}
	if (strncmp(request->text, "GET /", 5))
		return false;
	request->path = request->text + 4;
	end = request->text + 4 + strcspn(request->text + 4, " \r\n");
	*end = '\0';
	query = strchr(request->text + 4, '?');
	if (query)
		*query++ = '\0';
	request->query = query ? query : "";
	return true;
}

static void handle_request(struct request *request)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!strcmp(request->path, routes[i].path)) {
			routes[i].handle(request);
			return;
		}
	}
	respond(request, 404, "text/plain", "not found\n");
}

static void serve_connection(int fd)
{
	struct request request = {.fd = fd};

	if (request_read(&request))
		handle_request(&request);
	else
		respond(&request, 400, "text/plain", "bad request\n");
	__atomic_add_fetch(&nrequests, 1, __ATOMIC_RELAXED);
	(void)shutdown(fd, SHUT_WR);
	close(fd);
}

static __attribute__((noinline)) int queue_pop(void)
{
	int fd;

	pthread_mutex_lock(&queue.lock);
	while (!queue.n)
		pthread_cond_wait(&queue.ready, &queue.lock);
	fd = queue.fds[queue.head];
	queue.head = (queue.head + 1) % QUEUE_MAX;
	queue.n--;
	pthread_mutex_unlock(&queue.lock);
	return fd;
}

static void *worker_main(void *arg)
{
	thread_name("worker-%u", (unsigned)(uintptr_t)arg);
	for (;;)
		serve_connection(queue_pop());
	return NULL;
}

/* A full queue turns the client away: the server's memory is not for strangers to fill. */
static void queue_push(int fd)
{
	bool full;

	pthread_mutex_lock(&queue.lock);
	full = queue.n == QUEUE_MAX;
	if (!full) {
		queue.fds[(queue.head + queue.n++) % QUEUE_MAX] = fd;
		pthread_cond_signal(&queue.ready);
	}
	pthread_mutex_unlock(&queue.lock);
	if (full)
		close(fd);
}

static void *acceptor_main(void *arg)
{
	int listener = (int)(intptr_t)arg;
	struct timeval timeout = {.tv_sec = IO_TIMEOUT_S};

	thread_name("acceptor");
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
				usleep(10000);
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		queue_push(fd);
	}
	return NULL;
}

/* Ages the hit counts once a second, as caches do. */
static void *evictor_main(void *arg)
{
	(void)arg;
	thread_name("cache-evictor");
	for (;;) {
		struct timespec second = {.tv_sec = 1};

		nanosleep(&second, NULL);
		pthread_mutex_lock(&cache.lock);
		for (size_t i = 0; i < 64; i++)
			if (cache.buckets[i])
				cache.buckets[i]->hits /= 2;
		pthread_mutex_unlock(&cache.lock);
	}
	return NULL;
}

static int listen_on(unsigned port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		close(fd);
		return -1;
	}
	server_port = ntohs(addr.sin_port);
	return fd;
}

static int client_get(unsigned port, const char *path)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval timeout = {.tv_sec = 120};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[8192], *body;
	size_t len = 0;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		fprintf(stderr, "demo-server: port %u: %s\n", port, strerror(errno));
		return 1;
	}
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
	while (len < sizeof(text) - 1 && (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	body = strstr(text, "\r\n\r\n");
	if (!body) {
		fprintf(stderr, "demo-server: port %u: no answer\n", port);
		return 1;
	}
	fputs(body + 4, stdout);
	return strncmp(text, "HTTP/1.1 200 ", 13) ? 1 : 0;
}

static int usage(void)
{
	fputs("usage: demo-server [--port N] [--die-with-parent]\n"
	      "       demo-server --get PORT PATH\n",
	      stderr);
	return 2;
}

static int parse_port(const char *text, unsigned *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (!*text || *end || v > 65535)
		return -1;
	*ret = (unsigned)v;
	return 0;
}

int main(int argc, char **argv)
{
	unsigned port = 0;
	sigset_t set;
	int listener, sig;

	if (argc == 4 && !strcmp(argv[1], "--get"))
		return parse_port(argv[2], &port) ? usage() : client_get(port, argv[3]);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--port") && i + 1 < argc) {
			if (parse_port(argv[++i], &port))
				return usage();
		} else if (!strcmp(argv[i], "--die-with-parent")) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
		} else {
			return usage();
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &started);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	listener = listen_on(port);
	if (listener < 0) {
		fprintf(stderr, "demo-server: port %u: %s\n", port, strerror(errno));
		return 1;
	}
	for (unsigned i = 0; i < NWORKERS; i++)
		if (!thread_start(worker_main, (void *)(uintptr_t)(i + 1)))
			return 1;
	if (!thread_start(evictor_main, NULL) || !thread_start(acceptor_main, (void *)(intptr_t)listener))
		return 1;
	printf("{\"ready\":true,\"pid\":%d,\"port\":%u}\n", getpid(), server_port);
	fflush(stdout);
	sigwait(&set, &sig);
	return 0;
}
