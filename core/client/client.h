/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CLIENT_CLIENT_H
#define ARROW_CORE_CLIENT_CLIENT_H

#include <signal.h>

#include "core/spec/spec.h"
#include "util/note.h"

/* How a command takes part in the Arrow that it starts. */
struct arrow_attach {
	bool input, output;        /* carry stdin; stdout and stderr. Neither: leave once it runs */
	bool no_stdout, no_stderr; /* of the output, leave this one out */
	bool bound;                /* the Arrow ends with this command, until that one leaves */
	bool proxy;                /* signals that reach this command go to the program */
	const char *detach_keys;   /* or NULL: Docker's */
	/*
	 * Called once the program is about to start: from then on signals are for the program.
	 * Blocks those of client_signals(), and returns a signalfd of them, which is taken over, or
	 * a negative errno. NULL: signals are left as they are, and none are passed on.
	 */
	int (*take_signals)(void);
};

/* The streams that it carries: a bit for each of 0, 1 and 2. */
uint32_t client_streams(const struct arrow_attach *how);

/* How a command takes part in an Arrow, as client_run() takes it. */
struct client_options {
	const struct arrow_spec *spec; /* of the Arrow */
	uint32_t process;              /* whose streams: 1, or 2 for one beside the program */
	bool input, output;            /* carry stdin; stdout and stderr */
	bool attach;                   /* ask to take part: the keeper does not know us yet */
	bool leave;                    /* once the program has started */
	bool proxy;                    /* signals that come here go to the program */
	const char *detach_keys;       /* as --detach-keys has them, or NULL: Docker's */
	int (*take_signals)(void); /* as of struct arrow_attach, called here if signal_fd is 0 */
	int signal_fd;             /* what it has returned already, taken over; else 0 */

	/* How long the guest may keep us waiting, in ms; 0: for ever. */
	uint32_t start_ms;  /* until the process has started */
	uint32_t answer_ms; /* for the next bytes, while we have passed on all that came */
	bool whole;         /* answer_ms is for all that it says */
	const struct arrow_notes *notes;
};

/*
 * A command's side of a run: carries stdin, stdout, stderr, signals and the window's size between
 * this process and the keeper, until the keeper says how it ended, or the user leaves.
 *   fd:       the socket to the keeper, taken over
 *   status:   gets the exit status of the program, or 0 for one that was left
 *   detached: gets whether the Arrow runs on without this command
 * Errors: -ETIMEDOUT if the guest keeps it waiting for too long.
 */
int client_run(int fd, const struct client_options *options, int *status, bool *detached,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The signals that go to the program instead of ending this process. */
void client_signals(sigset_t *set);

/* Size of the terminal on stdin, stdout or stderr; 24 x 80 where there is none. */
void client_window(uint16_t *rows, uint16_t *columns);

/* The bytes of --detach-keys ("ctrl-p,ctrl-q", "a,b"). Returns their number or -EINVAL. */
#define CLIENT_KEYS_MAX 16
int client_parse_keys(const char *text, uint8_t keys[CLIENT_KEYS_MAX],
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
