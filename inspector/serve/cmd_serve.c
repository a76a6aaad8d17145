/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve: pictures of running processes over HTTP, for pprof, Prometheus and browsers. */
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "front/output.h"
#include "front/progress.h"
#include "front/session.h"
#include "serve/serve.h"

struct args {
	const char *listen, *token_file, *tls_cert, *tls_key;
	uint64_t min_interval_ns, walk_every_ns, rate;
	double pause_budget;
	bool leaks;
	struct insp_words targets;
};

#define AT(member) .offset = offsetof(struct args, member)

static const struct insp_option options[] = {
	{.name = "listen", .type = INSP_OPT_TEXT, .arg = "HOST:PORT", .def = "127.0.0.1:6070", AT(listen),
	 .help = "where; port 0 takes a free one; another address than localhost wants a token or TLS"},
	{.name = "token-file", .type = INSP_OPT_FILE, .arg = "FILE", AT(token_file),
	 .help = "requests must show the first line of FILE, as a Bearer token or as the password of Basic"},
	{.name = "tls-cert", .type = INSP_OPT_FILE, .arg = "FILE", AT(tls_cert),
	 .help = "serve HTTPS with this certificate (PEM)"},
	{.name = "tls-key", .type = INSP_OPT_FILE, .arg = "FILE", AT(tls_key), .help = "its key (PEM)"},
	{.name = "min-interval", .type = INSP_OPT_DURATION, .arg = "DURATION", .def = "1s", AT(min_interval_ns),
	 .help = "requests within this time share one picture of the process"},
	{.name = "walk-every", .type = INSP_OPT_DURATION, .arg = "DURATION", .def = "60s", AT(walk_every_ns),
	 .help = "walk the heap for /metrics so often, while somebody scrapes it"},
	{.name = "pause-budget", .type = INSP_OPT_PERCENT, .arg = "PERCENT", .def = "0.3%", AT(pause_budget),
	 .help = "share of time that a process may stand still; what it has not used adds up to 1 s"},
	{.name = "rate", .type = INSP_OPT_COUNT, .arg = "N", .def = "100", AT(rate),
	 .help = "requests a second of one client, on average over 10 s"},
	{.name = "leaks", .type = INSP_OPT_FLAG, AT(leaks),
	 .help = "count lost memory in each walk, too: costs CPU time and memory of meminspect"},
	{.name = "TARGET", .type = INSP_OPT_LIST, AT(targets), .required = true, .rest = true,
	 .help = "PID or name, also as LABEL=PID; what is named is followed when it is started anew"},
	INSP_OPTION_END,
};

static void on_signal(int sig)
{
	(void)sig;
	insp_interrupt();
}

static void ready(void *ctx, const char *url, const char *remark)
{
	struct insp_output output;

	(void)ctx;
	if (remark)
		insp_log(INSP_LOG_WARN, "%s", remark);
	/* The address is the result: scripts that took port 0 read it. */
	insp_output_open_fd(&output, STDOUT_FILENO);
	insp_out_str(&output.out, url);
	insp_out_addc(&output.out, '\n');
	(void)insp_output_close(&output, true, NULL); /* the server is for others than who reads that */
}

static int run(struct insp_context *ctx, const void *args, struct insp_report *report,
	       struct insp_error *err)
{
	const struct args *a = args;
	const struct insp_session *session = ctx->session;
	const struct insp_settings *settings = &session->settings;
	struct sigaction sa = {.sa_handler = on_signal}, old_term, old_hup;
	struct insp_serve_config config = {
		.listen = a->listen,
		.targets = (const char *const *)a->targets.items,
		.ntargets = a->targets.n,
		.token_file = a->token_file,
		.tls_cert = a->tls_cert,
		.tls_key = a->tls_key,
		.min_interval_ns = a->min_interval_ns,
		.walk_every_ns = a->walk_every_ns,
		.pause_budget = a->pause_budget / 100,
		.rate = a->rate,
		.leaks = a->leaks,
		.take = {.mode = insp_session_capture_mode(settings->capture),
			 .max_pause_ns = settings->max_pause_ns,
			 .allow_inject = settings->allow_inject,
			 .unwinder = settings->unwinder},
		.ready = ready,
	};
	int rc;

	(void)report;
	if (config.pause_budget <= 0)
		return insp_fail(err, INSP_E_USAGE, "--pause-budget 0 leaves nothing to look at a process with");
	if (!a->rate || !a->walk_every_ns)
		return insp_fail(err, INSP_E_USAGE, "--rate and --walk-every want more than 0");
	insp_progress_end();
	sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGTERM, &sa, &old_term);
	(void)sigaction(SIGHUP, &sa, &old_hup);
	rc = insp_serve_run(&config, err);
	(void)sigaction(SIGTERM, &old_term, NULL);
	(void)sigaction(SIGHUP, &old_hup, NULL);
	return rc;
}

const struct insp_command insp_cmd_serve = {
	.name = "serve",
	.group = "watch",
	.summary = "serve profiles, metrics and a page of running processes over HTTP",
	.help = "/debug/pprof/ has heap, allocs, goroutine (the threads), profile and so on, as Go programs serve "
		"them: 'go tool pprof http://localhost:6070/debug/pprof/heap', Parca, Pyroscope and Alloy read "
		"a C program that knows nothing of it. /metrics is for Prometheus, / is a page for people. Of "
		"several targets the first is meant, unless the path begins with /t/LABEL or ?target=LABEL is "
		"given.\n\n"
		"A picture is taken when somebody asks for one; requests within --min-interval share it. No "
		"process stands still for longer than --max-pause at once, and not for more than its "
		"--pause-budget in all: when that is used up, answers given before are given again (their Age "
		"says so), or 503 with Retry-After.\n\n"
		"Whoever may ask can learn what the process knows: listen on localhost, or use --token-file "
		"with TLS. The address that is served is written to stdout; SIGTERM and Ctrl-C end it, and no "
		"process is left stopped.",
	.example = "serve --listen 127.0.0.1:6070",
	.options = options,
	.args_bytes = sizeof(struct args),
	.flags = INSP_COMMAND_ONESHOT | INSP_COMMAND_NO_TARGET | INSP_COMMAND_DIRECT,
	.run = run,
};
