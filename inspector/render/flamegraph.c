/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * flamegraph: one HTML file that opens anywhere, offline: the tree of a profile as JSON, and a page
 * (flamegraph_page.h) that draws it: click to zoom, search, tooltips, a choice of sample types.
 *
 * A node is [name, file, line, [values], [children]]; names and files are indexes. Parts of the tree that
 * no screen could show (less than a 20,000th of the total in every sample type) are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "render/flamegraph_page.h"
#include "render/profile_sink.h"

#define SMALLEST 20000
#define DEPTH_MAX 2000

struct page {
	struct insp_out *out;
	const struct insp_profile *p;
	struct insp_profile_tree tree;
	int64_t least[INSP_PROFILE_TYPES];
	uint32_t *name_of, *file_of; /* [tree.n] */
};

/* JSON inside of HTML: '<' is escaped, so that no text can end the script. */
static void put_text(struct insp_out *out, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strlen(s);

	insp_out_addc(out, '"');
	while (n) {
		uint32_t c;
		size_t k = insp_utf8_decode(s, n, &c);

		if (c == UINT32_MAX) {
			insp_out_addc(out, '?');
		} else if (c < 0x20 || c == '<' || c == '"' || c == '\\' || c == 0x7f) {
			insp_out_str(out, "\\u00");
			insp_out_addc(out, hex[c >> 4]);
			insp_out_addc(out, hex[c & 15]);
		} else {
			insp_out_add(out, s, k);
		}
		s += k;
		n -= k;
	}
	insp_out_addc(out, '"');
}

static bool visible(const struct page *g, const struct insp_profile_node *n)
{
	for (size_t t = 0; t < g->p->ntypes; t++)
		if (n->values[t] >= g->least[t] || -n->values[t] >= g->least[t])
			return true;
	return false;
}

static int by_text(const void *a, const void *b, void *ctx)
{
	const struct insp_profile_node *nodes = ctx;
	const char *x = nodes[*(const uint32_t *)a].name, *y = nodes[*(const uint32_t *)b].name;

	return strcmp(x ? x : "", y ? y : "");
}

static int by_file(const void *a, const void *b, void *ctx)
{
	const struct insp_profile_node *nodes = ctx;
	const char *x = nodes[*(const uint32_t *)a].file, *y = nodes[*(const uint32_t *)b].file;

	return strcmp(x ? x : "", y ? y : "");
}

/* Writes the distinct texts of all nodes as a JSON array, and each node's index into ret. */
static int put_texts(struct page *g, bool files, uint32_t *ret)
{
	uint32_t *order = malloc((g->tree.n + 1) * sizeof(*order));
	const char *last = NULL;
	uint32_t index = 0;

	if (!order)
		return -1;
	for (uint32_t i = 0; i < g->tree.n; i++)
		order[i] = i;
	qsort_r(order, g->tree.n, sizeof(*order), files ? by_file : by_text, g->tree.items);
	insp_out_addc(g->out, '[');
	insp_out_str(g->out, "\"\""); /* number 0: none */
	for (size_t i = 0; i < g->tree.n; i++) {
		const struct insp_profile_node *n = &g->tree.items[order[i]];
		const char *text = files ? n->file : n->name;

		if (!text || !*text) {
			ret[order[i]] = 0;
			continue;
		}
		if (!last || strcmp(last, text) != 0) {
			insp_out_str(g->out, ",\n");
			put_text(g->out, text);
			index++;
			last = text;
		}
		ret[order[i]] = index;
	}
	insp_out_addc(g->out, ']');
	free(order);
	return 0;
}

static void put_node_head(struct page *g, uint32_t i)
{
	const struct insp_profile_node *n = &g->tree.items[i];

	insp_out_addc(g->out, '[');
	insp_out_u64(g->out, g->name_of[i]);
	insp_out_addc(g->out, ',');
	insp_out_u64(g->out, g->file_of[i]);
	insp_out_addc(g->out, ',');
	insp_out_u64(g->out, n->line);
	insp_out_str(g->out, ",[");
	for (size_t t = 0; t < g->p->ntypes; t++) {
		if (t)
			insp_out_addc(g->out, ',');
		insp_out_i64(g->out, n->values[t]);
	}
	insp_out_str(g->out, "],[");
}

