/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_STATE_H
#define ARROW_CORE_KEEPER_STATE_H

/*
 * What the parts of the keeper share: keeper.c, the life of the Arrow; vm.c, that of one VM;
 * relay.c, the frames of the guest; peers.c, the commands that are connected; requests.c, what
 * these ask for; execs.c, the processes that they start beside the program.
 */

#include "core/control/channel.h"
#include "core/keeper/keeper.h"
#include "core/limits/limits.h"
#include "core/instance/event.h"
#include "core/instance/log.h"
#include "core/spec/spec_json.h"

/* Deadlines, generous for slow machines; they only ever end what is broken. */
#define BOOT_DEADLINE_MS 120000u  /* power-on to READY, and job to STARTED */
#define CLONE_DEADLINE_MS 30000u  /* a clone, from its start to STARTED; then a cold VM is tried */
#define CHECK_INTERVAL_MS 10000u  /* between two questions to the VM */
#define ANSWER_DEADLINE_MS 30000u /* for an answer */
#define DONE_DEADLINE_MS 60000u   /* EXITED to DONE while everybody reads what comes */
#define KILL_DEADLINE_MS 10000u   /* SIGKILL to EXITED; then the VM is ended */
#define STALL_DEADLINE_MS 30000u  /* for a command that does not take its output */

#define CONSOLE_TAIL 8192u /* bytes of kernel messages that are kept */
#define PEERS_MAX 300      /* commands at once: as many as processes, and others beside them */

/* See keeper.h. */
enum phase { BOOTING, HANDING, RUNNING, ENDING, OVER, WAITING };

/* A command that is connected. */
struct peer {
	struct channel channel;
	bool bound;           /* the Arrow ends with it */
	bool closing;         /* goes once all is sent */
	unsigned int streams; /* bit n: it takes part in fd n of process 1 */
	struct exec *exec;    /* a process beside the program that is this command's, or NULL */
	uint32_t waits_for;   /* a STOP or RESTART that is not answered yet, or 0 */
	uint64_t acked[2];    /* position of stdout and stderr up to which it has passed bytes on */
	uint64_t moved;       /* ms: when it last took something */

	/* Its stdin that the guest has no room for yet: a window, allocated when needed. */
	uint8_t *held;
	size_t held_start, held_end;
	bool held_eof;
	uint32_t owed; /* credit of stdin not returned yet */
};

#define HEALTH_OUTPUT_MAX 4096u /* bytes of a check's output that are kept, as Docker does */

/* The health check of an Arrow. */
struct health {
	pid_t pid; /* of the child that checks just now, or 0 */
	int pid_fd, out_fd;
	uint64_t begin, next, deadline; /* ms: of the run, of the next check, of this one */
	bool succeeded;                 /* one did, in this run */
	struct timespec started;        /* of this check */
	char output[HEALTH_OUTPUT_MAX + 1];
	size_t used;
};

/* A pause or a save that is under way (snapshot.c). */
struct snapshot {
	enum { SNAPSHOT_NONE, SNAPSHOT_HOLD, SNAPSHOT_PAUSE, SNAPSHOT_WRITE } step;
	struct peer *peer; /* who asked, if it is still there */
	uint32_t request;  /* type of the request that is not answered yet, or 0 */
	uint64_t deadline; /* ms; 0 for none */
	int fd;            /* what is written to; owned */
	int blocks_fd;     /* and what the engine may write, too; owned, or -1 */
	bool stay;         /* paused once it is written */
	bool held;         /* it did stay: the loader waits for RESUME */
};

struct keeper {
	const struct keeper_config *config;
	struct arrow_instance *instance;
	struct arrow_state *state; /* the instance's */
	struct arrow_vm *vm;
	struct arrow_confinement confinement; /* of the VM's process */
	struct channel guest;
	int console_fd, signal_fd, listen_fd;
	int network_fd; /* tells that a watch of its networks is gone; -1 for none */
	enum phase phase;
	size_t job_sent;
	struct arrow_template *template; /* that VMs are clones of, or NULL */
	struct snapshot snapshot;
	bool state_changed; /* to be written once the frames are on their way */
	bool synced;        /* what must survive a power failure was brought to the disk */
	bool dropped;       /* keeper_drop() was called */
	bool host_oom;      /* the VM's process was killed for taking more than it may */
	bool started, exited;
	bool stdin_closed;        /* the program takes no more, or was told the end */
	bool stopping;            /* the Arrow is to end: the restart policy has no say */
	bool restart_now;         /* it was asked to start again at once */
	bool restarting;          /* and the program has not started yet */
	uint8_t started_frame[8]; /* payload of STARTED */

