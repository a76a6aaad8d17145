/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ctypes: DIEs of types become numbers.
 *
 * Each unit has its own copy of a header's structs, so what makes a type is its key: for a struct,
 * class, union or enum its kind, its name with namespaces and its size; for pointers and arrays
 * what they are made of; one without a name is the DIE itself. The first copy met is taken apart.
 *
 * A name with namespaces is not in a DIE, and a DIE does not know its parent: a unit's table of
 * scopes, made at the first question, tells it by where the DIE lies.
 */
#include <dwarf.h>
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "symbol/ctypes_priv.h"

#define FIELDS_MAX  4096 /* of one type */
#define SCOPES_MAX  400000 /* of one unit */
#define TYPES_MAX   (1u << 24)
#define VOID_TYPE   0

enum part { PART_POINTER = 1, PART_ARRAY, PART_COMPOUND, PART_SCALAR, PART_DIE, PART_OPAQUE };

uint64_t insp_name_hash(uint64_t scope, const char *name)
{
	uint64_t h = scope ? scope * UINT64_C(0x9e3779b97f4a7c15) : UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	h ^= h >> 31;
	return h ? h : 1;
}

static uint64_t mix(enum part part, uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (uint64_t)part << 56) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29 ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
	return h ^ h >> 32;
}

bool insp_die_is_c(Dwarf_Die *unit)
{
	switch (dwarf_srclang(unit)) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
	case DW_LANG_ObjC:
	case 0x2c: /* DW_LANG_C17 */
		return true;
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_Rust:
	case DW_LANG_D:
	case DW_LANG_Ada95:
		return false;
	default: /* what dwz took out of several units does not say, and newer ones have scopes */
		return dwarf_hasattr(unit, DW_AT_language) == 0;
	}
}

bool insp_die_type(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, ret);
}

bool insp_die_strip(Dwarf_Die *type, const char **ret_alias)
{
	for (unsigned i = 0; i < INSP_TYPE_DEPTH_MAX; i++) {
		Dwarf_Die next;

		switch (dwarf_tag(type)) {
		case DW_TAG_typedef:
			if (ret_alias && !*ret_alias)
				*ret_alias = dwarf_diename(type);
			break;
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
		case DW_TAG_packed_type:
		case DW_TAG_shared_type:
		case DW_TAG_immutable_type:
			break;
		default:
			return true;
		}
		if (!insp_die_type(type, &next))
			return false;
		*type = next;
	}
	return false;
}

bool insp_die_offset(Dwarf_Die *member, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	*ret = 0;
	if (!dwarf_attr(member, DW_AT_data_member_location, &attr))
		return true; /* of a union, or a field of bits */
	if (dwarf_formudata(&attr, &value))
		return false; /* worked out at run time: a virtual base */
	*ret = value;
	return true;
}

uint64_t insp_die_array_count(Dwarf_Die *array)
{
	uint64_t total = 1;
	Dwarf_Die child;

	if (dwarf_child(array, &child))
		return 0;
	do {
		Dwarf_Attribute attr;
		Dwarf_Word value;
		uint64_t n = 0;

		if (dwarf_tag(&child) != DW_TAG_subrange_type)
			continue;
		if (dwarf_attr(&child, DW_AT_count, &attr) && !dwarf_formudata(&attr, &value))
			n = value;
		else if (dwarf_attr(&child, DW_AT_upper_bound, &attr) && !dwarf_formudata(&attr, &value))
			n = value + 1;
		if (__builtin_mul_overflow(total, n, &total))
			return 0;
	} while (dwarf_siblingof(&child, &child) == 0);
	return total;
}

uint64_t insp_die_size(Dwarf_Die *type)
{
	Dwarf_Word size;

	return dwarf_aggregate_size(type, &size) == 0 ? size : 0;
}

/* ---- names */

static void scopes_add(struct insp_unit_scopes *scopes, Dwarf_Die *parent, const char *end,
		       unsigned depth, unsigned *budget)
{
	Dwarf_Die child, next;

	if (depth > INSP_TYPE_DEPTH_MAX || dwarf_child(parent, &child))
		return;
	for (;;) {
		int tag = dwarf_tag(&child);
		bool last = dwarf_siblingof(&child, &next) != 0;
		struct insp_scope *s;

		if (!*budget)
			return;
		--*budget;
		if ((tag == DW_TAG_namespace || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
		     tag == DW_TAG_union_type || tag == DW_TAG_module) &&
		    dwarf_haschildren(&child) > 0 && (s = insp_vec_push(scopes)) != NULL) {
			const char *name = dwarf_diename(&child);

			*s = (struct insp_scope){child.addr, last ? end : next.addr,
						 name ? name : "(anonymous namespace)"};
			scopes_add(scopes, &child, last ? end : next.addr, depth + 1, budget);
		}
		if (last)
			return;
		child = next;
	}
}

