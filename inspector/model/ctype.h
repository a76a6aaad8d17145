/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ctype: a type of the program's source, as far as following its pointers needs: its size, and
 * where in it pointers lie and to what. Members of members are flattened:
 *
 *     struct cache { int n; struct { struct entry *first; } lru; struct entry *slots[64]; };
 *
 *     offset  8  -> struct entry, once
 *     offset 16  -> struct entry, 64 times, 8 bytes apart
 */
#ifndef INSP_MODEL_CTYPE_H
#define INSP_MODEL_CTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSP_CTYPE_NONE	   UINT32_MAX
#define INSP_CTYPE_TO_END  UINT32_MAX /* count of a field: as many as the block has room for */

enum insp_ctype_kind {
	INSP_CTYPE_VOID,     /* void, code: says nothing about what a pointer leads to */
	INSP_CTYPE_BYTES,    /* char and its like, often used as `void` */
	INSP_CTYPE_SCALAR,   /* numbers */
	INSP_CTYPE_POINTER,
	INSP_CTYPE_COMPOUND, /* struct, class, union, array */
	INSP_CTYPE_OPAQUE,   /* only its name is known */
};

struct insp_ctype_field {
	uint64_t offset, stride; /* bytes; stride: from one to the next */
	uint32_t count;		 /* at least 1, or INSP_CTYPE_TO_END */
	uint32_t pointee;	 /* number of a type */
	bool weak;		 /* a union has something else there as well */
};

struct insp_ctype {
	const char *name;	/* "struct entry", "shop::Book", "int" */
	uint64_t size_bytes;	/* 0: not known */
	enum insp_ctype_kind kind;
	bool open_ended;	/* its last member is an array without a size */
	bool polymorphic;	/* begins with a pointer to a table of virtual functions */
	const struct insp_ctype_field *fields; /* by offset as declared; filled in when asked for */
	size_t nfields;
};

#endif
