/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * locks: "left" and "right" hold a mutex each and want the other's; waiter-0 to waiter-4 want the
 * one that left holds; "joiner" waits for left to end, "cond", "sem" and "rwlock" for what
 * their names say; main holds the rwlock.
 */
/* variant? musl: CC=musl-gcc -static */
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>

#include "victim.h"

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static pthread_barrier_t both;
static pthread_t left_thread;
static int tids[16], ntids;
static volatile int forever = 1;

static void begin(const char *name)
{
	pthread_setname_np(pthread_self(), name);
	tids[__atomic_fetch_add(&ntids, 1, __ATOMIC_SEQ_CST)] = (int)syscall(SYS_gettid);
}

static void *left(void *arg)
{
	begin("left");
	pthread_mutex_lock(&first);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&second);
	return arg;
}

static void *right(void *arg)
{
	begin("right");
	pthread_mutex_lock(&second);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&first);
	return arg;
}

static void *waiter(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "waiter-%d", (int)(size_t)arg);
	begin(name);
	pthread_mutex_lock(&first);
	return arg;
}

static void *joiner(void *arg)
{
	begin("joiner");
	pthread_join(left_thread, NULL);
	return arg;
}

static void *on_cond(void *arg)
{
	begin("cond");
	pthread_mutex_lock(&other);
	while (forever)
		pthread_cond_wait(&cond, &other);
	return arg;
}

static void *on_semaphore(void *arg)
{
	begin("sem");
	sem_wait(&semaphore);
	return arg;
}

static void *on_rwlock(void *arg)
{
	begin("rwlock");
	pthread_rwlock_wrlock(&rwlock);
	return arg;
}

static pthread_t start(void *(*function)(void *), size_t arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, (void *)arg))
		_exit(1);
	return thread;
}

/* All of them: they have nothing else to do than to wait for ever. */
static void wait_for_sleep(void)
{
	for (int i = 0; i < ntids; i++) {
		char path[64], stat[64] = "";

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tids[i]);
		while (!strstr(stat, ") S")) {
			FILE *f = fopen(path, "r");

			if (!f || !fgets(stat, sizeof(stat), f))
				_exit(5);
			fclose(f);
			usleep(1000);
		}
	}
}

static int tid_at(int i)
{
	return __atomic_load_n(&tids[i], __ATOMIC_SEQ_CST);
}

int main(void)
{
	victim_init();
	pthread_barrier_init(&both, NULL, 3);
	sem_init(&semaphore, 0, 0);
	pthread_rwlock_wrlock(&rwlock);
	left_thread = start(left, 0);
	while (!tid_at(0))
		usleep(1000);
	start(right, 0);
	while (!tid_at(1))
		usleep(1000);
	pthread_barrier_wait(&both);
	for (size_t i = 0; i < 5; i++)
		start(waiter, i);
	start(joiner, 0);
	start(on_cond, 0);
	start(on_semaphore, 0);
	start(on_rwlock, 0);
	while (__atomic_load_n(&ntids, __ATOMIC_SEQ_CST) < 11 || !tid_at(10))
		usleep(1000);
	wait_for_sleep();
	victim_ready("\"left\":%d,\"right\":%d,\"first\":\"%p\",\"second\":\"%p\"", tids[0], tids[1],
		     (void *)&first, (void *)&second);
	victim_wait();
}
