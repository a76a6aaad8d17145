/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls made for us and copies of a target, beside what the target does at that moment: a sequence that must
 * not be interrupted unseen (rseq), and stops and continuations by its parent.
 */
#include "../unit/forked.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "target/inject.h"
#include "target/live.h"
#include "target/tracer.h"

/* ---- restartable sequences */

static struct {
	volatile uint64_t n;
	uint64_t pad[7];
} counters[4096]; /* one for each CPU, and no locks */

/*
 * Adds one to the counter of this CPU, in a sequence that takes its time between the load and the store. False
 * when the kernel saw it interrupted; if it was interrupted and the kernel did not see it, others have
 * counted meanwhile, and their count is lost.
 */
__attribute__((noinline)) static bool count_here(struct rseq *rseq)
{
	uint64_t rax, done;

	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n"
			 ".balign 32\n"
			 "3: .long 0, 0\n .quad 1f, 2f - 1f, 4f\n"
			 ".popsection\n"
			 "lea 3b(%%rip), %0\n mov %0, 8(%2)\n"
			 "1: mov 4(%2), %k0\n shl $6, %0\n add %3, %0\n"
			 "mov (%0), %%rdx\n mov $60000, %%ecx\n"
			 "5: dec %%ecx\n jnz 5b\n"
			 "inc %%rdx\n mov %%rdx, (%0)\n"
			 "2: movq $0, 8(%2)\n mov $1, %k1\n jmp 6f\n"
			 ".long 0x53053053\n" /* the signature that glibc registers */
			 "4: xor %k1, %k1\n"
			 "6:\n"
			 : "=&r"(rax), "=&r"(done)
			 : "r"(rseq), "r"(counters)
			 : "rcx", "rdx", "memory", "cc");
	return done;
}

static void *count_cpus(void *arg)
{
	struct rseq *rseq = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	size_t i = (size_t)arg;

	atomic_fetch_add(&w->ready, 1);
	while (!w->stop) {
		if (count_here(rseq))
			atomic_fetch_add(&w->beats[i], 1);
		else
			atomic_fetch_add(&w->signals, 1);
	}
	return NULL;
}

static void victim_rseq(int n)
{
	pthread_t threads[16];

	for (long i = 1; i < n; i++)
		if (pthread_create(&threads[i], NULL, count_cpus, (void *)i))
			_exit(3);
	count_cpus(NULL);
	for (long i = 1; i < n; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		w->created += counters[i].n;
	atomic_store(&w->stop, 2);
	for (;;)
		pause();
}

struct call {
	struct insp_inject *inject;
	int64_t value;
};

static int ask_parent(struct insp_tracer *t, void *ctx, struct insp_error *err)
{
	const uint64_t args[6] = {0};
	struct call *c = ctx;

	return insp_inject_call(c->inject, t, SYS_getppid, args, &c->value, err);
}

static bool has_rseq(void)
{
	if (__rseq_size)
		return true;
	print_message("the C library has not registered rseq\n");
	return false;
}

static void inject__leaves_restartable_sequences_alone(void **state)
{
	const int n = 4;
	int made = 0, refused = 0;
	struct insp_error err = {0};
	struct insp_target *target;
	struct call call = {0};
	uint64_t counted = 0;
	pid_t pid;

	(void)state;
	if (!has_rseq())
		skip();
	pid = spawn(victim_rseq, n);
	until(w->ready == n);
	target = open_pid(pid);
	if (insp_inject_create(target, &call.inject, &err))
		fail_msg("%s", err.msg);
	for (int i = 0; i < rounds_of(500, 5000); i++) {
		if (asked_in_stop(target, ask_parent, &call, &call.value, &err))
			made++;
		else
			refused += strstr(err.msg, "it is in a restartable sequence") != NULL;
	}
	insp_inject_destroy(call.inject);
	for (int i = 0; i < rounds_of(20, 200); i++)
		take_picture(target, i & 1 ? INSP_CAPTURE_FORK : INSP_CAPTURE_PRECOPY);
	insp_target_close(target);
	atomic_store(&w->stop, 1);
	until(w->stop == 2);
	for (int i = 0; i < n; i++)
		counted += w->beats[i];
	print_message("%llu counted, %llu begun anew; %d calls made, %d refused, %llu pictures by a stop instead\n",
		      (unsigned long long)counted, (unsigned long long)w->signals, made, refused,
		      (unsigned long long)w->taken[INSP_CAPTURE_STOP]);
	assert_true(counted > 1000 && w->signals > 0);
	assert_true(refused > 10); /* or it was never met in one */
	assert_int_equal(w->created, counted);
	end(pid);
}

/* ---- stopped and continued by its parent */

static void on_cont(int sig)
{
	(void)sig;
	atomic_fetch_add(&w->signals, 1);
}

static void victim_continued(int n)
{
	const struct sigaction action = {.sa_handler = on_cont, .sa_flags = SA_RESTART};

	sigaction(SIGCONT, &action, NULL);
	victim_threads(n);
}

static void take_for_ever(pid_t pid)
{
	static const enum insp_capture_mode modes[] = {INSP_CAPTURE_FORK, INSP_CAPTURE_PRECOPY, INSP_CAPTURE_STOP};
	struct insp_target *target = open_pid(pid);

	for (size_t i = 0;; i++)
		take_picture(target, modes[i % 3]);
}

/*
 * Each SIGSTOP is told once to the parent, all threads stand until SIGCONT, which is told once, and is
 * delivered: whatever we do in there meanwhile.
 */
static void copies__keep_stops_and_continuations(void **state)
{
	const int n = 4;
	pid_t pid = spawn(victim_continued, n), inspector;
	int status, rounds = rounds_of(300, 5000);

	(void)state;
	until(w->ready == n);
	inspector = inspector_start();
	if (!inspector)
		take_for_ever(pid);
	until(w->taken[INSP_CAPTURE_FORK]);
	for (int i = 1; i <= rounds || w->taken[INSP_CAPTURE_FORK] < 20; i++) {
		uint64_t beats[4];

		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
		for (int k = 0; k < n; k++)
			beats[k] = w->beats[k];
		usleep((unsigned)(i * 7919) % 3000);
		for (int k = 0; k < n; k++)
			assert_int_equal(w->beats[k], beats[k]);
		assert_int_equal(waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED), 0);
		kill(pid, SIGCONT);
		assert_int_equal(waitpid(pid, &status, WUNTRACED | WCONTINUED), pid);
		assert_true(WIFCONTINUED(status));
		until(w->signals == (uint64_t)i);
		for (int k = 0; k < n; k++)
			until(w->beats[k] != beats[k]);
	}
	assert_true(WIFSIGNALED(inspector_end(inspector, pid)));
	print_message("%llu forks, %llu copies, %llu stops\n", (unsigned long long)w->taken[INSP_CAPTURE_FORK],
		      (unsigned long long)w->taken[INSP_CAPTURE_PRECOPY],
		      (unsigned long long)w->taken[INSP_CAPTURE_STOP]);
	assert_int_equal(waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED), 0);
	end(pid);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inject__leaves_restartable_sequences_alone),
		cmocka_unit_test(copies__keep_stops_and_continuations),
	};

	return run_forked_tests(tests, argc, argv);
}
