/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * filter: recursive descent into a tree of nodes. Comparisons of names (types, sites) are made
 * once for each different number and remembered, for millions of chunks share a few names.
 */
#include "command/filter.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/big.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/str.h"
#include "command/held.h"
#include "site/sites.h"
#include "symbol/ctypes.h"

#define DEPTH_MAX 100 /* of parentheses and nots: it is typed by people */
#define WORD_MAX  256

enum field {
	SIZE,
	USABLE,
	ADDR,
	AGE,
	STATE,
	ARENA,
	REACHED_BY,
	REACH,
	TYPE,
	SITE,
	FUNCTION,
	N_FIELDS
};
enum op { EQ, NE, LT, LE, GT, GE, PART, NO_PART };
enum kind { AND, OR, NOT, TEST };

static const char *const fields[N_FIELDS] = {"size",  "usable", "addr",	      "age",
					     "state", "arena",	"reached-by", "reach",
					     "type",  "site",	"function"};
#define FIELDS "size, usable, addr, age, state, arena, reached-by, reach, type, site, function"

struct node {
	enum kind kind;
	struct node *a, *b; /* of AND, OR; NOT: a */
	enum field field;
	enum op op;
	uint64_t number; /* STATE, REACH: the set of those that are meant */
	const char *text;
	uint8_t *known; /* by number of site: 0 not asked yet, 1 no, 2 yes */
	size_t nknown;
	uint64_t *reached; /* REACHED_BY: a bit for each chunk */
};

struct insp_filter {
	const struct insp_context *ctx;
	struct insp_typing *types;
	const struct insp_leaks *leaks;
	const struct insp_graph *graph; /* made when something asks for it */
	struct node *root;
};

struct parser {
	struct insp_filter *filter; /* NULL: only how it is written is looked at */
	struct insp_pool *pool;
	const char *text, *at;
	struct insp_error *err;
	unsigned depth;
	int rc;
};

static void *fail(struct parser *p, const char *expected)
{
	if (!p->rc)
		p->rc = insp_fail(p->err, INSP_E_USAGE, "filter '%.100s': %s expected at '%.100s'",
				  p->text, expected, *p->at ? p->at : "the end");
	return NULL;
}

static struct node *make(struct parser *p, enum kind kind)
{
	struct node *n = insp_pool_alloc(p->pool, sizeof(*n));

	if (n)
		n->kind = kind;
	else
		p->rc = insp_fail(p->err, INSP_E_NOMEM, "out of memory");
	return n;
}

static void skip_space(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

/* A sign, or a word followed by something that is none. */
static bool take(struct parser *p, const char *token)
{
	size_t n = strlen(token);

	skip_space(p);
	if (strncasecmp(p->at, token, n) != 0)
		return false;
	if (isalpha((unsigned char)token[0]) && (isalnum((unsigned char)p->at[n]) || p->at[n] == '_'))
		return false;
	p->at += n;
	return true;
}

static bool read_field(struct parser *p, enum field *ret)
{
	for (int f = 0; f < N_FIELDS; f++)
		if (take(p, fields[f])) {
			*ret = (enum field)f;
			return true;
		}
	fail(p, "one of " FIELDS);
	return false;
}

static bool read_op(struct parser *p, bool text, enum op *ret)
{
	static const struct {
		const char *sign;
		enum op op;
	} ops[] = {{"==", EQ}, {"=", EQ}, {"!=", NE}, {"<=", LE}, {">=", GE},
		   {"<", LT},  {">", GT}, {"~", PART}, {"!~", NO_PART}};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		bool for_text = ops[i].op == PART || ops[i].op == NO_PART;
		bool for_number = ops[i].op >= LT && ops[i].op <= GE;

		if ((text && for_number) || (!text && for_text) || !take(p, ops[i].sign))
			continue;
		*ret = ops[i].op;
		return true;
	}
	fail(p, text ? "one of = != ~ !~" : "one of = != < <= > >=");
	return false;
}

