/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api: the C API of libmeminspect, on the same session and runner as the command line. */
#include <meminspect/meminspect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "front/complete.h"
#include "front/host.h"
#include "front/output.h"
#include "front/run.h"
#include "front/session.h"
#include "target/inferior.h"

struct meminspect {
	struct insp_session *session;
	struct insp_pool *pool;	     /* of the defaults of the settings */
	struct insp_target_ops ops;  /* the host's, under its own name */
	struct insp_error err;
	bool hosted;
};

/* Members that this version knows of; a caller's struct that is shorter is from before them. */
#define OUTPUT_FIRST_BYTES (offsetof(struct meminspect_output, utf8) + sizeof(int))
#define HOST_FIRST_BYTES   (offsetof(struct meminspect_host, open_file) + sizeof(void *))

const char *meminspect_version(void)
{
	return INSP_VERSION;
}

int meminspect_api(void)
{
	return MEMINSPECT_API;
}

static struct meminspect *create(struct insp_settings *settings, struct insp_error *err)
{
	struct meminspect *m = calloc(1, sizeof(*m));

	if (m)
		m->pool = insp_pool_create();
	if (!m || !m->pool)
		(void)insp_fail(err, INSP_E_NOMEM, "out of memory");
	else if (insp_settings_init(settings, m->pool, err) == 0)
		return m;
	meminspect_close(m);
	return NULL;
}

static int opened(struct meminspect *m, int rc, const struct insp_error *err, struct meminspect **ret,
		  char *error, size_t error_bytes)
{
	if (m && !rc) {
		*ret = m;
		return MEMINSPECT_OK;
	}
	meminspect_close(m);
	if (error && error_bytes)
		snprintf(error, error_bytes, "%s", err->msg);
	return insp_exit_code(err->code);
}

int meminspect_open_core(const char *path, const char *exe, const char *sysroot,
			 struct meminspect **ret, char *error, size_t error_bytes)
{
	struct insp_settings settings;
	struct insp_error err = {0};
	struct meminspect *m = create(&settings, &err);
	int rc = err.code;

	if (m) {
		if (exe && *exe)
			settings.exe = insp_pool_strdup(m->pool, exe);
		if (sysroot && *sysroot)
			settings.sysroot = insp_pool_strdup(m->pool, sysroot);
		rc = insp_session_open(path, &settings, &m->session, &err);
	}
	return opened(m, rc, &err, ret, error, error_bytes);
}

int meminspect_open(const char *spec, struct meminspect **ret, char *error, size_t error_bytes)
{
	return meminspect_open_core(spec, NULL, NULL, ret, error, error_bytes);
}

int meminspect_open_host(const struct meminspect_host *host, struct meminspect **ret, char *error,
			 size_t error_bytes)
{
	struct insp_settings settings;
	struct insp_error err = {0};
	struct meminspect *m = NULL;
	int rc = INSP_E_USAGE;

	if (host->size_bytes < HOST_FIRST_BYTES) {
		(void)insp_fail(&err, INSP_E_USAGE, "struct meminspect_host: size_bytes is not set");
	} else {
		m = create(&settings, &err);
		if (m) {
			m->hosted = true;
			m->ops = insp_target_host;
			m->ops.name = host->kind ? host->kind : "host";
			rc = insp_session_open_with(&m->ops, host->name ? host->name : "?", (void *)host,
						    &settings, &m->session, &err);
		}
	}
	return opened(m, rc, &err, ret, error, error_bytes);
}

int meminspect_open_inferior(int pid, struct meminspect **ret, char *error, size_t error_bytes)
{
	struct insp_settings settings;
	struct insp_error err = {0};
	struct meminspect *m = create(&settings, &err);
	char spec[16];
	int rc = err.code;

	if (m) {
		m->hosted = true;
		snprintf(spec, sizeof(spec), "%d", pid);
		rc = insp_session_open_with(insp_target_inferior(), spec, NULL, &settings, &m->session,
					    &err);
	}
	return opened(m, rc, &err, ret, error, error_bytes);
}

void meminspect_invalidate(struct meminspect *session)
{
	insp_session_forget(session->session);
}

void meminspect_close(struct meminspect *session)
{
	if (!session)
		return;
	insp_session_close(session->session);
	insp_pool_destroy(session->pool);
	free(session);
}

const char *meminspect_error(const struct meminspect *session)
{
	return session->err.code ? session->err.msg : "";
}

