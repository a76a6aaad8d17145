/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/index.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define CMDLINE_MAX (128u << 10)

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>/debug/pprof/</title>\n"
	"<style>body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}\n"
	"td{padding:.1em 1.5em .1em 0;vertical-align:top}.d{color:#666}</style></head><body>\n";

struct insp_answer *insp_index_answer(struct insp_served *served)
{
	struct insp_answer *a = insp_answer_create(200, INSP_TYPE_HTML);
	struct insp_served_state state;

	if (!a)
		return NULL;
	a->policy = "default-src 'none'; style-src 'unsafe-inline'";
	insp_served_read(served, &state);
	insp_str_add(&a->body, head);
	/* Labels have no letter that HTML knows. */
	insp_str_addf(&a->body, "<h1>/debug/pprof/</h1>\n<p>of %s, ", served->label);
	if (state.up)
		insp_str_addf(&a->body, "process %d</p>\n", state.pid);
	else
		insp_str_add(&a->body, "which is not running now</p>\n");
	insp_str_add(&a->body, "<p>Profiles:</p>\n<table>\n");
	for (unsigned e = 0; e < INSP_N_ENDPOINTS; e++) {
		const char *about = insp_endpoint_about((enum insp_endpoint)e);
		const char *name = insp_endpoint_name((enum insp_endpoint)e);

		if (!about)
			continue;
		insp_str_addf(&a->body, "<tr><td><a href=\"%s%s\">%s</a></td><td class=\"d\">%s</td></tr>\n", name,
			      insp_endpoint_profile((enum insp_endpoint)e) && e != INSP_AT_PROFILE ? "?debug=1" : "",
			      name, about);
	}
	insp_str_add(&a->body,
		     "</table>\n<p><a href=\"goroutine?debug=2\">full stacks of all threads</a></p>\n"
		     "<p class=\"d\">?seconds=N: what changed in N seconds; ?debug=1: text; heap?gc=1: not a picture "
		     "that was taken before.</p>\n");
	if (served->nall > 1) {
		insp_str_add(&a->body, "<p>Targets:");
		for (size_t i = 0; i < served->nall; i++)
			insp_str_addf(&a->body, " <a href=\"/t/%s/debug/pprof/\">%s</a>", served->all[i].label,
				      served->all[i].label);
		insp_str_add(&a->body, "</p>\n");
	}
	insp_str_add(&a->body, "</body></html>\n");
	return a;
}

static struct insp_answer *down(struct insp_served *served, const struct insp_served_state *state)
{
	struct insp_answer *a = insp_answer_error(503, "target '%s': %s", served->label, state->why);

	if (a)
		a->retry_after_s = 1;
	return a;
}

/* The words with a NUL between them. */
struct insp_answer *insp_cmdline_answer(struct insp_served *served)
{
	struct insp_served_state state;
	struct insp_answer *a;
	char path[32], buf[4096];
	ssize_t n = -1;
	int fd;

	insp_served_read(served, &state);
	if (!state.up)
		return down(served, &state);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", state.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return down(served, &state);
	a = insp_answer_create(200, INSP_TYPE_TEXT);
	while (a && a->body.len < CMDLINE_MAX && (n = read(fd, buf, sizeof(buf))) > 0)
		insp_str_addn(&a->body, buf, (size_t)n);
	(void)close(fd);
	if (a && a->body.len && !a->body.s[a->body.len - 1])
		a->body.len--; /* between, not behind */
	return a;
}

static void put_number(struct insp_str *s, const char *before, uint64_t v)
{
	if (v == INSP_UNKNOWN)
		insp_str_addf(s, "%snull", before);
	else
		insp_str_addf(s, "%s%" PRIu64, before, v);
}

static void put_json_text(struct insp_str *s, const char *text)
{
	insp_str_addc(s, '"');
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			insp_str_addf(s, "\\u%04x", (unsigned char)*text);
		else
			insp_str_addc(s, *text);
	insp_str_addc(s, '"');
}

struct insp_answer *insp_state_answer(struct insp_served *served)
{
	struct insp_answer *a = insp_answer_create(200, "application/json");
	struct insp_served_state state;
	const struct insp_trend *t = &state.trend;
	bool walked;
	struct insp_str *s;

	if (!a)
		return NULL;
	s = &a->body;
	insp_served_read(served, &state);
	walked = state.up && state.walk.at_ns;
	if (!state.up)
		state.sample = (struct insp_sample){INSP_UNKNOWN, .rss = INSP_UNKNOWN, .pss = INSP_UNKNOWN,
						    .threads = INSP_UNKNOWN, .limit = INSP_UNKNOWN};
	insp_str_addf(s, "{\"up\":%s,\"pid\":%d,\"why\":", state.up ? "true" : "false", state.pid);
	put_json_text(s, state.why);
	put_number(s, ",\"rss\":", state.sample.rss);
	put_number(s, ",\"pss\":", state.sample.pss);
	put_number(s, ",\"threads\":", state.sample.threads);
	put_number(s, ",\"limit\":", state.sample.limit);
	put_number(s, ",\"in_use\":", walked ? state.walk.in_use : INSP_UNKNOWN);
	put_number(s, ",\"free\":", walked ? state.walk.free : INSP_UNKNOWN);
	insp_str_add(s, ",\"trend\":[");
	for (size_t i = 0; i < t->n; i++) {
		const struct insp_trend_point *p =
			&t->points[(t->next + INSP_TREND_POINTS - t->n + i) % INSP_TREND_POINTS];

		put_number(s, i ? ",[" : "[", p->at_ns / 1000000);
		put_number(s, ",", p->rss);
		put_number(s, ",", p->in_use);
		put_number(s, ",", p->free);
		insp_str_addc(s, ']');
	}
	insp_str_add(s, "]}\n");
	return a;
}
