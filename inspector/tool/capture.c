/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/capture.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fmt.h"
#include "front/output.h"
#include "front/run.h"
#include "front/session.h"

#define APART_NS UINT64_C(60000000000)

/* ---- from words to rules */

static bool fills(char c)
{
	return c && strchr("tpnl%", c);
}

static int check_template(const char *word, struct insp_error *err)
{
	for (const char *p = strchr(word, '%'); p; p = strchr(p + 2, '%'))
		if (!fills(p[1]))
			return insp_fail(err, INSP_E_USAGE, "'%s': after %% comes t (time), p (PID), n (name), l "
					 "(level) or %%", word);
	return 0;
}

/* Of a name only what every shell and file system takes. */
static void add_name(struct insp_str *str, const char *name)
{
	for (const char *p = name; *p; p++)
		insp_str_addc(str, isalnum((unsigned char)*p) || strchr("-_.", *p) ? *p : '_');
}

static void fill(struct insp_str *str, const char *word, const struct insp_capture_subject *subject, time_t now)
{
	char stamp[32];
	struct tm tm;

	insp_str_reset(str);
	for (const char *p = word; *p; p++) {
		if (*p != '%') {
			insp_str_addc(str, *p);
			continue;
		}
		switch (*++p) {
		case 't':
			if (localtime_r(&now, &tm) && strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm))
				insp_str_add(str, stamp);
			break;
		case 'p':
			insp_str_addf(str, "%d", subject->pid);
			break;
		case 'n':
			add_name(str, subject->name);
			break;
		case 'l':
			insp_str_add(str, insp_level_key(subject->now));
			break;
		default:
			insp_str_addc(str, '%');
		}
	}
}

/* The words with everything filled in, in pool. */
static int fill_all(const struct insp_capture_rule *rule, const struct insp_capture_subject *subject,
		    struct insp_pool *pool, struct insp_words *ret, struct insp_error *err)
{
	struct insp_str str = {0};
	time_t now = time(NULL);
	int rc = 0;

	for (size_t i = 0; i < rule->words.n && !rc; i++) {
		fill(&str, rule->words.items[i], subject, now);
		rc = insp_str_ok(&str) ? insp_words_add(ret, insp_str_text(&str), pool) : INSP_E_NOMEM;
	}
	insp_str_deinit(&str);
	return rc ? insp_fail(err, INSP_E_NOMEM, "out of memory") : 0;
}

static int parse_run(const struct insp_captures *c, const struct insp_words *words, struct insp_pool *pool,
		     struct insp_run *ret, struct insp_error *err)
{
	int rc = insp_run_parse((int)words->n, words->items, INSP_COMMAND_REPL, c->settings, pool, NULL, ret, err);

	if (rc)
		return rc;
	if (ret->command->flags & INSP_COMMAND_DIRECT)
		return insp_fail(err, INSP_E_USAGE, "'%s' reports nothing", ret->command->name);
	return 0;
}

static int add_rule(struct insp_captures *c, const char *level, const char *line, struct insp_pool *pool,
		    struct insp_error *err)
{
	const struct insp_capture_subject nobody = {.pid = 1, .name = "name", .now = INSP_LEVEL_WARN};
	struct insp_capture_rule *rule = &c->rules[c->nrules];
	struct insp_words filled = {0};
	struct insp_run run;
	int rc;

	rule->level = insp_level_find(level);
	rule->line = line;
	if (rule->level == INSP_N_LEVELS || rule->level == INSP_LEVEL_OK)
		return insp_fail(err, INSP_E_USAGE, "'%s' is no level: " INSP_LEVEL_CHOICES, level);
	rc = insp_words_split(line, pool, &rule->words, err);
	for (size_t i = 0; i < rule->words.n && !rc; i++)
		rc = check_template(rule->words.items[i], err);
	if (!rc && !rule->words.n)
		rc = insp_fail(err, INSP_E_USAGE, "which command?");
	if (!rc)
		rc = fill_all(rule, &nobody, pool, &filled, err);
	if (!rc)
		rc = parse_run(c, &filled, pool, &run, err);
	c->nrules++;
	return rc;
}

static int parse_limit(struct insp_captures *c, const char *text, struct insp_pool *pool, struct insp_error *err)
{
	size_t n = strcspn(text, ",");
	const char *count = insp_pool_strndup(pool, text, n);
	int rc;

	if (!count)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	c->bytes_max = UINT64_MAX;
	rc = insp_parse_u64(count, &c->runs_max, err);
	if (!rc && text[n])
		rc = insp_parse_size(text + n + 1, &c->bytes_max, err);
	if (rc)
		insp_error_prefix(err, "option '--on-limit'");
	return rc;
}