/* A word up to space or parenthesis, or something in quotes. */
static bool read_value(struct parser *p, char *buf, size_t size)
{
	size_t n = 0;
	char quote = 0;

	skip_space(p);
	if (*p->at == '"' || *p->at == '\'')
		quote = *p->at++;
	while (*p->at && n + 1 < size &&
	       (quote ? *p->at != quote
		      : !isspace((unsigned char)*p->at) && *p->at != ')' && *p->at != '&' && *p->at != '|'))
		buf[n++] = *p->at++;
	buf[n] = '\0';
	if (quote && *p->at == quote)
		p->at++;
	else if (quote || !n) {
		fail(p, quote ? "the closing quote" : "a value");
		return false;
	}
	return true;
}

static int number_of(struct parser *p, struct node *n, const char *value)
{
	switch (n->field) {
	case ADDR:
		return insp_parse_addr(value, &n->number, p->err);
	case AGE:
		return insp_parse_duration_ns(value, &n->number, p->err);
	default:
		return insp_parse_size(value, &n->number, p->err);
	}
}

/* Debug info knows names as they are written; symbols of C++ have others. */
static int range_of_name(struct parser *p, const char *name, uint64_t *ret_start, uint64_t *ret_end)
{
	struct insp_symbols *symbols = p->filter->ctx->symbols;
	const struct insp_variable *v = NULL;
	struct insp_ctypes *types = NULL;
	struct insp_symbol symbol;
	uint64_t addr;

	if (symbols && !insp_symbols_ctypes(symbols, &types, NULL) && types)
		v = insp_ctypes_variable_named(types, name);
	if (v) {
		*ret_start = v->addr;
		*ret_end = v->addr + (v->size_bytes ? v->size_bytes : 8);
		return 0;
	}
	if (!symbols || insp_symbols_find(symbols, NULL, name, &addr) ||
	    insp_symbols_at(symbols, addr, &symbol))
		return insp_fail(p->err, INSP_E_USAGE,
				 "'%.100s' is no address (0x...) and no global variable", name);
	*ret_start = symbol.start;
	*ret_end = symbol.start + (symbol.size_bytes ? symbol.size_bytes : 8);
	return 0;
}

/* The range of addresses that a name or an address stands for. */
static int range_of(struct parser *p, const char *text, uint64_t *ret_start, uint64_t *ret_end)
{
	const struct insp_context *ctx = p->filter->ctx;
	size_t hint = SIZE_MAX;
	struct insp_chunk c;
	uint64_t addr;
	int64_t id;

	if (strncmp(text, "0x", 2) != 0 || insp_parse_addr(text, &addr, NULL))
		return range_of_name(p, text, ret_start, ret_end);
	id = insp_chunks_owner(ctx->snapshot->chunks, addr, &hint);
	*ret_start = addr & ~UINT64_C(7);
	*ret_end = *ret_start + 8;
	if (id >= 0) {
		insp_chunks_get(ctx->snapshot->chunks, (uint32_t)id, &c);
		*ret_start = c.mem;
		*ret_end = c.mem + c.usable;
	}
	return 0;
}

/* Marks id; *top grows by what has to be looked at. */
static void reach(struct node *n, uint32_t id, uint32_t *stack, size_t *top)
{
	if (n->reached[id / 64] >> id % 64 & 1)
		return;
	n->reached[id / 64] |= UINT64_C(1) << id % 64;
	stack[(*top)++] = id;
}

