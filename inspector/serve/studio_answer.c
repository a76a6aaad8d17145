/* SPDX-License-Identifier: GPL-3.0-or-later */
/* studio_answer: from a picture to an answer, endpoint by endpoint. */
#include <inttypes.h>
#include <string.h>

#include "base/fmt.h"
#include "serve/page.h"
#include "serve/profiles.h"
#include "serve/run_command.h"
#include "serve/studio.h"

#define SYMBOLS_MAX 4096 /* addresses in one question */

/* A flame graph carries its style and script with it, and its data as JSON that no text can leave. */
static const char page_policy[] = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
				  "frame-ancestors 'self'";

static bool is_threads_text(const struct insp_route *r)
{
	return (r->endpoint == INSP_AT_GOROUTINE || r->endpoint == INSP_AT_THREADS) && r->debug == 2;
}

unsigned insp_studio_needs(const struct insp_served *served, const struct insp_route *route)
{
	if (route->endpoint == INSP_AT_SYMBOL)
		return INSP_NEED_SYMBOLS;
	if (route->endpoint == INSP_AT_PAGE)
		return insp_page_needs(served->hooked);
	return insp_profile_needs(route->endpoint, served->hooked);
}

static struct insp_answer *out_of_memory(struct insp_error *err)
{
	(void)insp_fail(err, INSP_E_NOMEM, "out of memory for the answer");
	return NULL;
}

struct insp_answer *insp_studio_profile(const struct insp_profile *profile, const struct insp_route *route,
					struct insp_error *err)
{
	struct insp_answer *a = insp_answer_create(200, "application/octet-stream");
	bool delta = route->seconds && route->endpoint != INSP_AT_PROFILE;
	struct insp_str file = {0};

	if (!a)
		return out_of_memory(err);
	insp_str_addf(&file, "%s%s", insp_endpoint_name(route->endpoint), delta ? "-delta" : "");
	memcpy(a->file, insp_str_text(&file), file.len < sizeof(a->file) ? file.len : sizeof(a->file) - 1);
	insp_str_deinit(&file);
	if (insp_profile_render(profile, "pprof", &a->body, err)) {
		insp_answer_unref(a);
		return NULL;
	}
	return a;
}

static struct insp_answer *answer_profile(struct insp_context *ctx, const struct insp_route *route,
					  struct insp_error *err)
{
	struct insp_profile *p;
	struct insp_answer *a = NULL;

	if (is_threads_text(route)) {
		a = insp_answer_create(200, INSP_TYPE_TEXT);
		if (a && insp_run_text(ctx, "threads", "text", &a->body, err)) {
			insp_answer_unref(a);
			return NULL;
		}
		return a ? a : out_of_memory(err);
	}
	if (insp_profile_of(ctx, route->endpoint, &p, err))
		return NULL;
	if (route->debug) {
		a = insp_answer_create(200, INSP_TYPE_TEXT);
		if (a)
			insp_profile_text(p, route->endpoint, &ctx->snapshot->regions, &a->body);
		else
			(void)out_of_memory(err);
	} else {
		a = insp_studio_profile(p, route, err);
	}
	insp_profile_destroy(p);
	return a;
}

static struct insp_answer *answer_flame(struct insp_context *ctx, const struct insp_route *route,
					struct insp_error *err)
{
	struct insp_answer *a = insp_answer_create(200, INSP_TYPE_HTML);
	struct insp_profile *p;
	int rc;

	if (!a)
		return out_of_memory(err);
	a->policy = page_policy;
	rc = insp_profile_of(ctx, route->endpoint, &p, err);
	if (!rc) {
		rc = insp_profile_render(p, "flamegraph", &a->body, err);
		insp_profile_destroy(p);
	}
	if (!rc)
		return a;
	insp_answer_unref(a);
	return NULL;
}

/* Addresses, joined by '+', as pprof asks for them. */
static struct insp_answer *answer_symbol(struct insp_context *ctx, const char *text, struct insp_error *err)
{
	struct insp_answer *a = insp_answer_create(200, INSP_TYPE_TEXT);
	unsigned n = 0;

	if (!a)
		return out_of_memory(err);
	insp_str_add(&a->body, "num_symbols: 1\n");
	while (text && *text && n++ < SYMBOLS_MAX) {
		size_t len = strcspn(text, "+ \n\r");
		struct insp_symbol symbol;
		char word[32];
		uint64_t addr;

		if (len < sizeof(word)) {
			memcpy(word, text, len);
			word[len] = '\0';
			if (len && insp_parse_addr(word, &addr, NULL) == 0 && ctx->symbols &&
			    insp_symbols_at(ctx->symbols, addr, &symbol) == 0)
				insp_str_addf(&a->body, "%#" PRIx64 " %s\n", addr, symbol.name);
		}
		text += len + (text[len] != '\0');
	}
	return a;
}

struct insp_answer *insp_studio_answer(struct insp_served *served, const struct insp_route *route,
				       const char *text, struct insp_error *err)
{
	struct insp_picture *p = &served->picture;
	struct insp_context ctx = {
		.snapshot = p->snapshot, .symbols = p->symbols, .pool = insp_pool_create()};
	struct insp_answer *a;

	if (!ctx.pool)
		return out_of_memory(err);
	switch (route->endpoint) {
	case INSP_AT_SYMBOL:
		a = answer_symbol(&ctx, text, err);
		break;
	case INSP_AT_FLAME_HEAP:
	case INSP_AT_FLAME_THREADS:
		a = answer_flame(&ctx, route, err);
		break;
	case INSP_AT_PAGE:
		a = insp_page_answer(&ctx, served, err);
		break;
	default:
		a = answer_profile(&ctx, route, err);
	}
	insp_pool_destroy(ctx.pool);
	if (a && !insp_str_ok(&a->body)) {
		insp_answer_unref(a);
		return out_of_memory(err);
	}
	return a;
}
