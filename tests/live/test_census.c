/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A census of system calls that block: none of them fails or returns early because its thread was
 * stopped and let go. Those with a timeout come back with it, again and again; the others never.
 */
#include "../unit/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "target/inject.h"
#include "target/live.h"
#include "target/tracer_inside.h"

static int epoll_fd, timed[2], mute[2], full_timed[2], full_pipe[2], empty_pipe[2];
static int timed_listener, listener, event_fd, timer_fd, unset_timer_fd, signal_fd, inotify_fd;
static int semaphores, messages, locked_fd[2];
static char fifo[64], name[32];
static mqd_t queue = -1;
static pid_t child;
static aio_context_t aio, aio_too;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, own = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static uint32_t word;
static sigset_t usr2, none;
static char byte, many[65536];

#define MS5 (&(struct timespec){.tv_nsec = 5000000})
#define IOV (&(struct iovec){&byte, 1})
#define BIG (&(struct iovec){many, sizeof(many)})

static struct timespec soon(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += 5000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

static long failed(int e)
{
	errno = e;
	return e ? -1 : 0;
}

static long cond_wait(void)
{
	struct timespec t = soon(CLOCK_REALTIME);
	int e;

	pthread_mutex_lock(&own);
	e = pthread_cond_timedwait(&cond, &own, &t);
	pthread_mutex_unlock(&own);
	return failed(e);
}

#define CALL(id, expression)      \
	static long id(void)      \
	{                         \
		return expression; \
	}
/* with a timeout of 5 ms */
CALL(t_epoll_wait, epoll_wait(epoll_fd, &(struct epoll_event){0}, 1, 5))
CALL(t_epoll_pwait, epoll_pwait(epoll_fd, &(struct epoll_event){0}, 1, 5, &none))
CALL(t_epoll_pwait2, syscall(SYS_epoll_pwait2, epoll_fd, &(struct epoll_event){0}, 1, MS5, NULL, 8))
CALL(t_sigtimedwait, sigtimedwait(&usr2, NULL, MS5))
CALL(t_recv, recv(timed[0], &byte, 1, 0))
CALL(t_recvmsg, recvmsg(timed[0], &(struct msghdr){.msg_iov = IOV, .msg_iovlen = 1}, 0))
CALL(t_recvmmsg, recvmmsg(timed[0], &(struct mmsghdr){.msg_hdr = {.msg_iov = IOV, .msg_iovlen = 1}}, 1, 0, NULL))
CALL(t_read, read(timed[0], &byte, 1))
CALL(t_readv, readv(timed[0], IOV, 1))
CALL(t_accept, accept(timed_listener, NULL, NULL))
CALL(t_accept4, accept4(timed_listener, NULL, NULL, SOCK_CLOEXEC))
CALL(t_send, send(full_timed[0], many, sizeof(many), 0))
CALL(t_sendmsg, sendmsg(full_timed[0], &(struct msghdr){.msg_iov = BIG, .msg_iovlen = 1}, 0))
CALL(t_write, write(full_timed[0], many, sizeof(many)))
CALL(t_writev, writev(full_timed[0], BIG, 1))
CALL(t_semtimedop, semtimedop(semaphores, &(struct sembuf){.sem_op = -1}, 1, MS5))
CALL(t_io_getevents, syscall(SYS_io_getevents, aio, 1, 1, &(struct io_event){0}, MS5))
CALL(t_io_pgetevents, syscall(SYS_io_pgetevents, aio, 1, 1, &(struct io_event){0}, MS5, NULL))
CALL(t_poll, poll(NULL, 0, 5))
CALL(t_ppoll, ppoll(NULL, 0, MS5, &none))
CALL(t_select, select(0, NULL, NULL, NULL, &(struct timeval){.tv_usec = 5000}))
CALL(t_pselect, pselect(0, NULL, NULL, NULL, MS5, &none))
CALL(t_nanosleep, syscall(SYS_nanosleep, MS5, NULL))
CALL(t_clock_nanosleep, failed(clock_nanosleep(CLOCK_MONOTONIC, 0, MS5, NULL)))
CALL(t_clock_nanosleep_abs,
     failed(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec[]){soon(CLOCK_MONOTONIC)}[0], NULL)))