static struct insp_unit_scopes *scopes_of(struct insp_ctypes *types, const Dwarf_Die *die)
{
	uint64_t key = (uint64_t)(uintptr_t)die->cu;
	uint32_t at = insp_map_get(&types->by_unit, key);
	struct insp_unit_scopes *scopes;
	unsigned budget = SCOPES_MAX;
	Dwarf_Die self = *die, unit;

	if (at != INSP_MAP_NONE)
		return &types->units.items[at];
	scopes = insp_vec_push(&types->units);
	if (!scopes || insp_map_set(&types->by_unit, key, (uint32_t)types->units.n - 1)) {
		types->failed = true;
		return NULL;
	}
	if (!dwarf_diecu(&self, &unit, NULL, NULL))
		return scopes;
	scopes->is_c = insp_die_is_c(&unit);
	if (!scopes->is_c)
		scopes_add(scopes, &unit, (const char *)UINTPTR_MAX, 0, &budget);
	return scopes;
}

static const char *prefix_of(Dwarf_Die *die, bool is_c)
{
	if (!is_c)
		return "";
	switch (dwarf_tag(die)) {
	case DW_TAG_union_type:
		return "union ";
	case DW_TAG_enumeration_type:
		return "enum ";
	default:
		return "struct ";
	}
}

/* Nobody writes the long form of std::string. */
static void add_short(struct insp_str *s, const char *name)
{
	static const char text[] =
		"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
	const char *at;

	for (; (at = strstr(name, text)) != NULL; name = at + sizeof(text) - 1) {
		insp_str_addn(s, name, (size_t)(at - name));
		insp_str_add(s, "std::string");
	}
	insp_str_add(s, name);
}

/* "shop::Book"; *ret_hash is what insp_name_hash makes of its parts. NULL: it has no name. */
static char *qualified_name(struct insp_ctypes *types, Dwarf_Die *die, const char *alias,
			    uint64_t *ret_hash)
{
	const struct insp_unit_scopes *scopes = scopes_of(types, die);
	const char *own = dwarf_diename(die), *at = die->addr;
	struct insp_str s = {0};
	uint64_t hash = 0;
	char *name;

	if ((!own && !alias) || !scopes)
		return NULL;
	if (own)
		insp_str_add(&s, prefix_of(die, scopes->is_c));
	for (size_t i = 0; i < scopes->n && scopes->items[i].start < at; i++)
		if (at < scopes->items[i].end) {
			add_short(&s, scopes->items[i].name);
			insp_str_add(&s, "::");
			hash = insp_name_hash(hash, scopes->items[i].name);
		}
	add_short(&s, own ? own : alias);
	*ret_hash = insp_name_hash(hash, own ? own : alias);
	name = insp_pool_strdup(types->pool, insp_str_text(&s));
	insp_str_deinit(&s);
	return name;
}

/* ---- numbers */

static uint32_t add(struct insp_ctypes *types, uint64_t key, const Dwarf_Die *die,
		    struct insp_ctype pub)
{
	struct insp_type_record *r = insp_pool_alloc(types->pool, sizeof(*r)), **slot;

	if (types->records.n >= TYPES_MAX)
		return VOID_TYPE;
	slot = r && pub.name ? insp_vec_push(&types->records) : NULL;
	if (!slot || (key && insp_map_set(&types->by_key, key, (uint32_t)types->records.n - 1))) {
		types->failed = true;
		return VOID_TYPE;
	}
	*r = (struct insp_type_record){.pub = pub};
	if (die)
		r->die = *die;
	*slot = r;
	return (uint32_t)types->records.n - 1;
}