	uint64_t deadline;   /* ms, of the phase; 0 for none */
	uint64_t time_limit; /* ms, of --timeout; 0 for none */
	uint64_t next_check, last_answer;
	uint64_t answers;

	char console[CONSOLE_TAIL + 1];
	size_t console_used;

	struct peer *peers[PEERS_MAX];
	unsigned int n_peers;
	uint64_t execs_due; /* ms: when execs_pump() has to do something; 0 for never */
	struct exec *execs[ARROW_PROCESSES]; /* process p of the guest is [p - 1] */
	struct log log;
	struct health health;

	/* Of stdout and stderr: bytes that came, and bytes that the guest has credit back for. */
	uint64_t received[2], granted[2];
	uint64_t stdin_room; /* credit that the guest gives for stdin */

	uint64_t memory;     /* bytes that the VM is left with; 0 for all that it has */
	uint64_t kill_at;    /* ms: a stop that takes too long becomes SIGKILL; 0 for none */
	uint64_t vm_kill_at; /* ms: SIGKILL was sent, then the VM is ended; 0 for none */
	uint64_t start_ms;   /* when the VM was started */
	uint64_t backoff_ms; /* the next pause before a restart */

	uint8_t exit_frame[12]; /* payload of EXITED */
	int failure;            /* status of a failure, or 0 */
	char failure_text[ARROW_TEXT_MAX];
};

/*
 * Writes the state that others read while the Arrow runs, now; state_changed has it written at the
 * end of a turn. What cannot be written is at the next change.
 */
void keeper_write_state(struct keeper *k);

/* Goes to a phase that may take so long; 0 for no end. */
void keeper_phase(struct keeper *k, enum phase phase, uint64_t deadline_ms);

/* Ends the VM with an error that commands print, and exit with. The first one counts. */
void keeper_fail(struct keeper *k, int status, const char *fmt, ...) ARROW_PRINTF(3, 4);

/* For `arrow run --verbose`: what happened when, since the command began. */
void keeper_note(struct keeper *k, const char *what);

/* Gives up for good what neither the keeper nor what it starts needs. */
void keeper_drop(void);

