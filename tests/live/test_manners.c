/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The target does not notice that it was stopped, whatever it is doing and however we end.
 */
#include "../unit/forked.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- deaths of the inspector */

static void inspect_for_ever(pid_t pid)
{
	for (;;) {
		struct insp_target *target = open_pid(pid);

		for (int i = 0; i < 5; i++) {
			stop(target);
			(void)resume(target);
		}
		insp_target_close(target);
	}
}

static void stop__survives_the_death_of_the_inspector(void **state)
{
	pid_t pid = spawn(victim_threads, 8);

	(void)state;
	until(w->ready == 8);
	for (int round = 0; round < rounds_of(200, 1000); round++) {
		uint64_t beats[8];
		pid_t inspector = inspector_start();

		if (!inspector)
			inspect_for_ever(pid);
		usleep(1000 + (unsigned)(round * 7919) % 9000);
		assert_true(WIFSIGNALED(inspector_end(inspector, pid))); /* it was at work until then */
		for (int i = 0; i < 8; i++)
			beats[i] = w->beats[i];
		for (int i = 0; i < 8; i++)
			until(w->beats[i] != beats[i]);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}

/* ---- signals */

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&w->signals, 1);
}

static void victim_signals(int n)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGRTMIN, &action, NULL);
	victim_threads(n);
}

static void send_signals(pid_t pid)
{
	/* Through a descriptor, and not for longer than the test: never to whoever has the number
	 * next. */
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL))
		_exit(1);
	while (!w->stop) {
		if (!syscall(SYS_pidfd_send_signal, fd, SIGRTMIN, NULL, 0))
			atomic_fetch_add(&w->sent, 1);
		for (volatile int i = 0; i < 20000; i++)
			;
	}
	_exit(0);
}

static void stop__loses_no_signal(void **state)
{
	pid_t pid = spawn(victim_signals, 6), sender;
	struct insp_target *target;

	(void)state;
	until(w->ready == 6);
	sender = fork();
	assert_true(sender >= 0);
	if (!sender)
		send_signals(pid);
	target = open_pid(pid);
	for (int i = 0; i < 300 || w->sent < (uint64_t)rounds_of(1000, 100000); i++) {
		stop(target);
		(void)resume(target);
	}
	for (int i = 0; i < rounds_of(30, 500); i++) /* nor when it works for us */
		take_picture(target, i & 1 ? INSP_CAPTURE_FORK : INSP_CAPTURE_PRECOPY);
	assert_true(w->taken[INSP_CAPTURE_FORK] > 0);
	insp_target_close(target);
	for (int round = 0; round < rounds_of(100, 1000); round++) { /* and not when we die */
		pid_t inspector = inspector_start();

		if (!inspector)
			inspect_for_ever(pid);
		usleep(500 + (unsigned)(round * 7919) % 4000);
		assert_true(WIFSIGNALED(inspector_end(inspector, pid)));
	}
	w->stop = 1;
	assert_int_equal(waitpid(sender, NULL, 0), sender);
	assert_true(w->sent > 1000);
	until(w->signals == w->sent);
	end(pid);
}

/* ---- storms, exec, exit */

static pthread_attr_t storm_attr;

static void *storm_link(void *arg)
{
	pthread_t thread;

	atomic_fetch_add(&w->created, 1);
	while (pthread_create(&thread, &storm_attr, storm_link, arg))
		usleep(100);
	atomic_fetch_add(&w->exited, 1);
	return NULL;
}

static void *storm_end(void *arg)
{
	atomic_fetch_add(&w->exited, 1);
	return arg;
}

/* Makes threads that end at once. */
static void *storm_creator(void *arg)
{
	for (;;) {
		pthread_t thread;

		if (pthread_create(&thread, &storm_attr, storm_end, NULL))
			usleep(100);
		else
			atomic_fetch_add(&w->created, 1);
	}
	return arg;
}

static void begin_storm(void *(*fn)(void *), int n)
{
	pthread_attr_init(&storm_attr);
	pthread_attr_setstacksize(&storm_attr, 32 << 10);
	pthread_attr_setdetachstate(&storm_attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &storm_attr, fn, NULL))
			_exit(3);
	}
	atomic_store(&w->ready, 1);
	for (;;)
		pause();
}

static void victim_chains(int n)
{
	begin_storm(storm_link, n);
}

static void victim_creators(int n)
{
	begin_storm(storm_creator, n);
}

/* How many tasks could still run in user mode: not held, and not on their way out. */
static size_t loose_tasks(pid_t pid)
{
	char path[64];
	struct dirent *d;
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir))) {
		char state = d->d_name[0] == '.' ? 't' : state_of(atoi(d->d_name));

		n += state && !strchr("tZX", state);
	}
	closedir(dir);
	return n;
}