/* Everything that pointers lead to from the range; the chunk itself, if it is one, included. */
static int find_reached(struct parser *p, struct node *n)
{
	struct insp_filter *f = p->filter;
	const struct insp_snapshot *snap = f->ctx->snapshot;
	size_t nchunks = snap->chunks->n, top = 0, hint = SIZE_MAX;
	uint64_t start = 0, end = 0, addr, value;
	struct insp_finder finder = {{0}};
	struct insp_pointers_iter it;
	struct insp_graph *graph;
	uint32_t *stack, hit;
	int64_t own;
	int rc = range_of(p, n->text, &start, &end);

	if (!rc && !f->graph) {
		rc = insp_held_create(f->ctx, &graph, NULL, NULL, p->err);
		f->graph = rc ? NULL : graph;
	}
	if (rc)
		return rc;
	n->reached = insp_pool_array(f->ctx->pool, nchunks / 64 + 1, sizeof(*n->reached));
	stack = insp_big_alloc(nchunks + 1, sizeof(*stack));
	if (!n->reached || !stack) {
		insp_big_free(stack, nchunks + 1, sizeof(*stack));
		return insp_fail(p->err, INSP_E_NOMEM,
				 "out of memory for the chunks that are reached");
	}
	own = insp_chunks_owner(snap->chunks, start, &hint);
	if (own >= 0 && insp_graph_live(f->graph, (uint32_t)own))
		reach(n, (uint32_t)own, stack, &top);
	insp_pointers_from(&it, snap->pointers, start, end);
	while (own < 0 && insp_pointers_next(&it, &addr, &value)) {
		insp_chunks_hits(snap->chunks, &finder, &value, 1, &hit);
		if (hit != INSP_HIT_NONE)
			reach(n, INSP_HIT_ID(hit), stack, &top);
	}
	while (top && !insp_interrupted()) {
		uint32_t id = stack[--top];

		for (uint32_t e = f->graph->first[id]; e < f->graph->first[id + 1]; e++)
			reach(n, INSP_EDGE_TARGET(f->graph->edges[e]), stack, &top);
	}
	insp_big_free(stack, nchunks + 1, sizeof(*stack));
	return top ? insp_fail(p->err, INSP_E_INTERRUPTED, "interrupted") : 0;
}

static bool compare_texts(const char *a, enum op op, const char *b)
{
	switch (op) {
	case EQ:
		return strcasecmp(a, b) == 0;
	case NE:
		return strcasecmp(a, b) != 0;
	case PART:
		return strcasestr(a, b) != NULL;
	default:
		return strcasestr(a, b) == NULL;
	}
}

static bool negative(const struct node *n)
{
	return n->op == NE || n->op == NO_PART;
}

static const char *state_key(unsigned i) { return insp_chunk_state_key((enum insp_chunk_state)i); }
static const char *reach_key(unsigned i) { return insp_reach_key((enum insp_reach)i); }

/* The set of the n words that one of these conditions means, or, negative, does not mean; 0: it names none. */
static uint32_t set_of(const struct node *node, const char *(*key)(unsigned), unsigned n)
{
	enum op op = node->op == EQ || node->op == NE ? EQ : PART;
	uint32_t set = 0;

	for (unsigned i = 0; i < n; i++)
		set |= (uint32_t)compare_texts(key(i), op, node->text) << i;
	return set;
}

/* "used" and "free" stand for several states, as in --state. */
static int read_states(struct parser *p, struct node *n)
{
	uint32_t set = set_of(n, state_key, INSP_N_CHUNK_STATES);
	int rc = set ? 0 : insp_chunk_states_parse(n->text, strlen(n->text), &set, p->err);

	n->number = negative(n) ? ~set : set;
	return rc;
}

static int read_reaches(struct parser *p, struct node *n)
{
	uint32_t set = set_of(n, reach_key, INSP_N_REACHES);
	struct insp_str list = {0};
	int rc;

	n->number = negative(n) ? ~set : set;
	if (set)
		return 0;
	for (unsigned i = 0; i < INSP_N_REACHES; i++)
		insp_str_addf(&list, "%s%s", i ? ", " : "", reach_key(i));
	rc = insp_fail(p->err, INSP_E_USAGE, "'%.100s' is none of %s", n->text, insp_str_text(&list));
	insp_str_deinit(&list);
	return rc;
}

/* Does what is named belong to what it is compared with? */
static int read_words(struct parser *p, struct node *n)
{
	if (n->field == STATE)
		return read_states(p, n);
	if (n->field == REACH)
		return read_reaches(p, n);
	if (n->field == REACHED_BY && (n->op == PART || n->op == NO_PART))
		return insp_fail(p->err, INSP_E_USAGE,
				 "'reached-by' goes with = and != and an address or a global");
	return 0;
}