/* vm.c: starts the VM: a clone where there is a template, else a cold one. */
int keeper_start_vm(struct keeper *k, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Leaves the VM, and those that follow it, with so many bytes of its memory.
 * Errors: -EBUSY (it was started with less), -ENOTSUP (its engine cannot).
 */
int keeper_set_memory(struct keeper *k, uint64_t bytes, struct arrow_error *error) ARROW_MUST_CHECK;

/* Takes over the limits of a spec, for this VM and those that follow it. */
int keeper_limit(struct keeper *k, const struct arrow_spec *limits,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Ends the VM, and takes down what was set up for it. */
void keeper_end_vm(struct keeper *k);

/* Takes in the events of the VM's descriptors, p[0..ARROW_VM_FDS), and of its console. */
void keeper_vm_events(struct keeper *k, const struct pollfd *p);
void keeper_take_console(struct keeper *k);

/* Ends what takes too long. */
void keeper_check_time(struct keeper *k);

/* relay.c: begins to hand the job out, with the seed and the clock of this moment. */
void keeper_hand_out(struct keeper *k, uint64_t deadline_ms);

/* Queues the next pieces of the job, as far as the channel takes them. */
void keeper_send_job(struct keeper *k);

/* Takes the frames that came from the guest; they change the phase. */
void keeper_relay_guest(struct keeper *k);

/* A signal for process 1, which must have started. */
void keeper_signal(struct keeper *k, uint32_t signal);

/* Returns credit for stdout and stderr, as far as everybody has passed their bytes on. */
void keeper_grant(struct keeper *k);

/* peers.c: adds a command that is connected by this socket, taken over. */
struct peer *peer_add(struct keeper *k, int fd);
void peer_remove(struct keeper *k, struct peer *peer);

/* Sends a frame to one; a command that left no room does not read, and is dropped. */
void peer_send(struct keeper *k, struct peer *peer, uint16_t stream, uint16_t type,
	const void *payload, size_t length);

/* Answers a request. err is a positive errno, or 0; the text is only for an error. */
void peer_answer(struct keeper *k, struct peer *peer, uint32_t request, int err, const char *text);

/* A control frame for everybody. */
void peers_tell(struct keeper *k, uint16_t type, const void *payload, size_t length);

/* Bytes of stdout or stderr, for those that take part in it. */
void peers_output(struct keeper *k, unsigned int fd, const void *data, size_t length);

/* Bytes that somebody has not taken yet. */
uint64_t peers_in_flight(const struct keeper *k);

/* Takes what came from a command, as far as the guest has room. */
void peer_receive(struct keeper *k, struct peer *peer);

/* Sends on what was held of everybody's stdin. */
void peers_stdin(struct keeper *k);

/* Drops those that have not taken their output for too long. */
void peers_check_stalls(struct keeper *k);

/* health.c: the program has started; time has passed, or a descriptor of its is ready; it ended. */
void health_begin(struct keeper *k);
void health_turn(struct keeper *k);
void health_end(struct keeper *k);

/* When it has something to do, in ms; 0 for never. */
uint64_t health_time(const struct keeper *k);

/* requests.c: takes a control frame of a command. */
void keeper_request(
	struct keeper *k, struct peer *peer, struct arrow_frame frame, const uint8_t *payload);

/* snapshot.c: pauses the VM, or lets it go on; the command is answered once it is so. */
void keeper_pause(struct keeper *k, struct peer *peer, bool pause);

/* Writes the VM to a file that is there. */
void keeper_snapshot(struct keeper *k, struct peer *peer, const char *path, bool stay);

/* The loader said SAVED. */
void keeper_snapshot_saved(struct keeper *k, const uint8_t *payload);

/* Takes the next step, when its time has come. */
void keeper_snapshot_step(struct keeper *k);

/* A VM that is paused, or being saved, goes on: a signal is to reach its program. */
void keeper_snapshot_cancel(struct keeper *k);

/* networks.c: the Arrow gets on the networks of its config.json, and off others. */
void keeper_networks(struct keeper *k, struct peer *peer);

/* No frame of a command may go to the guest now: the channel is to be empty. */
static inline bool keeper_frozen(const struct keeper *k)
{
	return k->snapshot.step != SNAPSHOT_NONE;
}

/* Lets the guest ask for the time, since its clock stood still. */
void keeper_tell_clock(struct keeper *k);

/* Asks the program to end, and sees to it; without a program the VM is ended. */
void keeper_stop(struct keeper *k, uint32_t signal, uint32_t seconds);

/* execs.c: EXEC, and what is asked of process 2 of a command: SIGNAL, WINSIZE. */
void execs_request(
	struct keeper *k, struct peer *peer, struct arrow_frame frame, const uint8_t *payload);
/* A frame of a stream of process 2 of a command. */
void execs_peer_frame(
	struct keeper *k, struct peer *peer, struct arrow_frame frame, const uint8_t *payload);
/* The command leaves its process, which goes on; or it is gone, and its process is killed. */
void execs_detach(struct keeper *k, struct peer *peer);
void execs_peer_gone(struct keeper *k, struct peer *peer);

/* Frames of the guest for other processes than 1. They return false for what breaks the protocol.
 */
bool execs_guest_control(struct keeper *k, struct arrow_frame frame, const uint8_t *payload);
bool execs_guest_frame(struct keeper *k, struct arrow_frame frame, const uint8_t *payload);

/* Sends what waited for room or time; sets execs_due. */
void execs_pump(struct keeper *k);

/* The VM is gone, and with it all of them. */
void execs_end(struct keeper *k);

#endif
