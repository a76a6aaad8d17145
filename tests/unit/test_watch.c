/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gauges on hostile text, thresholds, levels as a table, and whom a name stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/cgroup.h"
#include "watch/follow.h"
#include "watch/gauge.h"
#include "watch/level.h"
#include "watch/walkstat.h"

/* ---- parsers */

static void psi__takes_what_the_kernel_writes(void **state)
{
	struct insp_psi psi = {0};

	(void)state;
	assert_true(insp_gauge_parse_psi("some avg10=1.25 avg60=0.00 avg300=0.00 total=12345\n"
					 "full avg10=0.50 avg60=0.00 avg300=0.00 total=678\n",
					 &psi));
	assert_true(psi.some10 > 1.2499 && psi.some10 < 1.2501);
	assert_true(psi.full10 > 0.4999 && psi.full10 < 0.5001);
	assert_int_equal(psi.some_total_ns, 12345000);
	assert_int_equal(psi.full_total_ns, 678000);
}

static void psi__refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"",
		"some",
		"some \n",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n", /* no line for full */
		"full avg10=0.00 total=1\n",
		"some avg10= total=1\nfull avg10=0 total=1\n",
		"some avg10=x total=1\nfull avg10=0 total=1\n",
		"some avg10=-1 total=1\nfull avg10=0 total=1\n",
		"some avg10=101.0 total=1\nfull avg10=0 total=1\n",
		"some avg10=0.00 total=\nfull avg10=0 total=1\n",
		"some avg10=0.00 total=99999999999999999999999\nfull avg10=0 total=1\n",
		"some avg10=0.00 total=18446744073709551615\nfull avg10=0 total=1\n", /* not in ns
										       */
		"some avg10=0.00\nfull avg10=0 total=1\n", /* the total of another line */
	};
	struct insp_psi psi = {.some10 = 7};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(insp_gauge_parse_psi(bad[i], &psi));
	assert_true(psi.some10 > 6.9 && psi.some10 < 7.1);
}

static void limits__takes_the_soft_limit(void **state)
{
	static const char text[] =
		"Limit                     Soft Limit           Hard Limit           Units     \n"
		"Max open files            1024                 524288               files     \n"
		"Max address space         unlimited            unlimited            bytes     \n"
		"Max locked memory                                                             \n"
		"Max processes             99999999999999999999999999999              1 processes\n"
		"Max file size             18446744073709551616 1                    bytes\n"
		"Max open files and more   7                    7                    files\n"
		"Max odd";
	uint64_t v = 5;

	(void)state;
	assert_true(insp_gauge_parse_limit(text, "Max open files", &v));
	assert_int_equal(v, 1024);
	assert_true(insp_gauge_parse_limit(text, "Max address space", &v));
	assert_true(v == INSP_UNKNOWN);
	v = 5;
	assert_false(insp_gauge_parse_limit(text, "Max locked memory", &v));
	assert_false(insp_gauge_parse_limit(text, "Max processes", &v));
	assert_false(insp_gauge_parse_limit(text, "Max file size", &v));
	assert_false(insp_gauge_parse_limit(text, "Max odd", &v));
	assert_false(insp_gauge_parse_limit(text, "Max nothing", &v));
	assert_false(insp_gauge_parse_limit("", "Max open files", &v));
	assert_int_equal(v, 5);
}

/* Cut anywhere, and with each byte replaced: no crash, nothing out of bounds. */
static void parsers__survive_mutations(void **state)
{
	static const char psi_text[] = "some avg10=1.25 avg60=0.00 avg300=0.00 total=12345\n"
				       "full avg10=0.50 avg60=0.00 avg300=0.00 total=678\n";
	static const char limit_text[] =
		"Max open files            1024                 524288    files\n";
	static const char bytes[] = {'\0', '\n', ' ', '=', '.', '9', '-', (char)0xff};
	const char *texts[] = {psi_text, limit_text};

	(void)state;
	for (size_t t = 0; t < 2; t++)
		for (size_t cut = 0; cut <= strlen(texts[t]); cut++)
			for (size_t b = 0; b < sizeof(bytes); b++) {
				char *copy =
					strndup(texts[t], cut); /* its end is the sanitizer's */
				struct insp_psi psi = {0};
				uint64_t v;

				assert_non_null(copy);
				if (cut)
					copy[cut / 2] = bytes[b];
				(void)insp_gauge_parse_psi(copy, &psi);
				(void)insp_gauge_parse_limit(copy, "Max open files", &v);
				free(copy);
			}
}