static int check_field(struct parser *p, struct node *n)
{
	const struct insp_filter *f = p->filter;
	const struct insp_snapshot *snap = f->ctx->snapshot;

	if (n->field == REACH && !f->leaks)
		return insp_fail(p->err, INSP_E_USAGE, "'reach' is known to the command `leaks` only");
	if (n->field == TYPE && !f->types)
		return insp_fail(p->err, INSP_E_USAGE, "this command does not look at types");
	if (n->field == REACHED_BY)
		return find_reached(p, n);
	if ((n->field == SITE || n->field == FUNCTION || n->field == AGE) &&
	    !insp_held_has_sites(snap))
		return insp_fail(p->err, INSP_E_UNSUPPORTED,
				 "'%s' is known only of processes that run with the hook", fields[n->field]);
	if (n->field == SITE || n->field == FUNCTION) {
		n->nknown = snap->sites->n;
		n->known = insp_pool_alloc(f->ctx->pool, n->nknown + 1);
		if (!n->known)
			return insp_fail(p->err, INSP_E_NOMEM, "out of memory");
	}
	return 0;
}

static struct node *parse_test(struct parser *p)
{
	struct node *n = make(p, TEST);
	char value[WORD_MAX];
	bool text;

	if (!n || !read_field(p, &n->field))
		return NULL;
	text = n->field >= STATE;
	if (!read_op(p, text, &n->op) || !read_value(p, value, sizeof(value)))
		return NULL;
	n->text = insp_pool_strdup(p->pool, value);
	p->rc = n->text ? read_words(p, n) : insp_fail(p->err, INSP_E_NOMEM, "out of memory");
	if (!p->rc && p->filter)
		p->rc = check_field(p, n);
	if (!p->rc && !text)
		p->rc = number_of(p, n, value);
	return p->rc ? NULL : n;
}

static struct node *parse_or(struct parser *p);

static struct node *parse_not(struct parser *p)
{
	struct node *n;

	if (++p->depth > DEPTH_MAX)
		return fail(p, "less depth");
	if (take(p, "not") || (skip_space(p), p->at[0] == '!' && take(p, "!"))) {
		n = make(p, NOT);
		if (n)
			n->a = parse_not(p);
		n = n && n->a ? n : NULL;
	} else if (take(p, "(")) {
		n = parse_or(p);
		if (n && !take(p, ")"))
			n = fail(p, "')'");
	} else {
		n = parse_test(p);
	}
	p->depth--;
	return n;
}

static struct node *parse_and(struct parser *p)
{
	struct node *left = parse_not(p);

	while (left) {
		bool word = take(p, "and") || take(p, "&&");
		const char *before = p->at;

		skip_space(p);
		if (!word && (!*p->at || *p->at == ')' || take(p, "or") || take(p, "||"))) {
			p->at = before;
			return left;
		}
		struct node *n = make(p, AND);

		if (!n)
			return NULL;
		n->a = left;
		n->b = parse_not(p);
		left = n->b ? n : NULL;
	}
	return NULL;
}

static struct node *parse_or(struct parser *p)
{
	struct node *left = parse_and(p);

	while (left && (take(p, "or") || take(p, "||"))) {
		struct node *n = make(p, OR);

		if (!n)
			return NULL;
		n->a = left;
		n->b = parse_and(p);
		left = n->b ? n : NULL;
	}
	return left;
}

unsigned insp_filter_needs(const char *text)
{
	unsigned needs = INSP_NEED_SITES | INSP_NEED_SYMBOLS | INSP_NEED_BYTES;

	if (!text)
		return 0;
	/* More than needed where a word only looks like it: that costs time, and is right. */
	if (strcasestr(text, "type"))
		needs |= INSP_TYPING_NEEDS;
	if (strcasestr(text, "reached-by"))
		needs |= INSP_HELD_NEEDS;
	return needs;
}

/* The tree of the whole text. */
static struct node *parse(struct parser *p)
{
	struct node *root = parse_or(p);

	skip_space(p);
	if (root && *p->at)
		fail(p, "'and' or 'or'");
	if (!root)
		fail(p, "a condition");
	return root;
}

int insp_filter_check(const char *text, struct insp_pool *pool, struct insp_error *err)
{
	struct parser p = {.pool = pool, .text = text, .at = text, .err = err};

	(void)parse(&p);
	return p.rc;
}

