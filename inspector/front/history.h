/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * history: what was typed, kept between runs in $XDG_STATE_HOME/meminspect/history. Each line is
 * appended at once, by one write, so that several prompts and a kill lose nothing; a long file is
 * shortened at the start of a run, by a new one that takes its place.
 */
#ifndef INSP_FRONT_HISTORY_H
#define INSP_FRONT_HISTORY_H

/* Gives every line of the file to add, oldest first. Without a home: nothing. */
void insp_history_load(void (*add)(const char *line));
void insp_history_append(const char *line);

#endif
