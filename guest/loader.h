/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_LOADER_H
#define ARROW_GUEST_LOADER_H

/*
 * The loader is PID 1 of an Arrow's VM. It prepares what no job changes (stage.c), says READY and
 * waits; a template is frozen there. With the job it makes the VM one of a kind (identity.c),
 * enters the root (root.c), starts the program (start.c, tty.c) and carries its streams
 * (stream.c, channel.c) in one loop (main.c) until all of it has ended. Processes beside the
 * program are started the same way (exec.c), or are workers of its own (worker.c).
 *
 * It holds no secrets and defends nothing in the guest: the border is the VM. It must survive any
 * program, though: nothing here blocks on a stream, and what the program can grow is bounded.
 *
 * This is the state that main.c owns and the parts of its loop share.
 */

#include <stdbool.h>
#include <stdint.h>

#include "guest/channel.h"
#include "guest/hold.h"
#include "guest/job.h"
#include "guest/process.h"
#include "guest/stage.h"

struct loader {
	int epoll;
	int signals; /* signalfd of SIGCHLD */
	enum { LIFE_WAIT, LIFE_RUN, LIFE_DRAIN, LIFE_DONE } life;
	uint64_t deadline; /* ms of now_ms(): LIFE_DRAIN gives up, LIFE_DONE reboots */
	bool children;     /* there may be some to reap */
	bool notes;
	bool rehearsal;    /* this is a copy that ends after its job */
	bool outlives;     /* what is written may outlive the VM: there are volumes, or may be */
	uint64_t ready_us; /* guest's time of READY */
	struct stage stage;
	struct records records; /* of the job */
	struct job job;         /* what the program was started with, for those beside it */
	struct process processes[ARROW_PROCESSES]; /* process p is [p - 1] */
	uint32_t top;                              /* the highest number in use */
	uint8_t control[16];                       /* payload of the control frame that comes in */
	size_t control_size;
	/* Acts on a control frame, whose payload is in `control`, or as much as fits. */
	void (*take_control)(struct loader *loader, const struct arrow_frame *frame);
	uint8_t dropped[4096]; /* what nobody takes */
	bool held;        /* between SAVE and RESUME or RESTORE: programs and streams stand still */
	bool clock_asked; /* the host has not answered yet */
	unsigned int clock_tries; /* how often it may still be asked again */
	uint64_t clock_best;      /* ns: the shortest way to the host and back since clock_ask() */
	struct hold hold;
	struct channel channel;
};

#endif