static void hold_storm(void (*victim)(int), int n)
{
	pid_t pid = spawn(victim, n);
	struct insp_target *target;
	uint64_t created = 0, exited;

	until(w->ready);
	target = open_pid(pid);
	for (int i = 0; i < rounds_of(100, 1000); i++) {
		until(w->created > created + 3); /* it rages on */
		stop(target);
		created = w->created;
		exited = w->exited;
		assert_int_equal(loose_tasks(pid), 0);
		usleep(1000);
		assert_int_equal(created, w->created);
		assert_int_equal(exited, w->exited);
		(void)resume(target);
	}
	insp_target_close(target);
	end(pid);
}

static void stop__catches_every_thread_of_50_chains(void **state)
{
	(void)state;
	hold_storm(victim_chains, 50);
}

static void stop__catches_every_thread_of_4_creators(void **state)
{
	(void)state;
	skip_with_sanitizer("a sanitizer maps memory for each thread, and so many at once have none left");
	hold_storm(victim_creators, 4);
}

static void *spin_exec(void *arg)
{
	(void)arg;
	for (;;)
		usleep(100);
	return NULL;
}

/* Executes itself again and again, each time from a thread among others. */
static void victim_exec(int arg)
{
	char *argv[] = {(char *)"exec-again", NULL};

	(void)arg;
	atomic_store(&w->ready, 1);
	execv("/proc/self/exe", argv);
	_exit(3);
}

static void *exec_again(void *arg)
{
	char *argv[] = {(char *)"exec-again", NULL};

	(void)arg;
	usleep(2000);
	execv("/proc/self/exe", argv);
	_exit(100 + errno);
}

static int exec_again_main(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 8; i++) {
		pthread_t thread;

		/* The last one executes: meanwhile, no thread can be created (EAGAIN). */
		if (pthread_create(&thread, NULL, i < 7 ? spin_exec : exec_again, NULL))
			return 3;
	}
	for (;;)
		pause();
}

static void stop__survives_exec(void **state)
{
	pid_t pid = spawn(victim_exec, 0);
	char spec[16];
	unsigned stopped = 0;

	(void)state;
	until(w->ready);
	snprintf(spec, sizeof(spec), "%d", pid);
	for (int i = 0; i < rounds_of(300, 1000); i++) {
		const struct insp_stop_options options = {.want_registers = true, .stack_bytes = 4096};
		struct insp_target *target;
		struct insp_error err = {0};
		uint64_t start = insp_now_ns();

		if (insp_target_open_with(&insp_target_live, spec, NULL, &target, &err)) {
			int status = 0;

			(void)waitpid(pid, &status, WNOHANG);
			fail_msg("round %d, status %#x: open: %s", i, status, err.msg);
		}
		if (!target->ops->stop(target, &options, &err)) {
			stopped++;
			(void)resume(target);
		} else {
			assert_int_equal(err.code, INSP_E_GONE);
		}
		insp_target_close(target);
		assert_true(insp_now_ns() - start < 5000000000ull); /* no deadlock */
	}
	assert_true(stopped > 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}

static void victim_exits(int n)
{
	for (long i = 1; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, beat, (void *)i))
			_exit(3);
	}
	atomic_fetch_add(&w->ready, 1);
	usleep(2000 + (useconds_t)getpid() % 5 * 300);
	_exit(7);
}

static void stop__keeps_the_exit_code(void **state)
{
	(void)state;
	for (int round = 0; round < rounds_of(100, 400); round++) {
		pid_t pid = spawn(victim_exits, 8);
		char spec[16];
		int status;

		snprintf(spec, sizeof(spec), "%d", pid);
		for (;;) {
			const struct insp_stop_options options = {.want_registers = true};
			struct insp_target *target;
			struct insp_error err = {0};
			int rc = insp_target_open_with(&insp_target_live, spec, NULL, &target, &err);

			if (rc) {
				assert_int_equal(rc, INSP_E_GONE);
				break;
			}
			if (!target->ops->stop(target, &options, &err))
				(void)resume(target);
			else
				assert_int_equal(err.code, INSP_E_GONE);
			insp_target_close(target);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 7);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop__survives_the_death_of_the_inspector),
		cmocka_unit_test(stop__loses_no_signal),
		cmocka_unit_test(stop__catches_every_thread_of_50_chains),
		cmocka_unit_test(stop__catches_every_thread_of_4_creators),
		cmocka_unit_test(stop__survives_exec),
		cmocka_unit_test(stop__keeps_the_exit_code),
	};

	if (!strcmp(argv[0], "exec-again"))
		return exec_again_main();
	return run_forked_tests(tests, argc, argv);
}