CALL(t_futex, syscall(SYS_futex, &word, FUTEX_WAIT, 0, MS5, NULL, 0))
CALL(t_futex_abs, syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &(struct timespec[]){soon(CLOCK_MONOTONIC)}[0], NULL, ~0u))
CALL(t_sem_timedwait, sem_timedwait(&semaphore, &(struct timespec[]){soon(CLOCK_REALTIME)}[0]))
CALL(t_mutex, failed(pthread_mutex_timedlock(&mutex, &(struct timespec[]){soon(CLOCK_REALTIME)}[0])))
CALL(t_mq, mq_timedreceive(queue, many, sizeof(many), NULL, &(struct timespec[]){soon(CLOCK_REALTIME)}[0]))
CALL(t_timerfd, read(timer_fd, many, 8) == 8 ? 0 : -1)
/* for ever */
CALL(f_pause, pause())
CALL(f_sigsuspend, sigsuspend(&usr2))
CALL(f_sigwaitinfo, sigwaitinfo(&usr2, NULL))
CALL(f_epoll_wait, epoll_wait(epoll_fd, &(struct epoll_event){0}, 1, -1))
CALL(f_poll, poll(&(struct pollfd){.fd = empty_pipe[0], .events = POLLIN}, 1, -1))
CALL(f_select, select(0, NULL, NULL, NULL, NULL))
CALL(f_read_pipe, read(empty_pipe[0], &byte, 1))
CALL(f_write_pipe, write(full_pipe[1], many, sizeof(many)))
CALL(f_read_socket, read(mute[0], &byte, 1))
CALL(f_recv, recv(mute[0], &byte, 1, 0))
CALL(f_accept, accept(listener, NULL, NULL))
CALL(f_eventfd, read(event_fd, many, 8))
CALL(f_timerfd, read(unset_timer_fd, many, 8))
CALL(f_signalfd, read(signal_fd, many, 256))
CALL(f_inotify, read(inotify_fd, many, 4096))
CALL(f_msgrcv, msgrcv(messages, many, 1, 0, 0))
CALL(f_mq, mq_receive(queue, many, sizeof(many), NULL))
CALL(f_semop, semop(semaphores, &(struct sembuf){.sem_op = -1}, 1))
CALL(f_setlkw, fcntl(locked_fd[1], F_OFD_SETLKW, &(struct flock){.l_type = F_WRLCK}))
CALL(f_flock, flock(locked_fd[1], LOCK_EX))
CALL(f_wait4, wait4(child, NULL, 0, NULL))
CALL(f_waitid, waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED))
CALL(f_futex, syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0))
CALL(f_sem_wait, sem_wait(&semaphore))
CALL(f_mutex, failed(pthread_mutex_lock(&mutex)))
CALL(f_open_fifo, open(fifo, O_RDONLY | O_CLOEXEC))
CALL(f_io_getevents, syscall(SYS_io_getevents, aio_too, 1, 1, &(struct io_event){0}, NULL))

static const struct {
	const char *name;
	long (*fn)(void);
	bool ends;
} calls[] = {
#define T(id) {#id, t_##id, true}
#define F(id) {#id, f_##id, false}
	T(epoll_wait), T(epoll_pwait), T(epoll_pwait2), T(sigtimedwait), T(recv), T(recvmsg), T(recvmmsg),
	T(read), T(readv), T(accept), T(accept4), T(send), T(sendmsg), T(write), T(writev),
	T(semtimedop), T(io_getevents), T(io_pgetevents), T(poll), T(ppoll), T(select), T(pselect),
	T(nanosleep), T(clock_nanosleep), T(clock_nanosleep_abs), T(futex), T(futex_abs),
	T(sem_timedwait), T(mutex), T(mq), T(timerfd), {"pthread_cond_timedwait", cond_wait, true},
	F(pause), F(sigsuspend), F(sigwaitinfo), F(epoll_wait), F(poll), F(select), F(read_pipe),
	F(write_pipe), F(read_socket), F(recv), F(accept), F(eventfd), F(timerfd), F(signalfd),
	F(inotify), F(msgrcv), F(mq), F(semop), F(setlkw), F(flock), F(wait4), F(waitid), F(futex),
	F(sem_wait), F(mutex), F(open_fifo), F(io_getevents),
};
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))

static void *call_again(void *arg)
{
	size_t i = (size_t)arg;

	w->tids[i] = (int)syscall(SYS_gettid);
	atomic_fetch_add(&w->ready, 1);
	for (;;) {
		long value = calls[i].fn();

		if ((value < 0 && errno == EINTR) || !calls[i].ends) {
			w->marker_addr = i;
			w->wrong[0] = (uint64_t)errno;
			atomic_fetch_add(&w->eintr, 1);
		}
		atomic_fetch_add(&w->beats[i], 1);
		if (!calls[i].ends)
			usleep(1000);
	}
	return NULL;
}

