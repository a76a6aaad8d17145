/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run: starts a program with the companion hook in it. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "command/command.h"

#define HOOK_NAME "libmeminspect-hook.so"

struct args {
	bool full;
	uint64_t sample;
	const char *hook;
	struct insp_words words;
};

static const struct insp_option options[] = {
	{"full", 0, INSP_OPT_FLAG, NULL, "record every allocation, not samples", NULL, NULL,
	 offsetof(struct args, full)},
	{"sample", 0, INSP_OPT_SIZE, "BYTES", "mean distance of two samples", "512k", NULL,
	 offsetof(struct args, sample)},
	{"hook", 0, INSP_OPT_FILE, "FILE", "the library to load; default: beside meminspect", NULL, NULL,
	 offsetof(struct args, hook)},
	{"PROGRAM", 0, INSP_OPT_LIST, NULL, "the program and its arguments, behind --", NULL, NULL,
	 offsetof(struct args, words), .required = true, .rest = true},
	INSP_OPTION_END,
};

/* Beside the tool, as built; or where install puts it. */
static int find_hook(const char *given, char *ret, struct insp_error *err)
{
	static const char *const places[] = {"", "../lib/meminspect/"};
	char exe[PATH_MAX], candidate[PATH_MAX + 64];
	ssize_t n;
	char *slash;

	if (given)
		return realpath(given, ret) ? 0 : insp_fail_errno(err, INSP_E_IO, errno, "hook '%s'", given);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(candidate, sizeof(candidate), "%s%s" HOOK_NAME, exe, places[i]);
		if (access(candidate, R_OK) == 0 && realpath(candidate, ret))
			return 0;
	}
	return insp_fail(err, INSP_E_NOTFOUND, HOOK_NAME " is neither beside meminspect nor in "
					       "../lib/meminspect: name it with --hook");
}

/* In front of what the user preloads already. */
static int set_environment(const struct args *a, const char *hook, struct insp_error *err)
{
	const char *others = getenv("LD_PRELOAD");
	struct insp_str preload = {0};
	char sample[32];
	int rc;

	insp_str_add(&preload, hook);
	if (others && *others)
		insp_str_addf(&preload, ":%s", others);
	(void)snprintf(sample, sizeof(sample), "%" PRIu64, a->sample);
	rc = !insp_str_ok(&preload) || setenv("LD_PRELOAD", insp_str_text(&preload), 1) ||
	     setenv("MEMINSPECT_HOOK", a->full ? "full" : "sampled", 1) ||
	     setenv("MEMINSPECT_SAMPLE_BYTES", sample, 1);
	insp_str_deinit(&preload);
	return rc ? insp_fail(err, INSP_E_NOMEM, "out of memory") : 0;
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	char hook[PATH_MAX], **argv;
	int rc = find_hook(a->hook, hook, err);

	(void)report;
	if (!rc && !a->sample)
		rc = insp_fail(err, INSP_E_USAGE, "--sample 0 makes no sense: --full records everything");
	if (!rc)
		rc = set_environment(a, hook, err);
	if (rc)
		return rc;
	argv = insp_pool_array(ctx->pool, a->words.n + 1, sizeof(*argv));
	if (!argv)
		return insp_fail(err, INSP_E_NOMEM, "out of memory");
	memcpy(argv, a->words.items, a->words.n * sizeof(*argv));
	/* What we changed for ourselves, the program shall not inherit. */
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)execvp(argv[0], argv);
	return insp_fail_errno(err, INSP_E_IO, errno, "program '%s'", argv[0]);
}

const struct insp_command insp_cmd_run = {
	.name = "run",
	.group = "heap",
	.summary = "start a program with the hook that records who allocates",
	.help = "The program runs under its own PID, with " HOOK_NAME " preloaded; then 'heap top', 'profile "
		"heap' and 'whatis' know who allocated. Samples (the default) cost next to nothing; --full "
		"records each allocation and costs a malloc-bound program up to twice its time.\n\n"
		"By hand: LD_PRELOAD=.../" HOOK_NAME " with MEMINSPECT_HOOK=sampled|full|off, "
		"MEMINSPECT_SAMPLE_BYTES (512k), and the limits MEMINSPECT_MAX_FRAMES (1m), "
		"MEMINSPECT_MAX_SITES (256k), MEMINSPECT_MAX_SAMPLES (32k). Programs with an allocator "
		"of their own run as before, and nothing is recorded; so do setuid programs and static "
		"ones.",
	.example = "run --sample 64k -- sleep 0",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET | INSP_COMMAND_DIRECT,
	.run = run,
};
