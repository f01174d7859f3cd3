/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_JAIL_RAM_H
#define ARROW_ENGINE_JAIL_RAM_H

/* The memory of a template, which a process in a jail maps and cannot write. */

#include "util/error.h"

/*
 * In the process: gives the keeper the listener of its filter (jail_filter.h) and the file. Returns
 * 0 or a negative errno.
 */
int arrow_jail_hand_over(int socket, int listener, int ram) ARROW_MUST_CHECK;

/* In the keeper: the other end. fd is to be polled for input; it changes. */
struct arrow_jail_watch {
	int fd;  /* owned: the end of ram_socket, later the listener; -1 for none */
	int ram; /* -1 at first */
};

/*
 * Answers what waits on w->fd. Returns 0, or a negative errno when there is nothing more to come.
 */
int arrow_jail_answer(struct arrow_jail_watch *w) ARROW_MUST_CHECK;

void arrow_jail_watch_release(struct arrow_jail_watch *w);

#endif
