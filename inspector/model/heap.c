/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/heap.h"

const char *insp_bin_kind_name(enum insp_bin_kind kind)
{
	static const char *const names[INSP_N_BIN_KINDS] = {
		[INSP_BIN_TCACHE] = "tcache",	  [INSP_BIN_FAST] = "fastbin",
		[INSP_BIN_UNSORTED] = "unsorted", [INSP_BIN_SMALL] = "smallbin",
		[INSP_BIN_LARGE] = "largebin",
	};

	return kind < INSP_N_BIN_KINDS ? names[kind] : "?";
}
