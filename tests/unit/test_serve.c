/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What serve decides without a process and without a socket: routes, who may ask, sums of profiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/profile_merge.h"
#include "serve/cpu.h"
#include "serve/guard.h"
#include "serve/profiles.h"
#include "serve/route.h"

/* ---- routes */

/* A query as name, value, name, value, ..., NULL. */
static const char *from_list(void *ctx, const char *name)
{
	for (const char **p = ctx; p && *p; p += 2)
		if (strcmp(p[0], name) == 0)
			return p[1];
	return NULL;
}

static unsigned parse(const char *path, const char **query, struct insp_route *ret)
{
	struct insp_error err = {0};
	unsigned status = insp_route_parse(path, from_list, query, ret, &err);

	assert_int_equal(status != 0, err.msg[0] != 0);
	return status;
}

static void route__knows_every_endpoint_by_its_path(void **state)
{
	static const struct {
		const char *path;
		enum insp_endpoint endpoint;
	} rows[] = {
		{"/", INSP_AT_PAGE},
		{"/metrics", INSP_AT_METRICS},
		{"/metrics/self", INSP_AT_SELF},
		{"/debug/pprof/", INSP_AT_INDEX},
		{"/debug/pprof/heap", INSP_AT_HEAP},
		{"/debug/pprof/goroutine", INSP_AT_GOROUTINE},
		{"/debug/pprof/cmdline", INSP_AT_CMDLINE},
		{"/t/a.b-c_1/debug/pprof/symbol", INSP_AT_SYMBOL},
		{"/t/x/", INSP_AT_PAGE},
	};
	struct insp_route r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].path, NULL, &r), 0);
		assert_int_equal(r.endpoint, rows[i].endpoint);
		assert_false(r.slash);
	}
	assert_int_equal(parse("/t/a.b-c_1/debug/pprof/symbol", NULL, &r), 0);
	assert_string_equal(r.label, "a.b-c_1");
}

static void route__sends_to_the_path_with_a_slash(void **state)
{
	struct insp_route r;

	(void)state;
	assert_int_equal(parse("/debug/pprof", NULL, &r), 0);
	assert_true(r.slash);
	assert_int_equal(parse("/t/x", NULL, &r), 0);
	assert_true(r.slash);
	assert_int_equal(r.endpoint, INSP_AT_PAGE);
}

static void route__refuses_what_is_not_there(void **state)
{
	static const char *const bad[] = {"/nonsense", "/debug/pprof/trace", "/t/", "/t//metrics", "/t/../metrics",
					  "/t/a%b/metrics", "//metrics", "/debug/pprof/heap/", "", "/metrics/"};
	char longest[200] = "/t/";
	struct insp_route r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (*bad[i])
			assert_int_equal(parse(bad[i], NULL, &r), 404);
	memset(longest + 3, 'a', INSP_LABEL_MAX);
	assert_int_equal(parse(longest, NULL, &r), 404);
	assert_int_equal(parse("/metrics", (const char *[]){"target", "a/b", NULL}, &r), 404);
}

static void route__reads_parameters_as_go_does(void **state)
{
	struct insp_route r;

	(void)state;
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"seconds", "30", NULL}, &r), 0);
	assert_int_equal(r.seconds, 30);
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"debug", "1", "gc", "1", NULL}, &r), 0);
	assert_int_equal(r.debug, 1);
	assert_true(r.fresh);
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"seconds", "0", NULL}, &r), 400);
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"seconds", "-1", NULL}, &r), 400);
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"seconds", "1e9", NULL}, &r), 400);
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"seconds", "100000", NULL}, &r), 400);
	assert_int_equal(parse("/debug/pprof/heap", (const char *[]){"seconds", "1", "debug", "1", NULL}, &r), 400);
	/* A profile of the CPU has a duration, whatever is asked for. */
	assert_int_equal(parse("/debug/pprof/profile", NULL, &r), 0);
	assert_int_equal(r.seconds, INSP_PROFILE_SECONDS);
	assert_int_equal(parse("/debug/pprof/profile", (const char *[]){"seconds", "x", NULL}, &r), 0);
	assert_int_equal(r.seconds, INSP_PROFILE_SECONDS);
	/* gc is for the heap alone. */
	assert_int_equal(parse("/debug/pprof/goroutine", (const char *[]){"gc", "1", NULL}, &r), 0);
	assert_false(r.fresh);
}

/* ---- guard */

