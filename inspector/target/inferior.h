/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inferior: a live process that the program we run inside (a debugger) traces already.
 *
 * Memory, mappings, page states and books come from the live back end; nothing is stopped, because
 * the debugger holds it; registers are asked of the kernel, which answers only the thread that
 * traces: call everything from that one.
 */
#ifndef INSP_TARGET_INFERIOR_H
#define INSP_TARGET_INFERIOR_H

#include "target/target.h"

/* spec is the pid. View, good for ever. */
const struct insp_target_ops *insp_target_inferior(void);

#endif
