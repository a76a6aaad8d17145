/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/settings.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fmt.h"

#define AT(member) .offset = offsetof(struct insp_settings, member)

#define FORMATS	 "text|json|csv|html|pprof|folded|flamegraph"
#define CAPTURES "auto|stop|precopy|fork|live"
#define COLORS	 "auto|always|never"

const struct insp_option insp_global_options[] = {
	{.name = "format", .letter = 'f', .type = INSP_OPT_CHOICE, .arg = "FORMAT", .def = "text",
	 .choices = FORMATS, AT(format), .help = "how to write the result; the last three for profiles only"},
	{.name = "output", .letter = 'o', .type = INSP_OPT_FILE, .arg = "FILE", AT(output),
	 .help = "write the result to FILE, whole or not at all"},
	{.name = "max-pause", .type = INSP_OPT_DURATION, .arg = "DURATION", AT(max_pause_ns),
	 .help = "never stop the target for longer than this (250ms, 2s); default 1s"},
	{.name = "capture", .type = INSP_OPT_CHOICE, .arg = "MODE", .def = "auto", .choices = CAPTURES,
	 AT(capture), .help = "how to take the snapshot: auto, stop, precopy, fork or live"},
	{.name = "allow-inject", .type = INSP_OPT_FLAG, AT(allow_inject),
	 .help = "let precopy and fork run a system call inside the target"},
	{.name = "exe", .type = INSP_OPT_FILE, .arg = "FILE", AT(exe),
	 .help = "the program that a core is of, where it is not at its own place"},
	{.name = "sysroot", .type = INSP_OPT_FILE, .arg = "DIR", AT(sysroot),
	 .help = "folder with the files that a core was made with: under their paths, or side by side"},
	{.name = "color", .type = INSP_OPT_CHOICE, .arg = "WHEN", .def = "auto", .choices = COLORS,
	 AT(color), .help = "use colours: auto (on a terminal), always or never"},
	{.name = "pager", .type = INSP_OPT_FLAG, .def = "yes", AT(pager),
	 .help = "do not show long output through a pager"},
	{.name = "raw", .type = INSP_OPT_FLAG, AT(raw),
	 .help = "plain numbers in text: bytes and nanoseconds without units"},
	{.name = "wide", .type = INSP_OPT_FLAG, AT(wide),
	 .help = "all columns in text, none of them cut"},
	{.name = "quiet", .letter = 'q', .type = INSP_OPT_FLAG, AT(quiet),
	 .help = "no progress and no remarks on stderr, only errors"},
	{.name = "debug", .type = INSP_OPT_FLAG, AT(debug), .help = "tell on stderr what is being done"},
	{.name = "help", .letter = 'h', .type = INSP_OPT_FLAG, AT(help), .help = "help on the command"},
	{.name = "version", .letter = 'V', .type = INSP_OPT_FLAG, AT(version),
	 .help = "the version of meminspect"},
	INSP_OPTION_END,
};

const struct insp_option insp_set_options[] = {
	{.name = "format", .type = INSP_OPT_CHOICE, .choices = FORMATS, AT(format),
	 .help = "how results are written"},
	{.name = "color", .type = INSP_OPT_CHOICE, .choices = COLORS, AT(color), .help = "use colours"},
	{.name = "pager", .type = INSP_OPT_FLAG, .choices = "on|off", AT(pager),
	 .help = "show long output through a pager"},
	{.name = "raw", .type = INSP_OPT_FLAG, .choices = "on|off", AT(raw),
	 .help = "plain numbers in text"},
	{.name = "wide", .type = INSP_OPT_FLAG, .choices = "on|off", AT(wide),
	 .help = "all columns in text, none of them cut"},
	{.name = "max-pause", .type = INSP_OPT_DURATION, .arg = "DURATION", AT(max_pause_ns),
	 .help = "longest stop of the target; 0 is the default of 1 s"},
	{.name = "capture", .type = INSP_OPT_CHOICE, .choices = CAPTURES, AT(capture),
	 .help = "how snapshots are taken"},
	{.name = "unwinder", .type = INSP_OPT_CHOICE, .choices = "libdw|libunwind", AT(unwinder),
	 .help = "what unwinds the stacks"},
	{.name = "limit", .type = INSP_OPT_COUNT, .arg = "ROWS", AT(limit),
	 .help = "rows that commands with --limit show; 0 is all of them"},
	INSP_OPTION_END,
};

int insp_settings_init(struct insp_settings *settings, struct insp_pool *pool, struct insp_error *err)
{
	*settings = (struct insp_settings){.limit = UINT64_MAX};
	for (const struct insp_option *o = insp_global_options; o->name; o++) {
		int rc = o->def ? insp_option_store(o, settings, o->def, pool, err) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

const char *insp_setting_text(const struct insp_option *option, const struct insp_settings *settings,
			      char *buf, size_t size_bytes)
{
	const void *slot = (const char *)settings + option->offset;
	const char *text;
	char number[INSP_FMT_MAX];
	uint64_t v;

	switch (option->type) {
	case INSP_OPT_FLAG:
		snprintf(buf, size_bytes, "%s", *(const bool *)slot ? "on" : "off");
		break;
	case INSP_OPT_DURATION:
		v = *(const uint64_t *)slot;
		snprintf(buf, size_bytes, "%s", v ? insp_fmt_duration(number, v) : "default");
		break;
	case INSP_OPT_COUNT:
		v = *(const uint64_t *)slot;
		if (v == UINT64_MAX)
			snprintf(buf, size_bytes, "default");
		else
			snprintf(buf, size_bytes, "%" PRIu64, v);
		break;
	default:
		text = *(const char *const *)slot;
		snprintf(buf, size_bytes, "%s", text ? text : "default");
	}
	return buf;
}