/* ---- control groups, as folders of our own */

static char root[] = "/tmp/test_watch.XXXXXX";

static void put(const char *file, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_groups(void **state)
{
	char path[128];

	(void)state;
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/a", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/a/b", root);
	return mkdir(path, 0700);
}

static int remove_groups(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static struct insp_cgroup group_b(bool v2)
{
	struct insp_cgroup g = {.v2 = v2, .root_len = strlen(root)};

	snprintf(g.dir, sizeof(g.dir), "%s/a/b", root);
	return g;
}

static void cgroup__limit_is_the_smallest_on_the_way_up(void **state)
{
	struct insp_cgroup v2 = group_b(true), v1 = group_b(false);

	(void)state;
	assert_true(insp_cgroup_limit(&v2) == INSP_UNKNOWN);
	put("a/b/memory.max", "max\n");
	assert_true(insp_cgroup_limit(&v2) == INSP_UNKNOWN);
	put("a/memory.max", "1048576\n");
	assert_int_equal(insp_cgroup_limit(&v2), 1048576);
	put("a/b/memory.max", "2097152\n");
	assert_int_equal(insp_cgroup_limit(&v2), 1048576);
	put("memory.max", "4096\n");
	assert_int_equal(insp_cgroup_limit(&v2), 4096);
	put("memory.max", "12 monkeys\n");
	assert_int_equal(insp_cgroup_limit(&v2), 1048576);
	put("a/memory.max", "");
	assert_int_equal(insp_cgroup_limit(&v2), 2097152);
	put("a/b/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(insp_cgroup_limit(&v1) == INSP_UNKNOWN);
	put("a/memory.limit_in_bytes", "8192\n");
	assert_int_equal(insp_cgroup_limit(&v1), 8192);
}

static void cgroup__counts_what_goes_first(void **state)
{
	struct insp_cgroup v2 = group_b(true), v1 = group_b(false);

	(void)state;
	assert_true(insp_cgroup_inactive_file(&v2) == INSP_UNKNOWN);
	put("a/b/memory.stat", "anon 1\ninactive_file 77\ntotal_inactive_file 99\nlast");
	assert_int_equal(insp_cgroup_inactive_file(&v2), 77);
	assert_int_equal(insp_cgroup_inactive_file(&v1), 99);
	put("a/b/memory.stat", "inactive_file x\n");
	assert_true(insp_cgroup_inactive_file(&v2) == INSP_UNKNOWN);
}

static void cgroup__goes_up_to_the_root_and_no_further(void **state)
{
	struct insp_cgroup g = group_b(true);

	(void)state;
	assert_true(insp_cgroup_up(&g));
	assert_true(insp_cgroup_up(&g));
	assert_string_equal(g.dir, root);
	assert_false(insp_cgroup_up(&g));
	assert_false(insp_cgroup_find("", &g));
	assert_false(insp_cgroup_find("4:memory", &g));
	assert_string_equal(g.dir, root);
}

/* ---- thresholds and levels */

static void threshold__is_a_share_or_bytes(void **state)
{
	static const char *const bad[] = {"",  "%",	"0",	"0%",	"101%", "-5%",
					  "x", "70 %%", "nan%", "70%x", "inf"};
	struct insp_threshold t = {0};

	(void)state;
	assert_int_equal(insp_threshold_parse("70%", &t, NULL), 0);
	assert_int_equal(insp_threshold_bytes(&t, 1000), 700);
	assert_true(insp_threshold_bytes(&t, INSP_UNKNOWN) == INSP_UNKNOWN);
	assert_int_equal(insp_threshold_parse("1.5M", &t, NULL), 0);
	assert_int_equal(insp_threshold_bytes(&t, INSP_UNKNOWN), 3u << 19);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(insp_threshold_parse(bad[i], &t, NULL), INSP_E_USAGE);
	assert_int_equal(t.bytes, 3u << 19);
}

static struct insp_leveler leveler(void)
{
	struct insp_leveler l = {.warn = {.share = 0.7}, .crit = {.share = 0.9}};

	return l;
}

static enum insp_level at_rss(struct insp_leveler *l, uint64_t rss)
{
	struct insp_sample s = {.rss = rss, .limit = 1000, .limit_kind = INSP_LIMIT_MACHINE};

	return insp_leveler_sample(l, &s);
}

static void level__follows_use(void **state)
{
	struct insp_leveler l = leveler();
	struct insp_sample s = {.rss = 100, .vsize = 950, .cgroup_used = 750, .limit = 1000};

	(void)state;
	assert_int_equal(at_rss(&l, 700), INSP_LEVEL_OK);
	assert_int_equal(at_rss(&l, 701), INSP_LEVEL_WARN);
	assert_int_equal(at_rss(&l, 901), INSP_LEVEL_CRIT);
	assert_int_equal(at_rss(&l, 100), INSP_LEVEL_OK);
	assert_int_equal(at_rss(&l, INSP_UNKNOWN), INSP_LEVEL_OK);
	s.limit_kind = INSP_LIMIT_CGROUP;
	assert_int_equal(insp_leveler_sample(&l, &s), INSP_LEVEL_WARN);
	s.limit_kind = INSP_LIMIT_ADDRESS;
	assert_int_equal(insp_leveler_sample(&l, &s), INSP_LEVEL_CRIT);
	s.limit = INSP_UNKNOWN;
	assert_int_equal(insp_leveler_sample(&l, &s), INSP_LEVEL_OK);
	l.limit = 120; /* one of our own is compared with RSS */
	assert_int_equal(insp_leveler_sample(&l, &s), INSP_LEVEL_WARN);
}

/* One step: seconds, RSS of 1000, bytes in use, releasable of 100 bytes of heap; the level then. */
struct step {
	uint64_t s, rss, in_use, releasable;
	enum insp_level want;
};

#define STEPS 6

static const struct panic_case {
	const char *name;
	struct step steps[STEPS];
} panics[] = {
	{"three walks without a fall",
	 {{0, 800, 50, 5, INSP_LEVEL_WARN},
	  {60, 800, 50, 5, INSP_LEVEL_WARN},
	  {120, 800, 60, 5, INSP_LEVEL_PANIC},
	  {180, 800, 60, 5, INSP_LEVEL_PANIC},
	  {240, 800, 59, 5, INSP_LEVEL_WARN}}},
	{"too close together",
	 {{0, 800, 50, 5, INSP_LEVEL_WARN},
	  {30, 800, 50, 5, INSP_LEVEL_WARN},
	  {59, 800, 50, 5, INSP_LEVEL_WARN},
	  {60, 800, 50, 5, INSP_LEVEL_WARN},
	  {119, 800, 50, 5, INSP_LEVEL_WARN},
	  {120, 800, 50, 5, INSP_LEVEL_PANIC}}},
	{"a fall begins anew",
	 {{0, 800, 50, 5, INSP_LEVEL_WARN},
	  {60, 800, 51, 5, INSP_LEVEL_WARN},
	  {120, 800, 49, 5, INSP_LEVEL_WARN},
	  {180, 800, 50, 5, INSP_LEVEL_WARN},
	  {240, 800, 50, 5, INSP_LEVEL_PANIC}}},
	{"a fall in between counts, too",
	 {{0, 800, 50, 5, INSP_LEVEL_WARN},
	  {60, 800, 50, 5, INSP_LEVEL_WARN},
	  {90, 800, 40, 5, INSP_LEVEL_WARN},
	  {120, 800, 50, 5, INSP_LEVEL_WARN},
	  {150, 800, 50, 5, INSP_LEVEL_WARN},
	  {210, 800, 50, 5, INSP_LEVEL_PANIC}}},
	{"much could be given back",
	 {{0, 800, 50, 10, INSP_LEVEL_WARN},
	  {60, 800, 50, 10, INSP_LEVEL_WARN},
	  {120, 800, 50, 10, INSP_LEVEL_WARN},
	  {180, 800, 50, 10, INSP_LEVEL_WARN}}},
	{"not known what could be",
	 {{0, 800, 50, INSP_UNKNOWN, INSP_LEVEL_WARN},
	  {60, 800, 50, INSP_UNKNOWN, INSP_LEVEL_WARN},
	  {120, 800, 50, INSP_UNKNOWN, INSP_LEVEL_WARN}}},
	{"not above 70 %",
	 {{0, 700, 50, 5, INSP_LEVEL_OK},
	  {60, 700, 50, 5, INSP_LEVEL_OK},
	  {120, 700, 50, 5, INSP_LEVEL_OK}}},
	{"below it once",
	 {{0, 800, 50, 5, INSP_LEVEL_WARN},
	  {60, 700, 50, 5, INSP_LEVEL_OK},
	  {120, 800, 50, 5, INSP_LEVEL_WARN},
	  {180, 800, 50, 5, INSP_LEVEL_WARN},
	  {240, 800, 50, 5, INSP_LEVEL_PANIC}}},
	{"worse than critical",
	 {{0, 950, 50, 5, INSP_LEVEL_CRIT},
	  {60, 950, 50, 5, INSP_LEVEL_CRIT},
	  {120, 950, 50, 5, INSP_LEVEL_PANIC}}},
};

static void level__panics_by_the_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(panics) / sizeof(panics[0]); i++) {
		struct insp_leveler l = leveler();

		for (size_t k = 0; k < STEPS && panics[i].steps[k].rss; k++) {
			const struct step *step = &panics[i].steps[k];
			struct insp_walkstat w = {
				.at_ns = step->s * 1000000000,
				.in_use = step->in_use,
				.releasable = step->releasable,
				.sys = 100,
			};
			enum insp_level now;

			(void)at_rss(&l, step->rss);
			now = insp_leveler_walk(&l, &w);
			if (now != step->want)
				fail_msg("%s: step %zu: %s instead of %s", panics[i].name, k,
					 insp_level_key(now), insp_level_key(step->want));
		}
	}
}

