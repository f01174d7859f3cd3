/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_STATE_H
#define ARROW_CORE_KEEPER_STATE_H

/* What the two halves of the keeper share: keeper.c, the VM's life, and relay.c, its frames. */

#include "core/channel.h"
#include "core/keeper.h"

/* Deadlines, generous for slow machines; they only ever end what is broken. */
#define BOOT_DEADLINE_MS 120000u  /* power-on to READY, and job to STARTED */
#define CLONE_DEADLINE_MS 30000u  /* a clone, from its start to STARTED; then a cold VM is tried */
#define CHECK_INTERVAL_MS 10000u  /* between two questions to the VM */
#define ANSWER_DEADLINE_MS 30000u /* for an answer */
#define DONE_DEADLINE_MS 60000u   /* EXITED to DONE while the client reads what comes */

#define CONSOLE_TAIL 8192u /* bytes of kernel messages that are kept */

/* See keeper.h. */
enum phase { BOOTING, HANDING, RUNNING, ENDING, OVER };

struct keeper {
	const struct keeper_config *config;
	struct arrow_vm *vm;
	struct channel guest, client;
	int console_fd, signal_fd;
	enum phase phase;
	size_t job_sent;
	struct arrow_template *template; /* that the VM is a clone of, or NULL */
	bool started;
	bool timed; /* the loader has asked for the time: from then on frames of the client go in */

	uint64_t deadline;   /* ms, of the phase; 0 for none */
	uint64_t time_limit; /* ms, of --timeout; 0 for none */
	uint64_t next_check, last_answer;
	uint64_t answers;

	char console[CONSOLE_TAIL + 1];
	size_t console_used;

	/* Bytes of stdout and stderr that the client has not taken yet; a client that closed one
	 * takes all. */
	uint64_t in_flight[2];
	bool closed[2];

	bool exited;
	uint8_t exit_frame[12]; /* payload of EXITED */
	bool failed;            /* a FAILED frame went to the client */
};

/* Goes to a phase that may take so long; 0 for no end. */
void keeper_phase(struct keeper *k, enum phase phase, uint64_t deadline_ms);

/* Ends with an error that the client prints, and exits with. The first one counts. */
void keeper_fail(struct keeper *k, int status, const char *fmt, ...) ARROW_PRINTF(3, 4);

/* For `arrow run --verbose`: what happened when, since the command began. */
void keeper_note(struct keeper *k, const char *what);

/* Begins to hand the job out, with the seed and the clock of this moment. */
void keeper_hand_out(struct keeper *k, uint64_t deadline_ms);

/* Queues the next pieces of the job, as far as the channel takes them. */
void keeper_send_job(struct keeper *k);

/* Pass on what came from one side, as far as the other has room; they change the phase. */
void keeper_relay_guest(struct keeper *k);
void keeper_relay_client(struct keeper *k);

#endif