static void must(bool fine)
{
	if (!fine)
		_exit(errno > 0 && errno < 100 ? 100 + errno : 3);
}

static void fill_up(int fd)
{
	must(!fcntl(fd, F_SETFL, O_NONBLOCK));
	while (write(fd, many, sizeof(many)) > 0 || write(fd, many, 1) > 0)
		;
	must(!fcntl(fd, F_SETFL, 0));
}

static int listening(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	must(fd >= 0 && !bind(fd, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)) && !listen(fd, 1));
	return fd;
}

static void make_sockets(void)
{
	const struct timeval t = {.tv_usec = 5000};

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, timed) && !socketpair(AF_UNIX, SOCK_STREAM, 0, mute) &&
	     !socketpair(AF_UNIX, SOCK_STREAM, 0, full_timed));
	listener = listening();
	timed_listener = listening();
	fill_up(full_timed[0]);
	must(!setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) &&
	     !setsockopt(timed_listener, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) &&
	     !setsockopt(full_timed[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
}

static void make_files(void)
{
	const struct itimerspec every = {{.tv_nsec = 5000000}, {.tv_nsec = 5000000}};
	char path[64];

	must(!pipe(empty_pipe) && !pipe(full_pipe));
	fill_up(full_pipe[1]);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	event_fd = eventfd(0, EFD_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	unset_timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	signal_fd = signalfd(-1, &usr2, SFD_CLOEXEC);
	inotify_fd = inotify_init1(IN_CLOEXEC);
	must(epoll_fd >= 0 && event_fd >= 0 && timer_fd >= 0 && unset_timer_fd >= 0 && signal_fd >= 0 &&
	     inotify_fd >= 0 && !timerfd_settime(timer_fd, 0, &every, NULL));
	snprintf(fifo, sizeof(fifo), "/tmp/meminspect-fifo.%d", getpid());
	must(!mkfifo(fifo, 0600));
	snprintf(path, sizeof(path), "/tmp/meminspect-lock.%d", getpid());
	for (int i = 0; i < 2; i++)
		locked_fd[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(locked_fd[0] >= 0 && locked_fd[1] >= 0 && !flock(locked_fd[0], LOCK_EX) &&
	     !fcntl(locked_fd[0], F_OFD_SETLK, &(struct flock){.l_type = F_WRLCK}) && !unlink(path));
}

static void victim_waits(int arg)
{
	pthread_attr_t attr;

	(void)arg;
	sigemptyset(&none);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr2, NULL);
	make_sockets();
	make_files();
	semaphores = semget(IPC_PRIVATE, 1, 0600);
	w->created = (uint64_t)semaphores;
	messages = msgget(IPC_PRIVATE, 0600);
	w->exited = (uint64_t)messages;
	snprintf(name, sizeof(name), "/meminspect-%d", getpid());
	queue = mq_open(name, O_RDONLY | O_CREAT | O_CLOEXEC, 0600, NULL);
	must(semaphores >= 0 && messages >= 0 && queue >= 0 && !mq_unlink(name) &&
	     !sem_init(&semaphore, 0, 0) && !syscall(SYS_io_setup, 8, &aio) &&
	     !syscall(SYS_io_setup, 8, &aio_too));
	pthread_mutex_lock(&mutex);
	child = fork();
	must(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (size_t i = 0; i < N_CALLS; i++) {
		pthread_t thread;

		must(!pthread_create(&thread, &attr, call_again, (void *)i));
	}
	for (;;)
		pause();
}

/* Each call works before it is disturbed. */
static pid_t start_census(void)
{
	pid_t pid = spawn(victim_waits, 0);

	until(w->ready == N_CALLS || waitpid(pid, NULL, WNOHANG));
	assert_int_equal(w->ready, N_CALLS);
	for (size_t i = 0; i < N_CALLS; i++)
		until(!calls[i].ends || w->beats[i] > 1);
	return pid;
}

static void end_census(pid_t pid)
{
	uint64_t failures, call, code;
	char path[64];

	for (size_t i = 0; i < N_CALLS; i++) {
		uint64_t beats = w->beats[i];

		until(!calls[i].ends || w->beats[i] > beats);
	}
	failures = w->eintr; /* before semaphores and queues go, which their calls notice */
	call = w->marker_addr;
	code = w->wrong[0];
	(void)semctl((int)w->created, 0, IPC_RMID);
	(void)msgctl((int)w->exited, IPC_RMID, NULL);
	snprintf(path, sizeof(path), "/tmp/meminspect-fifo.%d", pid);
	(void)unlink(path);
	if (failures)
		fail_msg("%llu calls failed or came back, the last: %s, errno %llu", (unsigned long long)failures,
			 calls[call].name, (unsigned long long)code);
	end(pid);
}

static void stop__lets_no_call_fail(void **state)
{
	const int rounds = rounds_of(100, 500);
	pid_t pid = start_census();
	struct insp_target *target;
	uint32_t mended = 0;

	(void)state;
	target = open_pid(pid);
	for (int i = 0; i < rounds; i++) {
		stop(target);
		mended += resume(target).restarts_mended;
		usleep(200 + (unsigned)(i * 7919) % 5000);
	}
	insp_target_close(target);
	end_census(pid);
	assert_true(mended > (uint32_t)rounds); /* or the test has tested nothing */
}

/* Killed between the interruption of a thread and the mending of its call, above all. */
static void stop__lets_no_call_fail_when_we_die(void **state)
{
	pid_t pid = start_census();

	(void)state;
	for (int round = 0; round < rounds_of(200, 1000); round++) {
		pid_t inspector = inspector_start();
		struct insp_target *target;

		if (inspector) {
			usleep(500 + (unsigned)(round * 7919) % 6000);
			assert_true(WIFSIGNALED(inspector_end(inspector, pid)));
			continue;
		}
		target = open_pid(pid);
		for (;;) {
			stop(target);
			(void)resume(target);
		}
	}
	end_census(pid);
}

/* A limit that is over before all have stopped: those that were asked to are mended yet. */
static void stop__lets_no_call_fail_when_the_time_is_over(void **state)
{
	pid_t pid = start_census();
	struct insp_target *target;
	int cut = 0;

	(void)state;
	target = open_pid(pid);
	for (int i = 0; i < rounds_of(300, 2000); i++) {
		const struct insp_stop_options options = {.max_pause_ns = (uint64_t)(i * 7919) % 400000 + 1};
		struct insp_error err = {0};

		if (!target->ops->stop(target, &options, &err)) {
			(void)resume(target);
			continue;
		}
		assert_int_equal(err.code, INSP_E_BUDGET);
		cut++;
	}
	insp_target_close(target);
	end_census(pid);
	assert_true(cut > 10);
}

/* A call made for us, in a thread of which it is known in which call of its own it waits. */
struct visit {
	struct insp_inject *inject;
	int tid;
	int64_t value;
};

static int visit(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	const uint64_t args[6] = {0};
	struct visit *v = ctx;
	int events[N_CALLS + 2], rc;

	assert_true(t->n <= N_CALLS + 2);
	for (size_t i = 0; i < t->n; i++) { /* the others are not offered */
		events[i] = t->tracees[i].event;
		if (t->tracees[i].tid != v->tid)
			t->tracees[i].event = 0;
	}
	rc = insp_inject_call(v->inject, t, SYS_getppid, args, &v->value, err);
	for (size_t i = 0; i < t->n; i++)
		t->tracees[i].event = events[i];
	return rc;
}

static void inject__lets_no_call_fail(void **state)
{
	const size_t rounds = (size_t)rounds_of(5, 200);
	pid_t pid = start_census();
	struct insp_error err = {0};
	struct insp_target *target;
	struct visit v = {0};
	size_t made = 0;

	(void)state;
	target = open_pid(pid);
	if (insp_inject_create(target, &v.inject, &err))
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < rounds * N_CALLS; i++) {
		v.tid = w->tids[i % N_CALLS];
		made += asked_in_stop(target, visit, &v, &v.value, &err);
		usleep((unsigned)(i * 7919) % 500);
	}
	insp_inject_destroy(v.inject);
	for (int i = 0; i < rounds_of(10, 100); i++)
		take_picture(target, i & 1 ? INSP_CAPTURE_FORK : INSP_CAPTURE_PRECOPY);
	insp_target_close(target);
	end_census(pid);
	assert_true(made > rounds * N_CALLS * 9 / 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop__lets_no_call_fail),
		cmocka_unit_test(stop__lets_no_call_fail_when_we_die),
		cmocka_unit_test(stop__lets_no_call_fail_when_the_time_is_over),
		cmocka_unit_test(inject__lets_no_call_fail),
	};

	return run_forked_tests(tests, argc, argv);
}