static void listen__tells_loopback_from_the_world(void **state)
{
	struct insp_listen l;

	(void)state;
	assert_int_equal(insp_listen_parse("127.0.0.1:6070", &l, NULL), 0);
	assert_true(l.loopback);
	assert_int_equal(insp_listen_parse("localhost:0", &l, NULL), 0);
	assert_true(l.loopback);
	assert_int_equal(insp_listen_parse("[::1]:80", &l, NULL), 0);
	assert_true(l.loopback);
	assert_int_equal(insp_listen_parse(":80", &l, NULL), 0);
	assert_false(l.loopback);
	assert_int_equal(insp_listen_parse("[::]:80", &l, NULL), 0);
	assert_false(l.loopback);
	assert_int_equal(insp_listen_parse("10.0.0.1:80", &l, NULL), 0);
	assert_false(l.loopback);
	/* An IPv4 address in an IPv6 one is not the loopback interface of IPv6. */
	assert_int_equal(insp_listen_parse("[::ffff:1.2.3.4]:80", &l, NULL), 0);
	assert_false(l.loopback);
	assert_int_not_equal(insp_listen_parse("6070", &l, NULL), 0);
	assert_int_not_equal(insp_listen_parse("127.0.0.1:", &l, NULL), 0);
	assert_int_not_equal(insp_listen_parse("127.0.0.1:99999", &l, NULL), 0);
	assert_int_not_equal(insp_listen_parse("example.org:80", &l, NULL), 0);
	assert_int_not_equal(insp_listen_parse("::1:80", &l, NULL), 0);
}

static void host__only_names_of_this_machine(void **state)
{
	static const char *const good[] = {"localhost", "LocalHost:6070", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:1"};
	static const char *const bad[] = {"", "example.org", "localhost.example.org", "127.0.0.1.example.org",
					  "0.0.0.0:80", ":80", "[::]", "[", "[]", "localhost:x", "localhost:1:2"};
	char longest[400];

	(void)state;
	assert_true(insp_host_allowed(NULL));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!insp_host_allowed(good[i]))
			fail_msg("'%s' is refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (insp_host_allowed(bad[i]))
			fail_msg("'%s' is allowed", bad[i]);
	memset(longest, '1', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(insp_host_allowed(longest));
}

static void token__bearer_or_password(void **state)
{
	static const char token[] = "correct-horse-battery";

	(void)state;
	assert_true(insp_token_shown("Bearer correct-horse-battery", token));
	assert_true(insp_token_shown("bearer  correct-horse-battery", token));
	assert_true(insp_token_shown("Basic YW55OmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==", token));
	assert_true(insp_token_shown("Basic OmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==", token));
	assert_false(insp_token_shown(NULL, token));
	assert_false(insp_token_shown("", token));
	assert_false(insp_token_shown("Bearer ", token));
	assert_false(insp_token_shown("Bearer correct-horse-batter", token));
	assert_false(insp_token_shown("Bearer correct-horse-batteryy", token));
	assert_false(insp_token_shown("correct-horse-battery", token));
	assert_false(insp_token_shown("Basic correct-horse-battery", token));
	assert_false(insp_token_shown("Basic Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", token)); /* no colon */
	assert_false(insp_token_shown("Basic ====", token));
	assert_false(insp_token_shown("Basic \xff\xfe", token));
}

static void rate__each_client_has_its_own(void **state)
{
	static struct insp_rates rates;
	struct sockaddr_in a = {.sin_family = AF_INET}, b = a;
	uint64_t now = 1000000000;

	(void)state;
	a.sin_addr.s_addr = htonl(0x0a000001);
	b.sin_addr.s_addr = htonl(0x0a000002);
	rates.per_second = 1;
	rates.burst = 3;
	for (int i = 0; i < 3; i++)
		assert_true(insp_rate_allow(&rates, (struct sockaddr *)&a, now));
	assert_false(insp_rate_allow(&rates, (struct sockaddr *)&a, now));
	assert_true(insp_rate_allow(&rates, (struct sockaddr *)&b, now));
	assert_true(insp_rate_allow(&rates, (struct sockaddr *)&a, now + 1000000000));
	assert_false(insp_rate_allow(&rates, (struct sockaddr *)&a, now + 1000000000));
	/* More clients than there is room for: nobody is shut out, and nothing breaks. */
	for (uint32_t i = 0; i < 3 * INSP_RATE_CLIENTS; i++) {
		a.sin_addr.s_addr = htonl(0x0b000000 + i);
		assert_true(insp_rate_allow(&rates, (struct sockaddr *)&a, now + 2000000000 + i));
	}
}

/* ---- sums of profiles */

static struct insp_profile *profile(struct insp_pool *pool, uint64_t pc, const char *name, int64_t value)
{
	struct insp_profile *p = insp_profile_create(pool, "t");
	uint32_t l = insp_profile_add_location(p, pc, 0);

	insp_profile_add_frame(p, name, NULL, 0);
	insp_profile_add_type(p, "threads", "count");
	insp_profile_add_sample(p)->values[0] = value;
	insp_profile_push(p, l);
	return p;
}

static void add(struct insp_profile_merger *m, uint64_t pc, const char *name, int64_t value, int64_t factor)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_profile *p = profile(pool, pc, name, value);

	assert_int_equal(insp_profile_merger_add(m, p, factor, NULL), 0);
	/* The sum keeps nothing of it. */
	insp_profile_destroy(p);
	insp_pool_destroy(pool);
}

static void merge__equal_stacks_add_up(void **state)
{
	struct insp_profile_merger *m = insp_profile_merger_create();
	struct insp_profile *sum;

	(void)state;
	add(m, 0x1000, "f", 5, -1);
	add(m, 0x2000, "f", 7, -1); /* the same name elsewhere is another place */
	add(m, 0, "name", 1, 1);
	add(m, 0x1000, "f", 8, 1);
	add(m, 0, "name", 2, 1);
	add(m, 0, "other", 2, 1);
	add(m, 0x2000, "f", 7, 1);
	sum = insp_profile_merger_sum(m);
	assert_int_equal(sum->samples.n, 4);
	insp_profile_drop_zeroes(sum);
	assert_int_equal(sum->samples.n, 3);
	assert_int_equal(sum->samples.items[0].values[0], 3);
	assert_int_equal(sum->samples.items[1].values[0], 3);
	assert_int_equal(sum->samples.items[2].values[0], 2);
	assert_string_equal(sum->frames.items[0].function, "f");
	insp_profile_merger_destroy(m);
}

static void merge__many_stacks_grow_the_tables(void **state)
{
	struct insp_profile_merger *m = insp_profile_merger_create();

	(void)state;
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 1; i <= 3000; i++)
			add(m, i * 16, "f", 1, 1);
	assert_int_equal(insp_profile_merger_sum(m)->samples.n, 3000);
	for (size_t i = 0; i < 3000; i++)
		assert_int_equal(insp_profile_merger_sum(m)->samples.items[i].values[0], 2);
	insp_profile_merger_destroy(m);
}

