/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "serve/page.h"

#include <string.h>

#include "base/fmt.h"
#include "render/html.h"
#include "serve/run_command.h"

/* Nothing but from here; style and figures of the page stand in it, its script is page.js. */
static const char policy[] = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
			     "frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

static const char style[] =
	"header{display:flex;flex-wrap:wrap;gap:.3em 1.2em;align-items:baseline;border-bottom:1px solid #ddd}\n"
	"header h1{margin:.3em 0}header .d{color:#666}nav{margin:.8em 0}nav button,header button{font:inherit;"
	"padding:.25em .9em;border:1px solid #bbb;background:#f6f6f6;border-radius:4px;cursor:pointer;margin-right:.3em}\n"
	"nav button[aria-selected=true]{background:#47a;color:#fff;border-color:#47a}\n"
	".tiles{display:flex;flex-wrap:wrap;gap:.6em;margin:1em 0}.tile{border:1px solid #ddd;border-radius:6px;"
	"padding:.4em .9em;min-width:7em}.tile b{display:block;font-size:1.35em;font-variant-numeric:tabular-nums}\n"
	".tile span{color:#666}#trend{width:100%;height:180px;border:1px solid #ddd;border-radius:6px;background:#fff}\n"
	"#trend text{font:11px system-ui,sans-serif}.legend{color:#666}.legend i{display:inline-block;width:.8em;"
	"height:.8em;margin:0 .3em 0 1em;border-radius:2px}iframe{width:100%;height:70vh;border:1px solid #ddd;"
	"border-radius:6px}section{overflow-x:auto}#down{color:#c22}\n"
	".c0{background:#47a}.c1{background:#2a8}.c2{background:#d90}\n";

/* A section of the page: what a command says. */
struct part {
	const char *id, *title, *line;
	bool hook; /* only with what the hook recorded */
};

static const struct part parts[] = {
	{"rss", "RSS", "rss", false},
	{"heap", "Heap", "heap summary", false},
	{"sites", "Who allocated", "heap top --limit 25", true},
	{"threads", "Threads", "threads", false},
};

#define NPARTS (sizeof(parts) / sizeof(parts[0]))

unsigned insp_page_needs(int hooked)
{
	return INSP_NEED_CHUNKS | INSP_NEED_USAGE | INSP_NEED_STACKS | INSP_NEED_SYMBOLS |
	       (hooked ? INSP_NEED_SITES : 0);
}

/* What the renderer has written is a page of its own: its inside, behind the heading. */
static void put_inside(struct insp_str *page, const struct insp_str *whole)
{
	const char *text = insp_str_text(whole), *from = strstr(text, "</h1>"), *to = strstr(text, "</body>");

	for (const char *next = to; next; next = strstr(next + 1, "</body>"))
		to = next;
	if (from && to && from < to)
		insp_str_addn(page, from + 5, (size_t)(to - from - 5));
}

/* The style of the renderer's pages comes first, for its tables and pictures are shown here. */
static void put_style(struct insp_str *page, const struct insp_str *whole)
{
	const char *from = strstr(insp_str_text(whole), "<style>"), *to = from ? strstr(from, "</style>") : NULL;

	insp_str_add(page, "<style>\n");
	if (to)
		insp_str_addn(page, from + 7, (size_t)(to - from - 7));
	insp_str_add(page, style);
	insp_str_add(page, "</style>\n");
}

static void tile(struct insp_str *page, const char *id, const char *title, uint64_t bytes)
{
	char text[INSP_FMT_MAX];

	insp_str_addf(page, "<div class=\"tile\"><b id=\"%s\">%s</b><span>%s</span></div>\n", id,
		      bytes == INSP_UNKNOWN ? "-" : insp_fmt_bytes(text, bytes), title);
}