static uint32_t pointer_to(struct insp_ctypes *types, uint32_t pointee, const Dwarf_Die *die)
{
	uint64_t key = mix(PART_POINTER, pointee, 0);
	uint32_t known = insp_map_get(&types->by_key, key);
	const char *to = types->records.items[pointee]->pub.name;
	struct insp_ctype_field *field;

	if (known != INSP_MAP_NONE)
		return known;
	field = insp_pool_alloc(types->pool, sizeof(*field));
	if (field)
		*field = (struct insp_ctype_field){.stride = 8, .count = 1, .pointee = pointee};
	known = add(types, key, die,
		    (struct insp_ctype){.name = insp_pool_printf(types->pool, "%s%s*", to,
								 to[strlen(to) - 1] == '*' ? "" : " "),
					.size_bytes = 8, .kind = INSP_CTYPE_POINTER, .fields = field,
					.nfields = field ? 1 : 0});
	if (known != VOID_TYPE)
		types->records.items[known]->expanded = true;
	return known;
}

static uint32_t intern_pointer(struct insp_ctypes *types, Dwarf_Die *die, unsigned depth)
{
	Dwarf_Die target;
	bool typed = insp_die_type(die, &target);

	return pointer_to(types, insp_ctypes_intern(types, typed ? &target : NULL, depth + 1), die);
}

static uint32_t intern_array(struct insp_ctypes *types, Dwarf_Die *die, unsigned depth)
{
	uint64_t n = insp_die_array_count(die), key;
	Dwarf_Die element;
	uint32_t of, known;

	if (!insp_die_type(die, &element))
		return VOID_TYPE;
	of = insp_ctypes_intern(types, &element, depth + 1);
	if (!n)
		return of; /* a pointer to it leads to any number of them */
	key = mix(PART_ARRAY, of, n);
	known = insp_map_get(&types->by_key, key);
	if (known != INSP_MAP_NONE)
		return known;
	return add(types, key, die,
		   (struct insp_ctype){.name = insp_pool_printf(types->pool, "%s[%" PRIu64 "]",
								types->records.items[of]->pub.name, n),
				       .size_bytes = insp_die_size(die), .kind = INSP_CTYPE_COMPOUND});
}

static const char *place_name(struct insp_ctypes *types, Dwarf_Die *die)
{
	const char *file = dwarf_decl_file(die), *slash = file ? strrchr(file, '/') : NULL;
	int line = 0;

	(void)dwarf_decl_line(die, &line); /* 0: not said */
	return insp_pool_printf(types->pool, "%s at %s:%d",
				dwarf_tag(die) == DW_TAG_union_type ? "union" : "struct",
				slash ? slash + 1 : file ? file : "?", line);
}

static uint32_t intern_compound(struct insp_ctypes *types, Dwarf_Die *die, const char *alias,
				unsigned depth)
{
	bool declared = dwarf_hasattr(die, DW_AT_declaration);
	uint64_t hash = 0, size = insp_die_size(die), key;
	const char *name = qualified_name(types, die, alias, &hash);
	uint32_t known;

	if (declared && name) {
		known = insp_map_get(&types->by_name, hash);
		if (known != INSP_MAP_NONE && depth < INSP_TYPE_DEPTH_MAX)
			return insp_ctypes_intern(types, &types->definitions.items[known], depth + 1);
	}
	key = !name ? mix(PART_DIE, (uint64_t)(uintptr_t)die->addr, 0)
		    : mix(declared ? PART_OPAQUE : PART_COMPOUND, hash, size << 8 | (uint64_t)dwarf_tag(die));
	known = insp_map_get(&types->by_key, key);
	if (known != INSP_MAP_NONE)
		return known;
	return add(types, key, die,
		   (struct insp_ctype){.name = name ? name : place_name(types, die), .size_bytes = size,
				       .kind = size ? INSP_CTYPE_COMPOUND : INSP_CTYPE_OPAQUE});
}

static uint32_t intern_scalar(struct insp_ctypes *types, Dwarf_Die *die, const char *alias)
{
	uint64_t hash = 0, size = insp_die_size(die), key;
	const char *name = qualified_name(types, die, alias, &hash);
	uint32_t known;

	if (dwarf_tag(die) == DW_TAG_base_type)
		name = dwarf_diename(die);
	if (!name || !size)
		return VOID_TYPE;
	key = mix(PART_SCALAR, hash, size);
	known = insp_map_get(&types->by_key, key);
	if (known != INSP_MAP_NONE)
		return known;
	return add(types, key, die,
		   (struct insp_ctype){.name = name, .size_bytes = size,
				       .kind = size == 1 ? INSP_CTYPE_BYTES : INSP_CTYPE_SCALAR});
}

