/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_EXECS_H
#define ARROW_CORE_KEEPER_EXECS_H

/*
 * Processes beside the program of a keeper's Arrow. A command that is connected may start one. To
 * that command it is number 2; in the guest it has a number of its own, and frames are passed on
 * with the one in place of the other. A process whose command is gone is killed, unless the command
 * said DETACH: then what the process writes is dropped here.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/instance/instance.h"
#include "core/keeper/guest_link.h"
#include "core/keeper/peers.h"

struct execs {
	struct guest_link *guest;
	const struct arrow_instance *instance; /* for events */
	struct exec *v[ARROW_PROCESSES];       /* process p of the guest is [p - 1] */
	uint64_t due;                          /* ms: when execs_pump() has work; 0 for never */
};

/* Ends the exec of a command with an error that it prints. err is Linux's errno. */
void execs_refuse(struct peer *peer, int status, int err, const char *text);

/*
 * A request of a command for its process: EXEC, EXEC_END, SIGNAL, WINSIZE.
 * Returns 0, or -ENOBUFS without room for it in the guest's channel.
 */
int execs_request(struct execs *execs, struct peer *peer, struct arrow_frame frame,
	const uint8_t *payload) ARROW_MUST_CHECK;

/* A frame of a stream of that process. Returns as above. */
int execs_peer_frame(struct execs *execs, struct peer *peer, struct arrow_frame frame,
	const uint8_t *payload) ARROW_MUST_CHECK;

/* The command leaves its process, which goes on. */
void execs_detach(struct peer *peer);

/* The command is gone: its process is to be killed. */
void execs_peer_gone(struct peer *peer);

/*
 * Frames of the guest for other processes than 1: of the control stream (STARTED, FAILED, EXITED),
 * and of their streams. Return false for what breaks the protocol.
 */
bool execs_guest_control(struct execs *execs, struct arrow_frame frame, const uint8_t *payload);
bool execs_guest_frame(struct execs *execs, struct arrow_frame frame, const uint8_t *payload);

/* Sends what waited for room or time; sets `due`. */
void execs_pump(struct execs *execs);

/* The VM is gone, and with it all of them. */
void execs_end(struct execs *execs);

#endif
