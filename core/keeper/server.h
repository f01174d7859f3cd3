/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_SERVER_H
#define ARROW_CORE_KEEPER_SERVER_H

/*
 * The process that serves an Arrow's volumes to its VM (fs/), in a jail of its own (engine/jail.h).
 * There is one for each run of an Arrow with volumes, where the engine has a channel for it. It
 * ends with its VM, whose end of the channel it holds the other of, and with the keeper.
 */

#include <stdint.h>

#include "engine/engine.h"
#include "util/error.h"

struct server {
	pid_t pid;         /* 0 while there is none */
	int pid_fd;        /* to be polled for input; -1 likewise */
	int words_fd;      /* what it says before it gives up */
	char why[256];     /* the first line of that, once it has ended; "" if all is well */
	const int *leases; /* of its volumes, which nobody else uses; NULL once somebody does */
	unsigned int n_leases;
	uint64_t share_due; /* ms: when who waits for these volumes gets them; 0: nobody waits */
};

#define SERVER_INIT                                                                                \
	{                                                                                          \
		.pid_fd = -1, .words_fd = -1                                                       \
	}

/* What a server is made of; all is borrowed. */
struct server_config {
	const char *root; /* of its jail, by arrow_jail_server_root() */
	const struct arrow_share *shares;
	const int *leases; /* of each share, by volume_open_lease(); -1 where others can write */
	unsigned int n_shares;
	int userns_fd;          /* whose ids the volumes have, or -1 */
	unsigned long uid_base; /* of jails */
	const struct arrow_vm_limits *limits;
};

/*
 * Starts it. It has not served anything yet when this returns. If nobody else uses a volume of it,
 * its guest may keep what it saw for a second (docs/fs.md), and this process gets SIGIO when
 * somebody begins to.
 *   channel: its end of the channel to the guest; borrowed
 */
int server_start(struct server *s, const struct server_config *config, int channel,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Whether it has ended by itself, which it never does while its VM lives unless something is wrong:
 * s->why says what. Never blocks.
 */
bool server_has_ended(struct server *s);

/*
 * After SIGIO: the guest is told to keep nothing any more, and what it has kept is forgotten until
 * share_due.
 */
void server_share(struct server *s);

/* At share_due: who waits for the volumes gets them. */
void server_give_leases(struct server *s);

/* Ends it at once, if there is one. */
void server_end(struct server *s);

#endif