/* One look at one thread: returns the CPU time that was laid to its place. */
static int64_t look(struct insp_cpu_book *book, uint64_t cpu_ns, char thread_state)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_profile *p = profile(pool, 0x1000, "f", 1);
	struct insp_thread t = {.tid = 7, .name = "worker", .state = thread_state, .cpu_ns = cpu_ns};
	struct insp_snapshot snap = {.threads = {.items = &t, .n = 1, .cap = 1}};
	int64_t ns;

	assert_int_equal(insp_cpu_book_look(book, &snap, p, NULL), 0);
	assert_int_equal(p->samples.items[0].values[0], thread_state == 'R');
	ns = p->samples.items[0].values[1];
	insp_profile_destroy(p);
	insp_pool_destroy(pool);
	return ns;
}

static void cpu__what_was_used_is_laid_somewhere_once(void **state)
{
	struct insp_cpu_book *book = insp_cpu_book_create();
	struct insp_pool *pool = insp_pool_create();
	struct insp_profile *rest;

	(void)state;
	assert_int_equal(look(book, 1000, 'R'), 0); /* what was before is none of its business */
	assert_int_equal(look(book, 1500, 'S'), 0);
	assert_int_equal(look(book, 1700, 'R'), 700);
	assert_int_equal(look(book, 1700, 'R'), 0);
	assert_int_equal(look(book, 1600, 'R'), 0); /* clocks that go back add nothing */
	assert_int_equal(look(book, 1900, 'S'), 0);
	assert_int_equal(insp_cpu_book_rest(book, pool, &rest, NULL), 0);
	assert_int_equal(rest->samples.n, 1);
	assert_int_equal(rest->samples.items[0].values[1], 300);
	assert_non_null(strstr(rest->comment, "6 looks"));
	insp_profile_destroy(rest);
	insp_pool_destroy(pool);
	insp_cpu_book_destroy(book);
}

/* ---- text */

static void text__has_the_head_that_pprof_parses(void **state)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_profile *p = profile(pool, 0x1000, "f", 5);
	struct insp_regions regions = {0};
	struct insp_str s = {0};

	(void)state;
	insp_profile_text(p, INSP_AT_GOROUTINE, &regions, &s);
	assert_non_null(strstr(insp_str_text(&s), "goroutine profile: total 5\n5 @ 0x1001\n#\t0x1001\tf\n"));
	assert_non_null(strstr(insp_str_text(&s), "MAPPED_LIBRARIES:\n"));
	insp_str_deinit(&s);
	insp_profile_destroy(p);
	insp_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(route__knows_every_endpoint_by_its_path),
		cmocka_unit_test(route__sends_to_the_path_with_a_slash),
		cmocka_unit_test(route__refuses_what_is_not_there),
		cmocka_unit_test(route__reads_parameters_as_go_does),
		cmocka_unit_test(listen__tells_loopback_from_the_world),
		cmocka_unit_test(host__only_names_of_this_machine),
		cmocka_unit_test(token__bearer_or_password),
		cmocka_unit_test(rate__each_client_has_its_own),
		cmocka_unit_test(merge__equal_stacks_add_up),
		cmocka_unit_test(merge__many_stacks_grow_the_tables),
		cmocka_unit_test(cpu__what_was_used_is_laid_somewhere_once),
		cmocka_unit_test(text__has_the_head_that_pprof_parses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