uint32_t insp_ctypes_intern(struct insp_ctypes *types, const Dwarf_Die *die, unsigned depth)
{
	uint64_t key = die ? (uint64_t)(uintptr_t)die->addr : 0;
	const char *alias = NULL;
	Dwarf_Die at;
	uint32_t type;

	if (!types->records.n)
		(void)add(types, 0, NULL, (struct insp_ctype){.name = "void", .kind = INSP_CTYPE_VOID});
	if (!die || depth > INSP_TYPE_DEPTH_MAX)
		return VOID_TYPE;
	type = insp_map_get(&types->by_die, key);
	if (type != INSP_MAP_NONE)
		return type;
	at = *die;
	if (!insp_die_strip(&at, &alias))
		return VOID_TYPE;
	switch (dwarf_tag(&at)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		type = intern_pointer(types, &at, depth);
		break;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
		type = intern_compound(types, &at, alias, depth);
		break;
	case DW_TAG_array_type:
		type = intern_array(types, &at, depth);
		break;
	case DW_TAG_base_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_ptr_to_member_type:
		type = intern_scalar(types, &at, alias);
		break;
	default:
		type = VOID_TYPE;
	}
	if (insp_map_set(&types->by_die, key, type))
		types->failed = true;
	return type;
}

/* ---- fields */

struct flat {
	struct insp_ctypes *types;
	INSP_VEC(struct insp_ctype_field) fields;
	bool open_ended, polymorphic;
};

/* Where an object lies in the whole: at base, and at base + stride, ... */
struct place {
	uint64_t base, stride;
	uint32_t count;
};

static void flatten(struct flat *f, Dwarf_Die *type, struct place at, unsigned depth);

/* The first base class of a type; NULL name: it has none at its start. */
static const char *first_base(Dwarf_Die *type, Dwarf_Die *ret)
{
	Dwarf_Die child;
	uint64_t offset;

	if (dwarf_child(type, &child))
		return NULL;
	do
		if (dwarf_tag(&child) == DW_TAG_inheritance && insp_die_offset(&child, &offset) && !offset &&
		    insp_die_type(&child, ret) && insp_die_strip(ret, NULL))
			return dwarf_diename(ret);
	while (dwarf_siblingof(&child, &child) == 0);
	return NULL;
}

/*
 * libstdc++'s containers point at the common base of their nodes, `_List_node_base`, and cast. What the
 * nodes really are is said by a typedef inside of the container; in a node by the node itself.
 */