static void level__has_names(void **state)
{
	(void)state;
	assert_int_equal(insp_level_find("panic"), INSP_LEVEL_PANIC);
	assert_int_equal(insp_level_find("WARN"), INSP_N_LEVELS);
	assert_int_equal(insp_level_find(""), INSP_N_LEVELS);
}

/* ---- following: children with a name of their own, that end when their pipe closes */

struct child {
	int pid, pipe;
};

static struct child spawn(const char *name, int grandchildren)
{
	int fds[2], ready[2];
	struct child c;
	char b;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(ready), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (!c.pid) {
		close(fds[1]);
		prctl(PR_SET_NAME, name);
		for (int i = 0; i < grandchildren; i++)
			if (!fork())
				break;
		(void)!write(ready[1], "", 1);
		(void)!read(fds[0], &b, 1);
		_exit(0);
	}
	close(fds[0]);
	close(ready[1]);
	for (int i = 0; i <= grandchildren; i++)
		assert_int_equal(read(ready[0], &b, 1), 1);
	close(ready[0]);
	c.pipe = fds[1];
	return c;
}

static void end(struct child c)
{
	close(c.pipe);
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
}

static void follow__a_pid_is_one_process(void **state)
{
	struct child c = spawn("insp-one", 0);
	struct insp_sample s;
	struct insp_follow f;
	char spec[16];

	(void)state;
	snprintf(spec, sizeof(spec), "%d", c.pid);
	insp_follow_init(&f, spec);
	assert_int_equal(insp_follow_read(&f, &s, NULL), 0);
	assert_int_equal(insp_follow_read(&f, &s, NULL), 0);
	assert_int_equal(f.generation, 1);
	assert_int_equal(s.threads, 1);
	end(c);
	assert_int_equal(insp_follow_read(&f, &s, NULL), INSP_E_GONE);
	assert_int_equal(insp_follow_read(&f, &s, NULL), INSP_E_GONE);
	insp_follow_deinit(&f);
	insp_follow_init(&f, "0");
	assert_int_equal(insp_follow_read(&f, &s, NULL), INSP_E_GONE);
	insp_follow_init(&f, "99999999999999999999");
	assert_int_not_equal(insp_follow_read(&f, &s, NULL), 0);
}