static void put_head(struct insp_str *page, const struct insp_context *ctx, struct insp_served *served,
		     const struct insp_served_state *state)
{
	const struct insp_snapshot *snap = ctx->snapshot;
	char pause[INSP_FMT_MAX];

	insp_str_addf(page, "<title>%s - meminspect</title></head>\n<body>\n<header><h1>%s</h1><span class=\"d\">",
		      served->label, served->label);
	insp_html_text(page, snap->comm ? snap->comm : "");
	insp_str_addf(page,
		      " %d, stopped for %s, <span id=\"age\" data-taken=\"%llu\">just now</span></span>\n"
		      "<button id=\"again\">new picture</button><span id=\"down\"></span>\n"
		      "<span class=\"d\"><a href=\"debug/pprof/\">pprof</a> <a href=\"metrics\">metrics</a></span>",
		      snap->pid, insp_fmt_duration(pause, snap->capture.stopped_ns),
		      (unsigned long long)(snap->taken_at_ns / 1000000));
	if (served->nall > 1)
		insp_str_add(page, "<span class=\"d\">targets:");
	for (size_t i = 0; served->nall > 1 && i < served->nall; i++)
		insp_str_addf(page, " <a href=\"/t/%s/\">%s</a>", served->all[i].label, served->all[i].label);
	insp_str_add(page, served->nall > 1 ? "</span></header>\n" : "</header>\n");
	insp_str_add(page, "<div class=\"tiles\">\n");
	tile(page, "t-rss", "RSS", state->sample.rss);
	tile(page, "t-pss", "PSS", state->sample.pss);
	tile(page, "t-in_use", "heap in use", state->walk.at_ns ? state->walk.in_use : INSP_UNKNOWN);
	tile(page, "t-free", "free in the heap", state->walk.at_ns ? state->walk.free : INSP_UNKNOWN);
	tile(page, "t-limit", "limit", state->sample.limit);
	insp_str_addf(page, "<div class=\"tile\"><b id=\"t-threads\">%zu</b><span>threads</span></div>\n</div>\n",
		      snap->threads.n);
	insp_str_add(page, "<svg id=\"trend\" role=\"img\" aria-label=\"trend\"></svg>\n<p class=\"legend\">"
			   "<i class=\"c0\"></i>RSS<i class=\"c1\"></i>heap in use<i class=\"c2\"></i>free in the "
			   "heap <span id=\"span\"></span></p>\n");
}

static void put_nav(struct insp_str *page, bool sites)
{
	insp_str_add(page, "<nav role=\"tablist\">\n");
	for (size_t i = 0; i < NPARTS; i++)
		if (!parts[i].hook || sites)
			insp_str_addf(page, "<button role=\"tab\" data-part=\"%s\">%s</button>\n", parts[i].id,
				      parts[i].title);
	insp_str_add(page, "<button role=\"tab\" data-part=\"flame-heap\">Flame graph: heap</button>\n"
			   "<button role=\"tab\" data-part=\"flame-threads\">Flame graph: threads</button>\n</nav>\n");
}

/* One that fails says so in its place: the others are worth seeing. */
static void put_part(struct insp_context *ctx, const struct part *part, struct insp_str *page,
		     struct insp_str *scratch)
{
	struct insp_error err = {0};

	insp_str_reset(scratch);
	insp_str_addf(page, "<section id=\"%s\">\n<h2>%s</h2>\n", part->id, part->title);
	if (insp_run_text(ctx, part->line, "html", scratch, &err)) {
		insp_str_add(page, "<p class=\"warning\">");
		insp_html_text(page, err.msg);
		insp_str_add(page, "</p>");
	} else {
		put_inside(page, scratch);
	}
	insp_str_add(page, "</section>\n");
}

struct insp_answer *insp_page_answer(struct insp_context *ctx, struct insp_served *served,
				     struct insp_error *err)
{
	struct insp_answer *a = insp_answer_create(200, INSP_TYPE_HTML);
	struct insp_served_state state;
	struct insp_str scratch = {0}, sections = {0};
	bool sites = served->hooked == 1;

	if (!a) {
		(void)insp_fail(err, INSP_E_NOMEM, "out of memory for the page");
		return NULL;
	}
	a->policy = policy;
	insp_served_read(served, &state);
	for (size_t i = 0; i < NPARTS; i++)
		if (!parts[i].hook || sites)
			put_part(ctx, &parts[i], &sections, &scratch);
	insp_str_add(&a->body, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
			       "<meta name=\"viewport\" content=\"width=device-width\">\n"
			       "<script src=\"page.js\" defer></script>\n");
	put_style(&a->body, &scratch);
	put_head(&a->body, ctx, served, &state);
	put_nav(&a->body, sites);
	insp_str_add(&a->body, insp_str_text(&sections));
	insp_str_add(&a->body, "<section id=\"flame-heap\"><iframe title=\"flame graph of the heap\" "
			       "data-src=\"flame/heap\"></iframe></section>\n"
			       "<section id=\"flame-threads\"><iframe title=\"flame graph of the threads\" "
			       "data-src=\"flame/threads\"></iframe></section>\n</body></html>\n");
	a->body.failed |= !insp_str_ok(&scratch) || !insp_str_ok(&sections);
	insp_str_deinit(&scratch);
	insp_str_deinit(&sections);
	return a;
}
