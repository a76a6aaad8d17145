/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * terminal: a screen of our own on the user's terminal, single keys, and waiting without missing
 * a signal. What was changed is changed back by close, and around Ctrl-Z.
 */
#ifndef INSP_TOOL_TERMINAL_H
#define INSP_TOOL_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/str.h"

enum insp_wake {
	INSP_WAKE_TIME = 0,
	INSP_WAKE_KEY = 1 << 0,
	INSP_WAKE_RESIZE = 1 << 1, /* also when we come back to the foreground: draw anew */
	INSP_WAKE_END = 1 << 2,	   /* SIGTERM, SIGHUP, Ctrl-C, or the terminal is gone */
};

struct insp_terminal {
	bool screen; /* ours is shown */
	bool keys;   /* stdin is a terminal, too */
	struct termios saved;
	sigset_t outside; /* the signal mask while waiting */
};

/* Takes over SIGTERM, SIGHUP, SIGWINCH and SIGTSTP. with_screen: only on a terminal. */
void insp_terminal_open(struct insp_terminal *terminal, bool with_screen);
void insp_terminal_close(struct insp_terminal *terminal);
/* Returns enum insp_wake; *ret_key is the character. */
unsigned insp_terminal_wait(struct insp_terminal *terminal, uint64_t until_mono_ns, char *ret_key);
/* All of it, at once. False: nobody reads any more. */
bool insp_terminal_write(const struct insp_str *text);

#endif