static void follow__a_name_survives_its_process(void **state)
{
	struct insp_error err = {0};
	struct insp_sample s;
	struct insp_follow f;
	struct child c;
	uint64_t ticks;

	(void)state;
	insp_follow_init(&f, "insp-again");
	assert_int_equal(insp_follow_read(&f, &s, &err), INSP_E_GONE);
	c = spawn("insp-again", 0);
	assert_int_equal(insp_follow_read(&f, &s, NULL), 0);
	assert_int_equal(f.pid, c.pid);
	ticks = f.ticks;
	end(c);
	assert_int_equal(insp_follow_read(&f, &s, NULL), INSP_E_GONE);
	assert_int_equal(f.generation, 1);
	c = spawn("insp-again", 0);
	assert_int_equal(insp_follow_read(&f, &s, NULL), 0);
	assert_int_equal(f.pid, c.pid);
	assert_int_equal(f.generation, 2);
	assert_true(f.ticks >= ticks);
	end(c);
	insp_follow_deinit(&f);
}

static void follow__of_several_a_parent_is_meant(void **state)
{
	struct child c = spawn("insp-server", 3), other;
	struct insp_error err = {0};
	struct insp_sample s;
	struct insp_follow f;

	(void)state;
	insp_follow_init(&f, "insp-server");
	assert_int_equal(insp_follow_read(&f, &s, NULL), 0);
	assert_int_equal(f.pid, c.pid);
	assert_int_equal(f.others, 3);
	insp_follow_deinit(&f);
	other = spawn("insp-server", 0); /* a stranger: nobody can tell who is meant */
	insp_follow_init(&f, "insp-server");
	assert_int_equal(insp_follow_read(&f, &s, &err), INSP_E_USAGE);
	assert_non_null(strstr(err.msg, "5 processes are called 'insp-server'"));
	insp_follow_deinit(&f);
	end(other);
	end(c);
}

