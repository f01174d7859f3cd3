/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_PROCESS_H
#define ARROW_GUEST_PROCESS_H

/* The program and the processes beside it: what is known of each, and their streams. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/failure.h"
#include "protocol/protocol.h"

#define PROGRAM 1u /* the process whose end is the end of the Arrow */

/* What the host sends to the program: stdin. A ring of ARROW_WINDOW bytes. */
struct input {
	int fd; /* write end of the pipe, or the terminal; -1 when it is closed */
	bool writable;
	bool gone;      /* the program has closed its end */
	bool ended;     /* the host has sent EOF */
	bool tell;      /* CLOSED is still to be sent */
	uint32_t start; /* ring: first byte, and how many there are */
	uint32_t length;
	uint32_t passed; /* bytes whose credit has not been returned */
	uint8_t *ring;
};

/* What the program sends to the host: stdout or stderr. */
struct output {
	int fd; /* read end of the pipe, or the terminal; -1 when it is closed */
	bool readable;
	bool hung_up;  /* nobody has the other end any more: what is left, then the end */
	bool tell;     /* EOF is still to be sent */
	bool unwanted; /* the host has said CLOSED: read and drop */
	uint32_t credit;
};

/* Records as they come: those of the job, or of an EXEC. */
struct records {
	uint8_t *data;
	size_t size, room;
	bool overflow; /* there was no room for all of them */
};

struct process {
	bool used;
	bool alive;
	bool tell_start; /* STARTED is still to be sent, and before anything else */
	bool tell_exit;  /* EXITED is still to be sent (of others than the program) */
	uint32_t exit_how, exit_value;
	struct failure *failure; /* FAILED is still to be sent; then nothing else is in use */
	struct records records;  /* what EXEC has brought so far */
	bool host_killed; /* the host sent SIGKILL itself, so this is not the kernel's OOM killer */
	pid_t pid;
	int tty;   /* pty master, or -1 */
	int slave; /* the loader's own, so that output is not lost while nobody has it open */
	struct input in;
	struct output out[2];
};

/*
 * Memory for more records, at most `max` bytes of them in all. Returns where they go, with how many
 * bytes fit in *size; NULL when there is none, and then the records overflow.
 */
uint8_t *records_room(struct records *records, size_t max, size_t *size);

/* Nothing of the process is left to be told or passed on. */
bool process_is_finished(const struct process *process);

/*
 * The place of a process beside the program that has not started.
 *   table:  ARROW_PROCESSES places; process n is table[n - 1]
 *   number: chosen by the host, so it may be anything
 * Returns NULL for a number that cannot be used now.
 */
struct process *process_vacant(struct process *table, uint32_t number);

/* Closes its stdin and gives back the ring. A terminal stays open. */
void process_close_input(struct process *process);

/* Closes all its streams at once. */
void process_close_streams(struct process *process);

#endif
