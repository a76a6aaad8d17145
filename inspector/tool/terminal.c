/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tool/terminal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/log.h"

/* The other screen, no cursor, no wrapping; and back. */
#define SHOW "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
#define HIDE "\033[?7h\033[?25h\033[?1049l"

/* Signals have no other place to leave a word. */
static struct {
	volatile sig_atomic_t resized, ended, suspended;
} word;

static void on_signal(int sig)
{
	if (sig == SIGWINCH) {
		word.resized = 1;
	} else if (sig == SIGTSTP) {
		word.suspended = 1;
	} else {
		word.ended = 1;
		insp_interrupt(); /* a walk that is under way ends early */
	}
}

static const int signals[] = {SIGWINCH, SIGTSTP, SIGTERM, SIGHUP};
#define NSIGNALS (sizeof(signals) / sizeof(signals[0]))

static void write_text(const char *text)
{
	struct insp_str s = {0};

	insp_str_add(&s, text);
	(void)insp_terminal_write(&s);
	insp_str_deinit(&s);
}

static void show(struct insp_terminal *t)
{
	struct termios raw = t->saved;

	if (t->keys) {
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	if (t->screen)
		write_text(SHOW);
}

static void hide(struct insp_terminal *t)
{
	if (t->screen)
		write_text(HIDE);
	if (t->keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
}

void insp_terminal_open(struct insp_terminal *t, bool with_screen)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t block;

	*t = (struct insp_terminal){.screen = with_screen};
	t->keys = with_screen && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->saved) == 0;
	sigemptyset(&sa.sa_mask);
	for (size_t i = with_screen ? 0 : 2; i < NSIGNALS; i++)
		(void)sigaction(signals[i], &sa, NULL);
	sigemptyset(&block);
	(void)sigprocmask(SIG_BLOCK, &block, &t->outside);
	show(t);
}

void insp_terminal_close(struct insp_terminal *t)
{
	hide(t);
	t->screen = t->keys = false;
	for (size_t i = 0; i < NSIGNALS; i++)
		(void)signal(signals[i], SIG_DFL);
}

static void suspend(struct insp_terminal *t)
{
	word.suspended = 0;
	hide(t);
	(void)raise(SIGSTOP);
	show(t);
	word.resized = 1;
}

static unsigned look(void)
{
	unsigned wake = 0;

	if (word.ended || insp_interrupted())
		wake |= INSP_WAKE_END;
	if (word.resized)
		wake |= INSP_WAKE_RESIZE;
	word.resized = 0;
	return wake;
}

unsigned insp_terminal_wait(struct insp_terminal *t, uint64_t until_mono_ns, char *ret_key)
{
	struct pollfd in = {.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN};
	sigset_t block, before;
	unsigned wake;
	int n = 0;

	/* Blocked from the look to the wait: what comes in between ends the wait at once. */
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaddset(&block, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &block, &before);
	if (word.suspended) {
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		suspend(t);
		(void)sigprocmask(SIG_BLOCK, &block, NULL);
	}
	wake = look();
	if (!wake) {
		uint64_t now = insp_now_ns(), left = until_mono_ns > now ? until_mono_ns - now : 0;
		struct timespec ts = {(time_t)(left / 1000000000), (long)(left % 1000000000)};

		n = ppoll(&in, 1, &ts, &t->outside);
		wake = look();
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (n > 0) {
		ssize_t k = read(STDIN_FILENO, ret_key, 1);

		wake |= k == 1 ? INSP_WAKE_KEY : k == 0 || errno != EINTR ? INSP_WAKE_END : 0;
	}
	return wake;
}

bool insp_terminal_write(const struct insp_str *text)
{
	const char *p = insp_str_text(text);
	size_t n = text->len;

	while (n) {
		ssize_t k = write(STDOUT_FILENO, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}