static void gauge__flags_what_it_cannot_know(void **state)
{
	struct insp_gauge *g;
	struct insp_sample s = {0};

	(void)state;
	assert_int_equal(insp_gauge_open(getpid(), &g, NULL), 0);
	assert_int_equal(insp_gauge_read(g, &s, NULL), 0);
	assert_true(s.rss > 100000 && s.rss != INSP_UNKNOWN);
	assert_true(s.hwm >= s.rss);
	assert_true(s.vsize > s.rss);
	assert_true(s.open_fds >= 3 && s.open_fds < 1000);
	assert_true(s.limit_kind != INSP_LIMIT_NONE && s.limit > s.rss);
	assert_true(s.started_at_ns <= s.at_ns);
	assert_true(s.minor_faults > 0);
	insp_gauge_close(g);
	insp_gauge_close(NULL);
	assert_int_equal(insp_gauge_open(2147483647, &g, NULL), INSP_E_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(psi__takes_what_the_kernel_writes),
		cmocka_unit_test(psi__refuses_everything_else),
		cmocka_unit_test(limits__takes_the_soft_limit),
		cmocka_unit_test(parsers__survive_mutations),
		cmocka_unit_test(cgroup__limit_is_the_smallest_on_the_way_up),
		cmocka_unit_test(cgroup__counts_what_goes_first),
		cmocka_unit_test(cgroup__goes_up_to_the_root_and_no_further),
		cmocka_unit_test(threshold__is_a_share_or_bytes),
		cmocka_unit_test(level__follows_use),
		cmocka_unit_test(level__panics_by_the_rule),
		cmocka_unit_test(level__has_names),
		cmocka_unit_test(follow__a_pid_is_one_process),
		cmocka_unit_test(follow__a_name_survives_its_process),
		cmocka_unit_test(follow__of_several_a_parent_is_meant),
		cmocka_unit_test(gauge__flags_what_it_cannot_know),
	};

	return cmocka_run_group_tests_name("watch", tests, make_groups, remove_groups);
}
