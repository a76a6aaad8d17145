/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host: a target behind the callbacks of struct meminspect_host: what a debugger holds still.
 */
#ifndef INSP_FRONT_HOST_H
#define INSP_FRONT_HOST_H

#include "target/target.h"

/* priv for insp_target_open_with is the const struct meminspect_host *. ops->name is "host". */
extern const struct insp_target_ops insp_target_host;

#endif
