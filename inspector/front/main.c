/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <locale.h>
#include <stdlib.h>

#include "front/cli.h"
#include "front/repl.h"

int main(int argc, char **argv)
{
	/* Characters only: numbers of JSON and CSV keep their point. */
	(void)setlocale(LC_CTYPE, "");
	return insp_cli_main(argc, argv, insp_repl_run);
}
