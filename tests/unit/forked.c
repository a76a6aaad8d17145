/* SPDX-License-Identifier: GPL-3.0-or-later */
/* forked: see forked.h */
#include "forked.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "target/live.h"

struct witness *w;

int forked_init(void)
{
	w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return w == MAP_FAILED;
}

int rounds_of(int few, int many)
{
	return getenv("MEMINSPECT_STRESS") ? many : few;
}

pid_t spawn(void (*victim)(int), int arg)
{
	pid_t pid;

	memset(w, 0, sizeof(*w));
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		victim(arg);
		_exit(0);
	}
	return pid;
}

void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool in_inspector;
static int inspector_fd = -1; /* ends when nobody has the inspector's descriptors any more */

static void must(bool fine, const char *what, const struct insp_error *err)
{
	if (fine)
		return;
	if (in_inspector) {
		fprintf(stderr, "inspector: %s: %s\n", what, err->msg);
		_exit(4);
	}
	fail_msg("%s: %s", what, err->msg);
}

pid_t inspector_start(void)
{
	int ends[2];
	pid_t pid;

	if (inspector_fd >= 0)
		close(inspector_fd);
	assert_int_equal(pipe(ends), 0);
	inspector_fd = ends[0];
	fflush(NULL);
	pid = fork();
	if (!pid) {
		in_inspector = true;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	close(ends[!pid ? 0 : 1]);
	assert_true(pid >= 0);
	return pid;
}

static bool traced(pid_t pid)
{
	char path[64], line[256];
	struct dirent *d;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && !found && (d = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid, d->d_name);
		f = d->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			found = found || (!strncmp(line, "TracerPid:", 10) && atoi(line + 10));
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return found;
}

int inspector_end(pid_t inspector, pid_t target)
{
	int status = 0;
	char c;

	kill(inspector, SIGKILL);
	while (waitpid(inspector, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	until(read(inspector_fd, &c, 1) == 0);
	until(!traced(target));
	return status;
}

struct insp_target *open_pid(pid_t pid)
{
	static char spec[16];
	struct insp_target *target;
	struct insp_error err = {0};

	snprintf(spec, sizeof(spec), "%d", pid);
	must(!insp_target_open_with(&insp_target_live, spec, NULL, &target, &err), "open", &err);
	return target;
}

void stop_with(struct insp_target *target, const struct insp_stop_options *options)
{
	struct insp_error err = {0};

	must(!target->ops->stop(target, options, &err), "stop", &err);
	must(target->ops->held(target), "stop: it is not held", &err);
}

void stop(struct insp_target *target)
{
	const struct insp_stop_options options = {.want_registers = true, .stack_bytes = 64 << 10};

	stop_with(target, &options);
}

struct insp_stop_report resume(struct insp_target *target)
{
	struct insp_stop_report report;

	target->ops->resume(target, &report);
	must(!target->ops->held(target), "resume: it is still held", &(struct insp_error){0});
	return report;
}

bool asked_in_stop(struct insp_target *target, insp_tracer_fn fn, void *ctx, const int64_t *value,
		   struct insp_error *err)
{
	int rc;

	stop(target);
	rc = insp_tracer_call(insp_live_of(target)->tracer, fn, ctx, err);
	(void)resume(target);
	if (rc)
		assert_int_equal(rc, INSP_E_UNSUPPORTED);
	else
		assert_int_equal(*value, getpid());
	return !rc;
}

void take_picture(struct insp_target *target, enum insp_capture_mode mode)
{
	static const char *const names[] = {"auto", "stop", "precopy", "fork", "live"};
	const struct insp_take_options options = {
		.needs = INSP_NEED_CHUNKS | INSP_NEED_STACKS,
		.mode = mode,
		.allow_inject = true,
		.max_pause_ns = 20000000000,
	};
	struct insp_error err = {0};
	struct insp_snapshot *snap;

	must(!insp_snapshot_take(target, &options, &snap, NULL, &err), "snapshot", &err);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		w->taken[i] += !strcmp(names[i], snap->capture.mode);
	insp_snapshot_destroy(snap);
}

struct insp_threads threads_of(struct insp_target *target, struct insp_pool *pool)
{
	struct insp_threads threads = {0};
	struct insp_error err = {0};

	if (target->ops->threads(target, pool, &threads, &err))
		fail_msg("threads: %s", err.msg);
	return threads;
}

uint64_t status_kib(pid_t pid, const char *key)
{
	char path[64], line[256];
	uint64_t v = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtoull(line + strlen(key) + 1, NULL, 10);
	fclose(f);
	return v;
}

char state_of(pid_t pid)
{
	char path[64], buf[512], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

/* ---- victims */

void *beat(void *arg)
{
	size_t i = (size_t)arg;
	volatile uint64_t local[64];

	for (size_t k = 0; k < 64; k++)
		local[k] = 0x5ca1ab1e00000000 + i;
	w->stack_addr[i] = (uint64_t)(uintptr_t)local;
	w->tids[i] = (int)syscall(SYS_gettid);
	atomic_fetch_add(&w->ready, 1);
	for (;;) {
		atomic_fetch_add(&w->beats[i], 1);
		if (i % 3 != 2)
			usleep(500 + i % 7 * 100);
		else if (i % 64 != 2) /* a few spin */
			poll(NULL, 0, 2);
		if (local[3] != 0x5ca1ab1e00000000 + i)
			abort();
	}
	return NULL;
}

void victim_threads(int n)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (long i = 1; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, beat, (void *)i))
			_exit(3);
	}
	beat(NULL);
}
