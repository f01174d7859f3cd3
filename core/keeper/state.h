/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_STATE_H
#define ARROW_CORE_KEEPER_STATE_H

/*
 * What a keeper knows: the data that its parts share, and the few functions that all of them need.
 * Each part uses only those above it in this list, and returns to those below it what happened:
 *
 *   peers.c       the commands that are connected: queues and returns whole frames
 *   guest_link.c  the channel to the guest: sends, receives and counts credit
 *   execs.c       the processes beside the program
 *   health.c      the health check
 *   server.c      the process that serves its volumes
 *   state.c       phase, failure, notes, the state file
 *   snapshot.c    pause, unpause, save
 *   networks.c    connecting to networks and leaving them
 *   vm.c          the VM: its start, its limits, its end
 *   program.c     the program: its signals and its streams
 *   reports.c     decides on the frames of the guest
 *   requests.c    decides on the frames of commands
 *   runs.c        from the start of a run to its end: deadlines, the restart policy
 *   keeper.c      the poll loop, which dispatches to all of them
 */

#include "core/instance/log.h"
#include "core/keeper/execs.h"
#include "core/keeper/guest_link.h"
#include "core/keeper/health.h"
#include "core/keeper/keeper.h"
#include "core/keeper/peers.h"
#include "core/keeper/server.h"
#include "core/limits/limits.h"

/* Deadlines, generous for slow machines; they only ever end what is broken. */
#define BOOT_DEADLINE_MS 120000u /* power-on to READY, and job to STARTED */
#define CLONE_DEADLINE_MS 30000u /* a clone, from its start to STARTED; then a cold VM is tried */
#define DONE_DEADLINE_MS 60000u  /* EXITED to DONE while everybody reads what comes */
#define KILL_DEADLINE_MS 10000u  /* SIGKILL to EXITED; then the VM is ended */

#define CONSOLE_TAIL 8192u /* bytes of kernel messages that are kept */

/* See keeper.h. */
enum phase { BOOTING, HANDING, RUNNING, ENDING, OVER, WAITING };

/* The VM and what belongs to it on the host. */
struct machine {
	struct arrow_vm *vm;             /* NULL while there is none */
	struct arrow_template *template; /* that VMs are clones of, or NULL */
	struct arrow_confinement groups; /* of the VM's process, and of the server */
	struct server server;            /* of its volumes */
	uint64_t memory;                 /* bytes that the VM is left with; 0 for all that it has */
	uint64_t started_ms;
	uint64_t next_check, last_answer; /* ms: of the questions whether it lives */
	uint64_t answers;
	bool host_oom;  /* its process was killed for taking more than it may */
	bool job_stale; /* the limits have changed since the job was encoded */
};

/* The last kernel messages. */
struct console {
	int fd;
	char text[CONSOLE_TAIL + 1];
	size_t used;
};

/* What of one kind a guest has caused within a second. */
struct budget {
	uint64_t since; /* ms */
	unsigned int used;
};

/* The program, process 1 of the guest. */
struct program {
	bool started, exited;
	struct budget questions, notes; /* of its loader */
	uint32_t pid;                   /* as STARTED said */
	struct arrow_exited exit;       /* once it has exited */
};

/* Times in ms; 0 for never. */
struct deadlines {
	uint64_t phase;    /* the phase ends */
	uint32_t phase_ms; /* and how long it may take in all */
	uint64_t timeout;  /* of --timeout */
	uint64_t kill;     /* a stop that takes too long becomes SIGKILL */
	uint64_t vm_kill;  /* SIGKILL was sent; then the VM is ended */
};

/* Whether the Arrow runs again after this run. */
struct restarts {
	bool stopping;     /* the Arrow is to end: the restart policy has no say */
	bool now;          /* it was asked to start again at once */
	bool under_way;    /* so it does, and the program has not started yet */
	bool settled;      /* the end of the last run is in the state, and was told */
	uint64_t pause_ms; /* the next pause before a restart */
};

/* A pause or a save that is under way (snapshot.c). */
struct snapshot {
	enum { SNAPSHOT_NONE, SNAPSHOT_HOLD, SNAPSHOT_PAUSE, SNAPSHOT_WRITE } step;
	struct peer *peer;  /* who asked, if it is still there */
	uint32_t request;   /* type of the request that is not answered yet, or 0 */
	uint64_t deadline;  /* ms; 0 for none */
	int fd;             /* what is written to; owned */
	int code_fd;        /* and what the engine may write, too; owned, or -1 */
	bool stay;          /* paused once it is written */
	bool held;          /* it did stay: the loader waits for RESUME */
	unsigned int owed;  /* SAVEs that are not answered by SAVED yet */
	uint64_t unsettled; /* vm->paused is out of date until so many questions are answered */
};

struct keeper {
	const struct keeper_config *config;
	struct arrow_instance *instance;
	struct arrow_state *state; /* the instance's */
	bool state_changed;        /* to be written at the end of the turn */
	bool synced;               /* what must survive a power failure was brought to the disk */
	bool dropped;              /* keeper_drop() was called */

	enum phase phase;
	struct deadlines deadlines;
	struct {
		int status; /* that commands exit with; 0 while nothing has failed */
		char text[ARROW_TEXT_MAX];
	} failure;

	struct machine machine;
	struct console console;
	struct guest_link guest;
	struct program program;
	struct restarts restarts;
	struct snapshot snapshot;
	struct execs execs;
	struct health health;
	struct peers peers;
	struct log log;

	int signal_fd, listen_fd;
	int network_fd; /* tells that a watch of its networks is gone; -1 for none */
};

/* A keeper before its first run. */
void keeper_init(struct keeper *k, const struct keeper_config *config);

/* Writes the state that others read while the Arrow runs. A failure is mended by the next change.
 */
void keeper_write_state(struct keeper *k);

/* Enters a phase that may take so long; 0 for no limit. */
void keeper_set_phase(struct keeper *k, enum phase phase, uint32_t deadline_ms);

/* Ends the run with an error that commands print, and exit with. The first error counts. */
void keeper_fail(struct keeper *k, int status, const char *fmt, ...) ARROW_PRINTF(3, 4);

/* For `arrow run --verbose`: what happened, and when since the command began. */
void keeper_note(struct keeper *k, const char *what);

/* Sends a frame to the guest, which has room for it unless something is wrong with it. */
void keeper_send(
	struct keeper *k, uint16_t stream, uint16_t type, const void *payload, size_t length);

/* Counts one more. Returns false if there were so many in this second already. */
bool keeper_budget_take(struct budget *budget, unsigned int per_second);

/* Whether the program runs and can be reached. */
static inline bool keeper_program_runs(const struct keeper *k)
{
	return k->phase == RUNNING && k->program.started && !k->program.exited;
}

/* While the VM is saved, no frame goes to the guest: the channel is to be empty. */
static inline bool keeper_is_frozen(const struct keeper *k)
{
	return k->snapshot.step != SNAPSHOT_NONE;
}

#endif
