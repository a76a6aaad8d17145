/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cli: meminspect COMMAND [options] TARGET
 */
#ifndef INSP_FRONT_CLI_H
#define INSP_FRONT_CLI_H

#include "front/session.h"

/* The program; returns the exit code. shell is what `attach` opens; NULL: nothing. */
int insp_cli_main(int argc, char **argv, insp_shell_fn shell);

#endif
