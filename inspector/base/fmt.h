/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fmt: numbers as people read them, and back.
 *
 * Bytes are shown in binary units with three significant digits (1.21 GiB), counts with
 * decimal suffixes only above a million (9.73 M), durations in the unit that fits (4.10 ms).
 */
#ifndef INSP_BASE_FMT_H
#define INSP_BASE_FMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define INSP_FMT_MAX 48 /* room that every insp_fmt_* fits into, NUL included */

/* Each fills buf (at least INSP_FMT_MAX) and returns it. */
const char *insp_fmt_bytes(char *buf, uint64_t bytes);
const char *insp_fmt_count(char *buf, uint64_t n);	    /* 1,234,567 */
const char *insp_fmt_duration(char *buf, uint64_t ns);	    /* 850 us, 4.10 ms, 2.3 s, 5 min 3 s */
const char *insp_fmt_percent(char *buf, double part, double whole); /* "12.3 %"; "-" if whole is 0 */

/*
 * Parsing of what a user typed: the whole text must be used up. On failure ret is untouched and
 * the message names the text and what was expected.
 *   size:     4096, 4k, 4K, 4KiB, 1.5M, 2GiB (binary units)
 *   addr:     hexadecimal with or without 0x
 *   duration: 250ms, 1s, 1.5s, 2min; a plain number is milliseconds
 *   percent:  70%, 70
 */
int insp_parse_size(const char *text, uint64_t *ret, struct insp_error *err) insp_must_check;
int insp_parse_u64(const char *text, uint64_t *ret, struct insp_error *err) insp_must_check;
int insp_parse_addr(const char *text, uint64_t *ret, struct insp_error *err) insp_must_check;
int insp_parse_duration_ns(const char *text, uint64_t *ret, struct insp_error *err) insp_must_check;
int insp_parse_percent(const char *text, double *ret, struct insp_error *err) insp_must_check;

/* CLOCK_MONOTONIC, CLOCK_REALTIME in ns. */
uint64_t insp_now_ns(void);
uint64_t insp_wallclock_ns(void);

#endif