int insp_captures_init(struct insp_captures *captures, const struct insp_words *pairs, const char *limit,
		       const struct insp_settings *settings, struct insp_pool *pool, struct insp_error *err)
{
	int rc;

	*captures = (struct insp_captures){.settings = settings};
	rc = parse_limit(captures, limit, pool, err);
	if (rc)
		return rc;
	captures->rules = insp_pool_array(pool, pairs->n / 2 + 1, sizeof(*captures->rules));
	if (!captures->rules)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	for (size_t i = 0; i + 1 < pairs->n && !rc; i += 2) {
		rc = add_rule(captures, pairs->items[i], pairs->items[i + 1], pool, err);
		if (rc)
			insp_error_prefix(err, "option '--on'");
	}
	return rc;
}

/* ---- running */

static int swallow(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	(void)ctx;
	(void)bytes;
	(void)n;
	(void)err;
	return 0;
}

/* Runs it on a session of its own. Its report goes to a file if its words say so, else nowhere. */
static int run_once(const struct insp_captures *c, const struct insp_words *words, int pid, struct insp_pool *pool,
		    uint64_t *ret_stopped_ns, struct insp_error *err)
{
	static const struct insp_render_options plain = {0};
	struct insp_session *session;
	struct insp_output nowhere;
	struct insp_run run;
	char spec[16];
	int rc = parse_run(c, words, pool, &run, err);

	if (rc)
		return rc;
	(void)snprintf(spec, sizeof(spec), "%d", pid);
	rc = insp_session_open(spec, c->settings, &session, err);
	if (rc)
		return rc;
	if (run.settings.output) {
		rc = insp_run_command(session, &run, pool, NULL, err);
	} else {
		insp_output_open_fn(&nowhere, swallow, NULL, &plain);
		rc = insp_run_command(session, &run, pool, &nowhere, err);
		(void)insp_output_close(&nowhere, true, NULL);
	}
	if (session->snapshot)
		*ret_stopped_ns += session->snapshot->capture.stopped_ns;
	insp_session_close(session);
	return rc;
}

/* Bytes of the files that the words name, where a word was filled in. */
static uint64_t file_bytes(const struct insp_capture_rule *rule, const struct insp_words *filled)
{
	uint64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < filled->n && i < rule->words.n; i++)
		if (strcmp(rule->words.items[i], filled->items[i]) != 0 && !stat(filled->items[i], &st) &&
		    S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	return sum;
}

static void run_rule(struct insp_captures *c, struct insp_capture_rule *rule,
		     const struct insp_capture_subject *subject, struct insp_str *line, uint64_t *ret_stopped_ns)
{
	struct insp_pool *pool = insp_pool_create();
	struct insp_words words = {0};
	struct insp_error err = {0};
	char size[INSP_FMT_MAX];
	int rc = pool ? fill_all(rule, subject, pool, &words, &err) : insp_fail(&err, INSP_E_NOMEM, "out of memory");

	if (!rc)
		rc = run_once(c, &words, subject->pid, pool, ret_stopped_ns, &err);
	if (!rc || rc == INSP_E_THRESHOLD) {
		c->last_bytes = file_bytes(rule, &words);
		c->bytes += c->last_bytes;
		insp_str_add(line, "captured:");
		for (size_t i = 0; i < words.n; i++)
			insp_str_addf(line, " %s", words.items[i]);
		insp_str_addf(line, " (%s)", insp_fmt_bytes(size, c->last_bytes));
	} else {
		insp_str_addf(line, "capture failed: %s: %s", rule->line, err.msg);
	}
	insp_pool_destroy(pool);
}

/* Why not; NULL: nothing speaks against it. */
static const char *refused(const struct insp_captures *c)
{
	if (c->runs >= c->runs_max)
		return "that was the last one that --on-limit allows";
	if (c->bytes + c->last_bytes > c->bytes_max)
		return "the files would take more than --on-limit allows";
	return NULL;
}

void insp_captures_run(struct insp_captures *c, const struct insp_capture_subject *subject, insp_capture_say_fn say,
		       void *ctx, uint64_t *ret_stopped_ns)
{
	struct insp_str line = {0};
	uint64_t now = insp_now_ns();

	*ret_stopped_ns = 0;
	for (size_t i = 0; i < c->nrules; i++) {
		struct insp_capture_rule *rule = &c->rules[i];
		const char *why;

		if (subject->now < rule->level || subject->before >= rule->level)
			continue;
		insp_str_reset(&line);
		why = refused(c);
		if (!why && rule->last_ns && rule->last_pid == subject->pid && now - rule->last_ns < APART_NS)
			why = "the last one was less than a minute ago";
		if (why) {
			insp_str_addf(&line, "not captured: %s: %s", rule->line, why);
		} else {
			c->runs++;
			rule->last_ns = now;
			rule->last_pid = subject->pid;
			run_rule(c, rule, subject, &line, ret_stopped_ns);
		}
		say(ctx, insp_str_text(&line));
	}
	insp_str_deinit(&line);
}