/* The next visible node from i on among its siblings, 0: none. */
static uint32_t next_visible(const struct page *g, uint32_t i)
{
	while (i && !visible(g, &g->tree.items[i]))
		i = g->tree.items[i].next;
	return i;
}

/* Without recursion: stacks of the target may be deep. */
static void put_tree(struct page *g)
{
	uint32_t at = 0;
	size_t depth = 0;

	put_node_head(g, 0);
	for (;;) {
		uint32_t down = depth < DEPTH_MAX ? next_visible(g, g->tree.items[at].first_child) : 0;

		if (down) {
			at = down;
			depth++;
			put_node_head(g, at);
			continue;
		}
		while (at) {
			uint32_t beside = next_visible(g, g->tree.items[at].next);

			insp_out_str(g->out, "]]");
			if (beside) {
				insp_out_str(g->out, ",\n");
				at = beside;
				put_node_head(g, at);
				break;
			}
			at = g->tree.items[at].parent;
			depth--;
		}
		if (!at)
			break;
	}
	insp_out_str(g->out, "]]");
}

static void put_types(struct page *g)
{
	insp_out_str(g->out, "{\"title\":");
	put_text(g->out, g->p->title ? g->p->title : "profile");
	insp_out_str(g->out, ",\"default\":");
	insp_out_u64(g->out, g->p->default_type);
	insp_out_str(g->out, g->p->delta ? ",\"delta\":true" : ",\"delta\":false");
	insp_out_str(g->out, ",\"types\":[");
	for (size_t t = 0; t < g->p->ntypes; t++) {
		insp_out_str(g->out, t ? ",{\"type\":" : "{\"type\":");
		put_text(g->out, g->p->types[t].type);
		insp_out_str(g->out, ",\"unit\":");
		put_text(g->out, g->p->types[t].unit);
		insp_out_addc(g->out, '}');
	}
	insp_out_addc(g->out, ']');
}

static int put_page(struct page *g)
{
	g->name_of = calloc(g->tree.n, sizeof(*g->name_of));
	g->file_of = calloc(g->tree.n, sizeof(*g->file_of));
	if (!g->name_of || !g->file_of)
		return -1;
	for (size_t t = 0; t < g->p->ntypes; t++) {
		int64_t total = g->tree.items[0].values[t];

		g->least[t] = (total < 0 ? -total : total) / SMALLEST;
		if (g->least[t] < 1)
			g->least[t] = 1;
	}
	insp_out_str(g->out, insp_flamegraph_head);
	put_types(g);
	insp_out_str(g->out, ",\n\"names\":");
	if (put_texts(g, false, g->name_of))
		return -1;
	insp_out_str(g->out, ",\n\"files\":");
	if (put_texts(g, true, g->file_of))
		return -1;
	insp_out_str(g->out, ",\n\"root\":");
	put_tree(g);
	insp_out_str(g->out, "}\n");
	insp_out_str(g->out, insp_flamegraph_tail);
	return 0;
}

static int profile(void *state, const struct insp_profile *p, struct insp_error *err)
{
	struct page g = {.out = ((struct insp_profile_state *)state)->out, .p = p};
	int rc = insp_profile_tree(p, &g.tree, err);

	if (rc)
		return rc;
	if (put_page(&g))
		rc = insp_fail(err, INSP_E_NOMEM, "out of memory for the flame graph");
	insp_profile_tree_deinit(&g.tree);
	free(g.name_of);
	free(g.file_of);
	return rc;
}

static const struct insp_sink sink = INSP_PROFILE_SINK(profile);

const struct insp_renderer insp_renderer_flamegraph = {
	.name = "flamegraph",
	.title = "one HTML file that opens offline in a browser (profiles only)",
	.suffix = "html",
	.profile_only = true,
	.sink = &sink,
	.open = insp_profile_state_open,
	.close = insp_profile_state_close,
};