static int write_through(void *ctx, const char *bytes, size_t n, struct insp_error *err)
{
	const struct meminspect_output *output = ctx;

	if (output->write(output->ctx, bytes, n) < 0)
		return insp_fail(err, INSP_E_IO, "the output was not taken");
	return 0;
}

static int run_line(struct meminspect *m, const char *line, const struct meminspect_output *to,
		    struct insp_pool *pool, struct insp_error *err)
{
	const struct insp_render_options options = {
		.color = to->color != 0, .utf8 = to->utf8 != 0, .width = to->width};
	struct insp_settings settings = m->session->settings;
	struct insp_output output;
	struct insp_words words = {0};
	struct insp_run run;
	int rc = insp_words_split(line, pool, &words, err), flushed;

	if (rc || !words.n)
		return rc;
	settings.format = to->format ? to->format : settings.format;
	if (!insp_renderer_find(settings.format))
		return insp_fail(err, INSP_E_USAGE, "there is no format '%s'", settings.format);
	rc = insp_run_parse((int)words.n, words.items, m->hosted ? INSP_COMMAND_GDB : INSP_COMMAND_REPL,
			    &settings, pool, NULL, &run, err);
	if (rc)
		return rc;
	if (run.settings.output && strcmp(run.settings.output, "-") != 0)
		return insp_run_command(m->session, &run, pool, NULL, err);
	insp_output_open_fn(&output, write_through, (void *)to, &options);
	rc = insp_run_command(m->session, &run, pool, &output, err);
	flushed = insp_output_close(&output, true, rc ? NULL : err);
	return rc ? rc : flushed;
}

int meminspect_run(struct meminspect *session, const char *line, const struct meminspect_output *output)
{
	struct insp_error err = {0};
	struct insp_pool *pool = insp_pool_create();
	int rc;

	insp_interrupt_clear();
	if (!pool)
		rc = insp_fail(&err, INSP_E_NOMEM, "out of memory");
	else if (output->size_bytes < OUTPUT_FIRST_BYTES || !output->write)
		rc = insp_fail(&err, INSP_E_USAGE, "struct meminspect_output: size_bytes or write is not set");
	else
		rc = run_line(session, line, output, pool, &err);
	insp_pool_destroy(pool);
	session->err = err;
	session->err.code = (enum insp_code)rc;
	return insp_exit_code(rc);
}

void meminspect_interrupt(void)
{
	insp_interrupt();
}

int meminspect_command(size_t i, struct meminspect_command *ret)
{
	const struct insp_command *const *all = insp_commands();

	for (size_t k = 0; k < i; k++)
		if (!all[k])
			return -1;
	if (!all[i])
		return -1;
	*ret = (struct meminspect_command){
		.name = all[i]->name,
		.group = all[i]->group,
		.summary = all[i]->summary,
		.help = all[i]->help,
		.example = all[i]->example,
		.in_debugger = (all[i]->flags & INSP_COMMAND_GDB) != 0,
	};
	return 0;
}

void meminspect_complete(struct meminspect *session, const char *before, const char *word,
			 void (*add)(void *to, const char *word), void *to)
{
	static const struct insp_session none;
	struct insp_pool *pool = insp_pool_create();
	struct insp_words words = {0};
	bool files;

	if (!pool)
		return;
	insp_complete(session ? session->session : &none, before, word, pool, &words, &files);
	for (size_t i = 0; i < words.n; i++)
		add(to, words.items[i]);
	insp_pool_destroy(pool);
}

/* The log callback is global, and so is what stands behind it. */
static struct {
	void (*fn)(void *ctx, enum meminspect_log_level level, const char *text, uint64_t part,
		   uint64_t whole);
	void *ctx;
} listener;

static void on_log(void *ctx, enum insp_log_level level, const char *text, uint64_t part, uint64_t whole)
{
	static const enum meminspect_log_level levels[] = {
		[INSP_LOG_DEBUG] = MEMINSPECT_LOG_DEBUG,
		[INSP_LOG_INFO] = MEMINSPECT_LOG_INFO,
		[INSP_LOG_WARN] = MEMINSPECT_LOG_WARN,
		[INSP_LOG_PROGRESS] = MEMINSPECT_LOG_PROGRESS,
	};

	(void)ctx;
	listener.fn(listener.ctx, levels[level], text, part, whole);
}

void meminspect_set_log(void (*fn)(void *ctx, enum meminspect_log_level level, const char *text,
				   uint64_t part, uint64_t whole),
			void *ctx)
{
	listener.fn = fn;
	listener.ctx = ctx;
	insp_log_set(fn ? on_log : NULL, NULL);
}