int insp_filter_create(const struct insp_context *ctx, const char *text, struct insp_typing *types,
		       const struct insp_leaks *leaks, struct insp_filter **ret,
		       struct insp_error *err)
{
	struct insp_filter *f = insp_pool_alloc(ctx->pool, sizeof(*f));
	struct parser p = {.filter = f, .pool = ctx->pool, .text = text, .at = text, .err = err};

	if (!f)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	*f = (struct insp_filter){.ctx = ctx,
				  .types = types,
				  .leaks = leaks,
				  .graph = leaks ? leaks->graph : NULL};
	f->root = parse(&p);
	if (p.rc)
		return p.rc;
	*ret = f;
	return 0;
}

static bool compare_numbers(uint64_t a, enum op op, uint64_t b)
{
	switch (op) {
	case EQ:
		return a == b;
	case NE:
		return a != b;
	case LT:
		return a < b;
	case LE:
		return a <= b;
	case GT:
		return a > b;
	default:
		return a >= b;
	}
}

/* The innermost function of the stack alone, or all of its names. */
static bool site_matches(const struct insp_filter *f, const struct node *n, uint32_t site)
{
	const char *name = insp_name_site(f->ctx, site), *end;

	if (n->field == FUNCTION && (end = strstr(name, " < ")) != NULL)
		name = insp_pool_strndup(f->ctx->pool, name, (size_t)(end - name));
	return compare_texts(name ? name : "", n->op, n->text);
}

static bool test_site(const struct insp_filter *f, const struct node *n, uint32_t id)
{
	const struct insp_sites *sites = f->ctx->snapshot->sites;
	uint32_t site = id < sites->nchunks ? sites->chunk_sites[id] : 0;

	if (site >= n->nknown)
		return false;
	if (!n->known[site])
		n->known[site] = site_matches(f, n, site) ? 2 : 1;
	return n->known[site] == 2;
}

static bool test_age(const struct insp_filter *f, const struct node *n, const struct insp_chunk *c)
{
	const struct insp_sites *sites = f->ctx->snapshot->sites;
	const struct insp_site_record *r = insp_sites_record_of(sites, c);
	uint64_t now = f->ctx->snapshot->taken_at_ns - sites->started_ns, born;

	if (!r)
		return false;
	born = (uint64_t)insp_site_record_seconds(r) * 1000000000;
	return compare_numbers(now > born ? now - born : 0, n->op, n->number);
}

static bool test(const struct insp_filter *f, const struct node *n, const struct insp_chunk *c)
{
	const struct insp_arenas *arenas = &f->ctx->snapshot->arenas;

	switch (n->field) {
	case SIZE:
		return compare_numbers(c->size, n->op, n->number);
	case USABLE:
		return compare_numbers(c->usable, n->op, n->number);
	case ADDR:
		return compare_numbers(c->mem, n->op, n->number);
	case AGE:
		return test_age(f, n, c);
	case STATE:
		return n->number >> c->state & 1;
	case ARENA:
		return compare_texts(c->arena < arenas->n ? arenas->items[c->arena].name : "", n->op,
				     n->text);
	case REACHED_BY:
		return (n->reached[c->id / 64] >> c->id % 64 & 1) == (n->op == EQ);
	case REACH:
		return n->number >> f->leaks->reach[c->id] & 1;
	case TYPE:
		return insp_chunk_state_live(c->state) &&
		       compare_texts(insp_typing_name(f->types, insp_typing_of(f->types, c)), n->op,
				     n->text);
	default:
		return test_site(f, n, c->id);
	}
}

static bool accepts(const struct insp_filter *f, const struct node *n, const struct insp_chunk *c)
{
	switch (n->kind) {
	case AND:
		return accepts(f, n->a, c) && accepts(f, n->b, c);
	case OR:
		return accepts(f, n->a, c) || accepts(f, n->b, c);
	case NOT:
		return !accepts(f, n->a, c);
	default:
		return test(f, n, c);
	}
}

bool insp_filter_accepts(struct insp_filter *filter, const struct insp_chunk *chunk)
{
	return accepts(filter, filter->root, chunk);
}