static bool node_of(Dwarf_Die *type, Dwarf_Die *ret_node, Dwarf_Die *ret_base)
{
	static const char *const names[] = {"_Link_type", "_Node", "__node_type", "__node_ptr"};
	const char *base = first_base(type, ret_base);
	Dwarf_Die child;
	size_t n = base ? strlen(base) : 0;

	*ret_node = *type;
	if (n > 10 && base[0] == '_' && !strcmp(base + n - 10, "_node_base")) {
		base = dwarf_diename(type);
		return base && strcmp(base, "_List_node_header") != 0; /* the one that is not a node */
	}
	if (dwarf_child(type, &child))
		return false;
	do {
		const char *name = dwarf_tag(&child) == DW_TAG_typedef ? dwarf_diename(&child) : NULL;

		for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
			if (strcmp(name, names[i]) || !insp_die_type(&child, ret_node) ||
			    !insp_die_strip(ret_node, NULL))
				continue;
			if (dwarf_tag(ret_node) == DW_TAG_pointer_type &&
			    (!insp_die_type(ret_node, ret_node) || !insp_die_strip(ret_node, NULL)))
				continue;
			if (first_base(ret_node, ret_base))
				return true;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

/* Fields from first on that lead to the base of a node lead to the node; so do arrays of them. */
static void point_at_nodes(struct flat *f, Dwarf_Die *type, size_t first)
{
	Dwarf_Die node, base;
	uint32_t from, to, from_pointer;

	if (f->fields.n == first || !node_of(type, &node, &base))
		return;
	from = insp_ctypes_intern(f->types, &base, 0);
	to = insp_ctypes_intern(f->types, &node, 0);
	from_pointer = insp_map_get(&f->types->by_key, mix(PART_POINTER, from, 0));
	for (size_t i = first; i < f->fields.n; i++) {
		uint32_t *pointee = &f->fields.items[i].pointee;

		if (*pointee == from)
			*pointee = to;
		else if (*pointee == from_pointer && from_pointer != INSP_MAP_NONE)
			*pointee = pointer_to(f->types, to, NULL);
	}
}

static void flatten_members(struct flat *f, Dwarf_Die *type, struct place at, unsigned depth)
{
	bool is_union = dwarf_tag(type) == DW_TAG_union_type || dwarf_tag(type) == DW_TAG_variant_part;
	size_t first = f->fields.n;
	unsigned contributing = 0;
	Dwarf_Die child, inner;

	if (dwarf_child(type, &child))
		return;
	do {
		int tag = dwarf_tag(&child);
		size_t before = f->fields.n;
		struct place in = at;
		uint64_t offset;

		if (tag == DW_TAG_variant_part || tag == DW_TAG_variant) {
			flatten_members(f, &child, at, depth + 1);
		} else if ((tag == DW_TAG_member || tag == DW_TAG_inheritance) &&
			   !dwarf_hasattr(&child, DW_AT_external) && insp_die_offset(&child, &offset) &&
			   insp_die_type(&child, &inner)) {
			const char *name = dwarf_diename(&child);

			if (!offset && !at.base && name && !strncmp(name, "_vptr", 5))
				f->polymorphic = true;
			in.base += offset;
			flatten(f, &inner, in, depth + 1);
		}
		contributing += f->fields.n > before;
	} while (dwarf_siblingof(&child, &child) == 0);
	if (dwarf_tag(type) != DW_TAG_union_type)
		point_at_nodes(f, type, first);
	if (is_union && contributing > 1)
		for (size_t i = first; i < f->fields.n; i++)
			f->fields.items[i].weak = true;
}

static void flatten_array(struct flat *f, Dwarf_Die *type, struct place at, unsigned depth)
{
	uint64_t n = insp_die_array_count(type), size;
	Dwarf_Die element;

	if (!insp_die_type(type, &element))
		return;
	size = insp_die_size(&element);
	if (!size)
		return;
	if (!n && at.count == 1)
		f->open_ended = true;
	if (at.count == 1 && n < INSP_CTYPE_TO_END) {
		flatten(f, &element, (struct place){at.base, size, n ? (uint32_t)n : INSP_CTYPE_TO_END}, depth + 1);
		return;
	}
	for (uint64_t i = 0; i < at.count && f->fields.n < FIELDS_MAX && i < FIELDS_MAX; i++)
		flatten_array(f, type, (struct place){at.base + i * at.stride, 0, 1}, depth + 1);
}

/* Adds the pointers in an object of the type. */
static void flatten(struct flat *f, Dwarf_Die *type, struct place at, unsigned depth)
{
	struct insp_ctype_field *field;
	Dwarf_Die target;

	if (depth > INSP_TYPE_DEPTH_MAX || f->fields.n >= FIELDS_MAX || !insp_die_strip(type, NULL))
		return;
	switch (dwarf_tag(type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		field = insp_vec_push(&f->fields);
		if (field)
			*field = (struct insp_ctype_field){
				.offset = at.base, .stride = at.count > 1 ? at.stride : 8, .count = at.count,
				.pointee = insp_ctypes_intern(f->types, insp_die_type(type, &target) ? &target : NULL, 0)};
		break;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
		flatten_members(f, type, at, depth);
		break;
	case DW_TAG_array_type:
		flatten_array(f, type, at, depth);
		break;
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct insp_ctype_field *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void expand(struct insp_ctypes *types, struct insp_type_record *r)
{
	struct flat f = {.types = types};
	Dwarf_Die die = r->die;

	r->expanded = true;
	if (r->pub.kind != INSP_CTYPE_COMPOUND)
		return;
	flatten(&f, &die, (struct place){0, 0, 1}, 0);
	r->pub.open_ended = f.open_ended;
	r->pub.polymorphic = f.polymorphic;
	if (f.fields.n) {
		qsort(f.fields.items, f.fields.n, sizeof(*f.fields.items), by_offset);
		r->pub.fields = insp_pool_memdup(types->pool, f.fields.items, f.fields.n * sizeof(*f.fields.items));
		r->pub.nfields = r->pub.fields ? f.fields.n : 0;
	}
	insp_vec_free(&f.fields);
}

const struct insp_ctype *insp_ctypes_get(struct insp_ctypes *types, uint32_t type)
{
	struct insp_type_record *r = types->records.items[type < types->records.n ? type : VOID_TYPE];

	if (!r->expanded)
		expand(types, r);
	return &r->pub;
}

/* The parts between "::", which may also stand inside of template arguments. */
uint32_t insp_ctypes_by_name(struct insp_ctypes *types, const char *name)
{
	uint64_t hash = 0;
	const char *start = name;
	char part[512];
	int nested = 0;
	uint32_t at;

	for (const char *p = name;; p++) {
		nested += (*p == '<' || *p == '(') - (*p == '>' || *p == ')');
		if (*p && (nested > 0 || p[0] != ':' || p[1] != ':'))
			continue;
		if ((size_t)(p - start) >= sizeof(part))
			return INSP_CTYPE_NONE;
		memcpy(part, start, (size_t)(p - start));
		part[p - start] = '\0';
		hash = insp_name_hash(hash, part);
		if (!*p)
			break;
		start = ++p + 1;
	}
	at = insp_map_get(&types->by_name, hash);
	return at == INSP_MAP_NONE ? INSP_CTYPE_NONE
				   : insp_ctypes_intern(types, &types->definitions.items[at], 0);
}

/* ---- all modules */

static int by_address(const void *a, const void *b)
{
	const struct insp_variable *x = a, *y = b;

	if (x->thread_local_ != y->thread_local_)
		return x->thread_local_ ? 1 : -1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Variables get the numbers of their types, now that all names are known. */
static void finish(struct insp_ctypes *types)
{
	insp_vec_each(&types->variables, v) {
		Dwarf_Die die = types->definitions.items[v->type];

		v->size_bytes = insp_die_size(&die);
		v->type = insp_ctypes_intern(types, &die, 0);
		types->nstatic += !v->thread_local_;
	}
	if (types->variables.n)
		qsort(types->variables.items, types->variables.n, sizeof(*types->variables.items), by_address);
}

static int read_all(struct insp_ctypes *types, struct insp_error *err)
{
	size_t n;
	struct insp_symbols_module *modules = insp_symbols_items(types->symbols, &n);
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		struct insp_dwarf *dwarf = insp_module_dwarf(&modules[i]);

		if (!dwarf)
			continue;
		types->nmodules++;
		rc = insp_ctypes_read_module(types, &modules[i], dwarf, err);
	}
	if (!rc)
		finish(types);
	return rc;
}

void insp_ctypes_destroy(struct insp_ctypes *types)
{
	if (!types)
		return;
	insp_vec_each(&types->units, u)
		insp_vec_free(u);
	insp_vec_free(&types->units);
	insp_vec_free(&types->records);
	insp_vec_free(&types->definitions);
	insp_vec_free(&types->variables);
	insp_map_deinit(&types->by_die);
	insp_map_deinit(&types->by_key);
	insp_map_deinit(&types->by_name);
	insp_map_deinit(&types->by_unit);
	insp_pool_destroy(types->pool);
	free(types);
}

int insp_symbols_ctypes(struct insp_symbols *symbols, struct insp_ctypes **ret, struct insp_error *err)
{
	struct insp_ctypes **slot = insp_symbols_ctypes_slot(symbols);
	struct insp_ctypes *types = *slot;
	int rc;

	if (!types) {
		types = calloc(1, sizeof(*types));
		if (types)
			types->pool = insp_pool_create();
		if (!types || !types->pool) {
			insp_ctypes_destroy(types);
			return insp_fail(err, INSP_E_NOMEM, "out of memory for debug information");
		}
		types->symbols = symbols;
		rc = read_all(types, err);
		if (rc) {
			insp_ctypes_destroy(types);
			return rc;
		}
		*slot = types;
	}
	*ret = types->nmodules ? types : NULL;
	return 0;
}

const struct insp_variable *insp_ctypes_variables(const struct insp_ctypes *types, size_t *ret_n)
{
	*ret_n = types->variables.n;
	return types->variables.items;
}

const struct insp_variable *insp_ctypes_variable_at(const struct insp_ctypes *types, uint64_t addr)
{
	size_t lo = 0, hi = types->nstatic;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (types->variables.items[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t i = lo; i-- > 0 && lo - i <= 4;) {
		const struct insp_variable *v = &types->variables.items[i];

		if (addr - v->addr < v->size_bytes)
			return v;
	}
	return NULL;
}

const struct insp_variable *insp_ctypes_variable_named(const struct insp_ctypes *types,
						       const char *name)
{
	for (size_t i = 0; i < types->nstatic; i++)
		if (!strcmp(types->variables.items[i].name, name))
			return &types->variables.items[i];
	return NULL;
}
